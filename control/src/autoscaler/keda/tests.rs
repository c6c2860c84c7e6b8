//! KEDA's rules, each told as a short story: what happens when, and which
//! replicas follow.

use super::*;
use crate::autoscaler::policy::Behavior;

/// What happens in a story.
enum Event {
    /// A poll asked and answered at this moment.
    Poll { active: bool, failed: bool },
    /// A poll that was asked at the given second.
    SlowPoll { asked: u64, active: bool },
    /// A stream's report.
    Report(bool),
    /// Somebody else (the HPA, a person) sets the replicas.
    Set(u32),
}
use Event::{Poll as P, Report, Set, SlowPoll};

const ACTIVE: Event = P {
    active: true,
    failed: false,
};
const QUIET: Event = P {
    active: false,
    failed: false,
};
const FAILED: Event = P {
    active: false,
    failed: true,
};
const PARTLY: Event = P {
    active: true,
    failed: true,
};

/// min, idle, cooldown, initial cooldown (seconds)
struct Rules(u32, Option<u32>, u64, u64);

struct Story {
    because: &'static str,
    rules: Rules,
    replicas: u32,
    /// At which second, what, and the replicas after it.
    events: Vec<(u64, Event, u32)>,
}

fn story(
    because: &'static str,
    rules: Rules,
    replicas: u32,
    events: Vec<(u64, Event, u32)>,
) -> Story {
    Story {
        because,
        rules,
        replicas,
        events,
    }
}

fn object(rules: &Rules) -> ScaledObject {
    ScaledObject {
        namespace: "default".into(),
        name: "web".into(),
        min_replicas: rules.0,
        max_replicas: 10,
        idle_replicas: rules.1,
        polling_interval: Duration::from_secs(30),
        cooldown_period: Duration::from_secs(rules.2),
        initial_cooldown_period: Duration::from_secs(rules.3),
        behavior: Behavior::default(),
        triggers: Vec::new(),
    }
}

