//! What comes in: receivers of metrics, and what they count.
//!
//! A receiver reads a protocol and writes into the [`crate::series::Store`]. It
//! decides nothing about demand, and one sender's mistake costs nobody else.

mod counters;
pub mod otlp;
mod outcome;
pub mod prometheus;

pub use counters::{IngestCounters, IngestReading, Source, SourceReading};
pub use outcome::Outcome;
