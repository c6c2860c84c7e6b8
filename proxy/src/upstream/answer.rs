//! The body of an endpoint's answer, whatever protocol it comes by.

use super::{
    Connection, UpstreamError,
    h1::{ResponseBody, Switched},
    h2c::Stream,
};
use crate::http2::ReceivedBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// What follows the head of an answer.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    Http1(ResponseBody),
    /// With the claim on its stream, which ends with the body.
    Http2(
        ReceivedBody,
        #[expect(dead_code, reason = "held for its drop")] Stream,
    ),
    /// No body: the connection is no longer HTTP.
    Switched(Box<Switched>),
}

impl AnswerBody {
    /// The connection, if it is free for another request now.
    pub(crate) fn into_connection(self) -> Option<Connection> {
        match self {
            Self::Http1(body) => body.into_connection(),
            Self::Http2(..) | Self::Switched(_) => None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body, _) => Pin::new(body).poll_frame(cx).map_err(UpstreamError::Http2),
            Self::Switched(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body, _) => body.is_end_stream(),
            Self::Switched(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body, _) => body.size_hint(),
            Self::Switched(_) => SizeHint::with_exact(0),
        }
    }
}
