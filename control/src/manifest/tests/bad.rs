//! Malformed manifests and every word that is said about them. Each stands in one file with good
//! objects, which must not suffer.
//!
//! The cases are in `bad/*.txt`. A case begins with `===` and how its text becomes a document (a
//! function of `cases`, such as `route` for the spec of an InterceptorRoute); then comes the text,
//! then each expected problem in full behind `>`. `<x*300>` stands for 300 times `x`.

use std::path::Path;

use super::cases::{self, GOOD};
use crate::manifest::parse;

const TABLES: [&str; 9] = [
    include_str!("bad/http_scaled_object.txt"),
    include_str!("bad/route.txt"),
    include_str!("bad/route_parts.txt"),
    include_str!("bad/scaled.txt"),
    include_str!("bad/local.txt"),
    include_str!("bad/metric_source.txt"),
    include_str!("bad/resiliency.txt"),
    include_str!("bad/set.txt"),
    include_str!("bad/whole.txt"),
];

struct Case {
    text: String,
    expected: Vec<String>,
}

#[test]
fn every_problem_is_told_and_good_objects_stay() {
    let cases: Vec<Case> = TABLES.into_iter().flat_map(table).collect();
    assert!(cases.len() >= 45, "only {} cases", cases.len());
    let mut failures = Vec::new();
    for Case { text, expected } in cases {
        let manifests = parse("bad.yaml", Path::new("/srv"), &format!("{GOOD}---\n{text}"));
        let told: Vec<String> = manifests.problems.iter().map(ToString::to_string).collect();
        if told != expected {
            failures.push(format!("{text}\nexpected {expected:#?}\ntold {told:#?}"));
        }
        let routes = manifests.routes.iter().map(|it| &it.meta.name);
        let scaled_objects = manifests.scaled_objects.iter().map(|it| &it.meta.name);
        let processes = manifests.processes.iter().map(|it| &it.meta.name);
        let backends = manifests.backends.iter().map(|it| &it.meta.name);
        let metric_sources = manifests.metric_sources.iter().map(|it| &it.meta.name);
        let http = manifests.http_scaled_objects.iter().map(|it| &it.meta.name);
        let used: Vec<&String> = routes
            .chain(scaled_objects)
            .chain(processes)
            .chain(backends)
            .chain(metric_sources)
            .chain(http)
            .collect();
        let good = used.iter().filter(|name| **name == "good").count();
        assert_eq!(good, 3, "a good object is missing beside:\n{text}");
        // What has an error is left out; what has only warnings is not.
        let error = told.iter().any(|problem| !problem.contains(": warning: "));
        let bad = used.iter().any(|name| *name == "bad");
        assert!(!(error && bad), "used in spite of {told:#?}:\n{text}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn table(table: &str) -> Vec<Case> {
    table.split("\n=== ").skip(1).map(case).collect()
}

fn case(case: &str) -> Case {
    let (form, body) = case.split_once('\n').unwrap();
    let (mut text, mut expected) = (String::new(), Vec::new());
    for line in body.lines() {
        match line.strip_prefix("> ") {
            Some(problem) => expected.push(expand(problem)),
            None => text.extend([expand(line).as_str(), "\n"]),
        }
    }
    let text = match form {
        "as_is" => text,
        "route" => cases::route(&text),
        "route_other" => cases::route_other(&text),
        "route_with" => cases::route_with(&text),
        "scaled" => cases::scaled(&text),
        "scaled_with" => cases::scaled_with(&text),
        "triggers" => cases::triggers(&text),
        "process" => cases::process(&text),
        "backend" => cases::backend(&text),
        "metric_source" => cases::metric_source(&text),
        "http" => cases::http_scaled_object(&text),
        other => panic!("no form {other:?}"),
    };
    Case { text, expected }
}

/// Writes `<x*300>` out.
fn expand(line: &str) -> String {
    let expanded = || {
        let (before, rest) = line.split_once('<')?;
        let (run, after) = rest.split_once('>')?;
        let (what, count) = run.split_once('*')?;
        Some(format!(
            "{before}{}{after}",
            what.repeat(count.parse().ok()?)
        ))
    };
    expanded().unwrap_or_else(|| line.to_owned())
}
