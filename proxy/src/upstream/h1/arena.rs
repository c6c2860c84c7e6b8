//! Where the heads of answers are copied to, and what came with them.
//!
//! One buffer after the other for all connections of a worker: most answers
//! are gone before the buffer is full, so it is filled from its beginning
//! again, and a copy costs no allocation. An answer whose client does not read
//! keeps a whole buffer alive, which bounds what may be copied here.

use bytes::{Bytes, BytesMut};
use std::cell::Cell;

const BUFFER: usize = 16 * 1024;
/// A larger copy is worth memory of its own.
const LARGEST: usize = 4 * 1024;

thread_local! {
    static CURRENT: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// A copy of `bytes`.
pub(super) fn copy(bytes: &[u8]) -> Bytes {
    if bytes.len() > LARGEST {
        return Bytes::copy_from_slice(bytes);
    }
    let current = CURRENT.take();
    let mut buffer = current.unwrap_or_else(|| BytesMut::with_capacity(BUFFER));
    // Full, it begins anew where nobody needs what is in it, else elsewhere.
    buffer.extend_from_slice(bytes);
    let copy = buffer.split().freeze();
    CURRENT.set(Some(buffer));
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_what_they_are() {
        let text = |n: usize| vec![n.to_le_bytes()[0]; n % (LARGEST + 10)];
        let copies: Vec<Bytes> = (0..10_000).step_by(7).map(|n| copy(&text(n))).collect();
        for (index, copy) in copies.iter().enumerate() {
            assert_eq!(copy, &text(index * 7));
        }
    }

    #[test]
    fn where_nobody_keeps_them_there_is_just_one_buffer() {
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            places.insert(copy(&[7; 1000]).as_ptr().addr());
        }
        assert!(places.len() <= BUFFER / 1000, "{}", places.len());
    }
}
