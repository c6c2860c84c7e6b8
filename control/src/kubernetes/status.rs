//! Statuses of InterceptorRoutes and HTTPScaledObjects, and Events about those
//! that are not served as they are written.
//!
//! Made by the reconciler, written by the writer: only what differs from what
//! stands there, by server-side apply.

use super::{
    api::Api,
    board::Wanted,
    condition::{Condition, Present},
    event::{self, Event, Events},
    failure::Failure,
    kind::{INTERCEPTOR_ROUTE, Kind},
    legacy::Told,
    route::key_of,
    store::Key,
    writer::{Errand, MANAGER},
};
use http::Method;
use k8s_openapi::jiff::Timestamp;
use proxy::TargetId;
use serde_json::{Value, json};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// What should stand in the status of a route.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) kind: &'static Kind,
    pub(super) uid: String,
    /// The resourceVersion that this follows from.
    pub(super) version: String,
    pub(super) generation: i64,
    pub(super) conditions: Vec<Condition>,
    /// And beside the conditions, of an HTTPScaledObject.
    pub(super) tells: Option<Told>,
    /// What stands there.
    pub(super) present: Box<[Present]>,
    pub(super) told: Option<Told>,
    /// What to write instead of it: told once.
    pub(super) deprecation: Option<String>,
    /// Who writes Events.
    pub(super) events: Arc<Events>,
}

impl Status {
    /// Why it is ready, or why not.
    pub(super) fn ready(&self) -> &'static str {
        let ready = self.conditions.iter().find(|one| one.kind == "Ready");
        ready.map_or("", |ready| ready.reason)
    }

    async fn report(&self, key: &Key) {
        let refused = self.conditions.iter().find(|one| {
            let is_news = !one.stands_in(&self.present, self.generation);
            one.kind == "Ready" && !one.is_true && is_news
        });
        if let Some(refused) = refused {
            self.tell(key, refused.reason, &refused.message).await;
        }
        if let Some(instead) = &self.deprecation {
            let note = format!(
                "HTTPScaledObject is deprecated and goes with the HTTP add-on's v1. Write \
                 InterceptorRoute {key} and a ScaledObject with the trigger interceptorRoute: {} \
                 instead, as `reveille check` prints them",
                key.name
            );
            tracing::warn!("HTTPScaledObject {key}: {note}");
            let note = format!("{note}:\n{instead}");
            self.tell(key, "Deprecated", &note).await;
        }
    }

    /// Writes an Event. One that cannot be written was told of by whoever writes
    /// Events, and the status says the same.
    async fn tell(&self, key: &Key, reason: &str, note: &str) {
        let event = Event {
            name: event::name(&key.name, Timestamp::now()),
            namespace: &key.namespace,
            regarding: json!({
                "apiVersion": self.kind.api_version(),
                "kind": self.kind.name,
                "name": &*key.name,
                "namespace": &*key.namespace,
                "uid": self.uid,
            }),
            action: "Reconcile",
            reason,
            note,
        };
        let _untold = self.events.write(&event).await;
    }
}

impl Wanted for Status {
    fn is_written(&self) -> bool {
        let mut conditions = self.conditions.iter();
        let stands = conditions.all(|one| one.stands_in(&self.present, self.generation));
        // A broken one tells nothing new.
        stands && (self.tells.is_none() || self.tells == self.told)
    }

    fn follows_from(&self) -> Option<u64> {
        self.version.parse().ok()
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.uid, self.generation, &self.conditions, &self.tells).hash(&mut hasher);
        hasher.finish()
    }
}

impl Errand for Status {
    fn resource(&self) -> &'static str {
        if self.kind.name == INTERCEPTOR_ROUTE.name {
            "interceptorroutes/status"
        } else {
            "httpscaledobjects/status"
        }
    }

    async fn write(&self, api: &Api, id: &TargetId) -> Result<Option<u64>, Failure> {
        let key = key_of(id);
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let json = |one: &Condition| one.json(&self.present, self.generation, &now);
        let conditions: Vec<Value> = self.conditions.iter().map(json).collect();
        let mut status = json!({"conditions": conditions});
        if let Some(told) = self.tells.as_ref().or(self.told.as_ref()) {
            status["targetWorkload"] = told.target_workload.as_str().into();
            status["targetService"] = told.target_service.as_str().into();
        }
        let document = json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.name,
            // Not that of another object of the same name.
            "metadata": {"name": &*key.name, "namespace": &*key.namespace, "uid": self.uid},
            "status": status,
        });
        let path = self.kind.path_of(&key);
        let path = format!("{path}/status?fieldManager={MANAGER}&force=true");
        let apply = "application/apply-patch+yaml";
        let written = api.write(Method::PATCH, &path, apply, &document).await?;
        self.report(&key).await;
        let version = &written["metadata"]["resourceVersion"];
        Ok(version.as_str().and_then(|version| version.parse().ok()))
    }

    fn describe(&self, failure: &Failure) -> String {
        match failure {
            Failure::Denied(said) => format!(
                "statuses cannot be written: the permission to patch {}/status is missing ({said})",
                self.kind.resource()
            ),
            other => format!("a status cannot be written: {other}"),
        }
    }
}
