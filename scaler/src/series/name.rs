//! Names in Prometheus form.
//!
//! Used on arrival for what is stored, and by the store for what a query asks,
//! so that each spelling of a name finds the same series. Pure.

use super::METRIC_NAME;
use std::borrow::Cow;

/// What Dapr's Prometheus exporter puts before each name, and its OpenCensus
/// and OTLP exporters do not.
const DAPR: &str = "dapr_";

/// A metric's name: letters, digits, `_` and `:`, no digit first, and without
/// Dapr's prefix.
///
/// Every other character becomes `_`; `_` goes before a leading digit. Nothing
/// is added for units or counters and nothing taken away: a query names what
/// the sender named. Borrowed where nothing changes.
#[must_use]
pub fn metric_name(name: &str) -> Cow<'_, str> {
    let plain = |at: usize, c: char| {
        c.is_ascii_alphabetic() || c == '_' || c == ':' || (at > 0 && c.is_ascii_digit())
    };
    match normal(name, plain) {
        Cow::Borrowed(name) => Cow::Borrowed(without_dapr(name)),
        Cow::Owned(name) => match without_dapr(&name) {
            short if short.len() == name.len() => Cow::Owned(name),
            short => Cow::Owned(short.to_owned()),
        },
    }
}

/// A label's name: letters, digits and `_`, no digit first.
///
/// Every other character becomes `_`; `_` goes before a leading digit. Names
/// with two leading underscores are Prometheus' own: such a name gets `key`
/// before it, so that no sender can set `__name__`.
#[must_use]
pub fn label_name(name: &str) -> Cow<'_, str> {
    let plain =
        |at: usize, c: char| c.is_ascii_alphabetic() || c == '_' || (at > 0 && c.is_ascii_digit());
    let name = normal(name, plain);
    if name.starts_with("__") {
        Cow::Owned(format!("key{name}"))
    } else {
        name
    }
}

/// A label's name as a query writes it: there `__name__` is the metric's name.
pub(super) fn asked_label(name: &str) -> Cow<'_, str> {
    if name == METRIC_NAME {
        Cow::Borrowed(name)
    } else {
        label_name(name)
    }
}

/// The name that Dapr's Prometheus exporter would give it.
pub(super) fn with_dapr(name: &str) -> String {
    format!("{DAPR}{name}")
}

fn without_dapr(name: &str) -> &str {
    match name.strip_prefix(DAPR) {
        // `dapr_` alone, and `dapr_2xx`, which would need a `_` again, stay.
        Some(rest) if rest.starts_with(|c: char| !c.is_ascii_digit()) => rest,
        _ => name,
    }
}

fn normal(name: &str, plain: impl Fn(usize, char) -> bool) -> Cow<'_, str> {
    if name.char_indices().all(|(at, c)| plain(at, c)) {
        return Cow::Borrowed(name);
    }
    let mut normal = String::with_capacity(name.len() + 1);
    for (at, c) in name.char_indices() {
        if plain(at, c) {
            normal.push(c);
        } else if at == 0 && c.is_ascii_digit() {
            normal.extend(['_', c]);
        } else {
            normal.push('_');
        }
    }
    Cow::Owned(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names_take_prometheus_form() {
        for (given, wanted) in [
            ("http_requests_total", "http_requests_total"),
            ("http.server.request.count", "http_server_request_count"),
            (
                "runtime/service_invocation/req_recv_total",
                "runtime_service_invocation_req_recv_total",
            ),
            ("vllm:num_requests_waiting", "vllm:num_requests_waiting"),
            ("queue-depth", "queue_depth"),
            ("5xx", "_5xx"),
            ("größe", "gr__e"),
            ("", ""),
        ] {
            assert_eq!(metric_name(given), wanted);
        }
    }

    #[test]
    fn daprs_prefix_makes_no_difference() {
        assert_eq!(
            metric_name("dapr_http_server_latency"),
            "http_server_latency"
        );
        assert_eq!(metric_name("dapr/http/server"), "http_server");
        assert_eq!(metric_name("dapr_"), "dapr_");
        assert_eq!(metric_name("dapr_2xx"), "dapr_2xx");
        assert_eq!(metric_name("daprish_x"), "daprish_x");
    }

    #[test]
    fn normal_names_stay_as_they_are() {
        for name in ["dapr_x", "a.b", "5xx", "dapr_dapr_x", "x"] {
            let once = metric_name(name).into_owned();
            if once != "dapr_x" {
                assert_eq!(metric_name(&once), once, "{name}");
            }
        }
        assert!(matches!(metric_name("a_b"), Cow::Borrowed("a_b")));
    }

    #[test]
    fn label_names_take_prometheus_form() {
        for (given, wanted) in [
            ("service.name", "service_name"),
            ("a:b", "a_b"),
            ("0", "_0"),
            ("_x", "_x"),
            ("__name__", "key__name__"),
            ("..name..", "key__name__"),
            ("dapr_io", "dapr_io"),
        ] {
            assert_eq!(label_name(given), wanted);
        }
        assert_eq!(asked_label("__name__"), "__name__");
        assert_eq!(asked_label("service.name"), "service_name");
    }
}
