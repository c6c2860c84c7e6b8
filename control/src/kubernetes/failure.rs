//! What can go wrong between us and the API server, in words for operators.
//!
//! Made by `api.rs` from answers and their absence; `watch.rs` decides by it
//! what to do next. It must never swallow what the server said.

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use std::{fmt, time::Duration};

/// Longest text of a server that is kept, in characters.
const MAX_TEXT: usize = 500;

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// 403: a permission is missing. What the server said.
    Denied(String),
    /// 403 by an API server that was away a moment ago. What it said.
    Starting(String),
    /// 404: it knows no such kind, or no such object.
    Missing,
    /// 409: somebody else has changed it, or made it before.
    Conflict(String),
    /// 410: that version is too old to go on from.
    Gone,
    /// 429: we ask too much; when to come again, if it said so.
    Throttled(Option<Duration>),
    /// Any other answer that is no success.
    Refused(u16, String),
    /// 401: it does not know who asks. What it said.
    Unknown(String),
    /// We do not trust its certificate. Why.
    Distrusted(String),
    /// No answer, or one that broke off.
    Unreachable(String),
    /// An answer that cannot be understood.
    Garbled(String),
}

/// The part of a `Status` object that is used.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    code: u16,
    details: Details,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    retry_after_seconds: u64,
}

impl Failure {
    /// The failure that an answer is.
    pub(super) fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let known = serde_json::from_slice::<Status>(body).ok();
        let message = known
            .as_ref()
            .map(|status| status.message.as_str())
            .filter(|message| !message.is_empty())
            .map_or_else(|| shorten(&String::from_utf8_lossy(body)), shorten);
        let in_header = headers.get(header::RETRY_AFTER);
        let in_header = in_header.and_then(|value| value.to_str().ok()?.parse().ok());
        let in_body = known
            .map(|status| status.details.retry_after_seconds)
            .filter(|seconds| *seconds > 0);
        let after = in_header.or(in_body).map(Duration::from_secs);
        Self::of_code(status.as_u16(), message, after)
    }

    /// The failure that there is no answer for that reason.
    pub(super) fn of_no_answer(why: &str) -> Self {
        // In the words of rustls, which is all that is left of it here.
        match why.split_once("invalid peer certificate: ") {
            Some((_, why)) => Self::Distrusted(shorten(why)),
            None => Self::Unreachable(shorten(why)),
        }
    }

    /// The failure that an `ERROR` event of a watch is.
    pub(super) fn of_event(status: &str) -> Self {
        match serde_json::from_str::<Status>(status) {
            Ok(status) => {
                let seconds = status.details.retry_after_seconds;
                let after = (seconds > 0).then(|| Duration::from_secs(seconds));
                Self::of_code(status.code, shorten(&status.message), after)
            }
            Err(error) => Self::Garbled(format!("an error event: {error}")),
        }
    }

    fn of_code(code: u16, message: String, after: Option<Duration>) -> Self {
        match code {
            401 => Self::Unknown(message),
            403 => Self::Denied(message),
            404 => Self::Missing,
            409 => Self::Conflict(message),
            410 => Self::Gone,
            429 => Self::Throttled(after),
            _ => Self::Refused(code, message),
        }
    }

    /// When to come again, if the server said so.
    pub(super) fn asks_for(&self) -> Option<Duration> {
        match self {
            Self::Throttled(after) => *after,
            _ => None,
        }
    }

    /// One word for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Starting(_) => "starting",
            Self::Missing => "missing",
            Self::Conflict(_) => "conflict",
            Self::Gone => "gone",
            Self::Throttled(_) => "throttled",
            Self::Refused(..) => "refused",
            Self::Unknown(_) => "unknown",
            Self::Distrusted(_) => "distrusted",
            Self::Unreachable(_) => "unreachable",
            Self::Garbled(_) => "garbled",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(said) => write!(f, "not permitted ({said})"),
            Self::Starting(said) => write!(
                f,
                "refused (403) by an API server that was away a moment ago and may not have read \
                 its roles yet ({said})"
            ),
            Self::Missing => f.write_str("there is none (404)"),
            Self::Conflict(said) => write!(f, "conflict ({said})"),
            Self::Gone => f.write_str("that version is gone (410)"),
            Self::Throttled(Some(after)) => write!(f, "throttled (429), for {after:?}"),
            Self::Throttled(None) => f.write_str("throttled (429)"),
            Self::Refused(code, said) => write!(f, "refused with {code} ({said})"),
            Self::Unknown(said) => write!(
                f,
                "the API server does not know who asks (401): is the token, or the client's \
                 certificate, of the kubeconfig or service account still valid? ({said})"
            ),
            Self::Distrusted(why) => write!(
                f,
                "the API server's certificate is not trusted ({why}): is the \
                 certificate-authority of the kubeconfig, or ca.crt of the service account, the \
                 one that signs it, and is the server's name in it?"
            ),
            Self::Unreachable(why) => write!(f, "the API server cannot be reached: {why}"),
            Self::Garbled(why) => write!(f, "the API server's answer is not understood: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

fn shorten(text: &str) -> String {
    text.trim().chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, body: &str) -> Failure {
        let status = StatusCode::from_u16(code).expect("valid");
        Failure::of_answer(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn the_servers_words_are_kept() {
        let body = r#"{"kind":"Status","message":"services is forbidden: no","code":403}"#;
        assert_eq!(
            answer(403, body),
            Failure::Denied("services is forbidden: no".into())
        );
        assert_eq!(
            answer(500, " plain text\n"),
            Failure::Refused(500, "plain text".into())
        );
        assert_eq!(answer(410, "{}"), Failure::Gone);
    }

    #[test]
    fn who_is_not_trusted_is_told_apart() {
        let why = "client error (Connect): invalid peer certificate: UnknownIssuer";
        let failure = Failure::of_no_answer(why);
        assert_eq!(failure, Failure::Distrusted("UnknownIssuer".into()));
        assert!(failure.to_string().contains("certificate-authority"));
        let failure = Failure::of_no_answer("connection refused");
        assert_eq!(failure, Failure::Unreachable("connection refused".into()));
        assert_eq!(answer(401, "who?"), Failure::Unknown("who?".into()));
    }

    #[test]
    fn throttling_says_when_to_come_again() {
        let body = r#"{"message":"x","details":{"retryAfterSeconds":7}}"#;
        let after = |seconds| Failure::Throttled(Some(Duration::from_secs(seconds)));
        assert_eq!(answer(429, body), after(7));
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, "3".parse().expect("valid"))]);
        let status = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(Failure::of_answer(status, &headers, b"slow"), after(3));
        assert_eq!(answer(429, "slow"), Failure::Throttled(None));
    }
}
