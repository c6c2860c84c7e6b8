//! The gate with time paused: order, bounds, pacing, giving up.

use super::*;
use crate::{
    clock::Clock,
    endpoint::{Endpoint, EndpointSet, Protocol},
    target::{Target, TargetContext, TargetId},
};
use std::{
    sync::atomic::{AtomicU64, AtomicUsize},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

#[derive(Default)]
struct Edges(AtomicU64);

impl crate::DemandSink for Edges {
    fn waiting(&self, _target: &TargetId) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn stirred(&self, _target: &TargetId, _at_us: u64) {}
}

struct Bench {
    target: Arc<Target>,
    edges: Arc<Edges>,
}

fn bench(max_held: usize) -> Bench {
    let edges = Arc::new(Edges::default());
    let context = TargetContext {
        clock: Clock::start(),
        workers: 1,
        max_held,
        held_limit: Arc::new(HeldLimit::new(10_000)),
        sink: edges.clone(),
        stories: None,
        changes: Arc::default(),
    };
    Bench {
        target: Arc::new(Target::new(TargetId::new("default", "web"), context)),
        edges,
    }
}

fn endpoints(count: u16) -> Arc<EndpointSet> {
    let endpoint = |port| {
        let addr = ([127, 0, 0, 1], port).into();
        Arc::new(Endpoint::new(addr, "e", Protocol::Http1, 1))
    };
    Arc::new(EndpointSet::new((1..=count).map(endpoint).collect()))
}

/// Waits at the gate, reports its number and when it got through, then keeps
/// the pass for `service`.
async fn request(
    target: Arc<Target>,
    number: usize,
    service: Duration,
    through: mpsc::UnboundedSender<(usize, Instant)>,
) {
    let (held, began) = target
        .gate()
        .hold(WaitsFor::Endpoint, None)
        .expect("room in the queue");
    target.began_to_wait(WaitsFor::Endpoint, began, String::new);
    if let Ok(mut pass) = held.await {
        pass.go();
        through
            .send((number, Instant::now()))
            .expect("the test listens");
        tokio::time::sleep(service).await;
        pass.answered();
    }
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn released_in_order_few_at_first() {
    let bench = bench(1_000);
    let (send, mut through) = mpsc::unbounded_channel();
    for number in 0..100 {
        tokio::spawn(request(
            bench.target.clone(),
            number,
            Duration::from_secs(1),
            send.clone(),
        ));
    }
    settle().await;
    assert_eq!(bench.target.held(), 100);
    assert_eq!(bench.edges.0.load(Ordering::Relaxed), 1, "one edge for all");

    let start = Instant::now();
    bench.target.set_endpoints(endpoints(1));
    drop(send);
    let mut by_time: Vec<(u128, usize)> = Vec::new();
    let mut expected = 0;
    while let Some((number, at)) = through.recv().await {
        assert_eq!(number, expected, "first come, first released");
        expected += 1;
        let ms = (at - start).as_millis();
        match by_time.last_mut() {
            Some((last, count)) if *last == ms => *count += 1,
            _ => by_time.push((ms, 1)),
        }
    }
    // Nobody is answered for a second: until then, time lets a few more go.
    assert_eq!(by_time[..4], [(0, 8), (250, 2), (500, 2), (750, 3)]);
    // Then each answer of the first eight lets two go.
    assert_eq!(by_time[4], (1_000, 16));
    let (last, _) = by_time[by_time.len() - 1];
    assert!(last <= 3_000, "{last}");
}

#[tokio::test(start_paused = true)]
async fn answers_pull_the_next_batch_at_once() {
    let bench = bench(1_000);
    let (send, mut through) = mpsc::unbounded_channel();
    for number in 0..100 {
        tokio::spawn(request(
            bench.target.clone(),
            number,
            Duration::from_millis(1),
            send.clone(),
        ));
    }
    settle().await;
    let start = Instant::now();
    bench.target.set_endpoints(endpoints(2));
    drop(send);
    let mut last = start;
    while let Some((_, at)) = through.recv().await {
        last = at;
    }
    assert!(
        last - start < Duration::from_millis(10),
        "{:?}",
        last - start
    );
    settle().await;
    assert!(bench.target.gate().is_clear());
}

/// How long 1,000 held requests take to be answered in 10 ms each, and how
/// many were under way at most.
async fn a_thousand_to(count: u16) -> (Duration, usize) {
    let bench = bench(1_000);
    let (send, mut through) = mpsc::unbounded_channel();
    let under_way = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    for number in 0..1_000 {
        let (target, send) = (bench.target.clone(), send.clone());
        let (under_way, most) = (under_way.clone(), most.clone());
        tokio::spawn(async move {
            let (held, began) = target
                .gate()
                .hold(WaitsFor::Endpoint, None)
                .expect("room in the queue");
            target.began_to_wait(WaitsFor::Endpoint, began, String::new);
            let mut pass = held.await.expect("released");
            pass.go();
            most.fetch_max(
                under_way.fetch_add(1, Ordering::SeqCst) + 1,
                Ordering::SeqCst,
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
            under_way.fetch_sub(1, Ordering::SeqCst);
            pass.answered();
            drop(pass);
            send.send(number).expect("the test listens");
        });
    }
    settle().await;
    drop(send);
    let start = Instant::now();
    bench.target.set_endpoints(endpoints(count));
    let mut answered = 0;
    while through.recv().await.is_some() {
        answered += 1;
    }
    assert_eq!(answered, 1_000);
    (start.elapsed(), most.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_backend_without_bounds_gets_a_thousand_at_once_soon() {
    let (took, most) = a_thousand_to(1).await;
    assert!(took <= Duration::from_millis(120), "{took:?}");
    assert!(most >= 256, "{most}");
    let (took, _) = a_thousand_to(4).await;
    assert!(took <= Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_overtake() {
    let bench = bench(10);
    let (send, mut through) = mpsc::unbounded_channel();
    tokio::spawn(request(
        bench.target.clone(),
        0,
        Duration::ZERO,
        send.clone(),
    ));
    settle().await;
    bench.target.set_endpoints(endpoints(1));
    // Released or not, it has not looked yet: the way is not clear.
    assert!(!bench.target.gate().is_clear());
    tokio::spawn(request(bench.target.clone(), 1, Duration::ZERO, send));
    assert_eq!(through.recv().await.expect("first").0, 0);
    assert_eq!(through.recv().await.expect("second").0, 1);
}

#[tokio::test(start_paused = true)]
async fn who_enters_while_a_long_request_runs_is_released_too() {
    let bench = bench(10);
    let (send, mut through) = mpsc::unbounded_channel();
    tokio::spawn(request(
        bench.target.clone(),
        0,
        Duration::from_secs(3_600),
        send.clone(),
    ));
    settle().await;
    bench.target.set_endpoints(endpoints(1));
    assert_eq!(through.recv().await.expect("first").0, 0);
    let start = Instant::now();
    tokio::spawn(request(bench.target.clone(), 1, Duration::ZERO, send));
    assert_eq!(through.recv().await.expect("second").0, 1);
    assert!(start.elapsed() <= Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn the_place_of_one_who_leaves_is_free_at_once() {
    let bench = bench(2);
    let (send, mut through) = mpsc::unbounded_channel();
    let leaver = tokio::spawn(request(
        bench.target.clone(),
        0,
        Duration::ZERO,
        send.clone(),
    ));
    tokio::spawn(request(
        bench.target.clone(),
        1,
        Duration::ZERO,
        send.clone(),
    ));
    settle().await;
    assert!(matches!(
        bench.target.gate().hold(WaitsFor::Endpoint, None),
        Err(NotHeld::Full)
    ));
    leaver.abort();
    settle().await;
    assert_eq!(bench.target.held(), 1);
    tokio::spawn(request(bench.target.clone(), 2, Duration::ZERO, send));
    settle().await;
    bench.target.set_endpoints(endpoints(1));
    assert_eq!(through.recv().await.expect("stayed").0, 1);
    assert_eq!(through.recv().await.expect("came later").0, 2);
}

#[tokio::test(start_paused = true)]
async fn the_bound_over_all_targets_holds() {
    let limit = Arc::new(HeldLimit::new(1));
    let gates = [
        Arc::new(Gate::new(10, limit.clone())),
        Arc::new(Gate::new(10, limit)),
    ];
    let (held, _) = gates[0].hold(WaitsFor::Endpoint, None).expect("room");
    assert!(matches!(
        gates[1].hold(WaitsFor::Endpoint, None),
        Err(NotHeld::Full)
    ));
    drop(held);
    assert!(gates[1].hold(WaitsFor::Endpoint, None).is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_who_met_a_dead_endpoint_is_not_refused_for_those_who_came_later() {
    let limit = Arc::new(HeldLimit::new(1));
    let gates = [
        Arc::new(Gate::new(1, limit.clone())),
        Arc::new(Gate::new(1, limit)),
    ];
    let (held, _) = gates[0].hold(WaitsFor::Endpoint, None).expect("room");
    gates[0].queue.release(1);
    let mut pass = held.await.expect("released");
    let (_later, _) = gates[1].hold(WaitsFor::Endpoint, None).expect("room again");
    pass.refused();
    assert!(gates[0].hold(WaitsFor::Endpoint, Some(pass)).is_ok());
    assert!(matches!(
        gates[1].hold(WaitsFor::Endpoint, None),
        Err(NotHeld::Full)
    ));
}

/// An address that neither accepts nor refuses: its queue is full.
async fn silent() -> (std::net::SocketAddr, Vec<socket2::Socket>) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).expect("a free port");
    listener.listen(0).expect("bound");
    let addr = listener.local_addr().expect("bound");
    let mut sockets = vec![listener];
    for _ in 0..2 {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        client.set_nonblocking(true).expect("open");
        // In progress, for good in the end.
        let _pending = client.connect(&addr);
        sockets.push(client);
    }
    (addr.as_socket().expect("IPv4"), sockets)
}

#[tokio::test(start_paused = true)]
async fn news_are_heard_while_silent_endpoints_are_probed() {
    let bench = bench(10);
    let (addr, _sockets) = silent().await;
    let dead: Vec<_> = (0..20)
        .map(|_| Arc::new(Endpoint::new(addr, "silent", Protocol::Http1, 1)))
        .collect();
    let now_us = bench.target.clock().now_us();
    for endpoint in &dead {
        // Out for much longer than the test takes.
        for nth in 0..8 {
            endpoint.eject(now_us + nth * 10_000_000);
        }
    }
    bench.target.set_endpoints(Arc::new(EndpointSet::new(dead)));
    let (held, began) = bench
        .target
        .gate()
        .hold(WaitsFor::Endpoint, None)
        .expect("room");
    bench
        .target
        .began_to_wait(WaitsFor::Endpoint, began, String::new);
    settle().await;
    let start = Instant::now();
    bench.target.set_endpoints(endpoints(1));
    assert!(held.await.is_ok());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn one_live_endpoint_among_silent_ones_is_found_at_once() {
    let bench = bench(10);
    let (addr, _sockets) = silent().await;
    let live = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let live = live.expect("a free port");
    let addrs = std::iter::repeat_n(addr, 20).chain([live.local_addr().expect("bound")]);
    let all: Vec<_> = addrs
        .map(|addr| Arc::new(Endpoint::new(addr, "e", Protocol::Http1, 1)))
        .collect();
    let now_us = bench.target.clock().now_us();
    for endpoint in &all {
        for nth in 0..8 {
            endpoint.eject(now_us + nth * 10_000_000);
        }
    }
    bench.target.set_endpoints(Arc::new(EndpointSet::new(all)));
    let start = Instant::now();
    let (held, began) = bench
        .target
        .gate()
        .hold(WaitsFor::Endpoint, None)
        .expect("room");
    bench
        .target
        .began_to_wait(WaitsFor::Endpoint, began, String::new);
    assert!(held.await.is_ok());
    // One after the other, the silent ones alone would take six seconds.
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_given_up_refuses_old_and_new_until_it_recovers() {
    let bench = bench(10);
    let gate = bench.target.gate();
    let (held, began) = gate.hold(WaitsFor::Endpoint, None).expect("room");
    bench
        .target
        .began_to_wait(WaitsFor::Endpoint, began, String::new);
    bench.target.set_failing(Some("starts keep failing".into()));
    assert_eq!(
        held.await.expect_err("refused").as_ref(),
        "starts keep failing"
    );
    assert!(matches!(
        gate.hold(WaitsFor::Endpoint, None),
        Err(NotHeld::Refusing(_))
    ));
    bench.target.set_failing(None);
    let (held, began) = gate.hold(WaitsFor::Endpoint, None).expect("room again");
    bench
        .target
        .began_to_wait(WaitsFor::Endpoint, began, String::new);
    bench.target.set_endpoints(endpoints(1));
    assert!(held.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_who_met_a_dead_endpoint_gets_the_old_place_back() {
    let bench = bench(100);
    let gate = bench.target.gate();
    let (first, began) = gate.hold(WaitsFor::Endpoint, None).expect("room");
    bench
        .target
        .began_to_wait(WaitsFor::Endpoint, began, String::new);
    bench.target.set_endpoints(endpoints(1));
    let mut pass = first.await.expect("released");
    bench.target.set_endpoints(Arc::new(EndpointSet::empty()));
    pass.refused();
    let (send, mut through) = mpsc::unbounded_channel();
    for number in 1..4 {
        tokio::spawn(request(
            bench.target.clone(),
            number,
            Duration::ZERO,
            send.clone(),
        ));
    }
    settle().await;
    let target = bench.target.clone();
    tokio::spawn(async move {
        let (held, began) = target
            .gate()
            .hold(WaitsFor::Endpoint, Some(pass))
            .expect("never refused twice");
        target.began_to_wait(WaitsFor::Endpoint, began, String::new);
        held.await.expect("released");
        send.send((0, Instant::now())).expect("the test listens");
    });
    settle().await;
    bench.target.set_endpoints(endpoints(1));
    let mut order = Vec::new();
    while let Some((number, _)) = through.recv().await {
        order.push(number);
    }
    assert_eq!(order, [0, 1, 2, 3]);
}
