//! Which replicas are started and stopped next: to have as many as are wanted,
//! and to replace those whose Process was edited without ever serving with
//! fewer.
//!
//! Asked by the pool after everything that happens. Pure: it must never start
//! or stop anything, nor know why a number is wanted.

use crate::manifest::ProcessSpec;

/// Would replicas of `before` have to be others under `after`? How they are
/// probed, and how long they may take to start and stop, is not about what
/// they are.
pub(super) fn replaces(before: &ProcessSpec, after: &ProcessSpec) -> bool {
    before.command != after.command
        || before.env != after.env
        || before.working_dir != after.working_dir
        || before.protocol != after.protocol
}

/// A replica that was not told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) index: u32,
    pub(super) is_ready: bool,
    /// Its Process was edited since it was started.
    pub(super) is_outdated: bool,
}

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Replicas to stop.
    pub(super) stop: Vec<u32>,
    /// How many to start.
    pub(super) start: usize,
}

/// The next step towards `wanted` replicas, none of them outdated.
///
/// An outdated replica serves until another one is ready in its place; one that
/// is not ready yet goes at once. Of the new ones, a quarter more than wanted
/// (at least one) is started at a time, as a Deployment does.
pub(super) fn step(mut living: Vec<Standing>, wanted: u32) -> Step {
    let wanted = wanted as usize;
    // Those that are not ready go first, then the youngest.
    living.sort_by_key(|one| (one.is_ready, u32::MAX - one.index));
    let (outdated, current): (Vec<_>, Vec<_>) = living.into_iter().partition(|one| one.is_outdated);
    let surplus = current.len().saturating_sub(wanted);
    let ready = current.iter().skip(surplus).filter(|one| one.is_ready);
    let still_needed = wanted.saturating_sub(ready.count());
    let serving = outdated.iter().filter(|one| one.is_ready).count();
    let kept = serving.min(still_needed);
    let leaving = outdated.len() - kept;
    let room = (wanted + surge(wanted)).saturating_sub(kept);
    Step {
        start: wanted.min(room).saturating_sub(current.len()),
        stop: [&current[..surplus], &outdated[..leaving]]
            .concat()
            .iter()
            .map(|one| one.index)
            .collect(),
    }
}

fn surge(wanted: usize) -> usize {
    wanted.div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const READY: bool = true;

    fn new(index: u32, is_ready: bool) -> Standing {
        Standing {
            index,
            is_ready,
            is_outdated: false,
        }
    }

    fn old(index: u32, is_ready: bool) -> Standing {
        Standing {
            is_outdated: true,
            ..new(index, is_ready)
        }
    }

    fn starts(start: usize) -> Step {
        Step {
            start,
            ..Step::default()
        }
    }

    fn stops(stop: &[u32]) -> Step {
        Step {
            stop: stop.to_vec(),
            ..Step::default()
        }
    }

    #[test]
    fn as_many_as_are_wanted() {
        assert_eq!(step(vec![], 3), starts(3));
        assert_eq!(step(vec![new(0, READY), new(1, !READY)], 3), starts(1));
        assert_eq!(step(vec![new(0, READY), new(1, READY)], 2), starts(0));
    }

    #[test]
    fn those_that_are_not_ready_go_first_then_the_youngest() {
        let living = vec![new(0, READY), new(1, !READY), new(2, READY)];
        assert_eq!(step(living.clone(), 1), stops(&[1, 2]));
        assert_eq!(step(living, 0), stops(&[1, 2, 0]));
    }

    #[test]
    fn an_outdated_one_serves_until_another_is_ready() {
        assert_eq!(step(vec![old(0, READY)], 1), starts(1));
        assert_eq!(step(vec![old(0, READY), new(1, !READY)], 1), starts(0));
        assert_eq!(step(vec![old(0, READY), new(1, READY)], 1), stops(&[0]));
    }

    #[test]
    fn an_outdated_one_that_never_got_ready_makes_room_at_once() {
        let step = step(vec![old(0, !READY)], 1);
        assert_eq!((step.stop, step.start), (vec![0], 1));
    }

    #[test]
    fn a_quarter_more_at_a_time() {
        let eight: Vec<_> = (0..8).map(|index| old(index, READY)).collect();
        assert_eq!(step(eight, 8), starts(2));
    }

    #[test]
    fn scaled_down_in_the_middle_of_it() {
        let living = vec![old(0, READY), old(1, READY), old(2, READY), new(3, !READY)];
        assert_eq!(step(living, 1), stops(&[2, 1]));
    }

    fn any_living() -> impl Strategy<Value = Vec<Standing>> {
        let one = (any::<bool>(), any::<bool>());
        proptest::collection::vec(one, 0..12).prop_map(|all| {
            let one = |(index, (is_ready, is_outdated))| Standing {
                index,
                is_ready,
                is_outdated,
            };
            (0..).zip(all).map(one).collect()
        })
    }

    proptest! {
        #[test]
        fn a_step_never_takes_away_what_serves_and_the_end_is_what_was_wanted(
            mut living in any_living(), wanted in 0_u32..8,
        ) {
            let count = wanted as usize;
            let serving = |all: &[Standing]| all.iter().filter(|one| one.is_ready).count();
            for _ in 0..40 {
                let before = serving(&living);
                let step = step(living.clone(), wanted);
                living.retain(|one| !step.stop.contains(&one.index));
                prop_assert!(serving(&living) >= before.min(count));
                let next = living.iter().map(|one| one.index + 1).max().unwrap_or(0);
                living.extend((next..).take(step.start).map(|index| new(index, false)));
                prop_assert!(step.start == 0 || living.len() <= count + surge(count));
                // One of those that start gets ready.
                if let Some(starting) = living.iter_mut().find(|one| !one.is_ready) {
                    starting.is_ready = true;
                }
            }
            prop_assert_eq!(living.len(), count);
            prop_assert!(living.iter().all(|one| one.is_ready && !one.is_outdated));
        }
    }
}
