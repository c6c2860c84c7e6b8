//! Building the route table: rules are expanded to hosts × paths and sorted
//! once, so that a look-up takes the first entry that matches.

use super::{RouteSpec, RouteTable, Rule, path::Entry};
use std::{cmp::Reverse, sync::Arc};

impl RouteTable {
    /// A table of these routes. Every spec is usable: what could be wrong
    /// with one was refused when it was read.
    #[must_use]
    pub fn build(specs: Vec<RouteSpec>) -> Self {
        let mut table = Self::default();
        for spec in specs {
            for rule in &spec.rules {
                table.add(&spec, rule);
            }
            table.routes.push(spec.route);
        }
        for paths in table.hosts.tables_mut() {
            paths
                .entries_mut()
                .for_each(|entries| entries.sort_by(by_precedence));
        }
        table
    }

    fn add(&mut self, spec: &RouteSpec, rule: &Rule) {
        let any = [String::new()];
        let hosts = if rule.hosts.is_empty() {
            &any[..]
        } else {
            &rule.hosts
        };
        let paths = if rule.paths.is_empty() {
            &any[..]
        } else {
            &rule.paths
        };
        for host in hosts {
            for path in paths {
                let entry = Entry {
                    headers: rule.headers.clone().into(),
                    route: Arc::clone(&spec.route),
                    created: spec.created,
                };
                self.hosts.table_mut(host).insert(path, entry);
            }
        }
    }
}

/// More headers first, then more headers with a value, then the oldest route,
/// then namespace and name in descending order.
fn by_precedence(a: &Entry, b: &Entry) -> std::cmp::Ordering {
    let key = |entry: &Entry| {
        let with_value = entry
            .headers
            .iter()
            .filter(|rule| rule.value.is_some())
            .count();
        (
            Reverse(entry.headers.len()),
            Reverse(with_value),
            entry.created,
        )
    };
    let id = |entry: &Entry| entry.route.target.id().clone();
    key(a).cmp(&key(b)).then_with(|| id(b).cmp(&id(a)))
}
