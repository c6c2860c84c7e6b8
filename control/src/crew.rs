//! Tasks that come and go while the program runs, all with one owner.
//!
//! The composition root owns one crew of process pools, the autoscaler one of
//! its drivers; whoever reloads manifests adds to them through a
//! [`CrewHandle`]. It must never swallow a panic: a workload without its task
//! would sleep or run for ever.

use futures_util::FutureExt;
use std::{any::Any, fmt, future::Future, panic::AssertUnwindSafe};
use tokio::sync::mpsc;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// The owner's side. Dropping it ends all tasks where they are.
#[derive(Debug)]
pub struct Crew {
    handle: CrewHandle,
    crashes: mpsc::UnboundedReceiver<Crash>,
    _abort: DropGuard,
}

/// Adds tasks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CrewHandle {
    tracker: TaskTracker,
    abort: CancellationToken,
    /// At most one message for each task.
    crashes: mpsc::UnboundedSender<Crash>,
}

/// A task panicked.
#[derive(Debug)]
pub struct Crash {
    /// What the task was for, as given to [`CrewHandle::spawn`].
    pub name: String,
    message: String,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked: {}", self.name, self.message)
    }
}

impl std::error::Error for Crash {}

impl Crew {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        let (sender, crashes) = mpsc::unbounded_channel();
        let abort = CancellationToken::new();
        Self {
            handle: CrewHandle {
                tracker: TaskTracker::new(),
                abort: abort.clone(),
                crashes: sender,
            },
            crashes,
            _abort: abort.drop_guard(),
        }
    }

    /// For whoever adds tasks.
    #[must_use]
    pub fn handle(&self) -> CrewHandle {
        self.handle.clone()
    }

    /// Resolves when a task panics; never if none does. Cancel safe.
    pub async fn crashed(&mut self) -> Crash {
        match self.crashes.recv().await {
            Some(crash) => crash,
            // Our own handle holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Waits until no task is left, which they must have been told. Cancel
    /// safe.
    ///
    /// # Errors
    /// As soon as one has panicked; call again to wait for the others.
    pub async fn finish(&mut self) -> Result<(), Crash> {
        self.handle.tracker.close();
        tokio::select! {
            biased;
            Some(crash) = self.crashes.recv() => return Err(crash),
            () = self.handle.tracker.wait() => {}
        }
        // Told before the task was over.
        self.crashes.try_recv().map_or(Ok(()), Err)
    }
}

impl Default for Crew {
    fn default() -> Self {
        Self::new()
    }
}

impl CrewHandle {
    /// Starts a task; `name` is for people. Must be called within a Tokio
    /// runtime.
    pub fn spawn(&self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        let (name, abort) = (name.to_owned(), self.abort.clone());
        let crashes = self.crashes.clone();
        self.tracker.spawn(async move {
            // What the task owned is gone when its panic is told of.
            let task = AssertUnwindSafe(task).catch_unwind();
            let ended = tokio::select! {
                ended = task => ended,
                () = abort.cancelled() => return,
            };
            if let Err(payload) = ended {
                let message = text(&*payload);
                // Without an owner there is nobody to tell.
                let _told = crashes.send(Crash { name, message });
            }
        });
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    let literal = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    literal
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::pending, sync::Arc};

    #[tokio::test]
    async fn a_panic_is_told_and_harms_no_other() {
        let mut crew = Crew::new();
        let (handle, stop) = (crew.handle(), CancellationToken::new());
        handle.spawn("steady", stop.clone().cancelled_owned());
        handle.spawn("shaky", async { panic!("boom") });
        let crash = crew.crashed().await;
        assert_eq!(crash.to_string(), "shaky panicked: boom");
        handle.spawn("later", async { panic!("{}", 2) });
        assert_eq!(crew.finish().await.unwrap_err().name, "later");
        stop.cancel();
        crew.finish().await.expect("all ended well");
    }

    #[tokio::test]
    async fn without_their_owner_tasks_end_and_drop_what_they_own() {
        let crew = Crew::new();
        let owned = Arc::new(());
        let kept = owned.clone();
        crew.handle().spawn("endless", async move {
            let _kept = kept;
            pending::<()>().await;
        });
        let tracker = crew.handle().tracker;
        drop(crew);
        tracker.close();
        tracker.wait().await;
        assert_eq!(Arc::strong_count(&owned), 1);
    }
}
