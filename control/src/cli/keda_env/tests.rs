//! Each row of the table: its effect, and what is no value of it.

use super::*;
use crate::cli::{Cli, Command as Chosen, LocalArgs};
use clap::{CommandFactory, FromArgMatches};
use std::collections::HashSet;

fn environment(variables: &[(&str, &str)]) -> HashMap<String, String> {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    variables.iter().map(owned).collect()
}

/// A variable, a value, and the defaults that come of it; or, where there are
/// none, part of the note.
type Case = (
    &'static str,
    &'static str,
    Result<&'static [(&'static str, &'static str)], &'static str>,
);

const NONE: Result<&[(&str, &str)], &str> = Ok(&[]);

fn cases() -> Vec<Case> {
    vec![
        (
            "OTLP_RECEIVER_PORT",
            "4317",
            Ok(&[("otlp-grpc-addr", "0.0.0.0:4317")]),
        ),
        (
            "KEDA_EXTERNAL_SCALER_PORT",
            "4318",
            Ok(&[("grpc-addr", "0.0.0.0:4318")]),
        ),
        (
            "REST_API_PORT",
            "9090",
            Ok(&[("admin-addr", "0.0.0.0:9090")]),
        ),
        ("REST_API_PORT", "tcp://10.0.0.1:80", NONE),
        ("INTERNAL_METRICS_PORT", "8080", Err("/metrics")),
        ("INTERNAL_METRICS_PORT", "tcp://10.0.0.1:80", NONE),
        (
            "METRIC_STORE_RETENTION_SECONDS",
            "90",
            Ok(&[("series-retention", "90s")]),
        ),
        ("METRIC_STORE_LAZY_SERIES", "true", Err("goes first")),
        ("METRIC_STORE_LAZY_AGGREGATES", "true", Err("goes first")),
        ("METRIC_STORE_ERROR_IF_NOT_FOUND", "true", Err("onNoData")),
        ("METRIC_STORE_ERROR_IF_NOT_FOUND", "false", NONE),
        ("METRIC_STORE_VALUE_IF_NOT_FOUND", "1.5", Err("onNoData")),
        ("METRIC_STORE_VALUE_IF_NOT_FOUND", "0", NONE),
        (
            "IS_ACTIVE_POLLING_INTERVAL_MS",
            "500",
            Err("when the data comes"),
        ),
        (
            "OTLP_TLS_CA_FILE",
            "/ca.crt",
            Ok(&[
                ("ingest-tls-client-auth", "required"),
                ("ingest-tls-client-ca", "/ca.crt"),
            ]),
        ),
        (
            "OTLP_TLS_CERT_FILE",
            "/a.crt",
            Ok(&[("ingest-tls-cert", "/a.crt")]),
        ),
        (
            "OTLP_TLS_KEY_FILE",
            "/a.key",
            Ok(&[("ingest-tls-key", "/a.key")]),
        ),
        (
            "OTLP_CERTIFICATE_RELOAD_INTERVAL",
            "5m",
            Err("--tls-reload-interval"),
        ),
        ("KEDA_TLS_ENABLED", "false", NONE),
        ("KEDA_TLS_CERT_FILE", "/a.crt", NONE),
        ("KEDA_TLS_KEY_FILE", "/a.key", NONE),
        ("NO_BANNER", "1", Err("no banner")),
        (
            "KEDA_HTTP_PROXY_PORT",
            "8081",
            Ok(&[("proxy-addr", "0.0.0.0:8081")]),
        ),
        (
            "KEDA_HTTP_ADMIN_PORT",
            "9090",
            Ok(&[("admin-addr", "0.0.0.0:9090")]),
        ),
        (
            "KEDA_HTTP_WATCH_NAMESPACE",
            "a",
            Ok(&[("watch-namespace", "a")]),
        ),
        ("KEDA_HTTP_WATCH_NAMESPACE", " ", NONE),
        (
            "KEDA_HTTP_SCALER_CONFIG_MAP_INFORMER_RSYNC_PERIOD",
            "60m",
            Err("nothing is synced again"),
        ),
        (
            "KEDA_HTTP_PROXY_TLS_ENABLED",
            "true",
            Ok(&[
                ("tls-cert", "/certs/tls.crt"),
                ("tls-key", "/certs/tls.key"),
            ]),
        ),
        ("KEDA_HTTP_PROXY_TLS_ENABLED", "false", NONE),
        ("KEDA_HTTP_PROXY_TLS_PORT", "8443", NONE),
        ("KEDA_HTTP_PROXY_TLS_CERT_PATH", "/a.crt", NONE),
        ("KEDA_HTTP_PROXY_TLS_KEY_PATH", "/a.key", NONE),
        ("KEDA_HTTP_PROXY_TLS_CERT_STORE_PATHS", "/a", NONE),
        (
            "KEDA_HTTP_PROXY_TLS_SKIP_VERIFY",
            "1",
            Ok(&[("upstream-insecure-skip-verify", "true")]),
        ),
        ("KEDA_HTTP_PROXY_TLS_MIN_VERSION", "1.3", NONE),
        ("KEDA_HTTP_PROXY_TLS_MAX_VERSION", "1.3", NONE),
        ("KEDA_HTTP_PROXY_TLS_CIPHER_SUITES", "A", NONE),
        (
            "KEDA_HTTP_PROXY_TLS_CURVE_PREFERENCES",
            "X25519",
            Err("key exchange groups"),
        ),
        (
            "KEDA_HTTP_TLS_SKIP_VERIFY",
            "false",
            Ok(&[("upstream-insecure-skip-verify", "false")]),
        ),
        ("KEDA_HTTP_TLS_MIN_VERSION", "1.2", NONE),
        ("KEDA_HTTP_TLS_MAX_VERSION", "1.2", NONE),
        ("KEDA_HTTP_TLS_CIPHER_SUITES", "A,B", NONE),
        (
            "KEDA_HTTP_TLS_CURVE_PREFERENCES",
            "X25519",
            Err("key exchange groups"),
        ),
        ("KEDA_HTTP_TLS_CA_DIRS", "/ca", Err("--upstream-ca")),
        (
            "KEDA_HTTP_COLD_START_MAX_PENDING_REQUESTS",
            "7",
            Ok(&[("max-held-per-target", "7")]),
        ),
        ("KEDA_HTTP_COLD_START_MAX_PENDING_REQUESTS", "0", NONE),
        (
            "KEDA_HTTP_ENABLE_COLD_START_HEADER",
            "F",
            Ok(&[("cold-start-header", "false")]),
        ),
        (
            "KEDA_HTTP_LOG_REQUESTS",
            "true",
            Ok(&[("access-log", "combined")]),
        ),
        ("KEDA_HTTP_LOG_REQUESTS", "false", NONE),
        (
            "KEDA_HTTP_DIRECT_POD_ROUTING",
            "false",
            Ok(&[("endpoints", "cluster-ip")]),
        ),
        ("KEDA_HTTP_DIRECT_POD_ROUTING", "true", NONE),
        (
            "KEDA_HTTP_DRAIN_TIMEOUT",
            "45s",
            Ok(&[("drain-timeout", "45s")]),
        ),
        (
            "KEDA_HTTP_DRAIN_TIMEOUT",
            "0s",
            Ok(&[("drain-timeout", "8760h")]),
        ),
        (
            "KEDA_HTTP_SHUTDOWN_DELAY",
            "5s",
            Ok(&[("shutdown-delay", "5s")]),
        ),
        (
            "KEDA_HTTP_REQUEST_TIMEOUT",
            "1m30s",
            Ok(&[("request-timeout", "1m30s")]),
        ),
        (
            "KEDA_HTTP_RESPONSE_HEADER_TIMEOUT",
            "10s",
            Ok(&[("response-header-timeout", "10s")]),
        ),
        (
            "KEDA_HTTP_READINESS_TIMEOUT",
            "0",
            Ok(&[("readiness-timeout", "0")]),
        ),
        (
            "KEDA_HTTP_CONNECT_TIMEOUT",
            "700ms",
            Ok(&[("connect-timeout", "700ms")]),
        ),
        (
            "KEDA_HTTP_MAX_IDLE_CONNS",
            "1000",
            Err("idle connections are bounded"),
        ),
        (
            "KEDA_HTTP_MAX_IDLE_CONNS_PER_HOST",
            "200",
            Err("idle connections are bounded"),
        ),
        (
            "KEDA_RESPONSE_HEADER_TIMEOUT",
            "11s",
            Ok(&[("response-header-timeout", "11s")]),
        ),
        (
            "KEDA_CONDITION_WAIT_TIMEOUT",
            "12s",
            Ok(&[("readiness-timeout", "12s")]),
        ),
        (
            "KEDA_HTTP_ROUTING_TABLE_REFRESH_INTERVAL",
            "1m",
            Err("nothing is synced again"),
        ),
        (
            "KEDA_HTTP_ROUTING_TABLE_MAX_STALENESS",
            "5m",
            Err("nothing is synced again"),
        ),
        ("KEDA_HTTP_RETRY_COUNT", "1", Err("how often is safe")),
        (
            "PROFILING_BIND_ADDRESS",
            ":6060",
            Err("no profiling server"),
        ),
        (
            "OTEL_PROM_EXPORTER_ENABLED",
            "false",
            Err("/metrics of --admin-addr"),
        ),
        ("OTEL_PROM_EXPORTER_ENABLED", "true", NONE),
        (
            "OTEL_PROM_EXPORTER_PORT",
            "2223",
            Err("/metrics of --admin-addr"),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENABLED",
            "true",
            Err("/metrics of --admin-addr"),
        ),
        ("OTEL_EXPORTER_OTLP_METRICS_ENABLED", "false", NONE),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENABLED",
            "true",
            Ok(&[("otlp-traces-endpoint", "http://localhost:4317")]),
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_ENABLED", "false", NONE),
        ("OTEL_TRACES_EXPORTER", "otlp", NONE),
        ("OTEL_TRACES_EXPORTER", "none", NONE),
        ("OTEL_SDK_DISABLED", "TRUE", NONE),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/protobuf",
            Err("gRPC port"),
        ),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", NONE),
        (
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "console",
            Err("gRPC port"),
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://c:4317",
            Ok(&[("otlp-traces-endpoint", "http://c:4317")]),
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://t:4317",
            Ok(&[("otlp-traces-endpoint", "http://t:4317")]),
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=b,c=d",
            Ok(&[("otlp-traces-headers", "a=b,c=d")]),
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "a=b",
            Ok(&[("otlp-traces-headers", "a=b")]),
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "1500",
            Ok(&[("otlp-traces-timeout", "1500ms")]),
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "2500",
            Ok(&[("otlp-traces-timeout", "2500ms")]),
        ),
        (
            "OTEL_SERVICE_NAME",
            "edge",
            Ok(&[("otlp-service-name", "edge")]),
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "a=b,c=d%20e",
            Ok(&[("otlp-resource-attributes", "a=b,c=d%20e")]),
        ),
        (
            "OTEL_TRACES_SAMPLER",
            "parentbased_traceidratio",
            Ok(&[("otlp-traces-sampler", "parentbased_traceidratio")]),
        ),
        (
            "OTEL_TRACES_SAMPLER_ARG",
            "0.25",
            Ok(&[("otlp-traces-sampler-arg", "0.25")]),
        ),
        ("OTEL_PROPAGATORS", "b3", Err("W3C")),
        ("OTEL_PROPAGATORS", "tracecontext,baggage", NONE),
        (
            "KEDA_HTTP_SCALER_PORT",
            "9091",
            Ok(&[("grpc-addr", "0.0.0.0:9091")]),
        ),
        (
            "KEDA_HTTP_SCALER_TARGET_ADMIN_NAMESPACE",
            "keda",
            Err("share memory"),
        ),
        (
            "KEDA_HTTP_SCALER_TARGET_ADMIN_SERVICE",
            "s",
            Err("share memory"),
        ),
        (
            "KEDA_HTTP_SCALER_TARGET_ADMIN_DEPLOYMENT",
            "d",
            Err("share memory"),
        ),
        (
            "KEDA_HTTP_SCALER_TARGET_ADMIN_PORT",
            "9090",
            Err("share memory"),
        ),
        (
            "KEDA_HTTP_QUEUE_TICK_DURATION",
            "500ms",
            Err("share memory"),
        ),
        (
            "KEDA_HTTP_SCALER_STREAM_INTERVAL_MS",
            "200",
            Err("share memory"),
        ),
        (
            "KEDA_HTTP_OPERATOR_EXTERNAL_SCALER_SERVICE",
            "s",
            Err("--scaler-address"),
        ),
        (
            "KEDA_HTTP_OPERATOR_EXTERNAL_SCALER_PORT",
            "8091",
            Err("--scaler-address"),
        ),
        (
            "KEDAHTTP_OPERATOR_EXTERNAL_SCALER_SERVICE",
            "s",
            Err("--scaler-address"),
        ),
        (
            "KEDAHTTP_OPERATOR_EXTERNAL_SCALER_PORT",
            "8091",
            Err("--scaler-address"),
        ),
        ("KEDA_HTTP_OPERATOR_NAMESPACE", "keda", Err("no operator")),
        (
            "KEDA_HTTP_OPERATOR_WATCH_NAMESPACE",
            "a",
            Err("no operator"),
        ),
        (
            "KEDA_HTTP_OPERATOR_LEADER_ELECTION_LEASE_DURATION",
            "15s",
            Err("no operator"),
        ),
        (
            "KEDA_HTTP_OPERATOR_LEADER_ELECTION_RENEW_DEADLINE",
            "10s",
            Err("no operator"),
        ),
        (
            "KEDA_HTTP_OPERATOR_LEADER_ELECTION_RETRY_PERIOD",
            "2s",
            Err("no operator"),
        ),
    ]
}

