//! What was found about hosts that a client refuses.

use super::Version;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// What a client gets in the place of a host that it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Instead {
    /// A host whose requests all come to our proxy.
    Proxy,
    /// Nothing: it refuses that, too.
    Nothing,
    /// What it had before: it would not be without it, either.
    Former,
}

/// Why a host is not with a client as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::xds) struct Verdict {
    /// The state of the host that is refused.
    pub(super) of: Version,
    pub(in crate::xds) instead: Instead,
    /// In the client's words.
    pub(in crate::xds) reason: Arc<str>,
}

/// By hosts.
pub(in crate::xds) type Verdicts = BTreeMap<Arc<str>, Verdict>;

/// The host in this state is refused: the next thing in its place.
pub(super) fn judge(verdicts: &mut Verdicts, host: &Arc<str>, of: Version, reason: &Arc<str>) {
    let before = verdicts.get(host).filter(|verdict| verdict.of == of);
    let instead = match before.map(|verdict| verdict.instead) {
        None => Instead::Proxy,
        Some(Instead::Proxy) => Instead::Nothing,
        Some(Instead::Nothing | Instead::Former) => Instead::Former,
    };
    let reason = reason.clone();
    let verdict = Verdict {
        of,
        instead,
        reason,
    };
    verdicts.insert(host.clone(), verdict);
}
