//! `reveille top`, in a terminal and without one.

use crate::support::{Marker, Reveille, Target, command};
use std::process::{Command, Output, Stdio};

/// Two targets, one of which starts when the file `go` is there.
fn reveille() -> Reveille {
    let waits = "[sh, -c, 'while ! [ -e go ]; do sleep 0.01; done; exec python3 -B server.py']";
    let web = Target::new("web", waits).scaled("cooldownPeriod: 60");
    let other = Target::hello().to_string().replace("web", "other");
    Reveille::of(format!("{web}\n{other}")).start()
}

/// `python/terminal.py` gives it a terminal of its own.
fn in_a_terminal(reveille: &Reveille, test: &str) {
    let output = Command::new("python3")
        .args(["-B", "-c", include_str!("python/terminal.py")])
        .args([env!("CARGO_BIN_EXE_reveille"), test])
        .args([reveille.admin(), reveille.proxy()].map(|addr| addr.to_string()))
        .arg(reveille.pid().to_string())
        .current_dir(reveille.path("."))
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn printed(args: &[&str]) -> Output {
    command(&Marker::new())
        .arg("top")
        .args(args)
        .output()
        .expect("it runs")
}

#[test]
fn a_wake_is_seen_sorted_explained_and_filtered() {
    in_a_terminal(&reveille(), "wake");
}

#[test]
fn however_it_ends_the_terminal_is_as_it_was() {
    in_a_terminal(&reveille(), "end");
}

#[test]
fn a_reveille_that_goes_is_said_and_waited_for() {
    in_a_terminal(&reveille(), "lost");
}

#[test]
fn without_a_terminal_it_is_one_table() {
    let reveille = reveille();
    let admin = reveille.admin().to_string();
    let output = printed(&["--admin", &admin, "--filter", "other"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(
        lines[0].starts_with("TARGET         STATE  REPLICAS  ENDPOINTS"),
        "{table}"
    );
    assert!(
        lines[1].starts_with("default/other  cold        0/0          0"),
        "{table}"
    );
}

#[test]
fn nobody_to_ask_is_an_error() {
    // The discard port: below the range that anything here listens on.
    let output = printed(&["--once", "--admin", "127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("nobody listens on 127.0.0.1:9"), "{said}");
}