#[test]
fn each_row_has_the_effect_that_it_says() {
    let mut tested = HashSet::new();
    for (name, value, expected) in cases() {
        tested.insert(name);
        let (defaults, notes, problems) = defaults(&environment(&[(name, value)]));
        assert_eq!(problems, [] as [String; 0], "{name}");
        let defaults: Vec<(&str, &str)> = defaults
            .iter()
            .map(|(flag, (from, value))| {
                assert_eq!(*from, name);
                (*flag, value.as_str())
            })
            .collect();
        match expected {
            Ok(expected) => {
                assert_eq!(defaults, expected, "{name}={value}");
                assert_eq!(notes.unused, [] as [String; 0], "{name}={value}");
            }
            Err(why) => {
                assert_eq!(defaults, [], "{name}={value}");
                let all = [&notes.unused[..], &notes.warnings].concat();
                let [note] = &all[..] else {
                    panic!("{name}={value}: {notes:?}");
                };
                assert!(note.starts_with(name) && note.contains(why), "{note}");
            }
        }
    }
    let all: HashSet<&str> = TABLE.iter().map(|row| row.name).collect();
    assert_eq!(all.len(), TABLE.len(), "a name twice");
    assert_eq!(tested, all, "rows without a test");
}

#[test]
fn every_value_that_is_wrong_is_named_at_once() {
    let wrong: &[(&str, &str)] = &[
        ("OTLP_RECEIVER_PORT", "all"),
        ("METRIC_STORE_RETENTION_SECONDS", "2m"),
        ("METRIC_STORE_VALUE_IF_NOT_FOUND", "none"),
        ("KEDA_TLS_ENABLED", "true"),
        ("KEDA_HTTP_PROXY_PORT", "0"),
        ("KEDA_HTTP_ADMIN_PORT", "65536"),
        ("KEDA_HTTP_SCALER_PORT", "http"),
        ("KEDA_HTTP_PROXY_TLS_ENABLED", "yes"),
        ("KEDA_HTTP_TLS_MIN_VERSION", "1.1"),
        ("KEDA_HTTP_COLD_START_MAX_PENDING_REQUESTS", "-1"),
        ("KEDA_HTTP_ENABLE_COLD_START_HEADER", "on"),
        ("KEDA_HTTP_LOG_REQUESTS", "2"),
        ("KEDA_HTTP_DIRECT_POD_ROUTING", "maybe"),
        ("KEDA_HTTP_DRAIN_TIMEOUT", "30"),
        ("KEDA_HTTP_REQUEST_TIMEOUT", "-1s"),
        ("KEDA_HTTP_CONNECT_TIMEOUT", "0s"),
        ("KEDA_HTTP_MAX_IDLE_CONNS", "many"),
        ("KEDA_CONDITION_WAIT_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "xray"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a"),
    ];
    let (_, _, problems) = defaults(&environment(wrong));
    assert_eq!(problems.len(), wrong.len(), "{problems:#?}");
    for (name, _) in wrong {
        let prefix = format!("{name}: ");
        assert!(problems.iter().any(|it| it.starts_with(&prefix)), "{name}");
    }
}

