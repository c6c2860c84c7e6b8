//! Every manifest that is published here is sound: those of `deploy/`, and those in the READMEs.
//!
//! They are read as `reveille check` reads them, each file and each block by itself. What lies in a
//! cluster (a Deployment that is scaled, a Service) cannot be there, and that is no error here.

use std::fs;
use std::path::{Path, PathBuf};

use crate::manifest::{Manifests, Problem, Severity, load, parse};

/// A block of a README is a manifest if it has one of these.
const KINDS: [&str; 7] = [
    "InterceptorRoute",
    "HTTPScaledObject",
    "ScaledObject",
    "Process",
    "Backend",
    "MetricSource",
    "Resiliency",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below `folder` with one of the extensions; templates are no YAML.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let skipped = ["target", "templates", "node_modules"];
            let skipped = name.is_none_or(|name| name.starts_with('.') || skipped.contains(&name));
            if path.is_dir() {
                if !skipped {
                    folders.push(path);
                }
            } else if path
                .extension()
                .and_then(|it| it.to_str())
                .is_some_and(|it| extensions.contains(&it))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What is wrong in the text itself.
fn errors(manifests: &Manifests) -> Vec<&Problem> {
    let is_error = |problem: &&Problem| {
        let message = &problem.message;
        problem.severity == Severity::Error
            && !message.starts_with("there is no ")
            && !message.contains(" is not understood; known here: ")
            && !message.contains(" is left out because of its own errors")
    };
    manifests.problems.iter().filter(is_error).collect()
}

fn has_kind(text: &str) -> bool {
    let mut lines = text.lines();
    lines.any(|line| {
        KINDS
            .iter()
            .any(|kind| line.trim() == format!("kind: {kind}"))
    })
}

#[test]
fn every_manifest_of_deploy_is_sound() {
    let mut count = 0;
    for path in files(&repository().join("deploy"), &["yaml", "yml"]) {
        if !has_kind(&fs::read_to_string(&path).expect("a text")) {
            continue;
        }
        let manifests = load(std::slice::from_ref(&path));
        assert_eq!(
            errors(&manifests),
            Vec::<&Problem>::new(),
            "{}",
            path.display()
        );
        count += 1;
    }
    assert!(count >= 12, "only {count} manifests in deploy/");
}

/// The YAML blocks of a text in Markdown, with the line that each begins on.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None if line.trim() == "```yaml" => open = Some((number + 2, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some((_, block)) => block.extend([line, "\n"]),
        }
    }
    assert!(open.is_none(), "a block without an end");
    blocks
}

#[test]
fn every_manifest_in_a_readme_is_sound() {
    let mut count = 0;
    for path in files(&repository(), &["md"]) {
        let text = fs::read_to_string(&path).expect("a text");
        for (line, block) in blocks(&text) {
            if !has_kind(&block) {
                continue;
            }
            let place = format!("{} (the block on line {line})", path.display());
            let manifests = parse(&place, &repository(), &block);
            assert_eq!(errors(&manifests), Vec::<&Problem>::new(), "{place}");
            count += 1;
        }
    }
    assert!(count >= 2, "only {count} manifests in READMEs");
}
