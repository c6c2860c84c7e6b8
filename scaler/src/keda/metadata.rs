//! The metadata of a trigger: which demand KEDA asks about.
//!
//! KEDA sends every key of the trigger in every RPC, its own ones included, so
//! its own are skipped. A key whose name ends in `FromEnv` comes with the value
//! of the environment variable that it named; `interceptorRouteFromEnv` stands
//! in for `interceptorRoute` when that is absent.
//!
//! Called at the top of each RPC. Keeps nothing but the memory of which unknown
//! keys were logged.

use super::{
    error::KedaError,
    spec::{DEMAND, Metric},
};
use crate::{
    demand_merge::{Merge, UnknownMerge},
    externalscaler::ScaledObjectRef,
    metric_trigger::{self, MetricTrigger, TriggerError},
    source::http_scaled_object,
};
use parking_lot::Mutex;
use proxy::TargetId;
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

const ROUTE: &str = "interceptorRoute";
const HTTP_SCALED_OBJECT: &str = "httpScaledObject";
const PENDING: &str = "interceptorTargetPendingRequests";
const METRIC: &str = "metric";
const MERGE: &str = "merge";
const QUERY: &str = "metricQuery";
const SOURCES: [&str; 3] = [ROUTE, HTTP_SCALED_OBJECT, PENDING];
const OURS: [&str; 5] = [ROUTE, HTTP_SCALED_OBJECT, PENDING, METRIC, MERGE];
const KEDAS: [&str; 6] = [
    "scalerAddress",
    "enableTLS",
    "unsafeSsl",
    "caCert",
    "tlsClientCert",
    "tlsClientKey",
];
const FROM_ENV: &str = "FromEnv";

/// The longest name that Kubernetes gives anything (RFC 1123 subdomain).
const LONGEST_NAME: usize = 253;

/// What a trigger asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trigger {
    /// Whose demand.
    pub(crate) source: Source,
    /// The one metric it wants, or all that the route sets.
    pub(crate) only: Option<Metric>,
}

/// Whose demand a trigger asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An InterceptorRoute's, in the ScaledObject's namespace.
    Route(TargetId),
    /// An HTTPScaledObject's there; the id is its target's.
    HttpScaledObject(TargetId),
    /// Reveille's own: that of all targets.
    Reveille {
        /// The ScaledObject, after which the metric is called.
        scaled_object: TargetId,
        /// Requests at once that one replica should have.
        target: u32,
    },
}

impl Trigger {
    pub(crate) fn parse(reference: &ScaledObjectRef) -> Result<Self, KedaError> {
        let namespace = reference.namespace.as_str();
        if namespace.is_empty() {
            return Err(KedaError::NoNamespace);
        }
        for (what, name) in [("namespace", namespace), ("name", &reference.name)] {
            check_name(what, name)?;
        }
        let given = SOURCES.map(|key| Some((key, value(reference, key)?)));
        let mut given = given.into_iter().flatten();
        let (key, wanted) = given.next().ok_or(KedaError::NoSource)?;
        if let Some((other, _)) = given.next() {
            return Err(KedaError::SeveralSources { one: key, other });
        }
        let source = match key {
            PENDING => Source::Reveille {
                scaled_object: TargetId::new(namespace, &reference.name),
                target: wanted
                    .parse()
                    .ok()
                    .filter(|target| *target > 0)
                    .ok_or_else(|| KedaError::BadTarget {
                        asked: short(wanted),
                    })?,
            },
            _ => {
                check_name(key, wanted)?;
                if key == ROUTE {
                    Source::Route(TargetId::new(namespace, wanted))
                } else {
                    Source::HttpScaledObject(http_scaled_object(namespace, wanted))
                }
            }
        };
        let only = only(reference)?;
        Ok(Self { source, only })
    }
}

/// The one metric of a route that a trigger wants. `demand` is none of them: it
/// is all of them, merged.
fn only(reference: &ScaledObjectRef) -> Result<Option<Metric>, KedaError> {
    let unknown = |key| KedaError::UnknownMetricKey { asked: short(key) };
    value(reference, METRIC)
        .filter(|key| *key != DEMAND)
        .map(|key| Metric::from_key(key).ok_or_else(|| unknown(key)))
        .transpose()
}

/// Whether a trigger wants all that it has as the one metric `demand`.
pub(crate) fn wants_demand(reference: &ScaledObjectRef) -> bool {
    value(reference, METRIC) == Some(DEMAND)
}

/// Whether a trigger has a metric.
pub(crate) fn has_query(reference: &ScaledObjectRef) -> bool {
    value(reference, QUERY).is_some()
}

/// How the sources of a trigger become one.
pub(crate) fn merge(reference: &ScaledObjectRef) -> Result<Merge, UnknownMerge> {
    value(reference, MERGE).map_or(Ok(Merge::default()), str::parse)
}

