//! What hyper lets through although an RFC forbids it: targets, hosts and
//! framing that the next hop could read in another way than we do.
//!
//! `forward` calls it once, before anything else looks at a request. It must
//! not repair anything: what is not sound is refused.

use crate::error::Refusal;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};
use http_body::Body;
use std::net::Ipv6Addr;

/// The authority a request is for, as the client wrote it: the request
/// target's if it has one (RFC 9112 section 3.2.2, RFC 9113 section 8.3.1),
/// else the Host header's. Empty if an old or careless client named none.
///
/// # Errors
/// Says what is wrong with the request: with its target, its Host, or what
/// frames its body.
pub(crate) fn authority<B: Body>(request: &Request<B>) -> Result<&str, Refusal> {
    check_target(request).map_err(Refusal::BadRequest)?;
    if !request.body().is_end_stream() {
        check_framing(request.version(), request.headers())?;
    }
    find_authority(request).map_err(Refusal::BadRequest)
}

/// The form of the target must be the method's (RFC 9112 section 3.2), and
/// all of it ASCII (RFC 3986).
fn check_target<B>(request: &Request<B>) -> Result<(), &'static str> {
    let uri = request.uri();
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    match target.as_bytes() {
        [b'/', ..] => {}
        // Of `http://a.test?x`; HTTP/2 has no such form.
        [b'?', ..] if uri.authority().is_some() && request.version() < Version::HTTP_2 => {}
        b"*" if *request.method() == Method::OPTIONS => {}
        b"*" => return Err("the target * is for OPTIONS only"),
        [] => return Err("a request target without a path"),
        _ => return Err("a request target that is no path"),
    }
    if !target.is_ascii() {
        return Err("a request target that is not ASCII");
    }
    Ok(())
}

/// Of several codings, or of one that nobody here knows, only `chunked` would
/// be undone on the way, and the rest lost (RFC 9112 section 6.1).
fn check_framing(version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    if version >= Version::HTTP_2 {
        // It passes on only the first that h2 looked at.
        let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
        return match (lengths.next(), lengths.next()) {
            (_, Some(_)) => Err(Refusal::BadRequest("several Content-Length headers")),
            _ => Ok(()),
        };
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(first) = codings.next() else {
        return Ok(());
    };
    let is_chunked = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if is_chunked(first.as_bytes()) && codings.next().is_none() {
        return Ok(());
    }
    let all = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut each = all.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    if each.all(|coding| is_chunked(coding) || coding.trim_ascii().is_empty()) {
        Err(Refusal::BadRequest("chunked more than once"))
    } else {
        Err(Refusal::UnknownCoding)
    }
}

fn find_authority<B>(request: &Request<B>) -> Result<&str, &'static str> {
    let is_http2 = request.version() >= Version::HTTP_2;
    if is_http2 && !request.headers().values().all(is_trimmed) {
        return Err("a header value that begins or ends with a space");
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("several Host headers");
    }
    let host = match host {
        Some(host) if is_host(host.as_bytes()) => host.to_str().ok(),
        Some(_) => return Err("a Host header that is no host"),
        None if request.version() == Version::HTTP_11 => return Err("no Host header"),
        None => None,
    };
    let uri = request.uri();
    let Some(authority) = uri.authority() else {
        // HTTP/1.0 had no Host; only routes for any host match.
        return Ok(host.unwrap_or_default());
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("a request target that is neither http nor https");
    }
    let authority = authority.as_str();
    if authority.is_empty() || !is_host(authority.as_bytes()) {
        return Err("a request target whose authority is no host");
    }
    // RFC 9113 section 8.3.1. In HTTP/1.1, the target just wins.
    if let Some(host) = host
        && is_http2
        && !is_same_host(host, authority, uri)
    {
        return Err("a Host header that is not the authority");
    }
    Ok(authority)
}

/// RFC 9113 section 8.2.1; in HTTP/1.1 such spaces belong to no value.
fn is_trimmed(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let value = value.as_bytes();
    !is_space(value.first()) && !is_space(value.last())
}

/// Do both name the same entity? The scheme's port may be left out.
fn is_same_host(one: &str, other: &str, uri: &Uri) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    let port = match uri.scheme_str() {
        Some("https") => ":443",
        _ => ":80",
    };
    let bare = |host| str::strip_suffix(host, port).unwrap_or(host);
    bare(one).eq_ignore_ascii_case(bare(other))
}

