//! The command line: `check`, `example`, `--version`, flags and variables.

use crate::support::{Marker, Reveille, Target, command};
use std::{fs, process::Output};

fn run(args: &[&str]) -> Output {
    command(&Marker::new())
        .args(args)
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn every_example_is_listed_printed_and_free_of_problems() {
    let list = run(&["example"]);
    assert!(list.status.success());
    let folder = tempfile::tempdir().expect("a folder");
    let list = text(&list.stdout);
    let names: Vec<&str> = list
        .lines()
        .map(|line| line.split_whitespace().next().expect("a name"))
        .collect();
    assert!(names.contains(&"hello") && names.len() >= 4, "{list}");
    for name in names {
        let example = run(&["example", name]);
        assert!(example.status.success());
        let file = folder.path().join("example.yaml");
        fs::write(&file, &example.stdout).expect("written");
        let check = run(&["check", "-f", file.to_str().expect("UTF-8")]);
        let said = text(&check.stdout);
        assert_eq!(check.status.code(), Some(0), "{name}: {said}");
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        assert!(
            said.ends_with(" usable; 0 errors, 0 warnings\n"),
            "{name}: {said}"
        );
    }
}

#[test]
fn an_unknown_example_is_answered_with_the_known_ones() {
    let output = run(&["example", "no-such"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("reveille: there is no example \"no-such\"; there are:\n  hello "),
        "{said}"
    );
}

#[test]
fn check_prints_every_problem_with_file_line_object_and_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.yaml");
    let bad = Target::hello()
        .scaled("minReplicaCount: -1")
        .scaled("cooldownPeriod: soon")
        .scaled("colour: red");
    fs::write(&file, bad.to_string()).expect("written");
    let path = file.to_str().expect("UTF-8");
    let output = run(&["check", "-f", path]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let bad = bad.to_string();
    let line_of = |field: &str| {
        bad.lines()
            .position(|line| line.trim_start().starts_with(field))
            .expect("there")
            + 1
    };
    let place = |severity: &str, field: &str| {
        let line = line_of(field);
        format!("{path}:{line}: {severity}ScaledObject default/web: spec.{field}: ")
    };
    assert_eq!(lines.len(), 4, "{said}");
    assert!(
        lines[0].starts_with(&place("", "minReplicaCount")),
        "{said}"
    );
    assert!(lines[1].starts_with(&place("", "cooldownPeriod")), "{said}");
    assert!(
        lines[2].starts_with(&place("warning: ", "colour")),
        "{said}"
    );
    assert!(
        lines[3].ends_with(" usable; 2 errors, 1 warnings"),
        "{said}"
    );
}

#[test]
fn check_needs_a_file_and_names_one_that_is_not_there() {
    assert_eq!(run(&["check"]).status.code(), Some(2));
    let output = run(&["check", "-f", "no-such.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).starts_with("no-such.yaml: "),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn the_version_is_the_packages() {
    let output = run(&["--version"]);
    assert!(output.status.success());
    assert_eq!(
        text(&output.stdout),
        concat!("reveille ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn variables_stand_in_for_flags() {
    let reveille = Reveille::variables_only()
        .file(
            "test.yaml",
            &Target::new("web", "[sleep, '1000']").to_string(),
        )
        .env("REVEILLE_FILE", "test.yaml")
        .env("REVEILLE_READINESS_TIMEOUT", "100ms")
        .env("REVEILLE_COLD_START_HEADER", "false")
        .env("REVEILLE_LOG_FORMAT", "json")
        .start();
    assert_eq!(reveille.client("web").get("/").status, 504);
    assert!(reveille.log().starts_with('{'));
    reveille.stop();
}

#[test]
fn a_flag_that_is_wrong_is_refused_with_its_name() {
    for (args, named) in [
        (["local", "--hpa-sync-period", "0s"], "'--hpa-sync-period"),
        (["local", "--workers", "0"], "'--workers"),
        (["local", "--proxy-addr", "nowhere"], "'--proxy-addr"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains(named),
            "{}",
            text(&output.stderr)
        );
    }
}
