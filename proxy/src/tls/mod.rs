//! TLS: the settings of both sides, the files behind them, and their renewal.
//!
//! `inbound.rs` makes a listener's configuration (certificates by SNI, client
//! certificates), with which `listener.rs` shakes hands; `outbound.rs` makes the
//! one of whoever we connect to: a service whose endpoints speak TLS, a peer. Both are made from files (`loaded.rs`, `stores.rs`), looked at
//! again every few seconds by `hub.rs`, and never replaced by something
//! broken. The proxy's listener is one of several: whoever else opens a port
//! gets its own from [`Tls::listener`].
//!
//! The cryptography is aws-lc-rs's, given explicitly everywhere: nothing here
//! depends on a default of the process.

mod bundle;
mod certificate;
mod config;
mod crypto;
pub mod expiry;
mod hub;
mod inbound;
mod listener;
mod loaded;
mod metrics;
mod outbound;
mod sni;
mod stores;
mod terms;
mod trust;

pub use bundle::{Bundle, BundledCertificate};
pub use certificate::{CertificateFacts, CertificateRole};
pub use config::{
    CertificateSource, ClientAuth, Offers, ServerTls, Setting, TlsConfig, TlsProblem, TlsVersion,
    UpstreamTls,
};
pub use hub::Tls;
pub use listener::{Listener, ServerStream};
pub use metrics::{HandshakeFailure, HandshakeMetrics, TlsMetrics};
pub(crate) use outbound::is_verdict;
pub use outbound::{Connector, Spoken, UpstreamStream};
pub use terms::{ServerIdentity, Terms, Trust};
