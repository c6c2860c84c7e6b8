//! What a replica says about one target, checked: the wire form turned into
//! numbers that can be counted on.
//!
//! Called by [`super::session`] for each target of a frame. Other replicas are
//! not hostile, but they may be of another version or broken: what cannot be
//! true is refused and counted, and harms no other target.

use crate::gen_peers::{self as wire};
use proxy::TargetId;

/// Names of objects are at most 253 characters.
const MAX_NAME: usize = 253;
/// More requests at once than any replica can have.
const MAX_IN_FLIGHT: u64 = 1 << 32;
/// A time that is no time: four years in microseconds, and more.
const MAX_TIME_US: u64 = 1 << 47;

/// What one replica counted for one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) revision: u64,
    /// It is part of the whole state: what it tells may be long past.
    pub(crate) whole: bool,
    pub(crate) born_us: u64,
    /// Their clock.
    pub(crate) at_us: u64,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    /// Modulo 2^52.
    pub(crate) busy_us: u64,
    pub(crate) held: u64,
    pub(crate) ready_endpoints: usize,
    pub(crate) waits: u64,
    /// How long nothing had been asked, if ever anything was.
    pub(crate) idle_us: Option<u64>,
    /// Oldest first; those that are not told are `None`.
    pub(crate) earlier: [Option<Past>; 2],
    pub(crate) mean_from: Option<Past>,
    pub(crate) rate_from: Option<Past>,
}

/// An earlier reading: what came after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) elapsed_us: u64,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) busy_us: u64,
}

/// News of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Its state.
    State(Box<Report>),
    /// It is gone, as of this revision.
    Removed { revision: u64 },
}

/// Why news of a target are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadReport {
    #[error("`namespace` is empty or longer than {MAX_NAME}")]
    Namespace,
    #[error("`name` is empty or longer than {MAX_NAME}")]
    Name,
    #[error("`ended` is more than `begun`")]
    MoreEndedThanBegun,
    #[error("`begun` less `ended`, or `held`, is more than {MAX_IN_FLIGHT}")]
    TooMany,
    #[error("`at_us` is before `born_us`, or more than {MAX_TIME_US}")]
    Time,
}

/// The target, and what is said about it; `whole`: in the whole state.
pub(crate) fn read(state: &wire::TargetState, whole: bool) -> Result<(TargetId, News), BadReport> {
    let fits = |text: &str| !text.is_empty() && text.len() <= MAX_NAME;
    if !fits(&state.namespace) {
        return Err(BadReport::Namespace);
    }
    if !fits(&state.name) {
        return Err(BadReport::Name);
    }
    let id = TargetId::new(&state.namespace, &state.name);
    let revision = state.revision;
    if state.removed {
        return Ok((id, News::Removed { revision }));
    }
    let in_flight = state
        .begun
        .checked_sub(state.ended)
        .ok_or(BadReport::MoreEndedThanBegun)?;
    if in_flight.max(state.held) > MAX_IN_FLIGHT {
        return Err(BadReport::TooMany);
    }
    if state.at_us < state.born_us || state.at_us > MAX_TIME_US {
        return Err(BadReport::Time);
    }
    let past = |past: &Option<wire::Past>| {
        past.as_ref()
            .filter(|past| {
                past.elapsed_us <= state.at_us
                    && past.begun <= state.begun
                    && past.ended <= state.ended
            })
            .map(|past| Past {
                elapsed_us: past.elapsed_us,
                begun: past.begun,
                ended: past.ended,
                busy_us: past.busy_us,
            })
    };
    let report = Report {
        revision,
        whole,
        born_us: state.born_us,
        at_us: state.at_us,
        begun: state.begun,
        ended: state.ended,
        busy_us: state.busy_us,
        held: state.held,
        ready_endpoints: usize::try_from(state.ready_endpoints).unwrap_or(usize::MAX),
        waits: state.waits,
        idle_us: state.was_busy.then_some(state.idle_us),
        earlier: [0, 1].map(|nth| past(&state.earlier.get(nth).copied())),
        mean_from: past(&state.mean_from),
        rate_from: past(&state.rate_from),
    };
    Ok((id, News::State(Box::new(report))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> wire::TargetState {
        wire::TargetState {
            namespace: "ns".into(),
            name: "web".into(),
            revision: 7,
            born_us: 10,
            at_us: 1_000,
            begun: 5,
            ended: 3,
            ..wire::TargetState::default()
        }
    }

    #[test]
    fn what_cannot_be_true_is_refused_by_the_name_of_its_field() {
        type Change = fn(&mut wire::TargetState);
        let cases: [(Change, BadReport); 8] = [
            (|s| s.namespace.clear(), BadReport::Namespace),
            (|s| s.namespace = "n".repeat(254), BadReport::Namespace),
            (|s| s.name.clear(), BadReport::Name),
            (|s| s.ended = 6, BadReport::MoreEndedThanBegun),
            (|s| s.begun = u64::MAX, BadReport::TooMany),
            (|s| s.held = u64::MAX, BadReport::TooMany),
            (|s| s.born_us = 1_001, BadReport::Time),
            (|s| s.at_us = u64::MAX, BadReport::Time),
        ];
        assert!(read(&state(), true).is_ok());
        for (change, why) in cases {
            let mut state = state();
            change(&mut state);
            assert_eq!(read(&state, true), Err(why));
        }
    }

    #[test]
    fn a_past_that_cannot_be_is_left_out() {
        let mut told = state();
        told.earlier = vec![wire::Past {
            elapsed_us: 1_001,
            ..wire::Past::default()
        }];
        told.rate_from = Some(wire::Past {
            begun: 6,
            ..wire::Past::default()
        });
        told.mean_from = Some(wire::Past {
            elapsed_us: 900,
            begun: 2,
            ended: 1,
            busy_us: 4,
        });
        let Ok((_, News::State(report))) = read(&told, true) else {
            panic!("it is sound otherwise");
        };
        assert_eq!((report.earlier, report.rate_from), ([None; 2], None));
        assert_eq!(report.mean_from.map(|past| past.begun), Some(2));
    }
}
