//! What can be wrong with a query, and where.

use crate::series::Labels;
use std::fmt;
use thiserror::Error;

/// A text that is no query, or not one of the supported part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    message: String,
    offset: usize,
    line: usize,
    column: usize,
}

impl QueryError {
    pub(super) fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let in_line = before.get(line_start..).unwrap_or_default();
        Self {
            message: message.into(),
            offset: before.len(),
            line: 1 + before.matches('\n').count(),
            column: 1 + in_line.chars().count(),
        }
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The place in the text, in bytes from its begin.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in its line, from 1, in characters.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}: {}", self.column, self.message)
    }
}

impl std::error::Error for QueryError {}

/// Why a query has no result for the series that are there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvalError {
    /// Series that differed only in their name lost it.
    #[error(
        "several series become {0} when their metric's name is dropped: \
         name one metric, or aggregate"
    )]
    SameLabels(Labels),
    /// `on` or `ignoring` leaves more than one series where one is needed.
    #[error(
        "several series on the {side} side of {op:?} match as {group}: \
         match on more labels, aggregate that side, or use group_left or group_right"
    )]
    SeveralMatches {
        /// Of the operator.
        side: &'static str,
        /// The operator.
        op: &'static str,
        /// What they have in common.
        group: Labels,
    },
    /// A grouped match gives the same labels twice.
    #[error("the result of {op:?} has {labels} more than once")]
    SameResult {
        /// The operator.
        op: &'static str,
        /// The labels.
        labels: Labels,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_lines_from_one() {
        let error = QueryError::at("ä + x", 5, "bad");
        assert_eq!((error.line(), error.column(), error.offset()), (1, 5, 5));
        assert_eq!(error.to_string(), "column 5: bad");
        let error = QueryError::at("a\n+ b", 4, "bad");
        assert_eq!(error.to_string(), "line 2, column 3: bad");
        // A place outside is the end.
        assert_eq!(QueryError::at("ab", 9, "bad").offset(), 2);
    }
}
