//! `StreamIsActive` of a trigger that has a metric and nothing else.
//!
//! Opened by the service, polled by the HTTP/2 connection. Says the state when
//! the stream opens and every change of it, as soon as the points arrive; and
//! `true` again from time to time, which KEDA may have lost. While it is not
//! known whether there is demand, or `false` might be an answer for a peer that
//! is silent, it says nothing, and stays open. Ends with OK on shutdown.

use super::{
    meter::{Meter, Watch},
    metrics::OpenActivity,
    stream::ActivityStream,
};
use crate::{externalscaler::IsActiveResponse, ledger::Ledger};
use futures_util::stream;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tonic::Code;

/// KEDA polls as well, by default this often.
const REPEAT_EACH: Duration = Duration::from_secs(30);

/// Streams the activity of `meter` until `closing` is true or without a
/// sender.
pub(super) fn activity(
    ledger: Arc<Ledger>,
    meter: Arc<Meter>,
    closing: watch::Receiver<bool>,
    open: OpenActivity,
) -> ActivityStream {
    let sender = Sender {
        ledger,
        watch: meter.follow(),
        closing,
        open,
        told: None,
    };
    let reports = stream::unfold(sender, |mut sender| async {
        let result = sender.next().await?;
        Some((Ok(IsActiveResponse { result }), sender))
    });
    Box::pin(reports)
}

struct Sender {
    ledger: Arc<Ledger>,
    watch: Watch,
    closing: watch::Receiver<bool>,
    open: OpenActivity,
    told: Option<(bool, Instant)>,
}

impl Sender {
    /// The next message; `None` when the connection ends.
    async fn next(&mut self) -> Option<bool> {
        loop {
            if *self.closing.borrow() {
                break;
            }
            if let Some(active) = self.watch.active()
                && (active || !self.is_unsure())
                && self.is_news(active)
            {
                self.told = Some((active, Instant::now()));
                self.open.told(active, active);
                return Some(active);
            }
            tokio::select! {
                biased;
                closing = self.closing.changed() => if closing.is_err() { break },
                () = self.watch.due() => {}
            }
        }
        self.open.stream.end(Code::Ok);
        None
    }

    /// May there be demand that only another replica knows of?
    fn is_unsure(&self) -> bool {
        self.ledger.is_blind() || self.ledger.is_unsure()
    }

    fn is_news(&self, active: bool) -> bool {
        let metrics = &self.open.stream.metrics;
        match self.told {
            None => metrics.state_on_open(),
            Some((was, _)) if was != active => metrics.edge(),
            Some((true, at)) if at.elapsed() >= REPEAT_EACH => metrics.repeat(),
            Some(_) => return false,
        }
        true
    }
}
