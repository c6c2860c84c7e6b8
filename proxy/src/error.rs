//! Refusals: every way in which a request ends without an endpoint's answer.

use crate::route::StaticResponse;
use http::StatusCode;
use std::sync::Arc;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("bad request: {0}")]
    BadRequest(&'static str),
    #[error("no route")]
    NoRoute,
    /// `CONNECT` would make an open proxy of us (RFC 9110 section 9.3.6).
    #[error("CONNECT is not served")]
    Connect,
    #[error("too many pending requests")]
    TooManyPending,
    /// Not served, but answered as the route wants it: a static route or a
    /// placeholder.
    #[error("answered by the route itself")]
    Fixed(Arc<StaticResponse>),
    #[error("{0}")]
    Failing(Arc<str>),
    #[error("no endpoint became ready in time")]
    ReadinessTimeout,
    #[error("the request timeout ran out")]
    RequestTimeout,
    #[error("the endpoint did not answer in time")]
    ResponseHeaderTimeout,
    /// Nobody reads this one; it only ends the connection.
    #[error("the client left")]
    ClientGone,
    #[error("shutting down")]
    Draining,
    #[error("the endpoint broke the connection: {0}")]
    NoAnswer(hyper::Error),
    #[error("the endpoint's answer is not HTTP: {0}")]
    BadAnswer(hyper::Error),
    /// The endpoint's certificate, or what we showed it, is not accepted.
    #[error("no agreement with the endpoint about TLS: {0}")]
    Handshake(std::io::Error),
    /// 101 without an `Upgrade` that we passed on: what follows is not HTTP.
    #[error("the endpoint switched protocols unasked")]
    SwitchedProtocols,
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Fixed(response) => response.status,
            Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::TooManyPending | Self::Failing(_) | Self::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::ReadinessTimeout | Self::RequestTimeout | Self::ResponseHeaderTimeout => {
                StatusCode::GATEWAY_TIMEOUT
            }
            // nginx's code; registered nowhere, but a valid one.
            Self::ClientGone => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::NoAnswer(_)
            | Self::BadAnswer(_)
            | Self::Handshake(_)
            | Self::SwitchedProtocols => StatusCode::BAD_GATEWAY,
        }
    }

    /// What the body says instead of the bare reason phrase. The text for a
    /// full queue is the HTTP add-on's; the others tell what the client or
    /// its operator can act upon and nothing about our insides.
    pub(crate) fn explanation(&self) -> Option<String> {
        match self {
            Self::BadRequest(_) | Self::Connect | Self::TooManyPending | Self::Failing(_) => {
                Some(self.to_string())
            }
            _ => None,
        }
    }

    /// Seconds after which trying again makes sense.
    pub(crate) fn retry_after(&self) -> Option<u16> {
        match self {
            Self::TooManyPending | Self::ReadinessTimeout => Some(1),
            Self::Failing(_) | Self::Draining => Some(5),
            _ => None,
        }
    }

    /// After a request that we could not frame or will not read, the
    /// connection is of no more use.
    pub(crate) fn closes_connection(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_) | Self::Connect | Self::Draining | Self::ClientGone
        )
    }
}
