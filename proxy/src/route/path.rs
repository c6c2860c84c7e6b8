//! Paths: prefixes by whole segments, and the entries behind each.

use super::{HeaderRule, Route};
use foldhash::fast::RandomState;
use percent_encoding::percent_decode_str;
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// The path as prefixes are compared with it: decoded, without leading and
/// trailing slashes. Inner double slashes and `..` stay as they are.
pub(super) fn normalise(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path.trim_matches('/'));
    }
    match percent_decode_str(path).decode_utf8_lossy() {
        Cow::Borrowed(same) => Cow::Borrowed(same.trim_matches('/')),
        Cow::Owned(decoded) => Cow::Owned(decoded.trim_matches('/').to_owned()),
    }
}

/// Is `prefix` a prefix of `path` by whole segments? Both without leading and
/// trailing slashes.
pub(super) fn starts_with_segments(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// One rule for one host and one prefix.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) headers: Box<[HeaderRule]>,
    pub(super) route: Arc<Route>,
    pub(super) created: u64,
}

/// The prefixes of one host.
#[derive(Debug, Default)]
pub(super) struct PathTable {
    /// Those of the empty prefix, which any path has.
    root: Vec<Entry>,
    prefixes: HashMap<Box<str>, Vec<Entry>, RandomState>,
    /// Length of the longest prefix: what is longer needs no look-up, so a
    /// path of thousands of slashes costs no more than a short one.
    longest: usize,
}

impl PathTable {
    pub(super) fn insert(&mut self, prefix: &str, entry: Entry) {
        let prefix = prefix.trim_matches('/');
        if prefix.is_empty() {
            self.root.push(entry);
            return;
        }
        self.longest = self.longest.max(prefix.len());
        self.prefixes.entry(prefix.into()).or_default().push(entry);
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Vec<Entry>> {
        self.prefixes
            .values_mut()
            .chain(std::iter::once(&mut self.root))
    }

    /// All prefixes that have entries, in no order.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &str> {
        let root = (!self.root.is_empty()).then_some("");
        self.prefixes.keys().map(|prefix| &**prefix).chain(root)
    }

    /// Does it find something for every path, whatever the headers are?
    pub(super) fn decides_all(&self) -> bool {
        let mut all = self.prefixes.values().chain(std::iter::once(&self.root));
        all.all(|entries| entries.iter().any(|entry| entry.headers.is_empty()))
    }

    /// The entries of the longest prefix of `path` that has any.
    pub(super) fn longest<'t>(&'t self, path: &str) -> Option<&'t [Entry]> {
        if self.prefixes.is_empty() {
            return (!self.root.is_empty()).then_some(&self.root);
        }
        self.matching(path).next()
    }

    /// The entries of all its shorter prefixes, from long to short.
    pub(super) fn shorter<'t>(&'t self, path: &str) -> impl Iterator<Item = &'t [Entry]> {
        self.matching(path).skip(1)
    }

    fn matching<'t>(&'t self, path: &str) -> impl Iterator<Item = &'t [Entry]> {
        let start = Some(self.cut_to_longest(path)).filter(|start| !start.is_empty());
        std::iter::successors(start, |prefix| shorten(prefix))
            .filter_map(|prefix| self.prefixes.get(prefix).map(Vec::as_slice))
            .chain(Some(self.root.as_slice()).filter(|root| !root.is_empty()))
    }

    /// The longest prefix of `path` by whole segments that could be known.
    fn cut_to_longest<'a>(&self, path: &'a str) -> &'a str {
        let Some(head) = path.as_bytes().get(..=self.longest) else {
            return path;
        };
        // The byte after the cut must be a slash, or the cut moves left to one.
        match head.iter().rposition(|&byte| byte == b'/') {
            // A slash is a character border.
            Some(at) => path.get(..at).unwrap_or(""),
            None => "",
        }
    }
}

/// The next shorter prefix that is not the root.
fn shorten(prefix: &str) -> Option<&str> {
    prefix.rsplit_once('/').map(|(shorter, _)| shorter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (given, wanted) in [
            ("/", ""),
            ("", ""),
            ("/a/b/", "a/b"),
            ("//a//b//", "a//b"),
            ("/a%20b", "a b"),
            ("/a%2Fb", "a/b"),
            ("/%2F", ""),
            ("/a%zz", "a%zz"),
            ("/../a", "../a"),
        ] {
            assert_eq!(normalise(given), wanted, "{given}");
        }
    }

    #[test]
    fn the_cut_keeps_whole_segments() {
        // As if the longest prefix were "a/b".
        let table = PathTable {
            longest: 3,
            ..PathTable::default()
        };
        for (path, wanted) in [
            ("a/b", "a/b"),
            ("a/bc", "a"),
            ("a/b/c", "a/b"),
            ("abcd", ""),
            ("abc", "abc"),
        ] {
            assert_eq!(table.cut_to_longest(path), wanted, "{path}");
        }
    }

    #[test]
    fn a_path_of_slashes_is_cheap() {
        let table = PathTable::default();
        assert_eq!(table.matching(&"/".repeat(100_000)).count(), 0);
    }
}
