//! TLS: handshakes with clients, reloads, when certificates end.

use super::page::{NONE, Page};
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use proxy::tls::HandshakeFailure;
use std::{
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
        |family| family.counter(&NONE, count(&metrics.handshakes)),
    )?;
    page.family(
        "reveille_tls_handshake_failures",
        "TLS handshakes with clients that failed, by reason",
        MetricType::Counter,
        |family| {
            HandshakeFailure::ALL.iter().try_for_each(|&reason| {
                let labels = [("reason", reason.as_str().to_owned())];
                family.counter(&labels, metrics.failures(reason))
            })
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
    page.timestamps(
        "reveille_certificate_expiry_timestamp",
        "When a certificate in use expires, in Unix time",
        |family| {
            tls.certificates().iter().try_for_each(|certificate| {
                let labels = [
                    ("path", certificate.path.display().to_string()),
                    ("role", certificate.role.as_str().to_owned()),
                    ("subject", certificate.subject.clone()),
                ];
                // One that ended before 1970 has expired as well.
                family.gauge(&labels, u64::try_from(certificate.not_after).unwrap_or(0))
            })
        },
    )
}
