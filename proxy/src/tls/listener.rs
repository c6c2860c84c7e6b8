//! One listener's handshakes: with what is in use now, limited in time, counted.
//!
//! Made by the hub, which renews it for as long as it exists; used by the
//! proxy's TLS listener and by every other port that speaks TLS.

use super::{
    certificate::CertificateFacts,
    config::{Offers, ServerTls, TlsProblem},
    inbound::{Inbound, Look},
    metrics::{HandshakeFailure, HandshakeMetrics},
};
use std::{io, net::SocketAddr, sync::Arc, sync::atomic::Ordering, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// A client's connection over TLS.
pub type ServerStream<IO> = tokio_rustls::server::TlsStream<IO>;

/// The TLS side of one listener. Its files are looked at again for as long as
/// it exists.
#[derive(Debug)]
pub struct Listener {
    name: &'static str,
    handshake_timeout: Duration,
    inbound: Inbound,
    metrics: HandshakeMetrics,
}

impl Listener {
    pub(super) fn load(
        name: &'static str,
        settings: &ServerTls,
        offers: Offers,
        handshake_timeout: Duration,
    ) -> Result<Self, Vec<TlsProblem>> {
        Ok(Self {
            name,
            handshake_timeout,
            inbound: Inbound::load(settings, offers)?,
            metrics: HandshakeMetrics::default(),
        })
    }

    /// Its name in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &HandshakeMetrics {
        &self.metrics
    }

    /// Shakes hands with the client at `peer`, within the limit of handshakes.
    ///
    /// # Errors
    /// Why it failed, which was counted and logged.
    ///
    /// Cancel safe: the connection is closed, and nothing is counted.
    pub async fn accept<IO>(
        &self,
        io: IO,
        peer: SocketAddr,
    ) -> Result<ServerStream<IO>, HandshakeFailure>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let shaken = self.inbound.acceptor().accept(io);
        let shaken = tokio::time::timeout(self.handshake_timeout, shaken).await;
        let error = match shaken {
            Ok(Ok(stream)) => {
                self.metrics.handshakes.fetch_add(1, Ordering::Relaxed);
                return Ok(stream);
            }
            Ok(Err(error)) => error,
            Err(_elapsed) => io::ErrorKind::TimedOut.into(),
        };
        let reason = classify(&error);
        self.metrics.count_failure(reason);
        let (listener, reason_name) = (self.name, reason.as_str());
        tracing::debug!(listener, %peer, reason = reason_name, %error, "TLS handshake failed");
        Err(reason)
    }

    pub(super) fn refresh(&self) -> Look {
        self.inbound.refresh()
    }

    pub(super) fn facts(&self) -> Arc<Vec<CertificateFacts>> {
        self.inbound.facts()
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
