//! Dapr's trust bundle: when its root and its issuer certificates end.
//!
//! Dapr renews neither by itself. Once one has ended, no sidecar gets a
//! certificate any more, and whatever scales from zero starts without one. So
//! it is told days ahead: in metrics, in the log of each replica, and in Events
//! by the one that writes for all.
//!
//! `begin.rs` starts it all; `object.rs` says what of the Secret and the
//! ConfigMap is read, `notices.rs` when there is something to tell, `tell.rs`
//! writes the Events. A task beside
//! the cluster's loop: nothing of what is served depends on it.

mod begin;
mod notices;
mod object;
mod tell;

pub(super) use begin::{begin, kinds};
pub(super) use tell::write;

use super::store::{Change, Seen};
use arc_swap::ArcSwap;
use notices::Notices;
use object::{BundleMap, BundleNews, BundleObject, BundleSecret, Holder};
use proxy::tls::{
    Bundle,
    expiry::{self, Notice},
};
use std::{fmt, str::FromStr, sync::Arc, time::Duration};
use tell::Told;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

/// How often it is looked whether something is due.
const LOOK_EACH: Duration = Duration::from_secs(60);
/// Names are at most that long, so that an Event's can begin with one.
const LONGEST_NAME: usize = 200;

/// Where a trust bundle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustBundleName {
    namespace: Arc<str>,
    name: Arc<str>,
}

/// Which trust bundle, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustBundleSettings {
    /// Where it is.
    pub name: TrustBundleName,
    /// Only the ConfigMap is read, which has the root alone.
    pub root_only: bool,
}

/// The certificates of a trust bundle as they were last seen.
#[derive(Debug, Default)]
pub struct TrustBundle(ArcSwap<Vec<TrustCertificate>>);

/// A certificate of a trust bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustCertificate {
    /// What it is for.
    pub role: TrustRole,
    /// Where it stands: `namespace/secrets/name/key`, or `configmaps`.
    pub path: String,
    /// Its subject's distinguished name.
    pub subject: String,
    /// When it expires, in Unix seconds.
    pub not_after: i64,
    /// SHA-256, in hexadecimal digits.
    fingerprint: String,
    holder: Holder,
    /// The API server's identity of the object that holds it.
    uid: String,
}

/// What a certificate of a trust bundle is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrustRole {
    /// All sidecars trust it.
    Root,
    /// It signs the certificates of sidecars.
    Issuer,
}

impl TrustRole {
    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "dapr-root",
            Self::Issuer => "dapr-issuer",
        }
    }
}

impl TrustBundle {
    /// The certificates as they were last seen: of each object that holds one.
    #[must_use]
    pub fn certificates(&self) -> Arc<Vec<TrustCertificate>> {
        self.0.load_full()
    }
}

impl TrustBundleName {
    pub(super) fn namespace(&self) -> &Arc<str> {
        &self.namespace
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for TrustBundleName {
    type Err = String;

    /// `NAMESPACE` or `NAMESPACE/NAME`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) = text.split_once('/').unwrap_or((text, "dapr-trust-bundle"));
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_namespace =
            !namespace.is_empty() && namespace.len() <= 63 && namespace.chars().all(fits);
        let is_name = !name.is_empty()
            && name.len() <= LONGEST_NAME
            && name.chars().all(|c| fits(c) || c == '.');
        if !is_namespace || !is_name {
            return Err(format!("{text:?} is not NAMESPACE or NAMESPACE/NAME"));
        }
        Ok(Self {
            namespace: namespace.into(),
            name: name.into(),
        })
    }
}

impl fmt::Display for TrustBundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Keeps `shown` the same as what `news` says, and tells of what is due by the
/// clock `now`, in Unix seconds, until nobody brings news any more.
pub(super) async fn follow(
    name: TrustBundleName,
    mut news: mpsc::Receiver<BundleNews>,
    shown: Arc<TrustBundle>,
    told: mpsc::Sender<Told>,
    now: impl Fn() -> i64 + Send,
) {
    let mut known = Known {
        name,
        secret: Line::default(),
        map: Line::default(),
    };
    let mut notices = Notices::default();
    let mut every = interval(LOOK_EACH);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            one = news.recv() => {
                let Some(one) = one else { return };
                if known.take(one) {
                    shown.0.store(Arc::new(known.certificates()));
                }
            }
            _ = every.tick() => {}
        }
        let now = now();
        for (certificate, notice) in notices.due(&shown.certificates(), now) {
            log(&certificate, notice, now);
            // If Events cannot be written for long, the log still has it.
            let _full = told.try_send(Told::new(known.name.clone(), certificate, notice));
        }
    }
}

