//! OTLP metrics: from the bytes of an `ExportMetricsServiceRequest` to series.
//!
//! `grpc.rs` and `http.rs` receive; both hand the bytes to [`Otlp::take`]. JSON
//! becomes protobuf first (`json.rs`), so that there is one way of reading.

mod batch;
mod exponential;
mod grpc;
mod histogram;
mod http;
mod json;
mod known;
mod number;
mod part;
mod resource;
mod response;
mod summary;
mod text;

pub(super) use batch::{Batch, Origin};
pub use grpc::OtlpGrpc;
pub use http::serve as serve_http;
pub use resource::ResourceLabels;

use super::{IngestCounters, Outcome, Source, WireError, encode, inflate, wire};
use crate::series::{Limits, Store};
use known::{Known, Seeds};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use thiserror::Error;
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

/// Why a request in JSON cannot be read.
#[derive(Debug, Error)]
pub enum JsonError {
    /// It is no JSON, or not of this form.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// As protobuf it is none.
    #[error(transparent)]
    Wire(#[from] WireError),
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

    /// A place as soon as it is this caller's turn: for a stream, which waits
    /// unread.
    pub(super) async fn place_in_turn(&self) -> SemaphorePermit<'_> {
        let place = self.places.acquire().await;
        place.expect("the semaphore is never closed")
    }

    /// What one request may be.
    pub(super) fn limits(&self) -> OtlpLimits {
        self.limits
    }

    /// What one series may be.
    pub(super) fn series_limits(&self) -> &Limits {
        self.store.limits()
    }

    /// What is counted.
    pub(super) fn counters(&self) -> &IngestCounters {
        &self.counters
    }

    /// Stores what is in the bytes of an `ExportMetricsServiceRequest` that
    /// arrived at `now_ms`; counts its points for `source`.
    ///
    /// # Errors
    /// The bytes are not such a message. Points before the place of the error
    /// are stored.
    pub fn take(&self, source: Source, body: &[u8], now_ms: i64) -> Result<Outcome, WireError> {
        let (outcome, read) = self.write(source, now_ms, |batch| batch.request(body));
        read.map(|()| outcome)
    }

    /// The same of a request in OTLP's JSON.
    ///
    /// # Errors
    /// What is wrong, and where: then nothing of it is stored.
    pub fn take_json(&self, body: &[u8], now_ms: i64) -> Result<Outcome, JsonError> {
        let body = json::to_protobuf(body)?;
        Ok(self.take(Source::OtlpHttp, &body, now_ms)?)
    }

    /// Stores what `write` writes, as of one request that arrived at `now_ms`;
    /// counts its points for `source`.
    pub(super) fn write<T>(
        &self,
        source: Source,
        now_ms: i64,
        write: impl FnOnce(&mut Batch<'_>) -> T,
    ) -> (Outcome, T) {
        let (outcome, written) = {
            let mut known = self.known.lock();
            let mut batch = Batch::new(self, &mut known, now_ms);
            let written = write(&mut batch);
            (batch.finish(), written)
        };
        self.counters.took(source, &outcome, now_ms);
        (outcome, written)
    }
}

#[cfg(test)]
mod tests;
