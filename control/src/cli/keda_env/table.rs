//! Each variable of the add-on's reference, and what becomes of it here.
//! control/README.md has the same table for people.
//!
//! Later rows win over earlier ones of the same flag.

use super::read::{self, Check, Value};

/// One variable.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) effect: Effect,
}

/// A flag, and its default from the variable's value.
type Also = (&'static str, fn(&str) -> Value);

pub(super) enum Effect {
    /// The default of this flag.
    Flag(&'static str, fn(&str) -> Value),
    /// The defaults of several flags.
    Flags(&'static [Also]),
    /// The same, by an old name; the new one.
    Renamed(&'static str, &'static str, fn(&str) -> Value),
    /// On: these defaults, which other rows may replace. Off: none of the
    /// flags that it governs gets a default from a variable.
    Switch {
        read: fn(&str) -> Result<Option<bool>, String>,
        /// What it is if it is not set.
        unset: Option<&'static str>,
        on: &'static [(&'static str, &'static str)],
        governs: &'static [&'static str],
    },
    /// Nothing, and why.
    Unused(Check, &'static str),
    /// Nothing, though it is wanted: what to do in its place.
    Unserved(Check, &'static str),
}

use Effect::{Flag, Flags, Renamed, Switch, Unserved, Unused};

const fn row(name: &'static str, effect: Effect) -> Row {
    Row { name, effect }
}

const TLS_FLAGS: &[&str] = &[
    "proxy-tls-addr",
    "tls-cert",
    "tls-key",
    "tls-cert-dir",
    "tls-min-version",
    "tls-max-version",
    "tls-cipher-suites",
];
const TRACE_FLAGS: &[&str] = &["otlp-traces-endpoint"];

const GRPC_TLS_FLAGS: &[&str] = &["grpc-tls-cert", "grpc-tls-key"];

const NO_LAZINESS: &str =
    "what no trigger needs goes first when room is short, and nothing is aggregated ahead";
const PUSHED: &str = "KEDA is told when the data comes, not by a tick";
const RELOADED: &str = "certificates are looked at every --tls-reload-interval";
const NO_BANNER: &str = "there is no banner";
const NO_DATA: &str = "say onNoData in the metadata of the triggers that want it";
const NO_RESYNC: &str = "changes are seen as they happen, nothing is synced again";
const NO_CURVES: &str = "key exchange groups are the TLS library's safe ones";
const POOLS: &str = "idle connections are bounded per worker and endpoint (256) and by age (90 s)";
const ONE_PROCESS: &str =
    "proxy and scaler share memory: nothing is polled, and KEDA is told at once";
const NO_OPERATOR: &str = "there is no operator beside this program";
const OUR_ADDRESS: &str = "--scaler-address says where KEDA finds this program";
const METRICS: &str = "metrics are always at /metrics of --admin-addr";
const GRPC_ONLY: &str =
    "traces go over OTLP/gRPC only: the endpoint must be the collector's gRPC port (4317)";

pub(super) const TABLE: &[Row] = &[
    // The OTel scaler (otel-add-on).
    row(
        "OTLP_RECEIVER_PORT",
        Flag("otlp-grpc-addr", read::port_or_link),
    ),
    row(
        "KEDA_EXTERNAL_SCALER_PORT",
        Flag("grpc-addr", read::port_or_link),
    ),
    row("REST_API_PORT", Flag("admin-addr", read::port_or_link)),
    row(
        "INTERNAL_METRICS_PORT",
        Unused(read::a_port_or_link, METRICS),
    ),
    row(
        "METRIC_STORE_RETENTION_SECONDS",
        Flag("series-retention", read::seconds),
    ),
    row(
        "METRIC_STORE_LAZY_SERIES",
        Unused(read::if_true, NO_LAZINESS),
    ),
    row(
        "METRIC_STORE_LAZY_AGGREGATES",
        Unused(read::if_true, NO_LAZINESS),
    ),
    row(
        "METRIC_STORE_ERROR_IF_NOT_FOUND",
        Unserved(read::if_true, NO_DATA),
    ),
    row(
        "METRIC_STORE_VALUE_IF_NOT_FOUND",
        Unserved(read::if_not_zero, NO_DATA),
    ),
    row(
        "IS_ACTIVE_POLLING_INTERVAL_MS",
        Unused(read::a_number, PUSHED),
    ),
    row(
        "OTLP_TLS_CA_FILE",
        Flags(&[
            ("ingest-tls-client-ca", read::text),
            ("ingest-tls-client-auth", read::required),
        ]),
    ),
    row("OTLP_TLS_CERT_FILE", Flag("ingest-tls-cert", read::text)),
    row("OTLP_TLS_KEY_FILE", Flag("ingest-tls-key", read::text)),
    row(
        "OTLP_CERTIFICATE_RELOAD_INTERVAL",
        Unused(read::a_duration, RELOADED),
    ),
    row(
        "KEDA_TLS_ENABLED",
        Switch {
            read: read::switch,
            unset: Some("false"),
            on: &[],
            governs: GRPC_TLS_FLAGS,
        },
    ),
    row("KEDA_TLS_CERT_FILE", Flag("grpc-tls-cert", read::text)),
    row("KEDA_TLS_KEY_FILE", Flag("grpc-tls-key", read::text)),
    row("NO_BANNER", Unused(read::any, NO_BANNER)),
    // The interceptor: addresses.
    row("KEDA_HTTP_PROXY_PORT", Flag("proxy-addr", read::port)),
    row("KEDA_HTTP_ADMIN_PORT", Flag("admin-addr", read::port)),
    row(
        "KEDA_HTTP_WATCH_NAMESPACE",
        Flag("watch-namespace", read::list),
    ),
    row(
        "KEDA_HTTP_SCALER_CONFIG_MAP_INFORMER_RSYNC_PERIOD",
        Unused(read::a_duration, NO_RESYNC),
    ),
    // TLS.
    row(
        "KEDA_HTTP_PROXY_TLS_ENABLED",
        Switch {
            read: read::switch,
            unset: Some("false"),
            on: &[
                ("tls-cert", "/certs/tls.crt"),
                ("tls-key", "/certs/tls.key"),
            ],
            governs: TLS_FLAGS,
        },
    ),
    row(
        "KEDA_HTTP_PROXY_TLS_PORT",
        Flag("proxy-tls-addr", read::port),
    ),
    row(
        "KEDA_HTTP_PROXY_TLS_CERT_PATH",
        Flag("tls-cert", read::text),
    ),
    row("KEDA_HTTP_PROXY_TLS_KEY_PATH", Flag("tls-key", read::text)),
    row(
        "KEDA_HTTP_PROXY_TLS_CERT_STORE_PATHS",
        Flag("tls-cert-dir", read::list),
    ),
    row(
        "KEDA_HTTP_PROXY_TLS_SKIP_VERIFY",
        Renamed(
            "KEDA_HTTP_TLS_SKIP_VERIFY",
            "upstream-insecure-skip-verify",
            read::boolean,
        ),
    ),
    row(
        "KEDA_HTTP_PROXY_TLS_MIN_VERSION",
        Renamed(
            "KEDA_HTTP_TLS_MIN_VERSION",
            "tls-min-version",
            read::tls_version,
        ),
    ),
    row(
        "KEDA_HTTP_PROXY_TLS_MAX_VERSION",
        Renamed(
            "KEDA_HTTP_TLS_MAX_VERSION",
            "tls-max-version",
            read::tls_version,
        ),
    ),
    row(
        "KEDA_HTTP_PROXY_TLS_CIPHER_SUITES",
        Renamed(
            "KEDA_HTTP_TLS_CIPHER_SUITES",
            "tls-cipher-suites",
            read::list,
        ),
    ),
    row(
        "KEDA_HTTP_PROXY_TLS_CURVE_PREFERENCES",
        Unused(read::any, NO_CURVES),
    ),
    row(
        "KEDA_HTTP_TLS_SKIP_VERIFY",
        Flag("upstream-insecure-skip-verify", read::boolean),
    ),
    row(
        "KEDA_HTTP_TLS_MIN_VERSION",
        Flag("tls-min-version", read::tls_version),
    ),
    row(
        "KEDA_HTTP_TLS_MAX_VERSION",
        Flag("tls-max-version", read::tls_version),
    ),
    row(
        "KEDA_HTTP_TLS_CIPHER_SUITES",
        Flag("tls-cipher-suites", read::list),
    ),
    row(
        "KEDA_HTTP_TLS_CURVE_PREFERENCES",
        Unused(read::any, NO_CURVES),
    ),
    row(
        "KEDA_HTTP_TLS_CA_DIRS",
        Unused(
            read::any,
            "directories of authorities are not read: name a file with --upstream-ca",
        ),
    ),
    // Requests.
    row(
        "KEDA_HTTP_COLD_START_MAX_PENDING_REQUESTS",
        Flag("max-held-per-target", read::bound),
    ),
    row(
        "KEDA_HTTP_ENABLE_COLD_START_HEADER",
        Flag("cold-start-header", read::boolean),
    ),
    row(
        "KEDA_HTTP_LOG_REQUESTS",
        Flag("access-log", read::access_log),
    ),
    row(
        "KEDA_HTTP_DIRECT_POD_ROUTING",
        Flag("endpoints", read::direct_pods),
    ),
    row(
        "KEDA_HTTP_DRAIN_TIMEOUT",
        Flag("drain-timeout", read::limit),
    ),
    row(
        "KEDA_HTTP_SHUTDOWN_DELAY",
        Flag("shutdown-delay", read::duration),
    ),
    row(
        "KEDA_HTTP_REQUEST_TIMEOUT",
        Flag("request-timeout", read::duration),
    ),
    row(
        "KEDA_HTTP_RESPONSE_HEADER_TIMEOUT",
        Flag("response-header-timeout", read::duration),
    ),
    row(
        "KEDA_HTTP_READINESS_TIMEOUT",
        Flag("readiness-timeout", read::duration),
    ),
    row(
        "KEDA_HTTP_CONNECT_TIMEOUT",
        Flag("connect-timeout", read::positive),
    ),
    row("KEDA_HTTP_MAX_IDLE_CONNS", Unused(read::a_number, POOLS)),
    row(
        "KEDA_HTTP_MAX_IDLE_CONNS_PER_HOST",
        Unused(read::a_number, POOLS),
    ),
    row(
        "KEDA_RESPONSE_HEADER_TIMEOUT",
        Renamed(
            "KEDA_HTTP_RESPONSE_HEADER_TIMEOUT",
            "response-header-timeout",
            read::duration,
        ),
    ),
    row(
        "KEDA_CONDITION_WAIT_TIMEOUT",
        Renamed(
            "KEDA_HTTP_READINESS_TIMEOUT",
            "readiness-timeout",
            read::duration,
        ),
    ),
    row(
        "KEDA_HTTP_ROUTING_TABLE_REFRESH_INTERVAL",
        Unused(read::a_duration, NO_RESYNC),
    ),
    row(
        "KEDA_HTTP_ROUTING_TABLE_MAX_STALENESS",
        Unused(read::a_duration, NO_RESYNC),
    ),
    row(
        "KEDA_HTTP_RETRY_COUNT",
        Unused(
            read::a_number,
            "how often is safe follows from the request and from what failed",
        ),
    ),
    // Telemetry.
    row(
        "PROFILING_BIND_ADDRESS",
        Unused(read::any, "there is no profiling server"),
    ),
    row(
        "OTEL_PROM_EXPORTER_ENABLED",
        Unused(read::if_false, METRICS),
    ),
    row("OTEL_PROM_EXPORTER_PORT", Unused(read::a_port, METRICS)),
    row(
        "OTEL_EXPORTER_OTLP_METRICS_ENABLED",
        Unused(read::if_true, METRICS),
    ),
    row(
        "OTEL_EXPORTER_OTLP_TRACES_ENABLED",
        Switch {
            read: read::switch,
            unset: None,
            on: &[("otlp-traces-endpoint", "http://localhost:4317")],
            governs: TRACE_FLAGS,
        },
    ),
    row(
        "OTEL_TRACES_EXPORTER",
        Switch {
            read: read::exporter,
            unset: None,
            on: &[],
            governs: TRACE_FLAGS,
        },
    ),
    row(
        "OTEL_SDK_DISABLED",
        Switch {
            read: read::off_switch,
            unset: None,
            on: &[],
            governs: TRACE_FLAGS,
        },
    ),
    row(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        Unused(read::if_not_grpc, GRPC_ONLY),
    ),
    row(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        Unused(read::if_not_grpc, GRPC_ONLY),
    ),
    row(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        Flag("otlp-traces-endpoint", read::endpoint),
    ),
    row(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        Flag("otlp-traces-endpoint", read::endpoint),
    ),
    row(
        "OTEL_EXPORTER_OTLP_HEADERS",
        Flag("otlp-traces-headers", read::headers),
    ),
    row(
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        Flag("otlp-traces-headers", read::headers),
    ),
    row(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        Flag("otlp-traces-timeout", read::milliseconds),
    ),
    row(
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        Flag("otlp-traces-timeout", read::milliseconds),
    ),
    row("OTEL_SERVICE_NAME", Flag("otlp-service-name", read::text)),
    row(
        "OTEL_RESOURCE_ATTRIBUTES",
        Flag("otlp-resource-attributes", read::pairs),
    ),
    row(
        "OTEL_TRACES_SAMPLER",
        Flag("otlp-traces-sampler", read::sampler),
    ),
    row(
        "OTEL_TRACES_SAMPLER_ARG",
        Flag("otlp-traces-sampler-arg", read::ratio),
    ),
    row(
        "OTEL_PROPAGATORS",
        Unused(
            read::if_not_w3c,
            "W3C Trace Context is what is read and written; all else passes through",
        ),
    ),
    // The scaler.
    row("KEDA_HTTP_SCALER_PORT", Flag("grpc-addr", read::port)),
    row(
        "KEDA_HTTP_SCALER_TARGET_ADMIN_NAMESPACE",
        Unused(read::any, ONE_PROCESS),
    ),
    row(
        "KEDA_HTTP_SCALER_TARGET_ADMIN_SERVICE",
        Unused(read::any, ONE_PROCESS),
    ),
    row(
        "KEDA_HTTP_SCALER_TARGET_ADMIN_DEPLOYMENT",
        Unused(read::any, ONE_PROCESS),
    ),
    row(
        "KEDA_HTTP_SCALER_TARGET_ADMIN_PORT",
        Unused(read::a_port, ONE_PROCESS),
    ),
    row(
        "KEDA_HTTP_QUEUE_TICK_DURATION",
        Unused(read::a_duration, ONE_PROCESS),
    ),
    row(
        "KEDA_HTTP_SCALER_STREAM_INTERVAL_MS",
        Unused(read::a_number, ONE_PROCESS),
    ),
    // The operator.
    row(
        "KEDA_HTTP_OPERATOR_EXTERNAL_SCALER_SERVICE",
        Unused(read::any, OUR_ADDRESS),
    ),
    row(
        "KEDA_HTTP_OPERATOR_EXTERNAL_SCALER_PORT",
        Unused(read::a_port, OUR_ADDRESS),
    ),
    row(
        "KEDAHTTP_OPERATOR_EXTERNAL_SCALER_SERVICE",
        Unused(read::any, OUR_ADDRESS),
    ),
    row(
        "KEDAHTTP_OPERATOR_EXTERNAL_SCALER_PORT",
        Unused(read::a_port, OUR_ADDRESS),
    ),
    row(
        "KEDA_HTTP_OPERATOR_NAMESPACE",
        Unused(read::any, NO_OPERATOR),
    ),
    row(
        "KEDA_HTTP_OPERATOR_WATCH_NAMESPACE",
        Unused(read::any, NO_OPERATOR),
    ),
    row(
        "KEDA_HTTP_OPERATOR_LEADER_ELECTION_LEASE_DURATION",
        Unused(read::a_duration, NO_OPERATOR),
    ),
    row(
        "KEDA_HTTP_OPERATOR_LEADER_ELECTION_RENEW_DEADLINE",
        Unused(read::a_duration, NO_OPERATOR),
    ),
    row(
        "KEDA_HTTP_OPERATOR_LEADER_ELECTION_RETRY_PERIOD",
        Unused(read::a_duration, NO_OPERATOR),
    ),
];
