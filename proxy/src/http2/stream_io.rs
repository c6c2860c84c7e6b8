//! A stream that carries another protocol (RFC 8441): its DATA as bytes.
//!
//! Both directions are used by one task. The stream must have been opened: the
//! head of the answer went out before.

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes of one write; more would only wait in memory.
const MOST_WRITTEN: usize = 16 * 1024;

/// See the module. Dropped before it was shut down, it resets the stream.
#[derive(Debug)]
pub(crate) struct StreamIo {
    receive: RecvStream,
    send: SendStream<Bytes>,
    /// What came and was not read yet; the peer's window opens as it is read.
    unread: Bytes,
}

impl StreamIo {
    pub(crate) fn new(receive: RecvStream, send: SendStream<Bytes>) -> Self {
        Self {
            receive,
            send,
            unread: Bytes::new(),
        }
    }
}

impl AsyncRead for StreamIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            match ready!(this.receive.poll_data(cx)) {
                Some(Ok(data)) => this.unread = data,
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => {
                    return Poll::Ready(match error.reason() {
                        // How a WebSocket's TCP connection would end.
                        Some(Reason::NO_ERROR | Reason::CANCEL) => Ok(()),
                        _ => Err(io::Error::other(error)),
                    });
                }
            }
        }
        let count = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread[..count]);
        this.unread.advance(count);
        // Fails only for a stream that is gone.
        let _released = this.receive.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StreamIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.send.reserve_capacity(bytes.len().min(MOST_WRITTEN));
        let room = loop {
            match this.send.capacity() {
                0 => {}
                room => break room,
            }
            match ready!(this.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        };
        let count = bytes.len().min(room);
        let data = Bytes::copy_from_slice(&bytes[..count]);
        let sent = this.send.send_data(data, false);
        Poll::Ready(sent.map(|()| count).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.get_mut().send.send_data(Bytes::new(), true);
        Poll::Ready(ended.map_err(io::Error::other))
    }
}
