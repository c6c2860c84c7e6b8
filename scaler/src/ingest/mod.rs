//! What comes in: receivers of metrics, and what they count.
//!
//! A receiver reads a protocol and writes into the [`crate::series::Store`]. It
//! decides nothing about demand, and one sender's mistake costs nobody else.

mod counters;
mod encode;
mod inflate;
pub mod opencensus;
pub mod otlp;
mod outcome;
pub mod prometheus;
mod wire;

pub use counters::{IngestCounters, IngestReading, Source, SourceReading};
pub use outcome::Outcome;
pub use wire::WireError;