/// Refuses what a trigger with a metric cannot have beside it.
pub(crate) fn check_beside_query(reference: &ScaledObjectRef) -> Result<(), KedaError> {
    if value(reference, PENDING).is_some() {
        return Err(KedaError::SeveralSources {
            one: PENDING,
            other: QUERY,
        });
    }
    match only(reference)? {
        None => Ok(()),
        Some(metric) => Err(KedaError::MetricNotSet {
            of: format!("a trigger with `{QUERY}`"),
            asked: metric.key(),
            set: vec![DEMAND],
        }),
    }
}

/// Checks the metric part of a trigger's metadata without a scaler; `value`
/// gives the text of a key. For who reads manifests: returns the key that is
/// wrong, and what is.
///
/// # Errors
/// For the first value that cannot be.
pub fn check<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<(), (&'static str, String)> {
    let given = |key: &str| value(key).map(str::trim).filter(|text| !text.is_empty());
    let said = |error: TriggerError| (error.key(), error.said().to_owned());
    MetricTrigger::parse(given).map_err(said)?;
    let merge = given(MERGE).map_or(Ok(Merge::default()), str::parse);
    merge.map(drop).map_err(|error| (MERGE, error.said()))
}

/// Names go into messages, metrics and the keys of the ledger: what cannot be
/// a name of Kubernetes is refused before it gets anywhere.
fn check_name(what: &'static str, name: &str) -> Result<(), KedaError> {
    let is_allowed = |c: char| !c.is_control() && c != '/';
    if name.len() <= LONGEST_NAME && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(KedaError::BadName {
        what,
        asked: short(name),
    })
}

/// The value of one of our keys, or what the environment says for it. An empty
/// value is none: KEDA drops an unresolved variable the same way.
pub(crate) fn value<'a>(reference: &'a ScaledObjectRef, key: &str) -> Option<&'a str> {
    let given = |key: &str| {
        let value = reference.scaler_metadata.get(key)?.trim();
        (!value.is_empty()).then_some(value)
    };
    given(key).or_else(|| given(&format!("{key}{FROM_ENV}")))
}

/// What a query is refined by says nothing without one.
fn is_known(key: &str, has_query: bool) -> bool {
    let plain = key.strip_suffix(FROM_ENV).unwrap_or(key);
    OURS.contains(&plain)
        || KEDAS.contains(&plain)
        || plain == QUERY
        || (has_query && metric_trigger::KEYS.contains(&plain))
}

/// What came from outside is cut before it goes into a message.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Which unknown keys were logged already: each is logged once per
/// ScaledObject, not in each of its RPCs.
#[derive(Debug, Default)]
pub(crate) struct UnknownKeys {
    /// Hashes, not the texts: those may be long and are not ours.
    logged: Mutex<HashSet<u64>>,
    hasher: RandomState,
}

impl UnknownKeys {
    /// When so many were logged, no more are: the log is not the place for an
    /// endless list.
    const MOST: usize = 1024;

    /// Logs what is unknown and was not logged before; returns how many were.
    pub(crate) fn log(&self, reference: &ScaledObjectRef) -> usize {
        let has_query = has_query(reference);
        let unknown = reference
            .scaler_metadata
            .keys()
            .filter(|key| !is_known(key, has_query));
        unknown.filter(|key| self.log_one(reference, key)).count()
    }

