//! The flags of TLS, towards clients and towards endpoints.

use clap::{ArgAction, Args, ValueEnum};
use proxy::tls::{
    CertificateSource, ClientAuth, ServerTls, Setting, TlsConfig, TlsProblem, TlsVersion,
    UpstreamTls,
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// TLS.
#[derive(Debug, Args)]
pub struct TlsArgs {
    /// Where clients connect with TLS; opened only if there is a certificate
    #[arg(long, env = "REVEILLE_PROXY_TLS_ADDR", default_value = "0.0.0.0:8443")]
    pub proxy_tls_addr: SocketAddr,
    /// Certificate chain (PEM); may be given several times. The first one is
    /// for clients that ask for a name that no certificate has
    #[arg(
        long,
        env = "REVEILLE_TLS_CERT",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub tls_cert: Vec<PathBuf>,
    /// Private keys (PEM), in the order of the chains; without one, the key
    /// is in the file of the chain
    #[arg(
        long,
        env = "REVEILLE_TLS_KEY",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub tls_key: Vec<PathBuf>,
    /// Directory of pairs, NAME.crt and NAME.key, and of such directories (a
    /// mounted secret is one); may be given several times
    #[arg(
        long,
        env = "REVEILLE_TLS_CERT_DIR",
        value_name = "DIR",
        value_delimiter = ','
    )]
    pub tls_cert_dir: Vec<PathBuf>,
    /// Oldest version of TLS that clients may speak
    #[arg(
        long,
        env = "REVEILLE_TLS_MIN_VERSION",
        value_enum,
        default_value = "1.2"
    )]
    pub tls_min_version: VersionArg,
    /// Newest one
    #[arg(
        long,
        env = "REVEILLE_TLS_MAX_VERSION",
        value_enum,
        default_value = "1.3"
    )]
    pub tls_max_version: VersionArg,
    /// Cipher suites by their IANA names, the preferred one first [default: the
    /// safe ones]
    #[arg(
        long,
        env = "REVEILLE_TLS_CIPHER_SUITES",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    pub tls_cipher_suites: Vec<String>,
    /// Authorities that sign client certificates (PEM)
    #[arg(long, env = "REVEILLE_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Whether clients must show a certificate
    #[arg(
        long,
        env = "REVEILLE_TLS_CLIENT_AUTH",
        value_enum,
        default_value = "none"
    )]
    pub tls_client_auth: ClientAuthArg,
    /// Limit of a TLS handshake, with clients and with endpoints
    #[arg(
        long,
        env = "REVEILLE_TLS_HANDSHAKE_TIMEOUT",
        default_value = "10s",
        value_parser = super::positive
    )]
    pub tls_handshake_timeout: Duration,
    /// How often certificates and keys are looked at for changes
    #[arg(
        long,
        env = "REVEILLE_TLS_RELOAD_INTERVAL",
        default_value = "5s",
        value_parser = super::positive
    )]
    pub tls_reload_interval: Duration,

    /// Authorities that sign certificates of endpoints (PEM) [default: the
    /// system's]
    #[arg(long, env = "REVEILLE_UPSTREAM_CA", value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,
    /// Certificate chain to show to endpoints that ask for one (PEM)
    #[arg(long, env = "REVEILLE_UPSTREAM_CLIENT_CERT", value_name = "FILE")]
    pub upstream_client_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, env = "REVEILLE_UPSTREAM_CLIENT_KEY", value_name = "FILE")]
    pub upstream_client_key: Option<PathBuf>,
    /// Accept any certificate of any endpoint: for tests only
    #[arg(
        long,
        env = "REVEILLE_UPSTREAM_INSECURE_SKIP_VERIFY",
        default_value = "false",
        action = ArgAction::Set
    )]
    pub upstream_insecure_skip_verify: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VersionArg {
    /// TLS 1.2
    #[value(name = "1.2")]
    V1_2,
    /// TLS 1.3
    #[value(name = "1.3")]
    V1_3,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientAuthArg {
    /// They are not asked
    None,
    /// One that is shown must be good
    Optional,
    /// Nobody comes in without
    Required,
}

impl From<VersionArg> for TlsVersion {
    fn from(version: VersionArg) -> Self {
        match version {
            VersionArg::V1_2 => Self::V1_2,
            VersionArg::V1_3 => Self::V1_3,
        }
    }
}

impl From<ClientAuthArg> for ClientAuth {
    fn from(wanted: ClientAuthArg) -> Self {
        match wanted {
            ClientAuthArg::None => Self::None,
            ClientAuthArg::Optional => Self::Optional,
            ClientAuthArg::Required => Self::Required,
        }
    }
}

impl TlsArgs {
    /// The settings.
    #[must_use]
    pub fn config(&self) -> TlsConfig {
        TlsConfig {
            server: self.server(),
            upstream: UpstreamTls {
                ca: self.upstream_ca.clone(),
                client_cert: self.upstream_client_cert.clone(),
                client_key: self.upstream_client_key.clone(),
                server_name: None,
                insecure_skip_verify: self.upstream_insecure_skip_verify,
            },
            handshake_timeout: self.tls_handshake_timeout,
            reload_interval: self.tls_reload_interval,
        }
    }

    fn server(&self) -> Option<ServerTls> {
        let settings = ServerTls {
            certificates: pairs(&self.tls_cert, &self.tls_key, &self.tls_cert_dir),
            client_ca: self.tls_client_ca.clone(),
            client_auth: self.tls_client_auth.into(),
            min_version: self.tls_min_version.into(),
            max_version: Some(self.tls_max_version.into()),
            cipher_suites: self.tls_cipher_suites.clone(),
        };
        // A setting without a certificate is a mistake, which is reported.
        let is_meant = !settings.certificates.is_empty()
            || settings.client_ca.is_some()
            || settings.client_auth != ClientAuth::None
            || !settings.cipher_suites.is_empty();
        is_meant.then_some(settings)
    }
}

/// Where the certificates of a listener come from. A key that has no chain is
/// reported as one that holds none.
pub(super) fn pairs(
    certs: &[PathBuf],
    keys: &[PathBuf],
    dirs: &[PathBuf],
) -> Vec<CertificateSource> {
    let count = certs.len().max(keys.len());
    let pairs = (0..count).filter_map(|index| {
        let (cert, key) = (certs.get(index), keys.get(index));
        Some(CertificateSource::Pair {
            cert: cert.or(key)?.clone(),
            key: key.or(cert)?.clone(),
        })
    });
    let dirs = dirs.iter().cloned();
    pairs.chain(dirs.map(CertificateSource::Dir)).collect()
}

/// The TLS of a listener that speaks it only if asked to. A setting without a
/// certificate is a mistake: it is kept, so that it is reported.
pub(super) fn if_meant(settings: ServerTls) -> Option<ServerTls> {
    let is_meant = !settings.certificates.is_empty()
        || settings.client_ca.is_some()
        || settings.client_auth != ClientAuth::None;
    is_meant.then_some(settings)
}

/// A problem with the TLS of a listener whose flags begin with `--PREFIX-tls`,
/// in the words of the command line.
pub(super) fn describe_listener(prefix: &str, problem: &TlsProblem) -> String {
    let flags = format!("--{prefix}-tls");
    let flag = match problem.setting {
        Setting::CertificateDir => format!("{flags}-cert-dir"),
        Setting::ClientCa => format!("{flags}-client-ca"),
        Setting::ClientAuth => format!("{flags}-client-auth"),
        // The others have no flag there.
        _ => format!("{flags}-cert, {flags}-key"),
    };
    format!("{flag}: {}", problem.message)
}

/// A problem in the words of the command line.
#[must_use]
pub fn describe(problem: &TlsProblem) -> String {
    let flag = match problem.setting {
        Setting::Certificate => "--tls-cert, --tls-key",
        Setting::CertificateDir => "--tls-cert-dir",
        Setting::ClientCa => "--tls-client-ca",
        Setting::ClientAuth => "--tls-client-auth",
        Setting::MaxVersion => "--tls-max-version",
        Setting::CipherSuites => "--tls-cipher-suites",
        Setting::UpstreamCa => "--upstream-ca",
        Setting::UpstreamClientCertificate => "--upstream-client-cert, --upstream-client-key",
        // Has no flag: it is each service's own.
        Setting::UpstreamServerName => "serverName",
    };
    format!("{flag}: {}", problem.message)
}
