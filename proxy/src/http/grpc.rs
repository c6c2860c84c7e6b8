//! What the proxy itself says to gRPC clients, and what it heeds of what they
//! say. Everything else about gRPC is HTTP/2 to it.
//!
//! Section names are those of "gRPC over HTTP/2" (grpc/grpc,
//! doc/PROTOCOL-HTTP2.md).

use super::ProxyBody;
use crate::error::Refusal;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::time::Duration;
use tokio::time::Instant;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const DEADLINE_EXCEEDED: u16 = 4;
/// What "Responses" wants percent-encoded in a message: all but printable
/// ASCII, and the percent sign.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Is this a gRPC call? Those are on HTTP/2 only; gRPC-Web is another protocol.
pub(crate) fn is_call<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && is_grpc(request.headers())
        && request.method() != Method::CONNECT
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = value.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The time that the client gives the whole call ("Requests", Timeout): up to
/// eight digits and a unit. Anything else is ignored here, as if absent; the
/// endpoint may have its own opinion.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(TIMEOUT)?.as_bytes();
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Tells the endpoint how much is left of the time until `deadline`, rounded
/// down to what eight digits can say.
#[cold]
pub(crate) fn set_timeout(headers: &mut HeaderMap, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    headers.insert(TIMEOUT, written(left));
}

fn written(timeout: Duration) -> HeaderValue {
    let seconds = timeout.as_secs();
    // No time left cannot be said; the finest there is will do.
    let units = [
        (timeout.as_nanos().max(1), 'n'),
        (timeout.as_micros(), 'u'),
        (timeout.as_millis(), 'm'),
        (seconds.into(), 'S'),
        ((seconds / 60).into(), 'M'),
        ((seconds / 3600).into(), 'H'),
    ];
    let said = units.into_iter().find(|(number, _)| *number < 100_000_000);
    let text = said.map_or("99999999H".to_owned(), |(number, unit)| {
        format!("{number}{unit}")
    });
    HeaderValue::try_from(text).expect("digits and a letter are a header value")
}

/// The end of a call whose time ran out in the middle of its answer.
#[cold]
pub(crate) fn deadline_exceeded() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(STATUS, HeaderValue::from(DEADLINE_EXCEEDED));
    let message = HeaderValue::from_static("the deadline passed during the answer");
    trailers.insert(MESSAGE, message);
    trailers
}

/// A refusal as gRPC clients expect one ("Responses", Trailers-Only): HTTP 200
/// and no body; the headers are the trailers.
pub(super) fn refusal(refusal: &Refusal) -> Response<ProxyBody> {
    let status = refusal.status();
    let words = refusal.explanation();
    let words = words
        .as_deref()
        .or(status.canonical_reason())
        .unwrap_or_default();
    let message = utf8_percent_encode(words, ENCODED).to_string();
    let mut response = Response::new(ProxyBody::Own(None));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(STATUS, HeaderValue::from(code(status)));
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert(MESSAGE, message);
    }
    response
}

/// The gRPC status that says to the client what this HTTP status would.
fn code(status: StatusCode) -> u16 {
    const CANCELLED: u16 = 1;
    const UNKNOWN: u16 = 2;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    match status.as_u16() {
        400 | 417 => INTERNAL,
        404 | 501 => UNIMPLEMENTED,
        499 => CANCELLED,
        502 | 503 => UNAVAILABLE,
        504 => DEADLINE_EXCEEDED,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn calls_are_known_by_their_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ] {
            let headers = headers(header::CONTENT_TYPE, value);
            assert_eq!(is_grpc(&headers), expected, "{value}");
        }
    }

    #[test]
    fn timeouts_have_up_to_eight_digits_and_a_unit() {
        for (value, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("0m", Some(Duration::ZERO)),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("00000009n", Some(Duration::from_nanos(9))),
            ("123456789S", None),
            ("1", None),
            ("S", None),
            ("-1S", None),
            ("1.5S", None),
            ("1s", None),
            ("1 S", None),
            ("", None),
        ] {
            assert_eq!(timeout(&headers(TIMEOUT, value)), expected, "{value}");
        }
    }

    #[test]
    fn what_is_left_is_said_in_the_finest_unit_that_fits() {
        for (left, expected) in [
            (Duration::ZERO, "1n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_micros(100_000), "100000u"),
            (Duration::from_millis(1_999), "1999000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(99_999), "99999000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
            (Duration::from_secs(99_999_999 * 3600), "99999999H"),
            (Duration::MAX, "99999999H"),
        ] {
            let said = written(left);
            assert_eq!(said, expected);
            let again = timeout(&HeaderMap::from_iter([(TIMEOUT, said)]));
            assert!(again.is_some(), "{expected}");
        }
    }

    #[test]
    fn a_message_is_percent_encoded() {
        let reason = "100 % wrong:\n\u{e4}".into();
        let response = refusal(&Refusal::Failing(reason));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[STATUS], "14");
        assert_eq!(response.headers()[MESSAGE], "100 %25 wrong:%0A%C3%A4");
    }
}
