//! Shares against a model that knows every request: whatever happens to the
//! reports on their way, the sum is what was sent.

use super::*;
use crate::peers::{identity::Identity, report::Past, share::Shape};
use proptest::{prelude::*, sample::Index};
use std::time::Duration;

const SECOND: u64 = 1_000_000;
const GRACE: Duration = Duration::from_secs(5);
const SHAPE: Shape = Shape {
    concurrency_window: Duration::from_secs(5),
    sample_interval: Duration::from_millis(100),
    rate: None,
};

/// One start of one replica, with exact counters.
struct Sender {
    replica: Arc<Replica>,
    born_us: u64,
    revision: u64,
    begun: u64,
    ended: u64,
    busy_us: u64,
    at_us: u64,
    /// The reading of the last report.
    told: (u64, u64, u64, u64),
}

impl Sender {
    fn born(at_us: u64) -> Self {
        Self {
            replica: Arc::new(Replica::new(Identity::draw(), "peer".to_owned())),
            born_us: at_us,
            revision: 0,
            begun: 0,
            ended: 0,
            busy_us: 0,
            at_us,
            told: (at_us, 0, 0, 0),
        }
    }

    fn until(&mut self, at_us: u64) -> &mut Self {
        self.busy_us += (self.begun - self.ended) * (at_us - self.at_us);
        self.at_us = at_us;
        self
    }

    fn begin(&mut self, at_us: u64) {
        self.until(at_us).begun += 1;
    }

    fn end(&mut self, at_us: u64) {
        let sender = self.until(at_us);
        sender.ended = (sender.ended + 1).min(sender.begun);
    }

    fn report(&mut self, at_us: u64) -> Report {
        self.until(at_us);
        self.revision += 1;
        let (told_us, begun, ended, busy_us) = self.told;
        let before = Past {
            elapsed_us: at_us - told_us,
            begun: self.begun - begun,
            ended: self.ended - ended,
            busy_us: self.busy_us - busy_us,
        };
        self.told = (at_us, self.begun, self.ended, self.busy_us);
        let from_birth = Past {
            elapsed_us: at_us - self.born_us,
            begun: self.begun,
            ended: self.ended,
            busy_us: self.busy_us,
        };
        Report {
            revision: self.revision,
            whole: false,
            born_us: self.born_us,
            at_us,
            begun: self.begun,
            ended: self.ended,
            busy_us: self.busy_us,
            held: self.begun - self.ended,
            ready_endpoints: 0,
            waits: self.begun,
            idle_us: (self.begun > 0).then_some(0),
            earlier: [Some(before), None],
            mean_from: Some(from_birth),
            rate_from: Some(from_birth),
        }
    }
}

/// A report of `sender` arrives as soon as it is made.
fn tell(shares: &mut Shares, sender: &mut Sender, at_us: u64) -> Heard {
    let report = sender.report(at_us);
    shares.take(&sender.replica, &report, at_us, &SHAPE)
}

fn near(value: f64, wanted: f64) -> bool {
    (value - wanted).abs() <= 1e-6 * wanted.abs().max(1.0)
}

#[test]
fn what_a_lost_replica_has_in_flight_counts_for_the_grace_and_its_arrivals_stay() {
    let (mut shares, mut a) = (Shares::default(), Sender::born(0));
    (0..3).for_each(|_| a.begin(10 * SECOND));
    tell(&mut shares, &mut a, 10 * SECOND);
    a.replica.lost(20 * SECOND, GRACE);
    let before = shares.read(25 * SECOND - 1);
    assert_eq!((before.in_flight, before.held), (3, 3));
    assert!(near(before.concurrency, 3.0), "{before:?}");
    let after = shares.read(25 * SECOND);
    assert_eq!((after.in_flight, after.held, after.begun), (0, 0, 3));
    assert!(near(after.request_rate, 3.0 / 25.0), "{after:?}");
    // The mean forgets it as it forgets requests that ended.
    let later = shares.read(28 * SECOND);
    assert!(near(later.concurrency, 3.0 * 2.0 / 5.0), "{later:?}");
    assert_eq!(shares.read(31 * SECOND).concurrency, 0.0);
    assert!(!shares.is_empty());
    let gone = shares.read(200 * SECOND);
    assert_eq!((gone.request_rate, gone.begun), (0.0, 3));
    assert!(shares.is_empty());
}

#[test]
fn a_goodbye_ends_what_is_in_flight_at_once() {
    let (mut shares, mut a) = (Shares::default(), Sender::born(0));
    a.begin(SECOND);
    tell(&mut shares, &mut a, SECOND);
    a.replica.left(2 * SECOND);
    let reading = shares.read(2 * SECOND);
    assert_eq!((reading.in_flight, reading.begun), (0, 1));
}

