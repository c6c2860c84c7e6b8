//! Which hosts a refusal seems to speak of: those that contain what it quotes,
//! and those of domains that it names.
//!
//! Used by [`super::search`] to look there first; with ten thousand hosts a
//! try costs an Envoy a second. It decides nothing: reasons are texts for
//! people.

use crate::xds::Host;
use memchr::memmem::Finder;
use std::collections::HashSet;

/// Shorter quotes say nothing.
const LEAST_QUOTE: usize = 4;
/// Envoy quotes one or two things.
const MOST_QUOTES: usize = 4;

/// What a reason speaks of.
#[derive(Debug)]
pub(super) struct Hint<'r> {
    quotes: Vec<Finder<'r>>,
    words: HashSet<&'r str>,
}

impl<'r> Hint<'r> {
    /// Of a refusal with this reason.
    pub(super) fn of(reason: &'r str) -> Self {
        let quotes = reason.split('\'').skip(1).step_by(2);
        let quotes = quotes.filter(|quote| quote.len() >= LEAST_QUOTE);
        let words = reason.split(|sign: char| sign.is_whitespace() || "'\",;()".contains(sign));
        Self {
            quotes: quotes.take(MOST_QUOTES).map(Finder::new).collect(),
            words: words.filter(|word| !word.is_empty()).collect(),
        }
    }

    /// Does it speak of this one?
    pub(super) fn names(&self, host: &Host) -> bool {
        let domains = host.domains().iter();
        let is_quoted = |quote: &Finder<'_>| quote.find(host.field()).is_some();
        self.quotes.iter().any(is_quoted)
            || domains
                .map(String::as_str)
                .any(|domain| self.words.contains(domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::route::v3::VirtualHost;

    #[test]
    fn it_speaks_of_whom_it_quotes_or_names() {
        let host = |name: &str, domain: &str| {
            Host::new(VirtualHost {
                name: name.to_owned(),
                domains: vec![domain.to_owned()],
                ..VirtualHost::default()
            })
        };
        let (one, other) = (host("/a[^/]*", "a.test"), host("/b", "b.test"));
        for (reason, wanted) in [
            ("regex '/a[^/]*' RE2 program size of 43", [true, false]),
            ("Duplicate entry of domain b.test", [false, true]),
            ("domains 'a.test', 'b.test'", [true, true]),
            ("no more than '/b' of them", [false, false]),
            ("xa.test, it's bad", [false, false]),
            ("'", [false, false]),
            ("", [false, false]),
        ] {
            let hint = Hint::of(reason);
            assert_eq!([hint.names(&one), hint.names(&other)], wanted, "{reason}");
        }
    }
}
