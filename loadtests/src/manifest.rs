//! The YAML that `reveille local` is given.
//!
//! One file per target, in a temporary directory's `manifests`.

use anyhow::Result;
use std::{fmt::Write as _, net::SocketAddr, path::Path};

/// The namespace of objects that name none.
pub(crate) const NAMESPACE: &str = "default";

/// Requests at once per replica, where nothing is to be scaled by it.
const CONCURRENCY: u32 = 100;

/// The host that the target `name` is routed by.
pub(crate) fn host(name: &str) -> String {
    format!("{name}.localhost")
}

/// A route, a process and a ScaledObject: asleep until it is asked for.
pub(crate) fn write_sleeping(dir: &Path, name: &str, command: &[&str]) -> Result<()> {
    // Longer than any run: nothing goes to sleep while others are measured.
    write_sleeping_for(dir, name, command, 900)
}

/// Likewise; it goes back to sleep after `cooldown` seconds without demand.
pub(crate) fn write_sleeping_for(
    dir: &Path,
    name: &str,
    command: &[&str],
    cooldown: u32,
) -> Result<()> {
    let scaling = Scaling {
        concurrency: CONCURRENCY,
        replicas: 1,
        cooldown,
    };
    write_scaled(dir, name, command, scaling)
}

/// How a target is scaled.
#[derive(Clone, Copy)]
pub(crate) struct Scaling {
    /// Requests at once that one replica is good for.
    pub(crate) concurrency: u32,
    /// At most.
    pub(crate) replicas: u32,
    /// Seconds without demand before it sleeps.
    pub(crate) cooldown: u32,
}

/// A route, a process and a ScaledObject, scaled between none and many.
pub(crate) fn write_scaled(
    dir: &Path,
    name: &str,
    command: &[&str],
    scaling: Scaling,
) -> Result<()> {
    let Scaling {
        concurrency,
        replicas,
        cooldown,
    } = scaling;
    let mut yaml = route_to(name, name, concurrency) + &process(name, command)?;
    write!(
        yaml,
        "---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{name: {name}}}
  minReplicaCount: 0
  maxReplicaCount: {replicas}
  pollingInterval: 5
  cooldownPeriod: {cooldown}
  triggers:
    - type: external-push
      metadata: {{scalerAddress: \"reveille-scaler.keda:9090\", interceptorRoute: {name}}}
"
    )?;
    write_file(dir, name, &yaml)
}

/// A route and a process that nothing scales: asleep for ever.
pub(crate) fn write_unscaled(dir: &Path, name: &str, command: &[&str]) -> Result<()> {
    write_file(dir, name, &(route(name) + &process(name, command)?))
}

/// `prefix-0`, `prefix-1` and so on.
pub(crate) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

/// Routes that all lead to addresses that are always on, in one file.
pub(crate) fn write_fixed(dir: &Path, names: &[String], addresses: &[SocketAddr]) -> Result<()> {
    let addresses = serde_json::to_string(addresses)?;
    let mut yaml = format!(
        "apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {{name: fixed}}
spec: {{addresses: {addresses}}}
"
    );
    for name in names {
        write!(yaml, "---\n{}", route_to(name, "fixed", CONCURRENCY))?;
    }
    write_file(dir, "fixed", &yaml)
}

/// A route to addresses that are always on, scaled by `metric`, in YAML.
pub(crate) fn write_measured(dir: &Path, name: &str, to: SocketAddr, metric: &str) -> Result<()> {
    let backend = format!(
        "---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec: {{addresses: [\"{to}\"]}}
"
    );
    write_file(dir, name, &(route_by(name, name, metric) + &backend))
}

fn route(name: &str) -> String {
    route_to(name, name, CONCURRENCY)
}

fn route_to(name: &str, service: &str, concurrency: u32) -> String {
    let metric = format!("concurrency: {{targetValue: {concurrency}}}");
    route_by(name, service, &metric)
}

fn route_by(name: &str, service: &str, metric: &str) -> String {
    let host = host(name);
    format!(
        "apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {{name: {name}}}
spec:
  target: {{service: {service}, port: 80}}
  rules: [{{hosts: [{host}]}}]
  scalingMetric: {{{metric}}}
"
    )
}

fn process(name: &str, command: &[&str]) -> Result<String> {
    // A JSON array is a YAML sequence.
    let command = serde_json::to_string(command)?;
    Ok(format!(
        "---
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {{name: {name}}}
spec: {{command: {command}}}
"
    ))
}

fn write_file(dir: &Path, name: &str, yaml: &str) -> Result<()> {
    let dir = dir.join("manifests");
    std::fs::create_dir_all(&dir)?;
    // Whole or not at all: it may be read at any time.
    let partial = dir.join(format!(".{name}.partial"));
    std::fs::write(&partial, yaml)?;
    std::fs::rename(partial, dir.join(format!("{name}.yaml")))?;
    Ok(())
}
