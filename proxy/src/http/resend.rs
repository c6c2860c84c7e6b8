//! The beginning of a request's body, kept for as long as an HTTP/2 endpoint
//! may still say that it did nothing about the request: with GOAWAY, an
//! endpoint that shuts down in good order says so of whatever crossed it on
//! the way (RFC 9113 section 6.8). Pieces are shared, not copied.

use bytes::Bytes;
use http_body::Frame;
use std::collections::VecDeque;

/// A body of which more was taken cannot be sent again.
const MOST_BYTES: usize = 64 * 1024;
/// A small piece may keep a large buffer alive.
const MOST_PIECES: usize = 16;

/// What was taken of a body, to be taken again.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    taken: VecDeque<Bytes>,
    /// Of an earlier attempt, and not yet taken in this one.
    next: VecDeque<Bytes>,
    bytes: usize,
}

impl Beginning {
    /// The next piece of an earlier attempt.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let piece = self.next.pop_front()?;
        self.taken.push_back(piece.clone());
        Some(piece)
    }

    /// A piece that was taken and comes again.
    pub(super) fn put_back(&mut self, piece: Bytes) {
        self.next.push_front(piece);
    }

    /// Bytes of an earlier attempt that are still to be taken.
    pub(super) fn remaining(&self) -> u64 {
        self.next.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Keeps a new piece. False if this is no beginning any more.
    pub(super) fn keep<E>(&mut self, frame: &Option<Result<Frame<Bytes>, E>>) -> bool {
        let piece = match frame {
            None => return true,
            Some(Ok(frame)) => frame.data_ref(),
            Some(Err(_)) => None,
        };
        let Some(piece) = piece else {
            return false;
        };
        self.bytes += piece.len();
        self.taken.push_back(piece.clone());
        self.bytes <= MOST_BYTES && self.taken.len() <= MOST_PIECES
    }

    /// From the start.
    pub(super) fn rewind(&mut self) {
        self.taken.append(&mut self.next);
        std::mem::swap(&mut self.taken, &mut self.next);
    }
}
