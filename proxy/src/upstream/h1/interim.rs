//! Interim answers (1xx, RFC 9110 section 15.2) of endpoints. Read anew, so
//! that nothing but a well-formed head is passed on.

use super::head::unusual;
use crate::http::Interim;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// As many fields are read of one head.
const MOST_FIELDS: usize = 100;

/// What clients are told of a whole interim head. None: nothing. A 100 is no
/// hint, and has its own rules (see `expect.rs`).
#[cold]
pub(super) fn passed_on(head: &[u8]) -> Option<Interim> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(head).ok()?;
    let code = response.code.filter(|code| (102..=199).contains(code))?;
    let status = StatusCode::from_u16(code).ok()?;
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) {
            headers.append(name, value);
        }
    }
    let reason = response.reason.and_then(|reason| unusual(status, reason));
    Some(Interim::new(status, reason, headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_passed_on_and_what_is_for_one_hop_is_not() {
        let head = b"HTTP/1.1 103 Hints\r\nLink: </x>\r\nConnection: x-mine\r\n\
            X-Mine: 1\r\nContent-Length: 5\r\n\r\n";
        let passed = passed_on(head).expect("something to pass on");
        let expected = b"HTTP/1.1 103 Hints\r\nlink: </x>\r\n\r\n";
        assert_eq!(passed.to_http1(), expected);
    }

    #[test]
    fn a_100_is_not_passed_on() {
        assert!(passed_on(b"HTTP/1.1 100 Continue\r\n\r\n").is_none());
    }
}
