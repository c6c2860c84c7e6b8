//! Header rules in Envoy's words.
//!
//! Of a header that is there several times our table looks at each value;
//! Envoy looks at all of them, joined with commas. Where a joined value could
//! be either, [`Matchers::unsure`] takes it, for our proxy to decide.

use envoy_types::pb::envoy::{
    config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
    r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};
use proxy::route::HeaderRule;

/// The rules of one candidate.
#[derive(Debug, Default)]
pub(super) struct Matchers {
    /// All hold for certain; `None`: Envoy cannot tell.
    pub(super) certain: Option<Vec<HeaderMatcher>>,
    /// All may hold; `None`: what is not certain does not hold.
    pub(super) unsure: Option<Vec<HeaderMatcher>>,
}

impl Matchers {
    pub(super) fn of(rules: &[HeaderRule]) -> Self {
        let (mut certain, mut unsure) = (Some(Vec::new()), Vec::new());
        let mut has_value = false;
        for rule in rules {
            let name = rule.name.as_str();
            let Some(value) = &rule.value else {
                certain.iter_mut().for_each(|all| all.push(present(name)));
                unsure.push(present(name));
                continue;
            };
            has_value = true;
            match value.to_str() {
                Ok(value) if !value.is_empty() && !value.contains(',') => {
                    let exact = MatchPattern::Exact(value.to_owned());
                    let contains = MatchPattern::Contains(value.to_owned());
                    certain
                        .iter_mut()
                        .for_each(|all| all.push(text(name, exact.clone())));
                    unsure.push(text(name, contains));
                }
                _ => {
                    certain = None;
                    unsure.push(present(name));
                }
            }
        }
        Self {
            certain,
            unsure: has_value.then_some(unsure),
        }
    }
}

/// A request to switch protocols.
pub(super) fn upgrade() -> HeaderMatcher {
    present("upgrade")
}

fn present(name: &str) -> HeaderMatcher {
    matcher(name, HeaderMatchSpecifier::PresentMatch(true))
}

fn text(name: &str, pattern: MatchPattern) -> HeaderMatcher {
    let text = StringMatcher {
        match_pattern: Some(pattern),
        ..StringMatcher::default()
    };
    matcher(name, HeaderMatchSpecifier::StringMatch(text))
}

fn matcher(name: &str, specifier: HeaderMatchSpecifier) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    }
}

/// Requests whose method may be sent again after bytes of it were (RFC 9110
/// section 9.2.2), or those of all other methods.
pub(super) fn idempotent(is: bool) -> HeaderMatcher {
    use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;
    let methods = MatchPattern::SafeRegex(RegexMatcher {
        regex: "GET|HEAD|PUT|DELETE|OPTIONS|TRACE".to_owned(),
        ..RegexMatcher::default()
    });
    HeaderMatcher {
        invert_match: !is,
        ..text(":method", methods)
    }
}
