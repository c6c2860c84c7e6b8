//! `/api/v1/targets/…/explain`: why a target is awake or asleep, in plain words.
//!
//! Everything is read where it is known: the counters, the ledger, what KEDA was
//! told, what the autoscaler or the ScaledObject says. Nothing is guessed: where
//! something is not known here, it is not said. `why.rs`, `demand.rs` and `next.rs`
//! are its parts.

mod demand;
mod next;
mod why;

use super::{Admin, TargetState, TargetView, targets};
use crate::{
    autoscaler::{ObjectStatus, StatusReader},
    discovery::Wired,
    explain::wire::{Explanation, NotExplained},
    manifest::nearest,
    sight::{plural, target_name},
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use scaler::{
    DemandParts,
    keda::{ActivityTold, MetricTold},
};
use std::{sync::Arc, time::Duration};

/// Events of the target that are told.
const EVENTS: usize = 10;
/// Names that are suggested.
const NEAR: usize = 5;

/// `/api/v1/targets/{name}/explain`.
pub(super) async fn by_name(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Response {
    answer(&admin, &name)
}

/// `/api/v1/targets/{namespace}/{name}/explain`.
pub(super) async fn by_full_name(
    State(admin): State<Arc<Admin>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    answer(&admin, &format!("{namespace}/{name}"))
}

fn answer(admin: &Admin, asked: &str) -> Response {
    match find(&admin.scene.wired(), asked) {
        Ok(wired) => Json(explain(admin, &wired)).into_response(),
        Err((status, why)) => (status, Json(why)).into_response(),
    }
}

/// The target of that name, with or without its namespace.
pub(super) fn find(all: &[Wired], asked: &str) -> Result<Wired, (StatusCode, NotExplained)> {
    let has_namespace = asked.contains('/');
    let is_it = |wired: &&Wired| {
        let id = wired.target.id();
        match has_namespace {
            true => target_name(id) == asked,
            false => scaler::object_name(id) == asked,
        }
    };
    let found: Vec<&Wired> = all.iter().filter(is_it).collect();
    let names = |all: &[&Wired]| all.iter().map(|one| target_name(one.target.id())).collect();
    match &found[..] {
        [one] => Ok((*one).clone()),
        [] => {
            let known: Vec<String> = all.iter().map(|one| target_name(one.target.id())).collect();
            let mut near = nearest(asked, &known, NEAR);
            let asked: String = asked.chars().take(128).collect();
            let mut error = format!("there is no target {asked:?}");
            match (near.is_empty(), known.len()) {
                (false, _) => error += &format!("; did you mean {}?", near.join(" or ")),
                (_, 0) => error += ": there are no targets at all",
                (_, 1..=NEAR) => {
                    error += &format!("; there are: {}", known.join(", "));
                    near = known;
                }
                (_, count) => error += &format!("; /api/v1/targets lists all {count}"),
            }
            Err((StatusCode::NOT_FOUND, NotExplained { error, near }))
        }
        several => {
            let near: Vec<String> = names(several);
            let error = format!(
                "{asked:?} could be {}: give the namespace",
                near.join(" or ")
            );
            Err((StatusCode::CONFLICT, NotExplained { error, near }))
        }
    }
}

/// What is known of one target.
struct Known<'a> {
    admin: &'a Admin,
    wired: &'a Wired,
    view: TargetView,
    parts: Option<DemandParts>,
    activity: Vec<ActivityTold>,
    values: Vec<MetricTold>,
    /// What the embedded autoscaler thinks.
    object: Option<ObjectStatus>,
}

fn explain(admin: &Admin, wired: &Wired) -> Explanation {
    let known = Known::read(admin, wired);
    let (next, next_in) = known.next();
    Explanation {
        state: known.view.state.as_str().to_owned(),
        why: known.why(),
        demand: known.demand(),
        told: known.told(),
        next,
        next_in_seconds: next_in.map(|left| (left.as_secs_f64() * 10.0).round() / 10.0),
        events: admin.sight.events(Some(&known.view.name), EVENTS),
        name: known.view.name,
    }
}

impl<'a> Known<'a> {
    fn read(admin: &'a Admin, wired: &'a Wired) -> Self {
        let view = targets::one(admin, wired);
        let object = wired.scaled_object.as_deref();
        let (namespace, name) = object.and_then(|object| object.split_once('/')).unzip();
        let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
        let is_its = |told: &MetricTold| told.namespace == namespace && told.scaled_object == name;
        let statuses = admin.scene.autoscaler().map(StatusReader::status);
        let is_status =
            |status: &ObjectStatus| status.namespace == namespace && status.name == name;
        Self {
            parts: admin.ledger.demand_parts(wired.target.id()),
            activity: admin.keda.activity_told(namespace, name),
            values: admin
                .keda
                .metric_values()
                .into_iter()
                .filter(is_its)
                .collect(),
            object: statuses.into_iter().flatten().find(is_status),
            view,
            admin,
            wired,
        }
    }

    fn paused(&self) -> Option<&str> {
        self.wired.bounds.as_ref()?.paused.as_deref()
    }

    fn min_replicas(&self) -> u32 {
        match (&self.object, &self.wired.bounds) {
            (Some(object), _) => object.rules.min_replicas,
            (None, Some(bounds)) => bounds.min,
            (None, None) => 0,
        }
    }

    fn cooldown(&self) -> Option<Duration> {
        match (&self.object, &self.wired.bounds) {
            (Some(object), _) => Some(object.rules.cooldown_period),
            (None, bounds) => bounds.as_ref().map(|bounds| bounds.cooldown),
        }
    }

    /// A metric above its activation value, if there is one.
    fn active_metric(&self) -> Option<&ActivityTold> {
        let is_active = |told: &&ActivityTold| matches!(&told.metric, Some(Ok(now)) if now.active);
        self.activity.iter().find(is_active)
    }

    /// What is left of the activity window, while it is what counts.
    fn window_left(&self) -> Option<Duration> {
        let parts = self.parts.as_ref().filter(|parts| parts.active)?;
        let idle = parts
            .idle
            .filter(|_| parts.here.in_flight + parts.elsewhere.in_flight == 0)?;
        Some(parts.activity_window.saturating_sub(idle))
    }

    /// Does a trigger ask for its requests, as far as is known?
    fn has_own_trigger(&self) -> bool {
        let is_own = |told: &ActivityTold| {
            told.source.contains("interceptorRoute=") || told.source.contains("httpScaledObject=")
        };
        self.activity.is_empty() || self.activity.iter().any(is_own)
    }

    fn is_asked_elsewhere(&self) -> bool {
        self.parts
            .as_ref()
            .is_some_and(|parts| parts.elsewhere.held > 0)
    }

    /// What woke it last, as it was told.
    fn last_woken(&self) -> Option<String> {
        let events = self.admin.sight.events(Some(&self.view.name), EVENTS);
        let woken = events
            .into_iter()
            .rev()
            .find(|event| event.kind == crate::sight::EventKind::Woken)?;
        woken.text.strip_prefix("woken ").map(str::to_owned)
    }
}

/// `1 request waits`, `3 requests wait`.
fn waits(held: u64) -> String {
    match held {
        0 => "nobody waits".to_owned(),
        1 => "1 request waits".to_owned(),
        _ => format!("{held} requests wait"),
    }
}

/// `1 replica is`, `3 replicas are`.
fn are(count: u64, what: &str) -> String {
    let is = if count == 1 { "is" } else { "are" };
    format!("{} {is}", plural(count, what))
}

/// A metric as it is now.
fn metric_words(told: &ActivityTold) -> String {
    match &told.metric {
        Some(Ok(now)) => {
            let activity = if now.active { "above" } else { "not above" };
            format!(
                "{} is {}, {activity} its activation value; {} is what one replica is good for",
                told.source, now.value, now.target
            )
        }
        Some(Err(error)) => format!("not known: {error}"),
        None => String::new(),
    }
}

fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}
