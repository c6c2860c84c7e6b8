//! What KEDA saw, believed and did, in the order of time.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::time::Instant;
use tonic::Code;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Reconcile,
    Poll,
    Hpa,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// `IsActive` was answered to a question of `asked`.
    Answered {
        path: Path,
        asked: Instant,
        active: bool,
    },
    /// `GetMetrics` was answered with one value.
    Value {
        path: Path,
        metric: String,
        value: f64,
    },
    /// A unary call failed.
    Failed { path: Path, code: Code },
    /// The names of the metrics in the ScaledObject's status.
    Named(Vec<String>),
    /// A `StreamIsActive` is open.
    Opened,
    /// It said so.
    Said(bool),
    /// It ended with OK.
    Ended,
    /// It ended otherwise, or could not be opened.
    Broke(Code),
    /// A `true` was thrown away, as the status had no name for its trigger.
    Dropped,
    /// A poll of all triggers is over.
    Polled { active: bool, failed: bool },
    /// The replicas were written.
    Scaled {
        from: u32,
        to: u32,
        why: &'static str,
    },
}

/// An event, its ScaledObject and its time.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Instant,
    pub(crate) object: String,
    pub(crate) event: Event,
}

/// The decision log of one [`super::Keda`]. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Entry>>>);

impl Log {
    pub(super) fn add(&self, object: &str, event: Event) {
        self.0.lock().push(Entry {
            at: Instant::now(),
            object: object.to_owned(),
            event,
        });
    }

    /// All of it.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.lock().clone()
    }

    /// What happened to one ScaledObject.
    pub(crate) fn of(&self, object: &str) -> Vec<Entry> {
        let mut entries = self.entries();
        entries.retain(|entry| entry.object == object);
        entries
    }

    /// How many such events there were.
    pub(crate) fn count(&self, object: &str, is_so: impl Fn(&Event) -> bool) -> usize {
        let entries = self.0.lock();
        let of_object = entries.iter().filter(|entry| entry.object == object);
        of_object.filter(|entry| is_so(&entry.event)).count()
    }
}
