//! Manifests with an error: nothing of them is served.

use super::{following, replace};
use crate::support::{Reveille, Target};

const BROKEN: &str = "\
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: broken}
spec:
  target: {service: web, port: 80}
  rules: [{hosts: [broken.test]}]
  scalingMetric: {concurrency: {targetValue: none}}
";

fn counts(reveille: &Reveille) -> [Option<f64>; 3] {
    [
        r#"reveille_manifest_reloads_total{result="applied"}"#,
        r#"reveille_manifest_reloads_total{result="refused"}"#,
        "reveille_manifest_last_reload_successful",
    ]
    .map(|series| reveille.metric(series))
}

#[test]
fn with_one_error_all_stays_as_it_is_until_it_is_mended() {
    let reveille = following(Target::hello()).start();
    let since = reveille.manifests().applied_at;
    assert_eq!(reveille.manifests().files, ["test.yaml"]);
    let edited = Target::hello().to_string().replace("web.test", "new.test");
    replace(&reveille, format!("{BROKEN}{edited}"));
    let place = "test.yaml:8: InterceptorRoute default/broken: \
                 spec.scalingMetric.concurrency.targetValue: ";
    assert!(reveille.until_logged(place).contains("ERROR"));
    reveille.until_logged("manifests not reloaded");
    let now = reveille.until_manifests("it is refused", |now| now.refused.is_some());
    let refused = now.refused.expect("it is");
    assert_eq!(refused.problems.len(), 1);
    assert!(refused.problems[0].starts_with(place), "{refused:?}");
    assert!(refused.at >= since);
    assert_eq!((now.reloads_applied, now.reloads_refused), (0, 1));
    assert_eq!(counts(&reveille), [Some(0.0), Some(1.0), Some(0.0)]);
    assert_eq!(reveille.client("web").get("/").status, 200);
    assert_eq!(reveille.client("new").get("/").status, 404);
    assert_eq!(reveille.client("broken").get("/").status, 404);

    replace(&reveille, edited);
    let now = reveille.until_manifests("it is served", |now| now.reloads_applied == 1);
    assert!(now.refused.is_none());
    assert_eq!(counts(&reveille), [Some(1.0), Some(1.0), Some(1.0)]);
    assert_eq!(reveille.client("web").get("/").status, 404);
    assert_eq!(reveille.client("new").get("/").status, 200);
}

#[test]
fn what_is_no_yaml_not_there_or_empty_is_refused() {
    let reveille = following(Target::hello()).start();
    let refused = |count, what: &str| {
        let now = reveille.until_manifests("it is refused", |now| now.reloads_refused == count);
        let problems = now.refused.expect("it is").problems;
        assert!(problems[0].contains(what), "{problems:?}");
        assert_eq!(reveille.targets().len(), 1);
    };
    replace(&reveille, "{ unfinished");
    refused(1, "test.yaml:");
    std::fs::remove_file(reveille.path("test.yaml")).expect("removed");
    refused(2, "test.yaml: cannot be read: ");
    replace(&reveille, "");
    refused(3, "there is nothing to serve or to scale");
    assert_eq!(reveille.client("web").get("/").status, 200);
}

#[test]
fn tls_files_that_are_missing_are_an_error_of_the_whole_set() {
    let tls = "\
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {name: secure}
spec: {addresses: ['127.0.0.1:9'], appProtocol: https, tls: {caFile: missing.crt}}
";
    let reveille = following(Target::hello()).start();
    let other = Target::new("other", "[sleep, '1000']");
    replace(&reveille, format!("{}{other}{tls}", Target::hello()));
    let now = reveille.until_manifests("it is refused", |now| now.refused.is_some());
    let problems = now.refused.expect("it is").problems;
    let place = "Backend default/secure: spec.tls.caFile: ";
    assert!(problems[0].starts_with(place), "{problems:?}");
    assert_eq!(reveille.targets().len(), 1);
}
