//! Bodies of answers, read from the connection as the client takes them.

use super::{Connection, chunked::Chunked, head::Framing};
use crate::upstream::{UpstreamError, stream::Stream};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, ReadBuf, ReadHalf},
    sync::oneshot,
};

/// The body of an endpoint's answer, and the connection that it comes on.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    rest: Rest,
    source: Source,
}

/// What is still to come.
#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Ended,
}

/// Where it comes from.
#[derive(Debug)]
enum Source {
    /// All of it is here, and the connection serves others again.
    Complete(Bytes),
    Connection {
        connection: Connection,
        /// Another request may follow.
        keeps_alive: bool,
    },
    /// The request's body is still being sent by somebody else.
    Half {
        half: ReadHalf<Stream>,
        unread: Bytes,
        /// Tells that one by being dropped.
        _answering: oneshot::Sender<()>,
    },
}

impl ResponseBody {
    /// A body of which `connection` has read the beginning.
    pub(super) fn new(framing: Framing, connection: Connection, keeps_alive: bool) -> Self {
        let source = Source::Connection {
            connection,
            keeps_alive,
        };
        Self {
            rest: Rest::of(framing),
            source,
        }
    }

    /// A body that is here as a whole.
    pub(super) fn complete(bytes: Bytes) -> Self {
        Self {
            rest: Rest::of(Framing::Length(bytes.len() as u64)),
            source: Source::Complete(bytes),
        }
    }

    /// A body while the request's is still on its way.
    pub(super) fn half(
        framing: Framing,
        (half, answering): (ReadHalf<Stream>, oneshot::Sender<()>),
        unread: Bytes,
    ) -> Self {
        let source = Source::Half {
            half,
            unread,
            _answering: answering,
        };
        Self {
            rest: Rest::of(framing),
            source,
        }
    }

    /// The connection, if all of the body was read and another request may
    /// follow on it.
    pub(crate) fn into_connection(self) -> Option<Connection> {
        match self.source {
            Source::Connection {
                connection,
                keeps_alive: true,
            } if matches!(self.rest, Rest::Ended) && connection.unread.is_empty() => {
                Some(connection)
            }
            _ => None,
        }
    }

    /// The next frame of what was read; None: read more, or it has ended.
    fn next(&mut self) -> Result<Option<Frame<Bytes>>, UpstreamError> {
        let unread = self.source.unread();
        let data = match &mut self.rest {
            Rest::Ended => return Ok(None),
            Rest::Chunked(chunked) => {
                let frame = chunked.next(unread).map_err(UpstreamError::Malformed)?;
                if chunked.is_ended() {
                    self.rest = Rest::Ended;
                }
                return Ok(frame);
            }
            _ if unread.is_empty() => return Ok(None),
            Rest::UntilClose => std::mem::take(unread),
            Rest::Length(left) => {
                let count =
                    usize::try_from(*left).map_or(unread.len(), |left| left.min(unread.len()));
                *left -= count as u64;
                let data = unread.split_to(count);
                if *left == 0 {
                    self.rest = Rest::Ended;
                }
                data
            }
        };
        Ok(Some(Frame::data(data)))
    }
}

impl Rest {
    fn of(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::Ended,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::new()),
            Framing::UntilClose => Self::UntilClose,
        }
    }
}

impl Source {
    fn unread(&mut self) -> &mut Bytes {
        match self {
            Self::Complete(unread) | Self::Half { unread, .. } => unread,
            Self::Connection { connection, .. } => &mut connection.unread,
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Complete(_) => Poll::Ready(Ok(0)),
            Self::Connection { connection, .. } => connection.poll_fill(cx),
            Self::Half { half, unread, .. } => {
                let mut bytes = vec![0; 8 * 1024];
                let mut buffer = ReadBuf::new(&mut bytes);
                ready!(Pin::new(half).poll_read(cx, &mut buffer))?;
                let count = buffer.filled().len();
                bytes.truncate(count);
                *unread = Bytes::from(bytes);
                Poll::Ready(Ok(count))
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = self.get_mut();
        loop {
            match this.next() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if matches!(this.rest, Rest::Ended) => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(this.source.poll_fill(cx)) {
                Ok(0) if matches!(this.rest, Rest::UntilClose) => {
                    this.rest = Rest::Ended;
                    if let Source::Connection { keeps_alive, .. } = &mut this.source {
                        *keeps_alive = false;
                    }
                }
                Ok(0) => return Poll::Ready(Some(Err(UpstreamError::Closed))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.rest, Rest::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest {
            Rest::Length(left) => SizeHint::with_exact(left),
            Rest::Ended => SizeHint::with_exact(0),
            Rest::Chunked(_) | Rest::UntilClose => SizeHint::default(),
        }
    }
}
