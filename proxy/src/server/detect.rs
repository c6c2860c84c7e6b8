//! Which protocol a client speaks, by its first bytes: HTTP/2 begins with a
//! preface (RFC 9113 section 3.4) that no HTTP/1 request begins with.

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientProtocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `P`, `PR` may begin a request that somebody types; `PRI` does not.
const PLAINLY_PREFACE: usize = 3;

/// The protocol that begins with `bytes`. None: it takes more of them, at
/// most as many as the preface has.
pub(crate) fn detect(bytes: &[u8]) -> Option<ClientProtocol> {
    if bytes.starts_with(PREFACE) {
        Some(ClientProtocol::Http2)
    } else if PREFACE.starts_with(bytes) {
        None
    } else {
        Some(ClientProtocol::Http1)
    }
}

/// Whether an HTTP/1 answer makes sense to somebody who sent no more than
/// `bytes`, which [`detect`] cannot tell.
pub(crate) fn may_be_http1(bytes: &[u8]) -> bool {
    bytes.len() < PLAINLY_PREFACE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beginning_of_the_preface_takes_more() {
        for length in 0..PREFACE.len() {
            assert_eq!(detect(&PREFACE[..length]), None, "{length}");
        }
        assert_eq!(detect(PREFACE), Some(ClientProtocol::Http2));
        let more = [PREFACE, b"\0\0\0\x04\0\0\0\0\0"].concat();
        assert_eq!(detect(&more), Some(ClientProtocol::Http2));
    }

    #[test]
    fn requests_that_begin_like_the_preface_are_http1() {
        for request in [
            "G",
            "PUT",
            "PO",
            "PRIO",
            "PRI /",
            "PRI * HTTP/1.1\r\n",
            "PRI * HTTP/2.0\r\nhost",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\rx",
            "\r\n",
        ] {
            let found = detect(request.as_bytes());
            assert_eq!(found, Some(ClientProtocol::Http1), "{request:?}");
        }
    }
}
