//! What can be wrong with an RPC, and the one place where it becomes a gRPC
//! status.
//!
//! Users meet these messages in the events of their ScaledObject, so each
//! names the thing that is wrong and what would be right.

use super::spec::Metric;
use crate::ledger::Missing;
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
        "the trigger metadata names no source of demand: set `interceptorRoute` to the name of an \
         InterceptorRoute in the ScaledObject's namespace"
    )]
    NoSource,
    #[error("`metric: {asked}` is unknown: use {} or {}, or leave it out for all metrics of the \
             route", Metric::Concurrency.key(), Metric::RequestRate.key())]
    UnknownMetricKey { asked: String },
    #[error("`metric: {asked}`: InterceptorRoute {target} does not set that metric, only {}",
            keys(.set))]
    MetricNotSet {
        target: TargetId,
        asked: &'static str,
        set: Vec<&'static str>,
    },
    #[error("metric \"{asked}\" is unknown: this trigger has {}", quoted(.offered))]
    UnknownMetricName { asked: String, offered: Vec<String> },
    #[error("no InterceptorRoute {0} is known")]
    UnknownRoute(TargetId),
    #[error("the routes are not loaded yet")]
    NotLoaded,
    #[error("this replica has not yet heard from its peers what is asked of them; ask again")]
    Blind,
}

impl KedaError {
    /// The gRPC code.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NoReference
            | Self::NoNamespace
            | Self::NoSource
            | Self::UnknownMetricKey { .. }
            | Self::MetricNotSet { .. }
            | Self::UnknownMetricName { .. } => Code::InvalidArgument,
            Self::UnknownRoute(_) => Code::NotFound,
            Self::NotLoaded | Self::Blind => Code::Unavailable,
        }
    }

    /// `target` was not found in the ledger.
    pub(crate) fn missing(target: &TargetId, why: Missing) -> Self {
        match why {
            Missing::NotLoaded => Self::NotLoaded,
            Missing::Blind => Self::Blind,
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
