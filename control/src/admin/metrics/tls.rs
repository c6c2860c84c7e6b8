//! TLS: handshakes with clients, reloads, when certificates end.

use super::page::{Labels, NONE, Page};
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use proxy::tls::HandshakeFailure;
use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Handshakes and certificates.
pub(super) fn tls(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let tls = admin.proxy.tls();
    let metrics = tls.metrics();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.family(
        "reveille_tls_handshakes",
        "TLS handshakes with clients that succeeded",
        MetricType::Counter,
        |family| {
            tls.listeners().iter().try_for_each(|listener| {
                let labels = [("listener", listener.name().to_owned())];
                family.counter(&labels, count(&listener.metrics().handshakes))
            })
        },
    )?;
    page.family(
        "reveille_tls_handshake_failures",
        "TLS handshakes with clients that failed, by reason",
        MetricType::Counter,
        |family| {
            for listener in tls.listeners() {
                for reason in HandshakeFailure::ALL {
                    let labels = [
                        ("listener", listener.name().to_owned()),
                        ("reason", reason.as_str().to_owned()),
                    ];
                    family.counter(&labels, listener.metrics().failures(reason))?;
                }
            }
            Ok(())
        },
    )?;
    page.family(
        "reveille_tls_reloads",
        "Changes of certificates and keys that were taken over",
        MetricType::Counter,
        |family| family.counter(&NONE, count(&metrics.reloads)),
    )?;
    page.family(
        "reveille_tls_reload_failures",
        "Changes of certificates and keys that could not be used: the old ones serve on",
        MetricType::Counter,
        |family| family.counter(&NONE, count(&metrics.reload_failures)),
    )?;
    page.gauge_seconds(
        "reveille_certificate_expiry_timestamp",
        "When a certificate expires that is in use, or that Dapr uses, in Unix time",
        |family| {
            tls.certificates().iter().try_for_each(|certificate| {
                let labels = [
                    ("path", certificate.path.display().to_string()),
                    ("role", certificate.role.as_str().to_owned()),
                    ("subject", certificate.subject.clone()),
                ];
                // One that ended before 1970 has expired as well.
                family.gauge(&labels, u64::try_from(certificate.not_after).unwrap_or(0))
            })?;
            bundled(admin).into_iter().try_for_each(|(labels, end)| {
                family.gauge(&labels, u64::try_from(end).unwrap_or(0))
            })
        },
    )
}

/// Dapr's certificates, in their order. Of two with the same labels, as while a
/// bundle has an old and a new one, the first that ends.
fn bundled(admin: &Admin) -> BTreeMap<Labels<3>, i64> {
    let mut ends: BTreeMap<Labels<3>, i64> = BTreeMap::new();
    let Some(cluster) = admin.scene.cluster() else {
        return ends;
    };
    for certificate in cluster.trust_bundle().certificates().iter() {
        let labels = [
            ("path", certificate.path.clone()),
            ("role", certificate.role.as_str().to_owned()),
            ("subject", certificate.subject.clone()),
        ];
        let end = certificate.not_after;
        ends.entry(labels)
            .and_modify(|first| *first = end.min(*first))
            .or_insert(end);
    }
    ends
}