#[test]
fn a_replica_that_comes_back_within_or_after_the_grace_counts_again_and_not_twice() {
    for back_after in [3, 60] {
        let (mut shares, mut a) = (Shares::default(), Sender::born(0));
        a.begin(10 * SECOND);
        tell(&mut shares, &mut a, 10 * SECOND);
        a.replica.lost(11 * SECOND, GRACE);
        let back = (11 + back_after) * SECOND;
        shares.read(back);
        a.begin(back - SECOND);
        a.replica.connected();
        let report = a.report(back);
        let past = |seconds: u64, busy: u64| Past {
            elapsed_us: seconds * SECOND,
            begun: 1,
            ended: 0,
            busy_us: busy * SECOND,
        };
        let report = Report {
            mean_from: Some(past(6, 5 + 2)),
            earlier: [Some(past(1, 2)), None],
            ..report
        };
        shares.take(&a.replica, &report, back, &SHAPE);
        let reading = shares.read(back);
        assert_eq!((reading.in_flight, reading.begun), (2, 2));
        // One since second 10 or earlier, two for the last second.
        let wanted = if back_after == 3 { 1.0 } else { 1.2 };
        assert!(near(reading.concurrency, wanted), "{reading:?}");
        assert!(near(shares.read(back + 5 * SECOND).concurrency, 2.0));
    }
}

#[test]
fn what_ended_right_after_a_reading_leaves_no_trace_after_the_window() {
    let (mut shares, mut a) = (Shares::default(), Sender::born(0));
    a.begin(10 * SECOND);
    tell(&mut shares, &mut a, 10 * SECOND);
    a.end(10 * SECOND + 20_000);
    tell(&mut shares, &mut a, 10 * SECOND + 20_000);
    shares.read(11 * SECOND);
    let reading = shares.read(16 * SECOND);
    assert_eq!((reading.in_flight, reading.concurrency), (0, 0.0));
    assert!(reading.request_rate > 0.0);
    assert_eq!(shares.read(71 * SECOND).request_rate, 0.0);
}

#[test]
fn what_was_given_up_counts_again_when_it_is_told_again_unchanged() {
    let (mut shares, mut a) = (Shares::default(), Sender::born(0));
    a.begin(SECOND);
    let report = a.report(SECOND);
    shares.take(&a.replica, &report, SECOND, &SHAPE);
    a.replica.lost(2 * SECOND, GRACE);
    assert_eq!(shares.read(10 * SECOND).in_flight, 0);
    a.replica.connected();
    // The same revision, looked at again.
    let again = Report {
        at_us: 20 * SECOND,
        busy_us: 19 * SECOND,
        ..report
    };
    shares.take(&a.replica, &again, 20 * SECOND, &SHAPE);
    let reading = shares.read(20 * SECOND);
    assert_eq!((reading.in_flight, reading.begun), (1, 1));
}

#[test]
fn another_life_of_the_counters_replaces_the_one_before() {
    let (mut shares, mut a) = (Shares::default(), Sender::born(0));
    (0..5).for_each(|_| a.begin(SECOND));
    tell(&mut shares, &mut a, SECOND);
    let mut again = Sender {
        replica: Arc::clone(&a.replica),
        revision: a.revision,
        ..Sender::born(2 * SECOND)
    };
    again.begin(3 * SECOND);
    tell(&mut shares, &mut again, 3 * SECOND);
    assert_eq!(shares.read(3 * SECOND).in_flight, 1);
}

#[test]
fn a_target_that_a_replica_removed_does_not_count_there_and_may_come_back() {
    let (mut shares, mut a) = (Shares::default(), Sender::born(0));
    a.begin(SECOND);
    tell(&mut shares, &mut a, SECOND);
    shares.remove(&a.replica, 1, 2 * SECOND); // older than what is known
    assert_eq!(shares.read(2 * SECOND).in_flight, 1);
    a.revision += 1;
    shares.remove(&a.replica, a.revision, 3 * SECOND);
    assert_eq!(shares.read(3 * SECOND).in_flight, 0);
    tell(&mut shares, &mut a, 4 * SECOND);
    assert_eq!(shares.read(4 * SECOND).in_flight, 1);
}

#[test]
fn who_waits_sees_the_endpoints_of_its_own_replica() {
    let mut shares = Shares::default();
    let (mut waits, mut serves) = (Sender::born(0), Sender::born(0));
    waits.begin(SECOND);
    let told = waits.report(SECOND);
    shares.take(&waits.replica, &told, SECOND, &SHAPE);
    let told = Report {
        ready_endpoints: 3,
        ..serves.report(SECOND)
    };
    shares.take(&serves.replica, &told, SECOND, &SHAPE);
    let reading = shares.read(SECOND);
    assert_eq!(
        (reading.ready_where_held, reading.ready_endpoints),
        (Some(0), 3)
    );
}

