//! Certificates made for one test, and clients and servers that use them.

use super::{Wire, within};
use proxy::tls::{CertificateSource, ServerTls, TlsConfig, UpstreamTls};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

fn crypto() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A certificate chain and its key, in PEM form.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("a certificate")
    }

    fn secret(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key")
    }

    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn write(&self, dir: &Path, name: &str) -> CertificateSource {
        let (cert, key) = (
            dir.join(format!("{name}.crt")),
            dir.join(format!("{name}.key")),
        );
        fs::write(&cert, &self.cert).expect("written");
        fs::write(&key, &self.key).expect("written");
        CertificateSource::Pair { cert, key }
    }
}

/// An authority.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        Self {
            pem: cert.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for these names, for servers and clients.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        let owned: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(owned).expect("good names");
        let subject = &mut params.distinguished_name;
        *subject = DistinguishedName::new();
        subject.push(DnType::CommonName, names[0]);
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, &self.pem).expect("written");
        path
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let der = CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("a certificate");
        roots.add(der).expect("an authority");
        Arc::new(roots)
    }

    /// A client that trusts it.
    pub(crate) fn client(&self) -> TlsClient {
        TlsClient {
            roots: self.roots(),
            name: "a.test",
            alpn: Vec::new(),
            identity: None,
            versions: rustls::ALL_VERSIONS.to_vec(),
        }
    }

    /// A server with a certificate of this authority for `name`, which offers
    /// these protocols.
    pub(crate) fn server(&self, name: &str, alpn: &[&str]) -> TlsAcceptor {
        self.server_of(name, alpn, None)
    }

    /// Likewise, one that lets in nobody without a certificate of `clients`.
    pub(crate) fn server_for(&self, name: &str, alpn: &[&str], clients: &Ca) -> TlsAcceptor {
        self.server_of(name, alpn, Some(clients))
    }

    fn server_of(&self, name: &str, alpn: &[&str], clients: Option<&Ca>) -> TlsAcceptor {
        let pair = self.issue(&[name]);
        let config = ServerConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let config = match clients {
            Some(ca) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(ca.roots(), crypto());
                config.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
            None => config.with_no_client_auth(),
        };
        let mut config = config
            .with_single_cert(vec![pair.der()], pair.secret())
            .expect("a pair");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What a client offers and asks for.
#[derive(Clone)]
pub(crate) struct TlsClient {
    roots: Arc<RootCertStore>,
    name: &'static str,
    alpn: Vec<Vec<u8>>,
    identity: Option<Pair>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl TlsClient {
    /// Asks for this server; an IP address asks for none (no SNI).
    pub(crate) fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) fn alpn(mut self, alpn: &[&str]) -> Self {
        self.alpn = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    pub(crate) fn identity(mut self, pair: &Pair) -> Self {
        self.identity = Some(pair.clone());
        self
    }

    pub(crate) fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// Connects and shakes hands.
    pub(crate) async fn try_connect(&self, addr: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let config = ClientConfig::builder_with_provider(crypto())
            .with_protocol_versions(&self.versions)
            .expect("versions")
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.identity {
            Some(pair) => config
                .with_client_auth_cert(vec![pair.der()], pair.secret())
                .expect("a pair"),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        let name = ServerName::try_from(self.name).expect("a name");
        let stream = within("connect", TcpStream::connect(addr)).await?;
        stream.set_nodelay(true).expect("an open socket");
        let connector = TlsConnector::from(Arc::new(config));
        within("a handshake", connector.connect(name, stream)).await
    }

    pub(crate) async fn stream(&self, addr: SocketAddr) -> TlsStream<TcpStream> {
        self.try_connect(addr).await.expect("a handshake")
    }

    /// An HTTP/1.1 client.
    pub(crate) async fn wire(&self, addr: SocketAddr) -> Wire {
        Wire::over_tls(self.stream(addr).await.into())
    }

    /// The certificate that the server shows.
    pub(crate) async fn certificate(&self, addr: SocketAddr) -> CertificateDer<'static> {
        let stream = self.stream(addr).await;
        let chain = stream.get_ref().1.peer_certificates();
        chain.expect("a chain")[0].clone().into_owned()
    }
}

/// A listener's settings with these certificates, and files looked at all the
/// time.
pub(crate) fn serving(certificates: Vec<CertificateSource>) -> TlsConfig {
    TlsConfig {
        server: Some(ServerTls {
            certificates,
            ..ServerTls::default()
        }),
        ..watching()
    }
}

/// No listener; files looked at all the time.
pub(crate) fn watching() -> TlsConfig {
    TlsConfig {
        reload_interval: Duration::from_millis(5),
        ..TlsConfig::default()
    }
}

/// Trusts that authority.
pub(crate) fn trusting(ca: PathBuf) -> UpstreamTls {
    UpstreamTls {
        ca: Some(ca),
        ..UpstreamTls::default()
    }
}
