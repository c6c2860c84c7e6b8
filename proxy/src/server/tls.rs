//! The handshake of a client that came to the TLS listener. It runs on the
//! connection's worker, not in the accept loop.

use super::{client_io::ClientIo, detect::ClientProtocol};
use crate::{proxy::Shared, tls::HandshakeFailure};
use http::HeaderValue;
use std::{net::SocketAddr, time::Duration};

/// What clients speak on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Clear,
    Tls,
}

/// While draining, nobody is waited for any longer than this: who is slow has
/// not asked for anything yet.
const DRAINING_LIMIT: Duration = Duration::from_secs(1);

impl Transport {
    /// The scheme as a header value.
    pub(crate) fn scheme_value(self) -> &'static HeaderValue {
        static HTTP: HeaderValue = HeaderValue::from_static("http");
        static HTTPS: HeaderValue = HeaderValue::from_static("https");
        match self {
            Self::Clear => &HTTP,
            Self::Tls => &HTTPS,
        }
    }

    /// As URIs name it.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Clear => "http",
            Self::Tls => "https",
        }
    }
}

/// Shakes hands. With the protocol that was agreed on, if one was. `None`: it
/// failed, which was counted.
pub(super) async fn handshake(
    shared: &Shared,
    io: ClientIo,
    peer: SocketAddr,
) -> Option<(ClientIo, Option<ClientProtocol>)> {
    // There is a TLS listener only where there is something to serve with.
    let listener = shared.tls.proxy_listener()?;
    let raw = io.into_raw()?;
    let drained = async {
        shared.drain.begun().await;
        tokio::time::sleep(DRAINING_LIMIT).await;
    };
    let stream = tokio::select! {
        biased;
        shaken = listener.accept(raw, peer) => shaken.ok()?,
        () = drained => {
            listener.metrics().count_failure(HandshakeFailure::Timeout);
            return None;
        }
        () = shared.drain.deadline() => return None,
    };
    let agreed = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Some(ClientProtocol::Http2),
        Some(_) => Some(ClientProtocol::Http1),
        None => None,
    };
    Some((ClientIo::over_tls(stream), agreed))
}
