//! Reading files and folders.

use std::fs;
use std::path::Path;

use super::cases::GOOD;
use crate::manifest::{load, parse};

/// Problems of `paths` in `dir`, with the folder cut off.
fn problems(dir: &Path, paths: &[&str]) -> Vec<String> {
    let paths: Vec<_> = paths.iter().map(|path| dir.join(path)).collect();
    let prefix = format!("{}/", dir.display());
    load(&paths)
        .problems
        .iter()
        .map(|p| p.to_string().replace(&prefix, ""))
        .collect()
}

#[test]
fn a_folder_is_its_yaml_files_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for (name, backend) in [
        ("b.yml", "b"),
        ("a.yaml", "a"),
        (".c.yaml", "c"),
        ("d.txt", "d"),
    ] {
        let text = format!(
            "apiVersion: local.reveille.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {backend}}}\n\
             spec: {{addresses: ['127.0.0.1:1']}}\n"
        );
        fs::write(dir.path().join(name), text).unwrap();
    }
    fs::create_dir(dir.path().join("below.yaml")).unwrap();
    // The folder and a file of it: read once.
    let manifests = load(&[dir.path().to_owned(), dir.path().join("a.yaml")]);
    assert_eq!(manifests.problems, []);
    let names: Vec<_> = manifests
        .backends
        .iter()
        .map(|b| b.meta.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn what_cannot_be_read_is_a_problem_and_the_rest_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("good.yaml"), GOOD).unwrap();
    fs::write(path("latin1.yaml"), b"a: 1\nb: \xfc\n").unwrap();
    fs::write(path("big.yaml"), vec![b'#'; (8 << 20) + 1]).unwrap();
    fs::create_dir(path("empty")).unwrap();
    assert_eq!(
        problems(
            dir.path(),
            &[
                "good.yaml",
                "latin1.yaml",
                "big.yaml",
                "empty",
                "missing.yaml"
            ]
        ),
        [
            "big.yaml: the file is larger than 8 MiB",
            "empty: the folder has no *.yaml or *.yml file",
            "latin1.yaml:2: the file is not UTF-8 from here on",
            "missing.yaml: cannot be read: No such file or directory (os error 2)",
        ]
    );
    let paths = ["missing.yaml", "latin1.yaml", "good.yaml"].map(path);
    assert_eq!(load(&paths).routes.len(), 1);
}

#[test]
fn checks_go_over_all_files() {
    let dir = tempfile::tempdir().unwrap();
    let documents: Vec<&str> = GOOD.split("---\n").collect();
    for (index, document) in documents.iter().enumerate() {
        fs::write(dir.path().join(format!("{index}.yaml")), document).unwrap();
    }
    fs::write(dir.path().join("9.yaml"), documents[0]).unwrap();
    let manifests = load(&[dir.path().to_owned()]);
    let prefix = format!("{}/", dir.path().display());
    let problems: Vec<_> = manifests
        .problems
        .iter()
        .map(|p| p.to_string().replace(&prefix, ""))
        .collect();
    assert_eq!(
        problems,
        [
            "9.yaml:3: InterceptorRoute default/good: metadata.name: defined twice: the first is at \
          0.yaml:1 and is the one used"
        ]
    );
    assert_eq!(manifests.routes.len(), 1);
    assert_eq!(manifests.processes[0].spec.working_dir, dir.path());
}

#[test]
fn a_flood_of_problems_is_cut_and_hides_no_object() {
    let text = format!("{}{GOOD}", "a: [\n---\n".repeat(5000));
    let manifests = parse("x.yaml", Path::new("/srv"), &text);
    assert_eq!(manifests.routes.len(), 1);
    assert_eq!(manifests.problems.len(), 1001);
    let cut = "x.yaml: 4000 more problems are not shown";
    assert!(
        manifests
            .problems
            .iter()
            .any(|problem| problem.to_string() == cut)
    );
    let duplicates = format!("{}---\n{GOOD}", "a: 1\n".repeat(5000));
    let manifests = parse("x.yaml", Path::new("/srv"), &duplicates);
    assert_eq!(manifests.routes.len(), 1);
    assert!(manifests.problems.len() <= 101);
}
