//! The body of an answer, plain or compressed with gzip, on its way to the page
//! that it is.
//!
//! Decompressed as it comes, so that a hundred megabytes of zeros stop at the
//! page's limit.

use super::page::{BadPage, Page, Reader};
use flate2::write::MultiGzDecoder;
use std::io::{self, Write};

/// What can be wrong with a body.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadBody {
    #[error(transparent)]
    Page(#[from] BadPage),
    #[error("the compressed page is damaged: {0}")]
    Damaged(io::Error),
}

/// A body that is being read.
pub(super) enum Body {
    Plain(Box<Reader>),
    Gzip(Box<MultiGzDecoder<Feed>>),
}

/// Hands on to the page what was decompressed, and keeps what it refuses.
pub(super) struct Feed(Reader);

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.feed(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Body {
    /// By a `content-encoding`; `None` for one that was not asked for.
    pub(super) fn new(encoding: &str, reader: Reader) -> Option<Self> {
        match encoding.trim() {
            "" | "identity" => Some(Self::Plain(Box::new(reader))),
            name if name.eq_ignore_ascii_case("gzip") => {
                Some(Self::Gzip(Box::new(MultiGzDecoder::new(Feed(reader)))))
            }
            _ => None,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), BadBody> {
        match self {
            Self::Plain(reader) => Ok(reader.feed(bytes)?),
            Self::Gzip(gzip) => gzip.write_all(bytes).map_err(refused),
        }
    }

    pub(super) fn finish(self) -> Result<Page, BadBody> {
        let reader = match self {
            Self::Plain(reader) => *reader,
            Self::Gzip(gzip) => gzip.finish().map_err(refused)?.0,
        };
        Ok(reader.finish()?)
    }
}

fn refused(error: io::Error) -> BadBody {
    let page = error.get_ref().and_then(|inner| inner.downcast_ref());
    match page {
        Some(page) => BadBody::Page(*page),
        None => BadBody::Damaged(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ingest::prometheus::{Format, PageLimits, filter::Filter},
        series::{Limits, Store},
    };
    use flate2::{Compression, write::GzEncoder};
    use std::sync::Arc;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(encoding: &str, chunks: &[&[u8]]) -> Result<Page, BadBody> {
        let store = Store::new(Limits::default());
        let allowed = ["a".parse().unwrap()];
        let filter = Arc::new(Filter::new(allowed.into(), store.needed_names()));
        let reader = Reader::new(Format::Text, PageLimits::default(), filter);
        let mut body = Body::new(encoding, reader).expect("known");
        for chunk in chunks {
            body.feed(chunk)?;
        }
        body.finish()
    }

    #[test]
    fn both_ways_give_the_page() {
        let packed = gzip(b"a 1\nb 2\n");
        let halves = packed.split_at(11);
        for (encoding, chunks) in [
            ("", vec![&b"a 1\n"[..], b"b 2\n"]),
            ("identity", vec![b"a 1\nb 2\n"]),
            ("gzip", vec![&packed]),
            ("GZip", vec![halves.0, halves.1]),
        ] {
            assert_eq!(read(encoding, &chunks).unwrap().samples.len(), 1);
        }
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let store = Store::new(Limits::default());
        let filter = Arc::new(Filter::new(Arc::new([]), store.needed_names()));
        let reader = Reader::new(Format::Text, PageLimits::default(), filter);
        assert!(Body::new("br", reader).is_none());
    }

    #[test]
    fn a_hundred_megabytes_of_zeros_stop_at_the_limit() {
        let bomb = gzip(&vec![0; 100 << 20]);
        assert!(bomb.len() < 200_000);
        let refused = read("gzip", &[&bomb]);
        let Err(BadBody::Page(bad)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(bad, BadPage::TooLarge(16 << 20));
    }

    #[test]
    fn damaged_and_cut_off_bodies_are_errors() {
        let packed = gzip(b"a 1\n");
        let cut = &packed[..packed.len() - 3];
        for body in [&b"not compressed at all"[..], cut] {
            let refused = read("gzip", &[body]);
            assert!(matches!(refused, Err(BadBody::Damaged(_))), "{refused:?}");
        }
    }
}
