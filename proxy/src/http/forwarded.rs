//! What endpoints are told about the client: `X-Forwarded-*`.
//!
//! Of a stranger, only what we see ourselves; of a trusted peer, also what it
//! says. The tests are with the rewriting of whole heads (`headers.rs`).

use crate::server::{FORWARDED_FOR, Peer};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
};
pub(super) const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Does the client, as far as we are told, use TLS?
pub(crate) fn came_by_tls(headers: &HeaderMap, peer: &Peer) -> bool {
    let proto = match headers.get(PROTO) {
        Some(proto) if peer.is_trusted => proto,
        _ => peer.transport.scheme_value(),
    };
    proto.as_bytes().eq_ignore_ascii_case(b"https")
}

/// What a stranger says about earlier hops is not passed on.
pub(crate) fn forget(headers: &mut HeaderMap) {
    for name in [FORWARDED_FOR, HOST, PROTO, PORT] {
        headers.remove(name);
    }
}

/// What the endpoint is told about a stranger's request, whose headers say
/// nothing of it.
pub(crate) fn of_stranger<'h>(
    headers: &'h HeaderMap,
    peer: &'h Peer,
) -> impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)> {
    static FOR: HeaderName = FORWARDED_FOR;
    static HOST_NAME: HeaderName = HOST;
    static PROTO_NAME: HeaderName = PROTO;
    let host = headers.get(header::HOST).map(|host| (&HOST_NAME, host));
    let always: [(&'h HeaderName, &'h HeaderValue); 2] = [
        (&FOR, &peer.ip),
        (&PROTO_NAME, peer.transport.scheme_value()),
    ];
    always.into_iter().chain(host)
}

/// Likewise, in the headers themselves.
pub(crate) fn name_stranger(headers: &mut HeaderMap, peer: &Peer) {
    let fields: Vec<_> = of_stranger(headers, peer)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    headers.extend(fields);
}

/// Tells the endpoint who asks through a trusted peer: what that says about
/// earlier hops stays, with its own address appended. `Forwarded` (RFC 7239)
/// is not ours and passes through.
pub(super) fn name_trusted(headers: &mut HeaderMap, peer: &Peer) {
    match headers.entry(FORWARDED_FOR) {
        Entry::Vacant(entry) => {
            entry.insert(peer.ip.clone());
        }
        Entry::Occupied(entry) => {
            let given: Vec<&[u8]> = entry.iter().map(HeaderValue::as_bytes).collect();
            let mut all = given.join(&b", "[..]);
            all.extend_from_slice(b", ");
            all.extend_from_slice(peer.ip.as_bytes());
            if let Ok(all) = HeaderValue::from_bytes(&all) {
                headers.insert(FORWARDED_FOR, all);
            }
        }
    }
    if !headers.contains_key(HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(HOST, host);
    }
    if let Entry::Vacant(entry) = headers.entry(PROTO) {
        entry.insert(peer.transport.scheme_value().clone());
    }
}
