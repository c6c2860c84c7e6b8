use super::*;
use crate::series::{Growth, Labels, Limits, Store};

const NOW_MS: i64 = 1_000_000;

/// A counter that grows by 10 a second over the last minute, and two gauges.
fn store() -> Store {
    let store = Store::new(Limits::default());
    let mut writer = store.write(NOW_MS);
    for (name, pod, per_second, start) in [
        ("calls_total", "0", 10.0, 0.0),
        ("queue", "0", 0.0, 7.0),
        ("queue", "1", 0.0, -2.0),
    ] {
        let labels = Labels::new([("__name__", name), ("pod", pod)]).unwrap();
        let series = writer.intern(labels).unwrap();
        for second in 0..=60 {
            let value = start + per_second * f64::from(second);
            let at_ms = NOW_MS - 60_000 + i64::from(second) * 1_000;
            writer.append(series, at_ms, value, Growth::Level).unwrap();
        }
    }
    drop(writer);
    store
}

fn parse(pairs: &[(&str, &str)]) -> Result<Option<MetricTrigger>, TriggerError> {
    let value = |key: &str| pairs.iter().find(|(name, _)| *name == key);
    MetricTrigger::parse(|key| value(key).map(|(_, value)| *value))
}

/// The demand of a trigger with target 1 and these keys.
fn demand(query: &str, more: &[(&str, &str)], alive: bool) -> Result<MetricDemand, NoDemand> {
    let pairs = [&[("metricQuery", query), ("targetValue", "1")], more].concat();
    let trigger = parse(&pairs).unwrap().expect("there is a query");
    trigger.demand(&store(), NOW_MS, alive)
}

#[test]
fn without_a_query_there_is_no_metric_trigger() {
    assert!(parse(&[("targetValue", "1")]).unwrap().is_none());
}

#[test]
fn values_are_those_of_the_query_clamped() {
    for (query, more, value, active) in [
        (
            "calls_total",
            &[("operationOverTime", "rate")][..],
            10.0,
            true,
        ),
        ("sum(rate(calls_total[1m]))", &[], 10.0, true),
        ("queue", &[], 5.0, true),
        ("min(queue)", &[], -2.0, false),
        ("queue", &[("clampMax", "3")], 3.0, true),
        ("min(queue)", &[("clampMin", "0")], 0.0, false),
        // Active by the clamped value, and only above the threshold.
        ("min(queue)", &[("clampMin", "1")], 1.0, true),
        ("queue", &[("activationTargetValue", "5")], 5.0, false),
        ("queue", &[("activationTargetValue", "-3")], 5.0, true),
        // 31 points of each of the two in half a minute, both ends included.
        (
            "queue",
            &[("operationOverTime", "count"), ("window", "30s")],
            62.0,
            true,
        ),
        ("1 / 0", &[("clampMax", "9")], 9.0, true),
    ] {
        let wanted = MetricDemand { value, active };
        assert_eq!(demand(query, more, true), Ok(wanted), "{query} {more:?}");
    }
}

#[test]
fn no_data_is_zero_only_while_a_source_is_alive() {
    let zero = MetricDemand {
        value: 0.0,
        active: false,
    };
    assert_eq!(demand("nothing", &[], true), Ok(zero));
    assert_eq!(demand("nothing", &[], false), Err(NoDemand::Blind));
    // What a quiet ratio gives.
    assert_eq!(demand("0 / 0", &[], true), Ok(zero));
    let error = [("onNoData", "error")];
    assert_eq!(demand("nothing", &error, true), Err(NoDemand::NoData));
    let fixed = [("onNoData", "4"), ("clampMax", "3")];
    let value = MetricDemand {
        value: 3.0,
        active: true,
    };
    assert_eq!(demand("nothing", &fixed, false), Ok(value));
    // Clamped up, and still nothing to wake for.
    let clamped = demand("nothing", &[("clampMin", "2")], true).unwrap();
    assert_eq!((clamped.value, clamped.active), (2.0, false));
    // Data is data, whoever else is silent.
    assert!(demand("queue", &[], false).is_ok());
}

#[test]
fn what_is_no_number_is_an_error() {
    assert_eq!(demand("1 / 0", &[], true), Err(NoDemand::Infinite));
    let several = demand("sum by (pod) (queue)", &[], true).unwrap_err();
    assert!(several.to_string().contains("differ in pod"), "{several}");
    let unmatched = demand("queue / on() queue", &[], true).unwrap_err();
    assert!(matches!(unmatched, NoDemand::Query(_)), "{unmatched}");
}

#[test]
fn each_bad_value_names_its_key() {
    let good = [("metricQuery", "queue"), ("targetValue", "1")];
    for (key, value, part) in [
        ("metricQuery", "sum(queue", "column 4: this ( is not closed"),
        ("metricQuery", "", "column 1"),
        ("targetValue", "0", "0 is not above 0"),
        ("targetValue", "-1", "-1 is not above 0"),
        ("targetValue", "0.0009", "0.0009 is below 0.001"),
        ("targetValue", "NaN", "\"NaN\" is not a finite number"),
        ("targetValue", "many", "\"many\" is not a finite number"),
        (
            "operationOverTime",
            "sum",
            "last_one, rate, avg, min, max, count",
        ),
        ("clampMin", "x", "\"x\" is not a finite number"),
        ("clampMax", "inf", "\"inf\" is not a finite number"),
        ("activationTargetValue", "x", "\"x\" is not a finite number"),
        ("window", "0s", "not a time from 1ms to 1h"),
        ("window", "2h", "not a time from 1ms to 1h"),
        ("window", "-1s", "not a time from 1ms to 1h"),
        ("window", "5 days", "not a time from 1ms to 1h"),
        (
            "onNoData",
            "zero",
            "\"zero\" is not auto, error or a number",
        ),
    ] {
        let mut pairs: Vec<_> = good.into_iter().filter(|(name, _)| *name != key).collect();
        pairs.push((key, value));
        let error = parse(&pairs).expect_err(value);
        assert_eq!(error.key(), key, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = parse(&good[..1]).expect_err("no target");
    assert_eq!(
        error.to_string(),
        "`targetValue`: is missing; metricQuery needs it"
    );
    let pairs = [&good[..], &[("clampMin", "2"), ("clampMax", "1")]].concat();
    assert!(
        parse(&pairs)
            .expect_err("min above max")
            .to_string()
            .contains("above clampMax 1")
    );
}

#[test]
fn windows_have_units() {
    for (text, milliseconds) in [
        ("90", 90_000),
        ("1500ms", 1500),
        ("1.5m", 90_000),
        ("1h", 3_600_000),
    ] {
        assert_eq!(
            window(text),
            Ok(Duration::from_millis(milliseconds)),
            "{text}"
        );
    }
}
