//! How reloads of the manifests went, for the admin server.
//!
//! Written by `reload.rs` only. It must never influence what is served.

use crate::sight::{Sight, plural};
use parking_lot::Mutex;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// So many problems of a refused set are kept; the log has them all.
const KEPT: usize = 100;

/// How reloads went so far.
#[derive(Debug)]
pub struct Reloads {
    applied: AtomicU64,
    refused: AtomicU64,
    last: Mutex<Last>,
    sight: Arc<Sight>,
}

#[derive(Debug)]
struct Last {
    files: Vec<PathBuf>,
    applied_at: u64,
    refused: Option<Refused>,
}

/// The set of manifests on disk, where it is not the one that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When it was read, in Unix time.
    pub at: u64,
    /// What is wrong with it, as `reveille check` prints it; the first hundred.
    pub problems: Vec<String>,
}

impl Reloads {
    /// None yet: what is served was read now. `sight` is told of each.
    #[must_use]
    pub fn none(sight: Arc<Sight>) -> Self {
        Self {
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last: Mutex::new(Last {
                files: Vec::new(),
                applied_at: unix_now(),
                refused: None,
            }),
            sight,
        }
    }

    /// Reloads that were applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }

    /// Reloads that were refused: what was served before is served on.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// When what is served now was read, in Unix time.
    #[must_use]
    pub fn applied_at(&self) -> u64 {
        self.last.lock().applied_at
    }

    /// What is wrong with the manifests as they are now; `None`: they are
    /// served.
    #[must_use]
    pub fn pending(&self) -> Option<Refused> {
        self.last.lock().refused.clone()
    }

    /// The files and folders that are followed; none with the built-in example.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.last.lock().files.clone()
    }

    pub(super) fn follow(&self, files: &[PathBuf]) {
        files.clone_into(&mut self.last.lock().files);
    }

    pub(super) fn count_applied(&self, routes: usize) {
        self.applied.fetch_add(1, Ordering::Relaxed);
        self.sight.reloaded(format!(
            "manifests reloaded: {}",
            plural(routes as u64, "route")
        ));
        let mut last = self.last.lock();
        last.applied_at = unix_now();
        last.refused = None;
    }

    pub(super) fn count_refused(&self, mut problems: Vec<String>) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        problems.truncate(KEPT);
        self.sight.reload_refused(&problems);
        let at = unix_now();
        self.last.lock().refused = Some(Refused { at, problems });
    }
}

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
