//! `StreamMetricSpec`: the metric specs of one trigger, when they change.
//!
//! Opened by the service, polled by the HTTP/2 connection. KEDA reconciles the
//! ScaledObject on every message, so an equal one is never sent, and an empty
//! one would leave it without metrics for hours, so that is never sent either:
//! when the route no longer sets the trigger's metric, the stream ends with the
//! error that `GetMetricSpec` then gives. Ends with OK on shutdown and with
//! `NOT_FOUND` when the route is removed.

use super::{
    error::KedaError,
    metadata::Trigger,
    metrics::OpenStream,
    spec::{merged, offers, specs},
};
use crate::{
    activation::Signal,
    externalscaler::{GetMetricSpecResponse, MetricSpec},
    source::TargetScaling,
    tracked::Tracked,
};
use futures_util::stream::{self, Stream, StreamExt};
use std::{pin::Pin, sync::Arc};
use tokio::sync::watch;
use tonic::{Code, Status};

/// A stream of `StreamMetricSpec`.
pub(crate) type SpecStream =
    Pin<Box<dyn Stream<Item = Result<GetMetricSpecResponse, Status>> + Send + 'static>>;

/// Streams what `trigger` offers until its target, `tracked`, is removed, or
/// until `closing` is true or without a sender; as one metric if `is_merged`.
pub(crate) fn metric_specs(
    tracked: Arc<Tracked>,
    trigger: Trigger,
    is_merged: bool,
    closing: watch::Receiver<bool>,
    open: OpenStream,
) -> SpecStream {
    let sender = SpecSender {
        signal: tracked.follow_activity(),
        scaling: tracked.follow_scaling(),
        tracked,
        trigger,
        is_merged,
        closing,
        sent: Vec::new(),
        open,
        ended: false,
    };
    let items = stream::unfold(sender, |mut sender| async {
        let item = sender.next().await?;
        Some((item, sender))
    });
    Box::pin(items.fuse())
}

struct SpecSender {
    /// Keeps the senders of the two channels alive, too.
    tracked: Arc<Tracked>,
    trigger: Trigger,
    is_merged: bool,
    signal: watch::Receiver<Signal>,
    scaling: watch::Receiver<TargetScaling>,
    closing: watch::Receiver<bool>,
    sent: Vec<MetricSpec>,
    open: OpenStream,
    ended: bool,
}

impl SpecSender {
    async fn next(&mut self) -> Option<Result<GetMetricSpecResponse, Status>> {
        while !self.ended {
            if *self.closing.borrow() {
                break;
            }
            let removed = self.signal.borrow().removed;
            let scaling = *self.scaling.borrow_and_update();
            let offered = if removed {
                Err(KedaError::UnknownRoute(self.tracked.id().clone()))
            } else {
                offers(&self.trigger, &scaling)
            };
            let specs = |offers: &[_]| match self.is_merged {
                true => vec![merged()],
                false => specs(offers),
            };
            match offered.map(|offers| specs(&offers)) {
                Ok(fresh) if fresh != self.sent => {
                    if !self.sent.is_empty() {
                        self.open.metrics.spec_update();
                    }
                    self.sent.clone_from(&fresh);
                    return Some(Ok(GetMetricSpecResponse {
                        metric_specs: fresh,
                    }));
                }
                Ok(_) => {}
                Err(error) => {
                    self.ended = true;
                    self.open.end(error.code());
                    return Some(Err(error.into()));
                }
            }
            tokio::select! {
                biased;
                closing = self.closing.changed() => if closing.is_err() { break },
                scaling = self.scaling.changed() => if scaling.is_err() { break },
                // Activity comes and goes; only the removal matters here.
                removed = self.signal.wait_for(|s| s.removed) => if removed.is_err() { break },
            }
        }
        if !self.ended {
            self.ended = true;
            self.open.end(Code::Ok);
        }
        None
    }
}
