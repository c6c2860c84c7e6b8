//! Metrics that are fetched: pages in the text formats of Prometheus.
//!
//! `scraper` knows all sources and has a task for each target (`target`), which
//! fetches a page (`fetch`, `body`), reads it as it comes (`page`, `line`,
//! `family`, `filter`) and takes it into the store (`intake`, `history`).

mod address;
mod body;
mod family;
mod fetch;
mod filter;
mod format;
mod history;
mod intake;
mod line;
mod page;
mod pattern;
mod reading;
mod scraper;
mod source;
mod target;

pub use address::{Address, BadAddress};
pub use format::Format;
pub use intake::Intake;
pub use page::{BadPage, PageLimits};
pub use pattern::{BadPattern, NamePattern};
pub use reading::{LastScrape, SourceReading, TargetReading};
pub use scraper::{Mine, Scraper};
pub use source::{FoundTarget, SourceConfig, SourceId, TargetList};
