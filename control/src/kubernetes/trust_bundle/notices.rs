//! What is due to be told: each notice of each certificate once.
//!
//! Pure, apart from what it remembers. A certificate is the same wherever it
//! stands: the root of the Secret is that of the ConfigMap.

use super::TrustCertificate;
use proxy::tls::expiry::{self, Notice};
use std::collections::{HashMap, HashSet};

/// Certificates that are remembered after they went: they may come back.
const REMEMBERED: usize = 100;

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// When each certificate was last looked at, in Unix seconds.
    looked_at: HashMap<String, i64>,
}

impl Notices {
    /// What is to be told now, in Unix seconds, of `certificates`.
    pub(super) fn due(
        &mut self,
        certificates: &[TrustCertificate],
        now: i64,
    ) -> Vec<(TrustCertificate, Notice)> {
        let mut due = Vec::new();
        for certificate in certificates {
            let last = self.looked_at.get(&certificate.fingerprint).copied();
            if let Some(notice) = expiry::due(certificate.not_after, last, now) {
                due.push((certificate.clone(), notice));
            }
            let latest = last.map_or(now, |last| last.max(now));
            self.looked_at
                .insert(certificate.fingerprint.clone(), latest);
        }
        if self.looked_at.len() > REMEMBERED {
            let there: HashSet<&String> = certificates.iter().map(|one| &one.fingerprint).collect();
            self.looked_at.retain(|known, _| there.contains(known));
        }
        due
    }
}
