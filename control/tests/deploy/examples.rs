//! Every manifest of the examples is one that an API server takes, and that
//! `reveille check` finds no fault with.

use crate::{deploy, objects::Object};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|end| end == "yaml") {
            found.push(path);
        }
    }
}

/// What only a cluster knows: whether there is a Service or a workload.
fn is_elsewhere(problem: &str) -> bool {
    [
        "there is no Process",
        "in local mode",
        "is left out because of its own errors",
        // The example of a migration has both, old and new.
        "warning: HTTPScaledObject",
    ]
    .iter()
    .any(|words| problem.contains(words))
}

#[test]
fn every_manifest_for_a_cluster_is_sound() {
    let mut files = Vec::new();
    yaml_files(&deploy("examples/cluster"), &mut files);
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        // Values of the chart are no manifest; the chart is rendered with them.
        if file.file_name().is_some_and(|name| name == "values.yaml") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("readable");
        let said = std::panic::catch_unwind(|| Object::all(&text));
        let objects = said.unwrap_or_else(|_| panic!("in {}", file.display()));
        assert!(!objects.is_empty(), "{}", file.display());
        let folder = file.parent().expect("a folder");
        let read = control::manifest::parse(&file.display().to_string(), folder, &text);
        let problems = read.problems.iter().map(ToString::to_string);
        let mut bad = problems.filter(|problem| !is_elsewhere(problem));
        assert_eq!(bad.next(), None);
    }
}
