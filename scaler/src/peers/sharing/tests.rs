//! Replicas that share points without a network: what arrives at one is what
//! the queries of the other see.

use super::*;
use crate::{
    ingest::{Outcome, Source},
    peers::{asking::Asking, gathered::Gathered},
    series::{Growth, Labels, MatchOp, Matcher, Select, Selector},
};
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::UnboundedReceiverStream;

fn selector(name: &str) -> Selector {
    Selector {
        matchers: vec![Matcher::new("__name__", MatchOp::Equal, name).expect("no pattern")],
        back: Duration::from_secs(60),
    }
}

/// One replica; nothing but its metrics.
struct One {
    sources: MetricSources,
    close: watch::Sender<bool>,
}

impl One {
    fn new() -> Self {
        Self {
            sources: MetricSources::default(),
            close: watch::Sender::new(false),
        }
    }

    fn ask(&self, name: &str) -> Registration {
        self.sources.store.register(&[selector(name)])
    }

    /// A sender delivers a point.
    fn arrive(&self, name: &str, pod: usize, at_ms: i64, value: f64) {
        let mut writer = self.sources.store.write(at_ms);
        let pod = pod.to_string();
        let labels = Labels::new([("__name__", name), ("pod", &pod)]).expect("no duplicates");
        let series = writer.intern(labels).expect("there is room");
        let appended = writer.append(series, at_ms, value, Growth::Level);
        appended.expect("a good point");
        let mut outcome = Outcome::default();
        outcome.accept();
        let counters = &self.sources.counters;
        counters.took(Source::OtlpGrpc, &outcome, at_ms);
    }

    fn values(&self, name: &str) -> Vec<f64> {
        let mut values = Vec::new();
        let matchers = selector(name).matchers;
        let found = &mut |_: &Labels, points: crate::series::Points<'_>| {
            values.extend(points.iter().map(|point| point.value));
        };
        self.sources
            .store
            .select(&matchers, i64::MIN, i64::MAX, found);
        values.sort_by(f64::total_cmp);
        values
    }

    /// Gathers from `other`.
    fn gather(&self, other: &Self) -> Link {
        let (needs, heard) = mpsc::unbounded_channel();
        let asked = UnboundedReceiverStream::new(heard).map(Ok);
        let connection = Connection {
            closing: other.close.subscribe(),
            stopping: other.close.subscribe(),
            address: None,
            is_authenticated: false,
        };
        let sharing = Sharing::new(other.sources.clone(), Box::pin(asked), &connection, None);
        Link {
            asking: Box::pin(Asking::new(self.sources.store.clone()).messages()),
            needs,
            messages: sharing.messages(),
            gathered: Gathered::new(self.sources.clone()),
        }
    }
}

struct Link {
    asking: Pin<Box<dyn Stream<Item = Needs> + Send>>,
    needs: mpsc::UnboundedSender<Needs>,
    messages: Messages,
    gathered: Gathered,
}

