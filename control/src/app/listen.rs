//! What is bound and loaded before anything runs: listeners, and TLS for each
//! direction. Every problem is found before one is reported.

use super::Settings;
use crate::{
    cli::{self, grpc::GrpcSettings},
    ingest::IngestSettings,
    local::connectors::Connectors,
    manifest::Manifests,
    xds::XdsSettings,
};
use anyhow::anyhow;
use proxy::tls::{Listener, Offers, Tls, TlsConfig};
use scaler::grpc;
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

/// Loads everything about TLS that flags name; what is wrong with it, in words
/// for operators.
pub(super) fn load_tls(config: TlsConfig) -> (Arc<Tls>, Vec<String>) {
    let (tls, problems) = Tls::load(config);
    let problems = problems.iter().map(cli::tls::describe).collect();
    (Arc::new(tls), problems)
}

/// Loads TLS towards the endpoints that `manifests` describe.
pub(super) fn load_connectors(
    manifests: &Manifests,
    tls: &Tls,
    problems: &mut Vec<String>,
) -> Connectors {
    let none = Connectors::default();
    Connectors::load(manifests, tls, &none).unwrap_or_else(|found| {
        problems.extend(found);
        none
    })
}

/// Loads the gRPC port's side of TLS, if it is to speak it.
pub(super) fn load_grpc_tls(
    settings: &GrpcSettings,
    tls: &Tls,
    problems: &mut Vec<String>,
) -> Option<Arc<Listener>> {
    let loaded = tls.listener("grpc", settings.tls.as_ref()?, Offers::Http2Only);
    loaded
        .map_err(|found| problems.extend(found.iter().map(cli::grpc::describe)))
        .ok()
}

/// Loads the TLS of a port where metrics come in, if they do so in TLS. All of
/// them have the same settings: what is wrong is said once.
pub(super) fn load_ingest_tls(
    name: &'static str,
    offers: Offers,
    settings: &IngestSettings,
    tls: &Tls,
    problems: &mut Vec<String>,
) -> Option<Arc<Listener>> {
    let loaded = tls.listener(name, settings.tls.as_ref()?, offers);
    loaded
        .map_err(|found| {
            for problem in found.iter().map(cli::ingest::describe) {
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        })
        .ok()
}

/// Loads the xDS port's side of TLS, if there is one and it is to speak it.
pub(super) fn load_xds_tls(
    settings: Option<&XdsSettings>,
    tls: &Tls,
    problems: &mut Vec<String>,
) -> Option<Arc<Listener>> {
    let loaded = tls.listener("xds", settings?.tls.as_ref()?, Offers::Http2Only);
    loaded
        .map_err(|found| problems.extend(found.iter().map(cli::xds::describe)))
        .ok()
}

/// Loads the side of TLS that connects to other replicas.
pub(super) fn load_peers_tls(
    settings: &Settings,
    tls: &Tls,
    problems: &mut Vec<String>,
) -> grpc::Connect {
    let Some(peers) = &settings.peers else {
        return grpc::Connect::default();
    };
    let Some(theirs) = &peers.tls else {
        if settings.grpc.tls.is_some() {
            problems.push(
                "--peers: the gRPC port speaks TLS only, so peers must be spoken to in TLS: \
                 give --peers-tls, or --peers-tls-ca FILE"
                    .to_owned(),
            );
        }
        return grpc::Connect::default();
    };
    match tls.client(theirs) {
        Ok(connector) => grpc::Connect::new(Some(connector)),
        Err(found) => {
            problems.extend(found.iter().map(cli::peers::describe));
            grpc::Connect::default()
        }
    }
}

/// Binds all that are wanted, or says why each of them cannot be bound.
pub(super) fn bind_all<const N: usize>(
    wanted: [(&str, Option<SocketAddr>); N],
) -> Result<[Option<TcpListener>; N], Vec<String>> {
    let mut failures = Vec::new();
    let bound = wanted.map(|(what, addr)| {
        let addr = addr?;
        proxy::bind(addr)
            .map_err(|error| failures.push(format!("--{what}-addr {addr}: {error}")))
            .ok()
    });
    if failures.is_empty() {
        Ok(bound)
    } else {
        Err(failures)
    }
}

/// The listeners, if nothing is wrong with anything.
pub(super) fn all_or_every_problem<T>(
    bound: Result<T, Vec<String>>,
    tls_problems: &[String],
    access_problem: Option<&str>,
) -> anyhow::Result<T> {
    let mut parts = Vec::new();
    if let Some(problem) = access_problem {
        parts.push(format!("cannot guard the admin port:\n  {problem}"));
    }
    if !tls_problems.is_empty() {
        parts.push(format!("cannot use TLS:\n  {}", tls_problems.join("\n  ")));
    }
    match bound {
        Ok(bound) if parts.is_empty() => return Ok(bound),
        Ok(_) => {}
        Err(failures) => parts.push(format!("cannot listen:\n  {}", failures.join("\n  "))),
    }
    Err(anyhow!(parts.join("\n")))
}

pub(super) fn local_addr(listener: Option<&TcpListener>) -> std::io::Result<Option<SocketAddr>> {
    listener.map(TcpListener::local_addr).transpose()
}
