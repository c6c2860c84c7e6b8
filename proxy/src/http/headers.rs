//! Heads on their way through: which headers end at a hop, and what the next
//! hop is told about the client.

use super::trailers;
use crate::server::{FORWARDED_FOR, Peer};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, Version,
    header::{self, Entry},
    uri::{self, Authority, PathAndQuery, Scheme},
};
use std::{net::SocketAddr, str::FromStr};

/// Set on each answer whose request went through the wait for an endpoint:
/// `true` if it had to wait. The name is the HTTP add-on's.
pub(crate) const COLD_START: HeaderName = HeaderName::from_static("x-keda-http-cold-start");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What ends at a hop although no `Connection` header names it.
const ALWAYS_STRIPPED: [HeaderName; 4] = [
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    KEEP_ALIVE,
    PROXY_CONNECTION,
];

/// The authority of a request that was found to be sound.
pub(crate) fn authority<B>(request: &Request<B>) -> &str {
    if let Some(authority) = request.uri().authority() {
        return authority.as_str();
    }
    let host = request.headers().get(header::HOST);
    host.and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// Is any field there more than once? Costs less than to look for a certain
/// one.
fn has_repetitions(headers: &HeaderMap) -> bool {
    headers.len() != headers.keys_len()
}

/// Does the client, which speaks `version`, wait to be asked for the body of its
/// request? HTTP/1.0 knows nothing of that, so an endpoint must not be told
/// otherwise (RFC 9110 section 10.1.1).
pub(crate) fn expects_continue<B>(request: &mut Request<B>, version: Version) -> bool {
    let headers = request.headers_mut();
    if version < Version::HTTP_11 {
        headers.remove(header::EXPECT);
        return false;
    }
    headers.contains_key(header::EXPECT)
}

/// Can the request's expectations be met? There is just one that has a meaning
/// (RFC 9110 section 10.1.1), which HTTP/1.0 does not have: there, it is ignored.
///
/// When `100-continue` is met is up to the endpoint; over HTTP/1.1, hyper tells
/// the client when its body is first wanted.
pub(crate) fn check_expectation<B>(request: &Request<B>) -> Result<(), ()> {
    // Seldom there, and to compare with a few names costs less than a look-up.
    let is_there = request.headers().keys().any(|name| name == header::EXPECT);
    if !is_there || request.version() < Version::HTTP_11 {
        return Ok(());
    }
    let mut values = request.headers().get_all(header::EXPECT).iter();
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if values.all(is_known) {
        Ok(())
    } else {
        Err(())
    }
}

/// Which of the headers that need a hand are there.
///
/// One look at the names that are there costs less than a look-up for each
/// that could be: most messages have one of them, or none. And a length tells
/// most of them apart.
#[derive(Clone, Copy, Debug, Default)]
struct Present {
    connection: bool,
    te: bool,
    upgrade: bool,
    /// `Keep-Alive`, `Proxy-Connection` or `Transfer-Encoding`.
    others: bool,
    /// Something of `X-Forwarded-`.
    forwarded: bool,
}

impl Present {
    fn of(headers: &HeaderMap) -> Self {
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
                    present.forwarded |= name == FORWARDED_HOST || name == FORWARDED_PORT;
                }
                17 => {
                    present.others |= name == header::TRANSFER_ENCODING;
                    present.forwarded |= name == FORWARDED_PROTO;
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
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) -> bool {
    let present = Present::of(headers);
    strip(headers, present)
}

fn strip(headers: &mut HeaderMap, present: Present) -> bool {
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

/// As [`strip_hop_by_hop`], but leaves which protocols are offered or chosen (RFC 9110
/// section 7.8).
#[cold]
pub(crate) fn strip_all_but_upgrade(headers: &mut HeaderMap) -> bool {
    let protocols = headers.get_all(header::UPGRADE);
    let protocols: Vec<HeaderValue> = protocols.iter().cloned().collect();
    let trailers = strip_hop_by_hop(headers);
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
fn asks_upgrade<B>(request: &Request<B>) -> bool {
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

/// Does the client, as far as we are told, use TLS?
pub(crate) fn came_by_tls(headers: &HeaderMap, peer: &Peer) -> bool {
    let proto = match headers.get(FORWARDED_PROTO) {
        Some(proto) if peer.is_trusted => proto,
        _ => peer.transport.scheme_value(),
    };
    proto.as_bytes().eq_ignore_ascii_case(b"https")
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

/// What a client asks for that concerns its own connection as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// To switch protocols.
    pub(crate) upgrade: bool,
    /// For trailers.
    pub(crate) trailers: bool,
}

/// Says that the body of `request` is chunked, unless its length is known.
/// Left to itself, hyper drops such a body where the method rarely has one.
pub(crate) fn frame_body<B>(request: &mut Request<B>) {
    let headers = request.headers_mut();
    if !headers.contains_key(header::CONTENT_LENGTH) {
        let chunked = HeaderValue::from_static("chunked");
        headers.insert(header::TRANSFER_ENCODING, chunked);
    }
}

/// Makes `request` one to an HTTP/1.1 endpoint: origin form, a Host header,
/// no hop-by-hop headers but those that ask to switch protocols, and what
/// `peer` is about if it is trusted; for a stranger, see [`of_stranger`]. Says
/// what it asks for.
pub(crate) fn rewrite_request<B>(request: &mut Request<B>, peer: &Peer) -> Asked {
    let present = Present::of(request.headers());
    let asks_upgrade = present.upgrade && asks_upgrade(request);
    if let Some(authority) = request.uri().authority() {
        // Absolute form, or HTTP/2: the authority is the Host.
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            request.headers_mut().insert(header::HOST, host);
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    }
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    let asks_trailers = if asks_upgrade {
        strip_all_but_upgrade(headers)
    } else {
        strip(headers, present)
    };
    if asks_trailers {
        // RFC 9110 section 10.1.4.
        headers.append(header::CONNECTION, HeaderValue::from_static("te"));
    }
    merge_cookies(headers);
    if peer.is_trusted {
        forward_trusted(headers, peer);
    } else if present.forwarded {
        forget_forwarded(headers);
    }
    Asked {
        upgrade: asks_upgrade,
        trailers: asks_trailers,
    }
}

/// What a stranger says about earlier hops is not passed on.
pub(crate) fn forget_forwarded(headers: &mut HeaderMap) {
    for name in [
        FORWARDED_FOR,
        FORWARDED_HOST,
        FORWARDED_PROTO,
        FORWARDED_PORT,
    ] {
        headers.remove(name);
    }
}

/// What the endpoint is told about a stranger's request, whose headers say
/// nothing of it.
pub(crate) fn of_stranger<'h>(
    headers: &'h HeaderMap,
    peer: &'h Peer,
) -> impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)> {
    static FOR: HeaderName = FORWARDED_FOR;
    static HOST: HeaderName = FORWARDED_HOST;
    static PROTO: HeaderName = FORWARDED_PROTO;
    let host = headers.get(header::HOST).map(|host| (&HOST, host));
    let always: [(&'h HeaderName, &'h HeaderValue); 2] =
        [(&FOR, &peer.ip), (&PROTO, peer.transport.scheme_value())];
    always.into_iter().chain(host)
}

/// Likewise, in the headers themselves.
pub(crate) fn name_stranger(headers: &mut HeaderMap, peer: &Peer) {
    let fields: Vec<_> = of_stranger(headers, peer)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    headers.extend(fields);
}

/// Tells the endpoint who asks through a trusted peer: what that says about
/// earlier hops stays, with its own address appended. `Forwarded` (RFC 7239)
/// is not ours and passes through.
fn forward_trusted(headers: &mut HeaderMap, peer: &Peer) {
    match headers.entry(FORWARDED_FOR) {
        Entry::Vacant(entry) => {
            entry.insert(peer.ip.clone());
        }
        Entry::Occupied(entry) => {
            let given: Vec<&[u8]> = entry.iter().map(HeaderValue::as_bytes).collect();
            let mut all = given.join(&b", "[..]);
            all.extend_from_slice(b", ");
            all.extend_from_slice(peer.ip.as_bytes());
            if let Ok(all) = HeaderValue::from_bytes(&all) {
                headers.insert(FORWARDED_FOR, all);
            }
        }
    }
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(FORWARDED_HOST, host);
    }
    if let Entry::Vacant(entry) = headers.entry(FORWARDED_PROTO) {
        entry.insert(peer.transport.scheme_value().clone());
    }
}

/// Makes a request to an HTTP/1.1 endpoint one to an HTTP/2 endpoint at
/// `endpoint` (RFC 9113 sections 8.2.2 and 8.3.1): the Host header becomes the
/// authority, and nothing frames the body. A client that named no host means
/// whoever is there.
///
/// # Errors
/// Says what is wrong with the request's Host header.
pub(crate) fn to_http2<B>(
    request: &mut Request<B>,
    endpoint: SocketAddr,
    scheme: Scheme,
) -> Result<(), &'static str> {
    let headers = request.headers_mut();
    for name in [
        header::CONNECTION,
        header::UPGRADE,
        header::TRANSFER_ENCODING,
    ] {
        headers.remove(name);
    }
    let authority = match headers.remove(header::HOST) {
        Some(host) if !host.is_empty() => Authority::from_str(host.to_str().unwrap_or_default()),
        _ => Authority::from_str(&endpoint.to_string()),
    };
    let mut parts = uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority.map_err(|_| "a Host header that is no authority")?);
    let path = request.uri().path_and_query().cloned();
    parts.path_and_query = Some(path.unwrap_or(PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| "a request target without a path")?;
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// Copies what of `request` lies in the buffer that its head was read into: a
/// request that waits would keep 8 KiB alive for some hundred bytes.
#[cold]
pub(crate) fn let_go_of_buffer<B>(request: &mut Request<B>) {
    let headers = request.headers_mut();
    let values: Vec<&[u8]> = headers.values().map(HeaderValue::as_bytes).collect();
    let mut copies = Bytes::from(values.concat());
    for value in headers.values_mut() {
        let copy = copies.split_to(value.len());
        if let Ok(copy) = HeaderValue::from_maybe_shared(copy) {
            *value = copy;
        }
    }
    if let Some(target) = request.uri().path_and_query() {
        let copy = Bytes::copy_from_slice(target.as_str().as_bytes());
        if let Ok(copy) = PathAndQuery::from_maybe_shared(copy) {
            *request.uri_mut() = Uri::from(copy);
        }
    }
}

/// HTTP/2 clients may split a Cookie header; HTTP/1.1 allows just one (RFC
/// 9113 section 8.2.3).
fn merge_cookies(headers: &mut HeaderMap) {
    if !has_repetitions(headers) {
        return;
    }
    let is_split = headers.get_all(header::COOKIE).iter().nth(1).is_some();
    if !is_split {
        return;
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(one) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Transport;

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

    fn peer(ip: &str, is_trusted: bool) -> Peer {
        Peer {
            addr: SocketAddr::new(ip.parse().expect("an address"), 4711),
            ip: HeaderValue::from_str(ip).expect("a value"),
            is_trusted,
            transport: Transport::Clear,
        }
    }

    /// The request as an HTTP/1.1 endpoint gets it.
    fn rewrite<B>(request: &mut Request<B>, peer: &Peer) -> Asked {
        let asked = rewrite_request(request, peer);
        if !peer.is_trusted {
            name_stranger(request.headers_mut(), peer);
        }
        asked
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
        strip_hop_by_hop(request.headers_mut());
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
        strip_hop_by_hop(request.headers_mut());
        assert_eq!(shown(request.headers()), ["te: trailers"]);
    }

    #[test]
    fn a_request_that_waits_lets_go_of_what_it_was_read_into() {
        for target in ["/a/b?c=d", "*"] {
            let buffer = Bytes::from(format!("{target} a.test 1 2"));
            let part = |text: &str| {
                let at = buffer
                    .windows(text.len())
                    .position(|w| w == text.as_bytes());
                let at = at.expect("a part of it");
                buffer.slice(at..at + text.len())
            };
            let mut request = Request::new(());
            let path = PathAndQuery::from_maybe_shared(part(target)).expect("a target");
            *request.uri_mut() = Uri::from(path);
            for (name, value) in [("host", "a.test"), ("x-many", "1"), ("x-many", "2")] {
                let value = HeaderValue::from_maybe_shared(part(value)).expect("a value");
                request
                    .headers_mut()
                    .append(HeaderName::from_static(name), value);
            }
            let before = (request.uri().clone().to_string(), shown(request.headers()));
            assert!(!buffer.is_unique());
            let_go_of_buffer(&mut request);
            assert!(buffer.is_unique());
            let after = (request.uri().to_string(), shown(request.headers()));
            assert_eq!(after, before);
        }
    }

    #[test]
    fn the_endpoint_learns_who_asked() {
        let mut request = request(&[("host", "a.test:8080")]);
        rewrite(&mut request, &peer("10.0.0.9", false));
        assert_eq!(
            shown(request.headers()),
            [
                "host: a.test:8080",
                "x-forwarded-for: 10.0.0.9",
                "x-forwarded-host: a.test:8080",
                "x-forwarded-proto: http"
            ]
        );
    }

    #[test]
    fn earlier_hops_of_a_trusted_peer_are_kept_and_it_is_appended() {
        let mut request = request(&[
            ("host", "a.test"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
            ("x-forwarded-for", "3.3.3.3"),
            ("x-forwarded-host", "outside.test"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "8443"),
            ("forwarded", "for=1.1.1.1"),
        ]);
        rewrite(&mut request, &peer("10.0.0.9", true));
        assert_eq!(
            shown(request.headers()),
            [
                "forwarded: for=1.1.1.1",
                "host: a.test",
                "x-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.9",
                "x-forwarded-host: outside.test",
                "x-forwarded-port: 8443",
                "x-forwarded-proto: https"
            ]
        );
    }

    #[test]
    fn what_a_stranger_says_about_earlier_hops_is_replaced() {
        let mut request = request(&[
            ("host", "a.test"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
            ("x-forwarded-for", "3.3.3.3"),
            ("x-forwarded-host", "outside.test"),
            ("x-forwarded-host", "twice.test"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "8443"),
            ("forwarded", "for=1.1.1.1"),
        ]);
        rewrite(&mut request, &peer("10.0.0.9", false));
        assert_eq!(
            shown(request.headers()),
            [
                "forwarded: for=1.1.1.1",
                "host: a.test",
                "x-forwarded-for: 10.0.0.9",
                "x-forwarded-host: a.test",
                "x-forwarded-proto: http"
            ]
        );
    }

    #[test]
    fn absolute_form_becomes_origin_form_and_wins_over_host() {
        let mut request = request(&[("host", "other.test"), ("cookie", "a=1"), ("cookie", "b=2")]);
        *request.uri_mut() = Uri::from_static("http://a.test:81/x/y?z=1");
        rewrite(&mut request, &peer("::1", false));
        assert_eq!(request.uri(), "/x/y?z=1");
        assert_eq!(request.headers()[header::HOST], "a.test:81");
        assert_eq!(request.headers()[header::COOKIE], "a=1; b=2");
    }

    #[test]
    fn to_an_http2_endpoint() {
        let endpoint = ([10, 0, 0, 1], 50051).into();
        let client = peer("::1", false);
        let mut there = request(&[("host", "a.test:81"), ("te", "trailers")])
            .map(|()| http_body_util::Full::new(bytes::Bytes::from_static(b"body")));
        *there.uri_mut() = Uri::from_static("/x/y?z=1");
        rewrite(&mut there, &client);
        frame_body(&mut there);
        to_http2(&mut there, endpoint, Scheme::HTTP).expect("a good host");
        assert_eq!(there.uri(), "http://a.test:81/x/y?z=1");
        assert_eq!(there.version(), Version::HTTP_2);
        assert_eq!(
            shown(there.headers()),
            [
                "te: trailers",
                "x-forwarded-for: ::1",
                "x-forwarded-host: a.test:81",
                "x-forwarded-proto: http"
            ]
        );

        let mut nobody = request(&[]);
        *nobody.uri_mut() = Uri::from_static("*");
        to_http2(&mut nobody, endpoint, Scheme::HTTP).expect("no host");
        let authority = nobody.uri().authority().map(Authority::as_str);
        assert_eq!(
            (authority, nobody.uri().path()),
            (Some("10.0.0.1:50051"), "*")
        );

        let mut odd = request(&[("host", "a b")]);
        to_http2(&mut odd, endpoint, Scheme::HTTP).expect_err("no authority");
    }
}
