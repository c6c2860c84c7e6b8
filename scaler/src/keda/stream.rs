//! `StreamIsActive`: the activity of one target, told as [`super::policy`] says.
//!
//! Opened by the service, polled by the HTTP/2 connection. The next message is
//! made when it is polled for, from the target's present state: a client that
//! does not read finds one message waiting, not a backlog. A wait reaches the
//! message by one wake-up; no timer is in between.
//!
//! Ends with OK (no item) on shutdown, because KEDA punishes every other end
//! with a growing pause before it comes back; with `NOT_FOUND` when the route
//! is removed.

use super::{
    error::KedaError,
    meter::{Meter, Watch},
    metrics::OpenActivity,
    policy::{Message, SenderPolicy, Why},
};
use crate::{activation::Signal, externalscaler::IsActiveResponse, tracked::Tracked};
use futures_util::stream::{self, Stream, StreamExt};
use std::{future::pending, pin::Pin, sync::Arc};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::{Code, Status};

/// A stream of `StreamIsActive`.
pub(crate) type ActivityStream =
    Pin<Box<dyn Stream<Item = Result<IsActiveResponse, Status>> + Send + 'static>>;

/// Streams the activity of `tracked`, or of its trigger's metric, until it is
/// removed, or until `closing` is true or without a sender.
pub(crate) fn activity(
    tracked: Arc<Tracked>,
    meter: Option<Arc<Meter>>,
    closing: watch::Receiver<bool>,
    open: OpenActivity,
) -> ActivityStream {
    let sender = ActivitySender {
        signal: tracked.follow_activity(),
        tracked,
        metric: meter.map(|meter| Box::new(meter.follow())),
        closing,
        policy: SenderPolicy::new(),
        open,
        ended: false,
    };
    let items = stream::unfold(sender, |mut sender| async {
        let item = sender.next().await?;
        Some((item, sender))
    });
    Box::pin(items.fuse())
}

struct ActivitySender {
    tracked: Arc<Tracked>,
    metric: Option<Box<Watch>>,
    signal: watch::Receiver<Signal>,
    closing: watch::Receiver<bool>,
    policy: SenderPolicy,
    open: OpenActivity,
    ended: bool,
}

impl ActivitySender {
    async fn next(&mut self) -> Option<Result<IsActiveResponse, Status>> {
        while !self.ended {
            if *self.closing.borrow() {
                break;
            }
            let mut signal = *self.signal.borrow_and_update();
            if signal.removed {
                self.ended = true;
                let error = KedaError::UnknownRoute(self.tracked.id().clone());
                self.open.stream.end(error.code());
                return Some(Err(error.into()));
            }
            let metric = self.metric.as_mut();
            let metric = metric.map_or(Some(false), |metric| metric.active());
            let by_metric = !signal.active && metric == Some(true);
            signal.active |= by_metric;
            // Where one source is not known, or a peer not heard, what is known
            // can only say "active".
            let is_known = signal.active || (metric.is_some() && !signal.unsure);
            let now = Instant::now();
            if is_known
                && let Some(message) = self.policy.next(now, signal, || self.tracked.queue())
            {
                self.count(message);
                self.open.told(message.active, by_metric);
                return Some(Ok(IsActiveResponse {
                    result: message.active,
                }));
            }
            let check_at = self.policy.check_at().filter(|_| is_known);
            // Boxed: thousands of streams are open, and hardly any of them waits
            // for these.
            let check = async {
                match check_at {
                    Some(at) => Box::pin(sleep_until(at)).await,
                    None => pending().await,
                }
            };
            let metric = &mut self.metric;
            let arrival = async {
                match metric {
                    Some(metric) => Box::pin(metric.due()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                closing = self.closing.changed() => if closing.is_err() { break },
                // The sender lives in `tracked`, which this stream keeps.
                signal = self.signal.changed() => if signal.is_err() { break },
                () = check => {}
                () = arrival => {}
            }
        }
        if !self.ended {
            self.ended = true;
            self.open.stream.end(Code::Ok);
        }
        None
    }

    fn count(&self, message: Message) {
        match message.why {
            Why::Opened => self.open.stream.metrics.state_on_open(),
            Why::Edge => self.open.stream.metrics.edge(),
            Why::Repeat => self.open.stream.metrics.repeat(),
        }
    }
}

#[cfg(test)]
mod tests;
