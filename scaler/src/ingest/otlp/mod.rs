//! OTLP metrics: from the bytes of an `ExportMetricsServiceRequest` to series.
//!
//! `grpc.rs` and `http.rs` receive; both hand the bytes to [`Otlp::take`]. JSON
//! becomes protobuf first (`json.rs`), so that there is one way of reading.

mod batch;
mod exponential;
mod grpc;
mod histogram;
mod http;
mod inflate;
mod json;
mod known;
mod number;
mod part;
mod resource;
mod response;
mod summary;
mod text;
mod wire;

pub use grpc::OtlpGrpc;
pub use http::serve as serve_http;
pub use resource::ResourceLabels;
pub use wire::WireError;

use super::{IngestCounters, Outcome, Source};
use crate::series::Store;
use batch::Batch;
use known::{Known, Seeds};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, SemaphorePermit};

/// What the receivers share: where points go, and how they are labelled.
#[derive(Debug)]
pub struct Otlp {
    store: Arc<Store>,
    counters: Arc<IngestCounters>,
    labels: ResourceLabels,
    limits: OtlpLimits,
    seeds: Seeds,
    known: Mutex<Known>,
    places: Semaphore,
}

/// For a place among the requests that are read at the same time.
const PLACE_WITHIN: Duration = Duration::from_secs(1);

/// What one request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtlpLimits {
    /// Most bytes of a request, after decompression.
    pub message_bytes: usize,
    /// Most requests at the same time; further ones are told to come again.
    /// With `message_bytes`, this bounds what senders can make us hold.
    pub requests: usize,
}

impl Default for OtlpLimits {
    fn default() -> Self {
        Self {
            message_bytes: 4 << 20,
            requests: 8,
        }
    }
}

impl Otlp {
    /// Stores into `store`.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        counters: Arc<IngestCounters>,
        labels: ResourceLabels,
        limits: OtlpLimits,
    ) -> Self {
        Self {
            store,
            counters,
            labels,
            limits,
            seeds: Seeds::default(),
            known: Mutex::new(Known::default()),
            places: Semaphore::new(limits.requests),
        }
    }

    /// A place among the requests that are read at the same time; `None` if
    /// none got free within a second.
    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        let place = tokio::time::timeout(PLACE_WITHIN, self.places.acquire());
        // The inner error: it was closed, which it never is.
        place.await.ok()?.ok()
    }

    /// Stores what is in the bytes of an `ExportMetricsServiceRequest` that
    /// arrived at `now_ms`; counts its points for `source`.
    ///
    /// # Errors
    /// The bytes are not such a message. Points before the place of the error
    /// are stored.
    pub fn take(&self, source: Source, body: &[u8], now_ms: i64) -> Result<Outcome, WireError> {
        let (outcome, read) = {
            let mut known = self.known.lock();
            let mut batch = Batch::new(self, &mut known, now_ms);
            let read = batch.request(body);
            (batch.finish(), read)
        };
        self.counters.took(source, &outcome, now_ms);
        read.map(|()| outcome)
    }
}

#[cfg(test)]
mod tests;
