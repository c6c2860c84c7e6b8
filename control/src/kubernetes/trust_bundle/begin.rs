//! Beginning to follow a trust bundle.

use super::{
    super::{api::Selector, kind::Kind, store::Scope, watch::Watched, watches::Watches},
    BundleMap, BundleSecret, Told, TrustBundle, TrustBundleSettings, follow,
};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc;

/// Changes, and notices, that wait to be taken.
const QUEUE: usize = 64;

/// What is followed, and where.
pub(in crate::kubernetes) fn kinds(settings: &TrustBundleSettings) -> Vec<(&'static Kind, Scope)> {
    let scope = Some(settings.name.namespace().clone());
    let secret = (!settings.root_only).then_some(BundleSecret::KIND);
    let kinds = [BundleMap::KIND].into_iter().chain(secret);
    kinds.map(|kind| (kind, scope.clone())).collect()
}

/// Follows it from now on, and keeps `shown` up to date; gives what is due to be
/// told in Events.
pub(in crate::kubernetes) fn begin(
    watches: &Watches<'_>,
    settings: &TrustBundleSettings,
    shown: Arc<TrustBundle>,
) -> mpsc::Receiver<Told> {
    let name = settings.name.clone();
    let (scope, selector) = (Some(name.namespace().clone()), Selector::named(name.name()));
    let (sender, news) = mpsc::channel(QUEUE);
    watches.start_of::<BundleMap>(selector.clone(), &scope, &sender);
    if !settings.root_only {
        watches.start_of::<BundleSecret>(selector, &scope, &sender);
    }
    let (tell, told) = mpsc::channel(QUEUE);
    let following = follow(name, news, shown, tell, unix_now);
    watches.crew.handle().spawn("the trust bundle", following);
    told
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