    fn log_one(&self, reference: &ScaledObjectRef, key: &str) -> bool {
        let hash = self
            .hasher
            .hash_one((&reference.namespace, &reference.name, key));
        {
            let mut logged = self.logged.lock();
            if logged.len() >= Self::MOST || !logged.insert(hash) {
                return false;
            }
        }
        tracing::warn!(
            namespace = %short(&reference.namespace),
            scaled_object = %short(&reference.name),
            key = %short(key),
            "unknown key in the trigger metadata, ignored",
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(pairs: &[(&str, &str)]) -> ScaledObjectRef {
        ScaledObjectRef {
            name: "shop".into(),
            namespace: "ns".into(),
            scaler_metadata: pairs.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
        }
    }

    #[test]
    fn the_route_is_in_the_namespace_of_the_scaled_object() {
        let trigger = Trigger::parse(&reference(&[("interceptorRoute", "web")])).unwrap();
        assert_eq!(
            trigger,
            Trigger {
                source: Source::Route(TargetId::new("ns", "web")),
                only: None
            }
        );
    }

    #[test]
    fn one_metric_can_be_chosen() {
        for (key, metric) in [
            ("concurrency", Metric::Concurrency),
            ("requestRate", Metric::RequestRate),
        ] {
            let pairs = [("interceptorRoute", "web"), ("metric", key)];
            assert_eq!(
                Trigger::parse(&reference(&pairs)).unwrap().only,
                Some(metric)
            );
        }
        let pairs = [("interceptorRoute", "web"), ("metric", "rate")];
        let error = Trigger::parse(&reference(&pairs)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`metric: rate` is unknown: use concurrency, requestRate or demand, or leave it out for \
             all metrics of the route"
        );
    }

    #[test]
    fn a_trigger_without_a_source_is_refused() {
        for pairs in [
            &[][..],
            &[("scalerAddress", "a:1")],
            &[("interceptorRoute", " ")],
        ] {
            assert_eq!(Trigger::parse(&reference(pairs)), Err(KedaError::NoSource));
        }
        let mut nameless = reference(&[("interceptorRoute", "web")]);
        nameless.namespace.clear();
        assert_eq!(Trigger::parse(&nameless), Err(KedaError::NoNamespace));
    }

    #[test]
    fn a_value_from_the_environment_stands_in() {
        let from_env = [("interceptorRouteFromEnv", "web")];
        let web = Source::Route(TargetId::new("ns", "web"));
        assert_eq!(Trigger::parse(&reference(&from_env)).unwrap().source, web);
        let both = [
            ("interceptorRouteFromEnv", "other"),
            ("interceptorRoute", "web"),
        ];
        assert_eq!(Trigger::parse(&reference(&both)).unwrap().source, web);
    }

    #[test]
    fn each_source_has_its_key_and_one_is_enough() {
        let legacy = Trigger::parse(&reference(&[("httpScaledObject", "web")])).unwrap();
        let id = TargetId::new("ns", "httpscaledobject/web");
        assert_eq!(legacy.source, Source::HttpScaledObject(id));
        let own = Trigger::parse(&reference(&[("interceptorTargetPendingRequests", "200")]));
        let scaled_object = TargetId::new("ns", "shop");
        assert_eq!(
            own.unwrap().source,
            Source::Reveille {
                scaled_object,
                target: 200
            }
        );
        let two = [("interceptorRoute", "web"), ("httpScaledObject", "web")];
        let error = Trigger::parse(&reference(&two)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`interceptorRoute` and `httpScaledObject` contradict each other: a trigger has one \
             source, give the other one a trigger of its own"
        );
    }

    #[test]
    fn what_cannot_be_a_name_or_a_target_is_refused() {
        let long = "x".repeat(254);
        for name in ["a/b", "httpscaledobject/web", "a\nb", &long] {
            for key in ["interceptorRoute", "httpScaledObject"] {
                let error = Trigger::parse(&reference(&[(key, name)])).unwrap_err();
                let text = error.to_string();
                assert!(text.starts_with(&format!("`{key}: ")), "{text}");
                assert!(text.contains("cannot be the name of an object"), "{text}");
                assert!(text.len() < 200, "{text}");
            }
            let mut odd = reference(&[("interceptorRoute", "web")]);
            odd.name = name.into();
            Trigger::parse(&odd).expect_err("a ScaledObject of that name");
        }
        for target in ["0", "-1", "1.5", "many", "99999999999"] {
            let pairs = [("interceptorTargetPendingRequests", target)];
            let error = Trigger::parse(&reference(&pairs)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "`interceptorTargetPendingRequests: {target}` must be a whole number above \
                     zero: the requests at once that one replica should have"
                )
            );
        }
    }

    #[test]
    fn unknown_keys_are_logged_once() {
        let keys = UnknownKeys::default();
        let known = [
            ("interceptorRoute", "web"),
            ("httpScaledObject", "web"),
            ("interceptorTargetPendingRequests", "1"),
            ("metric", "concurrency"),
            ("merge", "max"),
            ("scalerAddress", "a:1"),
            ("enableTLS", "true"),
            ("unsafeSsl", "true"),
            ("caCert", "x"),
            ("tlsClientCert", "x"),
            ("tlsClientKey", "x"),
            ("caCertFromEnv", "x"),
        ];
        assert_eq!(keys.log(&reference(&known)), 0);
        let metric = metric_trigger::KEYS.map(|key| (key, "x"));
        assert_eq!(keys.log(&reference(&metric)), 0);
        // Without a query it says nothing.
        assert_eq!(keys.log(&reference(&[("clampMin", "1")])), 1);
        let odd = reference(&[("interceptorRoute", "web"), ("intercepterRoute", "web")]);
        assert_eq!(keys.log(&odd), 1);
        assert_eq!(keys.log(&odd), 0);
        let other = ScaledObjectRef {
            name: "other".into(),
            ..odd
        };
        assert_eq!(keys.log(&other), 1);
    }

    #[test]
    fn the_memory_of_logged_keys_is_bounded() {
        let keys = UnknownKeys::default();
        let odd: usize = (0..2 * UnknownKeys::MOST)
            .map(|i| keys.log(&reference(&[(format!("odd{i}").as_str(), "")])))
            .sum();
        assert_eq!(odd, UnknownKeys::MOST);
        assert_eq!(keys.logged.lock().len(), UnknownKeys::MOST);
    }
}
