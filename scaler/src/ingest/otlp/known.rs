//! Streams that were seen before: from the bytes of their attributes to their
//! series, without text or labels.
//!
//! Only a short cut. What is lost here is found again by its labels.

use crate::series::{SeriesRef, Writer};
use foldhash::quality::{FoldHasher, RandomState};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher},
};

/// Entries beyond those of series that are there, before a clean-up.
const SPARE: usize = 4096;

/// 128 bits of two hashes with secret seeds: two streams that meet by accident
/// would be counted as one.
pub(super) type Id = (u64, u64);

/// A hash on its way. Cloned for each part of what shares a beginning.
#[derive(Clone)]
pub(super) struct Key<'h>(FoldHasher<'h>, FoldHasher<'h>);

impl Key<'_> {
    /// Adds bytes; their length too, so that what comes next is apart.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.write(bytes);
        self.1.write(bytes);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.write_u64(number);
        self.1.write_u64(number);
    }

    pub(super) fn id(&self) -> Id {
        (self.0.finish(), self.1.finish())
    }
}

/// Secret seeds, one set for the life of the receiver.
#[derive(Debug, Default)]
pub(super) struct Seeds(RandomState, RandomState);

impl Seeds {
    pub(super) fn key(&self) -> Key<'_> {
        Key(self.0.build_hasher(), self.1.build_hasher())
    }
}

/// The series of a stream: one, or all parts of a histogram.
#[derive(Clone, Debug)]
enum Members {
    One(SeriesRef),
    Many(Box<[SeriesRef]>),
}

impl Members {
    fn as_slice(&self) -> &[SeriesRef] {
        match self {
            Self::One(series) => std::slice::from_ref(series),
            Self::Many(series) => series,
        }
    }
}

/// Which buckets an exponential histogram has had, so that it never has fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) scale: i32,
    /// First and last index of the buckets above zero.
    pub(super) above: Option<(i64, i64)>,
    /// The same below zero.
    pub(super) below: Option<(i64, i64)>,
}

/// All streams that are known.
#[derive(Debug, Default)]
pub(super) struct Known {
    streams: HashMap<Id, Members, foldhash::fast::RandomState>,
    spans: HashMap<Id, Span, foldhash::fast::RandomState>,
}

impl Known {
    pub(super) fn get(&self, id: Id) -> Option<&[SeriesRef]> {
        self.streams.get(&id).map(Members::as_slice)
    }

    pub(super) fn put(&mut self, id: Id, members: &[SeriesRef]) {
        let members = match members {
            [one] => Members::One(*one),
            many => Members::Many(many.into()),
        };
        self.streams.insert(id, members);
    }

    pub(super) fn span(&self, id: Id) -> Option<Span> {
        self.spans.get(&id).copied()
    }

    pub(super) fn put_span(&mut self, id: Id, span: Span) {
        self.spans.insert(id, span);
    }

    /// Forgets streams whose series are gone, if there are many.
    pub(super) fn clean(&mut self, writer: &Writer<'_>) {
        if self.streams.len() > 2 * writer.series() + SPARE {
            self.streams.retain(|_, members| {
                let mut all = members.as_slice().iter();
                all.all(|series| writer.is_there(*series))
            });
            self.streams.shrink_to(2 * self.streams.len());
        }
        // A span that is forgotten begins anew with the next point; rare, and
        // costs new series nothing but their past.
        if self.spans.len() > writer.series() + SPARE {
            self.spans.clear();
        }
    }
}
