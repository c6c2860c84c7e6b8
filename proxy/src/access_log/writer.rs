//! The thread that writes the access log.
//!
//! It takes what is there, writes it in one piece, and waits for more. A file
//! is opened anew when it is told to, so that logs can be rotated by renaming;
//! a disk that is full costs lines, which are counted, and nothing else.

use super::{AccessLogFormat, AccessLogTarget, Line, format::format};
use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// Lines that may wait to be written,
const MOST_LINES: usize = 16 * 1024;
/// and their bytes.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// So much is written at a time.
const BATCH: usize = 64 * 1024;
/// Lost lines are reported this often at the most.
const REPORT_EACH: Duration = Duration::from_secs(10);

/// A running access log; all clones are the same one. It ends when the last
/// of them is dropped, or when it is closed.
#[derive(Clone)]
pub struct AccessLog(Arc<Inner>);

struct Inner {
    format: AccessLogFormat,
    queue: SyncSender<Message>,
    state: Arc<State>,
    ended: watch::Receiver<bool>,
}

/// What both sides of the channel know.
#[derive(Debug, Default)]
struct State {
    written: AtomicU64,
    lost: AtomicU64,
    queued_bytes: AtomicUsize,
    reopen: AtomicBool,
    close: AtomicBool,
}

enum Message {
    Line(Vec<u8>),
    /// Look at the flags.
    Look,
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog")
            .field("format", &self.0.format)
            .field("state", &self.0.state)
            .finish_non_exhaustive()
    }
}

impl AccessLog {
    /// Opens `target` and starts the thread.
    ///
    /// # Errors
    /// A file that cannot be opened, a thread that cannot be started.
    pub fn start(format: AccessLogFormat, target: &AccessLogTarget) -> io::Result<Self> {
        let sink: Box<dyn Sink> = match target {
            AccessLogTarget::Stdout => Box::new(io::stdout()),
            AccessLogTarget::File(path) => Box::new(LogFile::open(path)?),
        };
        Self::start_with(format, sink, MOST_LINES)
    }

    fn start_with(
        format: AccessLogFormat,
        sink: Box<dyn Sink>,
        most_lines: usize,
    ) -> io::Result<Self> {
        let (queue, queued) = sync_channel(most_lines);
        let (end, ended) = watch::channel(false);
        let state = Arc::new(State::default());
        let writer = Writer {
            queued,
            sink,
            state: state.clone(),
            is_failing: false,
            reported: 0,
            report_after: None,
        };
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                writer.run();
                // Nobody has to care.
                let _told = end.send(true);
            })?;
        Ok(Self(Arc::new(Inner {
            format,
            queue,
            state,
            ended,
        })))
    }

    /// Adds a line, or counts it as lost. Never waits.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let state = &self.0.state;
        let lose = || {
            state.lost.fetch_add(1, Ordering::Relaxed);
        };
        if state.queued_bytes.load(Ordering::Relaxed) >= MOST_BYTES {
            return lose();
        }
        let line = format(line, self.0.format);
        let length = line.len();
        state.queued_bytes.fetch_add(length, Ordering::Relaxed);
        if self.0.queue.try_send(Message::Line(line)).is_err() {
            state.queued_bytes.fetch_sub(length, Ordering::Relaxed);
            lose();
        }
    }

    /// Opens the file anew before the next line: it was renamed, or removed.
    pub fn reopen(&self) {
        self.0.state.reopen.store(true, Ordering::Relaxed);
        self.look();
    }

    /// Writes what is queued and ends, or gives up after `within`. False: the
    /// rest was lost, because whoever takes the lines does not.
    ///
    /// Cancel safe.
    pub async fn close(&self, within: Duration) -> bool {
        self.0.state.close.store(true, Ordering::Relaxed);
        self.look();
        let mut ended = self.0.ended.clone();
        let ended = ended.wait_for(|ended| *ended);
        tokio::time::timeout(within, ended).await.is_ok()
    }

    /// Lines written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.state.written.load(Ordering::Relaxed)
    }

    /// Lines lost so far: the channel was full, or they could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.state.lost.load(Ordering::Relaxed)
    }

    fn look(&self) {
        // A full channel keeps the thread awake as well.
        let _awake = self.0.queue.try_send(Message::Look);
    }
}

/// What lines are written to.
trait Sink: Write + Send {
    fn reopen(&mut self) -> io::Result<()>;
}

impl Sink for io::Stdout {
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for LogFile {
    fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.path)?;
        Ok(())
    }
}