impl Link {
    /// Delivers what is there, both ways; returns the messages.
    async fn pump(&mut self) -> Vec<Points> {
        // More than changes of needs and of points are told together.
        let mut seen = Vec::new();
        for _ in 0..8 {
            sleep(Duration::from_millis(5)).await;
            while let Some(Some(needs)) = self.asking.next().now_or_never() {
                let _heard = self.needs.send(needs);
            }
            while let Some(Some(points)) = self.messages.next().now_or_never() {
                let points = points.expect("no error");
                let taken = self.gathered.take(&points, unix_ms());
                taken.expect("understood");
                seen.push(points);
            }
        }
        seen
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrives_at_one_is_seen_by_the_queries_of_the_other_and_nothing_else() {
    let (a, b) = (One::new(), One::new());
    let now = unix_ms();
    a.arrive("x", 1, now - 1_000, 1.0);
    a.arrive("y", 1, now - 1_000, 9.0);
    let mut of_x = b.ask("x");
    let mut link = b.gather(&a);
    link.pump().await;
    assert_eq!((b.values("x"), b.values("y")), (vec![1.0], vec![]));
    assert!(of_x.arrived().now_or_never().is_some());
    a.arrive("x", 1, now, 2.0);
    a.arrive("x", 2, now, 3.0);
    a.arrive("y", 1, now, 9.0);
    link.pump().await;
    assert_eq!(
        (b.values("x"), b.values("y")),
        (vec![1.0, 2.0, 3.0], vec![])
    );
    assert!(of_x.arrived().now_or_never().is_some());
    // A query that comes later gets what is kept.
    let of_y = b.ask("y");
    assert!(!of_y.is_gathered());
    link.pump().await;
    assert!(of_y.is_gathered());
    assert_eq!(b.values("y"), [9.0, 9.0]);
    // And one that goes is told of no more.
    drop(of_x);
    link.pump().await;
    assert_eq!(a.sources.store.stats().queries, 1);
    a.arrive("x", 1, now + 1, 4.0);
    link.pump().await;
    assert_eq!(b.values("x").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_point_is_told_without_time_passing() {
    let (a, b) = (One::new(), One::new());
    let mut of_x = b.ask("x");
    let mut link = b.gather(&a);
    link.pump().await;
    of_x.arrived().now_or_never();
    let before = Instant::now();
    a.arrive("x", 1, unix_ms(), 1.0);
    let points = link.messages.next().now_or_never();
    let points = points.flatten().expect("at once").expect("no error");
    link.gathered.take(&points, unix_ms()).expect("understood");
    assert!(of_x.arrived().now_or_never().is_some());
    assert_eq!(Instant::now(), before);
}

#[tokio::test(start_paused = true)]
async fn points_in_quick_succession_are_told_together() {
    let (a, b) = (One::new(), One::new());
    let _of_x = b.ask("x");
    let mut link = b.gather(&a);
    link.pump().await;
    let now = unix_ms();
    a.arrive("x", 0, now, 0.0);
    let first = link.messages.next().await;
    assert!(first.is_some());
    for pod in 1..100 {
        a.arrive("x", pod, now, 1.0);
    }
    let second = link
        .messages
        .next()
        .await
        .expect("goes on")
        .expect("no error");
    assert_eq!(second.points.len(), 99);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ingests_is_a_source_that_is_alive() {
    let (a, b) = (One::new(), One::new());
    let mut link = b.gather(&a);
    link.pump().await;
    let now = unix_ms();
    assert!(!b.sources.is_alive(now));
    a.arrive("unneeded", 1, now, 1.0);
    sleep(KEEP_ALIVE_EACH).await;
    link.pump().await;
    assert!(b.sources.is_alive(now));
    assert!(!b.sources.is_alive(now + 160_000), "it grows old");
    assert_eq!(b.sources.counters.last_arrival_here_ms(), None);
}

#[tokio::test(start_paused = true)]
async fn who_reads_too_slowly_is_told_anew_and_nothing_is_queued_for_it() {
    let (a, b) = (One::new(), One::new());
    let _of_x = b.ask("x");
    let mut link = b.gather(&a);
    link.pump().await;
    let now = unix_ms();
    // More than are remembered for others, in 100 series.
    for at in 0..700 {
        for pod in 0..100 {
            a.arrive("x", pod, now + at, at as f64);
        }
    }
    let messages = link.pump().await;
    assert_eq!(b.values("x").len(), 70_000);
    assert_eq!(a.values("x"), b.values("x"));
    let points = |message: &Points| message.points.iter().map(|of| of.values.len()).sum();
    let most: Option<usize> = messages.iter().map(points).max();
    assert!(most < Some(3 * MOST_POINTS), "{most:?} in one message");
}

#[tokio::test(start_paused = true)]
async fn a_broken_link_heals_and_a_lost_peer_keeps_its_points() {
    let (a, b) = (One::new(), One::new());
    let (_at_a, _at_b) = (a.ask("x"), b.ask("x"));
    let (mut to_b, mut to_a) = (b.gather(&a), a.gather(&b));
    let now = unix_ms();
    a.arrive("x", 1, now, 1.0);
    b.arrive("x", 2, now, 2.0);
    to_b.pump().await;
    to_a.pump().await;
    drop((to_b, to_a));
    a.arrive("x", 1, now + 1, 3.0);
    b.arrive("x", 2, now + 1, 4.0);
    assert_eq!(a.values("x"), [1.0, 2.0, 3.0]);
    assert_eq!(b.values("x"), [1.0, 2.0, 4.0]);
    let (mut to_b, mut to_a) = (b.gather(&a), a.gather(&b));
    to_b.pump().await;
    to_a.pump().await;
    assert_eq!(a.values("x"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(a.values("x"), b.values("x"));
}

#[tokio::test(start_paused = true)]
async fn the_stream_ends_with_its_connection_after_what_arrived() {
    let (a, b) = (One::new(), One::new());
    let _of_x = b.ask("x");
    let mut link = b.gather(&a);
    link.pump().await;
    a.arrive("x", 1, unix_ms(), 1.0);
    a.close.send_replace(true);
    let last = link
        .messages
        .next()
        .await
        .expect("the last")
        .expect("no error");
    assert_eq!(last.points.len(), 1);
    assert!(link.messages.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_gone_is_not_waited_for() {
    let (a, b) = (One::new(), One::new());
    let link = b.gather(&a);
    let of_x = b.ask("x");
    assert!(!of_x.is_gathered());
    drop(link);
    assert!(of_x.is_gathered());
}

#[test]
fn what_is_not_the_protocol_is_refused_and_bad_series_harm_no_other() {
    let b = One::new();
    let mut gathered = Gathered::new(b.sources.clone());
    let series = |number, labels: &[&str]| Series {
        number,
        labels: labels.iter().map(|&text| text.to_owned()).collect(),
    };
    let of = |number, values: Vec<f64>| crate::gen_peers::SeriesPoints {
        number,
        at_ms: vec![unix_ms(); values.len()],
        values,
        ..Default::default()
    };
    let all = |series, points| Points {
        series,
        points,
        ..Points::default()
    };
    let long = "l".repeat(2_000);
    let bad: [&[&str]; 7] = [
        &["__name__"],
        &["pod", "a"],
        &["__name__", ""],
        &["__name__", "x", "a.b", "1"],
        &["__name__", "x", "a", "1", "a", "2"],
        &["__name__", "x", "a", &long],
        &["__name__", "x", "", "1"],
    ];
    let mut named: Vec<Series> = (0..).zip(bad).map(|(at, bad)| series(at, bad)).collect();
    named.push(series(7, &["__name__", "good"]));
    let points = (0..8).map(|number| of(number, vec![1.0])).collect();
    let now = unix_ms();
    assert_eq!(gathered.take(&all(named, points), now), Ok(()));
    assert_eq!(b.sources.store.stats().series, 1);
    let reading = b.sources.counters.read();
    let (_, peer) = reading.sources.last().expect("there are some");
    let dropped: u64 = peer.dropped.iter().map(|(_, count)| count).sum();
    assert_eq!((peer.accepted, dropped), (1, 7));
    let wrong = gathered.take(&all(vec![series(9, &["__name__", "x"])], vec![]), now);
    assert!(wrong.is_err());
    assert!(
        gathered
            .take(&all(vec![], vec![of(8, vec![1.0])]), now)
            .is_err()
    );
}

#[tokio::test]
async fn needs_that_cannot_be_met_leave_others_alone() {
    let a = One::new();
    let (needs, heard) = mpsc::unbounded_channel();
    let connection = Connection {
        closing: a.close.subscribe(),
        stopping: a.close.subscribe(),
        address: None,
        is_authenticated: false,
    };
    let asked = Box::pin(UnboundedReceiverStream::new(heard).map(Ok));
    let mut messages = Sharing::new(a.sources.clone(), asked, &connection, None).messages();
    let good = spelling::need(1, &selector("x"));
    let bad = |op, value: &str| crate::gen_peers::Need {
        id: 2,
        matchers: vec![crate::gen_peers::Matcher {
            name: "a".into(),
            op,
            value: value.into(),
        }],
        back_ms: 0,
    };
    let sent = needs.send(Needs {
        revision: 1,
        added: vec![bad(2, "("), bad(99, "x"), good],
        dropped: vec![77],
    });
    sent.expect("it listens");
    let first = messages.next().await.expect("goes on").expect("no error");
    assert_eq!((first.complete, first.anew), (1, true));
    assert_eq!(a.sources.store.stats().queries, 1);
}
