//! The helm binary: `REVEILLE_TEST_HELM`, that of `.ci/tools`, or one on PATH.

use crate::{deploy, objects::Object};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// The version of Kubernetes that is rendered for, as of k8s-openapi's types.
const KUBERNETES: &str = "1.37.0";

fn runs(program: &Path, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .output()
        .is_ok_and(|output| output.status.success())
}

fn find() -> Option<PathBuf> {
    if let Some(told) = std::env::var_os("REVEILLE_TEST_HELM") {
        return Some(told.into());
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/helm");
    [tools, "helm".into()]
        .into_iter()
        .find(|helm| runs(helm, &["version"]))
}

/// The binary; `None`, with a word about it, where it cannot be had for want
/// of Go.
///
/// # Panics
/// Where Go is there, but `.ci/tools` was not run.
pub(crate) fn binary() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(find).as_deref();
    if found.is_none() {
        let go = ["go", "/usr/local/go/bin/go"];
        assert!(
            !go.iter().any(|go| runs(Path::new(go), &["version"])),
            "there is no helm: run .ci/tools, or set REVEILLE_TEST_HELM"
        );
        eprintln!("SKIPPED: the chart is not tested, there is neither helm nor Go to build it");
    }
    found
}

fn run(helm: &Path, args: &[&str], settings: &[&str]) -> Output {
    let mut command = Command::new(helm);
    command.args(args).arg(deploy("helm/reveille"));
    // Nothing of the caller's cluster or plugins plays a part.
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.env("HOME", std::env::temp_dir());
    for setting in settings {
        command.args(["--set-json", setting]);
    }
    command
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", helm.display()))
}

fn template(helm: &Path, settings: &[&str]) -> Output {
    let args = ["template", "reveille", "--namespace", "keda"];
    let version = ["--kube-version", KUBERNETES];
    run(helm, &[&args[..], &version].concat(), settings)
}

/// What the chart gives with these values, each a JSON assignment.
pub(crate) fn text(helm: &Path, settings: &[&str]) -> String {
    let output = template(helm, settings);
    assert!(
        output.status.success(),
        "{settings:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The same, decoded.
pub(crate) fn objects(helm: &Path, settings: &[&str]) -> Vec<Object> {
    Object::all(&text(helm, settings))
}

/// Why the chart refuses these values.
pub(crate) fn refusal(helm: &Path, settings: &[&str]) -> String {
    let output = template(helm, settings);
    assert!(!output.status.success(), "{settings:?} is accepted");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Everything that the linter says.
pub(crate) fn lint(helm: &Path) -> String {
    let args = ["lint", "--strict", "--kube-version", KUBERNETES];
    let output = run(helm, &args, &[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    said
}