#[test]
fn the_scalers_tls_is_on_only_with_its_switch() {
    let files = [
        ("KEDA_TLS_CERT_FILE", "/a.crt"),
        ("KEDA_TLS_KEY_FILE", "/a.key"),
    ];
    let (off, ..) = defaults(&environment(&files));
    assert!(off.is_empty(), "{off:?}");
    let on = [&files[..], &[("KEDA_TLS_ENABLED", "true")]].concat();
    let (on, _, problems) = defaults(&environment(&on));
    assert_eq!(on["grpc-tls-cert"].1, "/a.crt");
    assert_eq!(on["grpc-tls-key"].1, "/a.key");
    assert_eq!(problems, [] as [String; 0]);
}

#[test]
fn old_names_win_and_warn_and_unknown_ones_warn() {
    let (defaults, notes, problems) = defaults(&environment(&[
        ("KEDA_HTTP_RESPONSE_HEADER_TIMEOUT", "1s"),
        ("KEDA_RESPONSE_HEADER_TIMEOUT", "2s"),
        ("KEDA_HTTP_NO_SUCH_THING", "1"),
        ("KEDA_ADD_ONS_HTTP_SERVICE_HOST", "10.0.0.1"),
    ]));
    assert_eq!(defaults["response-header-timeout"].1, "2s");
    assert_eq!(
        notes.warnings,
        [
            "KEDA_RESPONSE_HEADER_TIMEOUT is deprecated: use KEDA_HTTP_RESPONSE_HEADER_TIMEOUT, or --response-header-timeout",
            "KEDA_HTTP_NO_SUCH_THING is not known and has no effect",
        ]
    );
    assert!(problems.is_empty() && notes.unused.is_empty());
}

