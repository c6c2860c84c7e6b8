//! Hosts: their normal form, and the tiers in which they are looked up.

use super::{outline::HostPattern, path::PathTable};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Longest host that can match anything but "any" (RFC 1035: 253, and dots).
pub(super) const LONGEST: usize = 255;

/// The host in lower case, without port, brackets and trailing dot. None if
/// it is longer than any name can be.
pub(super) fn normalise<'a>(authority: &'a str, buffer: &'a mut [u8; LONGEST]) -> Option<&'a str> {
    if is_normal(authority) {
        return Some(authority);
    }
    let host = without_port(authority);
    let host = host.strip_suffix('.').unwrap_or(host);
    if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(host);
    }
    let lower = buffer.get_mut(..host.len())?;
    lower.copy_from_slice(host.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}

/// Is it in normal form without a closer look? Most are.
fn is_normal(authority: &str) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    // Without a branch for each byte.
    let bytes = authority.as_bytes().iter();
    bytes.fold(true, |all, byte| all & is_plain(byte)) && !authority.ends_with('.')
}

/// Cuts user information, port and the brackets of an IPv6 address off.
fn without_port(authority: &str) -> &str {
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    match host.split_once(':') {
        // A second colon: an IPv6 address without brackets, hence without port.
        Some((name, rest)) if !rest.contains(':') => name,
        _ => host,
    }
}

/// Does a rule's host, in normal form, match a request's?
pub(super) fn rule_matches(rule: &str, host: Option<&str>) -> bool {
    if rule.is_empty() || rule == "*" {
        return true;
    }
    let Some(host) = host else { return false };
    match rule.strip_prefix("*.") {
        Some(suffix) => host
            .strip_suffix(suffix)
            .is_some_and(|open| open.len() > 1 && open.ends_with('.')),
        None => rule == host,
    }
}

/// Path tables by host: exact, by suffix, any.
#[derive(Debug, Default)]
pub(super) struct HostTiers {
    exact: HashMap<Box<str>, PathTable, RandomState>,
    suffix: HashMap<Box<str>, PathTable, RandomState>,
    any: PathTable,
}

impl HostTiers {
    /// The table for a rule's host: a name, `*.suffix`, `*` or nothing.
    pub(super) fn table_mut(&mut self, rule_host: &str) -> &mut PathTable {
        let mut buffer = [0; LONGEST];
        // A rule for a longer host would never match; keep it as it is.
        let host = normalise(rule_host, &mut buffer).unwrap_or(rule_host);
        if host.is_empty() || host == "*" {
            return &mut self.any;
        }
        match host.strip_prefix("*.") {
            Some(suffix) => self.suffix.entry(suffix.into()).or_default(),
            None => self.exact.entry(host.into()).or_default(),
        }
    }

    pub(super) fn tables_mut(&mut self) -> impl Iterator<Item = &mut PathTable> {
        let any = std::iter::once(&mut self.any);
        self.exact
            .values_mut()
            .chain(self.suffix.values_mut())
            .chain(any)
    }

    /// All tables, each with the hosts that it is for.
    pub(super) fn all(&self) -> impl Iterator<Item = (HostPattern<'_>, &PathTable)> {
        let exact = self.exact.iter();
        let suffix = self.suffix.iter();
        exact
            .map(|(host, table)| (HostPattern::Exact(host), table))
            .chain(suffix.map(|(host, table)| (HostPattern::Below(host), table)))
            .chain(std::iter::once((HostPattern::Any, &self.any)))
    }

    /// The table for exactly this host: the first of the tiers.
    pub(super) fn exact<'t>(&'t self, host: Option<&str>) -> Option<&'t PathTable> {
        self.exact.get(host?)
    }

    /// The tables of the other tiers that may serve `host`, in order of
    /// precedence.
    pub(super) fn wider<'t>(&'t self, host: Option<&str>) -> impl Iterator<Item = &'t PathTable> {
        let wildcards = if self.suffix.is_empty() { None } else { host };
        let suffixes = std::iter::successors(wildcards.and_then(parent), |name| parent(name));
        suffixes
            .filter_map(|suffix| self.suffix.get(suffix))
            .chain(std::iter::once(&self.any))
    }
}

/// `b.c` for `a.b.c`; None for a single label.
fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_normalised() {
        for (given, wanted) in [
            ("a.test", "a.test"),
            ("A.Test:8080", "a.test"),
            ("a.test.", "a.test"),
            ("a.test.:80", "a.test"),
            ("a.test..", "a.test."),
            ("[2001:DB8::1]:80", "2001:db8::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("user@a.test:1", "a.test"),
            ("", ""),
            (":80", ""),
            ("*.x", "*.x"),
        ] {
            assert_eq!(normalise(given, &mut [0; LONGEST]), Some(wanted), "{given}");
        }
        let long = "A".repeat(256);
        assert_eq!(normalise(&long, &mut [0; LONGEST]), None);
    }
}
