//! Header conditions of a rule.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A header that must be there, with any value or with exactly this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// Compared without regard to case.
    pub name: HeaderName,
    /// Exact; of a repeated header, one equal value is enough.
    pub value: Option<HeaderValue>,
}

impl HeaderRule {
    pub(super) fn matches(&self, headers: &HeaderMap) -> bool {
        match &self.value {
            None => headers.contains_key(&self.name),
            Some(wanted) => headers
                .get_all(&self.name)
                .iter()
                .any(|value| value == wanted),
        }
    }
}
