//! How we stand with the API server: which kinds were listed, when each was
//! heard of last, and what went wrong.
//!
//! Written by the watches, read by readiness and by the admin server. It logs
//! each trouble once, and its end. It must never influence what is served.

use super::{failure::Failure, kind::Kind, store::Scope};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::watch, time::Instant};

/// A kind in one namespace, or in all.
type Followed = (&'static str, Scope);

/// How we stand with the API server.
#[derive(Debug)]
pub struct Contact {
    lines: Mutex<BTreeMap<Followed, Line>>,
    all_synced: watch::Sender<bool>,
}

/// How one watch is.
#[derive(Debug, Default)]
struct Line {
    is_awaited: bool,
    is_synced: bool,
    is_absent: bool,
    heard: Option<Instant>,
    trouble: Option<String>,
    failures: BTreeMap<&'static str, u64>,
    lists: u64,
}

/// How one watch is, for people.
#[derive(Clone, Debug)]
pub struct LineView {
    /// The kind.
    pub kind: &'static str,
    /// Its namespace; `None`: all.
    pub namespace: Option<Arc<str>>,
    /// All objects were listed.
    pub is_synced: bool,
    /// The API server does not know the kind, which is optional.
    pub is_absent: bool,
    /// Since when nothing was heard, in seconds; absent before the first word.
    pub silent_seconds: Option<f64>,
    /// What is wrong now.
    pub trouble: Option<String>,
    /// Failures so far, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// Lists so far.
    pub lists: u64,
}

impl Contact {
    /// Of watches that have yet to begin.
    pub(super) fn new(followed: impl IntoIterator<Item = (&'static Kind, Scope)>) -> Self {
        let line = |(kind, scope): (&'static Kind, Scope)| {
            let line = Line {
                is_awaited: kind.awaited,
                ..Line::default()
            };
            ((kind.name, scope), line)
        };
        Self {
            lines: Mutex::new(followed.into_iter().map(line).collect()),
            all_synced: watch::Sender::new(false),
        }
    }

    /// Resolves when all objects of all awaited kinds were listed once. Cancel safe.
    pub(super) async fn synced_all(&self) {
        let mut synced = self.all_synced.subscribe();
        // The sender is ours.
        let _open = synced.wait_for(|synced| *synced).await;
    }

    pub(super) fn is_synced(&self, kind: &Kind, scope: &Scope) -> bool {
        let lines = self.lines.lock();
        let line = lines.get(&(kind.name, scope.clone()));
        line.is_some_and(|line| line.is_synced)
    }

    /// Were all objects of all awaited kinds listed once?
    #[must_use]
    pub fn is_synced_all(&self) -> bool {
        *self.all_synced.borrow()
    }

    /// All objects were listed, and told to the cluster.
    pub(super) fn synced(&self, kind: &Kind, scope: &Scope) {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get_mut(&(kind.name, scope.clone())) {
            line.is_synced = true;
            line.lists += 1;
        }
        let mut awaited = lines.values().filter(|line| line.is_awaited);
        let all = awaited.all(|line| line.is_synced);
        drop(lines);
        self.all_synced.send_if_modified(|known| {
            let news = all && !*known;
            *known |= all;
            news
        });
        self.heard(kind, scope);
    }

    /// The API server does not know the kind, which a cluster may do without.
    pub(super) fn absent(&self, kind: &Kind) {
        let mut lines = self.lines.lock();
        let mut first = false;
        for (_, line) in lines.iter_mut().filter(|((name, _), _)| *name == kind.name) {
            first |= !std::mem::replace(&mut line.is_absent, true);
        }
        if first {
            tracing::info!(
                kind = kind.name,
                "the cluster has no {}; looking again from time to time",
                kind.resource()
            );
        }
    }

    /// Something came.
    pub(super) fn heard(&self, kind: &Kind, scope: &Scope) {
        let mut lines = self.lines.lock();
        let Some(line) = lines.get_mut(&(kind.name, scope.clone())) else {
            return;
        };
        line.heard = Some(Instant::now());
        if line.trouble.take().is_some() {
            tracing::info!(
                kind = kind.name,
                namespace = scope.as_deref(),
                "followed again"
            );
        }
    }

    /// `verb` failed.
    pub(super) fn trouble(&self, kind: &Kind, scope: &Scope, verb: &str, failure: &Failure) {
        let resource = kind.resource();
        let place = scope.as_deref().map_or_else(
            || "all namespaces".to_owned(),
            |ns| format!("namespace {ns}"),
        );
        let message = match failure {
            Failure::Denied(said) => format!(
                "the permission to {verb} {resource} in {place} is missing: grant it in the \
                 role of this service account ({said})"
            ),
            Failure::Missing => {
                format!("the cluster has no {resource}: install its CustomResourceDefinition")
            }
            other => format!("{verb} {resource} in {place}: {other}"),
        };
        let mut lines = self.lines.lock();
        let Some(line) = lines.get_mut(&(kind.name, scope.clone())) else {
            return;
        };
        *line.failures.entry(failure.reason()).or_default() += 1;
        if line.trouble.as_ref() != Some(&message) {
            let known = if line.is_synced {
                "; what was last seen is served on"
            } else if line.is_awaited {
                "; nothing is served before it was read"
            } else {
                "; until then it is done without them, and routes are served"
            };
            tracing::warn!(kind = kind.name, "{message}{known}");
            line.trouble = Some(message);
        }
    }

    /// An object came without a name.
    pub(super) fn nameless(&self, kind: &Kind) {
        tracing::warn!(
            kind = kind.name,
            "an object without a name came; it is ignored"
        );
    }

    /// How each watch is.
    #[must_use]
    pub fn view(&self) -> Vec<LineView> {
        let lines = self.lines.lock();
        let one = |((kind, namespace), line): (&Followed, &Line)| LineView {
            kind,
            namespace: namespace.clone(),
            is_synced: line.is_synced,
            is_absent: line.is_absent,
            silent_seconds: line.heard.map(|heard| heard.elapsed().as_secs_f64()),
            trouble: line.trouble.clone(),
            failures: line.failures.clone(),
            lists: line.lists,
        };
        lines.iter().map(one).collect()
    }
}
