//! Clients and servers that nobody here wrote, through the proxy: curl,
//! nghttp, nginx, Python's `websockets` and gRPC's own library; senders of
//! metrics: OpenTelemetry's SDK, OpenCensus' agent exporter; and the pages of
//! `prometheus_client`.
//!
//! They come from `.ci/tools`. A tool that is missing fails the test and says
//! so: a test that is skipped in silence shows nothing.

mod browser;
mod curl;
mod dapr;
mod grpc;
mod nghttp;
mod nginx;
mod opencensus;
mod opentelemetry;
mod prometheus;
mod scaler;
mod websockets;

use crate::support::Reveille;
use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// The Python that has all packages of `.ci/tools`.
pub(crate) fn python() -> String {
    let named = env::var_os("REVEILLE_TEST_PYTHON").map(PathBuf::from);
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/python/bin/python");
    found(
        "a Python with the packages of .ci/tools",
        named.unwrap_or(made),
    )
}

/// A tool of the system's.
fn tool(name: &str) -> String {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut files = folders.map(|folder| folder.join(name));
    let file = files.find(|file| file.is_file());
    found(name, file.unwrap_or_default())
}

fn found(what: &str, path: PathBuf) -> String {
    assert!(
        path.is_file(),
        "these tests need {what}: run `.ci/tools`, which installs it"
    );
    path.into_os_string().into_string().expect("UTF-8")
}

/// Runs to its end. What it writes on standard error is shown if it fails.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a Python script with the proxy's port as its first argument; gives the
/// lines that it writes.
fn run_python(reveille: &Reveille, script: &str, args: &[&str]) -> Vec<String> {
    run_python_at(reveille.proxy(), script, args)
}

/// Likewise, with the port of any address.
fn run_python_at(addr: SocketAddr, script: &str, args: &[&str]) -> Vec<String> {
    let mut command = Command::new(python());
    command
        .args(["-B", "-c", script])
        .arg(addr.port().to_string())
        .args(args);
    let output = run(&mut command);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}

/// curl, quiet, with a limit of its own, that takes any host to be at `proxy`.
fn curl(proxy: SocketAddr) -> Command {
    let mut command = Command::new(tool("curl"));
    command
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "60",
            "--noproxy",
            "*",
        ])
        .args(["--connect-to", &format!("::{proxy}")]);
    command
}

/// Bytes in which each place shows.
fn pattern(length: usize) -> Vec<u8> {
    let numbers = (0u32..).flat_map(u32::to_le_bytes);
    numbers.take(length).collect()
}