#[test]
fn switches_govern_their_flags_whatever_the_order() {
    let flags = |variables: &[(&str, &str)]| -> Vec<(&str, String)> {
        let (defaults, ..) = defaults(&environment(variables));
        defaults
            .into_iter()
            .map(|(flag, (_, value))| (flag, value))
            .collect()
    };
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
    for off in [
        ("OTEL_EXPORTER_OTLP_TRACES_ENABLED", "false"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_SDK_DISABLED", "true"),
    ] {
        assert_eq!(flags(&[endpoint, off]), []);
    }
    let on = ("OTEL_EXPORTER_OTLP_TRACES_ENABLED", "true");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4317");
    let is = |value: &str| vec![("otlp-traces-endpoint", value.to_owned())];
    assert_eq!(flags(&[endpoint, on]), is("http://c:4317"));
    assert_eq!(flags(&[endpoint, on, own]), is("http://t:4317"));
    let tls = flags(&[
        ("KEDA_HTTP_PROXY_TLS_ENABLED", "true"),
        ("KEDA_HTTP_PROXY_TLS_CERT_PATH", "/a.crt"),
        ("KEDA_HTTP_PROXY_TLS_PORT", "8444"),
    ]);
    let is = |flag, value: &str| (flag, value.to_owned());
    assert_eq!(
        tls,
        [
            is("proxy-tls-addr", "0.0.0.0:8444"),
            is("tls-cert", "/a.crt"),
            is("tls-key", "/certs/tls.key"),
        ]
    );
}

/// `reveille local` with these arguments and variables.
fn local(args: &[&str], variables: &[(&str, &str)]) -> (LocalArgs, Notes) {
    let (command, notes, problems) = apply(Cli::command(), &environment(variables));
    assert_eq!(problems, [] as [String; 0]);
    command.clone().debug_assert();
    let args = ["reveille", "local"].iter().chain(args);
    let matches = command.get_matches_from(args);
    match Cli::from_arg_matches(&matches).expect("valid").command {
        Some(Chosen::Local(args)) => (*args, notes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_flag_that_is_named_takes_what_it_is_given() {
    let known: HashSet<String> = {
        let command = Cli::command();
        let local = command.find_subcommand("local").expect("it exists");
        let flags = local.get_arguments().filter_map(|arg| arg.get_long());
        flags.map(str::to_owned).collect()
    };
    for (name, value, expected) in cases() {
        // clap would end the test if it did not accept the default.
        let (_, notes) = local(&[], &[(name, value)]);
        let all_known = expected.is_ok_and(|all| all.iter().all(|(flag, _)| known.contains(*flag)));
        if all_known {
            assert_eq!(notes.unused, [] as [String; 0], "{name}");
        }
    }
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_default() {
    let variables = [
        ("KEDA_HTTP_CONNECT_TIMEOUT", "700ms"),
        ("KEDA_HTTP_REQUEST_TIMEOUT", "7s"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%20c,d=e"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=edge,region=north"),
    ];
    let (args, _) = local(&["--request-timeout", "8s"], &variables);
    assert_eq!(args.run.connect_timeout.as_millis(), 700);
    assert_eq!(args.run.request_timeout.as_secs(), 8);
    assert_eq!(args.run.response_header_timeout.as_secs(), 300);
    let otlp = args.run.observe.otlp().expect("an endpoint");
    let headers: Vec<_> = otlp
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")))
        .collect();
    assert_eq!(headers, [("a", "b c"), ("d", "e")]);
    let resource: HashMap<_, _> = otlp.resource.into_iter().collect();
    assert_eq!(resource["service.name"], "edge");
    assert_eq!(resource["region"], "north");
    assert_eq!(otlp.sampler, proxy::Sampler::ratio(0.0, true));
}
