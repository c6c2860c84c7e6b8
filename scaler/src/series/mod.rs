//! Series: what applications and sidecars report, as queries read it.
//!
//! Receivers (`crate::ingest`) write into the [`Store`]; queries read from it
//! through [`Select`] and say beforehand, with [`Store::register`], what they
//! will need. Nothing here knows of OTLP, of text formats or of KEDA.

mod asked;
mod build;
mod elsewhere;
mod expire;
mod history;
mod labels;
mod limits;
mod listing;
mod matcher;
mod merge;
mod name;
mod need;
mod needed;
mod point;
mod postings;
mod register;
mod ring;
mod select;
mod slots;
mod store;
mod tap;
mod wanted;
mod writer;

pub use build::LabelBuilder;
pub use labels::{DuplicateLabel, Labels, METRIC_NAME};
pub use limits::{DropReason, Limits};
pub use listing::{Page, SeriesView};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use name::{label_name, metric_name};
pub use need::Selector;
pub use needed::NeededNames;
pub use point::Point;
pub use register::Registration;
pub use select::{Points, Select};
pub use slots::SeriesRef;
pub use store::{Stats, Store, unix_ms};
pub use writer::{AppendError, Growth, Writer};

pub(crate) use {
    asked::Selectors,
    elsewhere::Place,
    history::{History, Told},
    merge::{Piece, Values},
    register::Arrivals,
};
