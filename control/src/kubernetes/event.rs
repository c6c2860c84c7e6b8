//! Events about routes, for `kubectl describe`.
//!
//! Written by the writer of statuses, beside the status that they are about.

use super::{api::Api, duty::Duty, failure::Failure, kind::Kind, store::Key};
use http::Method;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};
use serde_json::json;

/// What the API server takes of a note.
const MAX_NOTE: usize = 1000;

/// What an Event is about.
pub(super) struct Regarding<'a> {
    pub(super) kind: &'static Kind,
    pub(super) key: &'a Key,
    pub(super) uid: &'a str,
}

/// Writes a warning, in the name of `identity`. One that cannot be written is
/// not missed: the status says the same.
pub(super) async fn warn(
    api: &Api,
    duty: &Duty,
    identity: &str,
    regarding: &Regarding<'_>,
    (reason, note): (&str, &str),
) {
    let result = write(api, identity, regarding, (reason, note)).await;
    if let Err(failure) = duty.wrote("events", result) {
        let key = regarding.key;
        tracing::debug!(object = %key, %failure, "an Event was not written");
    }
}

async fn write(
    api: &Api,
    identity: &str,
    regarding: &Regarding<'_>,
    (reason, note): (&str, &str),
) -> Result<(), Failure> {
    let Regarding { kind, key, uid } = regarding;
    let now = Timestamp::now();
    let note: String = note.chars().take(MAX_NOTE).collect();
    let event = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            // As client-go names them.
            "name": format!("{}.{:x}", key.name, now.as_nanosecond()),
            "namespace": &*key.namespace,
        },
        "eventTime": MicroTime(now),
        "reportingController": "reveille",
        "reportingInstance": identity,
        "action": "Reconcile",
        "reason": reason,
        "type": "Warning",
        "note": note,
        "regarding": {
            "apiVersion": kind.api_version(),
            "kind": kind.name,
            "name": &*key.name,
            "namespace": &*key.namespace,
            "uid": uid,
        },
    });
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", key.namespace);
    api.write(Method::POST, &path, "application/json", &event)
        .await?;
    Ok(())
}
