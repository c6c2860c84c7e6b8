//! Sessions: a cookie that keeps one client with one endpoint.
//!
//! The cookie is all the state there is. Its value, as in the HTTP add-on, is
//! `<opaque>.<unix seconds>`: which endpoint, and when the session began. The
//! opaque part is a keyed hash of the endpoint's name and address, and a tag
//! over that and the time (HMAC-SHA256). So it tells nobody an address; a
//! client that makes one up, or a younger age, is a client without a session;
//! and whatever it says, it can only choose among the endpoints of its route.
//!
//! Every replica of the proxy that knows the same route derives the same key.
//! Without a secret ([`SessionKey::new`]) that is the route's name alone:
//! enough to hide addresses, but then a client that reads this can compute the
//! value for an endpoint whose name and address it knows.

use crate::{
    endpoint::{Endpoint, EndpointSet},
    target::TargetId,
};
use ::http::{HeaderMap, HeaderValue, header};
use arc_swap::ArcSwapOption;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const ID_BYTES: usize = 12;
const TAG_BYTES: usize = 12;
/// Of the opaque part, in base64.
const OPAQUE_CHARS: usize = (ID_BYTES + TAG_BYTES) / 3 * 4;
/// How far the clocks of two replicas may be apart.
const CLOCK_SKEW_S: u64 = 60;

/// Which endpoint a session is with: a keyed hash of its name and address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId([u8; ID_BYTES]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// What the cookies of one route are made with.
#[derive(Clone)]
pub struct SessionKey(Hmac<Sha256>);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey")
    }
}

impl SessionKey {
    /// The key of `route`: from its name and `secret`, which all replicas must
    /// share; without one, from its name alone.
    #[must_use]
    pub fn new(secret: Option<&[u8]>, route: &TargetId) -> Self {
        let mut mac = hmac(secret.unwrap_or_default());
        mac.update(b"reveille session\0");
        mac.update(route.to_string().as_bytes());
        Self(hmac(&mac.finalize().into_bytes()))
    }
}

/// A route's sessions.
pub struct Session {
    cookie: Box<str>,
    key: SessionKey,
    longest_s: Option<u64>,
    /// The endpoints of the set that was asked for last.
    members: ArcSwapOption<Members>,
}

/// The endpoints of one set by their ids.
struct Members {
    set: Weak<EndpointSet>,
    by_id: Vec<(SessionId, usize)>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("cookie", &self.cookie)
            .field("longest_s", &self.longest_s)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Sessions by a cookie of the name `cookie` (an RFC 6265 token; `None`:
    /// [`Session::default_cookie`]) that end after `longest`, in whole seconds.
    #[must_use]
    pub fn new(
        route: &TargetId,
        cookie: Option<&str>,
        key: SessionKey,
        longest: Option<Duration>,
    ) -> Self {
        Self {
            cookie: cookie.map_or_else(|| Self::default_cookie(route), Into::into),
            key,
            longest_s: longest.map(|longest| longest.as_secs()),
            members: ArcSwapOption::empty(),
        }
    }

    /// `keda-session-` and the first four bytes of the SHA-256 of the route's
    /// `namespace/name`, as the HTTP add-on names it.
    #[must_use]
    pub fn default_cookie(route: &TargetId) -> Box<str> {
        let hash = Sha256::digest(route.to_string().as_bytes());
        let first = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        format!("keda-session-{first:08x}").into()
    }

    /// The session that a request with these headers goes on with. Nothing if
    /// it has none, or one that is over or was never given.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Option<SessionId> {
        let now_s = unix_seconds();
        let lines = headers.get_all(header::COOKIE).iter();
        let pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == &*self.cookie)
            .find_map(|(_, value)| self.read_value(value, now_s))
    }

    fn read_value(&self, value: &str, now_s: u64) -> Option<SessionId> {
        let (opaque, since) = value.split_once('.')?;
        if opaque.len() != OPAQUE_CHARS || !since.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut bytes = [0; ID_BYTES + TAG_BYTES];
        URL_SAFE_NO_PAD.decode_slice(opaque, &mut bytes).ok()?;
        let (id, tag) = bytes.split_first_chunk()?;
        let since_s: u64 = since.parse().ok()?;
        let is_over = self
            .longest_s
            .is_some_and(|longest_s| now_s.saturating_sub(since_s) >= longest_s);
        if is_over || since_s > now_s + CLOCK_SKEW_S {
            return None;
        }
        let id = SessionId(*id);
        self.tagged(id, since_s).verify_truncated_left(tag).ok()?;
        Some(id)
    }

    /// The place in `set` of the endpoint that the session is with, if it is
    /// still there.
    pub(crate) fn find(&self, set: &Arc<EndpointSet>, id: SessionId) -> Option<usize> {
        let members = self.members.load();
        let is_present =
            |members: &&Arc<Members>| std::ptr::eq(members.set.as_ptr(), &raw const **set);
        if let Some(members) = members.as_ref().filter(is_present) {
            return members.find(id);
        }
        let mut by_id: Vec<_> = set
            .iter()
            .enumerate()
            .map(|(index, endpoint)| (self.id_of(endpoint), index))
            .collect();
        by_id.sort_unstable();
        let members = Members {
            set: Arc::downgrade(set),
            by_id,
        };
        let found = members.find(id);
        self.members.store(Some(Arc::new(members)));
        found
    }

    /// What a session with `endpoint` is called.
    pub(crate) fn id_of(&self, endpoint: &Endpoint) -> SessionId {
        let mut mac = self.key.0.clone();
        mac.update(b"endpoint\0");
        mac.update(endpoint.name().as_bytes());
        mac.update(b"\0");
        mac.update(endpoint.addr().to_string().as_bytes());
        let hash = mac.finalize().into_bytes();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&hash[..ID_BYTES]);
        SessionId(id)
    }

    /// The `Set-Cookie` that begins a session with `endpoint` now. `is_secure`:
    /// the client came by TLS.
    pub(crate) fn set_cookie(&self, endpoint: &Endpoint, is_secure: bool) -> HeaderValue {
        let value = self.value(self.id_of(endpoint), unix_seconds());
        let secure = if is_secure { "; Secure" } else { "" };
        let cookie = &self.cookie;
        let line = format!("{cookie}={value}; Path=/; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(line).expect("a token, base64 and digits")
    }

    fn value(&self, id: SessionId, since_s: u64) -> String {
        let tag = self.tagged(id, since_s).finalize().into_bytes();
        let mut bytes = [0; ID_BYTES + TAG_BYTES];
        bytes[..ID_BYTES].copy_from_slice(&id.0);
        bytes[ID_BYTES..].copy_from_slice(&tag[..TAG_BYTES]);
        format!("{}.{since_s}", URL_SAFE_NO_PAD.encode(bytes))
    }

    fn tagged(&self, id: SessionId, since_s: u64) -> Hmac<Sha256> {
        let mut mac = self.key.0.clone();
        mac.update(b"session\0");
        mac.update(&id.0);
        mac.update(&since_s.to_be_bytes());
        mac
    }
}

