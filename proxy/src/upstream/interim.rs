//! Interim answers (1xx, RFC 9110 section 15.2) of HTTP/1.1 endpoints, found in
//! what is read from the connection: hyper skips them.
//!
//! [`Tapped`] sees every byte that hyper reads and looks only where a head may
//! begin: from when a request arms it until the first head that is not interim.
//! After that everything is body, of which nothing is ever taken for a head.
//! Heads are parsed with hyper's own parser, so both agree on where one ends,
//! and written anew, so that nothing but a well-formed head leaves.

use crate::http::headers;
use futures_util::task::AtomicWaker;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use parking_lot::Mutex;
use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Largest head, and most bytes of heads that nobody has taken yet.
const MOST_BYTES: usize = 64 * 1024;
/// As many fields hyper takes in one head.
const MOST_FIELDS: usize = 100;
/// How an interim head begins.
const BEGINNING: &[u8] = b"HTTP/1.1 1";

/// Nothing that comes is a head of interest.
const OFF: u8 = 0;
/// The next byte begins a head.
const AT_HEAD: u8 = 1;
/// Some of a head was seen.
const IN_HEAD: u8 = 2;

/// The interim answers to the request under way on one connection.
#[derive(Debug, Default)]
pub(crate) struct Interim {
    state: AtomicU8,
    /// There is something to take.
    found: AtomicBool,
    heads: Mutex<Heads>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Heads {
    /// The beginning of a head, as it came.
    partial: Vec<u8>,
    /// Whole heads, as they are passed on.
    found: Vec<u8>,
}

impl Interim {
    /// A request is about to be sent, and what is interim in its answer is
    /// wanted.
    pub(super) fn arm(&self) {
        if self.found.load(Ordering::Relaxed) {
            self.found.store(false, Ordering::Relaxed);
            *self.heads.lock() = Heads::default();
        }
        self.state.store(AT_HEAD, Ordering::Relaxed);
    }

    /// Wakes the present task when there is something to take.
    pub(super) fn wake_me(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// All heads that came since the last time.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        if !self.found.load(Ordering::Acquire) {
            return None;
        }
        self.found.store(false, Ordering::Relaxed);
        Some(mem::take(&mut self.heads.lock().found))
    }

    /// These bytes came.
    fn see(&self, bytes: &[u8]) {
        match self.state.load(Ordering::Relaxed) {
            OFF => {}
            AT_HEAD if !may_begin(bytes) => self.state.store(OFF, Ordering::Relaxed),
            _ => self.see_head(bytes),
        }
    }

    #[cold]
    fn see_head(&self, bytes: &[u8]) {
        let mut heads = self.heads.lock();
        let Heads { partial, found } = &mut *heads;
        partial.extend_from_slice(bytes);
        let mut seen = 0;
        let state = loop {
            let rest = partial.get(seen..).unwrap_or_default();
            if rest.is_empty() {
                break AT_HEAD;
            }
            if !may_begin(rest) {
                break OFF;
            }
            match parse(rest) {
                Parsed::Partial if rest.len() < MOST_BYTES => break IN_HEAD,
                Parsed::Partial | Parsed::Final => break OFF,
                Parsed::Interim { length, head } => {
                    seen += length;
                    if found.len() + head.len() <= MOST_BYTES {
                        found.extend(head);
                    }
                }
            }
        };
        if state == IN_HEAD {
            partial.drain(..seen);
        } else {
            *partial = Vec::new();
        }
        self.state.store(state, Ordering::Relaxed);
        if !found.is_empty() {
            self.found.store(true, Ordering::Release);
            drop(heads);
            self.waker.wake();
        }
    }
}

/// Could an interim head begin with these?
fn may_begin(bytes: &[u8]) -> bool {
    let known = bytes.len().min(BEGINNING.len());
    bytes.get(..known) == BEGINNING.get(..known)
}

enum Parsed {
    Partial,
    /// Not interim, the switch to another protocol, or no head at all.
    Final,
    Interim {
        /// So long it was.
        length: usize,
        /// What is passed on of it.
        head: Vec<u8>,
    },
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        // hyper will say what is wrong.
        Err(_) => return Parsed::Final,
    };
    let head = match response.code {
        // The proxy asks for the body itself.
        Some(100) => Vec::new(),
        Some(code @ 102..=199) => write_head(code, response.reason, response.headers),
        _ => return Parsed::Final,
    };
    Parsed::Interim { length, head }
}

fn write_head(code: u16, reason: Option<&str>, fields: &[httparse::Header<'_>]) -> Vec<u8> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) {
            headers.append(name, value);
        }
    }
    headers::strip_hop_by_hop(&mut headers);
    // It has no body, whatever it says (RFC 9110 section 8.6).
    headers.remove(header::CONTENT_LENGTH);
    let mut head = format!("HTTP/1.1 {code} {}\r\n", reason.unwrap_or_default()).into_bytes();
    for (name, value) in &headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A connection of which everything that is read is shown to [`Interim`].
#[derive(Debug)]
pub(super) struct Tapped<S> {
    stream: S,
    interim: Arc<Interim>,
}

impl<S> Tapped<S> {
    pub(super) fn new(stream: S, interim: Arc<Interim>) -> Self {
        Self { stream, interim }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(bytes @ [_, ..]) = buffer.filled().get(before..) {
            self.interim.see(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HINTS: &[u8] =
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: x-mine\r\nX-Mine: 1\r\n\r\n";
    const PASSED: &str = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n";

    fn found(interim: &Interim) -> String {
        String::from_utf8(interim.take().unwrap_or_default()).expect("text")
    }

    #[test]
    fn heads_are_found_however_they_are_cut() {
        let all = [HINTS, b"HTTP/1.1 100 Continue\r\n\r\n", HINTS, OK, HINTS].concat();
        for piece in 1..all.len() {
            let interim = Interim::default();
            interim.arm();
            for bytes in all.chunks(piece) {
                interim.see(bytes);
            }
            assert_eq!(found(&interim), PASSED.repeat(2), "pieces of {piece}");
        }
    }

    #[test]
    fn a_body_is_never_taken_for_a_head() {
        let interim = Interim::default();
        interim.see(HINTS);
        assert_eq!(found(&interim), "", "not armed");
        interim.arm();
        interim.see(OK);
        interim.see(HINTS);
        assert_eq!(found(&interim), "", "after the final head");
        interim.arm();
        interim.see(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n");
        interim.see(HINTS);
        assert_eq!(found(&interim), "", "another protocol");
        interim.arm();
        interim.see(HINTS);
        assert_eq!(found(&interim), PASSED, "the next request");
    }

    #[test]
    fn what_a_request_left_is_not_the_next_ones() {
        let interim = Interim::default();
        interim.arm();
        interim.see(HINTS);
        interim.arm();
        assert_eq!(found(&interim), "");
    }

    #[test]
    fn heads_without_end_and_nonsense_are_left_to_hyper() {
        let interim = Interim::default();
        interim.arm();
        interim.see(b"HTTP/1.1 103 Early Hints\r\nlink: ");
        for _ in 0..70 {
            interim.see(&[b'x'; 1024]);
        }
        assert!(interim.heads.lock().partial.is_empty(), "given up");
        interim.arm();
        interim.see(b"HTTP/1.1 1x3 Early Hints\r\n\r\n");
        interim.see(HINTS);
        assert_eq!(found(&interim), "");
    }
}
