//! Which ScaledObjects are autoscaled now, and how that changes.
//!
//! Made by the [`Autoscaler`](super::Autoscaler); told by whoever reloads
//! manifests. An object that stays keeps its task, its streams and its memory;
//! one that is edited keeps its memory (how long it has been quiet, what the
//! HPA recommended lately), as it does with KEDA. It must never decide about
//! replicas: what is no longer autoscaled keeps those it has.

use super::object::{ScaledObject, Workload};
use super::status::{Board, StatusReader};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Starts the task of one ScaledObject, which follows edits until it is told
/// to stop; gives where the task writes what it thinks.
type Start = dyn Fn(
        ScaledObject,
        Arc<dyn Workload>,
        watch::Receiver<ScaledObject>,
        CancellationToken,
    ) -> Arc<Board>
    + Send
    + Sync;

/// The ScaledObjects that are autoscaled.
pub struct Objects {
    start: Box<Start>,
    stop: CancellationToken,
    running: Mutex<HashMap<String, Running>>,
    shown: StatusReader,
}

struct Running {
    edit: watch::Sender<ScaledObject>,
    workload: Arc<dyn Workload>,
    board: Arc<Board>,
    stop: CancellationToken,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}

impl Objects {
    /// None yet. All tasks end when `stop` is cancelled.
    pub(super) fn new(
        start: impl Fn(
            ScaledObject,
            Arc<dyn Workload>,
            watch::Receiver<ScaledObject>,
            CancellationToken,
        ) -> Arc<Board>
        + Send
        + Sync
        + 'static,
        stop: CancellationToken,
    ) -> Self {
        Self {
            start: Box::new(start),
            stop,
            running: Mutex::default(),
            shown: StatusReader::default(),
        }
    }

    /// Ends the tasks of all ScaledObjects (`namespace/name`) but these. Called
    /// before their routes go, so that nobody asks for what is not there.
    pub fn keep_only(&self, names: &HashSet<String>) {
        self.running.lock().retain(|name, running| {
            let stays = names.contains(name);
            if !stays {
                running.stop.cancel();
            }
            stays
        });
    }

    /// From now on exactly these are autoscaled. Must be called within a Tokio
    /// runtime.
    pub fn set(&self, objects: Vec<(ScaledObject, Arc<dyn Workload>)>) {
        let names = objects.iter().map(|(object, _)| object.full_name());
        self.keep_only(&names.collect());
        let mut running = self.running.lock();
        let mut boards = Vec::with_capacity(objects.len());
        for (object, workload) in objects {
            let name = object.full_name();
            let known = running.get(&name);
            if let Some(known) = known.filter(|known| is_same(&known.workload, &workload)) {
                known.edit.send_if_modified(|now| {
                    let is_edited = *now != object;
                    *now = object;
                    is_edited
                });
                boards.push(known.board.clone());
                continue;
            }
            let started = self.start(object, workload);
            boards.push(started.board.clone());
            if let Some(before) = running.insert(name, started) {
                before.stop.cancel();
            }
        }
        self.shown.show(boards);
    }

    pub(super) fn status_reader(&self) -> StatusReader {
        self.shown.clone()
    }

    fn start(&self, object: ScaledObject, workload: Arc<dyn Workload>) -> Running {
        let stop = self.stop.child_token();
        let edit = watch::Sender::new(object.clone());
        let board = (self.start)(object, workload.clone(), edit.subscribe(), stop.clone());
        Running {
            edit,
            workload,
            board,
            stop,
        }
    }
}

fn is_same(one: &Arc<dyn Workload>, other: &Arc<dyn Workload>) -> bool {
    Arc::as_ptr(one).cast::<()>() == Arc::as_ptr(other).cast::<()>()
}
