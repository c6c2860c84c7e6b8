//! The handshake of a client that came to the TLS listener. It runs on the
//! connection's worker, not in the accept loop.

use super::{client_io::ClientIo, detect::ClientProtocol};
use crate::{proxy::Shared, tls::HandshakeFailure};
use http::HeaderValue;
use std::{io, net::SocketAddr, sync::atomic::Ordering, time::Duration};

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
    let acceptor = shared.tls.acceptor()?;
    let raw = io.into_raw()?;
    let drained = async {
        shared.drain.begun().await;
        tokio::time::sleep(DRAINING_LIMIT).await;
    };
    let limited = tokio::time::timeout(shared.tls.handshake_timeout(), acceptor.accept(raw));
    let shaken = tokio::select! {
        biased;
        shaken = limited => shaken.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())),
        () = drained => Err(io::ErrorKind::TimedOut.into()),
        () = shared.drain.deadline() => return None,
    };
    let metrics = shared.tls.metrics();
    match shaken {
        Ok(stream) => {
            metrics.handshakes.fetch_add(1, Ordering::Relaxed);
            let agreed = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Some(ClientProtocol::Http2),
                Some(_) => Some(ClientProtocol::Http1),
                None => None,
            };
            Some((ClientIo::over_tls(stream), agreed))
        }
        Err(error) => {
            let reason = classify(&error);
            metrics.count_failure(reason);
            tracing::debug!(%peer, reason = reason.as_str(), %error, "TLS handshake failed");
            None
        }
    }
}

fn classify(error: &io::Error) -> HandshakeFailure {
    use rustls::Error as Tls;
    if error.kind() == io::ErrorKind::TimedOut {
        return HandshakeFailure::Timeout;
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        None => HandshakeFailure::Closed,
        Some(Tls::NoCertificatesPresented | Tls::InvalidCertificate(_)) => {
            HandshakeFailure::ClientCertificate
        }
        Some(Tls::AlertReceived(_)) => HandshakeFailure::RefusedByClient,
        Some(Tls::InvalidMessage(_) | Tls::InappropriateMessage { .. }) => HandshakeFailure::NotTls,
        Some(Tls::PeerIncompatible(_) | Tls::NoApplicationProtocol) => {
            HandshakeFailure::Incompatible
        }
        Some(_) => HandshakeFailure::Other,
    }
}
