//! The page in a real browser: it renders, follows what happens, can be read by
//! everybody, and executes nothing that comes from manifests or metrics.
//!
//! `python/browser.py` drives it, and with `REVEILLE_TEST_SCREENSHOTS=FOLDER`
//! leaves the pictures of the README there.

use super::{found, python, run};
use crate::{
    ingest::{gauge, post},
    support::{Reveille, Starter, Target},
};
use std::{env, path::PathBuf, process::Command};

/// Debian's browser without a window, or with one.
fn browser() -> String {
    let path = env::var_os("PATH").unwrap_or_default();
    let names = ["chromium-headless-shell", "chromium"];
    let mut files = names
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)));
    let file = files.find(|file| file.is_file());
    found("chromium-headless-shell", file.unwrap_or_else(PathBuf::new))
}

/// One that starts when the file `go` is there, one that is always warm, and
/// one whose trigger is not what it should be.
fn targets() -> Starter {
    let waits = "[sh, -c, 'while ! [ -e go ]; do sleep 0.01; done; exec python3 -B server.py']";
    let web = Target::new("web", waits).scaled("cooldownPeriod: 60");
    let always = Target::hello().scaled("minReplicaCount: 1").to_string();
    let always = always.replace("web", "always");
    let hostile = r#"metricQuery: 'queue_depth{pod="<img src=x onerror=window.hacked=1>"}', targetValue: '2'"#;
    let hostile_target = Target::hello()
        .to_string()
        .replace("interceptorRoute: web", hostile);
    let hostile_target = hostile_target.replace("web", "hostile");
    Reveille::of(format!("{web}\n{always}\n{hostile_target}"))
        .arg("--otlp-http-addr", "127.0.0.1:0")
}

fn look(reveille: &Reveille, test: &str) {
    let folder = reveille.path(".");
    let mut command = Command::new(python());
    command
        .args(["-B", "-c", include_str!("../python/browser.py")])
        .args([&browser(), test])
        .args([reveille.admin(), reveille.proxy()].map(|addr| addr.to_string()))
        .arg(folder);
    run(&mut command);
}

#[test]
fn a_wake_is_seen_as_it_happens_and_told_in_words() {
    let reveille = targets().start();
    reveille.until_warm("always");
    look(&reveille, "wake");
}

#[test]
fn it_is_readable_in_both_themes_on_a_phone_by_keyboard_and_by_readers() {
    let reveille = targets().start();
    reveille.until_warm("always");
    look(&reveille, "looks");
}

#[test]
fn metrics_are_explored_and_hostile_names_stay_names() {
    let reveille = targets().start();
    let (_, otlp) = reveille.otlp();
    let hostile = "<script>window.hacked=1</script>";
    let answer = post(
        otlp.expect("it was asked for"),
        &gauge("queue.depth", hostile, 1),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    look(&reveille, "metrics");
}

#[test]
fn the_token_is_asked_for_and_kept_in_the_tab() {
    let reveille = targets()
        .file("tokens", "correct-horse-battery")
        .arg("--admin-token-file", "tokens")
        .start();
    look(&reveille, "token");
}
