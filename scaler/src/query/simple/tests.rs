use crate::query::{EvalError, Query, Reading, memory::Memory};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn memory() -> Memory {
    Memory::load(
        10_000,
        "m{app=a,pod=0} 0 10 20 30 40 50 60
         m{app=a,pod=1} 5 5 5 5 5 5 5
         m{app=b} 100 90 10 20 30 40 50
         one{app=a} _ _ _ 7
         gone{app=a} 1 2 3 stale
         spaces{a=b c} 4
         path{path=/neworder/} 3
         comma{a=x,y=1} 2",
    )
}

/// The value at 60 s.
fn value(text: &str, operation: Option<&str>) -> Option<f64> {
    let operation = operation.map(|word| word.parse().expect("an operation"));
    let query = Query::trigger(text, operation, MINUTE).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(query.reading(), Reading::Simple, "{text}");
    let answer = query.answer(&memory(), 60_000).expect("an answer");
    answer.number().expect("one number")
}

/// Reference: the OTel scaler's arithmetic, per series and then over series.
#[test]
fn operations_are_those_of_the_otel_scaler() {
    for (text, operation, wanted) in [
        ("m{pod=0}", "last_one", 60.0),
        // Inclusive at the begin of the window: 60 in 60 s, not extrapolated.
        ("m{pod=0}", "rate", 1.0),
        ("m{pod=0}", "avg", 30.0),
        ("m{pod=0}", "min", 0.0),
        ("m{pod=0}", "max", 60.0),
        ("m{pod=0}", "count", 7.0),
        // Resets at 90 and at 10: 0, 90, 10 and then 40 more, in 60 s.
        ("m{app=b}", "rate", 140.0 / 60.0),
        // Fewer than two points: zero; and its only point is the smallest.
        ("one", "rate", 0.0),
        ("one", "min", 7.0),
        ("one", "last_one", 7.0),
        // Over all series: the sum, unless another word is given.
        ("m", "last_one", 115.0),
        ("sum(m)", "last_one", 115.0),
        ("avg(m)", "last_one", 115.0 / 3.0),
        ("min(m)", "last_one", 5.0),
        ("max(m)", "last_one", 60.0),
        ("count(m)", "last_one", 3.0),
        ("sum(m)", "rate", 1.0 + 0.0 + 140.0 / 60.0),
        ("max(m{app=a})", "count", 7.0),
    ] {
        let given = value(text, Some(operation)).expect("data");
        assert!((given - wanted).abs() < 1e-9, "{operation} {text}: {given}");
    }
    // Without a word: the last point.
    assert_eq!(value("m", None), Some(115.0));
}

#[test]
fn a_series_that_ended_has_no_last_value() {
    assert_eq!(value("gone", None), None);
    assert_eq!(value("gone", Some("max")), Some(3.0));
    assert_eq!(value("unknown", Some("rate")), None);
    assert_eq!(value("m{app=c}", None), None);
}

#[test]
fn the_loose_spellings_are_read() {
    for (text, wanted) in [
        ("  m{pod=0}  ", 60.0),
        ("m { pod = 0 }", 60.0),
        ("sum( m )", 115.0),
        ("sum (m)", 115.0),
        ("SUM(m)", 115.0),
        ("m{pod=\"0\"}", 60.0),
        ("m{pod='0',app='a'}", 60.0),
        ("m{\"pod\"=\"0\"}", 60.0),
        ("m{pod=0,}", 60.0),
        ("m{}", 115.0),
        ("m{ }", 115.0),
        ("spaces{a=b c}", 4.0),
        ("path{path=\"/neworder/\"}", 3.0),
        ("path{path=/neworder/}", 3.0),
        // An absent label is an empty one.
        ("m{pod=}", 50.0),
        ("m{pod=\"\"}", 50.0),
        ("m{pod!=\"0\"}", 55.0),
        ("m{app=~\"a|b\"}", 115.0),
        ("m{app!~\"a.*\"}", 50.0),
    ] {
        assert_eq!(value(text, None), Some(wanted), "{text}");
    }
}

