//! The life of one replica: started in a process group of its own, probed
//! until it can serve, watched, stopped with SIGTERM and then SIGKILL.
//!
//! However its task ends (also by a panic or the runtime going away), the
//! whole process group is killed: nothing is left behind.

use super::{
    output::log_lines,
    port::{self, Port},
    probe,
};
use crate::manifest::ProcessSpec;
use proxy::Endpoint;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fmt, io,
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

/// How long the output of a replica that has ended may take to be logged.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a replica tells its pool while it lives.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) index: u32,
    pub(super) addr: SocketAddr,
    /// From the start of the process to the first good probe.
    pub(super) after: Duration,
}

/// How a replica's life ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) index: u32,
    pub(super) how: End,
    /// How long it was ready; `None`: never.
    pub(super) served: Option<Duration>,
}

#[derive(Debug)]
pub(super) enum End {
    /// The pool wanted it to.
    Stopped,
    /// On its own.
    Exited(ExitStatus),
    /// It did not get ready in time and was killed.
    StartTimeout(Duration),
    /// It could not be started.
    NotStarted(io::Error),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Exited(status) => write!(f, "{status}"),
            Self::StartTimeout(limit) => write!(f, "not ready within {limit:?}"),
            Self::NotStarted(error) => write!(f, "cannot be started: {error}"),
        }
    }
}

/// The wish that a replica stops.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    No,
    /// First let the requests on this endpoint end, if it has one.
    Gracefully(Option<Arc<Endpoint>>),
}

/// What a replica's task needs.
pub(super) struct Replica {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) spec: Arc<ProcessSpec>,
    pub(super) ready: mpsc::UnboundedSender<Ready>,
    pub(super) stop: watch::Receiver<Stop>,
}

impl Replica {
    /// Starts it and stays with it to its end.
    pub(super) async fn run(mut self) -> Ended {
        let begun = Instant::now();
        let mut process = match self.started().await {
            Ok(started) => started,
            Err(error) => return self.ended(End::NotStarted(error), None),
        };
        let ended = self.live(begun, &mut process).await;
        process.finish().await;
        ended
    }

    async fn live(&mut self, begun: Instant, process: &mut Process) -> Ended {
        let addr = process.port.addr;
        tracing::debug!(replica = %self.name, pid = process.group.0.as_raw_nonzero(), %addr, "started");

        let limit = self.spec.start_timeout;
        let how = tokio::select! {
            () = probe::until_ready(addr, &self.spec.readiness) => None,
            status = process.child.wait() => Some(exited(status)),
            () = tokio::time::sleep(limit) => Some(End::StartTimeout(limit)),
            _ = stop_wanted(&mut self.stop) => {
                process.terminate(self.spec.termination_grace_period).await;
                Some(End::Stopped)
            }
        };
        if let Some(how) = how {
            return self.ended(how, None);
        }

        let ready_at = Instant::now();
        let ready = Ready {
            index: self.index,
            addr,
            after: ready_at - begun,
        };
        if self.ready.send(ready).is_err() {
            // The pool is gone; dropping the process kills it.
            return self.ended(End::Stopped, None);
        }
        let how = tokio::select! {
            status = process.child.wait() => exited(status),
            endpoint = stop_wanted(&mut self.stop) => {
                let grace = self.spec.termination_grace_period;
                if let Some(endpoint) = endpoint {
                    requests_ended(&endpoint, grace).await;
                }
                process.terminate(grace).await;
                End::Stopped
            }
        };
        self.ended(how, Some(ready_at.elapsed()))
    }

    async fn started(&self) -> io::Result<Process> {
        let (name, spec) = (self.name.clone(), self.spec.clone());
        let started = tokio::task::spawn_blocking(move || Self::start(&name, &spec));
        started.await.map_err(io::Error::other)?
    }

    /// Starts the process. Takes as long as a fork does, which is long enough
    /// to hold up a signal to KEDA: not for an asynchronous thread.
    fn start(name: &str, spec: &ProcessSpec) -> io::Result<Process> {
        let free = port::free()?;
        let port = free.addr.port().to_string();
        let mut words = spec
            .command
            .iter()
            .map(|word| word.replace("{port}", &port));
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(&program);
        command
            .args(words)
            .envs(&spec.env)
            .env("PORT", &port)
            .current_dir(&spec.working_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| name_the_missing(spec, &program, &error))?;
        let pid = child
            .id()
            .and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        let pid = pid.ok_or_else(|| io::Error::other("the process ended at once"))?;
        let mut output = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            output.spawn(log_lines(name.to_owned(), stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            output.spawn(log_lines(name.to_owned(), stderr));
        }
        Ok(Process {
            child,
            group: Group(pid),
            output,
            port: free,
        })
    }

    fn ended(&self, how: End, served: Option<Duration>) -> Ended {
        Ended {
            index: self.index,
            how,
            served,
        }
    }
}

/// The operating system does not say which of the two it did not find.
fn name_the_missing(spec: &ProcessSpec, program: &str, error: &io::Error) -> io::Error {
    let folder = &spec.working_dir;
    let what = if folder.is_dir() {
        program.to_owned()
    } else {
        format!("workingDir {}", folder.display())
    };
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn exited(status: io::Result<ExitStatus>) -> End {
    status.map_or_else(End::NotStarted, End::Exited)
}

/// Resolves when the pool wants the replica to stop, or is gone.
async fn stop_wanted(stop: &mut watch::Receiver<Stop>) -> Option<Arc<Endpoint>> {
    match stop
        .wait_for(|stop| !matches!(stop, Stop::No))
        .await
        .as_deref()
    {
        Ok(Stop::Gracefully(endpoint)) => endpoint.clone(),
        _ => None,
    }
}

/// Waits until no request is on `endpoint`, at most for `limit`. It has left
/// the rotation, so that the number only falls.
async fn requests_ended(endpoint: &Endpoint, limit: Duration) {
    let idle = async {
        while endpoint.in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // After the limit it is told to stop anyway.
    let _ended = tokio::time::timeout(limit, idle).await;
}

struct Process {
    child: Child,
    group: Group,
    output: JoinSet<()>,
    port: Port,
}

impl Process {
    /// SIGTERM to the whole group, then SIGKILL after `grace`.
    async fn terminate(&mut self, grace: Duration) {
        self.group.signal(Signal::TERM);
        if tokio::time::timeout(grace, self.child.wait())
            .await
            .is_err()
        {
            self.group.signal(Signal::KILL);
            // A killed child is reaped; there is no other outcome to handle.
            let _reaped = self.child.wait().await;
        }
    }

    /// Kills what is left of the group, and sees to it that its last words are
    /// logged.
    async fn finish(mut self) {
        self.group.signal(Signal::KILL);
        let said = async { while self.output.join_next().await.is_some() {} };
        // Who left the group may hold the pipes for ever.
        let _said = tokio::time::timeout(LAST_WORDS, said).await;
    }
}

/// A process group, killed when dropped: also children that outlived their
/// parent.
struct Group(Pid);

impl Group {
    fn signal(&self, signal: Signal) {
        // The group may be gone already; that is what was wanted.
        let _gone = kill_process_group(self.0, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
