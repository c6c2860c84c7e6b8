//! Events: what people find with `kubectl describe` beside an object.
//!
//! Written by whoever writes for all replicas, statuses and the end of
//! certificates. An Event that cannot be written is told once in the log, and
//! holds up nothing.

use super::{api::Api, duty::Duty, failure::Failure};
use http::Method;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{fmt, sync::Arc};

/// What the API server takes of a note, in bytes (`NoteLengthLimit` of its validation).
const MAX_NOTE: usize = 1024;
/// And of a name.
const MAX_NAME: usize = 253;

/// Writes Events. Share it in an `Arc`.
pub(super) struct Events {
    api: Api,
    identity: String,
    duty: Arc<Duty>,
    /// What went wrong last.
    trouble: Mutex<Option<String>>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// A warning about an object.
pub(super) struct Event<'a> {
    /// Its own name. Of one name there is one Event, as long as the cluster
    /// remembers it: an hour by default.
    pub(super) name: String,
    /// Of the object and the Event.
    pub(super) namespace: &'a str,
    /// The object, as `ObjectReference` has it.
    pub(super) regarding: Value,
    /// What was being done.
    pub(super) action: &'static str,
    /// For machines.
    pub(super) reason: &'a str,
    /// For people; cut at what fits.
    pub(super) note: &'a str,
}

impl Events {
    /// `identity` is who reports; `duty` counts.
    pub(super) fn new(api: Api, identity: String, duty: Arc<Duty>) -> Self {
        Self {
            api,
            identity,
            duty,
            trouble: Mutex::new(None),
        }
    }

    /// Writes one. One of that name that is there already is as good.
    pub(super) async fn write(&self, event: &Event<'_>) -> Result<(), Failure> {
        let namespace = event.namespace;
        let note = begin_of(event.note, MAX_NOTE);
        let json = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": event.name, "namespace": namespace},
            "eventTime": MicroTime(Timestamp::now()),
            "reportingController": "reveille",
            "reportingInstance": self.identity,
            "action": event.action,
            "reason": event.reason,
            "type": "Warning",
            "note": note,
            "regarding": event.regarding,
        });
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let json_type = "application/json";
        let written = self.api.write(Method::POST, &path, json_type, &json).await;
        match self.duty.wrote("events", written) {
            Ok(_) | Err(Failure::Conflict(_)) => {
                *self.trouble.lock() = None;
                Ok(())
            }
            Err(failure) => {
                let message = describe(&failure, namespace);
                let mut trouble = self.trouble.lock();
                if trouble.as_ref() != Some(&message) {
                    tracing::warn!("{message}");
                    *trouble = Some(message);
                }
                Err(failure)
            }
        }
    }
}

/// A name for an Event about the object of that name, as client-go has them.
pub(super) fn name(object: &str, now: Timestamp) -> String {
    let suffix = format!(".{:x}", now.as_nanosecond());
    // A part of a name must not end with these.
    let kept = begin_of(object, MAX_NAME - suffix.len()).trim_end_matches(['-', '.']);
    format!("{kept}{suffix}")
}

/// At most so many bytes of a text.
fn begin_of(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes))
        .unwrap_or_default()
}

fn describe(failure: &Failure, namespace: &str) -> String {
    match failure {
        Failure::Denied(said) => format!(
            "Events cannot be written: the permission to create events.events.k8s.io in \
             namespace {namespace} is missing ({said})"
        ),
        other => format!("an Event in namespace {namespace} cannot be written: {other}"),
    }
}
