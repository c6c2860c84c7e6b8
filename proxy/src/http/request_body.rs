//! The body of a client's request, whatever it came by.

use crate::http2::ReceivedBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    error::Error as _,
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// See the module.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// There is none, or what comes is no body.
    None,
    Http1(Incoming),
    Http2(ReceivedBody),
}

/// Why it broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestBodyError {
    #[error(transparent)]
    Http1(hyper::Error),
    #[error("{0}")]
    Http2(#[source] h2::Error),
}

impl RequestBodyError {
    /// What came is no body; else the client left.
    pub(super) fn is_malformed(&self) -> bool {
        let Self::Http1(error) = self else {
            return false;
        };
        let cause = error.source();
        let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
        cause.is_some_and(|cause| {
            matches!(
                cause.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            )
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match self.get_mut() {
            Self::None => Poll::Ready(None),
            Self::Http1(body) => {
                let frame = Pin::new(body).poll_frame(cx);
                frame.map_err(RequestBodyError::Http1)
            }
            Self::Http2(body) => {
                let frame = Pin::new(body).poll_frame(cx);
                frame.map_err(RequestBodyError::Http2)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
