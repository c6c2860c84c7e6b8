//! Heads of answers (RFC 9112 sections 4 to 6).

use super::{
    arena, names,
    plain::{Field, PLAIN_FIELDS, Plain},
};
use crate::http::length;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::ext::ReasonPhrase;
use std::{mem::MaybeUninit, ops::Range};

/// The largest head of an answer.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// What is said of a larger one.
pub(super) const TOO_LARGE: &str = "an answer whose head is too large";
/// Most fields in one.
const MOST_FIELDS: usize = 128;

/// How the end of an answer's body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// What an answer's head says, its headers apart.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// Where it differs from the usual one.
    pub(super) reason: Option<ReasonPhrase>,
    pub(super) framing: Framing,
    /// Another request may follow on the connection.
    pub(super) keeps_alive: bool,
}

/// A complete head.
pub(super) enum Parsed {
    /// 1xx but 101: the answer is yet to come. With the bytes it took.
    Interim(StatusCode, usize),
    /// With what came behind it.
    Final(Head, Bytes),
}

/// Parses a head at the start of `bytes`, the answer to a request with
/// `method`. The headers of a final one replace `headers`. None: more bytes
/// are needed.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn parse(
    bytes: &[u8],
    method: &Method,
    headers: &mut HeaderMap,
) -> Result<Option<Parsed>, &'static str> {
    // Nearly all of them are plain.
    let mut fields = [const { Field::EMPTY }; PLAIN_FIELDS];
    if let Some(plain) = Plain::find(bytes, &mut fields) {
        let lines = plain.fields.iter().map(|field| {
            let name = bytes.get(field.start..field.colon).unwrap_or_default();
            (name, field.colon + 1..field.end)
        });
        let line = (plain.status, None, true);
        return read(bytes, plain.end, line, lines, method, headers).map(Some);
    }
    parse_any(bytes, method, headers)
}

/// Likewise, whatever it looks like.
#[cold]
fn parse_any(
    bytes: &[u8],
    method: &Method,
    headers: &mut HeaderMap,
) -> Result<Option<Parsed>, &'static str> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut head = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let end = match parser.parse_response_with_uninit_headers(&mut head, bytes, &mut fields) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("an answer with too many headers"),
        Err(_) => return Err("an answer whose head is not HTTP/1"),
    };
    let status = head.code.ok_or("an answer without a status")?;
    let status = StatusCode::from_u16(status).map_err(|_| "an answer with an invalid status")?;
    if end <= MOST_BYTES && status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Some(Parsed::Interim(status, end)));
    }
    let lines = head.headers.iter().map(|field| {
        let at = field.value.as_ptr().addr() - bytes.as_ptr().addr();
        (field.name.as_bytes(), at..at + field.value.len())
    });
    let line = (status, head.reason, head.version == Some(1));
    read(bytes, end, line, lines, method, headers).map(Some)
}

/// A whole final head that ends at `end`: its status, its reason, whether it
/// is of HTTP/1.1, and its lines as names and where their values are.
fn read<'b>(
    bytes: &'b [u8],
    end: usize,
    (status, reason, is_http_11): (StatusCode, Option<&str>, bool),
    lines: impl Iterator<Item = (&'b [u8], Range<usize>)>,
    method: &Method,
    headers: &mut HeaderMap,
) -> Result<Parsed, &'static str> {
    if end > MOST_BYTES {
        return Err(TOO_LARGE);
    }
    let all = arena::copy(bytes);
    headers.clear();
    let mut fields = Fields::default();
    for (name, at) in lines {
        let name = names::read(name).map_err(|_| "an answer with an invalid header name")?;
        let at = trimmed(bytes, at);
        let value = HeaderValue::from_maybe_shared(all.slice(at))
            .map_err(|_| "an answer with an invalid header value")?;
        if fields.look(&name, &value)? == Scope::EndToEnd {
            headers.append(name, value);
        }
    }
    if fields.transfer_encoding.is_some() && fields.length.is_some() {
        // The former wins, and the latter must not be passed on.
        headers.remove(header::CONTENT_LENGTH);
    }
    let head = Head {
        status,
        reason: reason.and_then(|reason| unusual(status, reason)),
        framing: fields.framing(status, method, is_http_11)?,
        keeps_alive: fields.keeps_alive(is_http_11),
    };
    Ok(Parsed::Final(head, all.slice(end..)))
}

