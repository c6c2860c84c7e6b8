//! `reveille explain`: why a target is awake or asleep, in each state that it
//! can be in.

use crate::{
    ingest::{gauge, post},
    kubernetes::objects,
    support::{ApiServer, Marker, Reveille, Target, command, wait_for},
};
use serde_json::{Value, json};
use std::process::Output;

/// `reveille explain`, of that Reveille.
fn explain(reveille: &Reveille, args: &[&str]) -> Output {
    let admin = reveille.admin().to_string();
    command(&Marker::new())
        .args(["explain", "--admin", &admin])
        .args(args)
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The answer about a known target, in JSON.
fn explained(reveille: &Reveille, target: &str) -> Value {
    let output = explain(reveille, &[target, "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Waits for an answer whose sentence about why, or about what is next, has
/// these words.
fn until_said(reveille: &Reveille, target: &str, field: &str, words: &str) -> Value {
    wait_for(&format!("{words:?} is said"), || {
        let answer = explained(reveille, target);
        let said = answer[field].as_str().expect("a text");
        said.contains(words).then_some(answer)
    })
}

/// What one of the sources of demand says, and whether it keeps the target awake.
fn source(answer: &Value, name: &str) -> (String, bool) {
    let all = answer["demand"].as_array().expect("a list");
    let found = all.iter().find(|one| one["source"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name}: {answer:#}"));
    let says = found["says"].as_str().expect("a text").to_owned();
    (says, found["active"] == true)
}

fn kinds(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().expect("a list");
    events
        .iter()
        .map(|one| one["kind"].as_str().expect("a text"))
        .collect()
}

/// The target `web`, which starts when the file `go` is there.
fn waits_for_go() -> Target {
    Target::new(
        "web",
        "[sh, -c, 'while ! [ -e go ]; do sleep 0.01; done; exec python3 -B server.py']",
    )
}

#[test]
fn from_cold_to_waking_to_warm_and_to_the_window_after_the_last_request() {
    let target = waits_for_go().scaled("cooldownPeriod: 60");
    let reveille = Reveille::of(target).set("--activity-window", "40s").start();
    let cold = until_said(&reveille, "web", "why", "nothing was asked of it yet");
    assert_eq!(cold["state"], "cold");
    assert_eq!(cold["next"], "the next request wakes it.");
    assert_eq!(
        source(&cold, "this proxy"),
        ("nothing in flight".to_owned(), false)
    );
    assert_eq!(
        source(&cold, "activity window"),
        ("no request yet".to_owned(), false)
    );

    let mut held = reveille.client("web").begin("GET", "/wait/answer?secret=1");
    reveille.until("web", "a replica starts", |now| now.replicas() == (1, 0));
    let waking = explained(&reveille, "default/web");
    assert_eq!(waking["state"], "waking");
    let why = waking["why"].as_str().expect("a text");
    assert!(why.starts_with("woken "), "{why}");
    let words =
        "by GET web.test/wait/answer; 1 request waits for an endpoint, and 1 replica is starting.";
    assert!(why.ends_with(words), "{why}");
    let next = "the first endpoint that accepts connections gets the request that waits.";
    assert_eq!(waking["next"], next);
    let (says, active) = source(&waking, "this proxy");
    assert_eq!((&*says, active), ("1 in flight, 1 of them held", true));
    let told = &waking["told"][0];
    assert_eq!(told["about"], "interceptorRoute=web");
    assert!(
        told["said"]
            .as_str()
            .expect("a text")
            .starts_with("active, "),
        "{told}"
    );

    reveille.touch("go");
    let warm = until_said(
        &reveille,
        "web",
        "why",
        "1 endpoint serves it, with 1 request in flight",
    );
    assert_eq!(warm["state"], "warm");
    let next = warm["next"].as_str().expect("a text");
    assert!(
        next.contains("asleep about 100 s after the last one"),
        "{next}"
    );

    reveille.touch("answer?secret=1");
    assert_eq!(held.answer().status, 200);
    let idle = until_said(&reveille, "web", "why", "its last request ended");
    let (says, active) = source(&idle, "activity window");
    assert!(active && says.contains(" more of 40 s"), "{says}");
    let left = idle["nextInSeconds"].as_f64().expect("a time");
    assert!((60.0..=100.0).contains(&left), "{left}");
    assert!(
        idle["next"]
            .as_str()
            .expect("a text")
            .starts_with("asleep in about ")
    );
    let kinds = kinds(&idle);
    let story: Vec<&str> = kinds.into_iter().filter(|kind| *kind != "scaled").collect();
    assert_eq!(story, ["woken", "ready", "released"]);

    let lines = text(&explain(&reveille, &["web"]).stdout);
    assert!(
        lines.starts_with("default/web is warm: 1 endpoint serves it"),
        "{lines}"
    );
    for title in [
        "\nDemand\n",
        "\nKEDA was told\n",
        "\nLately (UTC)\n",
        "\nNext: asleep in about ",
    ] {
        assert!(lines.contains(title), "{lines}");
    }
    assert!(!lines.contains("secret"), "{lines}");
}

#[test]
fn a_target_that_cannot_start_is_failing_with_its_reason() {
    let reveille = Reveille::of(Target::new("web", "[sh, -c, exit 7]")).start();
    let mut held = reveille.client("web").begin("GET", "/");
    let failing = until_said(&reveille, "web", "why", "cannot be started");
    assert_eq!(failing["state"], "failing");
    assert!(
        failing["next"]
            .as_str()
            .expect("a text")
            .starts_with("it is tried again")
    );
    assert_eq!(held.answer().status, 503);
    assert!(kinds(&explained(&reveille, "web")).contains(&"failing"));
}

#[test]
fn a_metric_that_wakes_is_named_with_its_value() {
    let target = waits_for_go().to_string();
    let target = target.replace(
        "interceptorRoute: web",
        "metricQuery: queue.depth, targetValue: '2', activationTargetValue: '1'",
    );
    let reveille = Reveille::of(target)
        .arg("--otlp-http-addr", "127.0.0.1:0")
        .start();
    let (_, otlp) = reveille.otlp();
    let otlp = otlp.expect("it was asked for");
    let cold = until_said(&reveille, "web", "next", "above its activation value");
    assert_eq!(cold["state"], "cold");
    assert_eq!(post(otlp, &gauge("queue.depth", "a", 6)).status, 200);
    let waking = until_said(
        &reveille,
        "web",
        "why",
        "by metricQuery=queue.depth is 6, target 2",
    );
    assert_eq!(waking["state"], "waking");
    let (says, active) = source(&waking, "metricQuery=queue.depth");
    assert!(active, "{says}");
    assert!(
        says.contains("queue.depth is 6, above its activation value"),
        "{says}"
    );
    reveille.touch("go");
    let warm = until_said(&reveille, "web", "why", "and a metric keeps it awake");
    assert_eq!(warm["state"], "warm");
    assert!(
        warm["next"]
            .as_str()
            .expect("a text")
            .contains("while its metric is above")
    );
}

#[test]
fn in_a_cluster_it_knows_of_the_scaled_object_and_that_it_is_paused() {
    let api = ApiServer::start();
    let mut paused = objects::scaled_object("web");
    paused["metadata"]["annotations"] = json!({"autoscaling.keda.sh/paused": "true"});
    let mut patient = objects::scaled_object("api");
    patient["spec"]["cooldownPeriod"] = json!(77);
    let routes = ["web", "api"].map(objects::route);
    api.put_all(routes);
    api.put_all(["web", "api"].map(objects::service));
    api.put_all([paused, patient]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let asleep = until_said(&reveille, "web", "why", "KEDA does not wake it");
    assert_eq!(asleep["state"], "cold");
    assert!(
        asleep["next"]
            .as_str()
            .expect("a text")
            .starts_with("nothing, until KEDA is allowed")
    );
    let (says, _) = source(&asleep, "ScaledObject");
    let words =
        "default/web: 0 to 5 replicas, cooldown 5 min; paused: autoscaling.keda.sh/paused is set";
    assert_eq!(says, words);
    let (says, _) = source(&explained(&reveille, "api"), "ScaledObject");
    assert_eq!(says, "default/api: 0 to 5 replicas, cooldown 77 s");
}

#[test]
fn an_unknown_target_has_exit_code_3_and_near_names() {
    let other = Target::hello().to_string().replace("web", "orders");
    let twice = "metadata: {namespace: blue, name: web}";
    let twice = Target::hello()
        .to_string()
        .replace("metadata: {name: web}", twice);
    let twice = twice.replace("web.test", "blue.test");
    let manifest = format!("{}\n{other}\n{twice}", Target::hello());
    let reveille = Reveille::of(manifest).start();
    let said = |target: &str| {
        let output = explain(&reveille, &[target]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        text(&output.stderr)
    };
    assert_eq!(
        said("ordres"),
        "reveille: there is no target \"ordres\"; did you mean default/orders?\n"
    );
    let all =
        "reveille: there is no target \"zzz\"; there are: default/web, default/orders, blue/web\n";
    assert_eq!(said("zzz"), all);
    assert_eq!(
        said("web"),
        "reveille: \"web\" could be default/web or blue/web: give the namespace\n"
    );
    assert_eq!(explained(&reveille, "blue/web")["state"], "cold");
    let hostile = said("../../metrics?x=1#\u{1b}[31m");
    assert!(hostile.contains("there is no target"), "{hostile}");
}

#[test]
fn nobody_at_the_address_has_exit_code_1() {
    // The discard port: below the range that anything here listens on.
    let output = command(&Marker::new())
        .args(["explain", "web", "--admin", "127.0.0.1:9"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("nobody listens on 127.0.0.1:9; is that the --admin-addr"),
        "{said}"
    );
}
