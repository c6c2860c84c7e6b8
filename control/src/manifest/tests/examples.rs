//! The example manifests of the repository are sound: no error, no warning.

use std::path::{Path, PathBuf};

use crate::manifest::load;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples")
}

#[test]
fn every_example_is_without_problems() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ext| ext != "yaml") {
            continue;
        }
        let manifests = load(std::slice::from_ref(&path));
        assert_eq!(manifests.problems, [], "{}", path.display());
        assert!(!manifests.routes.is_empty(), "{}", path.display());
        count += 1;
    }
    assert!(
        count >= 4,
        "only {count} examples in {}",
        folder().display()
    );
}

#[test]
fn the_readme_lists_every_example() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "README.md" || readme.contains(&name),
            "{name} is not in the README"
        );
    }
}
