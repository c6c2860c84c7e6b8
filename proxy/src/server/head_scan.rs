//! What hyper does not tell about the bytes of an HTTP/1 request: that it had
//! a Content-Length beside its Transfer-Encoding (both orders), a fragment in
//! its target, or lines that end without CR. [`Scanned`] reads along.
//!
//! It walks over heads from line end to line end, and follows bodies to where
//! the next head begins, also of requests that come before the answer to an
//! earlier one. Its verdict waits in [`Verdicts`] until hyper hands that
//! request over; then `forward` refuses it. What is no chunk cannot be refused
//! so late: such bytes are kept from hyper, and the body ends in an error.
//!
//! It must refuse nothing that is sound: where it does not know, it follows
//! hyper, which ends the connection after whatever it cannot read.

use crate::http::length;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Of a line that comes in pieces, so much is kept: enough for the names that
/// count, and a length.
const KEPT: usize = 128;
const NONE: u32 = u32::MAX;

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    TwoLengths,
    Fragment,
    BareLineFeed,
    /// Bytes behind a wish to switch protocols, before it was answered: they
    /// are of the new protocol, or of HTTP, and nobody can tell.
    Unasked,
}

impl Fault {
    const ALL: [Self; 4] = [
        Self::TwoLengths,
        Self::Fragment,
        Self::BareLineFeed,
        Self::Unasked,
    ];

    fn explanation(self) -> &'static str {
        match self {
            Self::TwoLengths => "both Content-Length and Transfer-Encoding",
            Self::Fragment => "a fragment in the request target",
            Self::BareLineFeed => "a line that ends without a carriage return",
            Self::Unasked => "more behind a request to switch protocols",
        }
    }
}

/// What the reading side found, for the requests of one connection. They are
/// numbered from 0, as they come.
#[derive(Debug)]
pub(crate) struct Verdicts {
    /// Requests that hyper handed over.
    handed_over: AtomicU32,
    /// The first request that is to be refused, and why (its lowest byte).
    refused: AtomicU64,
    /// The request that asked to switch protocols and has no answer yet.
    asks_switch: AtomicU32,
}

impl Verdicts {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            handed_over: AtomicU32::new(0),
            refused: AtomicU64::new(u64::MAX),
            asks_switch: AtomicU32::new(NONE),
        })
    }

    /// hyper hands over the next HTTP/1 request. Gives its number.
    ///
    /// # Errors
    /// Why it is to be refused.
    pub(crate) fn next(&self) -> Result<u32, &'static str> {
        // One task does this, so nothing comes in between.
        let number = self.handed_over.load(Ordering::Relaxed);
        self.handed_over
            .store(number.wrapping_add(1), Ordering::Relaxed);
        let refused = self.refused.load(Ordering::Relaxed);
        if refused >> 8 != u64::from(number) {
            return Ok(number);
        }
        let fault = Fault::ALL
            .into_iter()
            .find(|fault| *fault as u64 == refused & 0xff);
        Err(fault.map_or("malformed", Fault::explanation))
    }

    /// The request of that number is answered, and not with a switch of
    /// protocols: what comes next is HTTP.
    pub(crate) fn stays_http(&self, number: u32) {
        if self.asks_switch.load(Ordering::Relaxed) == number {
            self.asks_switch.store(NONE, Ordering::Relaxed);
        }
    }

    /// More came while a request is in progress, and nobody has read it.
    pub(super) fn more_came(&self) {
        let asks_switch = self.asks_switch.load(Ordering::Relaxed);
        if asks_switch != NONE {
            self.refuse(asks_switch.wrapping_add(1), Fault::Unasked);
        }
    }

    fn refuse(&self, number: u32, fault: Fault) {
        let verdict = u64::from(number) << 8 | fault as u64;
        self.refused.store(verdict, Ordering::Relaxed);
    }
}

/// Where in the stream of requests the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    /// A body of known length; so much is left.
    Body(u64),
    /// The line before a chunk.
    ChunkSize,
    /// A chunk and the line end behind it.
    Chunk(u64),
    Trailers,
    /// Behind a request that asked to switch protocols.
    Switching,
    /// Nothing more to learn: HTTP/2, another protocol, or nothing that hyper
    /// would read.
    Off,
}

/// What the lines of a head said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    request_line: bool,
    transfer_encoding: bool,
    content_length: bool,
    /// Its value; 0 without one.
    length: u64,
    upgrade: bool,
    fault: Option<Fault>,
}

/// No chunk, no line that ends one, no trailer.
#[derive(Debug, PartialEq, Eq)]
struct NoChunk;

