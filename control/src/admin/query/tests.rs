use super::*;
use scaler::series::{Growth, Limits};
use serde_json::{Value, json};

/// Three series.
fn store() -> Store {
    let store = Store::new(Limits::default());
    let now_ms = unix_ms();
    let mut writer = store.write(now_ms);
    for (labels, value) in [
        (vec![("__name__", "m"), ("a", "1")], 2.0),
        (vec![("__name__", "m"), ("a", "2")], 3.0),
        (vec![("__name__", "http_server_latency")], 4.0),
    ] {
        let labels = scaler::series::Labels::new(labels).expect("no label twice");
        let series = writer.intern(labels).expect("room");
        let at_ms = now_ms - 1_000;
        writer
            .append(series, at_ms, value, Growth::Level)
            .expect("a point");
    }
    drop(writer);
    store
}

fn json_of(reply: impl serde::Serialize) -> Value {
    serde_json::to_value(reply).expect("JSON")
}

fn evaluated(form: &str) -> Result<Value, (u16, String)> {
    match evaluate(&store(), &asked(pairs(form))) {
        Ok(reply) => Ok(json_of(reply)),
        Err((status, Json(reply))) => {
            let reply = json_of(reply);
            let said = reply["error"].as_str().expect("a message").to_owned();
            Err((status.as_u16(), said))
        }
    }
}

#[test]
fn a_form_is_evaluated() {
    let reply = evaluated("query=sum%28m%29+%2B+1&timeout=5s").expect("an answer");
    assert_eq!(reply["data"]["resultType"], "vector");
    assert_eq!(reply["data"]["result"][0]["value"][1], "6");
    assert_eq!(reply["matchedSeries"], 2);
    assert_eq!(reply["reading"], "promql");
    let age = reply["newestAgeSeconds"].as_f64().expect("an age");
    assert!((1.0..100.0).contains(&age), "{age}");
    // Before the points were measured.
    let reply = evaluated("query=m&time=1000.5").expect("an answer");
    assert_eq!(reply["data"], json!({"resultType": "vector", "result": []}));
}

#[test]
fn an_operation_reads_it_as_a_trigger_does() {
    let reply = evaluated("query=m{a=2}&operationOverTime=count&window=1m").expect("an answer");
    assert_eq!(reply["data"]["result"][0]["value"][1], "1");
    assert_eq!(reply["reading"], "simple");
    // The store knows other spellings of names.
    let reply = evaluated("query=dapr/http.server.latency&operationOverTime=max");
    assert_eq!(
        reply.expect("an answer")["data"]["result"][0]["value"][1],
        "4"
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (form, status, part) in [
        ("", 400, "query is missing"),
        ("query=sum(", 400, "column 5: the query ends"),
        ("query=m&time=noon", 400, "time must be in seconds"),
        ("query=m&time=-1", 400, "time must be in seconds"),
        (
            "query=m&window=1m",
            400,
            "window goes with operationOverTime",
        ),
        (
            "query=m&operationOverTime=mean",
            400,
            "\"mean\" is none of last_one",
        ),
        (
            "query=m&operationOverTime=rate&window=5",
            400,
            "window: \"5\" is not a duration",
        ),
        (
            "query=m&operationOverTime=rate&window=0s",
            400,
            "window must be more than zero",
        ),
        ("query=m/2&operationOverTime=rate&window=1h", 200, ""),
        ("query=m/on()m", 422, "several series on the right side"),
    ] {
        match evaluated(form) {
            Ok(_) => assert_eq!(status, 200, "{form}"),
            Err((given, said)) => {
                assert_eq!(given, status, "{form}: {said}");
                assert!(said.contains(part), "{form}: {said}");
            }
        }
    }
}
