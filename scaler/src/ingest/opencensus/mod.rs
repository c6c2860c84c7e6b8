//! The OpenCensus agent's protocol: what sidecars push that were patched to, as
//! Dapr's in Kedify's demonstration.
//!
//! ```text
//! service.rs ─► frames.rs ─► Stream ─► message.rs ─► point.rs ─► the one way of OTLP
//!                          identity.rs   align.rs
//! ```
//! Each data point becomes one of OTLP before it is read, so that names, labels,
//! start times and resets have one rule. A stream lives as long as its sender;
//! only a message that is being read holds memory, and takes one of the places
//! that OTLP's requests have.
//!
//! Source: `opencensus-proto`, `agent/metrics/v1`, `agent/trace/v1` and
//! `metrics/v1`.

mod align;
mod frames;
mod identity;
mod message;
mod point;
mod service;

pub use message::Problem;
pub use service::OpenCensus;

use super::{Outcome, Source, otlp::Otlp};
use identity::Identity;
use message::Message;
use std::sync::Arc;

/// The messages of one stream. What the first one says of its sender holds for
/// the others.
#[derive(Debug)]
pub struct Stream {
    otlp: Arc<Otlp>,
    sender: Identity,
}

impl Stream {
    /// Of which nothing has come yet; its data points go to `otlp`.
    #[must_use]
    pub fn new(otlp: Arc<Otlp>) -> Self {
        Self {
            otlp,
            sender: Identity::default(),
        }
    }

    /// Stores what is in the bytes of an `ExportMetricsServiceRequest` that
    /// arrived at `now_ms`, and counts its points.
    ///
    /// # Errors
    /// Why the stream must end. Points before the place of the error are
    /// stored.
    pub fn take(&mut self, body: &[u8], now_ms: i64) -> Result<Outcome, Problem> {
        let limits = self.otlp.series_limits();
        let sender = &mut self.sender;
        let (outcome, read) = self.otlp.write(Source::OpenCensus, now_ms, |batch| {
            Message::take(batch, limits, sender, body)
        });
        read.map(|()| outcome)
    }
}

#[cfg(test)]
mod tests;
