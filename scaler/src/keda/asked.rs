//! What one RPC is about: the sources of a trigger, and what they say.
//!
//! Made at the top of each RPC by the service. A trigger has an HTTP source, a
//! metric, or both; with both, or with `metric: demand`, it has one metric
//! called `demand`: what they want together, in replicas, at target 1.

use super::{
    error::KedaError,
    metadata::{self, Source, Trigger},
    meter::Meter,
    own_demand,
    service::Memory,
    spec::{self, DEMAND, Offer},
};
use crate::{
    demand_merge::{Merge, Part},
    externalscaler::{MetricSpec, MetricValue, ScaledObjectRef},
    ledger::DemandReading,
    metric_trigger::MetricDemand,
    source::TargetScaling,
    tracked::Tracked,
};
use std::sync::Arc;

/// A trigger that was understood, and whose objects are known.
pub(crate) struct Asked {
    /// Its HTTP source.
    pub(crate) http: Option<Http>,
    /// Its metric.
    pub(crate) meter: Option<Arc<Meter>>,
    /// How all of it becomes the one metric `demand`, if it does.
    pub(crate) merge: Option<Merge>,
    /// The name of the metric of a trigger that has nothing else.
    metric_name: String,
}

/// The HTTP source of a trigger.
pub(crate) struct Http {
    pub(crate) trigger: Trigger,
    pub(crate) subject: Subject,
    offers: Vec<Offer>,
}

/// Whose demand it is.
pub(crate) enum Subject {
    Target(Arc<Tracked>),
    /// Reveille's own.
    All,
}

impl Asked {
    /// Reads the metadata and finds what it names.
    ///
    /// # Errors
    /// What cannot be, or is not known.
    pub(crate) fn resolve(memory: &Memory, reference: &ScaledObjectRef) -> Result<Self, KedaError> {
        let has_query = metadata::has_query(reference);
        let trigger = match Trigger::parse(reference) {
            Err(KedaError::NoSource) if has_query => None,
            trigger => Some(trigger?),
        };
        let merge = metadata::merge(reference)?;
        if has_query {
            metadata::check_beside_query(reference)?;
        }
        let meter = memory.meters.of(reference)?;
        let is_merged = metadata::wants_demand(reference) || (trigger.is_some() && meter.is_some());
        let http = trigger.map(|trigger| Http::find(memory, trigger));
        Ok(Self {
            http: http.transpose()?,
            meter,
            merge: is_merged.then_some(merge),
            metric_name: format!("{}-{}", reference.namespace, reference.name),
        })
    }

    /// What `GetMetricSpec` says.
    pub(crate) fn specs(&self) -> Vec<MetricSpec> {
        match (&self.http, &self.meter) {
            _ if self.merge.is_some() => vec![spec::merged()],
            (Some(http), _) => spec::specs(&http.offers),
            (None, Some(meter)) => vec![spec::spec(&self.metric_name, meter.target())],
            (None, None) => Vec::new(),
        }
    }

    /// What `GetMetrics` says of the metric called `name`.
    ///
    /// # Errors
    /// There is no such metric, or no number: one part that is not known makes
    /// the whole unknown, or something would be scaled away by an outage.
    pub(crate) fn value(&self, memory: &Memory, name: &str) -> Result<MetricValue, KedaError> {
        let only = |offered: &str| {
            let is_it = name == offered;
            let unknown = || KedaError::unknown_metric(name, vec![offered.to_owned()]);
            is_it.then_some(()).ok_or_else(unknown)
        };
        if let Some(merge) = self.merge {
            only(DEMAND)?;
            let mut parts = Vec::new();
            if let Some(http) = &self.http {
                parts = spec::parts(&http.offers, &http.demand(memory)?);
            }
            if let Some(meter) = &self.meter {
                let demand = measured(memory, meter)?;
                parts.push(Part {
                    value: demand.value,
                    target: meter.target(),
                    active: demand.active,
                });
            }
            return Ok(spec::message(DEMAND, merge.of(&parts).replicas));
        }
        match (&self.http, &self.meter) {
            (Some(http), _) => spec::value(&http.offers, name, &http.demand(memory)?),
            (None, Some(meter)) => {
                only(&self.metric_name)?;
                Ok(spec::message(
                    &self.metric_name,
                    measured(memory, meter)?.value,
                ))
            }
            (None, None) => Err(KedaError::NoSource),
        }
    }

    /// What `IsActive` says: one active source is enough, however unknown the
    /// other is.
    ///
    /// # Errors
    /// None is active, and one is not known.
    pub(crate) fn is_active(&self, memory: &Memory) -> Result<Activity, KedaError> {
        // Asked in any case: it is an answer about the target.
        let http = match &self.http {
            Some(http) => http.is_active(memory),
            None => Ok(false),
        };
        match (&self.meter, http) {
            (_, Ok(true)) => Ok(Activity::Requests),
            (Some(meter), _) if measured(memory, meter)?.active => Ok(Activity::Metric),
            (_, http) => http.map(|_idle| Activity::None),
        }
    }
}

/// What makes a trigger active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Nothing: it is not.
    None,
    /// Requests, whatever its metric says.
    Requests,
    /// Its metric alone.
    Metric,
}

impl Activity {
    pub(crate) fn is_active(self) -> bool {
        self != Self::None
    }
}

/// What a metric says, once other replicas were heard. Its points may arrive at
/// any of them.
fn measured(memory: &Memory, meter: &Meter) -> Result<MetricDemand, KedaError> {
    see(memory)?;
    let demand = meter.demand()?;
    sure(memory, demand.active)?;
    Ok(demand)
}

impl Http {
    fn find(memory: &Memory, mut trigger: Trigger) -> Result<Self, KedaError> {
        let (subject, scaling) = match &mut trigger.source {
            Source::Route(target) | Source::HttpScaledObject(target) => {
                let tracked = memory.ledger.find(target);
                let tracked = tracked.map_err(|why| KedaError::missing(target, why))?;
                // A stream keeps its trigger: all of them one text.
                target.clone_from(tracked.id());
                let scaling = tracked.scaling();
                (Subject::Target(tracked), scaling)
            }
            Source::Reveille { .. } => (Subject::All, TargetScaling::default()),
        };
        let offers = spec::offers(&trigger, &scaling)?;
        Ok(Self {
            trigger,
            subject,
            offers,
        })
    }

    fn demand(&self, memory: &Memory) -> Result<DemandReading, KedaError> {
        see(memory)?;
        let demand = match &self.subject {
            Subject::Target(tracked) => tracked.demand(memory.ledger.now_us()),
            Subject::All => own_demand::total(&memory.ledger)?,
        };
        sure(memory, demand.active)?;
        Ok(demand)
    }

    fn is_active(&self, memory: &Memory) -> Result<bool, KedaError> {
        see(memory)?;
        match &self.subject {
            Subject::Target(tracked) => sure(memory, tracked.answer_active(memory.ledger.now_us())),
            Subject::All => Ok(self.demand(memory)?.active),
        }
    }
}

/// What is asked is not known before the peers were heard. What a route scales
/// by is: an HPA that loses a metric at a reconcile may miss it for hours.
pub(super) fn see(memory: &Memory) -> Result<(), KedaError> {
    if memory.ledger.is_blind() {
        return Err(KedaError::Blind);
    }
    Ok(())
}

/// "Not active" is not said while a peer is silent: no data is not zero. What
/// is active here is, however much more it may be.
fn sure(memory: &Memory, active: bool) -> Result<bool, KedaError> {
    if !active && memory.ledger.is_unsure() {
        return Err(KedaError::PeerSilent);
    }
    Ok(active)
}
