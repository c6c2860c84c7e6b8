//! `/api/v1/targets`: every target in one line of JSON each: is it asleep,
//! what is asked of it, who serves it.

use super::Admin;
use crate::{autoscaler::StatusReader, discovery::Wired, sight::target_name};
use proxy::Endpoint;
use scaler::keda::{MetricTold, Said};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// What a target is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    /// Nobody serves it, and nobody is on the way.
    Cold,
    /// Nobody serves it yet; somebody waits, or a replica is starting.
    Waking,
    /// Somebody serves it.
    Warm,
    /// Its starts keep failing, or all its endpoints refuse connections.
    Failing,
}

impl TargetState {
    /// As in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Waking => "waking",
            Self::Warm => "warm",
            Self::Failing => "failing",
        }
    }
}

/// One target.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetView {
    /// `namespace/name` of its InterceptorRoute or HTTPScaledObject.
    pub name: String,
    /// What it is doing.
    pub state: TargetState,
    /// Why it is failing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Replicas; absent for a Backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
    /// Between which numbers of replicas its ScaledObject scales it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<BoundsView>,
    /// Who serves it.
    pub endpoints: Vec<EndpointView>,
    /// Requests begun and not ended, held ones included.
    pub in_flight: u64,
    /// Requests that wait for an endpoint.
    pub held: u64,
    /// Most requests at once on each endpoint; absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency_per_replica: Option<usize>,
    /// Requests at once, as KEDA is told.
    pub concurrency: f64,
    /// Requests per second, as KEDA is told.
    pub request_rate: f64,
    /// Whether KEDA is told that it is active.
    pub active: bool,
    /// How long the request that was released last had waited, in seconds;
    /// absent before the first cold start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_cold_start_seconds: Option<f64>,
    /// The ScaledObject that scales it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaled_object: Option<String>,
    /// In how many seconds it may sleep if the scaler calls it active no more
    /// from now on; it still does for the activity window after the last request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sleeps_in_seconds: Option<f64>,
    /// What KEDA, or the embedded autoscaler, was told of its ScaledObject last;
    /// absent where it did not ask lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<ToldView>,
}

/// What KEDA was told last of a ScaledObject.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldView {
    /// That it is active, or not; absent: that this is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long ago that was.
    pub ago_seconds: f64,
    /// The value of each metric that was asked for.
    pub metrics: BTreeMap<String, f64>,
}

/// Replicas of a process pool.
#[derive(Clone, Debug, Serialize)]
pub struct Replicas {
    /// How many the autoscaler wants.
    pub wanted: u32,
    /// How many serve.
    pub ready: u32,
}

/// What a ScaledObject of a cluster says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundsView {
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// Why KEDA does not wake it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
}

/// One endpoint.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    /// What logs call it.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Requests on it, of all targets that share it.
    pub in_flight: usize,
    /// It refuses connections, or keeps failing requests, and is out of the
    /// rotation for a while.
    pub ejected: bool,
    /// It is out for what it answers: it gets requests if all others are out.
    pub ejected_for_answers: bool,
}

/// All targets, in the order of their manifests.
pub(super) fn view(admin: &Admin) -> Vec<TargetView> {
    some(admin, admin.scene.wired().iter())
}

/// One target.
pub(super) fn one(admin: &Admin, wired: &Wired) -> TargetView {
    let mut one = some(admin, std::iter::once(wired));
    one.pop().expect("one is given, so one is shown")
}

/// Some of them, in their order.
pub(super) fn some<'a>(admin: &Admin, some: impl Iterator<Item = &'a Wired>) -> Vec<TargetView> {
    let autoscaler = admin.scene.autoscaler();
    let sleeps = autoscaler.map(StatusReader::status).unwrap_or_default();
    let sleeps: HashMap<String, Duration> = sleeps
        .iter()
        .filter_map(|s| Some((format!("{}/{}", s.namespace, s.name), s.sleeps_in?)))
        .collect();
    let mut values: HashMap<String, Vec<MetricTold>> = HashMap::new();
    for told in admin.keda.metric_values() {
        let object = format!("{}/{}", told.namespace, told.scaled_object);
        values.entry(object).or_default().push(told);
    }
    let one = |wired: &Wired| {
        let mut view = target(admin, wired);
        if let Some(object) = wired.scaled_object.as_deref() {
            view.sleeps_in_seconds = sleeps.get(object).map(Duration::as_secs_f64);
            let values = values.get(object).map_or(&[][..], Vec::as_slice);
            view.told = told(admin, object, values);
        }
        view
    };
    some.map(one).collect()
}

