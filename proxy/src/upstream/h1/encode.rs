//! Requests on their way out: the head from where it lies, the body as it
//! comes, never more than one piece of it in hand.

use crate::{
    http::{UploadBody, forwarded, length},
    server::Peer,
    upstream::UpstreamError,
};
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use http_body::Body;
use std::{
    cell::Cell,
    io::{self, IoSlice, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

thread_local! {
    /// Heads are written here first. One for all connections of a worker:
    /// nearly always the socket takes all of it at once.
    static HEAD: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// How much a buffer may keep for the next head.
const MOST_KEPT: usize = 16 * 1024;

/// How the end of a request's body is told.
#[derive(Clone, Copy, Debug)]
enum Framing {
    /// There is none.
    None,
    /// So many bytes are to come.
    Length(u64),
    Chunked,
}

/// A request on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    framing: Framing,
    /// Its trailers, as announced: others are not sent, as few readers of
    /// HTTP/1.1 expect any.
    announced: Option<HeaderValue>,
    /// What was taken and not yet written.
    pending: Pending,
    /// The socket took some of it.
    pub(super) has_begun: bool,
    body_ended: bool,
    /// The body is not to be taken yet, not even looked at.
    pub(super) holds_body: bool,
}

impl Outgoing {
    /// A request whose head is ready to be written.
    ///
    /// # Errors
    /// A body that nothing frames: our own mistake.
    pub(super) fn new(
        request: &Request<UploadBody>,
        stranger: Option<&Peer>,
    ) -> Result<Self, UpstreamError> {
        let headers = request.headers();
        let framing = if !request.body().is_some() {
            Framing::None
        } else if headers.contains_key(header::TRANSFER_ENCODING) {
            Framing::Chunked
        } else {
            let length = headers.get(header::CONTENT_LENGTH);
            let length = length.and_then(|length| length::parse(length.as_bytes()));
            Framing::Length(length.ok_or(UpstreamError::Malformed("a body of unknown length"))?)
        };
        let announced = match framing {
            Framing::Chunked => headers.get(header::TRAILER).cloned(),
            Framing::None | Framing::Length(_) => None,
        };
        let mut head = HEAD.take();
        head.clear();
        write_head(&mut head, request, stranger);
        Ok(Self {
            framing,
            announced,
            pending: Pending {
                prefix: head,
                ..Pending::default()
            },
            has_begun: false,
            body_ended: matches!(framing, Framing::None),
            holds_body: false,
        })
    }

    /// Writes until all is written, the socket takes no more or the body has
    /// no more.
    ///
    /// # Errors
    /// A connection that broke, or a body that did.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
        body: &mut UploadBody,
    ) -> Poll<Result<(), UpstreamError>> {
        // What there is of the body goes with the head.
        let mut may_take = !self.body_ended && !self.has_begun && self.pending.data.is_empty();
        loop {
            let mut waits = self.holds_body;
            if may_take && !waits {
                waits = self.poll_take(cx, body)?.is_pending();
            }
            while !self.pending.is_empty() {
                let count = ready!(self.pending.poll_write(cx, stream))?;
                self.has_begun |= count > 0;
            }
            self.pending.recycle();
            if self.body_ended {
                return Pin::new(stream).poll_flush(cx).map_err(Into::into);
            }
            if waits {
                ready!(Pin::new(stream).poll_flush(cx))?;
                return Poll::Pending;
            }
            may_take = true;
        }
    }

    /// What was taken of the body, if nothing was written.
    pub(super) fn take_unsent(&mut self) -> Option<Bytes> {
        let data = std::mem::take(&mut self.pending.data);
        (!self.has_begun && !data.is_empty()).then_some(data)
    }

    /// Takes the next piece of the body.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut UploadBody,
    ) -> Poll<Result<(), UpstreamError>> {
        let frame = match ready!(Pin::new(body).poll_frame(cx)) {
            Some(frame) => frame.map_err(UpstreamError::Upload)?,
            None => {
                self.end(None)?;
                return Poll::Ready(Ok(()));
            }
        };
        match frame.into_data() {
            Ok(data) => self.add(data)?,
            Err(frame) => self.end(frame.trailers_ref())?,
        }
        Poll::Ready(Ok(()))
    }

    fn add(&mut self, data: Bytes) -> Result<(), UpstreamError> {
        let pending = &mut self.pending;
        match &mut self.framing {
            _ if data.is_empty() => return Ok(()),
            Framing::Length(left) => {
                let rest = left.checked_sub(data.len() as u64);
                *left = rest.ok_or(UpstreamError::Malformed("a body longer than declared"))?;
                self.body_ended = *left == 0;
            }
            Framing::Chunked => {
                write!(pending.prefix, "{:x}\r\n", data.len())?;
                pending.suffix = b"\r\n";
            }
            Framing::None => return Ok(()),
        }
        pending.data = data;
        Ok(())
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), UpstreamError> {
        self.body_ended = true;
        match self.framing {
            Framing::Length(1..) => {
                return Err(UpstreamError::Malformed("a body shorter than declared"));
            }
            Framing::Chunked => {
                let out = &mut self.pending.prefix;
                out.extend_from_slice(b"0\r\n");
                let announced = self.announced.as_ref().map(HeaderValue::as_bytes);
                if let (Some(trailers), Some(announced)) = (trailers, announced) {
                    let is_announced = |name: &HeaderName| {
                        let mut names = announced.split(|&byte| byte == b',');
                        names.any(|known| {
                            known
                                .trim_ascii()
                                .eq_ignore_ascii_case(name.as_str().as_bytes())
                        })
                    };
                    write_fields(out, trailers.iter().filter(|(name, _)| is_announced(name)));
                }
                out.extend_from_slice(b"\r\n");
            }
            Framing::None | Framing::Length(0) => {}
        }
        Ok(())
    }
}

