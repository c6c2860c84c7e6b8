//! `Expect: 100-continue` in a request's head (RFC 9110 section 10.1.1).
//! Asking for the body is up to `upstream/expect.rs`.

use http::{HeaderValue, Request, Version, header};

/// Can the request's expectations be met? There is just one that has a meaning
/// (RFC 9110 section 10.1.1), which HTTP/1.0 does not have: there, it is ignored.
///
/// When `100-continue` is met is up to the endpoint; over HTTP/1.1, hyper tells
/// the client when its body is first wanted.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), ()> {
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

/// Does the client, which speaks `version`, wait to be asked for the body of its
/// request? HTTP/1.0 knows nothing of that, so an endpoint must not be told
/// otherwise (RFC 9110 section 10.1.1).
pub(crate) fn is_sent<B>(request: &mut Request<B>, version: Version) -> bool {
    let headers = request.headers_mut();
    if version < Version::HTTP_11 {
        headers.remove(header::EXPECT);
        return false;
    }
    headers.contains_key(header::EXPECT)
}
