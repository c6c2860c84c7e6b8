//! A client's connection as HTTP reads and writes it: its bytes, in clear or
//! out of TLS, and what was read and given back.

use super::client_socket::{ClientSocket, RawIo};
use bytes::{Buf, Bytes};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

/// See the module.
#[derive(Debug)]
pub(crate) struct ClientIo {
    carrier: Carrier,
    /// What was read and not understood by whoever read it. It comes first.
    unread: Bytes,
}

/// What carries the bytes.
#[derive(Debug)]
enum Carrier {
    Clear(RawIo),
    /// Boxed, so that it costs other connections nothing.
    Tls(Box<TlsStream<RawIo>>),
}

impl ClientIo {
    pub(crate) fn new(socket: Arc<ClientSocket>) -> Self {
        Self::over(Carrier::Clear(RawIo(socket)))
    }

    /// After the handshake.
    pub(super) fn over_tls(stream: TlsStream<RawIo>) -> Self {
        Self::over(Carrier::Tls(Box::new(stream)))
    }

    fn over(carrier: Carrier) -> Self {
        Self {
            carrier,
            unread: Bytes::new(),
        }
    }

    /// The socket, before anything was read.
    pub(super) fn into_raw(self) -> Option<RawIo> {
        match self.carrier {
            Carrier::Clear(raw) => Some(raw),
            Carrier::Tls(_) => None,
        }
    }

    /// Puts back what was read. Nothing else may be put back at the time.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        debug_assert!(self.unread.is_empty(), "put back twice");
        self.unread = bytes;
    }

    /// Not encrypted: what comes out of the socket is what the client says.
    pub(super) fn is_clear(&self) -> bool {
        matches!(self.carrier, Carrier::Clear(_))
    }

    pub(crate) fn socket(&self) -> &ClientSocket {
        match &self.carrier {
            Carrier::Clear(raw) => &raw.0,
            Carrier::Tls(stream) => &stream.get_ref().0.0,
        }
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    fn read_again(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..count]);
        self.unread.advance(count);
        if self.unread.is_empty() {
            // Lets go of the memory, which an empty slice would keep.
            self.unread = Bytes::new();
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_unread() {
            self.read_again(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = match &mut self.carrier {
            Carrier::Clear(raw) => Pin::new(raw).poll_read(cx, buffer),
            Carrier::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if buffer.filled().len() > before {
            self.socket().received();
        }
        read
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Clear(raw) => Pin::new(raw).poll_write(cx, bytes),
            Carrier::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Clear(raw) => Pin::new(raw).poll_write_vectored(cx, slices),
            Carrier::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.carrier {
            Carrier::Clear(raw) => raw.is_write_vectored(),
            Carrier::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Clear(raw) => Pin::new(raw).poll_flush(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Clear(raw) => Pin::new(raw).poll_shutdown(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::client_socket::tests::pair;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_was_put_back_comes_first_and_only_once() {
        let (mut client, raw) = pair().await;
        let mut io = ClientIo::new(raw.0);
        client.write_all(b"6789").await.expect("sent");
        io.unread(Bytes::from_static(b"012345"));
        let mut bytes = [0; 10];
        io.read_exact(&mut bytes).await.expect("all of it");
        assert_eq!(&bytes, b"0123456789");
        assert!(!io.has_unread());
    }
}
