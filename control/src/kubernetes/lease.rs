//! Which replica writes: the one that holds a Lease.
//!
//! As client-go does it: a holder renews; whoever sees a Lease unchanged for
//! its whole duration, by its own clock, takes it over. Two holders at once are
//! harmless here, as both would write the same; none at all delays statuses.

use super::{api::Api, duty::Duty, failure::Failure};
use http::Method;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// A Lease that was not renewed for so long is anybody's.
const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed, and looked at.
const RENEW_EACH: Duration = Duration::from_secs(4);

/// The Lease of all replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeaseSettings {
    /// Where it is.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Who we are: another one for each replica and start.
    pub(super) identity: String,
}

/// Tries to hold the Lease until `stop`, then gives it back; `holds` and `duty`
/// say whether we do.
pub(super) async fn hold(
    api: Api,
    settings: LeaseSettings,
    holds: watch::Sender<bool>,
    duty: Arc<Duty>,
    stop: CancellationToken,
) {
    let mut lease = Lease {
        api,
        settings,
        duty: duty.clone(),
        seen: None,
        renewed: None,
    };
    let mut trouble = None;
    while !stop.is_cancelled() {
        match lease.turn().await {
            Ok(()) => trouble = None,
            Err(failure) => {
                let message = lease.describe(&failure);
                if trouble.as_ref() != Some(&message) {
                    tracing::warn!("{message}");
                    trouble = Some(message);
                }
            }
        }
        let now = lease.is_held();
        duty.set_holds(now);
        holds.send_if_modified(|known| {
            let is_news = *known != now;
            if is_news {
                let what = if now {
                    "statuses are ours to write"
                } else {
                    "another replica writes statuses"
                };
                tracing::info!(identity = lease.settings.identity, "{what}");
                *known = now;
            }
            is_news
        });
        stop.run_until_cancelled(sleep(RENEW_EACH)).await;
    }
    holds.send_replace(false);
    duty.set_holds(false);
    if lease.is_held() {
        lease.give_back().await;
    }
}

struct Lease {
    api: Api,
    settings: LeaseSettings,
    duty: Arc<Duty>,
    /// What was seen of another holder last, and since when.
    seen: Option<(Value, Instant)>,
    /// When we renewed it last.
    renewed: Option<Instant>,
}

impl Lease {
    fn is_held(&self) -> bool {
        self.renewed.is_some_and(|at| at.elapsed() < DURATION)
    }

    fn collection(&self) -> String {
        let namespace = &self.settings.namespace;
        format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.settings.name)
    }

    /// Renews it, takes it, or looks who has it.
    async fn turn(&mut self) -> Result<(), Failure> {
        let lease = match self.api.read(&self.path()).await {
            Ok(lease) => lease,
            Err(Failure::Missing) => {
                let new = self.with_us(json!({"metadata": {"name": self.settings.name}}));
                return self.write(Method::POST, &self.collection(), &new).await;
            }
            Err(failure) => return Err(failure),
        };
        let spec = &lease["spec"];
        let holder = spec["holderIdentity"].as_str().unwrap_or_default();
        if holder == self.settings.identity || holder.is_empty() || self.is_expired(spec) {
            let ours = self.with_us(lease);
            return self.write(Method::PUT, &self.path(), &ours).await;
        }
        self.renewed = None;
        Ok(())
    }

    /// Has another holder let it be for its whole duration?
    fn is_expired(&mut self, spec: &Value) -> bool {
        let seconds = spec["leaseDurationSeconds"].as_u64();
        let duration = seconds.map_or(DURATION, Duration::from_secs);
        match &self.seen {
            Some((known, since)) if known == spec => since.elapsed() > duration,
            _ => {
                self.seen = Some((spec.clone(), Instant::now()));
                false
            }
        }
    }

    fn with_us(&self, mut lease: Value) -> Value {
        let now = json!(MicroTime(Timestamp::now()));
        let spec = &mut lease["spec"];
        if spec["holderIdentity"] != self.settings.identity {
            let transitions = spec["leaseTransitions"].as_i64().unwrap_or(-1) + 1;
            spec["leaseTransitions"] = transitions.into();
            spec["acquireTime"] = now.clone();
            spec["holderIdentity"] = self.settings.identity.as_str().into();
        }
        spec["leaseDurationSeconds"] = DURATION.as_secs().into();
        spec["renewTime"] = now;
        lease["apiVersion"] = "coordination.k8s.io/v1".into();
        lease["kind"] = "Lease".into();
        lease
    }

    async fn write(&mut self, method: Method, path: &str, lease: &Value) -> Result<(), Failure> {
        let json = "application/json";
        let written = self.api.write(method, path, json, lease).await;
        match self.duty.wrote("leases", written) {
            Ok(_) => {
                self.renewed = Some(Instant::now());
                Ok(())
            }
            // Somebody was faster.
            Err(Failure::Conflict(_)) => {
                self.renewed = None;
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// So that the next one need not wait for its end.
    async fn give_back(&mut self) {
        let Ok(mut lease) = self.api.read(&self.path()).await else {
            return;
        };
        if lease["spec"]["holderIdentity"] == self.settings.identity {
            lease["spec"]["holderIdentity"] = "".into();
            let json = "application/json";
            let given = self
                .api
                .write(Method::PUT, &self.path(), json, &lease)
                .await;
            if let Err(failure) = given {
                tracing::debug!(%failure, "the Lease was not given back");
            }
        }
        self.renewed = None;
    }

    fn describe(&self, failure: &Failure) -> String {
        let LeaseSettings {
            namespace, name, ..
        } = &self.settings;
        match failure {
            Failure::Denied(said) => format!(
                "the Lease {namespace}/{name} cannot be held, so no status is written: the \
                 permissions to get, create and update leases.coordination.k8s.io in namespace \
                 {namespace} are missing ({said})"
            ),
            other => format!("the Lease {namespace}/{name}: {other}"),
        }
    }
}

#[cfg(test)]
mod tests;