fn name_read(text: &str) -> Option<String> {
    let query = Query::trigger(text, None, MINUTE).expect(text);
    let name = query.selectors()[0].matchers()[0].value().to_owned();
    (query.reading() == Reading::Simple).then_some(name)
}

/// The whole text has the form of a name, or an operator stands between
/// spaces.
#[test]
fn names_hold_dots_slashes_and_dashes_unless_there_is_space() {
    for name in [
        "vllm:num_requests_waiting",
        "http.server.request.count",
        "runtime/service_invocation/req_recv_total",
        "queue-depth",
        "a/b",
    ] {
        assert_eq!(name_read(name).as_deref(), Some(name));
        assert_eq!(
            name_read(&format!("max({name}{{a=1}})")).as_deref(),
            Some(name)
        );
    }
    for text in [
        "a / b",
        "a - b",
        "a /b",
        "sum(a) / 2",
        "rate(a[1m])",
        "a > 5",
        "sum(avg(a))",
    ] {
        assert_eq!(name_read(text), None, "{text}");
    }
    let dotted = Query::trigger("m{service.name=x,vcs.ref.head.name=main}", None, MINUTE);
    let dotted = dotted.expect("dotted keys");
    assert_eq!(dotted.selectors()[0].matchers()[1].name(), "service.name");
}

/// The traps of the reference: an error, or evaluated as PromQL; never a
/// silent zero.
#[test]
fn what_the_otel_scaler_misread_is_refused_or_evaluated() {
    for (text, column) in [
        ("", 1),
        ("   ", 1),
        ("{a=1}", 4),
        ("foo{a=1}[5m]", 7),
        ("sum(foo{a=1}[5m])", 11),
        ("foo{a==\"b\"}", 7),
        ("foo{a:1}", 8),
        ("foo{=b}", 5),
        ("{", 2),
        ("}{", 1),
        ("foo{a=1}{b=2}", 7),
        ("foo{a=\"b\"} trailing", 12),
        ("sum(foo", 4),
        ("foo)", 4),
        ("}", 1),
        ("avg(})", 5),
        ("foo{a=1,a=2}", 5),
        ("foo{a=~\"(\"}", 5),
        ("1foo", 1),
    ] {
        let error = Query::trigger(text, None, MINUTE).expect_err(text);
        assert_eq!(error.column(), column, "{text}: {error}");
    }
    for (text, wanted) in [
        ("m{pod=\"0\"} > 5", Some(60.0)),
        ("m{pod=\"0\"} > 100", None),
        ("sum(m{app=\"a\"}) / 5", Some(13.0)),
        ("sum(avg(m))", Some(115.0 / 3.0)),
        ("sum by (app) (m{app=\"b\"})", Some(50.0)),
        ("sum(rate(m{pod=\"0\"}[1m]))", Some(1.0)),
        ("comma{a=\"x\",y=\"1\"}", Some(2.0)),
    ] {
        let query = Query::trigger(text, None, MINUTE).expect(text);
        let answer = query.answer(&memory(), 60_000).expect(text);
        assert_eq!(answer.number().expect(text), wanted, "{text}");
    }
}

#[test]
fn several_series_for_a_trigger_name_their_labels() {
    let query = Query::trigger("sum by (app) (m)", None, MINUTE).expect("a query");
    let answer: Result<_, EvalError> = query.answer(&memory(), 60_000);
    let said = answer
        .expect("an answer")
        .number()
        .expect_err("two")
        .to_string();
    assert!(
        said.contains("2 series") && said.contains("differ in app"),
        "{said}"
    );
}

#[test]
fn an_operation_goes_with_the_simple_form_only() {
    let operation = Some("rate".parse().expect("an operation"));
    let error = Query::trigger("sum(m) / 2", operation, MINUTE).expect_err("PromQL");
    assert!(
        error.message().contains("operationOverTime rate"),
        "{error}"
    );
    let unknown = "last"
        .parse::<super::Operation>()
        .expect_err("no operation");
    assert!(
        unknown
            .to_string()
            .contains("last_one, rate, avg, min, max, count")
    );
}

#[test]
fn the_window_is_what_is_read() {
    let query = Query::trigger("m", None, MINUTE).expect("a query");
    assert_eq!(query.reach(), MINUTE + Duration::from_millis(1));
}
