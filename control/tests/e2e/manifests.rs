//! Manifests of a running Reveille: what is sound is served, whatever lies
//! beside it.

use crate::support::{Client, Reveille, Target};
use std::net::TcpListener;

const BROKEN: &str = "\
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: broken}
spec:
  target: {service: web, port: 80}
  rules: [{hosts: [broken.test]}]
  scalingMetric: {concurrency: {targetValue: none}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: broken}
spec:
  scaleTargetRef: {name: web}
  pollingInterval: -1
  triggers: [{type: external-push, metadata: {scalerAddress: x, interceptorRoute: web}}]
";

#[test]
fn broken_objects_are_logged_with_file_and_line_and_harm_no_other() {
    let reveille = Reveille::of(format!("{BROKEN}{}", Target::hello())).start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    assert_eq!(reveille.client("broken").get("/").status, 404);
    assert_eq!(reveille.targets().len(), 1);
    let log = reveille.log();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    let places = [
        "test.yaml:8: InterceptorRoute default/broken: spec.scalingMetric.concurrency.targetValue: ",
        "test.yaml:15: ScaledObject default/broken: spec.pollingInterval: ",
    ];
    assert_eq!(errors.len(), places.len(), "{errors:#?}");
    for (error, place) in errors.iter().zip(places) {
        assert!(error.contains(place), "{error}");
    }
}

#[test]
fn with_broken_objects_only_it_does_not_start() {
    let ended = Reveille::of(BROKEN).run();
    assert_eq!(ended.status.code(), Some(1));
    let summary = "reveille: there is nothing to serve or to scale: no usable InterceptorRoute or \
                   ScaledObject (2 errors, see above)";
    assert!(ended.log.contains(summary), "{}", ended.log);
    assert!(ended.log.contains("test.yaml:8: "), "{}", ended.log);
}

#[test]
fn a_folder_is_read_file_by_file_and_a_file_that_is_no_yaml_harms_no_other() {
    let reveille = Reveille::bare()
        .folder("all")
        .file("all/a.yaml", &Target::hello().to_string())
        .file(
            "all/b.yml",
            &Target::hello().to_string().replace("web", "other"),
        )
        .file("all/c.yaml", "{ unfinished")
        .file("all/notes.txt", "not a manifest")
        .arg("-f", "all")
        .start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    assert_eq!(reveille.client("other").get("/").status, 200);
    assert!(reveille.until_logged("ERROR").contains("all/c.yaml:"));
}

#[test]
fn a_backend_is_forwarded_to_and_never_scaled() {
    let backend = TcpListener::bind("127.0.0.1:0").expect("a port");
    let manifest = format!(
        "\
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {{name: fixed}}
spec:
  target: {{service: fixed, port: 80}}
  rules: [{{hosts: [fixed.test]}}]
  scalingMetric: {{concurrency: {{targetValue: 1}}}}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {{name: fixed}}
spec: {{addresses: [\"{}\"]}}
",
        backend.local_addr().expect("bound")
    );
    let reveille = Reveille::of(manifest).start();
    let now = reveille.target("fixed");
    assert_eq!((now.state.as_str(), now.endpoints.len()), ("warm", 1));
    assert!(now.replicas.is_none() && now.scaled_object.is_none());

    let mut connection = reveille
        .client("fixed")
        .begin("GET", "/some/path?and=query");
    let (stream, _) = backend.accept().expect("forwarded");
    let mut upstream = std::io::BufReader::new(stream);
    let head = crate::support::read_head(&mut upstream);
    assert_eq!(head[0], "GET /some/path?and=query HTTP/1.1");
    let header = |name: &str| {
        let mut headers = head.iter().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    };
    assert_eq!(header("host"), Some("fixed.test"));
    assert_eq!(header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header("x-forwarded-host"), Some("fixed.test"));
    assert_eq!(header("x-forwarded-proto"), Some("http"));
    let answer = b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntea";
    std::io::Write::write_all(upstream.get_mut(), answer).expect("sent");
    let answer = connection.answer();
    assert_eq!((answer.status, answer.body.as_str()), (418, "tea"));
    assert_eq!(answer.cold_start(), Some("false"));
    assert_eq!(reveille.workloads(), []);
    assert!(!reveille.log().contains("scaled"));
    reveille.stop();
}

#[test]
fn without_a_file_the_built_in_example_runs_and_says_how_to_wake_it() {
    let reveille = Reveille::bare().start();
    let port = reveille.proxy().port();
    reveille.until_logged(&format!("curl -i http://localhost:{port}/"));
    reveille.until_logged(&format!("What it is doing: http://{}/", reveille.admin()));
    let answer = Client::new(reveille.proxy(), &format!("localhost:{port}")).get("/");
    assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
    assert!(
        answer.body.starts_with("Hello 127.0.0.1 from process "),
        "{}",
        answer.body
    );
    reveille.stop();
}
