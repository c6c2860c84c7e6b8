//! Interim answers (1xx, RFC 9110 section 15.2) on their way from an endpoint
//! to a client, whatever either speaks. Seldom, so nothing here is on the hot
//! path.

use super::hop;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::ext::ReasonPhrase;

/// One interim answer as any client may get it: nothing in it is for one hop.
#[derive(Debug)]
pub(crate) struct Interim {
    pub(crate) status: StatusCode,
    /// Where an HTTP/1.1 endpoint has another one than the usual.
    reason: Option<ReasonPhrase>,
    headers: HeaderMap,
}

impl Interim {
    /// What clients are told of an endpoint's interim head.
    #[cold]
    pub(crate) fn new(
        status: StatusCode,
        reason: Option<ReasonPhrase>,
        mut headers: HeaderMap,
    ) -> Self {
        hop::strip(&mut headers);
        headers.remove(header::TE);
        // It has no body, whatever it says (RFC 9110 section 8.6).
        headers.remove(header::CONTENT_LENGTH);
        Self {
            status,
            reason,
            headers,
        }
    }

    /// About as many bytes as it takes.
    pub(crate) fn size(&self) -> usize {
        let fields = self.headers.iter();
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + 4);
        64 + fields.sum::<usize>()
    }

    /// As bytes of HTTP/1.1.
    pub(crate) fn to_http1(&self) -> Vec<u8> {
        let reason = match &self.reason {
            Some(reason) => reason.as_bytes(),
            None => self
                .status
                .canonical_reason()
                .unwrap_or_default()
                .as_bytes(),
        };
        let mut head = format!("HTTP/1.1 {} ", self.status.as_str()).into_bytes();
        head.extend_from_slice(reason);
        head.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// As a message of HTTP/2.
    pub(crate) fn into_http2(self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_is_for_one_hop_or_frames_a_body_ends_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("link", "</x>"),
            ("connection", "x-mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("content-length", "5"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let interim = Interim::new(StatusCode::EARLY_HINTS, None, headers);
        let expected = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
        assert_eq!(interim.to_http1(), expected);
        assert!(interim.size() >= expected.len());
        let message = interim.into_http2();
        assert_eq!(message.status(), 103);
        assert_eq!(message.headers().len(), 1);
    }
}
