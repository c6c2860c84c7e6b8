//! `/api/v1/targets/…/explain`: why a target is awake or asleep, in plain words.
//!
//! Everything is read where it is known: the counters, the ledger, what KEDA was
//! told, what the autoscaler or the ScaledObject says. Nothing is guessed: where
//! something is not known here, it is not said.

use super::{Admin, TargetState, TargetView, targets};
use crate::{
    autoscaler::{ObjectStatus, StatusReader},
    discovery::Wired,
    explain::wire::{Explanation, NotExplained, Source, Told},
    manifest::nearest,
    sight::{plural, spell, target_name},
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use scaler::{
    DemandParts,
    keda::{ActivityTold, MetricTold, ToldBy},
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

    fn why(&self) -> String {
        let view = &self.view;
        let waits = format!("{} for an endpoint", waits(view.held));
        match view.state {
            TargetState::Failing => {
                let reason = view.reason.as_deref().unwrap_or("nobody can serve it");
                match view.held {
                    0 => format!("{reason}."),
                    _ => format!("{reason}; {waits}."),
                }
            }
            TargetState::Cold => {
                if let Some(paused) = self.paused() {
                    return format!("nobody serves it, and KEDA does not wake it: {paused}.");
                }
                match (&self.parts, self.is_asked_elsewhere()) {
                    (_, true) => {
                        "nobody serves it here, and requests for it wait on other replicas."
                            .to_owned()
                    }
                    (Some(parts), _) => match parts.idle {
                        Some(idle) if parts.active => format!(
                            "nobody serves it; the last request ended {} ago.",
                            spell(idle)
                        ),
                        Some(idle) => format!(
                            "nothing was asked of it for {}, so it sleeps at zero replicas.",
                            spell(idle)
                        ),
                        None => {
                            "nothing was asked of it yet, so it sleeps at zero replicas.".to_owned()
                        }
                    },
                    (None, _) => "nothing is known to be asked of it.".to_owned(),
                }
            }
            TargetState::Waking => {
                let since = match self.wired.target.waking_for() {
                    Some(since) => format!("woken {} ago", spell(since)),
                    None => "woken".to_owned(),
                };
                let by = self
                    .last_woken()
                    .map_or(String::new(), |by| format!(" {by}"));
                let starting = match &view.replicas {
                    Some(replicas) if replicas.wanted > replicas.ready => {
                        let starting = u64::from(replicas.wanted - replicas.ready);
                        format!(", and {} starting", are(starting, "replica"))
                    }
                    Some(_) => ", and no replica is started yet".to_owned(),
                    None => ", and no endpoint is known yet".to_owned(),
                };
                let waits = match view.held {
                    0 => "nobody waits".to_owned(),
                    _ => waits,
                };
                match self.paused() {
                    Some(paused) => format!("{since}{by}; {waits}, but KEDA is paused: {paused}."),
                    None => format!("{since}{by}; {waits}{starting}."),
                }
            }
            TargetState::Warm => {
                let serve = view.endpoints.iter().filter(|one| !one.ejected).count() as u64;
                let serve = match serve {
                    0 => "its endpoints keep failing but are tried on".to_owned(),
                    1 => "1 endpoint serves it".to_owned(),
                    _ => format!("{serve} endpoints serve it"),
                };
                format!("{serve}, {}.", self.kept_awake_by())
            }
        }
    }

    /// Why a warm target is not put to sleep.
    fn kept_awake_by(&self) -> String {
        let asked = self
            .parts
            .as_ref()
            .map(|parts| parts.here.in_flight + parts.elsewhere.in_flight);
        if let Some(asked) = asked.filter(|asked| *asked > 0) {
            return format!("with {} in flight", plural(asked, "request"));
        }
        if let Some(metric) = self.active_metric() {
            let what = metric_words(metric);
            return format!("and a metric keeps it awake: {what}");
        }
        if let Some(left) = self.window_left() {
            let idle = self
                .parts
                .as_ref()
                .and_then(|parts| parts.idle)
                .unwrap_or_default();
            return format!(
                "and its last request ended {} ago: it counts as active for {} more",
                spell(idle),
                spell(left)
            );
        }
        let object = self.wired.scaled_object.as_deref();
        match object {
            None => "and no ScaledObject would put it to sleep".to_owned(),
            Some(_) if self.min_replicas() > 0 => {
                format!("and minReplicaCount is {}", self.min_replicas())
            }
            Some(_) => match self.cooldown() {
                Some(cooldown) => format!(
                    "nothing asks for it, and the cooldown of {} runs",
                    spell(cooldown)
                ),
                None => "and nothing asks for it".to_owned(),
            },
        }
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

    fn demand(&self) -> Vec<Source> {
        let mut all = Vec::new();
        let mut add = |source: &str, says: String, active: bool| {
            let source = source.to_owned();
            all.push(Source {
                source,
                says,
                active,
            });
        };
        if let Some(parts) = &self.parts {
            let says = |part: &scaler::Part| match part.in_flight {
                0 => "nothing in flight".to_owned(),
                _ => format!("{} in flight, {} of them held", part.in_flight, part.held),
            };
            add("this proxy", says(&parts.here), parts.here.in_flight > 0);
            let peers = self.admin.peer_views().len();
            if peers > 0 {
                let unsure = if self.admin.ledger.is_unsure() {
                    "; one of them is silent, so nothing is called idle"
                } else {
                    ""
                };
                let says = format!("{}{unsure}", says(&parts.elsewhere));
                add("other replicas", says, parts.elsewhere.in_flight > 0);
            }
            let (window, view) = (spell(parts.activity_window), &self.view);
            let says = match (parts.idle, self.window_left()) {
                (Some(idle), Some(left)) => format!(
                    "the last request ended {} ago; active for {} more of {window}",
                    spell(idle),
                    spell(left)
                ),
                (Some(_), None) if parts.active => format!("{window}, from the last request's end"),
                (Some(_), None) => format!("over: {window} without a request"),
                (None, _) => "no request yet".to_owned(),
            };
            add("activity window", says, self.window_left().is_some());
            let scaled_by = match (parts.scaling.concurrency, parts.scaling.request_rate) {
                (None, None) => "concurrency 100 per replica (its route sets nothing)".to_owned(),
                (concurrency, rate) => {
                    let concurrency = concurrency.map(|target| {
                        format!(
                            "concurrency {:.2} of {target} per replica",
                            view.concurrency
                        )
                    });
                    let rate = rate.map(|rate| {
                        let target = rate.target_value;
                        format!(
                            "{:.2} of {target} requests/s per replica",
                            view.request_rate
                        )
                    });
                    concurrency
                        .into_iter()
                        .chain(rate)
                        .collect::<Vec<_>>()
                        .join(", ")
                }
            };
            add("scaled by", scaled_by, false);
        }
        for told in self.activity.iter().filter(|told| told.metric.is_some()) {
            let active = matches!(&told.metric, Some(Ok(now)) if now.active);
            add(&told.source, metric_words(told), active);
        }
        match (&self.wired.scaled_object, &self.object, &self.wired.bounds) {
            (None, ..) => add(
                "ScaledObject",
                "none: nothing wakes it or puts it to sleep".to_owned(),
                false,
            ),
            (Some(name), Some(object), _) => {
                let rules = object.rules;
                let error = object.last_error.as_ref().filter(|error| error.ongoing);
                let error = error.map_or(String::new(), |error| {
                    format!("; failing, so nothing is taken away: {}", error.message)
                });
                let says = format!(
                    "{name}: {} to {} replicas, polled every {}, cooldown {}{error}",
                    rules.min_replicas,
                    rules.max_replicas,
                    spell(rules.polling_interval),
                    spell(rules.cooldown_period)
                );
                add("ScaledObject", says, rules.min_replicas > 0);
            }
            (Some(name), None, Some(bounds)) => {
                let paused = bounds.paused.as_deref();
                let paused = paused.map_or(String::new(), |paused| format!("; paused: {paused}"));
                let says = format!(
                    "{name}: {} to {} replicas, cooldown {}{paused}",
                    bounds.min,
                    bounds.max,
                    spell(bounds.cooldown)
                );
                add("ScaledObject", says, bounds.min > 0);
            }
            (Some(name), None, None) => add("ScaledObject", name.clone(), false),
        }
        all
    }

    fn told(&self) -> Vec<Told> {
        let said = |told: &ActivityTold| {
            let said = told.said.as_ref()?;
            let by = match (said.by, told.has_stream) {
                (ToldBy::Stream, _) => "on its stream",
                (ToldBy::Poll, true) => "as it asked; it has a stream open, too",
                (ToldBy::Poll, false) => "as it asked; it has no stream open",
            };
            let what = match &said.what {
                Ok(true) => format!("active, {by}"),
                Ok(false) => format!("not active, {by}"),
                Err(error) => format!("an error: {error}"),
            };
            Some(Told {
                about: told.source.clone(),
                said: format!("{what} (so for {})", spell(said.since.elapsed())),
                ago_seconds: tenths(said.at.elapsed()),
            })
        };
        let activity = self.activity.iter().filter_map(said);
        let values = self.values.iter().map(|told| Told {
            about: told.metric.clone(),
            said: format!("{}", told.value),
            ago_seconds: tenths(told.at.elapsed()),
        });
        activity.chain(values).collect()
    }

    /// What happens next, and in how long at the earliest.
    fn next(&self) -> (String, Option<Duration>) {
        let held = self.view.held;
        match self.view.state {
            TargetState::Failing => {
                let text = "it is tried again with growing pauses; until a replica gets ready, \
                            requests are refused or wait.";
                (text.to_owned(), None)
            }
            TargetState::Cold | TargetState::Waking if self.paused().is_some() => {
                let text = "nothing, until KEDA is allowed to scale it again; requests get 503.";
                (text.to_owned(), None)
            }
            TargetState::Cold if self.wired.scaled_object.is_none() => {
                let text = "a request would wait: no ScaledObject is known that would wake it.";
                (text.to_owned(), None)
            }
            TargetState::Cold => {
                let metrics = self.activity.iter().filter(|told| told.metric.is_some());
                let metrics: Vec<&str> = metrics.map(|told| told.source.as_str()).collect();
                let above = match &metrics[..] {
                    [] => String::new(),
                    some => format!("{} above its activation value", some.join(" or ")),
                };
                let text = match (self.has_own_trigger(), above.is_empty()) {
                    (true, true) => "the next request wakes it.".to_owned(),
                    (true, false) => format!("the next request, or {above}, wakes it."),
                    (false, _) => format!("{above} wakes it; no trigger asks for its requests."),
                };
                (text, None)
            }
            TargetState::Waking => {
                let waits = match held {
                    0 => "whoever comes".to_owned(),
                    1 => "the request that waits".to_owned(),
                    _ => format!("the {held} requests that wait"),
                };
                (
                    format!("the first endpoint that accepts connections gets {waits}."),
                    None,
                )
            }
            TargetState::Warm => self.when_asleep(),
        }
    }

    fn when_asleep(&self) -> (String, Option<Duration>) {
        if self.wired.scaled_object.is_none() {
            return (
                "it stays as it is: no ScaledObject scales it.".to_owned(),
                None,
            );
        }
        let min = self.min_replicas();
        if min > 0 {
            return (format!("it stays awake: minReplicaCount is {min}."), None);
        }
        if let Some(paused) = self.paused() {
            return (
                format!("it stays as it is: KEDA is paused ({paused})."),
                None,
            );
        }
        let Some(cooldown) = self.cooldown() else {
            return (
                "it sleeps when KEDA finds that nothing asks for it.".to_owned(),
                None,
            );
        };
        let asked = self
            .parts
            .as_ref()
            .map(|parts| parts.here.in_flight + parts.elsewhere.in_flight);
        if asked.is_some_and(|asked| asked > 0) {
            let window = self
                .parts
                .as_ref()
                .map(|parts| parts.activity_window)
                .unwrap_or_default();
            let text = format!(
                "it stays awake while requests are in flight; asleep about {} after the last one, \
                 if nothing else comes.",
                spell(window + cooldown)
            );
            return (text, None);
        }
        if self.active_metric().is_some() {
            let text = format!(
                "it stays awake while its metric is above the activation value, and for the \
                 cooldown of {} after that.",
                spell(cooldown)
            );
            return (text, None);
        }
        let left = match (self.window_left(), &self.object) {
            (Some(left), _) => left + cooldown,
            (None, Some(object)) => object.sleeps_in.unwrap_or_default(),
            (None, None) => {
                let said = self.activity.iter().filter_map(|told| told.said.as_ref());
                let quiet = said.map(|said| said.since.elapsed()).min();
                cooldown.saturating_sub(quiet.unwrap_or_default())
            }
        };
        (
            format!("asleep in about {} if nothing comes.", spell(left)),
            Some(left),
        )
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
