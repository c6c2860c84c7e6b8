//! A program under test, as a child process.
//!
//! Started pinned to a core or not, stopped by its own pid, and told to stop
//! also when the measurement fails or is interrupted. Its output goes to a
//! log file, whose end is shown if it dies.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsStr,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command},
    time::Instant,
};

/// From SIGTERM to SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// From its start until it accepts.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// A running child process.
pub(crate) struct Program {
    child: Child,
    pid: Pid,
    log: PathBuf,
}

/// A command, on one core if given.
pub(crate) fn command(program: impl AsRef<OsStr>, core: Option<usize>) -> Command {
    match core {
        None => Command::new(program),
        // taskset replaces itself with the program: the pid stays the same.
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
    }
}

/// The program of this name on PATH.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&path).map(|dir| dir.join(name));
    all.find(|file| file.is_file())
}

/// What a program that ends by itself writes to standard output. Fails if it
/// fails or takes longer than `limit`. Cancel safe: it is killed.
pub(crate) async fn output(command: &mut Command, limit: Duration) -> Result<String> {
    command
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output());
    let output = output
        .await
        .with_context(|| format!("not done after {limit:?}: {command:?}"))?
        .with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}:\n{text}{error}", output.status);
    }
    Ok(text)
}

impl Program {
    /// Starts it with its output in `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("{}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        Self::spawn(command, log)
    }

    /// Starts it with its standard error in `log`, to be talked to by standard
    /// input and output.
    pub(crate) fn talk(
        command: &mut Command,
        log: &Path,
    ) -> Result<(Self, ChildStdin, ChildStdout)> {
        let file = File::create(log).with_context(|| format!("{}", log.display()))?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file);
        let mut own = Self::spawn(command, log)?;
        let stdin = own.child.stdin.take().context("no standard input")?;
        let stdout = own.child.stdout.take().context("no standard output")?;
        Ok((own, stdin, stdout))
    }

    fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let raw = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = raw.and_then(Pid::from_raw).context("it has no pid")?;
        let log = log.to_owned();
        Ok(Self { child, pid, log })
    }

    /// Waits until it accepts on `address`.
    pub(crate) async fn accepts(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(address).await.is_err() {
            self.check_alive()?;
            if Instant::now() > deadline {
                bail!("not ready in time; its log ends:\n{}", self.log_end());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&mut self) -> Result<()> {
        self.check_alive()?;
        Ok(kill_process(self.pid, Signal::HUP)?)
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Fails, with the end of its log, if it has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended with {status}; its log ends:\n{}", self.log_end()),
        }
    }

    /// The last lines that it wrote.
    pub(crate) fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(20);
        lines.get(from..).unwrap_or_default().join("\n")
    }

    /// Waits until it ends by itself, and says whether it succeeded. Fails,
    /// and tells it to end, if that takes longer than `limit`.
    pub(crate) async fn ended(mut self, limit: Duration) -> Result<bool> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(ended) => Ok(ended?.success()),
            Err(_) => {
                self.stop().await?;
                bail!("not done after {limit:?}");
            }
        }
    }

    /// SIGTERM, then SIGKILL if it does not end in time.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.terminate();
        match tokio::time::timeout(STOP_WITHIN, self.child.wait()).await {
            Ok(ended) => {
                ended?;
                Ok(())
            }
            Err(_) => {
                self.child.kill().await?;
                bail!("did not end {STOP_WITHIN:?} after SIGTERM: killed");
            }
        }
    }

    fn terminate(&mut self) {
        // Reaped: the pid may be another's by now.
        if let Ok(None) = self.child.try_wait()
            && let Err(error) = kill_process(self.pid, Signal::TERM)
        {
            eprintln!("cannot stop {:?}: {error}", self.pid);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.terminate();
    }
}
