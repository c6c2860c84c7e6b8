//! What is counted about TLS.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a client's handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// It took too long.
    Timeout,
    /// The client left in the middle.
    Closed,
    /// What the client sent is not TLS.
    NotTls,
    /// No version, cipher suite or protocol in common.
    Incompatible,
    /// The client showed no certificate, or a bad one.
    ClientCertificate,
    /// The client did not like something, most likely our certificate.
    RefusedByClient,
    /// Anything else.
    Other,
}

impl HandshakeFailure {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Timeout,
        Self::Closed,
        Self::NotTls,
        Self::Incompatible,
        Self::ClientCertificate,
        Self::RefusedByClient,
        Self::Other,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::Incompatible => "incompatible",
            Self::ClientCertificate => "client_certificate",
            Self::RefusedByClient => "refused_by_client",
            Self::Other => "other",
        }
    }
}

/// What is counted about the files of TLS.
#[derive(Debug, Default)]
pub struct TlsMetrics {
    /// Changes of files that were taken over.
    pub reloads: AtomicU64,
    /// Changes of files that were not: what was in use before still is.
    pub reload_failures: AtomicU64,
}

/// What is counted about the handshakes of one listener.
#[derive(Debug, Default)]
pub struct HandshakeMetrics {
    /// Handshakes with clients that succeeded.
    pub handshakes: AtomicU64,
    failures: [AtomicU64; HandshakeFailure::ALL.len()],
}

impl HandshakeMetrics {
    /// Handshakes with clients that failed for this reason.
    #[must_use]
    pub fn failures(&self, reason: HandshakeFailure) -> u64 {
        self.failures[reason as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn count_failure(&self, reason: HandshakeFailure) {
        self.failures[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}