#[derive(Debug)]
struct HeadScan {
    at: At,
    seen: Seen,
    /// Heads that are complete.
    heads: u32,
    /// The beginning of a line that is not complete.
    kept: Vec<u8>,
    /// The last byte of it, which may not be kept.
    last: u8,
}

impl HeadScan {
    fn new() -> Self {
        Self {
            at: At::Head,
            seen: Seen::default(),
            heads: 0,
            kept: Vec::new(),
            last: 0,
        }
    }

    /// Walks over bytes as they come in. Gives how many of them are sound, if
    /// not all are.
    fn feed(&mut self, bytes: &[u8], verdicts: &Verdicts) -> Result<(), usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.at {
                At::Off => return Ok(()),
                At::Body(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= here as u64;
                    if *left == 0 {
                        self.at = self.after_message();
                    }
                    rest = rest.get(here..).unwrap_or_default();
                }
                // Line ends within what follows a size are hyper's business.
                At::Chunk(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= here as u64;
                    if *left == 0 {
                        self.at = At::ChunkSize;
                    }
                    rest = rest.get(here..).unwrap_or_default();
                }
                At::Switching => {
                    if verdicts.asks_switch.load(Ordering::Relaxed) == NONE {
                        self.at = At::Head;
                    } else {
                        verdicts.refuse(self.heads, Fault::Unasked);
                        self.at = At::Off;
                    }
                }
                At::Head | At::ChunkSize | At::Trailers => {
                    let before = bytes.len() - rest.len();
                    rest = self.lines(rest, verdicts).map_err(|at| before + at)?;
                }
            }
        }
        Ok(())
    }

    /// Walks over lines until something else begins, or only a part of a line
    /// is left, which it keeps. Gives what comes behind them, or where the
    /// line begins that is not sound.
    fn lines<'b>(&mut self, bytes: &'b [u8], verdicts: &Verdicts) -> Result<&'b [u8], usize> {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let piece = bytes.get(start..end).unwrap_or_default();
            if self.last == 0 && self.seen.request_line && says_nothing(piece) {
                start = end + 1;
                continue;
            }
            let line = if self.last == 0 {
                self.line(piece, verdicts)
            } else {
                self.line_in_pieces(piece, verdicts)
            };
            line.map_err(|NoChunk| start)?;
            start = end + 1;
            if !matches!(self.at, At::Head | At::ChunkSize | At::Trailers) {
                return Ok(bytes.get(start..).unwrap_or_default());
            }
        }
        self.keep(bytes.get(start..).unwrap_or_default());
        Ok(&[])
    }

    #[cold]
    fn line_in_pieces(&mut self, end: &[u8], verdicts: &Verdicts) -> Result<(), NoChunk> {
        self.keep(end);
        let mut line = std::mem::take(&mut self.kept);
        // A line that is too long to be kept ends like the whole.
        if line.len() == KEPT {
            line.push(self.last);
        }
        self.last = 0;
        self.line(&line, verdicts)
    }

    fn keep(&mut self, piece: &[u8]) {
        let Some(&last) = piece.last() else { return };
        // A NUL is in no head that hyper takes; it only must not look like
        // the absence of a byte.
        self.last = last.max(1);
        let room = KEPT - self.kept.len();
        let most = piece.len().min(room);
        self.kept
            .extend_from_slice(piece.get(..most).unwrap_or_default());
    }

    /// One line, without its line feed.
    #[inline]
    fn line(&mut self, line: &[u8], verdicts: &Verdicts) -> Result<(), NoChunk> {
        let (line, is_bare) = match line {
            [line @ .., b'\r'] => (line, false),
            line => (line, true),
        };
        match self.at {
            At::Head => {
                if is_bare {
                    self.seen.fault = Some(Fault::BareLineFeed);
                }
                self.line_of_head(line, verdicts);
                Ok(())
            }
            _ if is_bare => Err(NoChunk),
            At::ChunkSize => match chunk_size(line).ok_or(NoChunk)? {
                0 => {
                    self.at = At::Trailers;
                    Ok(())
                }
                size => {
                    self.at = At::Chunk(size.checked_add(2).ok_or(NoChunk)?);
                    Ok(())
                }
            },
            _ => {
                if line.is_empty() {
                    self.at = self.after_message();
                }
                Ok(())
            }
        }
    }

    #[inline]
    fn line_of_head(&mut self, line: &[u8], verdicts: &Verdicts) {
        let seen = &mut self.seen;
        if !seen.request_line {
            // Empty lines before a request mean nothing (RFC 9112 section 2.2).
            if line.is_empty() {
                return;
            }
            seen.request_line = true;
            if line == b"PRI * HTTP/2.0" {
                self.at = At::Off;
            } else if memchr::memchr(b'#', line).is_some() {
                seen.fault = Some(Fault::Fragment);
            }
            return;
        }
        if line.is_empty() {
            return self.end_of_head(verdicts);
        }
        // By the place of the colon first: few names have it just there.
        let has_colon_at = |at: usize| line.get(at) == Some(&b':');
        if has_colon_at(17) && is_named(line, b"transfer-encoding") {
            seen.transfer_encoding = true;
        } else if has_colon_at(14) && is_named(line, b"content-length") {
            seen.content_length = true;
            // Of several, hyper takes those that agree; with one that is no
            // length and no Transfer-Encoding, it ends the connection.
            seen.length = line.get(15..).and_then(length::parse).unwrap_or(0);
        } else if has_colon_at(7) && is_named(line, b"upgrade") {
            seen.upgrade = true;
        }
    }

    fn end_of_head(&mut self, verdicts: &Verdicts) {
        let seen = self.seen;
        let fault = if seen.transfer_encoding && seen.content_length {
            Some(Fault::TwoLengths)
        } else {
            seen.fault
        };
        if let Some(fault) = fault {
            // The connection ends with that request.
            verdicts.refuse(self.heads, fault);
            self.at = At::Off;
            return;
        }
        if seen.upgrade {
            verdicts.asks_switch.store(self.heads, Ordering::Relaxed);
        }
        self.heads = self.heads.wrapping_add(1);
        self.seen = Seen {
            upgrade: seen.upgrade,
            ..Seen::default()
        };
        self.at = if seen.transfer_encoding {
            At::ChunkSize
        } else if seen.length > 0 {
            At::Body(seen.length)
        } else {
            self.after_message()
        };
    }

    /// What comes behind the request that was just followed to its end.
    fn after_message(&mut self) -> At {
        if std::mem::take(&mut self.seen.upgrade) {
            At::Switching
        } else {
            At::Head
        }
    }
}

