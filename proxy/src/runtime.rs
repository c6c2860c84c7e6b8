//! The workers: threads that serve connections, apart from everything else
//! the process does, so that a burst of other work never delays a request.

use crate::config::RuntimeKind;
use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tokio::{runtime, sync::watch};

/// The workers of a proxy. Dropping it ends their threads; what they still
/// serve is cut off.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Box<[Worker]>,
    /// Each once.
    runtimes: Vec<runtime::Handle>,
    _stop: watch::Sender<()>,
}

/// A place to run connections. In the shared runtime, several workers have
/// the same threads and differ in counters and pools only.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    handle: runtime::Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` workers.
    ///
    /// # Errors
    /// Threads or runtimes that cannot be made.
    pub(crate) fn start(kind: RuntimeKind, count: usize) -> io::Result<Self> {
        let count = count.max(1);
        let (stop, stopped) = watch::channel(());
        let runtimes = match kind {
            RuntimeKind::PerCore => (0..count)
                .map(|index| {
                    let runtime = runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()?;
                    run_thread(&format!("worker-{index}"), runtime, stopped.clone())
                })
                .collect::<io::Result<Vec<_>>>()?,
            RuntimeKind::Shared => {
                let runtime = runtime::Builder::new_multi_thread()
                    .worker_threads(count)
                    .thread_name("worker")
                    .enable_all()
                    .build()?;
                vec![run_thread("workers", runtime, stopped)?]
            }
        };
        let workers = runtimes
            .iter()
            .cycle()
            .take(count)
            .enumerate()
            .map(|(index, handle)| Worker {
                index,
                handle: handle.clone(),
                connections: Arc::new(AtomicUsize::new(0)),
            });
        Ok(Self {
            workers: workers.collect(),
            runtimes,
            _stop: stop,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.workers.len()
    }

    /// Tasks that live on them now.
    pub(crate) fn tasks(&self) -> usize {
        let tasks = |runtime: &runtime::Handle| runtime.metrics().num_alive_tasks();
        self.runtimes.iter().map(tasks).sum()
    }

    /// The worker that accepts and does the housekeeping.
    pub(crate) fn first(&self) -> &Worker {
        &self.workers[0]
    }

    /// The worker with the fewest connections.
    pub(crate) fn least_busy(&self) -> &Worker {
        let connections = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        self.workers
            .iter()
            .min_by_key(connections)
            .unwrap_or(self.first())
    }
}

/// Runs `runtime` on a thread of its own until the workers are dropped.
fn run_thread(
    name: &str,
    runtime: runtime::Runtime,
    mut stopped: watch::Receiver<()>,
) -> io::Result<runtime::Handle> {
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // The error says that the sender is gone, which is the signal.
            let _stopped = runtime.block_on(stopped.changed());
            runtime.shutdown_background();
        })?;
    Ok(handle)
}

impl Worker {
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Counts a connection until the place is dropped.
    pub(crate) fn take_place(&self) -> Place {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Place(self.connections.clone())
    }

    /// Runs `task` on this worker.
    pub(crate) fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.handle.spawn(task)
    }

    pub(crate) fn handle(&self) -> &runtime::Handle {
        &self.handle
    }
}

/// A connection's place on a worker.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
