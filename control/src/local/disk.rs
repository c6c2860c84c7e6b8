//! The thread that looks at the files of manifests, and applies them.
//!
//! Used by `reload.rs` only. One thread of its own: a look every second at
//! tokio's pool would keep alive every thread that the pool ever had. It must
//! never be waited for by an asynchronous thread.

use std::{io, sync::mpsc, thread};
use tokio::{runtime::Handle, sync::oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// The thread. It ends when this is dropped and its last job is done.
#[derive(Debug)]
pub(super) struct Disk {
    jobs: mpsc::Sender<Job>,
}

impl Disk {
    /// Starts it. Its jobs run within the present Tokio runtime.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let runtime = Handle::current();
        thread::Builder::new()
            .name("manifests".to_owned())
            .spawn(move || {
                let _runtime = runtime.enter();
                todo.into_iter().for_each(|job| job());
            })?;
        Ok(Self { jobs })
    }

    /// Does `work` there. Cancel safe: it is done all the same.
    ///
    /// # Panics
    /// If `work` does.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (done, result) = oneshot::channel();
        let job = move || {
            // Nobody waits for it any more.
            let _dropped = done.send(work());
        };
        let sent = self.jobs.send(Box::new(job));
        sent.expect("the thread lives as long as this, unless a job panicked");
        result
            .await
            .expect("the thread ends no job but by its panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_done_elsewhere_within_the_runtime() {
        let disk = Disk::start().expect("a thread");
        let name = || thread::current().name().map(str::to_owned);
        assert_eq!(disk.run(name).await.as_deref(), Some("manifests"));
        let task = disk.run(|| tokio::spawn(async { 7 })).await;
        assert_eq!(task.await.expect("it ran"), 7);
    }

    #[tokio::test]
    #[should_panic(expected = "but by its panic")]
    async fn a_job_that_panics_is_not_waited_for() {
        let disk = Disk::start().expect("a thread");
        disk.run(|| panic!("boom")).await
    }
}