/// Bytes on their way to the socket: a head or a chunk's size, a piece of the
/// body, and what ends a chunk.
#[derive(Debug, Default)]
struct Pending {
    prefix: Vec<u8>,
    prefix_written: usize,
    data: Bytes,
    suffix: &'static [u8],
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.prefix_written == self.prefix.len() && self.data.is_empty() && self.suffix.is_empty()
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<usize>> {
        let prefix = self.prefix.get(self.prefix_written..).unwrap_or_default();
        let stream = Pin::new(stream);
        let count = if self.data.is_empty() && self.suffix.is_empty() {
            ready!(stream.poll_write(cx, prefix))?
        } else {
            let slices = [prefix, &self.data, self.suffix].map(IoSlice::new);
            ready!(stream.poll_write_vectored(cx, &slices))?
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(count);
        Poll::Ready(Ok(count))
    }

    fn advance(&mut self, count: usize) {
        let of_prefix = count.min(self.prefix.len() - self.prefix_written);
        self.prefix_written += of_prefix;
        let of_data = (count - of_prefix).min(self.data.len());
        self.data.advance(of_data);
        let of_suffix = count - of_prefix - of_data;
        self.suffix = self.suffix.get(of_suffix..).unwrap_or_default();
    }

    /// Everything is written: the buffer is free for others.
    fn recycle(&mut self) {
        let mut buffer = std::mem::take(&mut self.prefix);
        self.prefix_written = 0;
        if (1..=MOST_KEPT).contains(&buffer.capacity()) {
            buffer.clear();
            HEAD.set(buffer);
        }
    }
}

fn write_head(out: &mut Vec<u8>, request: &Request<UploadBody>, stranger: Option<&Peer>) {
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str());
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_fields(out, request.headers());
    if let Some(peer) = stranger {
        write_fields(out, forwarded::of_stranger(request.headers(), peer));
    }
    out.extend_from_slice(b"\r\n");
}

fn write_fields<'f>(
    out: &mut Vec<u8>,
    fields: impl IntoIterator<Item = (&'f HeaderName, &'f HeaderValue)>,
) {
    for (name, value) in fields {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        out.reserve(name.len() + value.len() + 4);
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
}
