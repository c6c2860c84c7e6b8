//! Ledgers that follow each other without a network, in paused time: what one
//! counts is what the other says.

use super::*;
use crate::{
    fake::Fake,
    gen_peers::{Complete, Goodbye, TargetState},
    grpc::Connection,
    ledger::LedgerConfig,
    peers::{
        publish,
        stream::{FollowerStream, Frames},
    },
    source::{RateTarget, TargetScaling},
};
use futures_util::{FutureExt, StreamExt};
use proxy::{Clock, DemandSink};
use tokio::{
    sync::watch,
    time::{advance, sleep},
};

const SCALING: TargetScaling = TargetScaling {
    concurrency: Some(10),
    request_rate: Some(RateTarget {
        target_value: 1,
        window: Duration::from_secs(60),
        granularity: Duration::from_secs(1),
    }),
};

fn id(name: &str) -> TargetId {
    TargetId::new("ns", name)
}

/// A replica with the target `ns/web`, publishing.
struct One {
    clock: Clock,
    ledger: Arc<Ledger>,
    web: Arc<Fake>,
    close: watch::Sender<bool>,
    replicas: Arc<Replicas>,
}

impl One {
    /// Its clock starts when it does: no two show the same.
    async fn start() -> Self {
        let one = Self::without_targets();
        one.ledger
            .set_targets(vec![one.web.entry(&id("web"), SCALING)]);
        advance(Duration::from_millis(1_234)).await;
        one
    }

    fn without_targets() -> Self {
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
        let (close, _closing) = watch::channel(false);
        tokio::spawn(publish::run(Arc::clone(&ledger)));
        Self {
            clock,
            ledger,
            web: Fake::new(clock),
            close,
            replicas: Arc::default(),
        }
    }

    fn follow(&self, other: &Self) -> Link {
        assert!(other.ledger.outbox().join(9));
        let stream = FollowerStream::new(Arc::clone(&other.ledger), &other.connection());
        let grace = Duration::from_secs(5);
        let (ledger, replicas) = (Arc::clone(&self.ledger), Arc::clone(&self.replicas));
        let mut link = Link {
            frames: stream.frames(),
            session: Session::new(ledger, replicas, grace),
        };
        link.pump();
        link
    }

    /// One to its gRPC port.
    fn connection(&self) -> Connection {
        Connection {
            closing: self.close.subscribe(),
            stopping: self.close.subscribe(),
            address: None,
            is_authenticated: false,
        }
    }

    fn now(&self) -> crate::DemandReading {
        self.ledger.demand(&id("web")).expect("it is in the set")
    }

    fn begun(&self) -> u64 {
        self.ledger.requests_begun(&id("web")).expect("it is known")
    }

    /// What the sampler does.
    fn look(&self) {
        let tracked = self.ledger.find(&id("web")).expect("known");
        tracked.observe(self.ledger.now_us());
    }

    fn signal(&self) -> watch::Receiver<crate::activation::Signal> {
        self.ledger
            .find(&id("web"))
            .expect("known")
            .follow_activity()
    }
}

struct Link {
    frames: Frames,
    session: Session,
}

impl Link {
    /// What is there to be read, in frames.
    fn ready(&mut self) -> Vec<Frame> {
        let mut ready = Vec::new();
        while let Some(Some(Ok(frame))) = self.frames.next().now_or_never() {
            ready.push(frame);
        }
        ready
    }

    /// Delivers what is there.
    fn pump(&mut self) -> Vec<Step> {
        let frames = self.ready();
        let steps = frames.iter().map(|frame| self.session.frame(frame));
        steps.map(|step| step.expect("understood")).collect()
    }
}

