//! What can be wrong with an RPC, and the one place where it becomes a gRPC
//! status.
//!
//! Users meet these messages in the events of their ScaledObject, so each
//! names the thing that is wrong and what would be right.

use super::spec::Metric;
use crate::{
    demand_merge::UnknownMerge,
    ledger::Missing,
    metric_trigger::{NoDemand, TriggerError},
    source::describe,
};
use proxy::TargetId;
use tonic::{Code, Status};

/// Why an RPC of KEDA cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KedaError {
    #[error("the request carries no scaledObjectRef")]
    NoReference,
    #[error("the scaledObjectRef has no namespace")]
    NoNamespace,
    #[error(
        "the trigger metadata names no source of demand: set `interceptorRoute` (or \
         `httpScaledObject`) to the name of such an object in the ScaledObject's namespace, or \
         `interceptorTargetPendingRequests` to scale Reveille itself, or `metricQuery` to a query"
    )]
    NoSource,
    #[error(
        "`{one}` and `{other}` contradict each other: a trigger has one source, give the other \
         one a trigger of its own"
    )]
    SeveralSources {
        one: &'static str,
        other: &'static str,
    },
    #[error(
        "`{what}: {asked}` cannot be the name of an object: at most 253 characters, without a \
         slash"
    )]
    BadName { what: &'static str, asked: String },
    #[error(
        "`interceptorTargetPendingRequests: {asked}` must be a whole number above zero: the \
         requests at once that one replica should have"
    )]
    BadTarget { asked: String },
    #[error("`metric: {asked}` is unknown: use {}, {} or demand, or leave it out for all \
             metrics of the route", Metric::Concurrency.key(), Metric::RequestRate.key())]
    UnknownMetricKey { asked: String },
    #[error("`metric: {asked}`: {of} does not set that metric, only {}", keys(.set))]
    MetricNotSet {
        of: String,
        asked: &'static str,
        set: Vec<&'static str>,
    },
    #[error("metric \"{asked}\" is unknown: this trigger has {}", quoted(.offered))]
    UnknownMetricName { asked: String, offered: Vec<String> },
    #[error(transparent)]
    Metric(#[from] TriggerError),
    #[error(transparent)]
    Merge(#[from] UnknownMerge),
    #[error("`metricQuery`: {0}")]
    NoDemand(#[from] NoDemand),
    #[error("{0} metric triggers are known, and no more can be: remove some ScaledObjects")]
    TooManyMetricTriggers(usize),
    #[error("no {} is known", describe(.0))]
    UnknownRoute(TargetId),
    #[error("the routes are not loaded yet")]
    NotLoaded,
    #[error("no answer was found in time")]
    TooSlow,
    #[error("this replica has not yet heard from its peers what is asked of them; ask again")]
    Blind,
    #[error(
        "nothing is known to be asked of this, but somebody is silent who may be asked. A peer of \
         this replica: its address is in the log and under /api/v1/peers; start it again, or take \
         the address out of the peers. An Envoy that reported its load, or any soon after the \
         start: it is forgotten after --xds-load-grace"
    )]
    PeerSilent,
}

impl KedaError {
    /// The gRPC code.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NoReference
            | Self::NoNamespace
            | Self::NoSource
            | Self::SeveralSources { .. }
            | Self::BadName { .. }
            | Self::BadTarget { .. }
            | Self::UnknownMetricKey { .. }
            | Self::MetricNotSet { .. }
            | Self::Metric(_)
            | Self::Merge(_)
            | Self::UnknownMetricName { .. } => Code::InvalidArgument,
            Self::UnknownRoute(_) => Code::NotFound,
            Self::NotLoaded | Self::Blind | Self::PeerSilent => Code::Unavailable,
            Self::NoDemand(NoDemand::Blind | NoDemand::NoData | NoDemand::Gathering) => {
                Code::Unavailable
            }
            Self::NoDemand(NoDemand::Infinite) => Code::OutOfRange,
            // The query does not fit the series that there are.
            Self::NoDemand(NoDemand::Several(_) | NoDemand::Query(_)) => Code::FailedPrecondition,
            Self::TooManyMetricTriggers(_) => Code::ResourceExhausted,
            Self::TooSlow => Code::DeadlineExceeded,
        }
    }

    /// A trigger that offers these metrics has none called `name`.
    pub(crate) fn unknown_metric(name: &str, offered: Vec<String>) -> Self {
        Self::UnknownMetricName {
            asked: name.chars().take(256).collect(),
            offered,
        }
    }

    /// `target` was not found in the ledger.
    pub(crate) fn missing(target: &TargetId, why: Missing) -> Self {
        match why {
            Missing::NotLoaded => Self::NotLoaded,
            Missing::Unknown => Self::UnknownRoute(target.clone()),
        }
    }
}

impl From<KedaError> for Status {
    fn from(error: KedaError) -> Self {
        Status::new(error.code(), error.to_string())
    }
}

fn keys(set: &[&'static str]) -> String {
    set.join(", ")
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ")
}
