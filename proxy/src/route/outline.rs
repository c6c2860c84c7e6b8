//! The table in the form of lists: what it decides for each host and each
//! longest known prefix, as candidates to be tried in order.
//!
//! For whoever compiles the table for another proxy, so that both decide alike.
//! Made of the same look-ups as [`RouteTable::lookup`], and checked against it
//! by a property test. Never on the hot path.

use super::{
    HeaderRule, Route, RouteTable,
    path::{Entry, PathTable, starts_with_segments},
};
use std::sync::Arc;

/// Which hosts a [`HostOutline`] is for. The most specific one that matches a
/// request's host counts alone: exact, then the longest suffix, then any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostPattern<'t> {
    /// This name, in normal form: lower case, without port and trailing dot.
    Exact(&'t str),
    /// All names that end with a dot and this.
    Below(&'t str),
    /// Every host.
    Any,
}

/// What is decided for the requests of some hosts.
#[derive(Debug)]
pub struct HostOutline<'t> {
    /// Which hosts.
    pub host: HostPattern<'t>,
    /// The longest prefix of a request's path that is in here decides. From
    /// long to short; one that would decide as the next shorter one is left out.
    pub prefixes: Vec<PrefixOutline<'t>>,
}

/// What is decided for the paths with one prefix, by whole segments.
#[derive(Debug)]
pub struct PrefixOutline<'t> {
    /// Without leading and trailing slashes, decoded. Empty: all paths.
    pub prefix: &'t str,
    /// The first whose headers all match gets the request. What comes after one
    /// without headers is left out. Never empty.
    pub candidates: Vec<Candidate<'t>>,
}

/// A route, and the headers that it wants.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'t> {
    /// All must match.
    pub headers: &'t [HeaderRule],
    /// The route.
    pub route: &'t Arc<Route>,
}

impl RouteTable {
    /// All hosts of the table, in order, with what is decided for each.
    pub fn outline(&self) -> impl Iterator<Item = HostOutline<'_>> {
        let mut hosts: Vec<(HostPattern<'_>, &PathTable)> = self.hosts.all().collect();
        hosts.sort_by_key(|(host, _)| *host);
        hosts.into_iter().filter_map(|(host, own)| {
            let below = match host {
                HostPattern::Exact(name) | HostPattern::Below(name) => Some(name),
                HostPattern::Any => None,
            };
            let wider = below
                .into_iter()
                .flat_map(|name| self.hosts.wider(Some(name)));
            let tables = reachable(std::iter::once(own).chain(wider));
            let prefixes = prefixes(&tables);
            (!prefixes.is_empty()).then_some(HostOutline { host, prefixes })
        })
    }
}

/// Those of the tables that a request can come to: none after one that
/// decides about every path.
fn reachable<'t>(tables: impl Iterator<Item = &'t PathTable>) -> Vec<&'t PathTable> {
    let mut reached = Vec::new();
    for table in tables {
        reached.push(table);
        if table.decides_all() {
            break;
        }
    }
    reached
}

fn prefixes<'t>(tables: &[&'t PathTable]) -> Vec<PrefixOutline<'t>> {
    let mut known: Vec<&str> = tables.iter().flat_map(|table| table.prefixes()).collect();
    // A prefix comes right before all that it is a prefix of.
    known.sort_unstable_by(|a, b| a.split('/').cmp(b.split('/')));
    known.dedup();
    let mut outlined: Vec<(&str, Vec<&Entry>)> = Vec::new();
    // The known prefixes of the one that is looked at, by place.
    let mut open: Vec<usize> = Vec::new();
    for prefix in known {
        while let Some(&last) = open.last()
            && !outlined
                .get(last)
                .is_some_and(|(shorter, _)| starts_with_segments(prefix, shorter))
        {
            open.pop();
        }
        let entries = candidates(tables, prefix);
        let shorter = open.last().and_then(|&last| outlined.get(last));
        let same = shorter.map_or(entries.is_empty(), |(_, known)| {
            known.len() == entries.len()
                && known
                    .iter()
                    .zip(&entries)
                    .all(|(a, b)| std::ptr::eq(*a, *b))
        });
        if !same {
            open.push(outlined.len());
            outlined.push((prefix, entries));
        }
    }
    outlined.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    let outline = |(prefix, entries): (&'t str, Vec<&'t Entry>)| PrefixOutline {
        prefix,
        candidates: entries
            .into_iter()
            .map(|entry| Candidate {
                headers: &entry.headers,
                route: &entry.route,
            })
            .collect(),
    };
    outlined.into_iter().map(outline).collect()
}

/// The order in which [`RouteTable::lookup`] tries entries for a path of which
/// this is the longest known prefix.
fn candidates<'t>(tables: &[&'t PathTable], prefix: &str) -> Vec<&'t Entry> {
    let longest = tables.iter().filter_map(|table| table.longest(prefix));
    let shorter = tables.iter().flat_map(|table| table.shorter(prefix));
    let mut tried = Vec::new();
    for entry in longest.chain(shorter).flatten() {
        tried.push(entry);
        if entry.headers.is_empty() {
            break;
        }
    }
    tried
}
