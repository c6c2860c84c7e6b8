//! Outliers: endpoints that accept connections and then fail, time after time.
//!
//! Each endpoint counts its consecutive failures of three kinds; any good
//! answer sets them to zero. A request that goes well costs one relaxed load.
//! Who has too many leaves the rotation for a while (`eject.rs`), if enough
//! others are left: an application with a bug fails everywhere, and holding
//! its requests would help nobody. `Target` decides that; see
//! [`OutlierConfig`].

use http::StatusCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// When an endpoint is ejected for what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlierConfig {
    /// Consecutive 502, 503 and 504; 0: never.
    pub gateway_errors: u16,
    /// Consecutive 5xx of any kind; 0: never.
    pub server_errors: u16,
    /// Consecutive connections that broke without an answer, answers that are
    /// not HTTP, and answers that did not come in time; 0: never.
    pub broken: u16,
    /// At most this share of a target's endpoints, in percent, is ejected for
    /// answers; and never the last one.
    pub max_percent: u8,
}

impl Default for OutlierConfig {
    /// Envoy's five in a row; half of the set (Envoy: a tenth, but at least
    /// one).
    fn default() -> Self {
        Self {
            gateway_errors: 5,
            server_errors: 5,
            broken: 5,
            max_percent: 50,
        }
    }
}

/// One failure of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// 502, 503 or 504.
    Gateway,
    /// Any other 5xx.
    Server,
    /// No answer, or none that is HTTP.
    Broken,
}

impl Strike {
    /// What an answer with this status (5xx) is.
    pub(crate) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            502..=504 => Self::Gateway,
            _ => Self::Server,
        }
    }
}

/// Why an endpoint left the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EjectReason {
    /// No connection could be made.
    Connect,
    /// Consecutive 502, 503, 504.
    GatewayErrors,
    /// Consecutive 5xx.
    ServerErrors,
    /// Consecutive connections that broke, or answers that came too late.
    Broken,
}

impl EjectReason {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Connect,
        Self::GatewayErrors,
        Self::ServerErrors,
        Self::Broken,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::GatewayErrors => "gateway_errors",
            Self::ServerErrors => "server_errors",
            Self::Broken => "broken",
        }
    }
}

/// Consecutive failures: three counts of 16 bits in one word.
#[derive(Debug, Default)]
pub(super) struct Strikes(AtomicU64);

const GATEWAY: u32 = 0;
const SERVER: u32 = 16;
const BROKEN: u32 = 32;

impl Strikes {
    /// A good answer.
    pub(super) fn clear(&self) {
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    /// One more failure; says which limit it reaches, if any.
    pub(super) fn add(&self, strike: Strike, limits: &OutlierConfig) -> Option<EjectReason> {
        let count = |word: u64, at: u32| (word >> at) as u16;
        let next = |word: u64| {
            let up = |at| u64::from(count(word, at).saturating_add(1)) << at;
            let keep = |at| u64::from(count(word, at)) << at;
            match strike {
                Strike::Gateway => up(GATEWAY) | up(SERVER),
                Strike::Server => up(SERVER),
                Strike::Broken => keep(GATEWAY) | keep(SERVER) | up(BROKEN),
            }
        };
        let update = |word| Some(next(word));
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        let word = next(before.unwrap_or_else(|word| word));
        let reached = |at, limit: u16| limit != 0 && count(word, at) >= limit;
        if reached(GATEWAY, limits.gateway_errors) {
            Some(EjectReason::GatewayErrors)
        } else if reached(SERVER, limits.server_errors) {
            Some(EjectReason::ServerErrors)
        } else if reached(BROKEN, limits.broken) {
            Some(EjectReason::Broken)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(strikes: &[Strike], limits: &OutlierConfig) -> Option<EjectReason> {
        let count = Strikes::default();
        let reached = |_, &strike: &Strike| count.add(strike, limits);
        strikes.iter().fold(None, reached)
    }

    #[test]
    fn five_in_a_row_of_one_kind() {
        let limits = OutlierConfig::default();
        use Strike::{Broken, Gateway, Server};
        assert_eq!(last(&[Gateway; 4], &limits), None);
        assert_eq!(
            last(&[Gateway; 5], &limits),
            Some(EjectReason::GatewayErrors)
        );
        assert_eq!(last(&[Server; 5], &limits), Some(EjectReason::ServerErrors));
        assert_eq!(last(&[Broken; 5], &limits), Some(EjectReason::Broken));
        // Any 5xx is one of the server's, but only some are a gateway's.
        let mixed = [Server, Gateway, Gateway, Gateway, Gateway];
        assert_eq!(last(&mixed, &limits), Some(EjectReason::ServerErrors));
        // An answer, even a bad one, is no broken connection.
        let mixed = [Broken, Broken, Broken, Server, Broken, Broken];
        assert_eq!(last(&mixed, &limits), None);
    }

    #[test]
    fn each_kind_can_be_switched_off_and_a_good_answer_clears_all() {
        let limits = OutlierConfig {
            server_errors: 0,
            ..OutlierConfig::default()
        };
        assert_eq!(last(&[Strike::Server; 100], &limits), None);
        let count = Strikes::default();
        for _ in 0..20 {
            for _ in 0..4 {
                assert_eq!(count.add(Strike::Broken, &limits), None);
            }
            count.clear();
        }
    }
}
