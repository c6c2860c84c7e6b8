//! The sidecars that `local/sidecars.py` plays.

use super::examples;
use crate::support::Client;
use serde::Deserialize;
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

/// What `sidecars.py` says of its calls, as far as it matters.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    /// Begun.
    pub(super) made: u64,
    /// Answered by nodeapp.
    pub(super) served: u64,
    /// Given up.
    pub(super) failed: u64,
}

/// A running `sidecars.py`, which ends with the test.
pub(super) struct Sidecars {
    child: Child,
    control: SocketAddr,
}

impl Sidecars {
    pub(super) fn start(admin: SocketAddr, targets: &Path, more: &[&str]) -> Self {
        let mut child = Command::new("python3")
            .arg("-B")
            .arg(examples().join("local/sidecars.py"))
            .args(["--control", "127.0.0.1:0", "--rate", "0"])
            .args(["--admin", &admin.to_string(), "--targets"])
            .arg(targets)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        let output = child.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let control = line.trim().strip_prefix("control: http://");
        let control = control.and_then(|rest| rest.strip_suffix('/')?.parse().ok());
        Self {
            child,
            control: control.unwrap_or_else(|| panic!("no address: {line:?}")),
        }
    }

    /// From now on there are so many callers with so many calls a second each.
    pub(super) fn calls(&self, callers: u32, rate: f64) {
        let path = format!("/?callers={callers}&rate={rate}");
        let answer = Client::new(self.control, "sidecars")
            .begin("POST", &path)
            .answer();
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(super) fn state(&self) -> State {
        let answer = Client::new(self.control, "sidecars").get("/");
        serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"))
    }
}

impl Drop for Sidecars {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
