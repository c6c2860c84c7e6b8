//! Which processes a test has started, directly or through others: all of
//! them carry a mark in their environment, whatever their process group.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

/// The variable that carries the mark.
const VARIABLE: &str = "REVEILLE_E2E_MARK";

/// A mark that no other test has.
#[derive(Clone, Debug)]
pub(crate) struct Marker(String);

/// A process with the mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    /// Its id.
    pub(crate) pid: u32,
    /// Its command line, words separated by blanks.
    pub(crate) command: String,
}

impl Marker {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}-{number}.", std::process::id()))
    }

    /// The variable for the first process; others inherit it.
    pub(crate) fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.0)
    }

    /// All living processes with this mark.
    pub(crate) fn living(&self) -> Vec<Marked> {
        let mark = format!("{VARIABLE}={}", self.0);
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let marked = |path: &Path| {
            let pid = path.file_name()?.to_str()?.parse().ok()?;
            let environment = fs::read(path.join("environ")).ok()?;
            let has_mark = environment
                .split(|&byte| byte == 0)
                .any(|v| v == mark.as_bytes());
            let command = fs::read(path.join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            has_mark.then(|| Marked {
                pid,
                command: command.trim_end().to_owned(),
            })
        };
        entries.filter_map(|entry| marked(&entry.path())).collect()
    }

    /// Ends whatever a failed test has left.
    pub(crate) fn kill_all(&self) {
        loop {
            let living = self.living();
            if living.is_empty() {
                return;
            }
            for process in living {
                kill(process.pid, Signal::KILL);
            }
        }
    }
}

/// Sends a signal to one process, which may be gone already.
pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let _gone = kill_process(pid.expect("a process id"), signal);
}
