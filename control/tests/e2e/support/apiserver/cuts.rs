//! Connections that break off at a chosen point of an answer.
//!
//! A cut is ordered for the next request of a verb and kind (`answer.rs` finds
//! out which one that is) and counts the bytes of its answer as they go out.

use parking_lot::Mutex;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Where an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing of it comes.
    BeforeHead,
    /// In the middle of its headers.
    InHead,
    /// The head came, and nothing of the body.
    AfterHead,
    /// In the line that says how long the first chunk is. Of a list, which has
    /// no chunks: in its first byte.
    InChunkSize,
    /// In the middle of the first object.
    InObject,
    /// Between the first object and the next one; of a list, before its last
    /// byte.
    AfterObject,
}

/// What the next answer on a connection is to suffer.
pub(super) type Armed = Arc<Mutex<Option<Cut>>>;

/// A connection that can be cut.
pub(super) struct CutStream {
    stream: TcpStream,
    armed: Armed,
    /// What was written of the answer that is to be cut.
    written: Vec<u8>,
}

impl CutStream {
    pub(super) fn new(stream: TcpStream, armed: Armed) -> Self {
        Self {
            stream,
            armed,
            written: Vec::new(),
        }
    }

    /// How much of the answer may go out; `None`: that is not known yet.
    fn limit(cut: Cut, answer: &[u8]) -> Option<usize> {
        let find = |what: &[u8], from: usize| {
            let rest = answer.get(from..)?;
            let at = rest.windows(what.len()).position(|part| part == what)?;
            Some(from + at)
        };
        let head = || find(b"\r\n\r\n", 0).map(|at| at + 4);
        match cut {
            Cut::BeforeHead => Some(0),
            Cut::InHead => Some(20),
            Cut::AfterHead => head(),
            Cut::InChunkSize => head().map(|head| head + 1),
            Cut::InObject => find(b"\"metadata\"", head()?).map(|at| at + 5),
            Cut::AfterObject => match find(b"}\n", head()?) {
                Some(end) => Some(end + 2),
                // A list, whose head says how long it is.
                None => {
                    let text = String::from_utf8_lossy(answer);
                    let length = text.split("content-length: ").nth(1)?;
                    let length: usize = length.split("\r\n").next()?.parse().ok()?;
                    Some(head()? + length - 1)
                }
            },
        }
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(cut) = *this.armed.lock() else {
            this.written.clear();
            return Pin::new(&mut this.stream).poll_write(cx, bytes);
        };
        let before = this.written.len();
        this.written.extend_from_slice(bytes);
        let limit = Self::limit(cut, &this.written).unwrap_or(usize::MAX);
        this.written.truncate(before);
        let allowed = limit.saturating_sub(before).min(bytes.len());
        let Some(allowed) = bytes.get(..allowed).filter(|allowed| !allowed.is_empty()) else {
            *this.armed.lock() = None;
            return Poll::Ready(Err(io::Error::other("cut")));
        };
        let written = Pin::new(&mut this.stream).poll_write(cx, allowed);
        if let Poll::Ready(Ok(count)) = written {
            this.written.extend(allowed.iter().take(count));
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // All that may come has come: hyper would wait for more to write.
        if let Some(cut) = *this.armed.lock()
            && Self::limit(cut, &this.written).is_some_and(|limit| limit <= this.written.len())
        {
            return Poll::Ready(Err(io::Error::other("cut")));
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl AsyncRead for CutStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}
