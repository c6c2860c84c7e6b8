//! Trailers on their way through (RFC 9110 section 6.5): which fields may be
//! one, and making room for them where HTTP/1.1 follows HTTP/2.
//!
//! Over HTTP/1.1, hyper writes only trailers that a `Trailer` header announced,
//! in a chunked body. Over HTTP/2 they need neither, so towards HTTP/1.1 a body
//! with announced trailers becomes chunked, and those of gRPC, which announces
//! nothing, are announced by us.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
        CONTENT_TYPE, COOKIE, EXPECT, HOST, MAX_FORWARDS, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
        SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
    },
};

/// What would change how the message before it was framed, routed, let in or
/// understood: never in a trailer (RFC 9110 section 6.5.1), and what belongs to
/// one connection only.
const FORBIDDEN: [HeaderName; 21] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    HeaderName::from_static("keep-alive"),
    MAX_FORWARDS,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    WWW_AUTHENTICATE,
];

/// Drops what may not be a trailer.
#[cold]
pub(crate) fn sift(trailers: &mut HeaderMap) {
    for name in FORBIDDEN {
        trailers.remove(name);
    }
}

/// Does a `TE` header say that trailers are understood?
pub(crate) fn are_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut codings = texts.flat_map(|text| text.split(','));
    codings.any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Makes room for trailers in a message with a body that goes on over HTTP/1.1.
#[cold]
pub(crate) fn make_room(headers: &mut HeaderMap) {
    if !headers.contains_key(TRAILER) {
        if !super::grpc::is_grpc(headers) {
            return;
        }
        let names = HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin");
        headers.insert(TRAILER, names);
    }
    headers.remove(CONTENT_LENGTH);
    let chunked = HeaderValue::from_static("chunked");
    headers.insert(TRANSFER_ENCODING, chunked);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter().map(|&(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        HeaderMap::from_iter(lines)
    }

    #[test]
    fn what_frames_routes_or_lets_in_is_no_trailer() {
        let mut trailers = headers(&[
            ("x-sum", "1"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("host", "b.test"),
            ("authorization", "x"),
            ("connection", "close"),
            ("grpc-status", "0"),
        ]);
        sift(&mut trailers);
        assert_eq!(trailers, headers(&[("x-sum", "1"), ("grpc-status", "0")]));
    }

    #[test]
    fn only_announced_trailers_and_those_of_grpc_change_the_framing() {
        let mut plain = headers(&[("content-length", "5")]);
        make_room(&mut plain);
        assert_eq!(plain, headers(&[("content-length", "5")]));
        let mut announced = headers(&[("content-length", "5"), ("trailer", "x-sum")]);
        make_room(&mut announced);
        assert_eq!(
            announced,
            headers(&[("trailer", "x-sum"), ("transfer-encoding", "chunked")])
        );
        let mut grpc = headers(&[("content-type", "application/grpc")]);
        make_room(&mut grpc);
        assert!(grpc[TRAILER].as_bytes().starts_with(b"grpc-status"));
    }

    #[test]
    fn te_is_a_list() {
        for (te, expected) in [
            ("trailers", true),
            ("gzip;q=0.5, Trailers", true),
            ("gzip", false),
            ("", false),
        ] {
            assert_eq!(are_accepted(&headers(&[("te", te)])), expected, "{te}");
        }
    }
}
