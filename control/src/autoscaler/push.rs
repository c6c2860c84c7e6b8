//! Listening to `StreamIsActive` of one trigger, for ever.
//!
//! Polled by the driver, once per trigger of type `external-push`. It reopens
//! a stream that ended after 2 s, doubling up to 60 s while streams end with
//! errors; a clean end starts again at 2 s: KEDA's rhythm. It must never judge
//! what a report means.

use super::scaler::{ActivityStream, ScalerApi, ScalerError};
use futures_util::{Stream, StreamExt, stream};
use scaler::externalscaler::ScaledObjectRef;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What happened on a push stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Push {
    /// It is open: the scaler answered.
    Opened,
    /// The scaler reported whether there is demand.
    Report(bool),
    /// The scaler ended it in good order.
    Ended,
    /// It could not be opened, or broke.
    Failed(ScalerError),
}

/// Everything that happens on the push stream of one trigger. Never ends;
/// dropping it closes the stream to the scaler.
pub(super) fn pushes<A: ScalerApi>(
    api: Arc<A>,
    of: ScaledObjectRef,
) -> impl Stream<Item = Push> + Send {
    let listener = Listener {
        api,
        of,
        open: None,
        pause: None,
        next_wait: FIRST_WAIT,
    };
    stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await;
        Some((event, listener))
    })
}

struct Listener<A> {
    api: Arc<A>,
    of: ScaledObjectRef,
    open: Option<ActivityStream>,
    /// To wait before the next attempt. None before the first.
    pause: Option<Duration>,
    next_wait: Duration,
}

impl<A: ScalerApi> Listener<A> {
    async fn next(&mut self) -> Push {
        let Some(reports) = &mut self.open else {
            return self.open().await;
        };
        match reports.next().await {
            Some(Ok(active)) => Push::Report(active),
            Some(Err(error)) => self.failed(error),
            None => {
                self.next_wait = FIRST_WAIT;
                self.close();
                Push::Ended
            }
        }
    }

    async fn open(&mut self) -> Push {
        if let Some(pause) = self.pause.take() {
            sleep(pause).await;
        }
        // No deadline: a server may send its first headers with the first
        // report, which may be hours away. A dead peer is noticed by pings.
        match self.api.stream_is_active(&self.of).await {
            Ok(reports) => {
                self.open = Some(reports);
                Push::Opened
            }
            Err(error) => self.failed(error),
        }
    }

    fn failed(&mut self, error: ScalerError) -> Push {
        self.close();
        Push::Failed(error)
    }

    fn close(&mut self) {
        self.open = None;
        self.pause = Some(self.next_wait);
        self.next_wait = (self.next_wait * 2).min(LONGEST_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoscaler::fake::{FakeScaler, StreamScript};
    use tokio::time::Instant;

    /// Runs the scripts, one per attempt, and returns at which second each
    /// attempt was made and what was seen.
    async fn listen(scripts: Vec<StreamScript>) -> (Vec<u64>, Vec<Push>) {
        let scaler = Arc::new(FakeScaler::new());
        let attempts = scripts.len();
        scaler.script_streams(scripts);
        let start = Instant::now();
        let mut events = std::pin::pin!(pushes(scaler.clone(), ScaledObjectRef::default()));
        let mut seen = Vec::new();
        while scaler.stream_attempts().len() < attempts {
            seen.push(events.next().await.expect("never ends"));
        }
        let seconds = scaler
            .stream_attempts()
            .iter()
            .map(|at| (*at - start).as_secs())
            .collect();
        (seconds, seen)
    }

    #[tokio::test(start_paused = true)]
    async fn backs_off_from_2_to_60_seconds_while_it_fails() {
        let (seconds, _) = listen((0..8).map(|_| StreamScript::Refuse).collect()).await;
        assert_eq!(seconds, [0, 2, 6, 14, 30, 62, 122, 182]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clean_end_starts_again_at_2_seconds() {
        use StreamScript::{End, Refuse};
        let (seconds, _) = listen(vec![Refuse, Refuse, Refuse, End, Refuse, Refuse]).await;
        assert_eq!(seconds, [0, 2, 6, 14, 16, 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_breaks_is_no_clean_end_however_much_it_reported() {
        use StreamScript::{Refuse, ReportThenBreak};
        let (seconds, seen) = listen(vec![Refuse, ReportThenBreak, ReportThenBreak, Refuse]).await;
        assert_eq!(seconds, [0, 2, 6, 14]);
        assert!(matches!(seen[0], Push::Failed(_)));
        assert_eq!(seen[1..3], [Push::Opened, Push::Report(true)]);
        assert!(matches!(seen[3], Push::Failed(_)));
    }
}
