//! One write for all that an HTTP/2 connection has to say at a time.
//!
//! h2 flushes after nearly each frame of data. [`CoalescingIo`] collects what
//! is written, up to a bound, and says that it is flushed; whoever polls the
//! connection flushes it, after each poll ([`Flush::poll`]). So no byte stays
//! behind while the connection sleeps.

use parking_lot::Mutex;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that wait to be flushed.
const MOST: usize = 32 * 1024;

/// The connection's half.
#[derive(Debug)]
pub(crate) struct CoalescingIo<T>(Arc<Mutex<Inner<T>>>);

/// The half of whoever polls the connection. Both are used by one task, so
/// the lock is never waited for.
#[derive(Debug)]
pub(crate) struct Flush<T>(Arc<Mutex<Inner<T>>>);

#[derive(Debug)]
struct Inner<T> {
    io: T,
    waiting: Vec<u8>,
    /// How much of `waiting` was written.
    written: usize,
    /// The layers below were not flushed since the last write.
    is_unflushed: bool,
}

/// Collects what is written to `io`.
pub(crate) fn coalesce<T>(io: T) -> (CoalescingIo<T>, Flush<T>) {
    let inner = Arc::new(Mutex::new(Inner {
        io,
        waiting: Vec::new(),
        written: 0,
        is_unflushed: false,
    }));
    (CoalescingIo(inner.clone()), Flush(inner))
}

impl<T: AsyncWrite + Unpin> Inner<T> {
    /// Writes all that waits.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.written..)
            && !rest.is_empty()
        {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        self.waiting.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Bytes that still fit; some, or the task is woken when there are.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.waiting.len() >= MOST {
            ready!(self.poll_empty(cx))?;
        }
        Poll::Ready(Ok(MOST - self.waiting.len()))
    }
}

impl<T: AsyncWrite + Unpin> Flush<T> {
    /// Writes all that waits, and lets the layers below flush it. Pending: the
    /// task is woken when it can go on.
    ///
    /// # Errors
    /// A client that takes no more.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if !inner.is_unflushed {
            return Poll::Ready(Ok(()));
        }
        ready!(inner.poll_empty(cx))?;
        ready!(Pin::new(&mut inner.io).poll_flush(cx))?;
        inner.is_unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Gives memory back that is not needed now.
    pub(crate) fn release(&self) {
        let mut inner = self.0.lock();
        if inner.waiting.is_empty() {
            inner.waiting = Vec::new();
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for CoalescingIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for CoalescingIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        let mut room = ready!(inner.poll_room(cx))?;
        let before = inner.waiting.len();
        inner.is_unflushed = true;
        for slice in slices {
            let fits = slice.len().min(room);
            inner.waiting.extend_from_slice(&slice[..fits]);
            room -= fits;
        }
        Poll::Ready(Ok(inner.waiting.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_empty(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
