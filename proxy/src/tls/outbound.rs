//! The connecting side: whom the connections to a service, or to a peer, trust,
//! what they show, and which protocol was agreed on.

use super::{
    certificate::{CertificateFacts, CertificateRole},
    config::{Setting, TlsProblem, UpstreamTls},
    crypto::provider,
    inbound::Look,
    loaded::{Authorities, FileError, Identity, Loaded},
    terms::{ServerIdentity, Terms, Trust},
    trust::{Anyone, system_roots},
};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{ClientConfig, client::Resumption, pki_types::ServerName, sign::SingleCertAndKey};
use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection that we opened, over TLS.
pub type UpstreamStream = tokio_rustls::client::TlsStream<TcpStream>;

/// What both sides agreed on (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1, or nothing.
    Http1,
    /// HTTP/2.
    H2,
}

/// Sessions of an endpoint that can be resumed, per service.
const SESSIONS: usize = 256;

/// Shakes hands with the endpoints of one service. Its files are looked at
/// again for as long as it exists.
pub struct Connector {
    name: ServerName<'static>,
    terms: Terms,
    /// The settings give that name.
    is_named: bool,
    handshake_timeout: Duration,
    /// Never offers HTTP/2.
    http1_only: bool,
    skip_verify: bool,
    configs: ArcSwap<Configs>,
    /// Of what is in use; to be had while somebody waits for a slow disk.
    facts: ArcSwap<Vec<CertificateFacts>>,
    material: Mutex<Material>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

struct Configs {
    /// Offers HTTP/2 and HTTP/1.1.
    any: TlsConnector,
    /// HTTP/1.1 only.
    http1: TlsConnector,
    /// Who is trusted, in PEM form; `None`: anyone.
    anchors: Option<Arc<str>>,
}

struct Material {
    /// `None`: the system's.
    ca: Option<Loaded<Authorities>>,
    identity: Option<Loaded<Identity>>,
}

impl Connector {
    /// Loads everything. `service` is the name that certificates must have
    /// where `settings` give none.
    ///
    /// # Errors
    /// All problems at once.
    pub(super) fn load(
        settings: &UpstreamTls,
        service: &str,
        http1_only: bool,
        handshake_timeout: Duration,
    ) -> Result<Self, Vec<TlsProblem>> {
        let mut problems = Vec::new();
        let wanted = settings.server_name.as_deref().unwrap_or(service);
        let name = ServerName::try_from(wanted.to_owned()).map_err(|_invalid| {
            let message = format!("{wanted:?} is neither a DNS name nor an IP address");
            problems.push(TlsProblem::new(Setting::UpstreamServerName, message));
        });
        let ca = settings.ca.as_ref().and_then(|path| {
            Loaded::load(vec![path.clone()], CertificateRole::Ca)
                .map_err(|error| problems.push(TlsProblem::new(Setting::UpstreamCa, error)))
                .ok()
        });
        let identity = identity(settings, &mut problems);
        let material = Material { ca, identity };
        let configs = material
            .build(settings.insecure_skip_verify)
            .map_err(|error| problems.push(TlsProblem::new(Setting::UpstreamCa, error)));
        match (name, configs) {
            (Ok(name), Ok(configs)) if problems.is_empty() => Ok(Self {
                terms: Terms {
                    server: ServerIdentity::from(&name),
                    trust: trust(settings),
                    shows_certificate: material.identity.is_some(),
                },
                name,
                is_named: settings.server_name.is_some(),
                handshake_timeout,
                http1_only,
                skip_verify: settings.insecure_skip_verify,
                configs: ArcSwap::from_pointee(configs),
                facts: ArcSwap::from_pointee(material.facts()),
                material: Mutex::new(material),
            }),
            _ => Err(problems),
        }
    }

    /// What it insists on.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Who is trusted now: certificates in PEM form, and nothing else of the
    /// file that they are from. `None`: anyone.
    #[must_use]
    pub fn anchors(&self) -> Option<Arc<str>> {
        self.configs.load().anchors.clone()
    }

    /// May an endpoint choose HTTP/2?
    pub(crate) fn offers_h2(&self) -> bool {
        !self.http1_only
    }

    /// Shakes hands on a fresh connection.
    ///
    /// # Errors
    /// What the operating system says, `TimedOut`, or what one side has
    /// against the other (then [`is_verdict`]).
    ///
    /// Cancel safe: the connection is closed.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        http1_only: bool,
    ) -> io::Result<(UpstreamStream, Spoken)> {
        let connector = {
            let configs = self.configs.load();
            if http1_only || self.http1_only {
                configs.http1.clone()
            } else {
                configs.any.clone()
            }
        };
        self.shake(&connector, self.name.clone(), stream).await
    }

    /// Shakes hands on a fresh connection with the server `host`, a DNS name or
    /// an IP address, and insists on HTTP/2. A name in the settings beats
    /// `host`.
    ///
    /// # Errors
    /// A `host` that is no name; what the operating system says; `TimedOut`;
    /// what one side has against the other; no HTTP/2.
    ///
    /// Cancel safe: the connection is closed.
    pub async fn connect_h2(&self, host: &str, stream: TcpStream) -> io::Result<UpstreamStream> {
        let connector = self.configs.load().any.clone();
        match self.shake(&connector, self.name_of(host)?, stream).await? {
            (stream, Spoken::H2) => Ok(stream),
            _ => Err(io::Error::other("the server does not speak HTTP/2 (ALPN)")),
        }
    }

