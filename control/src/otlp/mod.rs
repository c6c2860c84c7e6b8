//! Traces to an OpenTelemetry collector, over OTLP/gRPC.
//!
//! The proxy's workers put finished spans into a bounded queue ([`SpanQueue`])
//! and never wait; one task here sends them in batches. Spans that do not fit,
//! or that the collector does not take, are counted and lost.

mod convert;
mod export;

pub use export::{Exporter, TraceCounters};

use proxy::Sampler;
use std::time::Duration;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};

/// Where spans go, and which.
#[derive(Clone, Debug)]
pub struct OtlpSettings {
    /// `http://host:port` of the collector.
    pub endpoint: String,
    /// Sent with every export: credentials, tenants.
    pub headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
    /// Limit of one export.
    pub timeout: Duration,
    /// `service.name` and other attributes of this process.
    pub resource: Vec<(String, String)>,
    /// Which requests are recorded.
    pub sampler: Sampler,
}

/// Reads the address of a collector.
///
/// # Errors
/// Says what is wrong with `text`.
pub fn parse_endpoint(text: &str) -> Result<String, String> {
    let uri: http::Uri = text
        .trim()
        .parse()
        .map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    match uri.scheme_str() {
        Some("http") => Ok(text.trim().to_owned()),
        Some("https") => Err(format!(
            "{text:?}: TLS towards collectors is not served yet; use http:// to a collector on this machine or in this cluster"
        )),
        _ => Err(format!(
            "{text:?} is not a URL such as http://collector:4317"
        )),
    }
}

/// Reads `key=value` as OpenTelemetry's variables have it: values are
/// percent-encoded.
///
/// # Errors
/// Says what is wrong with `text`.
pub fn parse_pair(text: &str) -> Result<(String, String), String> {
    let malformed = || format!("{text:?} is not key=value");
    let (key, value) = text.split_once('=').ok_or_else(malformed)?;
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() {
        return Err(malformed());
    }
    let value = percent_encoding::percent_decode_str(value)
        .decode_utf8()
        .map_err(|_| format!("the value of {key:?} is not UTF-8"))?;
    Ok((key.to_owned(), value.into_owned()))
}

/// Reads `key=value` as a header of an export.
///
/// # Errors
/// Says what is wrong with `text`.
pub fn parse_header(text: &str) -> Result<(AsciiMetadataKey, AsciiMetadataValue), String> {
    let (key, value) = parse_pair(text)?;
    let name = key
        .to_ascii_lowercase()
        .parse()
        .map_err(|_| format!("{key:?} is not the name of a gRPC header"))?;
    // Never show it: it is likely a secret.
    let value = value
        .parse()
        .map_err(|_| format!("the value of {key:?} cannot be that of a header"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_without_tls() {
        assert_eq!(
            parse_endpoint(" http://c:4317 "),
            Ok("http://c:4317".to_owned())
        );
        for (text, said) in [
            ("https://c:4317", "TLS towards collectors"),
            ("c:4317", "is not a URL"),
            ("", "is not a URL"),
            ("http://", "is not a URL"),
        ] {
            let error = parse_endpoint(text).expect_err(text);
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn pairs_are_percent_decoded() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(parse_pair("a = b%20c=d"), pair("a", "b c=d"));
        assert_eq!(parse_pair("a="), pair("a", ""));
        parse_pair("a").expect_err("no value");
        parse_pair("=b").expect_err("no key");
        parse_pair("a=%ff").expect_err("no UTF-8");
        parse_header("Authorization=Bearer%20x").expect("a header");
        let error = parse_header("a b=secret").expect_err("no name");
        assert!(!error.contains("secret"), "{error}");
        let error = parse_header("a=sec%0Aret").expect_err("no value");
        assert!(!error.contains("sec"), "{error}");
    }
}
