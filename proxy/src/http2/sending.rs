//! A body that goes out on a stream, piece by piece, as fast as the peer's
//! windows let it. One piece at most is in hand.

use super::reason_of;
use bytes::Bytes;
use h2::SendStream;
use http_body::Body;
use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// See the module. Dropped before its end, it resets the stream.
#[derive(Debug)]
pub(crate) struct SendBody<B> {
    stream: SendStream<Bytes>,
    body: B,
    /// Taken of the body, and whether it is the last: waits for room.
    waiting: Option<(Bytes, bool)>,
}

/// Why not all of a body went out.
#[derive(Debug)]
pub(crate) enum Broken<E> {
    /// The peer takes no more of it.
    Stream(h2::Error),
    /// The body broke off, and the stream was reset for that.
    Body(E),
}

impl<B> SendBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Error + 'static,
{
    pub(crate) fn new(body: B, stream: SendStream<Bytes>) -> Self {
        Self {
            stream,
            body,
            waiting: None,
        }
    }

    /// Goes on until all of it is handed over to the connection.
    ///
    /// # Errors
    /// See [`Broken`].
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken<B::Error>>> {
        if let Poll::Ready(sent) = self.poll_send(cx) {
            return Poll::Ready(sent);
        }
        // A peer that gives it up is noticed while there is nothing to send.
        match self.stream.poll_reset(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(reset) => {
                let error = reset.map_or_else(|error| error, h2::Error::from);
                Poll::Ready(Err(Broken::Stream(error)))
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken<B::Error>>> {
        loop {
            if self.waiting.is_some() {
                ready!(self.poll_room(cx))?;
            }
            if let Some((data, is_last)) = self.waiting.take() {
                self.send(data, is_last)?;
                if is_last {
                    return Poll::Ready(Ok(()));
                }
            }
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                self.send(Bytes::new(), true)?;
                return Poll::Ready(Ok(()));
            };
            let frame = frame.map_err(|error| {
                self.stream.send_reset(reason_of(&error));
                Broken::Body(error)
            })?;
            match frame.into_data() {
                Ok(data) => {
                    let is_last = self.body.is_end_stream();
                    if data.is_empty() && !is_last {
                        continue;
                    }
                    // Asked for only now, and a single byte of it: room that is
                    // kept for later is room that other streams do not get. h2
                    // asks for the rest when it has the piece.
                    if !data.is_empty() {
                        self.stream.reserve_capacity(1);
                    }
                    self.waiting = Some((data, is_last));
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        let sent = self.stream.send_trailers(trailers);
                        return Poll::Ready(sent.map_err(Broken::Stream));
                    }
                }
            }
        }
    }

    /// Waits until some of what waits may be sent.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken<B::Error>>> {
        let is_empty = self
            .waiting
            .as_ref()
            .is_none_or(|(data, _)| data.is_empty());
        while !is_empty && self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(Broken::Stream(error))),
                // It is over already.
                None => {
                    let closed = h2::Error::from(h2::Reason::STREAM_CLOSED);
                    return Poll::Ready(Err(Broken::Stream(closed)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, data: Bytes, is_last: bool) -> Result<(), Broken<B::Error>> {
        let sent = self.stream.send_data(data, is_last);
        sent.map_err(Broken::Stream)
    }
}
