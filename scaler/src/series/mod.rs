//! Series: what applications and sidecars report, as queries read it.
//!
//! Only the types here; who fills them and who reads them comes on top. They
//! know nothing of OTLP, of text formats or of KEDA.

mod labels;
mod matcher;
mod point;
mod select;

pub use labels::{DuplicateLabel, Labels, METRIC_NAME};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use point::Point;
pub use select::{Points, Select};
