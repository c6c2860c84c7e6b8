//! A listener's configuration: its certificates, whom it lets in, and the
//! versions that it speaks, as one that is replaced as a whole. `listener.rs`
//! shakes hands with it.
//!
//! A new one also forgets the sessions of the old one, so that nobody resumes
//! what a changed authority would not let in.

use super::{
    certificate::{CertificateFacts, CertificateRole},
    config::{CertificateSource, ClientAuth, Offers, ServerTls, Setting, TlsProblem},
    crypto,
    loaded::{Authorities, FileError, Identity, Loaded},
    sni::ByName,
    stores::{self, PairFiles},
};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use std::{path::PathBuf, sync::Arc};
use tokio_rustls::TlsAcceptor;

/// A listener's configuration and the files behind it.
#[derive(Debug)]
pub(super) struct Inbound {
    config: ArcSwap<ServerConfig>,
    /// Of what is in use; to be had while somebody waits for a slow disk.
    facts: ArcSwap<Vec<CertificateFacts>>,
    material: Mutex<Material>,
}

#[derive(Debug)]
struct Material {
    settings: ServerTls,
    offers: Offers,
    crypto: Arc<CryptoProvider>,
    /// In order: the first one is the default.
    pairs: Vec<Loaded<Identity>>,
    client_ca: Option<Loaded<Authorities>>,
}

/// What a look at the files found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Something new is in use.
    pub(super) is_changed: bool,
    /// What is wrong with the files as they are now.
    pub(super) problems: Vec<FileError>,
}

impl Inbound {
    /// Loads everything.
    ///
    /// # Errors
    /// All problems at once.
    pub(super) fn load(settings: &ServerTls, offers: Offers) -> Result<Self, Vec<TlsProblem>> {
        let mut problems = Vec::new();
        let crypto = crypto::with_suites_of(settings, &mut problems);
        let mut pairs = Vec::new();
        for source in &settings.certificates {
            load_source(source, &mut pairs, &mut problems);
        }
        if settings.certificates.is_empty() {
            let message = "is needed: other settings of the TLS listener are given";
            problems.push(TlsProblem::new(Setting::Certificate, message));
        }
        check_client_auth(settings, &mut problems);
        let client_ca = settings.client_ca.as_ref().and_then(|path| {
            Loaded::load(vec![path.clone()], CertificateRole::Ca)
                .map_err(|error| problems.push(TlsProblem::new(Setting::ClientCa, error)))
                .ok()
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let material = Material {
            settings: settings.clone(),
            offers,
            crypto,
            pairs,
            client_ca,
        };
        let config = material
            .build()
            .map_err(|error| vec![TlsProblem::new(Setting::CipherSuites, error)])?;
        material.warn_of_unreachable();
        Ok(Self {
            config: ArcSwap::new(config),
            facts: ArcSwap::from_pointee(material.facts()),
            material: Mutex::new(material),
        })
    }

    /// What handshakes are made with now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Takes over what has changed in the files. Connections live on with what
    /// they began with.
    pub(super) fn refresh(&self) -> Look {
        let mut material = self.material.lock();
        let mut look = material.refresh();
        if look.is_changed {
            match material.build() {
                Ok(config) => {
                    self.config.store(config);
                    self.facts.store(Arc::new(material.facts()));
                }
                Err(error) => {
                    let path = material.settings.client_ca.clone().unwrap_or_default();
                    look.problems.push(FileError::new(&path, error));
                }
            }
        }
        look
    }

    pub(super) fn facts(&self) -> Arc<Vec<CertificateFacts>> {
        self.facts.load_full()
    }
}

fn load_source(
    source: &CertificateSource,
    pairs: &mut Vec<Loaded<Identity>>,
    problems: &mut Vec<TlsProblem>,
) {
    let (setting, wanted) = match source {
        CertificateSource::Pair { cert, key } => {
            let (cert, key) = (cert.clone(), key.clone());
            (Setting::Certificate, vec![PairFiles { cert, key }])
        }
        CertificateSource::Dir(dir) => {
            let setting = Setting::CertificateDir;
            let found = match stores::find(dir) {
                Ok(found) => found,
                Err(error) => return problems.push(TlsProblem::new(setting, error)),
            };
            if found.pairs.is_empty() && found.problems.is_empty() {
                let message = "holds no certificate with its key (NAME.crt and NAME.key)";
                problems.push(TlsProblem::new(setting, FileError::new(dir, message)));
            }
            let found_bad = found.problems.iter();
            problems.extend(found_bad.map(|error| TlsProblem::new(setting, error)));
            (setting, found.pairs)
        }
    };
    for files in wanted {
        match load_pair(files) {
            Ok(pair) => pairs.push(pair),
            Err(error) => problems.push(TlsProblem::new(setting, error)),
        }
    }
}

fn load_pair(files: PairFiles) -> Result<Loaded<Identity>, FileError> {
    Loaded::load(vec![files.cert, files.key], CertificateRole::Server)
}

fn check_client_auth(settings: &ServerTls, problems: &mut Vec<TlsProblem>) {
    let message = match (settings.client_auth, &settings.client_ca) {
        (ClientAuth::None, Some(ca)) => format!(
            "{}: has no effect while clients are not asked for a certificate (optional or required)",
            ca.display()
        ),
        (ClientAuth::Optional | ClientAuth::Required, None) => {
            "needs the authorities that sign client certificates".to_owned()
        }
        _ => return,
    };
    let setting = match settings.client_auth {
        ClientAuth::None => Setting::ClientCa,
        _ => Setting::ClientAuth,
    };
    problems.push(TlsProblem::new(setting, message));
}

impl Material {
    fn facts(&self) -> Vec<CertificateFacts> {
        let pairs = self.pairs.iter().map(|pair| pair.value().facts.clone());
        let authorities = self.client_ca.iter();
        let authorities = authorities.flat_map(|ca| ca.value().facts.clone());
        pairs.chain(authorities).collect()
    }

    fn build(&self) -> Result<Arc<ServerConfig>, String> {
        let by_name = ByName::new(self.pairs.iter().map(|pair| {
            let identity = pair.value();
            (&identity.facts, &identity.key)
        }));
        let mut config = ServerConfig::builder_with_provider(self.crypto.clone())
            .with_protocol_versions(&crypto::versions(&self.settings))
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(self.verifier()?)
            .with_cert_resolver(Arc::new(by_name));
        // A list is an order of preference.
        config.ignore_client_order = !self.settings.cipher_suites.is_empty();
        config.alpn_protocols = self.offers.protocols();
        // Sessions are kept by the clients: no table that workers share.
        config.ticketer =
            rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| error.to_string())?;
        Ok(Arc::new(config))
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let Some(ca) = &self.client_ca else {
            return Ok(Arc::new(NoClientAuth));
        };
        let roots = ca.value().roots.clone();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, self.crypto.clone());
        let verifier = match self.settings.client_auth {
            ClientAuth::Optional => verifier.allow_unauthenticated(),
            _ => verifier,
        };
        let verifier = verifier.build().map_err(|error| error.to_string())?;
        Ok(verifier)
    }

