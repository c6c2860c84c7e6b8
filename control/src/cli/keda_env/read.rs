//! Values of variables, as the add-on (a Go program) and OpenTelemetry's SDKs
//! read them, and as our flags want them. `None`: nothing to set.

use crate::{
    manifest::duration,
    otlp::{parse_endpoint, parse_header, parse_pair},
};
use std::time::Duration;

/// Of a variable: the default of its flag.
pub(super) type Value = Result<Option<String>, String>;

/// A time without end, nearly: for limits whose zero means none.
const NO_LIMIT: &str = "8760h";

/// Go's `strconv.ParseBool`.
fn is_true(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

pub(super) fn switch(text: &str) -> Result<Option<bool>, String> {
    is_true(text).map(Some)
}

/// `true` turns something off.
pub(super) fn off_switch(text: &str) -> Result<Option<bool>, String> {
    // OpenTelemetry: anything but "true" is false, in any case.
    Ok(text.eq_ignore_ascii_case("true").then_some(false))
}

/// Which exporter OpenTelemetry's SDKs use.
pub(super) fn exporter(text: &str) -> Result<Option<bool>, String> {
    match text {
        "none" => Ok(Some(false)),
        "otlp" => Ok(None),
        _ => Err(format!("{text:?} is not served: otlp and none are")),
    }
}

pub(super) fn boolean(text: &str) -> Value {
    Ok(Some(is_true(text)?.to_string()))
}

/// An access log as the add-on writes it.
pub(super) fn access_log(text: &str) -> Value {
    Ok(is_true(text)?.then(|| "combined".to_owned()))
}

/// Whether Pods are chosen here, or by the cluster's own proxy.
pub(super) fn direct_pods(text: &str) -> Value {
    Ok((!is_true(text)?).then(|| "cluster-ip".to_owned()))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a whole number, zero or more"))
}

/// A bound whose zero means none.
pub(super) fn bound(text: &str) -> Value {
    Ok(Some(number(text)?)
        .filter(|&bound| bound > 0)
        .map(|bound| bound.to_string()))
}

/// A port on all addresses, as the add-on listens.
pub(super) fn port(text: &str) -> Value {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Some(format!("0.0.0.0:{port}"))),
        _ => Err(format!("{text:?} is not a port from 1 to 65535")),
    }
}

/// The same of a name that Kubernetes gives to the addresses of services, too:
/// those of a service `rest-api` are in `REST_API_PORT`.
pub(super) fn port_or_link(text: &str) -> Value {
    match text.contains("://") {
        true => Ok(None),
        false => port(text),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

pub(super) fn duration(text: &str) -> Value {
    time(text).map(|_| Some(text.to_owned()))
}

pub(super) fn positive(text: &str) -> Value {
    match time(text)? {
        Duration::ZERO => Err("must be more than zero".to_owned()),
        _ => Ok(Some(text.to_owned())),
    }
}

/// A limit whose zero means none.
pub(super) fn limit(text: &str) -> Value {
    let is_none = time(text)?.is_zero();
    Ok(Some(if is_none { NO_LIMIT } else { text }.to_owned()))
}

/// Seconds, as the OTel scaler has them.
pub(super) fn seconds(text: &str) -> Value {
    match number(text)? {
        0 => Err("must be more than zero".to_owned()),
        number => Ok(Some(format!("{number}s"))),
    }
}

/// To have an authority is to insist on its certificates.
pub(super) fn required(_text: &str) -> Value {
    Ok(Some("required".to_owned()))
}

/// Milliseconds, as OpenTelemetry has them.
pub(super) fn milliseconds(text: &str) -> Value {
    match number(text)? {
        0 => Err("must be more than zero".to_owned()),
        number => Ok(Some(format!("{number}ms"))),
    }
}

pub(super) fn text(text: &str) -> Value {
    Ok(Some(text.to_owned()))
}

/// Commas with blanks around them.
pub(super) fn list(text: &str) -> Value {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    Ok(Some(parts.collect::<Vec<_>>().join(",")).filter(|list| !list.is_empty()))
}

pub(super) fn tls_version(text: &str) -> Value {
    match text {
        "1.2" | "1.3" => Ok(Some(text.to_owned())),
        _ => Err(format!("{text:?} is neither 1.2 nor 1.3")),
    }
}

pub(super) fn endpoint(text: &str) -> Value {
    parse_endpoint(text).map(Some)
}

pub(super) fn headers(text: &str) -> Value {
    for pair in text.split(',') {
        parse_header(pair)?;
    }
    Ok(Some(text.to_owned()))
}

pub(super) fn pairs(text: &str) -> Value {
    for pair in text.split(',') {
        parse_pair(pair)?;
    }
    Ok(Some(text.to_owned()))
}

pub(super) fn sampler(text: &str) -> Value {
    match text {
        "always_on"
        | "always_off"
        | "traceidratio"
        | "parentbased_always_on"
        | "parentbased_always_off"
        | "parentbased_traceidratio" => Ok(Some(text.to_owned())),
        _ => Err(format!(
            "{text:?} is not served: always_on, always_off, traceidratio and their parentbased_ forms are"
        )),
    }
}

pub(super) fn ratio(text: &str) -> Value {
    let ratio = text.parse::<f64>().ok();
    match ratio.filter(|ratio| (0.0..=1.0).contains(ratio)) {
        Some(_) => Ok(Some(text.to_owned())),
        None => Err(format!("{text:?} is not a number from 0 to 1")),
    }
}

/// Checks of variables without an effect: is it worth a word?
pub(super) type Check = fn(&str) -> Result<bool, String>;

pub(super) fn any(_text: &str) -> Result<bool, String> {
    Ok(true)
}

/// Only `true` wants something that is not there.
pub(super) fn if_true(text: &str) -> Result<bool, String> {
    is_true(text)
}

/// Only `false` wants something that is not there.
pub(super) fn if_false(text: &str) -> Result<bool, String> {
    is_true(text).map(|is_true| !is_true)
}

pub(super) fn a_number(text: &str) -> Result<bool, String> {
    number(text).map(|_| true)
}

pub(super) fn a_port(text: &str) -> Result<bool, String> {
    port(text).map(|_| true)
}

pub(super) fn a_port_or_link(text: &str) -> Result<bool, String> {
    port_or_link(text).map(|port| port.is_some())
}

/// Only another number than the default wants something that is not there.
pub(super) fn if_not_zero(text: &str) -> Result<bool, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("{text:?} is not a number"))?;
    Ok(number != 0.0)
}

pub(super) fn a_duration(text: &str) -> Result<bool, String> {
    time(text).map(|_| true)
}

pub(super) fn if_not_grpc(text: &str) -> Result<bool, String> {
    match text {
        "grpc" => Ok(false),
        "http/protobuf" | "http/json" | "console" => Ok(true),
        _ => Err(format!("{text:?} is no protocol of OTLP: grpc is served")),
    }
}

pub(super) fn if_not_w3c(text: &str) -> Result<bool, String> {
    Ok(!text.split(',').any(|name| name.trim() == "tracecontext"))
}
