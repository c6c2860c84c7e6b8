//! Metrics as KEDA sees them: their names, targets and values.
//!
//! Names and order are those of KEDA's HTTP add-on. Both number fields of each
//! message are always set: KEDA before v2.17 reads the integer, later ones the
//! float when it is above zero and the integer otherwise, so the two must never
//! disagree. Pure; called by the service and the spec streams.

use super::{
    error::KedaError,
    metadata::{Source, Trigger},
};
use crate::{
    demand_merge::Part,
    externalscaler::{MetricSpec, MetricValue},
    ledger::DemandReading,
    source::{TargetScaling, describe, object_name},
};

/// The target of a route that sets no metric, as in the HTTP add-on.
const DEFAULT_CONCURRENCY: u32 = 100;

/// The one metric of several sources, in replicas.
pub(crate) const DEMAND: &str = "demand";

/// A metric of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    Concurrency,
    RequestRate,
}

impl Metric {
    /// Its name in the trigger metadata.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::RequestRate => "requestRate",
        }
    }

    /// The metric that the trigger metadata calls `key`.
    pub(crate) fn from_key(key: &str) -> Option<Self> {
        [Self::Concurrency, Self::RequestRate]
            .into_iter()
            .find(|metric| metric.key() == key)
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::RequestRate => "rate",
        }
    }

    fn of(self, demand: &DemandReading) -> f64 {
        match self {
            Self::Concurrency => demand.concurrency,
            Self::RequestRate => demand.request_rate,
        }
    }
}

/// A metric that a trigger offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    name: String,
    metric: Metric,
    target: u32,
    /// Its value is rounded up to a whole number.
    is_whole: bool,
}

/// What a trigger offers that asks about a target: the metrics that its object
/// sets, or the one of them that the trigger chose. Never empty.
///
/// An HTTPScaledObject has one metric, called after it, in whole numbers; with
/// both set, the rate, as in the HTTP add-on.
pub(crate) fn offers(trigger: &Trigger, scaling: &TargetScaling) -> Result<Vec<Offer>, KedaError> {
    let rate = scaling.request_rate.map(|rate| rate.target_value);
    let concurrency = scaling
        .concurrency
        .or(rate.is_none().then_some(DEFAULT_CONCURRENCY));
    let mut set = vec![
        (Metric::Concurrency, concurrency),
        (Metric::RequestRate, rate),
    ];
    set.retain(|(_, target)| target.is_some());
    let of = match &trigger.source {
        Source::Route(target) => target,
        Source::HttpScaledObject(target) => {
            set.drain(..set.len().saturating_sub(1));
            target
        }
        Source::Reveille {
            scaled_object,
            target,
        } => {
            set = vec![(Metric::Concurrency, Some(*target))];
            scaled_object
        }
    };
    let is_wanted = |metric: Metric| trigger.only.is_none_or(|only| only == metric);
    let offers = set.iter().filter(|(metric, _)| is_wanted(*metric));
    let offers: Vec<Offer> = offers
        .filter_map(|&(metric, target)| Some((metric, target?)))
        .map(|(metric, target)| Offer {
            name: match trigger.source {
                Source::Route(_) => format!("http_{}_{}", of.name(), metric.suffix()),
                _ => escaped(&format!("http-{}/{}", of.namespace(), object_name(of))),
            },
            metric,
            target: target.max(1),
            is_whole: matches!(trigger.source, Source::HttpScaledObject(_)),
        })
        .collect();
    match trigger.only {
        Some(only) if offers.is_empty() => Err(KedaError::MetricNotSet {
            of: match trigger.source {
                Source::Reveille { .. } => "Reveille itself".to_owned(),
                _ => describe(of),
            },
            asked: only.key(),
            set: set.iter().map(|(metric, _)| metric.key()).collect(),
        }),
        _ => Ok(offers),
    }
}

/// A name as the HTTP add-on writes it: `_` and the UTF-8 bytes in hexadecimal,
/// at least four digits, for what is not a letter, a digit, `-` or `.`.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') {
            escaped.push(c);
            continue;
        }
        let mut bytes = [0; 4];
        let bytes = c.encode_utf8(&mut bytes).bytes();
        let hex: String = bytes.map(|byte| format!("{byte:02X}")).collect();
        escaped.push('_');
        escaped.push_str(&format!("{hex:0>4}"));
    }
    escaped
}

