//! Interim answers (1xx, RFC 9110 section 15.2) of endpoints, on their way to
//! HTTP/1.1 clients. They are written anew, so that nothing but a well-formed
//! head leaves.

use crate::http::headers;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// As many fields are read of one head.
const MOST_FIELDS: usize = 100;

/// What an HTTP/1.1 client is told of a whole interim head. None: nothing. The
/// proxy asks for the request's body itself, so not of a 100.
#[cold]
pub(super) fn passed_on(head: &[u8]) -> Option<Vec<u8>> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(head).ok()?;
    match response.code {
        Some(code @ 102..=199) => Some(write_head(code, response.reason, response.headers)),
        _ => None,
    }
}

fn write_head(code: u16, reason: Option<&str>, fields: &[httparse::Header<'_>]) -> Vec<u8> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) {
            headers.append(name, value);
        }
    }
    headers::strip_hop_by_hop(&mut headers);
    // It has no body, whatever it says (RFC 9110 section 8.6).
    headers.remove(header::CONTENT_LENGTH);
    let mut head = format!("HTTP/1.1 {code} {}\r\n", reason.unwrap_or_default()).into_bytes();
    for (name, value) in &headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_one_hop_or_frames_a_body_ends_here() {
        let head = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: x-mine\r\n\
            X-Mine: 1\r\nContent-Length: 5\r\n\r\n";
        let passed = passed_on(head).expect("something to pass on");
        assert_eq!(passed, b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n");
    }

    #[test]
    fn a_100_is_not_passed_on() {
        assert_eq!(passed_on(b"HTTP/1.1 100 Continue\r\n\r\n"), None);
    }
}