impl Members {
    fn find(&self, id: SessionId) -> Option<usize> {
        let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.by_id[at].1)
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104)")
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Protocol;

    fn route(name: &str) -> TargetId {
        TargetId::new("default", name)
    }

    fn session(name: &str, secret: Option<&[u8]>, longest_s: Option<u64>) -> Session {
        let key = SessionKey::new(secret, &route(name));
        let longest = longest_s.map(Duration::from_secs);
        Session::new(&route(name), None, key, longest)
    }

    fn endpoint(port: u16) -> Endpoint {
        Endpoint::new(([10, 1, 2, 3], port).into(), "web-0", Protocol::Http1, 1)
    }

    #[test]
    fn the_cookie_is_called_as_the_add_on_calls_it() {
        // printf default/web | sha256sum
        assert_eq!(
            &*Session::default_cookie(&route("web")),
            "keda-session-82b3ade9"
        );
    }

    #[test]
    fn a_value_that_was_given_is_read_again_by_any_replica_of_the_same_key() {
        let secrets: [Option<&[u8]>; 2] = [None, Some(b"s3cret")];
        for secret in secrets {
            let (one, other) = (session("web", secret, None), session("web", secret, None));
            let id = one.id_of(&endpoint(80));
            let value = one.value(id, 1_000);
            assert_eq!(other.read_value(&value, 1_000_000), Some(id));
            assert_eq!(session("api", secret, None).read_value(&value, 1_000), None);
            let elsewhere = session("web", Some(b"other"), None);
            assert_eq!(elsewhere.read_value(&value, 1_000), None);
            assert_ne!(id, one.id_of(&endpoint(81)));
        }
    }

    #[test]
    fn a_session_ends_with_its_time_to_the_second() {
        let session = session("web", None, Some(60));
        let value = session.value(session.id_of(&endpoint(80)), 1_000);
        assert!(session.read_value(&value, 1_059).is_some());
        assert!(session.read_value(&value, 1_060).is_none());
        assert!(session.read_value(&value, 950).is_some(), "clocks differ");
        assert!(session.read_value(&value, 900).is_none(), "so much?");
    }

    #[test]
    fn what_was_not_given_is_no_session() {
        let session = session("web", None, None);
        let good = session.value(session.id_of(&endpoint(80)), 1_000);
        assert!(session.read_value(&good, 1_000).is_some());
        let younger = good.replace(".1000", ".1001");
        let other_id = format!("{}{good}", if good.starts_with('A') { 'B' } else { 'A' });
        let other_id: String = other_id
            .chars()
            .take(1)
            .chain(good.chars().skip(1))
            .collect();
        let cut: String = good.chars().skip(1).collect();
        for bad in [
            "",
            ".",
            "10.1.2.3:80",
            &younger,
            &other_id,
            &cut,
            &good.replace(".1000", ""),
            &good.replace(".1000", ".+1000"),
            &good.replace(".1000", ".99999999999999999999999"),
            &good.replace('.', ".."),
        ] {
            assert_eq!(session.read_value(bad, 1_000), None, "{bad:?}");
        }
    }

    #[test]
    fn it_is_found_among_other_cookies_and_says_no_address() {
        let session = session("web", None, None);
        let line = session.set_cookie(&endpoint(80), true);
        let line = line.to_str().expect("ASCII").to_owned();
        assert!(!line.contains("10.1") && !line.contains("web-0"), "{line}");
        let (pair, attributes) = line.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Secure");
        let mut headers = HeaderMap::new();
        let name = Session::default_cookie(&route("web"));
        for line in ["a=1; b", &format!("{name}=bad; {pair};c=2")] {
            headers.append(header::COOKIE, line.parse().expect("a value"));
        }
        let id = session.id_of(&endpoint(80));
        assert_eq!(session.read(&headers), Some(id));

        let set = |ports: &[u16]| {
            let all = ports.iter().map(|&port| Arc::new(endpoint(port)));
            Arc::new(EndpointSet::new(all.collect()))
        };
        let (one, two) = (set(&[70, 80, 90]), set(&[80]));
        assert_eq!(session.find(&one, id), Some(1));
        assert_eq!(session.find(&two, id), Some(0));
        assert_eq!(session.find(&one, id), Some(1));
        assert_eq!(session.find(&set(&[70]), id), None);
    }
}
