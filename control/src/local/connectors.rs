//! TLS towards the endpoints of Processes and Backends: loaded before anything
//! is started, so that all problems show at once.

use crate::manifest::{AppProtocol, Manifests, ObjectMeta};
use proxy::tls::{Connector, Setting, Tls, TlsProblem};
use std::{collections::HashMap, sync::Arc};

/// The connectors of services, by namespace and name.
pub type Connectors = HashMap<(String, String), Arc<Connector>>;

/// Loads those of all services that speak TLS.
///
/// # Errors
/// All problems, each with the object and the field.
pub fn load(manifests: &Manifests, tls: &Tls) -> Result<Connectors, Vec<String>> {
    let processes = manifests.processes.iter();
    let processes = processes.map(|object| ("Process", &object.meta, &object.spec.protocol));
    let backends = manifests.backends.iter();
    let backends = backends.map(|object| ("Backend", &object.meta, &object.spec.protocol));
    let (mut connectors, mut problems) = (Connectors::new(), Vec::new());
    for (kind, meta, protocol) in processes.chain(backends) {
        let AppProtocol::Tls {
            http1_only,
            settings,
        } = protocol
        else {
            continue;
        };
        // As the HTTP add-on names it in its URLs.
        let service = format!("{}.{}", meta.name, meta.namespace);
        match tls.connector(settings, &service, *http1_only) {
            Ok(connector) => {
                let key = (meta.namespace.clone(), meta.name.clone());
                connectors.insert(key, connector);
            }
            Err(found) => problems.extend(found.iter().map(|found| describe(kind, meta, found))),
        }
    }
    if problems.is_empty() {
        Ok(connectors)
    } else {
        Err(problems)
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
