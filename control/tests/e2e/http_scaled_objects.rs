//! The HTTP add-on's former object: served as it is, and rewritten by `check`.

use crate::support::{Marker, Reveille, command};
use std::fs;

const WEB: &str = "\
apiVersion: http.keda.sh/v1alpha1
kind: HTTPScaledObject
metadata: {name: web}
spec:
  hosts: [web.test]
  pathPrefixes: [/]
  scaleTargetRef: {name: web, service: web, port: 80}
  replicas: {max: 3}
  scaledownPeriod: 0
  scalingMetric: {concurrency: {targetValue: 5}}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {name: web}
spec: {command: [reveille, hello, --addr, \"127.0.0.1:{port}\"]}
";

#[test]
fn one_is_a_route_and_its_scaling_under_its_own_name() {
    let reveille = Reveille::of(WEB).start();
    reveille.until_asleep("web");
    assert_eq!(reveille.client("other").get("/").status, 404);
    let answer = reveille.client("web").get("/");
    assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
    let now = reveille.until_warm("web");
    assert_eq!(now.scaled_object.as_deref(), Some("default/web"));
    let labels = r#"{code="200",method="GET",route_name="web",route_namespace="default"}"#;
    let count = reveille.metric(&format!("interceptor_request_count_total{labels}"));
    assert_eq!(count, Some(1.0));
    reveille.until_logged("HTTPScaledObject is deprecated");
    reveille.stop();
}

#[test]
fn a_route_of_its_name_wins_and_is_what_its_scaled_object_is_told_of() {
    let route = "\
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: web}
spec:
  target: {service: web, port: 80}
  rules: [{hosts: [new.test]}]
  scalingMetric: {concurrency: {targetValue: 1}}
";
    let reveille = Reveille::of(format!("{WEB}{route}")).start();
    assert_eq!(reveille.client("web").get("/").status, 404);
    let answer = reveille.client("new").get("/");
    assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
    assert_eq!(reveille.targets().len(), 1);
    reveille.stop();
}

#[test]
fn check_prints_what_to_write_instead_and_that_is_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("written");
        let mut check = command(&Marker::new());
        let check = check.args(["check", "-f", name]).current_dir(folder.path());
        let output = check.output().expect("the binary runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let said = check("old.yaml", WEB);
    assert!(said.contains("old.yaml:2: warning: HTTPScaledObject default/web: kind: "));
    let printed = said.find("# instead of HTTPScaledObject default/web:\n---\n");
    let printed = said
        .get(printed.expect(&said)..)
        .expect("a whole character");
    let (yaml, summary) = printed.rsplit_once("\n\n").expect("a blank line");
    assert!(
        summary.starts_with("1 routes, 1 ScaledObjects, 1 processes"),
        "{summary}"
    );
    let (_, process) = WEB.split_once("---\n").expect("two documents");
    let said = check("new.yaml", &format!("{yaml}\n---\n{process}"));
    assert!(
        said.contains("1 routes, 1 ScaledObjects, 1 processes"),
        "{said}"
    );
    assert!(!said.contains("deprecated"), "{said}");
}
