//! What can be set about TLS, and what can be wrong with it.

use std::{fmt, path::PathBuf, time::Duration};

/// All settings of TLS but those of a single service.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The listener's; `None`: there is none.
    pub server: Option<ServerTls>,
    /// Towards endpoints, where a service says nothing else.
    pub upstream: UpstreamTls,
    /// How long a handshake may take, on either side.
    pub handshake_timeout: Duration,
    /// How often the files are looked at.
    pub reload_interval: Duration,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            server: None,
            upstream: UpstreamTls::default(),
            handshake_timeout: Duration::from_secs(10),
            reload_interval: Duration::from_secs(5),
        }
    }
}

/// Settings of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerTls {
    /// Where its certificates come from. The first one found is the default:
    /// for clients that name no server, or one that no certificate has.
    pub certificates: Vec<CertificateSource>,
    /// Authorities that sign client certificates, in PEM form.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must show one.
    pub client_auth: ClientAuth,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The newest one; `None`: as new as there is.
    pub max_version: Option<TlsVersion>,
    /// The cipher suites that may be used, by their IANA names, in order of
    /// preference; none: the safe defaults.
    pub cipher_suites: Vec<String>,
}

/// What a listener speaks inside of TLS (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offers {
    /// HTTP/2 and HTTP/1.1.
    Http,
    /// HTTP/1.1 alone. The rest is as with [`Offers::Http2Only`].
    Http1Only,
    /// HTTP/2 alone, as gRPC needs it. Who offers only something else is
    /// refused; who offers nothing at all is let in.
    Http2Only,
}

impl Offers {
    pub(super) fn protocols(self) -> Vec<Vec<u8>> {
        let all: &[&[u8]] = match self {
            Self::Http => &[b"h2", b"http/1.1"],
            Self::Http1Only => &[b"http/1.1"],
            Self::Http2Only => &[b"h2"],
        };
        all.iter().map(|protocol| protocol.to_vec()).collect()
    }
}

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// A chain and its key, in PEM form.
    Pair {
        /// The chain, leaf first.
        cert: PathBuf,
        /// The key of the leaf.
        key: PathBuf,
    },
    /// A directory of pairs and of such directories; see `stores.rs`.
    Dir(PathBuf),
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked for one.
    #[default]
    None,
    /// They may come without; one that is shown must be good.
    Optional,
    /// Nobody comes in without.
    Required,
}

/// A version of TLS. Older ones are not spoken (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// Settings of the connections to endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Authorities that sign the endpoints' certificates, in PEM form;
    /// `None`: the system's.
    pub ca: Option<PathBuf>,
    /// A chain to show to endpoints that ask; with `client_key`.
    pub client_cert: Option<PathBuf>,
    /// The key of that chain's leaf.
    pub client_key: Option<PathBuf>,
    /// The name that an endpoint's certificate must have, and that is asked
    /// for (SNI); `None`: the service's.
    pub server_name: Option<String>,
    /// Any certificate will do: whoever answers is believed.
    pub insecure_skip_verify: bool,
}

/// Which setting a [`TlsProblem`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// [`CertificateSource::Pair`].
    Certificate,
    /// [`CertificateSource::Dir`].
    CertificateDir,
    /// [`ServerTls::client_ca`].
    ClientCa,
    /// [`ServerTls::client_auth`].
    ClientAuth,
    /// [`ServerTls::max_version`].
    MaxVersion,
    /// [`ServerTls::cipher_suites`].
    CipherSuites,
    /// [`UpstreamTls::ca`].
    UpstreamCa,
    /// [`UpstreamTls::client_cert`] or its key.
    UpstreamClientCertificate,
    /// [`UpstreamTls::server_name`].
    UpstreamServerName,
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsProblem {
    /// Which one.
    pub setting: Setting,
    /// The file, if it is about one, and what is wrong.
    pub message: String,
}

impl TlsProblem {
    pub(super) fn new(setting: Setting, what: impl fmt::Display) -> Self {
        Self {
            setting,
            message: what.to_string(),
        }
    }
}
