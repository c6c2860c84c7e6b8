//! A connection to an endpoint, and reading from it.

use crate::upstream::stream::Stream;
use bytes::{Bytes, BytesMut};
use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that one read may take.
const MOST_READ: usize = 64 * 1024;
/// From this size on, what one read brought is worth a buffer of its own the
/// next time; below, a copy costs less.
const LARGE_READ: usize = 16 * 1024;

thread_local! {
    /// Where reads go first. One for all connections of a worker, since none
    /// needs it for longer than one poll: an idle connection has no buffer.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A connection to an endpoint. Between two requests nothing is unread.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) stream: Stream,
    /// What was read and not yet taken.
    pub(super) unread: Bytes,
    /// The last read was a large one.
    in_bulk: bool,
}

impl Connection {
    pub(in crate::upstream) fn new(stream: Stream) -> Self {
        Self {
            stream,
            unread: Bytes::new(),
            in_bulk: false,
        }
    }

    /// May another request go on it? Not if the endpoint closed it, nor if it
    /// says something unasked. Costs no system call while nothing happened.
    pub(crate) fn is_open(&mut self) -> bool {
        self.unread.is_empty() && self.stream.is_quiet()
    }

    /// Reads once and shows what came; empty at the end of the stream.
    ///
    /// For heads: they are looked at where they lie, and copied once.
    pub(super) fn poll_read_once<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        let mut scratch = SCRATCH.take();
        if scratch.is_empty() {
            scratch = vec![0; MOST_READ];
        }
        let mut buffer = ReadBuf::new(&mut scratch);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
        let looked = read.map(|read| {
            read.map(|()| {
                let bytes = buffer.filled();
                self.in_bulk = bytes.len() >= LARGE_READ;
                look(bytes)
            })
        });
        SCRATCH.set(scratch);
        looked
    }

    /// Reads once into `unread`, which must be empty, and says how much.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.in_bulk {
            let mut buffer = BytesMut::with_capacity(MOST_READ);
            let count = ready!(tokio_util::io::poll_read_buf(
                Pin::new(&mut self.stream),
                cx,
                &mut buffer
            ))?;
            self.in_bulk = count >= LARGE_READ;
            self.unread = buffer.freeze();
            return Poll::Ready(Ok(count));
        }
        let read = ready!(self.poll_read_once(cx, Bytes::copy_from_slice))?;
        self.unread = read;
        Poll::Ready(Ok(self.unread.len()))
    }
}
