//! TLS: the settings of both sides, the files behind them, and their renewal.
//!
//! `inbound.rs` makes the listener's configuration (certificates by SNI,
//! client certificates), `outbound.rs` the one of a service whose endpoints
//! speak TLS. Both are made from files (`loaded.rs`, `stores.rs`), looked at
//! again every few seconds by `hub.rs`, and never replaced by something
//! broken. `server/tls.rs` and `upstream/tls.rs` shake hands with them.
//!
//! The cryptography is aws-lc-rs's, given explicitly everywhere: nothing here
//! depends on a default of the process.

mod certificate;
mod config;
mod crypto;
mod expiry;
mod hub;
mod inbound;
mod loaded;
mod metrics;
mod outbound;
mod sni;
mod stores;
mod trust;

pub use certificate::{CertificateFacts, CertificateRole};
pub use config::{
    CertificateSource, ClientAuth, ServerTls, Setting, TlsConfig, TlsProblem, TlsVersion,
    UpstreamTls,
};
pub use hub::Tls;
pub use metrics::{HandshakeFailure, TlsMetrics};
pub use outbound::Connector;
pub(crate) use outbound::{Spoken, UpstreamStream, is_verdict};
