//! Paths in Envoy's words.
//!
//! Our table compares decoded paths without leading slashes; Envoy compares
//! them as they are. The two agree on a path whose first segments, as many as
//! the longest known prefix has, are not encoded and that begins with one
//! slash. All others ([`undecided`]) are for our proxy to decide.

use envoy_types::pb::envoy::{
    config::route::v3::{RouteMatch, route_match::PathSpecifier},
    r#type::matcher::v3::RegexMatcher,
};

/// Deeper prefixes than this: every path with a percent sign is undecided, as
/// Envoy bounds the size of a pattern.
const MOST_SEGMENTS: usize = 6;

/// Can a path that is not encoded have this prefix?
pub(super) fn is_plain(prefix: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'?' | b'#');
    prefix.bytes().all(is_plain)
}

/// Paths with this prefix, by whole segments.
pub(super) fn below(prefix: &str) -> RouteMatch {
    let specifier = if prefix.is_empty() {
        // Any, `*` of OPTIONS among them.
        PathSpecifier::Prefix(String::new())
    } else {
        PathSpecifier::PathSeparatedPrefix(format!("/{prefix}"))
    };
    RouteMatch {
        path_specifier: Some(specifier),
        ..RouteMatch::default()
    }
}

/// Paths of which Envoy cannot tell which of prefixes of up to so many
/// segments they have.
pub(super) fn undecided(segments: usize) -> RouteMatch {
    let encoded = if segments > MOST_SEGMENTS {
        ".*%.*".to_owned()
    } else {
        format!("(?:/[^/%]*){{0,{}}}/[^/%]*%.*", segments.saturating_sub(1))
    };
    let regex = format!("//.*|{encoded}");
    RouteMatch {
        path_specifier: Some(PathSpecifier::SafeRegex(RegexMatcher {
            regex,
            ..RegexMatcher::default()
        })),
        ..RouteMatch::default()
    }
}
