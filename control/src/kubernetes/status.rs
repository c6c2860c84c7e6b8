//! Writing statuses, and Events about routes that are not served as they are
//! written.
//!
//! One task, which writes only while this replica holds the Lease, and only
//! what differs from what stands there. It must never hold up the cluster's
//! loop: that leaves what should be written on a board, and goes on.

use super::{
    api::Api,
    condition::{Condition, Present},
    event::{Event, Events},
    failure::Failure,
    kind::INTERCEPTOR_ROUTE,
    store::Key,
};
use http::Method;
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

/// Who owns the fields that are applied.
const MANAGER: &str = "reveille";
/// After a failure, it is tried again after this long.
const PAUSE: Duration = Duration::from_secs(2);

/// What should stand in the status of a route.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) uid: String,
    /// The resourceVersion that this follows from.
    pub(super) version: String,
    pub(super) generation: i64,
    pub(super) conditions: Vec<Condition>,
    /// What stands there.
    pub(super) present: Box<[Present]>,
}

/// What should be written, and is not yet.
#[derive(Debug, Default)]
pub(super) struct Board {
    lists: Mutex<Lists>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Lists {
    /// What should be written.
    open: HashMap<Key, Wanted>,
    /// The resourceVersion that our last write of each led to.
    written: HashMap<Key, u64>,
}

impl Wanted {
    /// Does it follow from a version before that? There will be news then.
    /// Kubernetes' versions are numbers that grow; of others nothing is known.
    fn is_older_than(&self, version: Option<u64>) -> bool {
        let ours = self.version.parse::<u64>().ok();
        ours.zip(version).is_some_and(|(ours, other)| ours < other)
    }

    fn is_written(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.all(|one| one.stands_in(&self.present, self.generation))
    }
}

impl Board {
    /// From now on these should stand there, and no others; what does already
    /// is left out.
    pub(super) fn show(&self, all: Vec<(Key, Wanted)>) {
        let mut lists = self.lists.lock();
        let mut written = std::mem::take(&mut lists.written);
        lists.open.clear();
        for (key, wanted) in all {
            let last = written.remove(&key);
            if !wanted.is_written() && !wanted.is_older_than(last) {
                lists.open.insert(key.clone(), wanted);
            }
            if let Some(last) = last {
                lists.written.insert(key, last);
            }
        }
        drop(lists);
        self.changed.notify_one();
    }

    fn next(&self) -> Option<(Key, Wanted)> {
        let mut lists = self.lists.lock();
        let key = lists.open.keys().next()?.clone();
        lists.open.remove_entry(&key)
    }

    /// It stands there now, in that version of the object.
    fn wrote(&self, key: Key, version: Option<u64>) {
        let Some(version) = version else { return };
        let mut lists = self.lists.lock();
        // What was put there meanwhile may not have seen this write.
        if lists
            .open
            .get(&key)
            .is_some_and(|one| one.is_older_than(Some(version)))
        {
            lists.open.remove(&key);
        }
        lists.written.insert(key, version);
    }

    /// Unless there is something newer.
    fn put_back(&self, key: Key, wanted: Wanted) {
        self.lists.lock().open.entry(key).or_insert(wanted);
    }
}

/// Writes what is on `board` while `holds`, for ever.
pub(super) async fn write(
    api: Api,
    board: Arc<Board>,
    mut holds: watch::Receiver<bool>,
    events: Arc<Events>,
) {
    let mut trouble: Option<String> = None;
    loop {
        if holds.wait_for(|holds| *holds).await.is_err() {
            return;
        }
        let Some((key, wanted)) = board.next() else {
            tokio::select! {
                () = board.changed.notified() => {}
                _ = holds.changed() => {}
            }
            continue;
        };
        match write_one(&api, &key, &wanted, &events).await {
            Ok(version) => {
                board.wrote(key, version);
                trouble = None;
            }
            // It is gone, or another one by now: there will be news of it.
            Err(Failure::Missing | Failure::Conflict(_)) => trouble = None,
            Err(failure) => {
                let message = describe(&failure);
                if trouble.as_ref() != Some(&message) {
                    tracing::warn!(route = %key, "{message}");
                    trouble = Some(message);
                }
                board.put_back(key, wanted);
                sleep(PAUSE).await;
            }
        }
    }
}

/// The version of the object that this led to.
async fn write_one(
    api: &Api,
    key: &Key,
    wanted: &Wanted,
    events: &Events,
) -> Result<Option<u64>, Failure> {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let json = |one: &Condition| one.json(&wanted.present, wanted.generation, &now);
    let conditions: Vec<Value> = wanted.conditions.iter().map(json).collect();
    let kind = &INTERCEPTOR_ROUTE;
    let status = json!({
        "apiVersion": format!("{}/{}", kind.group, kind.version),
        "kind": kind.name,
        // Not that of another object of the same name.
        "metadata": {"name": &*key.name, "namespace": &*key.namespace, "uid": wanted.uid},
        "status": {"conditions": conditions},
    });
    let path = kind.path(Some(&key.namespace));
    let path = format!(
        "{path}/{}/status?fieldManager={MANAGER}&force=true",
        key.name
    );
    let apply = "application/apply-patch+yaml";
    let written = api.write(Method::PATCH, &path, apply, &status).await?;
    let refused = wanted.conditions.iter().find(|one| {
        let is_news = !one.stands_in(&wanted.present, wanted.generation);
        one.kind == "Ready" && !one.is_true && is_news
    });
    if let Some(refused) = refused {
        // One that cannot be written was told of by whoever writes Events.
        let _untold = tell(events, key, wanted, refused).await;
    }
    let version = &written["metadata"]["resourceVersion"];
    Ok(version.as_str().and_then(|version| version.parse().ok()))
}

/// Writes an Event about a route.
async fn tell(
    events: &Events,
    key: &Key,
    wanted: &Wanted,
    condition: &Condition,
) -> Result<(), Failure> {
    let kind = &INTERCEPTOR_ROUTE;
    let event = Event {
        // As client-go names them.
        name: format!("{}.{:x}", key.name, Timestamp::now().as_nanosecond()),
        namespace: &key.namespace,
        regarding: json!({
            "apiVersion": format!("{}/{}", kind.group, kind.version),
            "kind": kind.name,
            "name": &*key.name,
            "namespace": &*key.namespace,
            "uid": wanted.uid,
        }),
        action: "Reconcile",
        reason: condition.reason,
        note: &condition.message,
    };
    events.write(&event).await
}

fn describe(failure: &Failure) -> String {
    match failure {
        Failure::Denied(said) => format!(
            "statuses cannot be written: the permission to patch \
             interceptorroutes.http.keda.sh/status is missing ({said})"
        ),
        other => format!("a status cannot be written: {other}"),
    }
}
