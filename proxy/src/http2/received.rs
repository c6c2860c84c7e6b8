//! A body that comes on a stream. Its sender may send on as it is taken: what
//! waits here is bounded by the stream's window.

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct ReceivedBody {
    stream: RecvStream,
    /// Bytes still to come, if that was declared. h2 holds the sender to it.
    left: Option<u64>,
    /// Only trailers may follow.
    data_ended: bool,
    whose: Whose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Request,
    Answer,
}

impl ReceivedBody {
    /// The body of the request with these headers.
    pub(crate) fn of_request(stream: RecvStream, headers: &HeaderMap) -> Self {
        Self::new(stream, headers, Whose::Request)
    }

    /// The body of the answer with these headers.
    pub(crate) fn of_answer(stream: RecvStream, headers: &HeaderMap) -> Self {
        Self::new(stream, headers, Whose::Answer)
    }

    fn new(stream: RecvStream, headers: &HeaderMap, whose: Whose) -> Self {
        let declared = headers.get(header::CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
        let left = declared.or_else(|| stream.is_end_stream().then_some(0));
        Self {
            stream,
            left,
            data_ended: false,
            whose,
        }
    }

    /// How it ends that its stream ended in `error`. A server says with
    /// NO_ERROR, behind a complete answer, that it wants no more of the request
    /// (RFC 9113 section 8.1); a client has no such thing to say.
    fn ended(&self, error: h2::Error) -> Option<Result<Frame<Bytes>, h2::Error>> {
        let is_complete = self.whose == Whose::Answer
            && error.reason() == Some(Reason::NO_ERROR)
            && self.left.is_none_or(|left| left == 0);
        (!is_complete).then_some(Err(error))
    }
}

impl Body for ReceivedBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails only for a stream that is gone.
                    let _released = self.stream.flow_control().release_capacity(data.len());
                    if let Some(left) = &mut self.left {
                        *left = left.saturating_sub(data.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(self.ended(error)),
                None => self.data_ended = true,
            }
        }
        Poll::Ready(match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => self.ended(error),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
