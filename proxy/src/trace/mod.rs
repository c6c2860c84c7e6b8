//! Traces: which requests are recorded, and the spans that come of them.
//!
//! `context.rs` reads and writes the W3C headers, `span.rs` is what a finished
//! request leaves behind. What happens with spans is up to the [`SpanSink`]:
//! control exports them. Nothing here knows of OTLP.

mod context;
mod span;

pub(crate) use context::{Parent, TRACEPARENT, TraceContext, hex, new_span_id};
pub use context::{SpanId, TraceId};
pub use span::{AttributeValue, SpanKind, SpanRecord};

use context::new_trace_id;
use http::HeaderMap;
use std::{fmt, sync::Arc};

/// Who is given the spans of finished requests. It is called on the workers,
/// so it must return at once, whatever becomes of the spans.
pub trait SpanSink: Send + Sync {
    /// All spans of one request, the server's first.
    fn finished(&self, spans: Vec<SpanRecord>);
}

/// Traces that are recorded.
#[derive(Clone)]
pub struct Traces {
    /// Which requests.
    pub sampler: Sampler,
    /// Where their spans go.
    pub sink: Arc<dyn SpanSink>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces")
            .field("sampler", &self.sampler)
            .finish_non_exhaustive()
    }
}

impl Traces {
    /// The trace that a request is recorded in, if it is. What is not recorded
    /// keeps its headers as they came.
    pub(crate) fn begin(&self, headers: &HeaderMap) -> Option<TraceContext> {
        let parent = match headers.contains_key(TRACEPARENT) {
            true => Parent::of(headers),
            false => None,
        };
        match parent {
            Some(parent) => {
                let sampled = match self.sampler.is_parent_based {
                    true => parent.is_sampled(),
                    false => self.sampler.takes(&parent.trace_id),
                };
                sampled.then(|| TraceContext::child(parent, headers))
            }
            None if self.sampler.bound == 0 => None,
            None => {
                let trace_id = new_trace_id();
                let sampled = self.sampler.takes(&trace_id);
                sampled.then(|| TraceContext::root(trace_id))
            }
        }
    }
}

/// Which requests are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// Of 2^63 possible trace ids, so many are recorded.
    bound: u64,
    /// A request with a parent is recorded exactly if that is.
    is_parent_based: bool,
}

impl Sampler {
    /// Records this part of the traces, by their ids, so that all who use the
    /// same part record the same traces. With `is_parent_based`, that is for
    /// traces which begin here, and any other follows its parent.
    ///
    /// A `ratio` outside 0 to 1 means the nearest of them.
    #[must_use]
    pub fn ratio(ratio: f64, is_parent_based: bool) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 2^63"
        )]
        let bound = (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
        Self {
            bound,
            is_parent_based,
        }
    }

    /// As the SDKs do it: the last 63 bits of the id are a number below 2^63.
    fn takes(self, trace_id: &TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = *trace_id;
        (u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1) < self.bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl SpanSink for Nobody {
        fn finished(&self, _spans: Vec<SpanRecord>) {}
    }

    fn is_recorded(sampler: Sampler, parent: Option<&str>) -> bool {
        let traces = Traces {
            sampler,
            sink: Arc::new(Nobody),
        };
        let mut headers = HeaderMap::new();
        if let Some(parent) = parent {
            headers.insert(TRACEPARENT, parent.parse().expect("a value"));
        }
        traces.begin(&headers).is_some()
    }

    #[test]
    fn a_parent_decides_where_it_may() {
        let sampled = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let not = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        let malformed = Some("00-0af7-b7-01");
        let never = Sampler::ratio(0.0, true);
        assert_eq!(
            [sampled, not, malformed, None].map(|p| is_recorded(never, p)),
            [true, false, false, false]
        );
        let always = Sampler::ratio(1.0, true);
        assert_eq!(
            [sampled, not, malformed, None].map(|p| is_recorded(always, p)),
            [true, false, true, true]
        );
        let by_id = Sampler::ratio(1.0, false);
        assert_eq!(
            [sampled, not, malformed, None].map(|p| is_recorded(by_id, p)),
            [true; 4]
        );
        let off = Sampler::ratio(0.0, false);
        assert_eq!(
            [sampled, not, malformed, None].map(|p| is_recorded(off, p)),
            [false; 4]
        );
    }

    #[test]
    fn a_ratio_is_about_kept_and_depends_on_the_id_alone() {
        let quarter = Sampler::ratio(0.25, true);
        let taken = (0..10_000).filter(|_| is_recorded(quarter, None)).count();
        assert!((2_000..3_000).contains(&taken), "{taken}");
        let mut id = [0xff; 16];
        id[8..].copy_from_slice(&(1_u64 << 62).to_be_bytes());
        assert!(!quarter.takes(&id));
        id[8..].copy_from_slice(&((1_u64 << 62) - 2).to_be_bytes());
        assert!(quarter.takes(&id));
        assert_eq!(Sampler::ratio(7.0, true), Sampler::ratio(1.0, true));
        assert_eq!(Sampler::ratio(f64::NAN, true), Sampler::ratio(0.0, true));
    }
}
