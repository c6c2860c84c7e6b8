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
    externalscaler::{GetMetricSpecResponse, MetricSpec},
    source::{RateTarget, TargetScaling},
    tracked::{Scaled, Tracked},
};
use futures_util::stream::{self, Stream};
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
        scaling: tracked.follow_scaling(),
        tracked,
        trigger,
        is_merged,
        closing,
        sent: None,
        open,
        ended: false,
    };
    let items = stream::unfold(sender, |mut sender| async {
        let item = sender.next().await?;
        Some((item, sender))
    });
    Box::pin(items) // tonic polls no stream that has ended
}

struct SpecSender {
    /// Keeps the sender of the channel alive, too.
    tracked: Arc<Tracked>,
    trigger: Trigger,
    is_merged: bool,
    scaling: watch::Receiver<Scaled>,
    closing: watch::Receiver<bool>,
    /// What the last message was made from.
    sent: Option<Sent>,
    open: OpenStream,
    ended: bool,
}

/// The targets of a route's scaling: no spec says more of it.
#[derive(Clone, Copy)]
struct Sent {
    concurrency: Option<u32>,
    request_rate: Option<u32>,
}

impl Sent {
    fn of(scaling: &TargetScaling) -> Self {
        Self {
            concurrency: scaling.concurrency,
            request_rate: scaling.request_rate.map(|rate| rate.target_value),
        }
    }

    fn scaling(self) -> TargetScaling {
        TargetScaling {
            concurrency: self.concurrency,
            request_rate: self.request_rate.map(RateTarget::new),
        }
    }
}

impl SpecSender {
    async fn next(&mut self) -> Option<Result<GetMetricSpecResponse, Status>> {
        while !self.ended {
            if *self.closing.borrow() {
                break;
            }
            match self.news() {
                Ok(None) => {}
                Ok(Some(metric_specs)) => return Some(Ok(GetMetricSpecResponse { metric_specs })),
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
            }
        }
        if !self.ended {
            self.ended = true;
            self.open.end(Code::Ok);
        }
        None
    }

    /// The specs, if they are not those of the last message.
    fn news(&mut self) -> Result<Option<Vec<MetricSpec>>, KedaError> {
        let Scaled { by, removed } = *self.scaling.borrow_and_update();
        if removed {
            return Err(KedaError::UnknownRoute(self.tracked.id().clone()));
        }
        let fresh = self.specs(&by)?;
        // Made anew, not kept: thousands of streams are open, and routes hardly
        // ever change.
        let before = self.sent.replace(Sent::of(&by));
        let before = before.map(|before| self.specs(&before.scaling()));
        let before = before.transpose()?;
        if before.as_ref() == Some(&fresh) {
            return Ok(None);
        }
        if before.is_some() {
            self.open.metrics.spec_update();
        }
        Ok(Some(fresh))
    }

    fn specs(&self, scaling: &TargetScaling) -> Result<Vec<MetricSpec>, KedaError> {
        let offered = offers(&self.trigger, scaling)?;
        Ok(if self.is_merged {
            vec![merged()]
        } else {
            specs(&offered)
        })
    }
}
