//! WebSocket over HTTP/2 (RFC 8441): the client's extended CONNECT becomes the
//! handshake of RFC 6455, which is what endpoints speak, and the endpoint's
//! 101 becomes a 200.
//!
//! The handshake's key and its proof exist over HTTP/1.1 only (RFC 8441 section
//! 5), so the proxy makes the one and checks the other, as any client must.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use h2::ext::Protocol;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
        UPGRADE,
    },
};
use sha1::{Digest, Sha1};

/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake that was sent to an endpoint.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// What the endpoint has to answer, to show that it understood.
    accept: String,
}

/// What a CONNECT request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connect {
    /// A tunnel to anywhere (RFC 9110 section 9.3.6).
    Plain,
    WebSocket,
    /// Some other protocol in the place of HTTP.
    Other,
}

/// What `request`, a CONNECT, asks for.
#[cold]
pub(crate) fn asked<B>(request: &Request<B>) -> Connect {
    match request.extensions().get::<Protocol>() {
        None => Connect::Plain,
        // Names of upgrade tokens are compared without regard to case.
        Some(protocol) if protocol.as_str().eq_ignore_ascii_case("websocket") => Connect::WebSocket,
        Some(_) => Connect::Other,
    }
}

impl Handshake {
    /// Makes an extended CONNECT for a WebSocket the handshake over HTTP/1.1.
    #[cold]
    pub(crate) fn begin<B>(request: &mut Request<B>) -> Self {
        let mut nonce = [0; 16];
        fastrand::fill(&mut nonce);
        let key = BASE64.encode(nonce);
        let accept = accept(key.as_bytes());
        *request.method_mut() = Method::GET;
        *request.version_mut() = Version::HTTP_11;
        request.extensions_mut().remove::<Protocol>();
        let headers = request.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let key = HeaderValue::try_from(key).expect("Base64 is a header value");
        headers.insert(SEC_WEBSOCKET_KEY, key);
        headers
            .entry(SEC_WEBSOCKET_VERSION)
            .or_insert(HeaderValue::from_static("13"));
        Self { accept }
    }

    /// Does an endpoint's 101 end this handshake (RFC 6455 section 4.1)?
    pub(crate) fn is_met_by(&self, headers: &HeaderMap) -> bool {
        let is = |name, wanted: &str| {
            let value = headers.get(name).map(HeaderValue::as_bytes);
            value.is_some_and(|value| value.eq_ignore_ascii_case(wanted.as_bytes()))
        };
        let accept = headers.get(SEC_WEBSOCKET_ACCEPT);
        is(UPGRADE, "websocket")
            && accept.is_some_and(|accept| accept.as_bytes() == self.accept.as_bytes())
    }
}

/// Makes the answer that switches protocols the one that opens the stream.
#[cold]
pub(crate) fn opened<B>(response: &mut Response<B>) {
    *response.status_mut() = StatusCode::OK;
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
        response.headers_mut().remove(name);
    }
}

fn accept(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455() {
        // Section 1.3.
        assert_eq!(
            accept(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "h2's way to say it")]
    fn a_connect_becomes_a_handshake_that_only_its_proof_ends() {
        let mut request = Request::connect("http://a.test/chat").body(()).expect("ok");
        assert_eq!(asked(&request), Connect::Plain);
        request
            .extensions_mut()
            .insert(Protocol::from("connect-udp"));
        assert_eq!(asked(&request), Connect::Other);
        request.extensions_mut().insert(Protocol::from("WebSocket"));
        assert_eq!(asked(&request), Connect::WebSocket);

        let handshake = Handshake::begin(&mut request);
        assert_eq!(request.method(), Method::GET);
        assert_eq!(request.version(), Version::HTTP_11);
        assert_eq!(request.headers()[SEC_WEBSOCKET_VERSION], "13");
        let key = request.headers()[SEC_WEBSOCKET_KEY].as_bytes();
        assert_eq!(BASE64.decode(key).expect("Base64").len(), 16);
        let mut answer = HeaderMap::new();
        answer.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        assert!(!handshake.is_met_by(&answer), "no proof");
        let proof = HeaderValue::try_from(accept(key)).expect("a value");
        answer.insert(SEC_WEBSOCKET_ACCEPT, proof);
        assert!(handshake.is_met_by(&answer));
        answer.insert(UPGRADE, HeaderValue::from_static("chat"));
        assert!(!handshake.is_met_by(&answer), "another protocol");

        let another = Handshake::begin(&mut Request::new(()));
        assert_ne!(another.accept, handshake.accept);
    }
}