fn stories() -> Vec<Story> {
    vec![
        // Waking
        story(
            "a poll with demand wakes one",
            Rules(0, None, 60, 0),
            0,
            vec![(0, ACTIVE, 1)],
        ),
        story(
            "a stream's true wakes one",
            Rules(0, None, 60, 0),
            0,
            vec![(0, Report(true), 1)],
        ),
        story(
            "a stream's false is ignored",
            Rules(0, None, 0, 0),
            3,
            vec![(99, Report(false), 3)],
        ),
        story(
            "wakes to the minimum",
            Rules(3, Some(0), 60, 0),
            0,
            vec![(0, Report(true), 3)],
        ),
        story(
            "from idle to the minimum",
            Rules(3, Some(1), 60, 0),
            1,
            vec![(0, ACTIVE, 3)],
        ),
        story(
            "from zero to the minimum, though idle is 1",
            Rules(3, Some(1), 60, 0),
            0,
            vec![(0, ACTIVE, 3)],
        ),
        story(
            "already awake: nothing to do",
            Rules(0, None, 60, 0),
            4,
            vec![(0, ACTIVE, 4)],
        ),
        story(
            "quiet at zero: stays",
            Rules(0, None, 60, 0),
            0,
            vec![(0, QUIET, 0), (99, QUIET, 0)],
        ),
        story(
            "demand wakes although a trigger fails",
            Rules(0, None, 60, 0),
            0,
            vec![(0, PARTLY, 1)],
        ),
        story(
            "set to zero by somebody: woken again",
            Rules(0, None, 60, 0),
            0,
            vec![(0, Report(true), 1), (1, Set(0), 0), (2, Report(true), 1)],
        ),
        // Sleeping
        story(
            "sleeps at the cooldown after the last active poll, not before",
            Rules(0, None, 60, 0),
            0,
            vec![
                (0, ACTIVE, 1),
                (30, ACTIVE, 1),
                (60, QUIET, 1),
                (89, QUIET, 1),
                (90, QUIET, 0),
            ],
        ),
        story(
            "a stream's true refreshes LastActiveTime",
            Rules(0, None, 60, 0),
            0,
            vec![
                (0, ACTIVE, 1),
                (50, Report(true), 1),
                (60, QUIET, 1),
                (109, QUIET, 1),
                (110, QUIET, 0),
            ],
        ),
        story(
            "a stream's false does not hasten it",
            Rules(0, None, 60, 0),
            0,
            vec![
                (0, ACTIVE, 1),
                (59, Report(false), 1),
                (59, QUIET, 1),
                (60, QUIET, 0),
            ],
        ),
        story(
            "sleeps from any number of replicas, at once",
            Rules(0, None, 60, 0),
            0,
            vec![(0, ACTIVE, 1), (10, Set(8), 8), (60, QUIET, 0)],
        ),
        story(
            "with a minimum it never sleeps",
            Rules(1, None, 60, 0),
            4,
            vec![(0, ACTIVE, 4), (60, QUIET, 4), (9999, QUIET, 4)],
        ),
        story(
            "a cooldown of zero sleeps at the first quiet poll",
            Rules(0, None, 0, 0),
            0,
            vec![(0, ACTIVE, 1), (5, QUIET, 0)],
        ),
        // Never active yet
        story(
            "fresh and idle: sleeps at the first poll",
            Rules(0, None, 60, 0),
            1,
            vec![(0, QUIET, 0)],
        ),
        story(
            "fresh: the initial cooldown counts from creation",
            Rules(0, None, 60, 100),
            1,
            vec![(0, QUIET, 1), (99, QUIET, 1), (100, QUIET, 0)],
        ),
        story(
            "once active, the initial cooldown counts no more",
            Rules(0, None, 10, 1000),
            1,
            vec![(5, ACTIVE, 1), (14, QUIET, 1), (15, QUIET, 0)],
        ),
        // Idle replicas
        story(
            "to idle, not to zero, and although there is a minimum",
            Rules(3, Some(1), 60, 0),
            1,
            vec![
                (0, ACTIVE, 3),
                (59, QUIET, 3),
                (60, QUIET, 1),
                (90, QUIET, 1),
            ],
        ),
        story(
            "idle zero with a minimum",
            Rules(3, Some(0), 60, 0),
            5,
            vec![
                (0, ACTIVE, 5),
                (60, QUIET, 0),
                (90, QUIET, 0),
                (91, Report(true), 3),
            ],
        ),
        story(
            "in idle mode nothing raises to the minimum but demand",
            Rules(3, Some(0), 60, 0),
            0,
            vec![(0, QUIET, 0), (60, QUIET, 0)],
        ),
        // The minimum
        story(
            "quiet below the minimum: raised",
            Rules(2, None, 60, 0),
            0,
            vec![(0, QUIET, 2)],
        ),
        story(
            "quiet at the minimum: stays",
            Rules(2, None, 60, 0),
            2,
            vec![(0, QUIET, 2)],
        ),
        // Errors
        story(
            "an error freezes: nothing sleeps however long",
            Rules(0, None, 60, 0),
            0,
            vec![(0, ACTIVE, 1), (60, FAILED, 1), (9999, FAILED, 1)],
        ),
        story(
            "an error freezes a fresh one too",
            Rules(0, None, 60, 0),
            1,
            vec![(0, FAILED, 1)],
        ),
        story(
            "an error does not wake",
            Rules(0, None, 60, 0),
            0,
            vec![(0, FAILED, 0)],
        ),
        story(
            "an error does not raise to the minimum",
            Rules(2, None, 60, 0),
            1,
            vec![(0, FAILED, 1)],
        ),
        story(
            "an error freezes idle mode",
            Rules(3, Some(0), 0, 0),
            3,
            vec![(99, FAILED, 3)],
        ),
        story(
            "after the error the old LastActiveTime counts",
            Rules(0, None, 60, 0),
            0,
            vec![(0, ACTIVE, 1), (90, FAILED, 1), (120, QUIET, 0)],
        ),
        story(
            "activity beside an error does not refresh LastActiveTime",
            Rules(0, None, 60, 0),
            0,
            vec![(0, ACTIVE, 1), (50, PARTLY, 1), (60, QUIET, 0)],
        ),
        story(
            "waking beside an error does refresh it",
            Rules(0, None, 60, 0),
            0,
            vec![(50, PARTLY, 1), (109, QUIET, 1), (110, QUIET, 0)],
        ),
        // Polls that take long
        story(
            "demand reported during a poll outweighs its answer",
            Rules(0, None, 0, 0),
            1,
            vec![
                (10, Report(true), 1),
                (
                    11,
                    SlowPoll {
                        asked: 9,
                        active: false,
                    },
                    1,
                ),
                (12, QUIET, 0),
            ],
        ),
        story(
            "woken during a poll that then answers: quiet",
            Rules(0, None, 0, 0),
            0,
            vec![
                (10, Report(true), 1),
                (
                    11,
                    SlowPoll {
                        asked: 9,
                        active: false,
                    },
                    1,
                ),
            ],
        ),
        story(
            "asleep since the poll began: its demand wakes again",
            Rules(0, None, 60, 0),
            0,
            vec![(
                11,
                SlowPoll {
                    asked: 9,
                    active: true,
                },
                1,
            )],
        ),
    ]
}