    fn refresh(&mut self) -> Look {
        let mut look = Look::default();
        let mut known = std::mem::take(&mut self.pairs);
        for source in &self.settings.certificates {
            let wanted = match source {
                CertificateSource::Pair { cert, key } => {
                    let (cert, key) = (cert.clone(), key.clone());
                    vec![PairFiles { cert, key }]
                }
                CertificateSource::Dir(dir) => pairs_now(dir, &known, &mut look.problems),
            };
            for files in wanted {
                let is_it = |pair: &Loaded<Identity>| is_of(pair, &files);
                let found = known.iter().position(is_it).map(|at| known.remove(at));
                if let Some(mut pair) = found {
                    look.is_changed |= pair.refresh();
                    look.problems.extend(pair.problem().cloned());
                    self.pairs.push(pair);
                    continue;
                }
                match load_pair(files) {
                    Ok(pair) => {
                        look.is_changed = true;
                        self.pairs.push(pair);
                    }
                    Err(problem) => look.problems.push(problem),
                }
            }
        }
        if self.pairs.is_empty() {
            // Whatever it is, it cannot be wanted that nobody is served.
            for pair in &known {
                let message = "is gone, and no other certificate is left: it stays in use";
                look.problems
                    .push(FileError::new(&pair.paths()[0], message));
            }
            self.pairs = known;
        } else if !known.is_empty() {
            look.is_changed = true;
            for pair in known {
                tracing::info!(path = %pair.paths()[0].display(), "certificate removed");
            }
        }
        if let Some(ca) = &mut self.client_ca {
            look.is_changed |= ca.refresh();
            look.problems.extend(ca.problem().cloned());
        }
        look
    }

    /// A certificate that no name leads to is a mistake, unless it is the
    /// default.
    fn warn_of_unreachable(&self) {
        for pair in self.pairs.iter().skip(1) {
            if pair.value().facts.names.is_empty() {
                tracing::warn!(
                    path = %pair.paths()[0].display(),
                    "certificate without a DNS name (subjectAltName): no client will ever get it"
                );
            }
        }
    }
}

/// The pairs of a directory, and those that are in use and not quite gone: a
/// writer may be half through, a directory away for a moment.
fn pairs_now(
    dir: &PathBuf,
    known: &[Loaded<Identity>],
    problems: &mut Vec<FileError>,
) -> Vec<PairFiles> {
    let in_use = known.iter().map(|pair| PairFiles {
        cert: pair.paths()[0].clone(),
        key: pair.paths()[1].clone(),
    });
    let in_use = in_use.filter(|pair| pair.cert.starts_with(dir));
    match stores::find(dir) {
        Ok(found) => {
            problems.extend(found.problems);
            let mut pairs = found.pairs;
            for pair in in_use.filter(|pair| pair.cert.exists() || pair.key.exists()) {
                if !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
            pairs
        }
        Err(error) => {
            problems.push(error);
            in_use.collect()
        }
    }
}

fn is_of(pair: &Loaded<Identity>, files: &PairFiles) -> bool {
    pair.paths() == [files.cert.clone(), files.key.clone()]
}
