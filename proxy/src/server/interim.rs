//! Interim answers (1xx, RFC 9110 section 15.2) on their way to an HTTP/1.1
//! client: hyper's server cannot send them, so they are written around it.
//!
//! The request's future queues whole heads; it runs in the task that drives the
//! connection, which flushes right after it. [`InterimIo`] lies between hyper
//! and whatever carries the bytes, and writes the queue only where hyper has
//! nothing half-written: that is when hyper flushes, since it hands over all it
//! has before. Where it has not, because the client reads slowly, interim heads
//! are dropped; they are only hints. Never for HTTP/2, whose frames this does
//! not know.

use parking_lot::Mutex;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes of heads that wait for a client that does not read. More are
/// dropped: an endpoint could send them without end.
const MOST_BYTES: usize = 64 * 1024;

/// Heads that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct InterimQueue {
    is_filled: AtomicBool,
    heads: Mutex<Vec<u8>>,
}

impl InterimQueue {
    /// Queues whole heads. To be called in the task of the connection, before
    /// the final head of the answer under way.
    pub(crate) fn push(&self, heads: &[u8]) {
        let mut waiting = self.heads.lock();
        if waiting.len() + heads.len() <= MOST_BYTES {
            waiting.extend_from_slice(heads);
            self.is_filled.store(true, Ordering::Relaxed);
        }
    }

    fn take(&self) -> Vec<u8> {
        self.is_filled.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.heads.lock())
    }
}

/// A client's connection as hyper sees it.
#[derive(Debug)]
pub(crate) struct InterimIo<S> {
    stream: S,
    queue: Arc<InterimQueue>,
    /// hyper wrote something and has not flushed since: it may have more of the
    /// same message.
    is_inside_message: bool,
    /// The rest of what was begun to be written; it comes before all else.
    owed: Vec<u8>,
}

impl<S> InterimIo<S> {
    pub(crate) fn new(stream: S, queue: Arc<InterimQueue>) -> Self {
        Self {
            stream,
            queue,
            is_inside_message: false,
            owed: Vec::new(),
        }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncWrite + Unpin> InterimIo<S> {
    /// Before anything else is written.
    fn poll_queue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.queue.is_filled.load(Ordering::Relaxed) {
            let heads = self.queue.take();
            if !self.is_inside_message && self.owed.len() + heads.len() <= MOST_BYTES {
                self.owed.extend(heads);
            }
        }
        if self.owed.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.poll_owed(cx)
    }

    #[cold]
    fn poll_owed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.owed))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.owed.drain(..written);
        }
        self.owed = Vec::new();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for InterimIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for InterimIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_queue(cx))?;
        self.is_inside_message = true;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_queue(cx))?;
        self.is_inside_message = true;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_inside_message = false;
        ready!(self.poll_queue(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn pair(room: usize) -> (DuplexStream, InterimIo<DuplexStream>, Arc<InterimQueue>) {
        let (client, server) = duplex(room);
        let queue = Arc::new(InterimQueue::default());
        (client, InterimIo::new(server, queue.clone()), queue)
    }

    async fn all(mut client: DuplexStream, io: InterimIo<DuplexStream>) -> String {
        drop(io);
        let mut text = String::new();
        client.read_to_string(&mut text).await.expect("text");
        text
    }

    #[tokio::test]
    async fn heads_go_between_messages() {
        let (client, mut io, queue) = pair(1024);
        queue.push(b"[103]");
        io.flush().await.expect("open");
        queue.push(b"[104]");
        // The final head without a flush in between.
        io.write_all(b"[200]").await.expect("open");
        io.flush().await.expect("open");
        queue.push(b"[105]");
        io.flush().await.expect("open");
        assert_eq!(all(client, io).await, "[103][104][200][105]");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_gets_only_so_many() {
        let (client, mut io, queue) = pair(4);
        let head = [b'1'; 1000];
        for _ in 0..10 {
            for _ in 0..100 {
                queue.push(&head);
            }
            let mut flush = std::pin::pin!(io.flush());
            assert!(futures_util::poll!(flush.as_mut()).is_pending());
        }
        assert!(io.owed.len() <= MOST_BYTES, "{}", io.owed.len());
        drop(client);
    }

    #[tokio::test]
    async fn they_never_go_into_one() {
        let (client, mut io, queue) = pair(1024);
        io.write_all(b"[half").await.expect("open");
        queue.push(b"[103]");
        io.write_all(b" and half]").await.expect("open");
        io.flush().await.expect("open");
        assert_eq!(all(client, io).await, "[half and half]");
    }

    #[tokio::test]
    async fn what_was_begun_is_ended_first() {
        let (mut client, mut io, queue) = pair(4);
        queue.push(b"[103 long]");
        let mut flush = std::pin::pin!(io.flush());
        assert!(futures_util::poll!(flush.as_mut()).is_pending());
        let mut read = [0; 10];
        let (_, flushed) = tokio::join!(client.read_exact(&mut read), flush);
        flushed.expect("open");
        assert_eq!(&read, b"[103 long]");
        let mut read = [0; 5];
        let (_, written) = tokio::join!(client.read_exact(&mut read), io.write_all(b"[200]"));
        written.expect("open");
        assert_eq!(&read, b"[200]");
    }
}