/// The messages of `GetMetricSpec` for `offers`.
pub(crate) fn specs(offers: &[Offer]) -> Vec<MetricSpec> {
    let spec = |offer: &Offer| MetricSpec {
        metric_name: offer.name.clone(),
        target_size: i64::from(offer.target),
        target_size_float: f64::from(offer.target),
    };
    offers.iter().map(spec).collect()
}

/// The one message of `GetMetrics` for the metric called `name`. One, because
/// the HPA adds up whatever it gets.
pub(crate) fn value(
    offers: &[Offer],
    name: &str,
    demand: &DemandReading,
) -> Result<MetricValue, KedaError> {
    let Some(offer) = offers.iter().find(|offer| offer.name == name) else {
        let offered = offers.iter().map(|offer| offer.name.clone());
        return Err(KedaError::unknown_metric(name, offered.collect()));
    };
    let value = offer.metric.of(demand);
    let value = if offer.is_whole { value.ceil() } else { value };
    Ok(message(&offer.name, value))
}

/// The message of `GetMetrics` for a value.
pub(crate) fn message(name: &str, value: f64) -> MetricValue {
    let (integer, float) = both(value);
    MetricValue {
        metric_name: name.to_owned(),
        metric_value: integer,
        metric_value_float: float,
    }
}

/// The message of `GetMetricSpec` for a metric of this target, above zero.
pub(crate) fn spec(name: &str, target: f64) -> MetricSpec {
    let (integer, float) = both(target);
    MetricSpec {
        metric_name: name.to_owned(),
        target_size: integer,
        target_size_float: float,
    }
}

/// That of sources that are merged.
pub(crate) fn merged() -> MetricSpec {
    spec(DEMAND, 1.0)
}

/// What `offers` want, each by itself.
pub(crate) fn parts(offers: &[Offer], demand: &DemandReading) -> Vec<Part> {
    let part = |offer: &Offer| Part {
        value: offer.metric.of(demand),
        target: f64::from(offer.target),
        active: demand.active,
    };
    offers.iter().map(part).collect()
}

