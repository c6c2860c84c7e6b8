//! What is meant for one hop only: found in one look at a head, and taken out.
//!
//! Called where a head goes from one connection to the other.

use super::{forwarded, trailers};
use crate::server::FORWARDED_FOR;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What ends at a hop although no `Connection` header names it.
const ALWAYS_STRIPPED: [HeaderName; 4] = [
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    KEEP_ALIVE,
    PROXY_CONNECTION,
];

/// Which of the headers that need a hand are there.
///
/// One look at the names that are there costs less than a look-up for each
/// that could be: most messages have one of them, or none. And a length tells
/// most of them apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Present {
    connection: bool,
    te: bool,
    pub(super) upgrade: bool,
    /// `Keep-Alive`, `Proxy-Connection` or `Transfer-Encoding`.
    others: bool,
    /// Something of `X-Forwarded-`.
    pub(super) forwarded: bool,
}

impl Present {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            match name.as_str().len() {
                2 => present.te |= name == header::TE,
                7 => present.upgrade |= name == header::UPGRADE,
                10 => {
                    present.connection |= name == header::CONNECTION;
                    present.others |= name == KEEP_ALIVE;
                }
                15 => present.forwarded |= name == FORWARDED_FOR,
                16 => {
                    present.others |= name == PROXY_CONNECTION;
                    present.forwarded |= name == forwarded::HOST || name == forwarded::PORT;
                }
                17 => {
                    present.others |= name == header::TRANSFER_ENCODING;
                    present.forwarded |= name == forwarded::PROTO;
                }
                _ => {}
            }
        }
        present
    }
}

/// Removes what is meant for one hop only (RFC 9110 section 7.6.1): the
/// headers that `Connection` names, and those that always are. Says whether
/// `TE: trailers` is left, the one such thing that a proxy passes on (gRPC
/// needs it).
pub(crate) fn strip(headers: &mut HeaderMap) -> bool {
    let present = Present::of(headers);
    strip_present(headers, present)
}

/// Likewise, in headers that were looked at already.
pub(super) fn strip_present(headers: &mut HeaderMap, present: Present) -> bool {
    let Present { connection, te, .. } = present;
    // Connection may name TE, and should.
    let trailers = te && trailers::are_accepted(headers);
    if connection {
        strip_named_by_connection(headers);
    }
    if present.upgrade || present.others {
        for name in ALWAYS_STRIPPED {
            headers.remove(name);
        }
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    } else if te {
        headers.remove(header::TE);
    }
    trailers
}

/// As [`strip`], but leaves which protocols are offered or chosen (RFC 9110
/// section 7.8).
#[cold]
pub(crate) fn strip_all_but_upgrade(headers: &mut HeaderMap) -> bool {
    let protocols = headers.get_all(header::UPGRADE);
    let protocols: Vec<HeaderValue> = protocols.iter().cloned().collect();
    let trailers = strip(headers);
    if !protocols.is_empty() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    for protocol in protocols {
        headers.append(header::UPGRADE, protocol);
    }
    trailers
}

/// Does the client ask to switch to a protocol that may pass through us? Only
/// HTTP/1.1 has such a thing.
///
/// To `h2c` it may not: what follows would be requests that no route has seen.
/// That one is obsolete (RFC 9113 section 3.1), and may be ignored like any.
pub(super) fn asks_upgrade<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let has = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(name).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let mut tokens = texts.flat_map(|text| text.split(','));
        tokens.any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    request.version() == Version::HTTP_11
        && headers.contains_key(header::UPGRADE)
        && has(header::CONNECTION, "upgrade")
        && !has(header::UPGRADE, "h2c")
}

fn strip_named_by_connection(headers: &mut HeaderMap) {
    // The usual one, which names no header.
    let usual = |value: &HeaderValue| {
        let value = value.as_bytes();
        value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
    };
    if headers.get_all(header::CONNECTION).iter().all(usual) {
        headers.remove(header::CONNECTION);
        return;
    }
    let values: Vec<HeaderValue> = headers
        .get_all(header::CONNECTION)
        .iter()
        .cloned()
        .collect();
    headers.remove(header::CONNECTION);
    let tokens = values.iter().filter_map(|value| value.to_str().ok());
    for token in tokens.flat_map(|value| value.split(',')) {
        let Ok(name) = HeaderName::from_bytes(token.trim().as_bytes()) else {
            continue;
        };
        // A client must not make us drop what we or the endpoint rely on.
        if name != header::HOST && name != header::CONTENT_LENGTH {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::new(());
        for &(name, value) in lines {
            request.headers_mut().append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        request
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        let mut request = request(&[
            ("host", "a.test"),
            ("connection", "close, X-Mine"),
            ("connection", "host, content-length"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("content-length", "3"),
            ("x-other", "2"),
        ]);
        strip(request.headers_mut());
        assert_eq!(
            shown(request.headers()),
            ["content-length: 3", "host: a.test", "x-other: 2"]
        );
    }

    #[test]
    fn a_wish_to_switch_protocols_passes_and_nothing_else_with_it() {
        let mut request = request(&[
            ("host", "a.test"),
            ("connection", "keep-alive"),
            ("connection", "X-Mine , UPGRADE"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("upgrade", "WebSocket"),
            ("upgrade", "foo/2"),
            ("sec-websocket-version", "13"),
        ]);
        assert!(asks_upgrade(&request));
        strip_all_but_upgrade(request.headers_mut());
        assert_eq!(
            shown(request.headers()),
            [
                "connection: upgrade",
                "host: a.test",
                "sec-websocket-version: 13",
                "upgrade: WebSocket",
                "upgrade: foo/2"
            ]
        );
    }

    #[test]
    fn not_every_upgrade_header_asks_for_something_we_pass() {
        let asks = |connection, upgrade, version| {
            let mut request = request(&[("connection", connection), ("upgrade", upgrade)]);
            *request.version_mut() = version;
            asks_upgrade(&request)
        };
        assert!(asks("upgrade", "websocket", Version::HTTP_11));
        assert!(!asks("upgrade", "websocket", Version::HTTP_10));
        assert!(!asks("upgrade", "websocket", Version::HTTP_2));
        assert!(!asks("keep-alive", "websocket", Version::HTTP_11));
        assert!(!asks("upgrade", "websocket, H2C", Version::HTTP_11));
        assert!(!asks_upgrade(&request(&[("connection", "upgrade")])));
    }

    #[test]
    fn te_trailers_stays() {
        let mut request = request(&[("te", "trailers")]);
        strip(request.headers_mut());
        assert_eq!(shown(request.headers()), ["te: trailers"]);
    }
}
