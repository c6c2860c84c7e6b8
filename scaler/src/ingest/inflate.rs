//! Takes compression off, never more than is allowed: 100 MB of zeros are 100
//! KB of gzip, and must cost no more than that.

use flate2::bufread::MultiGzDecoder;
use std::io::{self, Read};
use thiserror::Error;

/// zstd may ask for a window of 2 GiB; this is what its own tools allow at
/// most without being asked: 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// From a `content-encoding`.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name.trim() {
            "" | "identity" => Some(Self::Identity),
            name if name.eq_ignore_ascii_case("gzip") => Some(Self::Gzip),
            name if name.eq_ignore_ascii_case("zstd") => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Why it could not be taken off.
#[derive(Debug, Error)]
pub(super) enum InflateError {
    #[error("more than {0} bytes after decompression")]
    TooLarge(usize),
    #[error("the compressed body is damaged: {0}")]
    Damaged(#[from] io::Error),
}

/// The bytes without compression, at most `most`.
pub(super) fn inflate(
    encoding: Encoding,
    body: bytes::Bytes,
    most: usize,
) -> Result<bytes::Bytes, InflateError> {
    let inflated = match encoding {
        Encoding::Identity if body.len() > most => return Err(InflateError::TooLarge(most)),
        Encoding::Identity => return Ok(body),
        Encoding::Gzip => read(MultiGzDecoder::new(&*body), body.len(), most),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&*body)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            read(decoder, body.len(), most)
        }
    };
    inflated.map(bytes::Bytes::from)
}

fn read(from: impl Read, compressed: usize, most: usize) -> Result<Vec<u8>, InflateError> {
    // One byte more than is allowed tells that there is more.
    let limit = most as u64 + 1;
    let mut to = Vec::with_capacity(most.min(compressed.saturating_mul(4)));
    let length = from.take(limit).read_to_end(&mut to)?;
    if length > most {
        return Err(InflateError::TooLarge(most));
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let text = b"some text, some text".repeat(100);
        let zstd = zstd::encode_all(&*text, 0).unwrap().into();
        for (encoding, body) in [
            (Encoding::Identity, Bytes::from(text.clone())),
            (Encoding::Gzip, gzip(&text)),
            (Encoding::Zstd, zstd),
        ] {
            let inflated = inflate(encoding, body.clone(), text.len()).unwrap();
            assert_eq!(inflated, text, "{encoding:?}");
            let more = inflate(encoding, body, text.len() - 1);
            assert!(
                matches!(more, Err(InflateError::TooLarge(1999))),
                "{more:?}"
            );
        }
    }

    #[test]
    fn damaged_bodies_are_errors() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let body = Bytes::from_static(b"not compressed at all");
            let error = inflate(encoding, body, 100);
            assert!(matches!(error, Err(InflateError::Damaged(_))), "{error:?}");
        }
        let cut = gzip(&[7; 1000]).slice(..15);
        assert!(inflate(Encoding::Gzip, cut, 10_000).is_err());
    }

    #[test]
    fn names_are_read_without_regard_to_case() {
        assert_eq!(Encoding::from_name("GZIP"), Some(Encoding::Gzip));
        assert_eq!(Encoding::from_name(" zstd"), Some(Encoding::Zstd));
        assert_eq!(Encoding::from_name("br"), None);
    }
}
