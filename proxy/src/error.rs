//! Refusals: every way in which a request ends without an endpoint's answer.

use crate::{route::StaticResponse, upstream::UpstreamError};
use http::StatusCode;
use std::sync::Arc;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("bad request: {0}")]
    BadRequest(&'static str),
    /// A transfer coding that nobody here can undo (RFC 9112 section 6.1).
    #[error("a transfer coding other than chunked")]
    UnknownCoding,
    #[error("no route")]
    NoRoute,
    /// `CONNECT` would make an open proxy of us (RFC 9110 section 9.3.6).
    #[error("CONNECT is not served")]
    Connect,
    /// Only RFC 8441's use of `:protocol` is known here.
    #[error("no protocol but websocket is served over CONNECT")]
    ConnectProtocol,
    #[error("no WebSocket here: the endpoint speaks HTTP/2")]
    NoWebSocket,
    /// What a route answers itself is no WebSocket.
    #[error("no WebSocket yet: the route answers by itself")]
    NoWebSocketYet,
    /// RFC 9110 section 10.1.1.
    #[error("an expectation other than 100-continue")]
    Expectation,
    #[error("too many pending requests")]
    TooManyPending,
    #[error("too many upgraded connections")]
    TooManyUpgrades,
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
    #[error("no endpoint could be connected to in time")]
    Unreachable,
    #[error("the endpoint did not answer in time")]
    ResponseHeaderTimeout,
    /// Nobody reads this one; it only ends the connection.
    #[error("the client left")]
    ClientGone,
    #[error("shutting down")]
    Draining,
    #[error("the endpoint broke the connection: {0}")]
    NoAnswer(UpstreamError),
    #[error("the endpoint's answer is not HTTP: {0}")]
    BadAnswer(UpstreamError),
    /// The endpoint's certificate, or what we showed it, is not accepted.
    #[error("no agreement with the endpoint about TLS: {0}")]
    Handshake(std::io::Error),
    /// 101 without an `Upgrade` that we passed on: what follows is not HTTP.
    #[error("the endpoint switched protocols unasked")]
    SwitchedProtocols,
    /// Neither a refusal nor a proper handshake came back for a WebSocket over
    /// HTTP/2.
    #[error("the endpoint did not open the WebSocket")]
    NotOpened,
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Fixed(response) => response.status,
            Self::Connect | Self::ConnectProtocol | Self::NoWebSocket | Self::UnknownCoding => {
                StatusCode::NOT_IMPLEMENTED
            }
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::TooManyPending
            | Self::TooManyUpgrades
            | Self::Failing(_)
            | Self::Draining
            | Self::NoWebSocketYet => StatusCode::SERVICE_UNAVAILABLE,
            Self::ReadinessTimeout
            | Self::RequestTimeout
            | Self::Unreachable
            | Self::ResponseHeaderTimeout => StatusCode::GATEWAY_TIMEOUT,
            // nginx's code; registered nowhere, but a valid one.
            Self::ClientGone => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::NoAnswer(_)
            | Self::BadAnswer(_)
            | Self::Handshake(_)
            | Self::SwitchedProtocols
            | Self::NotOpened => StatusCode::BAD_GATEWAY,
        }
    }

    /// What the body says instead of the bare reason phrase. The text for a
    /// full queue is the HTTP add-on's; the others tell what the client or
    /// its operator can act upon and nothing about our insides.
    pub(crate) fn explanation(&self) -> Option<String> {
        match self {
            Self::BadRequest(_)
            | Self::UnknownCoding
            | Self::Connect
            | Self::ConnectProtocol
            | Self::NoWebSocket
            | Self::NoWebSocketYet
            | Self::NotOpened
            | Self::Expectation
            | Self::TooManyPending
            | Self::TooManyUpgrades
            | Self::Failing(_) => Some(self.to_string()),
            _ => None,
        }
    }

    /// Seconds after which trying again makes sense.
    pub(crate) fn retry_after(&self) -> Option<u16> {
        match self {
            Self::TooManyPending
            | Self::TooManyUpgrades
            | Self::ReadinessTimeout
            | Self::NoWebSocketYet
            | Self::Unreachable => Some(1),
            Self::Failing(_) | Self::Draining => Some(5),
            _ => None,
        }
    }

    /// After a request that we could not frame or will not read, the
    /// connection is of no more use.
    pub(crate) fn closes_connection(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_)
                | Self::UnknownCoding
                | Self::Connect
                | Self::Expectation
                | Self::Draining
                | Self::ClientGone
        )
    }
}
