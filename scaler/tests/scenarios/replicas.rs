//! Three replicas of the scaler that tell each other what is asked, and a KEDA
//! that talks to whichever it meets.

use crate::support::{
    Link, Margins, World,
    keda::{Event, Keda, ScaledObject},
};
use std::time::Duration;
use tonic::Code;

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(5);
/// Replicas tell each other ten times a second.
const TOLD: Duration = Duration::from_millis(400);

const MARGINS: Margins = Margins {
    told_within: Duration::from_millis(600),
    // As with one replica; and each replica's answers reach back to its own
    // last one, which with three of them is further.
    down_within: Duration::from_millis(35_500),
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

fn to_zero(keda: &Keda, target: &str) -> usize {
    let to_zero = |event: &Event| matches!(event, Event::Scaled { to: 0, .. });
    keda.log.count(target, to_zero)
}

/// What holds of every scenario, after silence.
async fn assert_sound(mut world: World, keda: &Keda) {
    world.run(130 * SECOND).await;
    world.assert_sums();
    world.assert_demand_was_never_denied(keda, MARGINS);
    world.assert_all_sleep_in_time(keda, object("web").cooldown, MARGINS);
}

#[tokio::test(start_paused = true)]
async fn each_replica_answers_for_all_exactly() {
    let mut world = World::new(3, &["web", "other"]).await;
    let keda = world.keda(object);
    world.run(70 * SECOND).await;
    for round in 0..60 {
        for _ in 0..=round % 4 {
            world.send(round % 3, "web", (round % 5) as u32 * SECOND);
        }
        world.send((round + 1) % 3, "other", SHORT);
        world.run(TOLD).await;
        world.assert_sums();
        let in_window = world.begun_within("web", 60 * SECOND) as f64;
        for replica in &world.replicas {
            let rate = replica.demand("web").request_rate * 60.0;
            // To the request, not to the microsecond in which a reading is taken.
            assert!((rate - in_window).abs() < 0.01, "{rate}, sent {in_window}");
        }
    }
    assert_eq!(to_zero(&keda, "web"), 0);
    assert_sound(world, &keda).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_at_one_replica_wakes_through_the_stream_of_another() {
    let mut world = World::new(3, &["web"]).await;
    world.keda_reaches(1..2);
    let keda = world.keda(rarely_polled);
    world.run(20 * SECOND).await;
    world.send(0, "web", SHORT);
    world.run(Duration::from_millis(200)).await;
    assert_eq!(world.workload("web").replicas(), 1);
    world.run(2 * SECOND).await;
    assert_eq!(world.in_flight("web"), 0, "it was served");
    world.assert_demand_was_never_denied(&keda, MARGINS);
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_under_traffic_takes_nothing_away() {
    let mut world = World::new(3, &["web", "cold"]).await;
    let keda = world.keda(object);
    for second in 0..100 {
        if second % 30 == 20 {
            let index = second / 30;
            world.stop(index).await;
            world.start(index).await;
            // The others take the traffic until it has heard them.
            while world.replicas[index].is_blind() {
                world.send((index + 1) % 3, "web", SECOND);
                world.run(SECOND).await;
            }
        }
        world.send(second % 3, "web", 2 * SECOND);
        // Told everywhere, and nothing else began or ended since.
        world.run(TOLD).await;
        world.assert_sums();
        world.run(SECOND - TOLD).await;
    }
    assert_eq!(to_zero(&keda, "web"), 0);
    world.send(2, "cold", SHORT);
    world.run(TOLD).await;
    assert_eq!(
        world.workload("cold").replicas(),
        1,
        "a stream is open again"
    );
    assert_sound(world, &keda).await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_between_replicas_heals_to_exact_sums() {
    let mut world = World::new(3, &["web", "lonely"]).await;
    let keda = world.keda(object);
    for second in 0..90 {
        // Shorter than what a target stays active for: nobody may call
        // `lonely` idle, whose traffic is on the other side.
        match second {
            30 => world.link_peers(2, Link::Frozen),
            55 => world.link_peers(2, Link::Up),
            _ => {}
        }
        world.send(second % 3, "web", 3 * SECOND);
        world.send(2, "lonely", 3 * SECOND);
        world.run(TOLD).await;
        if !(30..60).contains(&second) {
            world.assert_sums();
        }
        world.run(SECOND - TOLD).await;
    }
    assert_eq!(to_zero(&keda, "web") + to_zero(&keda, "lonely"), 0);
    assert_sound(world, &keda).await;
}

fn failed(keda: &Keda, target: &str) -> usize {
    let refused =
        |event: &Event| matches!(event, Event::Failed { code, .. } if *code == Code::Unavailable);
    keda.log.count(target, refused)
}

/// Longer than grace, activity window and cooldown together, and of two metrics
/// KEDA believes the last, which may always be answered by a replica that has
/// no traffic: none of them calls idle what another one may have.
#[tokio::test(start_paused = true)]
async fn a_long_partition_calls_nothing_idle_that_has_demand() {
    let mut world = World::new(3, &["web", "both"]).await;
    let keda = world.keda(object);
    for second in 0..240 {
        match second {
            20 => world.link_peers(2, Link::Frozen),
            220 => world.link_peers(2, Link::Up),
            _ => {}
        }
        world.send(2, "web", 3 * SECOND);
        // On both sides.
        world.send(second % 3, "both", 3 * SECOND);
        world.run(SECOND).await;
    }
    assert_eq!(to_zero(&keda, "web") + to_zero(&keda, "both"), 0);
    assert!(failed(&keda, "web") > 0, "those that cannot know say so");
    assert_sound(world, &keda).await;
}

/// What nobody asks for stays up while it cannot be known that nobody does, and
/// what sleeps stays asleep.
#[tokio::test(start_paused = true)]
async fn a_long_partition_wakes_nothing_and_what_is_idle_sleeps_after_it() {
    let mut world = World::new(3, &["web", "asleep"]).await;
    let keda = world.keda(object);
    world.send(0, "web", SHORT);
    world.run(5 * SECOND).await;
    world.link_peers(2, Link::Frozen);
    world.run(200 * SECOND).await;
    assert_eq!(world.workload("web").replicas(), 1);
    assert_eq!(world.workload("asleep").replicas(), 0);
    world.link_peers(2, Link::Up);
    world.run(60 * SECOND).await;
    world.assert_sums();
    assert_eq!(world.workload("web").replicas(), 0);
    world.assert_demand_was_never_denied(&keda, MARGINS);
}

/// KEDA's streams may all be at the other replicas: its polls find it.
#[tokio::test(start_paused = true)]
async fn a_cold_request_at_a_replica_that_is_cut_off_from_the_others_wakes() {
    let mut world = World::new(3, &["web"]).await;
    let keda = world.keda(object);
    world.run(10 * SECOND).await;
    world.link_peers(2, Link::Frozen);
    world.run(60 * SECOND).await;
    world.send(2, "web", SHORT);
    world.run(35 * SECOND).await;
    assert_eq!(world.in_flight("web"), 0, "it was served");
    assert!(
        keda.log.count("web", |event| matches!(
            event,
            Event::Scaled { from: 0, .. }
        )) > 0
    );
    world.link_peers(2, Link::Up);
    assert_sound(world, &keda).await;
}

/// Whoever is dead for certain (its machine says that nobody listens) asks for
/// nothing, though it is still named: idle targets sleep in time.
#[tokio::test(start_paused = true)]
async fn a_dead_replica_that_is_still_named_keeps_nothing_awake() {
    let mut world = World::new(3, &["web"]).await;
    world.keda_reaches(0..2);
    let keda = world.keda(object);
    world.send(0, "web", 2 * SECOND);
    world.run(10 * SECOND).await;
    world.kill(2).await;
    assert_sound(world, &keda).await;
}

#[tokio::test(start_paused = true)]
async fn keda_that_reconnects_to_another_replica_hears_the_same() {
    let mut world = World::new(3, &["web", "cold"]).await;
    world.keda_reaches(0..1);
    let keda = world.keda(object);
    for second in 0..120 {
        if second == 40 {
            world.kill(0).await;
            world.keda_reaches(1..2);
        }
        // It never reaches KEDA's replica itself.
        world.send(2, "web", 2 * SECOND);
        world.run(SECOND).await;
    }
    assert_eq!(to_zero(&keda, "web"), 0);
    world.assert_sums();
    let answered = |event: &Event| matches!(event, Event::Answered { .. });
    let before = keda.log.count("cold", answered);
    world.send(2, "cold", SHORT);
    world.run(11 * SECOND).await;
    assert!(keda.log.count("cold", answered) > before, "it is back");
    assert_eq!(world.workload("cold").replicas(), 1);
    assert_sound(world, &keda).await;
}

/// Frozen is worse than dead: nobody is told. KEDA's calls to it wait, for
/// they have no deadline, and nothing may be scaled away meanwhile.
#[tokio::test(start_paused = true)]
async fn a_frozen_replica_is_given_up_by_the_others_and_comes_back() {
    let mut world = World::new(3, &["web"]).await;
    let keda = world.keda(object);
    for second in 0..100 {
        match second {
            30 => world.replicas[0].links(Link::Frozen),
            70 => world.replicas[0].links(Link::Up),
            _ => {}
        }
        world.send(1 + second % 2, "web", 2 * SECOND);
        world.run(SECOND).await;
    }
    assert_eq!(to_zero(&keda, "web"), 0);
    assert_sound(world, &keda).await;
}
