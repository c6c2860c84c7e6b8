//! Requests as endpoints get them: the form of the target, the framing of the
//! body, and what else HTTP/1.1 and HTTP/2 say in different ways.

use super::{forwarded, hop};
use crate::server::Peer;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, Version, header,
    uri::{self, Authority, PathAndQuery, Scheme},
};
use std::{net::SocketAddr, str::FromStr};

/// Set on each answer whose request went through the wait for an endpoint:
/// `true` if it had to wait. The name is the HTTP add-on's.
pub(crate) const COLD_START: HeaderName = HeaderName::from_static("x-keda-http-cold-start");

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
/// `peer` is about if it is trusted; for a stranger, see
/// [`forwarded::of_stranger`]. Says
/// what it asks for.
pub(crate) fn rewrite_request<B>(request: &mut Request<B>, peer: &Peer) -> Asked {
    let present = hop::Present::of(request.headers());
    let asks_upgrade = present.upgrade && hop::asks_upgrade(request);
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
        hop::strip_all_but_upgrade(headers)
    } else {
        hop::strip_present(headers, present)
    };
    if asks_trailers {
        // RFC 9110 section 10.1.4.
        headers.append(header::CONNECTION, HeaderValue::from_static("te"));
    }
    merge_cookies(headers);
    if peer.is_trusted {
        forwarded::name_trusted(headers, peer);
    } else if present.forwarded {
        forwarded::forget(headers);
    }
    Asked {
        upgrade: asks_upgrade,
        trailers: asks_trailers,
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
            forwarded::name_stranger(request.headers_mut(), peer);
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