#[test]
fn more_replicas_than_are_remembered_count_all_the_same() {
    let mut shares = Shares::default();
    let mut senders: Vec<Sender> = (0..MAX_SHARES + 50).map(|_| Sender::born(0)).collect();
    for (index, sender) in senders.iter_mut().enumerate() {
        // Those that crashed give their places to others.
        if index % 2 == 0 {
            sender.replica.lost(SECOND, GRACE);
        }
        for _ in 0..=index % 3 {
            sender.begin(SECOND);
        }
        tell(&mut shares, sender, SECOND);
    }
    let sent = |senders: &[Sender]| senders.iter().map(|sender| sender.begun).sum::<u64>();
    assert_eq!(shares.read(2 * SECOND).begun, sent(&senders));
    assert_eq!(shares.shares.len(), MAX_SHARES);
    let is_connected = |share: &&Share| share.replica().counts_until_us() == u64::MAX;
    let connected = shares.shares.iter().filter(is_connected).count();
    assert_eq!(connected, (MAX_SHARES + 50) / 2);
    // One that was forgotten is heard again.
    senders[0].begin(3 * SECOND);
    tell(&mut shares, &mut senders[0], 3 * SECOND);
    assert_eq!(shares.read(3 * SECOND).begun, sent(&senders));
}

#[test]
fn a_quiet_share_is_small_and_a_busy_one_bounded() {
    let (mut shares, mut a) = (Shares::default(), Sender::born(0));
    for tick in 1..2_000u64 {
        let at_us = tick * SECOND / 10;
        a.begin(at_us);
        a.end(at_us);
        tell(&mut shares, &mut a, at_us);
    }
    assert!(shares.bytes() < 4 * 1024, "{} bytes", shares.bytes());
    let (mut quiet, mut b) = (Shares::default(), Sender::born(0));
    tell(&mut quiet, &mut b, SECOND);
    assert!(quiet.bytes() < 512, "{} bytes", quiet.bytes());
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Begin,
    End,
    Report,
    Restart,
}

fn events() -> impl Strategy<Value = Vec<(usize, u64, Event)>> {
    let event = prop_oneof![
        4 => Just(Event::Begin),
        3 => Just(Event::End),
        4 => Just(Event::Report),
        1 => Just(Event::Restart),
    ];
    proptest::collection::vec((0..3usize, 1..200_000u64, event), 1..120)
}

proptest! {
    /// Three replicas that begin, end, report and restart as they like. Their
    /// reports arrive in any order, some of them twice or more. Once the last
    /// ones are there, in any order too, the sum is the traffic: exactly.
    #[test]
    fn the_sum_is_what_was_sent_whatever_happens_on_the_way(
        events in events(),
        order in proptest::collection::vec(any::<Index>(), 0..200),
    ) {
        let mut senders: Vec<Sender> = (0..3).map(|_| Sender::born(0)).collect();
        let (mut sent, mut lasts) = (Vec::new(), Vec::new());
        let (mut now_us, mut begun, mut restarted) = (0, 0, false);
        for (at, pause, event) in events {
            now_us += pause;
            let sender = &mut senders[at];
            match event {
                Event::Begin => {
                    sender.begin(now_us);
                    begun += 1;
                }
                Event::End => sender.end(now_us),
                Event::Report => {
                    let report = sender.report(now_us);
                    sent.push((Arc::clone(&sender.replica), report, now_us));
                }
                Event::Restart => {
                    // It stops in order: the last state, then a goodbye.
                    let last = sender.report(now_us);
                    lasts.push((Arc::clone(&sender.replica), last, now_us));
                    sender.replica.left(now_us);
                    *sender = Sender::born(now_us);
                    restarted = true;
                }
            }
        }
        now_us += 1;
        for sender in &mut senders {
            let last = sender.report(now_us);
            lasts.push((Arc::clone(&sender.replica), last, now_us));
        }
        let mut shares = Shares::default();
        let mut deliver = |(replica, report, at_us): &(Arc<Replica>, Report, u64)| {
            shares.take(replica, report, *at_us, &SHAPE);
        };
        if !sent.is_empty() {
            order.iter().for_each(|index| deliver(index.get(&sent)));
        }
        for (turn, index) in order.iter().enumerate().take(lasts.len()) {
            let other = index.index(lasts.len());
            lasts.swap(turn % 3, other);
        }
        lasts.iter().for_each(&mut deliver);
        // Once more, all of them, late.
        sent.iter().chain(&lasts).for_each(&mut deliver);
        let in_flight: u64 = senders.iter().map(|s| s.begun - s.ended).sum();
        let reading = shares.read(now_us);
        prop_assert_eq!((reading.begun, reading.in_flight, reading.held), (begun, in_flight, in_flight));
        if !restarted {
            let seconds = now_us.max(SECOND) as f64 / 1e6;
            prop_assert!(near(reading.request_rate * seconds, begun as f64), "{reading:?}");
            if now_us <= 5 * SECOND {
                let busy_us: u64 = senders.iter().map(|s| s.busy_us).sum();
                let mean = busy_us as f64 / now_us as f64;
                prop_assert!(near(reading.concurrency, mean), "{reading:?}, not {mean}");
            }
        }
    }
}
