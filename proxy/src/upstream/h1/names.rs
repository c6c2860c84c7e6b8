//! Names of header fields that were read before.
//!
//! Endpoints send the same few names with each answer. To check a name, write
//! it in lower case and find out whether it is one of the standard ones costs
//! more than to look it up; a name that is none of those also costs an
//! allocation. A worker keeps a bounded number of short names: whoever sends
//! many different ones makes the others forgotten, and harms nothing else.

use http::{HeaderName, header::InvalidHeaderName};
use std::cell::RefCell;

/// So many are known; a power of two.
const MOST: usize = 128;
/// Longer ones are not kept.
const LONGEST: usize = 40;

thread_local! {
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// A name as it was written, and what it is.
#[derive(Clone)]
struct Known {
    written: [u8; LONGEST],
    length: usize,
    name: HeaderName,
}

/// The name of a field, from how it is written.
///
/// # Errors
/// What is no name (RFC 9110 section 5.1).
pub(super) fn read(written: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
    KNOWN.with_borrow_mut(|known| {
        let Some(place) = known.get_mut(place_of(written)) else {
            return read_first(known, written);
        };
        if place.written.get(..place.length) == Some(written) {
            return Ok(place.name.clone());
        }
        let name = HeaderName::from_bytes(written)?;
        if let Some(room) = place.written.get_mut(..written.len()) {
            room.copy_from_slice(written);
            place.length = written.len();
            place.name = name.clone();
        }
        Ok(name)
    })
}

/// The worker's first.
#[cold]
fn read_first(known: &mut Vec<Known>, written: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
    let nothing = Known {
        written: [0; LONGEST],
        // Of no name, not even of an empty one.
        length: usize::MAX,
        name: http::header::HOST,
    };
    known.resize(MOST, nothing);
    HeaderName::from_bytes(written)
}

/// Where a name is kept, if it is. Names differ in their length and their ends.
fn place_of(written: &[u8]) -> usize {
    let first = written.first_chunk::<4>().copied().unwrap_or_default();
    let last = written.last_chunk::<4>().copied().unwrap_or_default();
    let ends = u64::from(u32::from_le_bytes(first)) << 32 | u64::from(u32::from_le_bytes(last));
    let mixed = (ends ^ written.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 57) as usize % MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_the_first_time_and_later() {
        let long = "x-".repeat(LONGEST);
        for _ in 0..3 {
            for written in ["Content-Type", "content-type", "a", "X-Mine", &long] {
                let name = read(written.as_bytes()).expect("a name");
                assert_eq!(name.as_str(), written.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn what_is_no_name_never_becomes_one() {
        for _ in 0..3 {
            for written in ["", "a b", "a:", " a", "a\0", "\u{e4}"] {
                assert!(read(written.as_bytes()).is_err(), "{written:?}");
            }
        }
    }

    #[test]
    fn names_that_take_each_others_place_stay_apart() {
        for _ in 0..2 {
            for n in 0..10 * MOST {
                let written = format!("x-{n}-y");
                let name = read(written.as_bytes()).expect("a name");
                assert_eq!(name.as_str(), written);
            }
        }
    }
}
