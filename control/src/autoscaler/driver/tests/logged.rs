//! What reaches the log: every change once, every outage twice, no tick.

use super::*;
use parking_lot::Mutex;
use std::io;

/// A writer that keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn changes_once_and_outages_when_they_begin_and_end() {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = tracing_subscriber::fmt()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // For this thread only, which is the one that the paused runtime uses.
    let _guard = tracing::subscriber::set_default(subscriber);

    let stage = Stage::new(
        web(),
        0,
        answering(|web| (web.active, web.value) = (true, 30.0)),
    );
    stage.until(5).await;
    stage.scaler.answer("web", |web| *web = failing());
    stage.until(100).await;
    stage.scaler.answer("web", |web| *web = Answers::default());
    stage.until(1_000).await;
    stage.end().await.unwrap();

    let log = String::from_utf8(kept.0.lock().clone()).unwrap();
    let lines: Vec<_> = log.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            r#"INFO scaled target="default/web" from=0 to=1 reason="demand reported by polling trigger 0 (interceptorRoute=web)""#,
            r#"INFO scaled target="default/web" from=1 to=3 reason="s0-concurrency is 30, target 10 per replica""#,
            r#"WARN trigger fails scaled_object="default/web" trigger="trigger 0 (interceptorRoute=web)" error=GetMetricSpec: The service is currently unavailable: down"#,
            r#"INFO trigger works again scaled_object="default/web" trigger="trigger 0 (interceptorRoute=web)""#,
            r#"INFO scaled target="default/web" from=3 to=0 reason="no demand for 110 s""#,
        ]
    );
}