/// Bytes of a registered name (RFC 3986 section 3.2.2): unreserved, sub-delims
/// but the comma, which would make it look like two. `%` is looked at again.
const NAME_BYTES: [bool; 256] = {
    let mut known = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        known[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+;=%";
    let mut at = 0;
    while at < others.len() {
        known[others[at] as usize] = true;
        at += 1;
    }
    known
};

/// Is it `uri-host [ ":" port ]` (RFC 9110 section 7.2)? Nothing at all is one
/// too: the client had no host to name.
fn is_host(value: &[u8]) -> bool {
    let is_name = |byte: &u8| NAME_BYTES[usize::from(*byte)];
    // Nearly always, so without a branch for each.
    if value.iter().fold(true, |all, byte| all & is_name(byte)) {
        return is_well_encoded(value);
    }
    let end = value.iter().position(|byte| !is_name(byte));
    let end = end.unwrap_or(value.len());
    let (name, rest) = value.split_at(end);
    match rest {
        [b':', port @ ..] => !name.is_empty() && is_port(port) && is_well_encoded(name),
        [b'[', rest @ ..] if name.is_empty() => is_address_and_port(rest),
        _ => false,
    }
}

/// Two hexadecimal digits behind each percent sign.
fn is_well_encoded(name: &[u8]) -> bool {
    let mut parts = name.split(|&byte| byte == b'%').skip(1);
    parts.all(|part| {
        part.get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn is_port(digits: &[u8]) -> bool {
    if !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    // Nothing behind the colon is allowed (RFC 3986 section 3.2.3).
    let text = std::str::from_utf8(digits).unwrap_or_default();
    text.is_empty() || text.parse::<u16>().is_ok()
}

/// An IPv6 address without its first bracket, and perhaps a port.
fn is_address_and_port(rest: &[u8]) -> bool {
    let mut parts = rest.splitn(2, |&byte| byte == b']');
    let (address, behind) = (parts.next(), parts.next());
    let address = address.and_then(|address| std::str::from_utf8(address).ok());
    let is_address = address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    is_address
        && match behind {
            Some([]) => true,
            Some([b':', port @ ..]) => is_port(port),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    type Body = Full<&'static [u8]>;

    fn request(version: Version, target: &str, lines: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::builder().version(version).uri(target);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let has_body = lines
            .iter()
            .any(|(name, _)| *name == "transfer-encoding" || *name == "content-length");
        let body: &[u8] = if has_body { b"body" } else { b"" };
        request.body(Full::new(body)).expect("a request")
    }

    fn status(version: Version, target: &str, lines: &[(&str, &str)]) -> u16 {
        match authority(&request(version, target, lines)) {
            Ok(_) => 200,
            Err(refusal) => refusal.status().as_u16(),
        }
    }

    #[test]
    fn hosts() {
        for good in [
            "",
            "a",
            "a.test",
            "a.test.",
            "a.test:",
            "a.test:0",
            "a.test:65535",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:80",
            "[2001:db8::1]:",
            "under_score.test",
            "a%20b",
            "!$&'()*+;=~",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            ":",
            ":80",
            "a b",
            " a",
            "a/b",
            "a,b",
            "a@b",
            "a#b",
            "a?b",
            "a\\b",
            "a:b",
            "a:80:80",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:99999999999",
            "a%2",
            "a%zz",
            "[::1",
            "::1",
            "[::1]a",
            "[::1]:a",
            "[]",
            "[1.2.3.4]",
            "[::1%eth0]",
            "a[::1]",
            "ä.test",
            "\"a\"",
            "<a>",
            "a\u{7f}",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn the_host_must_be_one() {
        let old = Version::HTTP_10;
        let new = Version::HTTP_11;
        assert_eq!(status(new, "/", &[("host", "a"), ("host", "a")]), 400);
        assert_eq!(status(new, "/", &[]), 400);
        assert_eq!(status(new, "http://a/", &[]), 400);
        assert_eq!(status(old, "/", &[]), 200);
        assert_eq!(authority(&request(old, "/", &[])).ok(), Some(""));
    }

    #[test]
    fn the_target_wins_over_the_host_but_in_http2_they_must_agree() {
        let both = |version, target, host| {
            let request = request(version, target, &[("host", host)]);
            authority(&request).ok().map(str::to_owned)
        };
        let other = both(Version::HTTP_11, "http://a.test:81/x", "other.test");
        assert_eq!(other.as_deref(), Some("a.test:81"));
        for (target, host, is_good) in [
            ("http://a.test/", "a.test", true),
            ("http://a.test/", "A.Test:80", true),
            ("https://a.test:443/", "a.test", true),
            ("https://a.test:80/", "a.test", false),
            ("http://a.test/", "b.test", false),
            ("http://a.test/", "", false),
        ] {
            let found = both(Version::HTTP_2, target, host);
            assert_eq!(found.is_some(), is_good, "{target} {host}");
        }
    }

    #[test]
    fn codings() {
        let new = Version::HTTP_11;
        let with = |codings: &[&str]| {
            let mut lines = vec![("host", "a")];
            lines.extend(codings.iter().map(|coding| ("transfer-encoding", *coding)));
            status(new, "/", &lines)
        };
        assert_eq!(with(&["chunked"]), 200);
        assert_eq!(with(&["CHUNKED"]), 200);
        for many in [
            &["chunked, chunked"][..],
            &["chunked", "chunked"],
            &[", chunked"],
        ] {
            assert_eq!(with(many), 400, "{many:?}");
        }
        for unknown in [
            &["gzip, chunked"][..],
            &["gzip", "chunked"],
            &["identity, chunked"],
        ] {
            assert_eq!(with(unknown), 501, "{unknown:?}");
        }
    }

    #[test]
    fn targets() {
        let new = Version::HTTP_11;
        let host = [("host", "a")];
        for (target, wanted) in [
            ("/", 200),
            ("//", 200),
            ("/a?b", 200),
            ("http://a.test", 200),
            ("http://a.test?b", 200),
            ("https://a.test/", 200),
            ("ftp://a.test/", 400),
            ("http://user@a.test/", 400),
            ("http://user:secret@a.test/", 400),
            ("a.test:80", 400),
            ("a.test", 400),
            ("*", 400),
            ("/\u{e4}", 400),
        ] {
            assert_eq!(status(new, target, &host), wanted, "{target}");
        }
        let mut options = request(new, "*", &host);
        *options.method_mut() = Method::OPTIONS;
        assert!(authority(&options).is_ok());
    }

    #[test]
    fn http2_values_and_lengths() {
        let two = Version::HTTP_2;
        let with = |lines| status(two, "http://a.test/", lines);
        assert_eq!(with(&[("x", "a b")]), 200);
        assert_eq!(with(&[("x", " a")]), 400);
        assert_eq!(with(&[("x", "a\t")]), 400);
        assert_eq!(with(&[("content-length", "4")]), 200);
        let twice = [("content-length", "4"), ("content-length", "4")];
        assert_eq!(with(&twice), 400);
    }
}
