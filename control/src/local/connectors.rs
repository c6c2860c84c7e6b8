//! TLS towards the endpoints of Processes and Backends, and the targets of
//! MetricSources: loaded before anything
//! is started or changed, so that all problems show at once.

use crate::manifest::{AppProtocol, Manifests, ObjectMeta};
use proxy::tls::{Connector, Setting, Tls, TlsProblem, UpstreamTls};
use std::{collections::HashMap, sync::Arc};

/// The connectors of services and of sources, by namespace and name.
#[derive(Debug, Default)]
pub struct Connectors {
    services: HashMap<(String, String), Loaded>,
    sources: HashMap<(String, String), (UpstreamTls, Arc<Connector>)>,
}

/// A connector and what it was loaded for.
#[derive(Debug)]
struct Loaded {
    protocol: AppProtocol,
    connector: Arc<Connector>,
}

impl Connectors {
    /// Loads those of all services and sources that speak TLS. Those of `known` whose
    /// settings are the same are used on, with what they have agreed on;
    /// whether their files have changed is looked at elsewhere.
    ///
    /// # Errors
    /// All problems, each with the object and the field.
    pub fn load(manifests: &Manifests, tls: &Tls, known: &Self) -> Result<Self, Vec<String>> {
        let processes = manifests.processes.iter();
        let processes = processes.map(|object| ("Process", &object.meta, &object.spec.protocol));
        let backends = manifests.backends.iter();
        let backends = backends.map(|object| ("Backend", &object.meta, &object.spec.protocol));
        let (mut connectors, mut problems) = (HashMap::new(), Vec::new());
        for (kind, meta, protocol) in processes.chain(backends) {
            let AppProtocol::Tls {
                http1_only,
                settings,
            } = protocol
            else {
                continue;
            };
            let key = (meta.namespace.clone(), meta.name.clone());
            let same = known
                .services
                .get(&key)
                .filter(|one| one.protocol == *protocol);
            // As the HTTP add-on names it in its URLs.
            let service = format!("{}.{}", meta.name, meta.namespace);
            let loaded = match same {
                Some(one) => Ok(one.connector.clone()),
                None => tls.connector(settings, &service, *http1_only),
            };
            match loaded {
                Ok(connector) => {
                    let protocol = protocol.clone();
                    connectors.insert(
                        key,
                        Loaded {
                            protocol,
                            connector,
                        },
                    );
                }
                Err(found) => {
                    problems.extend(found.iter().map(|found| describe(kind, meta, found)));
                }
            }
        }
        let mut sources = HashMap::new();
        for object in &manifests.metric_sources {
            let Some(settings) = &object.spec.tls else {
                continue;
            };
            let key = (object.meta.namespace.clone(), object.meta.name.clone());
            let same = known.sources.get(&key).filter(|(of, _)| of == settings);
            let loaded = match same {
                Some((_, connector)) => Ok(connector.clone()),
                None => tls.client(settings),
            };
            match loaded {
                Ok(connector) => drop(sources.insert(key, (settings.clone(), connector))),
                Err(found) => {
                    let found = found.iter();
                    problems.extend(found.map(|one| describe("MetricSource", &object.meta, one)));
                }
            }
        }
        if problems.is_empty() {
            Ok(Self {
                services: connectors,
                sources,
            })
        } else {
            Err(problems)
        }
    }

    pub(super) fn get(&self, key: &(String, String)) -> Option<&Arc<Connector>> {
        self.services.get(key).map(|loaded| &loaded.connector)
    }

    pub(super) fn of_source(&self, key: &(String, String)) -> Option<&Arc<Connector>> {
        self.sources.get(key).map(|(_, connector)| connector)
    }
}

fn describe(kind: &str, meta: &ObjectMeta, problem: &TlsProblem) -> String {
    let field = match problem.setting {
        Setting::UpstreamCa => ".caFile",
        Setting::UpstreamClientCertificate => ".clientCertFile, .clientKeyFile",
        Setting::UpstreamServerName => ".serverName",
        _ => "",
    };
    let (namespace, name) = (&meta.namespace, &meta.name);
    format!(
        "{kind} {namespace}/{name}: spec.tls{field}: {}",
        problem.message
    )
}
