//! Counts of what clients were refused because of how they asked, whatever
//! route it was for. Control shows them as `reveille_refused_total`.

use super::conn::ConnectionError;
use crate::error::Refusal;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a client was refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedFor {
    /// It is no request, or one that could be read in two ways.
    Malformed,
    /// Its head is too large, or has too many headers.
    HeadTooLarge,
    /// What came breaks the rules of HTTP/2 for a connection.
    Protocol,
    /// There are as many connections as are allowed.
    Connections,
    /// It opened HTTP/2 streams just to reset them.
    Resets,
    /// There are as many upgraded connections as are allowed.
    Upgrades,
}

impl RefusedFor {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 6] = [
        Self::Malformed,
        Self::HeadTooLarge,
        Self::Protocol,
        Self::Connections,
        Self::Resets,
        Self::Upgrades,
    ];

    /// Its name as a metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::HeadTooLarge => "head_too_large",
            Self::Protocol => "protocol",
            Self::Connections => "connections",
            Self::Resets => "resets",
            Self::Upgrades => "upgrades",
        }
    }

    /// The one that a refusal is counted under, if it is one of these.
    pub(crate) fn of(refusal: &Refusal) -> Option<Self> {
        match refusal {
            Refusal::BadRequest(_) | Refusal::UnknownCoding | Refusal::Connect => {
                Some(Self::Malformed)
            }
            Refusal::TooManyUpgrades => Some(Self::Upgrades),
            _ => None,
        }
    }

    /// The one that the end of a connection is counted under. hyper and h2
    /// answer by themselves where there is an answer to give.
    pub(super) fn of_connection(error: &ConnectionError) -> Option<Self> {
        match error {
            ConnectionError::Http1(error) if error.is_parse_too_large() => Some(Self::HeadTooLarge),
            ConnectionError::Http1(error) => error.is_parse().then_some(Self::Malformed),
            // What the client says is its own affair, and so is that it left.
            ConnectionError::Http2(error) if error.is_remote() || error.is_io() => None,
            ConnectionError::Http2(error) => match error.reason() {
                Some(h2::Reason::ENHANCE_YOUR_CALM) => Some(Self::Resets),
                Some(h2::Reason::NO_ERROR) | None => None,
                Some(_) => Some(Self::Protocol),
            },
        }
    }
}

/// How often clients were refused something, by reason.
#[derive(Debug, Default)]
pub struct Refused([AtomicU64; RefusedFor::ALL.len()]);

impl Refused {
    pub(crate) fn count(&self, reason: RefusedFor) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often for this reason.
    #[must_use]
    pub fn read(&self, reason: RefusedFor) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }
}