    /// The same, but offers HTTP/1.1 alone: for small questions now and then.
    ///
    /// # Errors
    /// As [`Connector::connect_h2`].
    ///
    /// Cancel safe: the connection is closed.
    pub async fn connect_http1(&self, host: &str, stream: TcpStream) -> io::Result<UpstreamStream> {
        let connector = self.configs.load().http1.clone();
        let (stream, _) = self.shake(&connector, self.name_of(host)?, stream).await?;
        Ok(stream)
    }

    /// Whom the server at `host` must prove to be.
    fn name_of(&self, host: &str) -> io::Result<ServerName<'static>> {
        if self.is_named {
            return Ok(self.name.clone());
        }
        ServerName::try_from(host.to_owned()).map_err(|_invalid| {
            let message = format!("{host:?} is neither a DNS name nor an IP address");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }

    async fn shake(
        &self,
        connector: &TlsConnector,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> io::Result<(UpstreamStream, Spoken)> {
        let shaken = connector.connect(name, stream);
        let stream = tokio::time::timeout(self.handshake_timeout, shaken)
            .await
            .map_err(|_elapsed| {
                io::Error::new(io::ErrorKind::TimedOut, "no end of the TLS handshake")
            })??;
        let spoken = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Spoken::H2,
            _ => Spoken::Http1,
        };
        Ok((stream, spoken))
    }

    /// Takes over what has changed in the files. Connections live on with what
    /// they began with.
    pub(super) fn refresh(&self) -> Look {
        let mut material = self.material.lock();
        let mut look = Look::default();
        if let Some(ca) = &mut material.ca {
            look.is_changed |= ca.refresh();
            look.problems.extend(ca.problem().cloned());
        }
        if let Some(identity) = &mut material.identity {
            look.is_changed |= identity.refresh();
            look.problems.extend(identity.problem().cloned());
        }
        if look.is_changed {
            match material.build(self.skip_verify) {
                Ok(configs) => {
                    self.configs.store(Arc::new(configs));
                    self.facts.store(Arc::new(material.facts()));
                }
                Err(error) => {
                    let paths = material.ca.as_ref().map(Loaded::paths);
                    let path = paths.and_then(<[PathBuf]>::first).cloned();
                    let problem = FileError::new(&path.unwrap_or_default(), error);
                    look.problems.push(problem);
                }
            }
        }
        look
    }

    pub(super) fn facts(&self) -> Arc<Vec<CertificateFacts>> {
        self.facts.load_full()
    }
}

/// Did the two sides disagree? Then trying again soon is no help, unlike after
/// a connection that was refused or broke.
pub(crate) fn is_verdict(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

fn trust(settings: &UpstreamTls) -> Trust {
    match &settings.ca {
        _ if settings.insecure_skip_verify => Trust::Anyone,
        Some(path) => Trust::File(path.clone()),
        None => Trust::System,
    }
}

fn identity(settings: &UpstreamTls, problems: &mut Vec<TlsProblem>) -> Option<Loaded<Identity>> {
    let setting = Setting::UpstreamClientCertificate;
    let paths = match (&settings.client_cert, &settings.client_key) {
        (None, None) => return None,
        (Some(cert), Some(key)) => vec![cert.clone(), key.clone()],
        (Some(cert), None) => {
            let message = FileError::new(cert, "needs the file of its key as well");
            problems.push(TlsProblem::new(setting, message));
            return None;
        }
        (None, Some(key)) => {
            let message = FileError::new(key, "needs the file of its certificate as well");
            problems.push(TlsProblem::new(setting, message));
            return None;
        }
    };
    Loaded::load(paths, CertificateRole::Client)
        .map_err(|error| problems.push(TlsProblem::new(setting, error)))
        .ok()
}

impl Material {
    fn facts(&self) -> Vec<CertificateFacts> {
        let identity = self.identity.iter();
        let identity = identity.map(|identity| identity.value().facts.clone());
        let authorities = self.ca.iter();
        let authorities = authorities.flat_map(|ca| ca.value().facts.clone());
        identity.chain(authorities).collect()
    }

    fn build(&self, skip_verify: bool) -> Result<Configs, String> {
        let config = ClientConfig::builder_with_provider(provider().clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let (config, anchors) = if skip_verify {
            let anyone = Arc::new(Anyone);
            let config = config.dangerous().with_custom_certificate_verifier(anyone);
            (config, None)
        } else {
            let (roots, pem) = match &self.ca {
                Some(ca) => (ca.value().roots.clone(), ca.value().pem.clone()),
                None => system_roots()?,
            };
            (config.with_root_certificates(roots), Some(pem))
        };
        let mut any = match &self.identity {
            Some(identity) => {
                let shown = SingleCertAndKey::from(identity.value().key.clone());
                config.with_client_cert_resolver(Arc::new(shown))
            }
            None => config.with_no_client_auth(),
        };
        any.resumption = Resumption::in_memory_sessions(SESSIONS);
        let mut http1 = any.clone();
        http1.resumption = Resumption::in_memory_sessions(SESSIONS);
        any.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Configs {
            any: TlsConnector::from(Arc::new(any)),
            http1: TlsConnector::from(Arc::new(http1)),
            anchors,
        })
    }
}
