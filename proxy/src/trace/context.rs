//! W3C Trace Context: who asked for a trace, and how the next hop is told.
//!
//! Section names are those of the Recommendation "Trace Context" (level 1;
//! what level 2 adds is understood). A `traceparent` that is malformed is as
//! good as none, and then `tracestate` has no meaning either (section 4.2).

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const SAMPLED: u8 = 0x01;
/// Level 2: the right-most bytes of the trace id are random.
const RANDOM: u8 = 0x02;
/// `00-<trace id>-<parent id>-<flags>` (section 3.2.2).
const VERSION_0_LENGTH: usize = 55;

/// The id of a trace. Never zero.
pub type TraceId = [u8; 16];
/// The id of a span. Never zero.
pub type SpanId = [u8; 8];

/// The `traceparent` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    flags: u8,
}

impl Parent {
    /// The only valid one, if there is one.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let first = all.next()?;
        match all.next() {
            None => Self::parse(first.as_bytes()),
            Some(_) => None,
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(VERSION_0_LENGTH)?;
        let parts = [known[2], known[35], known[52]];
        let [version] = unhex(&known[..2])?;
        let is_longer_ok = more.is_empty() || (version > 0 && more[0] == b'-');
        if parts != *b"---" || version == 0xff || !is_longer_ok {
            return None;
        }
        let trace_id: TraceId = unhex(&known[3..35])?;
        let span_id: SpanId = unhex(&known[36..52])?;
        let [flags] = unhex(&known[53..])?;
        if trace_id == TraceId::default() || span_id == SpanId::default() {
            return None;
        }
        Some(Self {
            trace_id,
            span_id,
            flags,
        })
    }

    pub(crate) fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// A trace that this request is part of, and is recorded in.
#[derive(Clone, Debug)]
pub(crate) struct TraceContext {
    pub(crate) trace_id: TraceId,
    /// The caller's span; None: the trace begins here.
    pub(crate) parent: Option<SpanId>,
    /// Our span of the whole request.
    pub(crate) server: SpanId,
    pub(crate) tracestate: String,
    flags: u8,
}

impl TraceContext {
    /// The part of `parent`'s trace that is ours.
    pub(crate) fn child(parent: Parent, headers: &HeaderMap) -> Self {
        let states = headers.get_all(TRACESTATE).iter();
        let states: Vec<&str> = states.filter_map(|state| state.to_str().ok()).collect();
        Self {
            trace_id: parent.trace_id,
            parent: Some(parent.span_id),
            server: new_span_id(),
            tracestate: states.join(","),
            flags: SAMPLED | (parent.flags & RANDOM),
        }
    }

    /// A trace that begins here.
    pub(crate) fn root(trace_id: TraceId) -> Self {
        Self {
            trace_id,
            parent: None,
            server: new_span_id(),
            tracestate: String::new(),
            flags: SAMPLED | RANDOM,
        }
    }

    /// Tells the next hop that `span` asks. A `tracestate` without a valid
    /// parent is dropped; any other passes as it came.
    pub(crate) fn propagate(&self, span: SpanId, headers: &mut HeaderMap) {
        let trace_id = hex(&self.trace_id);
        let text = format!("00-{trace_id}-{}-{:02x}", hex(&span), self.flags);
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(TRACEPARENT, value);
        }
        if self.parent.is_none() {
            headers.remove(TRACESTATE);
        }
    }
}

/// As many random bytes; never all zero.
pub(crate) fn new_trace_id() -> TraceId {
    fastrand::u128(1..).to_be_bytes()
}

pub(crate) fn new_span_id() -> SpanId {
    fastrand::u64(1..).to_be_bytes()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let pairs = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    pairs.map(digit).collect()
}

/// Lower case only (section 3.2.2).
fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn a_valid_parent_is_read() {
        for (text, is_sampled) in [
            (VALID.to_owned(), true),
            (VALID.replace("-01", "-00"), false),
            (VALID.replace("-01", "-03"), true),
            (VALID.replace("-01", "-fe"), false),
            // Later versions may add something behind a dash.
            (VALID.replacen("00-", "cc-", 1), true),
            (
                format!("{}-what-comes-later", VALID.replacen("00-", "01-", 1)),
                true,
            ),
        ] {
            let parent = Parent::of(&headers(&[(TRACEPARENT, &text)])).expect(&text);
            assert_eq!(hex(&parent.trace_id), "0af7651916cd43dd8448eb211c80319c");
            assert_eq!(hex(&parent.span_id), "b7ad6b7169203331");
            assert_eq!(parent.is_sampled(), is_sampled, "{text}");
        }
    }

    #[test]
    fn a_malformed_parent_is_none() {
        for text in [
            String::new(),
            "00".to_owned(),
            VALID.trim_end_matches('1').to_owned(),
            format!("{VALID}-more"),
            format!("{VALID}0"),
            format!("{}more", VALID.replacen("00-", "01-", 1)),
            VALID.replacen("00-", "ff-", 1),
            VALID.replacen("00-", "0g-", 1),
            VALID.to_uppercase(),
            VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            VALID.replace("0af7", "0ax7"),
            VALID.replace("b7ad", "b7Ad"),
            VALID.replace("-01", "-0x"),
            VALID.replace('-', "_"),
            format!(" {VALID}x"),
        ] {
            assert_eq!(Parent::parse(text.as_bytes()), None, "{text:?}");
        }
        let twice = headers(&[(TRACEPARENT, VALID), (TRACEPARENT, VALID)]);
        assert_eq!(Parent::of(&twice), None);
    }

    #[test]
    fn the_next_hop_is_told_of_our_span_and_keeps_the_state() {
        let mut headers = headers(&[
            (TRACEPARENT, VALID),
            (TRACESTATE, "a=1"),
            (TRACESTATE, "b=2"),
        ]);
        let parent = Parent::of(&headers).expect("valid");
        let ours = TraceContext::child(parent, &headers);
        assert_eq!(
            (ours.parent, ours.tracestate.as_str()),
            (Some(parent.span_id), "a=1,b=2")
        );
        ours.propagate([1, 2, 3, 4, 5, 6, 7, 0xff], &mut headers);
        assert_eq!(
            headers[TRACEPARENT],
            "00-0af7651916cd43dd8448eb211c80319c-01020304050607ff-01"
        );
        assert_eq!(headers.get_all(TRACESTATE).iter().count(), 2);

        TraceContext::root(new_trace_id()).propagate(new_span_id(), &mut headers);
        assert!(
            headers[TRACEPARENT]
                .to_str()
                .expect("ASCII")
                .ends_with("-03")
        );
        assert_eq!(headers.get(TRACESTATE), None);
    }
}
