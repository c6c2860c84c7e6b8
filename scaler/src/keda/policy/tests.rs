//! The policy by hand: the clock and the signal are arguments.

use super::*;

const COLD: Queue = Queue {
    held: 1,
    ready_endpoints: 0,
};
const WARM: Queue = Queue {
    held: 1,
    ready_endpoints: 1,
};
const NOBODY: Queue = Queue {
    held: 0,
    ready_endpoints: 0,
};

fn signal(active: bool, waits: u64) -> Signal {
    Signal {
        active,
        waits,
        removed: false,
        unsure: false,
        woken_elsewhere: false,
    }
}

fn elsewhere(active: bool, waits: u64) -> Signal {
    Signal {
        woken_elsewhere: true,
        ..signal(active, waits)
    }
}

fn opened(active: bool) -> Option<Message> {
    Some(Message {
        active,
        why: Why::Opened,
    })
}

fn edge(active: bool) -> Option<Message> {
    Some(Message {
        active,
        why: Why::Edge,
    })
}

const REPEAT: Option<Message> = Some(Message {
    active: true,
    why: Why::Repeat,
});

struct Stream {
    policy: SenderPolicy,
    start: Instant,
}

impl Stream {
    fn open(first: Signal, queue: Queue) -> Self {
        let mut stream = Self {
            policy: SenderPolicy::new(),
            start: Instant::now(),
        };
        assert_eq!(stream.at(0, first, queue), opened(first.active));
        stream
    }

    fn at(&mut self, ms: u64, signal: Signal, queue: Queue) -> Option<Message> {
        self.policy
            .next(self.start + Duration::from_millis(ms), signal, || queue)
    }

    fn next_check(&self) -> Option<u128> {
        Some(
            self.policy
                .check_at()?
                .duration_since(self.start)
                .as_millis(),
        )
    }
}

#[test]
fn an_open_stream_says_the_state_once() {
    let mut stream = Stream::open(signal(false, 3), NOBODY);
    assert_eq!(stream.next_check(), None);
    assert_eq!(stream.at(1, signal(false, 3), NOBODY), None);
    let mut stream = Stream::open(signal(true, 3), NOBODY);
    assert_eq!(stream.at(1, signal(true, 3), NOBODY), None);
    assert_eq!(stream.at(500, signal(true, 3), NOBODY), None);
    assert_eq!(
        stream.next_check(),
        None,
        "an active stream without waiters has no timer"
    );
}

#[test]
fn repeats_while_somebody_waits_and_nothing_is_ready() {
    let mut stream = Stream::open(signal(false, 0), NOBODY);
    assert_eq!(stream.at(0, signal(true, 1), COLD), edge(true));
    let mut sent = Vec::new();
    for ms in 1..=7_600 {
        if stream.at(ms, signal(true, 1), COLD) == REPEAT {
            sent.push(ms);
        }
    }
    assert_eq!(sent, [500, 1_500, 3_500, 5_500, 7_500]);
}

#[test]
fn no_repeat_while_an_endpoint_is_ready_but_again_when_it_is_gone() {
    let mut stream = Stream::open(signal(false, 0), NOBODY);
    assert_eq!(stream.at(0, signal(true, 1), WARM), edge(true));
    for ms in 1..4_000 {
        assert_eq!(stream.at(ms, signal(true, 1), WARM), None);
    }
    let told = (4_000..4_600).find(|&ms| stream.at(ms, signal(true, 1), COLD) == REPEAT);
    assert_eq!(told, Some(4_000));
}

#[test]
fn a_new_wait_while_active_is_told_at_once() {
    let mut stream = Stream::open(signal(true, 1), NOBODY);
    assert_eq!(stream.at(10, signal(true, 2), COLD), edge(true));
    assert_eq!(stream.at(11, signal(true, 2), COLD), None, "once per hold");
    assert_eq!(stream.next_check(), Some(510), "and repeated from there");
    assert_eq!(
        stream.at(20, signal(true, 3), WARM),
        None,
        "an endpoint will take it"
    );
}

