//! What the store may hold.

use std::time::Duration;

/// Bounds of the [`super::Store`]. The defaults fit a pod of 256 MiB that also
/// proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most series.
    pub series: usize,
    /// Most bytes of series and points together, by the store's own count.
    pub bytes: usize,
    /// Most points of a series that a registered query needs; then the oldest
    /// is overwritten.
    pub points: usize,
    /// The same for a series that none needs.
    pub unneeded_points: usize,
    /// Most labels of a series, the metric's name among them.
    pub labels: usize,
    /// Longest name of a metric or label, in bytes.
    pub name_bytes: usize,
    /// Longest value of a label, in bytes.
    pub value_bytes: usize,
    /// How far back points are kept where no registered query says otherwise.
    /// A series ends when its last point is that old.
    pub retention: Duration,
    /// How far ahead of our clock a point may be.
    pub ahead: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            series: 100_000,
            bytes: 96 << 20,
            points: 4096,
            unneeded_points: 128,
            labels: 64,
            name_bytes: 256,
            value_bytes: 1024,
            retention: Duration::from_secs(120),
            ahead: Duration::from_secs(60),
        }
    }
}

/// Why a point was not stored.
///
/// The whole list of reasons is here, so that senders, logs and `/metrics` use
/// the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The store holds as many series as it may, and registered queries need
    /// all of them.
    SeriesLimit,
    /// The same for bytes.
    BytesLimit,
    /// Older than what is kept of the series.
    TooOld,
    /// Its time is too far ahead of our clock.
    TooFarAhead,
    /// The series has a point of the same time.
    Duplicate,
    /// A delta that comes after a later one, and before all that is kept.
    OutOfOrder,
    /// The metric has no name, or a label has none.
    NoName,
    /// The name of the metric, or of a label, is too long.
    NameTooLong,
    /// The value of a label is too long.
    ValueTooLong,
    /// Too many labels.
    TooManyLabels,
    /// Two labels have the same name, perhaps only after normalisation.
    DuplicateLabel,
    /// The value of a label is not UTF-8, or nested too deeply.
    BadLabel,
    /// NaN where a number belongs, or a sum that is not finite.
    NotANumber,
    /// A monotonic sum below zero, or one that would fall.
    Negative,
    /// A point that contradicts itself, such as a histogram whose counts and
    /// bounds do not fit together.
    Malformed,
    /// A kind of metric that is not known, or a sum without temporality.
    Unsupported,
    /// Another number of label values than of label keys, and no single way to
    /// put them together.
    Misaligned,
    /// A line of text that is not of its format.
    Syntax,
    /// A line of text that is too long.
    LineTooLong,
}

impl DropReason {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 19] = [
        Self::SeriesLimit,
        Self::BytesLimit,
        Self::TooOld,
        Self::TooFarAhead,
        Self::Duplicate,
        Self::OutOfOrder,
        Self::NoName,
        Self::NameTooLong,
        Self::ValueTooLong,
        Self::TooManyLabels,
        Self::DuplicateLabel,
        Self::BadLabel,
        Self::NotANumber,
        Self::Negative,
        Self::Malformed,
        Self::Unsupported,
        Self::Misaligned,
        Self::Syntax,
        Self::LineTooLong,
    ];

    /// For `/metrics`: one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SeriesLimit => "series_limit",
            Self::BytesLimit => "bytes_limit",
            Self::TooOld => "too_old",
            Self::TooFarAhead => "too_far_ahead",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out_of_order",
            Self::NoName => "no_name",
            Self::NameTooLong => "name_too_long",
            Self::ValueTooLong => "value_too_long",
            Self::TooManyLabels => "too_many_labels",
            Self::DuplicateLabel => "duplicate_label",
            Self::BadLabel => "bad_label",
            Self::NotANumber => "not_a_number",
            Self::Negative => "negative",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Misaligned => "misaligned",
            Self::Syntax => "syntax",
            Self::LineTooLong => "line_too_long",
        }
    }

    /// For whoever sent it: what is wrong.
    #[must_use]
    pub fn explain(self) -> &'static str {
        match self {
            Self::SeriesLimit => "the limit of series is reached and all are needed",
            Self::BytesLimit => "the limit of bytes is reached and all series are needed",
            Self::TooOld => "older than what is kept",
            Self::TooFarAhead => "the time is too far in the future: compare the clocks",
            Self::Duplicate => "the series has a point of this time: do two senders share a name?",
            Self::OutOfOrder => "a delta older than all that is kept of its series",
            Self::NoName => "a metric or a label without a name",
            Self::NameTooLong => "the name of a metric or label is too long",
            Self::ValueTooLong => "the value of a label is too long",
            Self::TooManyLabels => "too many labels",
            Self::DuplicateLabel => "two labels have one name (dots and slashes become _)",
            Self::BadLabel => "a label's value is not UTF-8, or nested too deeply",
            Self::NotANumber => "the value is NaN, or a sum is infinite",
            Self::Negative => "a monotonic sum is negative or falls",
            Self::Malformed => "a histogram whose counts and bounds do not fit together",
            Self::Unsupported => "a metric without a type, or without a temporality",
            Self::Misaligned => "label values and label keys do not fit together",
            Self::Syntax => "a line that is not of the text format",
            Self::LineTooLong => "a line that is too long",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_in_the_order_of_their_discriminants() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
