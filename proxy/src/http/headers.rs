//! Heads on their way through: which headers end at a hop, and what the next
//! hop is told about the client.

use crate::server::Transport;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, Version,
    header::{self, Entry},
    uri::{self, Authority, PathAndQuery, Scheme},
};
use http_body::Body;
use std::{net::SocketAddr, str::FromStr};

/// Set on each answer whose request went through the wait for an endpoint:
/// `true` if it had to wait. The name is the HTTP add-on's.
pub(crate) const COLD_START: HeaderName = HeaderName::from_static("x-keda-http-cold-start");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What ends at a hop although no `Connection` header names it.
const ALWAYS_STRIPPED: [HeaderName; 4] = [
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    KEEP_ALIVE,
    PROXY_CONNECTION,
];

/// The authority a request is for, as the client wrote it: the request
/// target's if it has one (RFC 9112 section 3.2.2, RFC 9113 section 8.3.1),
/// else the Host header's.
///
/// # Errors
/// Says what is wrong with the request's Host headers.
pub(crate) fn authority<B>(request: &Request<B>) -> Result<&str, &'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("several Host headers");
    }
    if let Some(authority) = request.uri().authority() {
        return Ok(authority.as_str());
    }
    match host {
        Some(host) => host.to_str().map_err(|_| "a Host header that is not ASCII"),
        // HTTP/1.0 had no Host; only routes for any host match.
        None if request.version() < Version::HTTP_11 => Ok(""),
        None => Err("no Host header"),
    }
}

/// Removes what is meant for one hop only (RFC 9110 section 7.6.1): the
/// headers that `Connection` names, and those that always are.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // One look at the names that are there costs less than a look-up for each
    // that could be: most messages have one of them, or none.
    let (mut connection, mut te, mut others) = (false, false, false);
    for name in headers.keys() {
        connection |= name == header::CONNECTION;
        te |= name == header::TE;
        others |= ALWAYS_STRIPPED.contains(name);
    }
    if connection {
        strip_named_by_connection(headers);
    }
    if others {
        for name in ALWAYS_STRIPPED {
            headers.remove(name);
        }
    }
    // `TE: trailers` is the one value that a proxy passes on (gRPC needs it).
    if te
        && let Entry::Occupied(te) = headers.entry(header::TE)
        && te.get().as_bytes() != b"trailers"
    {
        te.remove();
    }
}

/// Likewise, but leaves which protocols are offered or chosen (RFC 9110
/// section 7.8).
#[cold]
pub(crate) fn strip_all_but_upgrade(headers: &mut HeaderMap) {
    let protocols = headers.get_all(header::UPGRADE);
    let protocols: Vec<HeaderValue> = protocols.iter().cloned().collect();
    strip_hop_by_hop(headers);
    if !protocols.is_empty() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    for protocol in protocols {
        headers.append(header::UPGRADE, protocol);
    }
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
/// no hop-by-hop headers but those that ask to switch protocols, the client's
/// address appended. Says whether it does ask.
pub(crate) fn rewrite_request<B>(
    request: &mut Request<B>,
    client_ip: &HeaderValue,
    transport: Transport,
) -> bool {
    let asks_upgrade = asks_upgrade(request);
    if let Some(authority) = request.uri().authority() {
        // Absolute form, or HTTP/2: the authority is the Host.
        if let Ok(host) = HeaderValue::from_str(without_userinfo(authority.as_str())) {
            request.headers_mut().insert(header::HOST, host);
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    }
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    if asks_upgrade {
        strip_all_but_upgrade(headers);
    } else {
        strip_hop_by_hop(headers);
    }
    merge_cookies(headers);
    match headers.entry(FORWARDED_FOR) {
        Entry::Vacant(entry) => {
            entry.insert(client_ip.clone());
        }
        Entry::Occupied(entry) => {
            let given: Vec<&[u8]> = entry.iter().map(HeaderValue::as_bytes).collect();
            let mut all = given.join(&b", "[..]);
            all.extend_from_slice(b", ");
            all.extend_from_slice(client_ip.as_bytes());
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
        entry.insert(HeaderValue::from_static(match transport {
            Transport::Clear => "http",
            Transport::Tls => "https",
        }));
    }
    asks_upgrade
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
        Some(host) if !host.is_empty() => {
            let host = host.to_str().unwrap_or_default();
            Authority::from_str(without_userinfo(host))
        }
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

/// Takes back [`to_http2`].
#[cold]
pub(crate) fn to_http1<B: Body>(request: &mut Request<B>) {
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    *request.version_mut() = Version::HTTP_11;
    if !request.body().is_end_stream() {
        frame_body(request);
    }
}

/// HTTP/2 clients may split a Cookie header; HTTP/1.1 allows just one (RFC
/// 9113 section 8.2.3).
fn merge_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
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

fn without_userinfo(authority: &str) -> &str {
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
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
    fn the_endpoint_learns_who_asked() {
        let mut request = request(&[("host", "a.test:8080")]);
        rewrite_request(
            &mut request,
            &HeaderValue::from_static("10.0.0.9"),
            Transport::Clear,
        );
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
    fn earlier_hops_are_kept_and_ours_is_appended() {
        let mut request = request(&[
            ("host", "a.test"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
            ("x-forwarded-for", "3.3.3.3"),
            ("x-forwarded-host", "outside.test"),
            ("x-forwarded-proto", "https"),
        ]);
        rewrite_request(
            &mut request,
            &HeaderValue::from_static("10.0.0.9"),
            Transport::Clear,
        );
        assert_eq!(
            shown(request.headers()),
            [
                "host: a.test",
                "x-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.9",
                "x-forwarded-host: outside.test",
                "x-forwarded-proto: https"
            ]
        );
    }

    #[test]
    fn absolute_form_becomes_origin_form_and_wins_over_host() {
        let mut request = request(&[("host", "other.test"), ("cookie", "a=1"), ("cookie", "b=2")]);
        *request.uri_mut() = Uri::from_static("http://a.test:81/x/y?z=1");
        assert_eq!(authority(&request), Ok("a.test:81"));
        rewrite_request(
            &mut request,
            &HeaderValue::from_static("::1"),
            Transport::Clear,
        );
        assert_eq!(request.uri(), "/x/y?z=1");
        assert_eq!(request.headers()[header::HOST], "a.test:81");
        assert_eq!(request.headers()[header::COOKIE], "a=1; b=2");
    }

    #[test]
    fn to_an_http2_endpoint_and_back() {
        let endpoint = ([10, 0, 0, 1], 50051).into();
        let client_ip = HeaderValue::from_static("::1");
        let mut there = request(&[("host", "a.test:81"), ("te", "trailers")])
            .map(|()| http_body_util::Full::new(bytes::Bytes::from_static(b"body")));
        *there.uri_mut() = Uri::from_static("/x/y?z=1");
        rewrite_request(&mut there, &client_ip, Transport::Clear);
        frame_body(&mut there);
        let before = (there.uri().clone(), shown(there.headers()));
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
        to_http1(&mut there);
        assert_eq!((there.uri().clone(), shown(there.headers())), before);
        assert_eq!(there.version(), Version::HTTP_11);

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

    #[test]
    fn the_host_must_be_one() {
        assert_eq!(
            authority(&request(&[("host", "a"), ("host", "a")])),
            Err("several Host headers")
        );
        assert_eq!(authority(&request(&[])), Err("no Host header"));
        let mut old = request(&[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(authority(&old), Ok(""));
    }
}