/// Is it a line of a head that says nothing about framing? Most are, and their
/// first letter and the place of their colon tell.
#[inline]
fn says_nothing(line: &[u8]) -> bool {
    let has_colon_at = |at: usize| line.get(at) == Some(&b':');
    match line {
        [first, .., b'\r'] => match first | 0x20 {
            b'c' => !has_colon_at(14),
            b't' => !has_colon_at(17),
            b'u' => !has_colon_at(7),
            _ => true,
        },
        _ => false,
    }
}

fn is_named(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len())
        .is_some_and(|known| known.eq_ignore_ascii_case(name))
}

/// The size in the line before a chunk (RFC 9112 section 7.1): hexadecimal
/// digits, then nothing or an extension. Spaces are allowed before an
/// extension only.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    let digits = line.iter().take_while(|byte| is_digit(byte)).count();
    let (digits, rest) = line.split_at(digits);
    let is_extension = rest.trim_ascii_start().first() == Some(&b';');
    if digits.is_empty() || !(rest.is_empty() || is_extension) {
        return None;
    }
    digits.iter().try_fold(0_u64, |size, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        size.checked_mul(16)?.checked_add(u64::from(digit))
    })
}

/// A client's connection whose bytes are looked at as they are read.
#[derive(Debug)]
pub(super) struct Scanned<IO> {
    io: IO,
    scan: HeadScan,
    verdicts: Arc<Verdicts>,
    /// What came was no chunk: nothing more is read.
    is_broken: bool,
}

impl<IO> Scanned<IO> {
    /// Bytes that come from here on are the next request's.
    pub(super) fn new(io: IO, verdicts: Arc<Verdicts>) -> Self {
        let mut scan = HeadScan::new();
        scan.heads = verdicts.handed_over.load(Ordering::Relaxed);
        Self {
            io,
            scan,
            verdicts,
            is_broken: false,
        }
    }
}

impl<IO> Scanned<IO> {
    pub(super) fn into_inner(self) -> IO {
        self.io
    }
}

fn broken() -> io::Error {
    // By this kind, a body that is none is told from a client that left.
    io::Error::new(io::ErrorKind::InvalidData, "not a chunk")
}

impl<IO: AsyncRead + Unpin> AsyncRead for Scanned<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_broken {
            return Poll::Ready(Err(broken()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
        if this.scan.at == At::Off {
            return Poll::Ready(Ok(()));
        }
        let read = buffer.filled().get(before..).unwrap_or_default();
        let Err(sound) = this.scan.feed(read, &this.verdicts) else {
            return Poll::Ready(Ok(()));
        };
        this.is_broken = true;
        buffer.set_filled(before + sound);
        // None at all would look like the end of the connection.
        Poll::Ready(if sound == 0 { Err(broken()) } else { Ok(()) })
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Scanned<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