struct Writer {
    queued: Receiver<Message>,
    sink: Box<dyn Sink>,
    state: Arc<State>,
    /// The last write failed, perhaps in the middle of a line.
    is_failing: bool,
    /// Lost lines that were reported.
    reported: u64,
    report_after: Option<Instant>,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let Some(first) = self.next() else {
                return;
            };
            if self.state.reopen.swap(false, Ordering::Relaxed) {
                self.reopen();
            }
            let mut lines = 0;
            let mut message = Some(first);
            while let Some(next) = message {
                if let Message::Line(line) = next {
                    self.state
                        .queued_bytes
                        .fetch_sub(line.len(), Ordering::Relaxed);
                    batch.extend(line);
                    lines += 1;
                }
                let has_room = batch.len() < BATCH;
                message = has_room.then(|| self.queued.try_recv().ok()).flatten();
            }
            if lines > 0 {
                self.write(&batch, lines);
                batch.clear();
            }
            self.report();
        }
    }

    /// The next message, when there is one. None: this is the end.
    fn next(&self) -> Option<Message> {
        if self.state.close.load(Ordering::Relaxed) {
            return self.queued.try_recv().ok();
        }
        // Only whoever has something to report looks at the clock.
        let Some(report) = self.report_after.filter(|_| self.unreported() > 0) else {
            return self.queued.recv().ok();
        };
        let wait = report.saturating_duration_since(Instant::now());
        match self.queued.recv_timeout(wait) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => Some(Message::Look),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn reopen(&mut self) {
        match self.sink.reopen() {
            Ok(()) => tracing::info!("access log opened anew"),
            Err(error) => tracing::error!(
                %error, "the access log cannot be opened anew: the old file is written on"
            ),
        }
    }

    fn write(&mut self, batch: &[u8], lines: u64) {
        let torn: &[u8] = if self.is_failing { b"\n" } else { b"" };
        let written = self
            .sink
            .write_all(torn)
            .and_then(|()| self.sink.write_all(batch))
            .and_then(|()| self.sink.flush());
        match written {
            Ok(()) => {
                self.state.written.fetch_add(lines, Ordering::Relaxed);
                if self.is_failing {
                    tracing::info!("the access log can be written again");
                }
                self.is_failing = false;
            }
            Err(error) => {
                self.state.lost.fetch_add(lines, Ordering::Relaxed);
                if !self.is_failing {
                    tracing::error!(%error, "the access log cannot be written: lines are lost");
                }
                self.is_failing = true;
            }
        }
    }

    fn unreported(&self) -> u64 {
        self.state.lost.load(Ordering::Relaxed) - self.reported
    }

    fn report(&mut self) {
        let lost = self.unreported();
        let now = Instant::now();
        if lost == 0 || self.report_after.is_some_and(|after| now < after) {
            return;
        }
        tracing::warn!(
            lost,
            "lines of the access log were lost: it cannot be written fast enough, or not at all"
        );
        self.reported += lost;
        self.report_after = Some(now + REPORT_EACH);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::format::tests::line, *};
    use parking_lot::Mutex;
    use std::sync::mpsc;

    const FORMAT: AccessLogFormat = AccessLogFormat::Common;
    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_file_is_appended_to_and_opened_anew_when_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        std::fs::write(&path, "before\n").expect("written");
        let target = AccessLogTarget::File(path.clone());
        let log = AccessLog::start(FORMAT, &target).expect("it opens");
        log.write(&line());
        while log.written() < 1 {
            tokio::task::yield_now().await;
        }
        let rotated = folder.path().join("access.log.1");
        std::fs::rename(&path, &rotated).expect("renamed");
        log.reopen();
        log.write(&line());
        assert!(log.close(SOON).await);
        let count = |path| {
            std::fs::read_to_string(path)
                .expect("there")
                .lines()
                .count()
        };
        assert_eq!((count(&rotated), count(&path)), (2, 1));
        assert_eq!((log.written(), log.lost()), (2, 0));
        // Nobody takes lines any more; they are lost, and nobody waits.
        log.write(&line());
        assert_eq!(log.lost(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let target = AccessLogTarget::File("/no/such/folder/access.log".into());
        AccessLog::start(FORMAT, &target).expect_err("no such folder");
    }

    /// Does what the test says, one write after the other.
    struct Scripted {
        writes: mpsc::Receiver<io::Result<()>>,
        written: Arc<Mutex<Vec<u8>>>,
        begun: Arc<AtomicU64>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.writes.recv().unwrap_or(Ok(()))?;
            self.written.lock().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Scripted {
        fn reopen(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    type Script = (AccessLog, mpsc::Sender<io::Result<()>>, Arc<Mutex<Vec<u8>>>);

    fn scripted(most_lines: usize) -> Script {
        scripted_and_counted(most_lines).0
    }

    /// And how many writes have begun.
    fn scripted_and_counted(most_lines: usize) -> (Script, Arc<AtomicU64>) {
        let begun = Arc::default();
        let (script, writes) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Box::new(Scripted {
            writes,
            written: written.clone(),
            begun: Arc::clone(&begun),
        });
        let log = AccessLog::start_with(FORMAT, sink, most_lines).expect("a thread");
        ((log, script, written), begun)
    }

    #[tokio::test]
    async fn a_disk_that_hangs_costs_lines_and_no_time() {
        let ((log, script, _written), begun) = scripted_and_counted(10);
        log.write(&line());
        while begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 1..1_000 {
            log.write(&line());
        }
        // The one that hangs and a full channel are under way.
        let lost = log.lost();
        assert_eq!(lost, 1_000 - 1 - 10);
        assert!(!log.close(Duration::from_millis(10)).await, "it hangs");
        drop(script);
        assert!(log.close(SOON).await);
        assert_eq!((log.written(), log.lost()), (1_000 - lost, lost));
    }

    #[tokio::test]
    async fn a_disk_that_fails_costs_lines_and_the_next_ones_are_whole() {
        let (log, script, written) = scripted(10);
        log.write(&line());
        script
            .send(Err(io::ErrorKind::StorageFull.into()))
            .expect("it runs");
        while log.lost() < 1 {
            tokio::task::yield_now().await;
        }
        drop(script);
        // A file that cannot be opened anew is written on.
        log.reopen();
        log.write(&line());
        assert!(log.close(SOON).await);
        assert_eq!((log.written(), log.lost()), (1, 1));
        let written = written.lock().clone();
        let written = String::from_utf8(written).expect("text");
        assert!(written.starts_with("\n203.0.113.9 - - ["), "{written:?}");
    }
}
