//! Annotations of Reveille's own, for what the add-on's objects have no field
//! for.
//!
//! Checked by `kind` when an object is read, so that every problem has its
//! line; asked for by `routes`. It must never refuse an annotation of somebody
//! else.

use std::num::NonZeroUsize;

use clap::ValueEnum;

use super::decode::Field;
use super::meta::ObjectMeta;
use super::process::Readiness;

/// All annotations of this prefix are ours.
const PREFIX: &str = "reveille.dev/";

/// Of an InterceptorRoute: most requests at once on each replica.
pub const MAX_CONCURRENCY_PER_REPLICA: &str = "reveille.dev/max-concurrency-per-replica";

/// Of an InterceptorRoute: whether addresses that the cluster calls not ready
/// are tried while somebody waits. `true` (by TCP), `false`, or the path of an
/// HTTP probe. In a cluster only.
pub const PROBE_NOT_READY: &str = "reveille.dev/probe-not-ready";

/// Of an InterceptorRoute: whether requests go to Pods or to the ClusterIP of
/// their Service. `pods` or `cluster-ip`. In a cluster only.
pub const ENDPOINTS: &str = "reveille.dev/endpoints";

/// Where requests go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum Via {
    /// To Pods, each chosen here
    #[default]
    Pods,
    /// To the ClusterIP of the Service, as long as a Pod behind it is ready
    ClusterIp,
}

/// Far more than one process serves at once.
const MOST_CONCURRENCY: usize = 1_000_000;

/// Is an annotation of that name one of Reveille's own?
#[must_use]
pub fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Notes what is wrong with the annotations of an InterceptorRoute.
pub(super) fn check_route(metadata: &Field<'_>) {
    let annotations = metadata
        .map()
        .and_then(|fields| fields.optional("annotations"))
        .and_then(|field| field.entries())
        .unwrap_or_default();
    for (name, field) in annotations {
        if name == MAX_CONCURRENCY_PER_REPLICA {
            field.parse(max_concurrency);
        } else if name == PROBE_NOT_READY {
            field.parse(probe_not_ready);
        } else if name == ENDPOINTS {
            field.parse(via);
        } else if is_ours(name) {
            field.warning(format!(
                "unknown annotation; known here: {MAX_CONCURRENCY_PER_REPLICA}, \
                 {PROBE_NOT_READY}, {ENDPOINTS}"
            ));
        }
    }
}

impl ObjectMeta {
    /// Most requests at once on each replica, if the object sets a limit. One
    /// that is no number is none: it was refused when the object was read.
    #[must_use]
    pub fn max_concurrency_per_replica(&self) -> Option<NonZeroUsize> {
        let text = self.annotations.get(MAX_CONCURRENCY_PER_REPLICA)?;
        max_concurrency(text).ok()
    }

    /// Where its requests go, if it says so. What is neither was refused when
    /// the object was read.
    #[must_use]
    pub fn via(&self) -> Option<Via> {
        via(self.annotations.get(ENDPOINTS)?).ok()
    }

    /// How an address that the cluster calls not ready is tried; `None`: it is
    /// not. What is neither was refused when the object was read.
    #[must_use]
    pub fn probe_not_ready(&self) -> Option<Readiness> {
        match self.annotations.get(PROBE_NOT_READY) {
            Some(text) => probe_not_ready(text).ok().flatten(),
            None => Some(Readiness::Tcp),
        }
    }
}

fn via(text: &str) -> Result<Via, String> {
    match text {
        "pods" => Ok(Via::Pods),
        "cluster-ip" => Ok(Via::ClusterIp),
        _ => Err(format!("must be \"pods\" or \"cluster-ip\", not {text:?}")),
    }
}

fn probe_not_ready(text: &str) -> Result<Option<Readiness>, String> {
    match text {
        "true" => Ok(Some(Readiness::Tcp)),
        "false" => Ok(None),
        path if path.starts_with('/') && path.parse::<http::Uri>().is_ok() => {
            let path = path.to_owned();
            Ok(Some(Readiness::Http { path }))
        }
        _ => Err(format!(
            "must be \"true\", \"false\" or a path such as /healthz, not {text:?}"
        )),
    }
}

fn max_concurrency(text: &str) -> Result<NonZeroUsize, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number
        .then(|| text.parse::<NonZeroUsize>().ok())
        .flatten();
    number
        .filter(|limit| limit.get() <= MOST_CONCURRENCY)
        .ok_or_else(|| format!("must be a number from 1 to {MOST_CONCURRENCY}, not {text:?}"))
}
