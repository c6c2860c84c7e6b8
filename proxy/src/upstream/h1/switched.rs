//! A connection on which the endpoint switched protocols.

use super::{Connection, encode::Outgoing};
use crate::{http::UploadBody, upstream::stream::Stream};
use bytes::{Buf, Bytes};
use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What follows a 101: bytes of which nothing is known.
#[derive(Debug)]
pub(crate) struct Switched {
    stream: Stream,
    /// What came right behind the 101.
    unread: Bytes,
    /// The rest of the request's body, which still is in the old protocol
    /// (RFC 9110 section 7.8).
    upload: Option<Box<(Outgoing, UploadBody)>>,
}

impl Switched {
    pub(super) fn new(connection: Connection, upload: Option<(Outgoing, UploadBody)>) -> Self {
        Self {
            stream: connection.stream,
            unread: connection.unread,
            upload: upload.map(Box::new),
        }
    }

    /// Sends what is left of the request. To be done before anything else is
    /// written.
    ///
    /// # Errors
    /// A connection or a body that broke.
    pub(crate) async fn finish_request(&mut self) -> io::Result<()> {
        let Some(mut upload) = self.upload.take() else {
            return Ok(());
        };
        let (outgoing, body) = &mut *upload;
        poll_fn(|cx| outgoing.poll_write(cx, &mut self.stream, body))
            .await
            .map_err(io::Error::other)
    }
}

impl AsyncRead for Switched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let count = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread[..count]);
        this.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Switched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
