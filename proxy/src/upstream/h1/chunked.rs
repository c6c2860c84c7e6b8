//! Chunked bodies of answers (RFC 9112 section 7.1).

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;

/// Most bytes of all extensions in one body. They carry nothing that anybody
/// uses and could be sent without end.
const MOST_EXTENSION_BYTES: usize = 16 * 1024;
/// The largest trailer section.
const MOST_TRAILER_BYTES: usize = 16 * 1024;
const MOST_TRAILER_FIELDS: usize = 64;

/// Takes a chunked body apart. Frames are parts of the input, not copies.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    extension_bytes: usize,
}

#[derive(Debug)]
enum State {
    /// In the digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind them, up to the end of the line.
    Extension {
        size: u64,
        begun: bool,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// Behind the last chunk: lines up to an empty one.
    Trailers(Vec<u8>),
    Ended,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            state: FIRST,
            extension_bytes: 0,
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Takes the next frame from `input`; None if the body has ended or more
    /// input is needed.
    ///
    /// # Errors
    /// Says what is wrong with the input.
    pub(super) fn next(&mut self, input: &mut Bytes) -> Result<Option<Frame<Bytes>>, &'static str> {
        loop {
            if let State::Data { left } = &mut self.state {
                if input.is_empty() {
                    return Ok(None);
                }
                let count =
                    usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= count as u64;
                if *left == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Some(Frame::data(input.split_to(count))));
            }
            if self.is_ended() {
                return Ok(None);
            }
            let Some(&byte) = input.first() else {
                return Ok(None);
            };
            input.advance(1);
            if let Some(trailers) = self.step(byte)? {
                return Ok(Some(Frame::trailers(trailers)));
            }
        }
    }

    /// One byte that is no data.
    fn step(&mut self, byte: u8) -> Result<Option<HeaderMap>, &'static str> {
        self.state = match &mut self.state {
            State::Size { size, digits } => match (byte, *digits) {
                (_, _) if byte.is_ascii_hexdigit() => {
                    let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                    if *digits == 16 {
                        return Err("a chunk size that is too large");
                    }
                    State::Size {
                        size: (*size << 4) | digit,
                        digits: *digits + 1,
                    }
                }
                (_, 0) => return Err("a chunk without a size"),
                (b'\r', _) => State::SizeLf { size: *size },
                (b';', _) => State::Extension {
                    size: *size,
                    begun: true,
                },
                (b' ' | b'\t', _) => State::Extension {
                    size: *size,
                    begun: false,
                },
                _ => return Err("an invalid chunk size"),
            },
            State::Extension { size, begun } => {
                self.extension_bytes += 1;
                if self.extension_bytes > MOST_EXTENSION_BYTES {
                    return Err("chunk extensions that are too large");
                }
                match byte {
                    b'\r' => State::SizeLf { size: *size },
                    b'\n' => return Err("a bare line feed in a chunk extension"),
                    b';' => State::Extension {
                        size: *size,
                        begun: true,
                    },
                    b' ' | b'\t' => return Ok(None),
                    _ if *begun => return Ok(None),
                    _ => return Err("an invalid chunk size"),
                }
            }
            State::SizeLf { size } => match (byte, *size) {
                (b'\n', 0) => State::Trailers(Vec::new()),
                (b'\n', left) => State::Data { left },
                _ => return Err("a chunk size without a line end"),
            },
            State::DataCr if byte == b'\r' => State::DataLf,
            State::DataLf if byte == b'\n' => FIRST,
            State::DataCr | State::DataLf => return Err("a chunk that does not end"),
            State::Trailers(bytes) => {
                bytes.push(byte);
                if byte != b'\n' || !(bytes == b"\r\n" || bytes.ends_with(b"\r\n\r\n")) {
                    if bytes.len() > MOST_TRAILER_BYTES {
                        return Err("a trailer section that is too large");
                    }
                    return Ok(None);
                }
                let trailers = trailers(bytes)?;
                self.state = State::Ended;
                return Ok(trailers);
            }
            // Not asked for another byte.
            State::Data { .. } | State::Ended => return Ok(None),
        };
        Ok(None)
    }
}

const FIRST: State = State::Size { size: 0, digits: 0 };

/// The fields of a trailer section; None if there are none. Which of them may
/// be trailers, `http/trailers.rs` knows.
fn trailers(section: &[u8]) -> Result<Option<HeaderMap>, &'static str> {
    const INVALID: &str = "an invalid trailer section";
    if section == b"\r\n" {
        return Ok(None);
    }
    let mut fields = [httparse::EMPTY_HEADER; MOST_TRAILER_FIELDS];
    let (_, fields) = match httparse::parse_headers(section, &mut fields) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        _ => return Err(INVALID),
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| INVALID)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| INVALID)?;
        trailers.append(name, value);
    }
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests;
