//! Metrics that are fetched: pages in the text formats of Prometheus.

mod address;
mod pattern;

pub use address::{Address, BadAddress};
pub use pattern::{BadPattern, NamePattern};
