//! What became of each request of the soak.

use anyhow::Result;
use http::StatusCode;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;

/// The end of one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// What was expected.
    Answered,
    /// The proxy's own answer, with a reason: 502, 503, 504.
    Refused(StatusCode),
    /// The backend died when a part of the answer was passed on.
    Cut,
    /// The client left on purpose.
    Left,
    /// No answer, or one that nobody may give.
    Lost(String),
}

/// Counts of one kind of request.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) answered: u64,
    pub(super) refused: u64,
    pub(super) cut: u64,
    pub(super) left: u64,
    pub(super) lost: u64,
}

/// Counts by kind, and why the first few were lost.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Mutex<BTreeMap<&'static str, Counts>>,
    reasons: Mutex<Vec<String>>,
}

/// So many reasons are kept.
const REASONS: usize = 20;

impl Tally {
    pub(super) fn add(&self, kind: &'static str, outcome: Result<Outcome>) {
        let outcome = outcome.unwrap_or_else(|error| Outcome::Lost(format!("{error:#}")));
        let mut counts = self.counts.lock();
        let counts = counts.entry(kind).or_default();
        match outcome {
            Outcome::Answered => counts.answered += 1,
            Outcome::Refused(_) => counts.refused += 1,
            Outcome::Cut => counts.cut += 1,
            Outcome::Left => counts.left += 1,
            Outcome::Lost(why) => {
                counts.lost += 1;
                let mut reasons = self.reasons.lock();
                if reasons.len() < REASONS {
                    reasons.push(format!("{kind}: {why}"));
                }
            }
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, Counts> {
        self.counts.lock().clone()
    }

    pub(super) fn reasons(&self) -> Vec<String> {
        self.reasons.lock().clone()
    }
}

/// An answer's status, where `expected` is what the backend gives.
pub(super) fn judge(status: StatusCode, expected: StatusCode) -> Outcome {
    match status {
        status if status == expected => Outcome::Answered,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Outcome::Refused(status)
        }
        other => Outcome::Lost(format!("answered {other}, not {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, StatusCode, Tally, judge};

    #[test]
    fn what_is_lost() {
        assert_eq!(judge(StatusCode::OK, StatusCode::OK), Outcome::Answered);
        let refused = judge(StatusCode::BAD_GATEWAY, StatusCode::OK);
        assert_eq!(refused, Outcome::Refused(StatusCode::BAD_GATEWAY));
        let lost = judge(StatusCode::NOT_FOUND, StatusCode::OK);
        assert!(matches!(lost, Outcome::Lost(_)));
    }

    #[test]
    fn errors_are_lost_requests() {
        let tally = Tally::default();
        tally.add("get", Ok(Outcome::Answered));
        tally.add("get", Err(anyhow::anyhow!("no answer")));
        let counts = &tally.counts()["get"];
        assert_eq!((counts.answered, counts.lost), (1, 1));
        assert_eq!(tally.reasons(), ["get: no answer"]);
    }
}
