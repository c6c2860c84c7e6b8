//! The first bytes of a connection: does the client speak HTTP/2 at all?
//!
//! They are read here, within a limit of time that the HTTP/2 library does not
//! have, and given back to it. Whoever speaks HTTP/1 is told what this port is.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// RFC 9113, section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The answer to a client that speaks HTTP/1.
const NOT_HERE: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\n\
    content-type: text/plain\r\ncontent-length: 61\r\nconnection: close\r\n\r\n\
    This port speaks gRPC: HTTP/2 with prior knowledge, or TLS.\r\n";

/// What a client said instead of the preface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// Nothing any more.
    Closed,
    /// The beginning of a TLS handshake.
    Tls,
    /// Anything else, such as HTTP/1.
    Other,
}

impl Instead {
    /// For logs.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Closed => "it was closed before a word of HTTP/2",
            Self::Tls => "the client began a TLS handshake, which this port does not speak",
            Self::Other => "the client does not speak HTTP/2",
        }
    }
}

/// Reads the preface. With something else, the client is answered if that is
/// of use.
///
/// Cancel safe: the connection is closed.
pub(super) async fn read<IO>(mut io: IO) -> Result<Opened<IO>, Instead>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut read = [0; PREFACE.len()];
    let mut length = 0;
    while length < PREFACE.len() {
        let rest = read.get_mut(length..).unwrap_or_default();
        match io.read(rest).await {
            Ok(0) | Err(_) => return Err(Instead::Closed),
            Ok(more) => length += more,
        }
        if read.get(..length) != PREFACE.get(..length) {
            // A record of the type "handshake" (RFC 8446, section 5.1).
            if read.first() == Some(&22) {
                return Err(Instead::Tls);
            }
            if io.write_all(NOT_HERE).await.is_ok() {
                io.shutdown().await.ok();
            }
            return Err(Instead::Other);
        }
    }
    Ok(Opened { io, given: 0 })
}

/// A connection whose preface was read, and is read again.
#[derive(Debug)]
pub(super) struct Opened<IO> {
    io: IO,
    /// So much of the preface was given back.
    given: usize,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Opened<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = PREFACE.get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let count = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..count).unwrap_or_default());
        self.given += count;
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Opened<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    /// What is made of these bytes, sent in pieces, and what is answered.
    async fn opening(bytes: &[u8], piece: usize) -> (Result<Vec<u8>, Instead>, String) {
        let (mut client, server) = duplex(64);
        let served = tokio::spawn(async move {
            match read(server).await {
                Ok(mut opened) => {
                    let mut all = Vec::new();
                    opened.read_to_end(&mut all).await.expect("readable");
                    Ok(all)
                }
                Err(instead) => Err(instead),
            }
        });
        for piece in bytes.chunks(piece) {
            client.write_all(piece).await.expect("read");
        }
        client.shutdown().await.expect("open");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("text");
        (served.await.expect("no panic"), answer)
    }

    #[tokio::test]
    async fn what_was_read_is_read_again() {
        let sent = [PREFACE.as_slice(), b"and more"].concat();
        for piece in [1, 7, 24, 32] {
            let (opened, answer) = opening(&sent, piece).await;
            assert_eq!(
                opened.as_deref(),
                Ok(sent.as_slice()),
                "in pieces of {piece}"
            );
            assert_eq!(answer, "");
        }
    }

    #[tokio::test]
    async fn other_clients_are_told_from_each_other() {
        let cases: [(&[u8], Instead, bool); 4] = [
            (b"", Instead::Closed, false),
            (b"PRI * HT", Instead::Closed, false),
            (b"\x16\x03\x01\x02\x00", Instead::Tls, false),
            (b"GET / HTTP/1.1\r\n", Instead::Other, true),
        ];
        for (bytes, wanted, is_answered) in cases {
            let (opened, answer) = opening(bytes, 64).await;
            assert_eq!(opened, Err(wanted));
            assert_eq!(answer.starts_with("HTTP/1.1 505 "), is_answered, "{answer}");
        }
    }

    #[test]
    fn the_answer_has_the_length_that_it_says() {
        let text = std::str::from_utf8(NOT_HERE).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
