//! One replica of the scaler.

use crate::support::{
    Link, Margins, World,
    keda::{Event, Keda, Path, ScaledObject, Timings},
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(5);

const MARGINS: Margins = Margins {
    told_within: Duration::from_millis(300),
    // The last poll that sees activity and the first that may act on its
    // end are each up to an interval late.
    down_within: Duration::from_millis(20_500),
};

fn object(name: &str) -> ScaledObject {
    ScaledObject::of_route(name, crate::support::SCALER)
}

/// Polled so rarely that only the stream can wake in time.
fn rarely_polled(name: &str) -> ScaledObject {
    ScaledObject {
        polling_interval: 300 * SECOND,
        ..object(name)
    }
}

fn scaled(keda: &Keda, target: &str) -> Vec<(u32, u32)> {
    let log = keda.log.of(target).into_iter();
    log.filter_map(|entry| match entry.event {
        Event::Scaled { from, to, .. } => Some((from, to)),
        _ => None,
    })
    .collect()
}

/// Both holds of every scenario, after silence.
async fn assert_sound(mut world: World, keda: &Keda) {
    world.run(100 * SECOND).await;
    world.assert_demand_was_never_denied(keda, MARGINS);
    world.assert_all_sleep_in_time(keda, object("web").cooldown, MARGINS);
}

#[tokio::test(start_paused = true)]
async fn rare_short_requests_keep_a_target_up_and_silence_lets_it_sleep() {
    let mut world = World::new(1, &["web", "silent"]).await;
    let keda = world.keda(object);
    for _ in 0..60 {
        world.send(0, "web", SHORT);
        world.run(10 * SECOND).await;
    }
    assert_eq!(scaled(&keda, "web"), [(0, 1)], "woken once, never to sleep");
    assert_eq!(scaled(&keda, "silent"), []);
    assert_sound(world, &keda).await;
}

/// The HPA asks for the activity with every metric that it reads, each 15 s,
/// and throws the answer away: the poll must hear of it all the same, and with
/// both metrics, for it believes the last.
#[tokio::test(start_paused = true)]
async fn reads_of_the_hpa_do_not_take_activity_from_rare_polls() {
    let mut world = World::new(1, &["web"]).await;
    let keda = world.keda(|name| ScaledObject {
        polling_interval: 120 * SECOND,
        cooldown: 60 * SECOND,
        ..object(name)
    });
    // It learns how often KEDA polls while there is no HPA to be read.
    world.run(250 * SECOND).await;
    for _ in 0..10 {
        world.send(0, "web", SHORT);
        world.run(110 * SECOND).await;
    }
    assert_eq!(scaled(&keda, "web"), [(0, 1)], "never to sleep");
    world.run(300 * SECOND).await;
    assert_eq!(scaled(&keda, "web"), [(0, 1), (1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_reported_is_what_was_sent_exactly() {
    let mut world = World::new(1, &["web"]).await;
    let keda = world.keda(object);
    // The window is full from here on.
    world.send(0, "web", SHORT);
    world.run(70 * SECOND).await;
    for request in 0..137u32 {
        world.send(
            0,
            "web",
            Duration::from_millis(u64::from(request % 7) * 130),
        );
        world.run(Duration::from_millis(250)).await;
        let reading = world.replicas[0].demand("web");
        assert_eq!(reading.in_flight as usize, world.in_flight("web"));
        let in_window = world.begun_within("web", 60 * SECOND) as f64;
        // To the request, not to the microsecond in which a reading is taken.
        assert!(
            (reading.request_rate * 60.0 - in_window).abs() < 0.01,
            "{reading:?}, sent {in_window}"
        );
    }
    let values = keda.log.count("web", |event| {
        matches!(event, Event::Value { path: Path::Poll, metric, .. } if metric == "http_web_rate")
    });
    assert!(values >= 10, "KEDA asked all the while: {values}");
    assert_sound(world, &keda).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_wakes_at_once_however_rarely_keda_polls() {
    let mut world = World::new(1, &["web"]).await;
    let keda = world.keda(rarely_polled);
    world.run(20 * SECOND).await;
    world.send(0, "web", SHORT);
    world.run(Duration::from_millis(200)).await;
    assert_eq!(world.workload("web").replicas(), 1);
    world.run(2 * SECOND).await;
    assert_eq!(world.in_flight("web"), 0, "it was served");
    assert_eq!(scaled(&keda, "web"), [(0, 1)]);
}

/// A request that arrives around the very poll that puts its target to sleep:
/// KEDA's answer is out of date, and its cache says that nothing is to be
/// done. The signal is repeated, so nobody waits for the next poll.
#[tokio::test(start_paused = true)]
async fn a_request_that_races_with_the_poll_to_zero_is_served_soon() {
    for offset_ms in (0..600).step_by(50) {
        let mut world = World::new(1, &["web"]).await;
        let keda = world.keda(|name| ScaledObject {
            polling_interval: 100 * SECOND,
            ..object(name)
        });
        world.run(2 * SECOND).await;
        world.send(0, "web", SHORT);
        // The poll at 100 s finds it quiet for longer than the cooldown.
        world.run(Duration::from_millis(97_700 + offset_ms)).await;
        world.send(0, "web", SHORT);
        world.run(6 * SECOND).await;
        assert_eq!(world.in_flight("web"), 0, "offset {offset_ms} ms: it waits");
        world.assert_demand_was_never_denied(&keda, MARGINS);
    }
}

/// The activation of a ScaledObject that is so new that its status has no
/// metric names is dropped by KEDA; a repeat comes through.
#[tokio::test(start_paused = true)]
async fn a_dropped_activation_is_repeated() {
    let mut world = World::new(1, &["web"]).await;
    let slow_caches = Timings {
        cache_lag: SECOND,
        ..Timings::KEDA
    };
    let keda = world.keda_with(slow_caches, rarely_polled);
    world.run(Duration::from_millis(500)).await;
    world.send(0, "web", SHORT);
    world.run(4 * SECOND).await;
    let count = |is_so: fn(&Event) -> bool| keda.log.count("web", is_so);
    assert_eq!(count(|event| matches!(event, Event::Polled { .. })), 1);
    assert!(count(|event| *event == Event::Dropped) >= 1);
    assert_eq!(world.in_flight("web"), 0, "it was served");
}

#[tokio::test(start_paused = true)]
async fn somebody_else_scales_to_zero_while_requests_are_held() {
    let mut world = World::new(1, &["web"]).await;
    let keda = world.keda(rarely_polled);
    world.run(5 * SECOND).await;
    world.send(0, "web", SHORT);
    world.run(Duration::from_millis(500)).await;
    assert_eq!(world.workload("web").replicas(), 1, "it boots");
    world.workload("web").scale(0);
    world.run(4 * SECOND).await;
    assert_eq!(world.in_flight("web"), 0, "it was served after all");
    assert_eq!(scaled(&keda, "web"), [(0, 1), (0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_orderly_restart_in_the_middle_of_traffic_takes_nothing_away() {
    let mut world = World::new(1, &["web", "cold"]).await;
    let keda = world.keda(object);
    for second in 0..120 {
        if second == 40 {
            world.stop(0).await;
            world.run(5 * SECOND).await;
            world.start_without_routes(0).await;
            // It answers, but knows no route yet.
            world.run(15 * SECOND).await;
            world.load(0);
        }
        world.send(0, "web", 2 * SECOND);
        world.run(SECOND).await;
    }
    assert_eq!(scaled(&keda, "web"), [(0, 1)]);
    // The stream ended with OK, so it is back after 2 s: a cold target is
    // woken by the new process at once.
    world.send(0, "cold", SHORT);
    world.run(Duration::from_millis(200)).await;
    assert_eq!(world.workload("cold").replicas(), 1);
    assert_sound(world, &keda).await;
}

#[tokio::test(start_paused = true)]
async fn a_scaler_that_dies_again_and_again_takes_nothing_away() {
    let mut world = World::new(1, &["web", "cold"]).await;
    let keda = world.keda(object);
    for second in 0..200 {
        if second % 30 == 20 {
            world.kill(0).await;
            world.run(3 * SECOND).await;
            world.start(0).await;
        }
        world.send(0, "web", 2 * SECOND);
        world.run(SECOND).await;
    }
    assert_eq!(scaled(&keda, "web"), [(0, 1)]);
    let broken = |event: &Event| matches!(event, Event::Broke(_));
    assert!(keda.log.count("web", broken) >= 6, "its streams broke");
    // KEDA's stream may be in its back-off of up to a minute; the poll, every
    // 10 s, must find the request then.
    world.send(0, "cold", SHORT);
    world.run(11 * SECOND).await;
    assert_eq!(world.workload("cold").replicas(), 1);
    assert_sound(world, &keda).await;
}

/// A scaler that just started and has no routes yet must not say zero, nor
/// idle: everything would be scaled away.
#[tokio::test(start_paused = true)]
async fn a_scaler_without_routes_says_nothing_at_all() {
    let mut world = World::new(1, &["web"]).await;
    let keda = world.keda(object);
    world.send(0, "web", SECOND);
    world.run(5 * SECOND).await;
    world.kill(0).await;
    world.start_without_routes(0).await;
    let answers = |keda: &Keda| {
        keda.log
            .count("web", |e| matches!(e, Event::Answered { .. }))
    };
    let before = answers(&keda);
    world.run(200 * SECOND).await;
    assert_eq!(answers(&keda), before);
    assert_eq!(world.workload("web").replicas(), 1, "kept as it was");
    world.load(0);
    world.run(100 * SECOND).await;
    world.assert_demand_was_never_denied(&keda, MARGINS);
    assert_eq!(world.workload("web").replicas(), 0, "now it knows");
}

/// KEDA and the scaler are cut off from each other in the middle of polls and
/// pushes; nothing is reset. KEDA waits, and then goes on.
#[tokio::test(start_paused = true)]
async fn a_partition_between_keda_and_the_scaler_delays_but_loses_nothing() {
    let mut world = World::new(1, &["web", "cold"]).await;
    let keda = world.keda(object);
    for second in 0..150 {
        match second {
            50 => world.link(0, Link::Frozen),
            60 => world.send(0, "cold", SHORT),
            100 => world.link(0, Link::Up),
            _ => {}
        }
        world.send(0, "web", 2 * SECOND);
        world.run(SECOND).await;
        if second == 99 {
            assert_eq!(world.workload("cold").replicas(), 0, "nobody can know");
        }
        if second == 102 {
            assert_eq!(world.workload("cold").replicas(), 1);
        }
    }
    assert_eq!(scaled(&keda, "web"), [(0, 1)]);
    assert_sound(world, &keda).await;
}
