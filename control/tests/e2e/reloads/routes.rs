//! Routes that come, change and go.

use super::{edit, following, replace};
use crate::support::{Reveille, Target, wait_until};
use rustix::process::Signal;
use std::fs;

fn hello(name: &str) -> String {
    let command = r#"[reveille, hello, --addr, "127.0.0.1:{port}"]"#;
    // It stays up: a test looks at its process.
    Target::new(name, command)
        .scaled("cooldownPeriod: 900")
        .to_string()
}

#[test]
fn one_that_is_added_is_served_and_one_that_is_removed_is_gone_with_all_it_had() {
    let reveille = following(hello("web")).start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    let web = reveille.until_workloads(1).remove(0);
    assert_eq!(reveille.client("other").get("/").status, 404);

    edit(&reveille, hello("web") + &hello("other"));
    assert_eq!(reveille.client("other").get("/").status, 200);
    let series = |name: &str| {
        let labels = format!(r#"{{route_name="{name}",route_namespace="default"}}"#);
        reveille.metric(&format!("reveille_cold_starts_total{labels}"))
    };
    assert_eq!((series("web"), series("other")), (Some(1.0), Some(1.0)));
    reveille.until_workloads(2);

    edit(&reveille, hello("web"));
    let answer = reveille.client("other").get("/");
    assert_eq!((answer.status, answer.body.as_str()), (404, "Not Found\n"));
    let page = reveille.ask("/metrics").body;
    assert!(!page.contains(r#"route_name="other""#), "{page}");
    assert!(!page.contains("default/other"), "{page}");
    assert_eq!(reveille.targets().len(), 1);
    // What stayed is what it was: its process, its counters.
    assert_eq!(reveille.until_workloads(1), [web]);
    let answer = reveille.client("web").get("/");
    assert_eq!((answer.status, answer.cold_start()), (200, Some("false")));
    assert_eq!(series("web"), Some(1.0));
    assert_eq!(
        reveille.metric(r#"reveille_manifest_reloads_total{result="applied"}"#),
        Some(2.0)
    );
    assert!(!reveille.log().contains("trigger fails"));
    reveille.stop();
}

#[test]
fn one_that_changes_keeps_its_replicas_and_its_counters() {
    let reveille = following(hello("web")).start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    let process = reveille.until_workloads(1);
    edit(&reveille, hello("web").replace("web.test", "new.test"));
    assert_eq!(reveille.client("web").get("/").status, 404);
    let answer = reveille.client("new").get("/");
    assert_eq!((answer.status, answer.cold_start()), (200, Some("false")));
    assert_eq!(reveille.until_workloads(1), process);
    let labels = r#"{code="200",method="GET",route_name="web",route_namespace="default"}"#;
    let count = reveille.metric(&format!("interceptor_request_count_total{labels}"));
    assert_eq!(count, Some(2.0));
}

#[test]
fn one_that_is_given_another_service_goes_there() {
    let both = hello("web") + &hello("other");
    let reveille = following(both.clone()).start();
    let led = both.replace("{service: web,", "{service: other,");
    edit(
        &reveille,
        led.replace("interceptorRoute: other", "interceptorRoute: web"),
    );
    assert_eq!(reveille.client("web").get("/").status, 200);
    let endpoint = &reveille.until_warm("web").endpoints[0].name;
    assert_eq!(endpoint, "default/other-0");
}

#[test]
fn a_file_that_comes_into_a_folder_is_served() {
    let reveille = Reveille::bare()
        .folder("all")
        .file("all/web.yaml", &hello("web"))
        .arg("-f", "all")
        .arg("--manifest-reload-interval", "20ms")
        .start();
    fs::write(reveille.path("all/other.yaml"), hello("other")).expect("written");
    reveille.until_manifests("it is served", |now| now.reloads_applied == 1);
    assert_eq!(reveille.client("other").get("/").status, 200);
    fs::remove_file(reveille.path("all/other.yaml")).expect("removed");
    wait_until("it is gone", || {
        reveille.client("other").get("/").status == 404
    });
}

#[test]
fn without_looking_a_hang_up_reloads() {
    let reveille = Reveille::of(hello("web"))
        .arg("--manifest-reload-interval", "0s")
        .start();
    replace(&reveille, hello("web") + &hello("other"));
    reveille.signal(Signal::HUP);
    reveille.until_manifests("it is served", |now| now.reloads_applied == 1);
    assert_eq!(reveille.client("other").get("/").status, 200);
}

#[test]
fn the_body_of_an_answer_is_read_again() {
    let page = "staticRoutes: [{rules: [{paths: [{value: /page}]}], response: {statusCode: 200, bodyFromFile: page.txt}}]";
    let target = Target::hello().route(page);
    let reveille = following(target).file("page.txt", "before").start();
    assert_eq!(reveille.client("web").get("/page").body, "before");
    fs::write(reveille.path("page.txt"), "after").expect("written");
    reveille.until_manifests("it is read", |now| now.reloads_applied > 0);
    assert_eq!(reveille.client("web").get("/page").body, "after");
}