#[test]
fn every_story_ends_as_keda_would_end_it() {
    for Story {
        because,
        rules,
        mut replicas,
        events,
    } in stories()
    {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut activation = Activation::new(&object(&rules), start);
        for (second, event, expected) in events {
            let now = at(second);
            let change = match event {
                P { active, failed } => activation.poll(
                    now,
                    replicas,
                    Poll {
                        began: now,
                        active,
                        failed,
                    },
                ),
                SlowPoll { asked, active } => {
                    let seen = Poll {
                        began: at(asked),
                        active,
                        failed: false,
                    };
                    activation.poll(now, replicas, seen)
                }
                Report(active) => activation.reported(now, replicas, active),
                Set(to) => {
                    replicas = to;
                    None
                }
            };
            if let Some(Change { to, .. }) = change {
                assert_ne!(
                    to, replicas,
                    "{because}: a change that changes nothing at {second} s"
                );
                replicas = to;
            }
            assert_eq!(replicas, expected, "{because}: at {second} s");
        }
    }
}

#[test]
fn tells_when_it_may_sleep() {
    let start = Instant::now();
    let mut activation = Activation::new(&object(&Rules(0, None, 60, 100)), start);
    assert_eq!(activation.sleeps_at(0), None, "asleep already");
    assert_eq!(
        activation.sleeps_at(1),
        Some(start + Duration::from_secs(100))
    );
    let active_at = start + Duration::from_secs(7);
    assert!(activation.reported(active_at, 1, true).is_none());
    assert_eq!(activation.last_active(), Some(active_at));
    assert_eq!(
        activation.sleeps_at(1),
        Some(start + Duration::from_secs(67))
    );
    let kept = Activation::new(&object(&Rules(1, None, 60, 0)), start);
    assert_eq!(kept.sleeps_at(3), None, "a minimum of 1 never sleeps");
}

#[test]
fn asleep_means_zero_or_idle() {
    let start = Instant::now();
    let plain = Activation::new(&object(&Rules(0, None, 60, 0)), start);
    assert!(plain.is_asleep(0) && !plain.is_asleep(1));
    let idle = Activation::new(&object(&Rules(3, Some(1), 60, 0)), start);
    assert!(idle.is_asleep(0) && idle.is_asleep(1) && !idle.is_asleep(2));
}

#[test]
fn says_how_long_it_was_quiet() {
    let start = Instant::now();
    let mut activation = Activation::new(&object(&Rules(0, None, 60, 0)), start);
    assert!(activation.reported(start, 1, true).is_none());
    let now = start + Duration::from_secs(75);
    let seen = Poll {
        began: now,
        active: false,
        failed: false,
    };
    let expected = Change {
        to: 0,
        why: Why::Quiet(Duration::from_secs(75)),
    };
    assert_eq!(activation.poll(now, 1, seen), Some(expected));
}