fn told(admin: &Admin, object: &str, values: &[MetricTold]) -> Option<ToldView> {
    let (namespace, name) = object.split_once('/')?;
    let activity = admin.keda.activity_told(namespace, name);
    let said: Vec<Said> = activity.into_iter().filter_map(|told| told.said).collect();
    let newest = said.iter().map(|said| said.at.elapsed()).min()?;
    let is_active = said.iter().any(|said| said.what == Ok(true));
    let error = said.into_iter().find_map(|said| said.what.err());
    let error = error.filter(|_| !is_active);
    Some(ToldView {
        active: error.is_none().then_some(is_active),
        error,
        ago_seconds: newest.as_secs_f64(),
        metrics: values
            .iter()
            .map(|told| (told.metric.clone(), told.value))
            .collect(),
    })
}

/// What a target is doing, and how many endpoints it has.
pub(super) fn state_of(wired: &Wired) -> (TargetState, usize) {
    let (state, _reason) = state(wired, replicas(wired).as_ref());
    (state, wired.target.endpoints().len())
}

fn replicas(wired: &Wired) -> Option<Replicas> {
    wired.workload.as_ref().map(|workload| Replicas {
        wanted: workload.replicas(),
        ready: workload.ready(),
    })
}

fn endpoints(wired: &Wired) -> Vec<EndpointView> {
    let now_us = wired.target.clock().now_us();
    let view = |endpoint: &Arc<Endpoint>| EndpointView {
        name: endpoint.name().to_owned(),
        address: endpoint.addr().to_string(),
        in_flight: endpoint.in_flight(),
        ejected: endpoint.is_ejected(now_us),
        ejected_for_answers: endpoint.is_ejected_for_answers(now_us),
    };
    wired.target.endpoints().iter().map(view).collect()
}

fn target(admin: &Admin, wired: &Wired) -> TargetView {
    let target = &wired.target;
    let demand = admin.ledger.demand(target.id());
    let endpoints = endpoints(wired);
    let replicas = replicas(wired);
    let held = target.held() as u64;
    let (state, reason) = state(wired, replicas.as_ref());
    let waited_us = target.metrics().last_cold_start_us.load(Ordering::Relaxed);
    TargetView {
        name: target_name(target.id()),
        state,
        reason,
        replicas,
        bounds: wired.bounds.as_ref().map(|bounds| BoundsView {
            min: bounds.min,
            max: bounds.max,
            paused: bounds.paused.as_deref().map(str::to_owned),
        }),
        endpoints,
        in_flight: target.totals().in_flight(),
        held,
        max_concurrency_per_replica: target.max_concurrency(),
        concurrency: demand.map_or(0.0, |demand| demand.concurrency),
        request_rate: demand.map_or(0.0, |demand| demand.request_rate),
        active: demand.is_some_and(|demand| demand.active),
        last_cold_start_seconds: (waited_us > 0).then(|| waited_us as f64 / 1e6),
        scaled_object: wired.scaled_object.clone(),
        sleeps_in_seconds: None,
        told: None,
    }
}

fn state(wired: &Wired, replicas: Option<&Replicas>) -> (TargetState, Option<String>) {
    let target = &wired.target;
    let (endpoints, now_us) = (target.endpoints(), target.clock().now_us());
    let serves = |endpoint: &Arc<Endpoint>| {
        !endpoint.is_ejected(now_us) || endpoint.is_ejected_for_answers(now_us)
    };
    if endpoints.iter().any(serves) {
        return (TargetState::Warm, None);
    }
    if let Some(reason) = wired.service.failing() {
        return (TargetState::Failing, Some(reason.to_string()));
    }
    if !endpoints.is_empty() {
        let reason = "all endpoints refuse connections".to_owned();
        return (TargetState::Failing, Some(reason));
    }
    if target.held() > 0 || replicas.is_some_and(|replicas| replicas.wanted > 0) {
        return (TargetState::Waking, None);
    }
    (TargetState::Cold, None)
}