/// Time for the publisher and nothing else.
async fn turn() {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_whole_state_comes_first_then_what_changes_then_a_sign_of_life() {
    let (a, b) = (One::start().await, One::start().await);
    a.web.begin();
    let mut link = b.follow(&a);
    assert_eq!(b.now().in_flight, 1);
    assert!(link.session.mentioned.is_none(), "it is complete");
    a.web.begin();
    sleep(Duration::from_millis(101)).await;
    assert_eq!(link.pump(), [Step::Told]);
    assert_eq!((b.now().in_flight, b.begun()), (2, 2));
    assert_eq!(link.ready(), []);
    seconds(1).await;
    let signs = link.ready();
    assert!(matches!(
        signs[..],
        [Frame {
            part: Some(Part::KeepAlive(_)),
            ..
        }]
    ));
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_one_replica_is_on_the_streams_of_another_without_a_timer() {
    let (a, b) = (One::start().await, One::start().await);
    let mut link = b.follow(&a);
    let mut signal = b.signal();
    signal.mark_unchanged();
    let before = b.ledger.now_us();
    a.web.begin();
    a.web.set_held(1);
    a.ledger.waiting(&id("web"));
    turn().await;
    link.pump();
    let told = *signal.borrow();
    assert_eq!((told.active, told.waits), (true, 1));
    assert_eq!(b.ledger.now_us(), before, "no time passed");
    let queue = b.ledger.find(&id("web")).expect("known").queue();
    assert_eq!((queue.held, queue.ready_endpoints), (1, 0));
    assert_eq!(b.now().concurrency, 1.0);
    // And once more, while it is active already.
    a.ledger.waiting(&id("web"));
    sleep(Duration::from_millis(2)).await;
    link.pump();
    assert_eq!(signal.borrow().waits, 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_heard_of_is_not_told_on() {
    let (a, b) = (One::start().await, One::start().await);
    let (mut from_a, mut from_b) = (b.follow(&a), a.follow(&b));
    a.web.begin();
    a.ledger.waiting(&id("web"));
    for _ in 0..20 {
        sleep(Duration::from_millis(50)).await;
        from_a.pump();
        from_b.pump();
    }
    assert_eq!(
        (a.signal().borrow().waits, b.signal().borrow().waits),
        (1, 1)
    );
    a.web.end();
    for _ in 0..400 {
        sleep(Duration::from_millis(100)).await;
        from_a.pump();
        from_b.pump();
    }
    assert!(
        !a.now().active && !b.now().active,
        "each kept the other awake"
    );
    assert_eq!((a.begun(), b.begun()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_of_five_milliseconds_is_activity_on_the_other_replica() {
    let (a, b) = (One::start().await, One::start().await);
    let mut link = b.follow(&a);
    for _ in 0..6 {
        for tick in 0..100 {
            if tick == 95 {
                a.web.begin();
                sleep(Duration::from_millis(5)).await;
                link.pump(); // as a follower does: as soon as there is a frame
                a.web.end();
            }
            sleep(Duration::from_millis(100)).await;
            link.pump();
            b.look();
        }
        assert!(b.now().active);
    }
    assert_eq!(b.begun(), 6);
    let (told, own) = (b.now().request_rate, a.now().request_rate);
    assert!((told - own).abs() < 0.002, "{told}, not {own}");
    for _ in 0..31 {
        seconds(1).await;
        link.pump();
        b.look();
    }
    assert!(!b.now().active);
    seconds(30).await;
    assert_eq!(b.now().request_rate, 0.0);
}

#[tokio::test(start_paused = true)]
async fn three_replicas_agree_with_one_that_gets_all_the_traffic() {
    let truth = One::start().await;
    let all = [One::start().await, One::start().await, One::start().await];
    let mut links = Vec::new();
    for (at, one) in all.iter().enumerate() {
        let others = all.iter().enumerate().filter(|(other, _)| *other != at);
        links.extend(others.map(|(_, other)| one.follow(other)));
    }
    // All windows full: a mean over what was covered so far is another one for
    // each replica, which started at another time.
    for _ in 0..61 {
        seconds(1).await;
        truth.look();
        links.iter_mut().for_each(|link| drop(link.pump()));
    }
    let mut open: Vec<usize> = Vec::new();
    let mut random = fastrand::Rng::with_seed(7);
    for step in 0..9_000 {
        let at = random.usize(..3);
        if random.u8(..10) < 3 {
            all[at].web.begin();
            truth.web.begin();
            open.push(at);
        }
        if !open.is_empty() && random.u8(..10) < 3 {
            all[open.swap_remove(random.usize(..open.len()))].web.end();
            truth.web.end();
        }
        sleep(Duration::from_millis(10)).await;
        links.iter_mut().for_each(|link| drop(link.pump()));
        truth.look();
        if step % 500 == 499 {
            sleep(Duration::from_millis(101)).await;
            links.iter_mut().for_each(|link| drop(link.pump()));
            let wanted = truth.now();
            for one in &all {
                let now = one.now();
                assert_eq!(
                    (one.begun(), now.in_flight),
                    (truth.begun(), wanted.in_flight)
                );
                let within = |a: f64, b: f64| (a - b).abs() <= 0.01 * b.max(0.5);
                assert!(
                    within(now.concurrency, wanted.concurrency),
                    "{now:?}, not {wanted:?}"
                );
                assert!(
                    within(now.request_rate, wanted.request_rate),
                    "{now:?}, not {wanted:?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_starts_late_knows_the_rate_and_the_mean_at_once() {
    let a = One::start().await;
    for _ in 0..600 {
        a.web.begin();
        sleep(Duration::from_millis(50)).await;
        a.web.end();
        sleep(Duration::from_millis(50)).await;
        a.look();
    }
    let b = One::start().await;
    let _link = b.follow(&a);
    let (told, own) = (b.now(), a.now());
    assert!(
        (told.request_rate - own.request_rate).abs() < 0.1,
        "{told:?}, not {own:?}"
    );
    assert!(
        (told.concurrency - own.concurrency).abs() < 0.02,
        "{told:?}, not {own:?}"
    );
    assert_eq!(b.begun(), 600);
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_at_most_ten_times_a_second() {
    let (a, b) = (One::start().await, One::start().await);
    let mut link = b.follow(&a);
    let mut frames = 0;
    for _ in 0..1_000 {
        a.web.begin();
        sleep(Duration::from_millis(10)).await;
        frames += link.ready().len();
    }
    assert!((90..=101).contains(&frames), "{frames} frames in 10 s");
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_does_not_read_finds_one_state_per_target() {
    let (a, b) = (One::start().await, One::start().await);
    let mut link = b.follow(&a);
    for _ in 0..500 {
        a.web.begin();
        sleep(Duration::from_millis(100)).await;
    }
    let frames = link.ready();
    assert_eq!(frames.len(), 1);
    for frame in &frames {
        link.session.frame(frame).expect("understood");
    }
    assert_eq!((b.now().in_flight, b.begun()), (500, 500));
}

#[tokio::test(start_paused = true)]
async fn frames_twice_or_overtaken_change_nothing() {
    let (a, b) = (One::start().await, One::start().await);
    let mut link = b.follow(&a);
    let mut frames = Vec::new();
    for _ in 0..3 {
        a.web.begin();
        sleep(Duration::from_millis(101)).await;
        frames.append(&mut link.ready());
    }
    assert_eq!(frames.len(), 3);
    for nth in [2, 0, 1, 2, 0] {
        link.session.frame(&frames[nth]).expect("understood");
        assert_eq!((b.now().in_flight, b.begun()), (3, 3));
    }
    // A second stream of the same replica: the same states once more.
    let second = b.follow(&a);
    assert_eq!((b.now().in_flight, b.begun()), (3, 3));
    drop(link);
    seconds(6).await;
    assert_eq!(
        b.now().in_flight,
        3,
        "it is still heard over the other stream"
    );
    drop(second);
    seconds(4).await;
    assert_eq!(b.now().in_flight, 3, "within the grace");
    seconds(2).await;
    assert_eq!((b.now().in_flight, b.begun()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_tells_the_last_state_and_drops_what_is_in_flight() {
    let (a, b) = (One::start().await, One::start().await);
    let mut link = b.follow(&a);
    a.web.begin();
    a.web.begin();
    a.web.end();
    a.close.send_replace(true);
    turn().await;
    assert_eq!(link.pump(), [Step::Told, Step::Goodbye]);
    assert!(
        link.frames
            .next()
            .now_or_never()
            .is_some_and(|end| end.is_none())
    );
    assert_eq!((b.now().in_flight, b.begun()), (0, 2));
    drop(link);
    assert_eq!(b.now().in_flight, 0, "it is not lost: it left");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_known_yet_is_kept_aside() {
    let (a, b) = (One::start().await, One::without_targets());
    a.web.begin();
    let mut link = b.follow(&a);
    assert_eq!(b.ledger.demand(&id("web")), None);
    b.ledger.set_targets(vec![b.web.entry(&id("web"), SCALING)]);
    assert_eq!((b.now().in_flight, b.now().active), (1, true));
    // It goes and comes back here, and changes there meanwhile.
    b.ledger.set_targets(Vec::new());
    a.web.begin();
    sleep(Duration::from_millis(101)).await;
    link.pump();
    b.ledger.set_targets(vec![b.web.entry(&id("web"), SCALING)]);
    assert_eq!((b.now().in_flight, b.begun()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_removed_there_counts_no_more() {
    let (a, b) = (One::start().await, One::start().await);
    let mut link = b.follow(&a);
    a.web.begin();
    sleep(Duration::from_millis(101)).await;
    link.pump();
    a.ledger.set_targets(Vec::new());
    sleep(Duration::from_millis(101)).await;
    link.pump();
    assert_eq!((b.now().in_flight, b.begun()), (0, 1));
    // The same while nobody listened: the whole state does not have it.
    a.ledger.set_targets(vec![a.web.entry(&id("web"), SCALING)]);
    a.web.begin();
    sleep(Duration::from_millis(101)).await;
    link.pump();
    assert_eq!(b.now().in_flight, 2);
    drop(link);
    a.ledger.set_targets(Vec::new());
    let many: Vec<_> = (0..3_000)
        .map(|n| {
            let fake = Fake::new(a.clock);
            fake.begin();
            fake.entry(&id(&format!("t{n}")), SCALING)
        })
        .collect();
    let other = One::start().await;
    let mut slow = other.follow(&a);
    a.ledger.set_targets(many);
    sleep(Duration::from_millis(301)).await;
    a.ledger.set_targets(Vec::new());
    sleep(Duration::from_millis(301)).await;
    // More was removed than is remembered: the whole state comes anew.
    let steps = slow.pump();
    assert_eq!(steps.last(), Some(&Step::Complete), "{steps:?}");
    let _link = b.follow(&a);
    assert_eq!(b.now().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_another_replica_that_counts_from_zero() {
    let b = One::start().await;
    let first = One::start().await;
    let mut link = b.follow(&first);
    (0..5).for_each(|_| first.web.begin());
    sleep(Duration::from_millis(101)).await;
    link.pump();
    drop(link); // it crashed
    let second = One::start().await;
    second.web.begin();
    let _link = b.follow(&second);
    assert_eq!((b.now().in_flight, b.begun()), (6, 6));
    seconds(5).await;
    assert_eq!((b.now().in_flight, b.begun()), (1, 6));
}

#[tokio::test(start_paused = true)]
async fn a_replica_recognises_itself() {
    let a = One::start().await;
    a.web.begin();
    assert!(a.ledger.outbox().join(9));
    let stream = FollowerStream::new(Arc::clone(&a.ledger), &a.connection());
    let mut frames = stream.frames();
    let mut session = Session::new(
        Arc::clone(&a.ledger),
        Arc::clone(&a.replicas),
        Duration::from_secs(5),
    );
    let hello = frames.next().await.expect("a frame").expect("no error");
    assert_eq!(session.frame(&hello), Ok(Step::Myself));
    assert_eq!(a.now().in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_protocol_is_refused() {
    let a = One::start().await;
    let session = || {
        Session::new(
            Arc::clone(&a.ledger),
            Arc::clone(&a.replicas),
            Duration::from_secs(5),
        )
    };
    let frame = |sequence, part| Frame {
        sequence,
        clock_us: 0,
        part: Some(part),
    };
    let hello = |protocol, identity: &[u8]| {
        Part::Hello(Hello {
            protocol,
            identity: identity.to_vec(),
            name: String::new(),
        })
    };
    for part in [
        Part::Demand(DemandState::default()),
        Part::Complete(Complete {}),
        Part::Goodbye(Goodbye {}),
    ] {
        assert_eq!(
            session().frame(&frame(1, part)),
            Err(Misunderstood::NoHello)
        );
    }
    let theirs = 2;
    assert_eq!(
        session().frame(&frame(1, hello(theirs, &[1; 16]))),
        Err(Misunderstood::Protocol { theirs })
    );
    assert_eq!(
        session().frame(&frame(1, hello(1, &[1; 4]))),
        Err(Misunderstood::Identity)
    );
    let mut two = session();
    assert_eq!(two.frame(&frame(1, hello(1, &[1; 16]))), Ok(Step::Told));
    assert_eq!(
        two.frame(&frame(2, hello(1, &[2; 16]))),
        Err(Misunderstood::TwoIdentities)
    );
    // A bad target harms no other.
    let mut one = session();
    one.frame(&frame(1, hello(1, &[3; 16])))
        .expect("understood");
    let good = TargetState {
        namespace: "ns".into(),
        name: "web".into(),
        revision: 1,
        begun: 4,
        ..TargetState::default()
    };
    let bad = TargetState {
        ended: 5,
        ..good.clone()
    };
    let targets = vec![bad, good];
    one.frame(&frame(2, Part::Demand(DemandState { targets })))
        .expect("understood");
    assert_eq!((one.refused(), a.now().in_flight), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn at_most_so_many_follow() {
    let a = One::start().await;
    assert!((0..3).all(|_| a.ledger.outbox().join(3)));
    assert!(!a.ledger.outbox().join(3));
    a.ledger.outbox().leave();
    assert!(a.ledger.outbox().join(3));
}
