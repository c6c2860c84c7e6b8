//! How the place of a field is written: `spec.rules[0].hosts[1]`, `metadata.labels["a.b/c"]`.
//!
//! Used by `yaml` and `decode`, so that a syntax problem and a decoding problem of one field read
//! the same.

use std::fmt::Write;

/// The path of `key` in the map at `path`.
pub(super) fn child(path: &str, key: &str) -> String {
    let simple = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut child = path.to_owned();
    if key.is_empty() || !key.chars().all(simple) {
        // A key of a hostile file can be megabytes long; its beginning is enough to find it.
        let shown: String = key.chars().take(80).collect();
        // Writing to a string cannot fail.
        _ = write!(child, "[{shown:?}]");
        return child;
    }
    if !path.is_empty() {
        child.push('.');
    }
    child.extend(key.chars().take(80));
    child
}

/// The path of item `index` of the list at `path`.
pub(super) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_keys_are_quoted() {
        assert_eq!(
            item(&child(&child("", "spec"), "rules"), 0),
            "spec.rules[0]"
        );
        assert_eq!(
            child("metadata.labels", "a.b/c"),
            "metadata.labels[\"a.b/c\"]"
        );
        assert_eq!(child("", ""), "[\"\"]");
    }
}