#[test]
fn a_new_wait_starts_the_repeats_anew() {
    let mut stream = Stream::open(signal(true, 1), COLD);
    for ms in [500, 1_500, 3_500] {
        assert_eq!(stream.at(ms, signal(true, 1), COLD), REPEAT);
    }
    assert_eq!(stream.at(5_500, signal(true, 1), NOBODY), None);
    assert_eq!(stream.next_check(), None);
    assert_eq!(stream.at(20_000, signal(true, 2), COLD), edge(true));
    assert_eq!(stream.next_check(), Some(20_500));
}

#[test]
fn a_wait_behind_a_dead_endpoint_is_told_when_the_endpoint_is_found_dead() {
    let mut stream = Stream::open(signal(true, 1), NOBODY);
    assert_eq!(stream.at(500, signal(true, 1), NOBODY), None);
    assert_eq!(stream.at(9_000, signal(true, 2), WARM), None);
    assert_eq!(stream.next_check(), Some(9_500));
    assert_eq!(stream.at(9_500, signal(true, 2), COLD), REPEAT);
}

#[test]
fn false_is_sent_once_and_ends_the_repeats() {
    let mut stream = Stream::open(signal(true, 1), COLD);
    assert_eq!(stream.at(600, signal(false, 1), NOBODY), edge(false));
    assert_eq!(stream.next_check(), None);
    assert_eq!(stream.at(700, signal(false, 1), NOBODY), None);
    assert_eq!(stream.at(800, signal(true, 2), COLD), edge(true));
}

#[test]
fn what_was_not_read_is_told_once() {
    let mut stream = Stream::open(signal(false, 0), NOBODY);
    // Ten waits, a deactivation and another wait, before the client reads.
    assert_eq!(stream.at(60_000, signal(true, 11), COLD), edge(true));
    assert_eq!(stream.at(60_001, signal(true, 11), COLD), None);
    // A repeat that was due long ago is one message, not several.
    assert_eq!(stream.at(90_000, signal(true, 11), COLD), REPEAT);
    assert_eq!(stream.at(90_001, signal(true, 11), COLD), None);
}

#[test]
fn clients_that_come_and_go_all_the_time_do_not_flood_keda() {
    let mut stream = Stream::open(signal(true, 0), NOBODY);
    let mut messages = 0;
    let (seconds, mut waits) = (100, 0);
    for ms in (10..=seconds * 1_000).step_by(10) {
        waits += 1;
        if stream.at(ms, signal(true, waits), COLD).is_some() {
            messages += 1;
        }
    }
    assert!(
        (50..=200).contains(&messages),
        "{messages} messages in {seconds} s"
    );
}

#[test]
fn the_queue_is_asked_only_when_it_matters() {
    let mut policy = SenderPolicy::new();
    let now = Instant::now();
    let never = || -> Queue { panic!("asked for nothing") };
    assert_eq!(policy.next(now, signal(false, 0), never), opened(false));
    assert_eq!(policy.next(now, signal(true, 1), never), edge(true));
    assert_eq!(policy.next(now, signal(true, 1), never), None);
    assert_eq!(policy.next(now, signal(false, 1), never), edge(false));
}

#[test]
fn what_somebody_else_wakes_is_told_only_if_it_lasts() {
    let mut stream = Stream::open(elsewhere(false, 0), NOBODY);
    assert_eq!(stream.at(1, elsewhere(true, 1), COLD), None);
    assert_eq!(stream.next_check(), Some(10_001));
    // Others come to wait, and the first one's time goes on.
    assert_eq!(stream.at(5_000, elsewhere(true, 2), COLD), None);
    assert_eq!(stream.at(10_001, elsewhere(true, 2), COLD), REPEAT);
    assert_eq!(stream.next_check(), Some(20_001));
    assert_eq!(stream.at(20_001, elsewhere(true, 2), WARM), None);
    assert_eq!(stream.at(30_001, elsewhere(true, 2), NOBODY), None);
    assert_eq!(stream.next_check(), None);
    assert_eq!(stream.at(40_000, elsewhere(false, 2), NOBODY), edge(false));
}

#[test]
fn what_somebody_else_cannot_wake_is_told_at_once() {
    let mut stream = Stream::open(elsewhere(false, 0), NOBODY);
    assert_eq!(stream.at(1, elsewhere(true, 1), COLD), None);
    assert_eq!(stream.at(50, signal(true, 1), COLD), edge(true));
    assert_eq!(stream.next_check(), Some(550));
}