/// A value as integer (rounded up: some demand is never no demand) and as
/// float, which KEDA cuts to three digits and so gets no less than 0.001. Not a
/// number, infinite and negative become zero.
fn both(value: f64) -> (i64, f64) {
    if value.is_finite() && value > 0.0 {
        (value.ceil() as i64, value.max(0.001)) // `as` saturates
    } else {
        (0, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{RateTarget, http_scaled_object};
    use proptest::prelude::*;
    use proxy::TargetId;

    fn route(only: Option<Metric>) -> Trigger {
        let source = Source::Route(TargetId::new("ns", "web"));
        Trigger { source, only }
    }

    fn legacy(name: &str) -> Trigger {
        let source = Source::HttpScaledObject(http_scaled_object("ns", name));
        Trigger { source, only: None }
    }

    fn both_set() -> TargetScaling {
        TargetScaling {
            concurrency: Some(10),
            request_rate: Some(RateTarget::new(20)),
        }
    }

    fn reading(concurrency: f64, request_rate: f64) -> DemandReading {
        DemandReading {
            in_flight: 0,
            held: 0,
            concurrency,
            request_rate,
            active: false,
        }
    }

    fn named(scaling: TargetScaling, only: Option<Metric>) -> Vec<(String, i64, f64)> {
        let specs = specs(&offers(&route(only), &scaling).unwrap());
        specs
            .into_iter()
            .map(|s| (s.metric_name, s.target_size, s.target_size_float))
            .collect()
    }

    #[test]
    fn names_targets_and_order_are_those_of_the_add_on() {
        let concurrency = ("http_web_concurrency".to_owned(), 10, 10.0);
        let rate = ("http_web_rate".to_owned(), 20, 20.0);
        assert_eq!(named(both_set(), None), [concurrency.clone(), rate.clone()]);
        assert_eq!(named(both_set(), Some(Metric::Concurrency)), [concurrency]);
        assert_eq!(named(both_set(), Some(Metric::RequestRate)), [rate]);
    }

    #[test]
    fn never_empty_and_never_zero() {
        assert_eq!(
            named(TargetScaling::default(), None),
            [("http_web_concurrency".to_owned(), 100, 100.0)]
        );
        let zero = TargetScaling {
            concurrency: Some(0),
            request_rate: None,
        };
        assert_eq!(
            named(zero, None),
            [("http_web_concurrency".to_owned(), 1, 1.0)]
        );
    }

    /// KEDA compares names without their case, and waits for ever if two of them
    /// answer one question.
    #[test]
    fn the_names_of_a_trigger_differ_in_more_than_case() {
        let names = |name: &str| {
            let source = Source::Route(TargetId::new("ns", name));
            let all = offers(&Trigger { source, only: None }, &both_set()).unwrap();
            all.into_iter()
                .map(|offer| offer.name.to_lowercase())
                .collect::<Vec<_>>()
        };
        for name in ["web", "web_rate", "rate", "concurrency", "Web"] {
            let [one, other] = names(name).try_into().unwrap();
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_metric_that_the_route_does_not_set_is_refused() {
        let scaling = TargetScaling {
            concurrency: Some(1),
            request_rate: None,
        };
        let error = offers(&route(Some(Metric::RequestRate)), &scaling).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`metric: requestRate`: InterceptorRoute ns/web does not set that metric, only \
             concurrency"
        );
    }

    #[test]
    fn each_metric_has_its_own_value() {
        let offers = offers(&route(None), &both_set()).unwrap();
        let demand = reading(2.25, 0.0);
        let concurrency = value(&offers, "http_web_concurrency", &demand).unwrap();
        assert_eq!(
            (concurrency.metric_value, concurrency.metric_value_float),
            (3, 2.25)
        );
        let rate = value(&offers, "http_web_rate", &demand).unwrap();
        assert_eq!((rate.metric_value, rate.metric_value_float), (0, 0.0));
        let error = value(&offers, "rate", &demand).unwrap_err();
        assert_eq!(
            error.to_string(),
            "metric \"rate\" is unknown: this trigger has \"http_web_concurrency\", \
             \"http_web_rate\""
        );
    }

    #[test]
    fn names_are_escaped_as_the_add_on_does() {
        for (name, wanted) in [
            ("http-ns/web", "http-ns_002Fweb"),
            ("a_b", "a_005Fb"),
            ("A.z-9", "A.z-9"),
            ("é", "_C3A9"),
            ("€", "_E282AC"),
            ("\u{7}", "_0007"),
        ] {
            assert_eq!(escaped(name), wanted);
        }
    }

    #[test]
    fn an_http_scaled_object_has_one_metric_in_whole_numbers() {
        let demand = reading(2.25, 0.5);
        for (scaling, target, whole) in [
            (TargetScaling::default(), 100, 3),
            (both_set(), 20, 1),
            (
                TargetScaling {
                    request_rate: None,
                    ..both_set()
                },
                10,
                3,
            ),
        ] {
            let offers = offers(&legacy("web"), &scaling).unwrap();
            let specs = specs(&offers);
            let name = "http-ns_002Fweb";
            assert_eq!(specs.len(), 1);
            assert_eq!(specs[0].metric_name, name);
            assert_eq!(specs[0].target_size, target);
            let value = value(&offers, name, &demand).unwrap();
            assert_eq!(value.metric_value, whole);
            assert_eq!(value.metric_value_float, whole as f64);
        }
    }

    #[test]
    fn reveille_itself_scales_by_concurrency_alone() {
        let own = |only| Trigger {
            source: Source::Reveille {
                scaled_object: TargetId::new("keda", "interceptor"),
                target: 200,
            },
            only,
        };
        let offers_of = |only| offers(&own(only), &TargetScaling::default());
        let specs = specs(&offers_of(None).unwrap());
        assert_eq!(
            (specs[0].metric_name.as_str(), specs[0].target_size),
            ("http-keda_002Finterceptor", 200)
        );
        assert_eq!(
            offers_of(Some(Metric::RequestRate))
                .unwrap_err()
                .to_string(),
            "`metric: requestRate`: Reveille itself does not set that metric, only concurrency"
        );
    }

    #[test]
    fn what_is_not_a_demand_is_zero() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.0, 0.0] {
            let (integer, float) = both(odd);
            assert_eq!((integer, float.to_bits()), (0, 0.0f64.to_bits()));
        }
    }

    proptest! {
        /// Whatever the value: KEDA old and new see demand or no demand alike,
        /// and the integer is the float rounded up.
        #[test]
        fn the_two_numbers_never_disagree(value in any::<f64>()) {
            let (integer, float) = both(value);
            prop_assert!(float.is_finite() && float >= 0.0 && integer >= 0);
            prop_assert_eq!(integer > 0, float > 0.0);
            prop_assert_eq!(integer, float.ceil() as i64);
            prop_assert_eq!(integer > 0, format!("{float:.3}") != "0.000");
        }
    }
}