fn log(certificate: &TrustCertificate, notice: Notice, now: i64) {
    let (role, path, subject) = (
        certificate.role.as_str(),
        &certificate.path,
        &certificate.subject,
    );
    match notice {
        Notice::Expired => tracing::error!(
            role,
            path,
            subject,
            "a certificate of Dapr has expired, and no sidecar gets one any more: renew it"
        ),
        Notice::Within(_) => {
            let days_left = expiry::days_left(certificate.not_after, now);
            tracing::warn!(
                role,
                path,
                subject,
                days_left,
                "a certificate of Dapr expires soon, and is not renewed by itself"
            );
        }
    }
}

/// The objects as they were last seen.
struct Known {
    name: TrustBundleName,
    secret: Line,
    map: Line,
}

#[derive(Default)]
struct Line {
    held: Option<Held>,
    /// There is none, which was told.
    is_missed: bool,
}

struct Held {
    version: String,
    object: BundleObject,
}

impl Known {
    /// True if certificates may be others now.
    fn take(&mut self, news: BundleNews) -> bool {
        let BundleNews { holder, change } = news;
        let seen = match change {
            Change::All(_, mut all) => all.pop(),
            Change::Put(seen) => Some(seen),
            Change::Gone(_) => None,
        };
        let name = &self.name;
        let Line { held, is_missed } = match holder {
            Holder::Secret => &mut self.secret,
            Holder::ConfigMap => &mut self.map,
        };
        let Some(Seen {
            version, object, ..
        }) = seen
        else {
            if !std::mem::replace(is_missed, true) {
                let kind = holder.kind();
                tracing::warn!("there is no {kind} {name}: is Dapr installed there?");
            }
            return held.take().is_some();
        };
        *is_missed = false;
        // One that cannot be understood at all was told of; what was known stays.
        let Some(mut object) = object else {
            return false;
        };
        if held.as_ref().is_some_and(|known| known.version == version) {
            return false;
        }
        for (key, bundle) in object.parts() {
            for problem in &bundle.problems {
                tracing::warn!("{} {name}: {key}: {problem}", holder.kind());
            }
        }
        if let Some(before) = held.take() {
            object.take_over(before.object);
        }
        *held = Some(Held { version, object });
        true
    }

    fn certificates(&self) -> Vec<TrustCertificate> {
        let secret = self.secret.held.iter().map(|held| (Holder::Secret, held));
        let map = self.map.held.iter().map(|held| (Holder::ConfigMap, held));
        let of = |(holder, held): (Holder, &Held)| {
            let parts = held.object.parts().map(|(key, bundle): (_, &Bundle)| {
                let role = match key {
                    object::ROOT => TrustRole::Root,
                    _ => TrustRole::Issuer,
                };
                let path = format!(
                    "{}/{}/{}/{key}",
                    self.name.namespace,
                    holder.plural(),
                    self.name.name
                );
                bundle.certificates.iter().map(move |one| TrustCertificate {
                    role,
                    path: path.clone(),
                    subject: one.subject.clone(),
                    not_after: one.not_after,
                    fingerprint: one.fingerprint.clone(),
                    holder,
                    uid: held.object.uid.clone(),
                })
            });
            parts.flatten().collect::<Vec<_>>()
        };
        secret.chain(map).flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests;