/// The part without spaces around it (RFC 9112 section 5.1).
fn trimmed(bytes: &[u8], at: Range<usize>) -> Range<usize> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let Range { mut start, mut end } = at;
    while start < end && is_space(bytes.get(start)) {
        start += 1;
    }
    while start < end && is_space(bytes.get(end - 1)) {
        end -= 1;
    }
    start..end
}

pub(super) fn unusual(status: StatusCode, reason: &str) -> Option<ReasonPhrase> {
    if reason.is_empty() || status.canonical_reason() == Some(reason) {
        return None;
    }
    ReasonPhrase::try_from(reason.as_bytes()).ok()
}

/// How far a field goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Further than this connection, or not known not to.
    EndToEnd,
    /// It has told us all that it has to tell.
    ThisHop,
}

/// The fields that the framing depends on.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    /// Whether its last coding is `chunked`.
    transfer_encoding: Option<bool>,
    close: bool,
    keep_alive: bool,
}

impl Fields {
    fn look(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<Scope, &'static str> {
        // Told apart by length first: most fields are none of them.
        let letters = name.as_str().len();
        if letters == 14 && name == header::CONTENT_LENGTH {
            for text in value.as_bytes().split(|&byte| byte == b',') {
                let length =
                    length::parse(text).ok_or("an answer with an invalid Content-Length")?;
                if self.length.is_some_and(|known| known != length) {
                    return Err("an answer with several Content-Lengths");
                }
                self.length = Some(length);
            }
        } else if letters == 17 && name == header::TRANSFER_ENCODING {
            let last = value.as_bytes().rsplit(|&byte| byte == b',').next();
            let last = last.unwrap_or_default().trim_ascii();
            self.transfer_encoding = Some(last.eq_ignore_ascii_case(b"chunked"));
            return Ok(Scope::ThisHop);
        } else if letters == 10 && name == header::CONNECTION {
            let mut names_others = false;
            for token in value.as_bytes().split(|&byte| byte == b',') {
                let token = token.trim_ascii();
                let close = token.eq_ignore_ascii_case(b"close");
                let keep_alive = token.eq_ignore_ascii_case(b"keep-alive");
                self.close |= close;
                self.keep_alive |= keep_alive;
                names_others |= !close && !keep_alive;
            }
            if !names_others {
                return Ok(Scope::ThisHop);
            }
        }
        Ok(Scope::EndToEnd)
    }

    fn framing(
        &self,
        status: StatusCode,
        method: &Method,
        is_http_11: bool,
    ) -> Result<Framing, &'static str> {
        let has_no_body = method == Method::HEAD
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
            || status == StatusCode::SWITCHING_PROTOCOLS;
        Ok(match (self.transfer_encoding, self.length) {
            (Some(_), _) if !is_http_11 => {
                return Err("an HTTP/1.0 answer with a Transfer-Encoding");
            }
            _ if has_no_body => Framing::Length(0),
            (Some(true), _) => Framing::Chunked,
            (Some(false), _) => Framing::UntilClose,
            (None, Some(length)) => Framing::Length(length),
            (None, None) => Framing::UntilClose,
        })
    }

    /// RFC 9112 section 9.3. Ambiguous framing ends it too (section 6.3).
    fn keeps_alive(&self, is_http_11: bool) -> bool {
        let ambiguous = self.transfer_encoding.is_some() && self.length.is_some();
        !self.close && !ambiguous && (is_http_11 || self.keep_alive)
    }
}

#[cfg(test)]
mod tests;
