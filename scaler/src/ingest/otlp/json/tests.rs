use super::*;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use proptest::prelude::*;
use prost::Message as _;

/// What our bytes say, and what OpenTelemetry's own reader makes of the JSON.
fn both(json: &str) -> (ExportMetricsServiceRequest, ExportMetricsServiceRequest) {
    let bytes = to_protobuf(json.as_bytes()).expect("good JSON");
    let ours = ExportMetricsServiceRequest::decode(&*bytes).expect("good protobuf");
    (ours, serde_json::from_str(json).expect("good JSON"))
}

fn error(json: &str) -> String {
    let error = to_protobuf(json.as_bytes()).expect_err("bad JSON");
    error.to_string()
}

/// The example of the OTLP specification, shortened by what is not read, with
/// the other kinds of metric beside it.
const ALL: &str = r#"{"resourceMetrics":[{
  "resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"my.service"}},
    {"key":"list","value":{"arrayValue":{"values":[{"intValue":"-7"},{"boolValue":true}]}}},
    {"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"doubleValue":0.5}}]}}},
    {"key":"bytes","value":{"bytesValue":"AP8="}}]},
  "scopeMetrics":[{
    "scope":{"name":"my.library","version":"1.0.0","attributes":[{"key":"a","value":{"stringValue":"b"}}]},
    "metrics":[
      {"name":"my.counter","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
        {"asDouble":5,"startTimeUnixNano":"1544712660300000000","timeUnixNano":"1544712660300000000",
         "attributes":[{"key":"my.counter.attr","value":{"stringValue":"some value"}}]}]}},
      {"name":"my.gauge","gauge":{"dataPoints":[{"asInt":"-10","timeUnixNano":"1544712660300000000","flags":1}]}},
      {"name":"my.histogram","histogram":{"aggregationTemporality":2,"dataPoints":[
        {"startTimeUnixNano":"1","timeUnixNano":"2","count":"2","sum":2.5,"bucketCounts":["1","1"],
         "explicitBounds":[1.5],"min":0.5,"max":2}]}},
      {"name":"my.exponential","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[
        {"timeUnixNano":"2","count":"3","sum":10,"scale":-1,"zeroCount":"1",
         "positive":{"offset":-2,"bucketCounts":["0","2"]},"min":0,"max":5,"zeroThreshold":0}]}},
      {"name":"my.summary","summary":{"dataPoints":[
        {"timeUnixNano":"2","count":"3","sum":10,"quantileValues":[{"quantile":0.5,"value":3}]}]}}
    ]}]}]}"#;

#[test]
fn every_field_that_is_read_comes_through() {
    let (ours, theirs) = both(ALL);
    assert_eq!(ours, theirs);
}

#[test]
fn numbers_may_be_text_and_names_may_have_underscores() {
    let plain = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"x","sum":
        {"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"7","timeUnixNano":"9"}]}}]}]}]}"#;
    let other = r#"{"resource_metrics":[{"unknown":{"a":[1,{}]},"scope_metrics":[{"metrics":[{"name":"x","unit":null,"sum":
        {"aggregation_temporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","is_monotonic":true,
         "data_points":[{"as_int":7.0,"time_unix_nano":9}]}}]}]}]}"#;
    let bytes = |json: &str| to_protobuf(json.as_bytes()).expect("good");
    assert_eq!(bytes(plain), bytes(other));
}

#[test]
fn special_numbers_are_text() {
    for (text, wanted) in [
        ("Infinity", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
    ] {
        let json = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"gauge":{{"dataPoints":[{{"asDouble":"{text}"}}]}}}}]}}]}}]}}"#
        );
        let bytes = to_protobuf(json.as_bytes()).expect("good");
        let end = bytes.last_chunk::<8>().expect("a double");
        assert_eq!(f64::from_le_bytes(*end), wanted);
    }
}

#[test]
fn errors_say_what_and_where() {
    for (json, wanted) in [
        ("", "EOF"),
        ("[]", "expected an object, ExportMetricsServiceRequest"),
        ("{} x", "trailing characters"),
        (
            r#"{"resourceMetrics":[7]}"#,
            "ExportMetricsServiceRequest: field 1 cannot be a number",
        ),
        (
            r#"{"resourceMetrics":[{"resource":"x"}]}"#,
            "ResourceMetrics: field 1 cannot be text",
        ),
        (r#"{"resourceMetrics":["#, "EOF"),
    ] {
        let said = error(json);
        assert!(
            said.contains(wanted) && said.contains("line 1 column"),
            "{said}"
        );
    }
    let number = |value: &str| {
        error(&format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"gauge":{{"dataPoints":[{{"asInt":{value}}}]}}}}]}}]}}]}}"#
        ))
    };
    assert!(
        number("99999999999999999999").contains("out of range")
            || number("99999999999999999999").contains("fraction")
    );
    assert!(number("1.5").contains("cannot be a fraction"));
    assert!(number("\"x\"").contains("cannot be this text"));
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    // What is skipped is gone through in a loop, whatever its depth.
    let unknown = format!(r#"{{"x":{deep}}}"#);
    assert_eq!(to_protobuf(unknown.as_bytes()).expect("skipped"), b"");
    let known = format!(r#"{{"resourceMetrics":{deep}}}"#);
    assert!(error(&known).contains("recursion limit"));
    let value = r#"{"arrayValue":{"values":["#.repeat(10_000);
    let json = format!(r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"value":{value}"#);
    assert!(error(&json).contains("recursion limit"));
}

proptest! {
    /// Many small objects, the worst there is, take little more than they send.
    #[test]
    fn what_is_written_is_bounded(count in 1_usize..2_000) {
        let json = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{}]}}]}}]}}"#,
            vec!["{}"; count].join(",")
        );
        let bytes = to_protobuf(json.as_bytes()).expect("good");
        prop_assert!(bytes.len() <= 5 * json.len());
    }

    #[test]
    fn any_text_is_an_error_or_a_message(text in ".{0,200}") {
        if let Ok(bytes) = to_protobuf(text.as_bytes()) {
            prop_assert!(ExportMetricsServiceRequest::decode(&*bytes).is_ok());
        }
    }
}
