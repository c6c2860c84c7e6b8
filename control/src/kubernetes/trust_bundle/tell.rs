//! Events about certificates that are about to end, by the replica that writes
//! for all.
//!
//! Every replica knows what is due. Whoever does not hold the Lease keeps it
//! for a while, in case the holder has just died; the name of an Event follows
//! from what it tells, so that no two replicas tell the same.

use super::{
    super::{
        event::{Event, Events},
        failure::Failure,
    },
    TrustBundleName, TrustCertificate, TrustRole,
};
use k8s_openapi::jiff::Timestamp;
use proxy::tls::expiry::Notice;
use serde_json::json;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

/// For so long it is kept in case that nobody else could write it: less than
/// the cluster remembers Events.
const KEPT_FOR: Duration = Duration::from_secs(30 * 60);
/// After a failure, it is tried again after this long.
const PAUSE: Duration = Duration::from_secs(10);
/// What Dapr's own documentation says to do.
const WHAT_TO_DO: &str = "dapr mtls renew-certificate -k --valid-until 365 --restart";

/// Something that was told in the log.
#[derive(Debug)]
pub(in crate::kubernetes) struct Told {
    bundle: TrustBundleName,
    certificate: TrustCertificate,
    notice: Notice,
    at: Instant,
}

impl Told {
    pub(super) fn new(
        bundle: TrustBundleName,
        certificate: TrustCertificate,
        notice: Notice,
    ) -> Self {
        Self {
            bundle,
            certificate,
            notice,
            at: Instant::now(),
        }
    }

    fn event<'a>(&'a self, note: &'a str) -> Event<'a> {
        let (name, namespace) = (self.bundle.name(), &**self.bundle.namespace());
        let certificate = &self.certificate;
        let id: String = certificate.fingerprint.chars().take(16).collect();
        let (when, reason) = match self.notice {
            Notice::Expired => ("expired".to_owned(), "CertificateExpired"),
            Notice::Within(days) => (format!("{}d", days.0), "CertificateExpiresSoon"),
        };
        Event {
            name: format!("{name}.{id}.{when}"),
            namespace,
            regarding: json!({
                "apiVersion": "v1",
                "kind": certificate.holder.kind(),
                "name": name,
                "namespace": namespace,
                "uid": certificate.uid,
            }),
            action: "Watch",
            reason,
            note,
        }
    }

    #[cfg(test)]
    pub(super) fn notice(&self) -> Notice {
        self.notice
    }

    fn note(&self) -> String {
        let TrustCertificate {
            role,
            subject,
            not_after,
            ..
        } = &self.certificate;
        let role = match role {
            TrustRole::Root => "root",
            TrustRole::Issuer => "issuer",
        };
        let end = Timestamp::from_second(*not_after).map_or_else(
            |_| format!("{not_after} (Unix time)"),
            |end| end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        );
        let what = match self.notice {
            Notice::Expired => {
                format!("has expired at {end}. No sidecar gets a certificate any more")
            }
            Notice::Within(days) => {
                let days = days.0;
                format!(
                    "expires in less than {days} days, at {end}. Then no sidecar gets a certificate any more"
                )
            }
        };
        format!(
            "Dapr's {role} certificate ({subject}) {what}, and what scales from zero does not \
             start. Dapr does not renew it by itself: {WHAT_TO_DO}"
        )
    }
}

/// Writes what is told while `holds`, until nobody tells any more.
pub(in crate::kubernetes) async fn write(
    events: Arc<Events>,
    mut told: mpsc::Receiver<Told>,
    mut holds: watch::Receiver<bool>,
) {
    // By certificate: only the most urgent matters.
    let mut open: HashMap<String, Told> = HashMap::new();
    let mut has_failed = false;
    loop {
        tokio::select! {
            one = told.recv() => {
                let Some(one) = one else { return };
                open.insert(one.certificate.fingerprint.clone(), one);
            }
            changed = holds.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = sleep(PAUSE), if has_failed => {}
        }
        open.retain(|_, one| one.at.elapsed() < KEPT_FOR);
        has_failed = false;
        if !*holds.borrow_and_update() {
            continue;
        }
        let keys: Vec<String> = open.keys().cloned().collect();
        for key in keys {
            let Some(one) = open.get(&key) else { continue };
            let note = one.note();
            match events.write(&one.event(&note)).await {
                Ok(()) | Err(Failure::Missing) => {
                    open.remove(&key);
                }
                // Told in the log already.
                Err(_) => has_failed = true,
            }
        }
    }
}
