//! One target over two minutes: it sleeps, is woken, grows with the load, falls
//! asleep when nobody asks, and is woken again by a crowd.
//!
//! An open loop: requests are sent when their time has come, each on a
//! connection of its own, and latency counts from that time. What Reveille
//! says about the target is noted beside.

use crate::{
    client, manifest,
    manifest::Scaling,
    reveille::{self, Reveille},
};
use anyhow::{Context as _, Result, ensure};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};

const NAME: &str = "web";
/// Each answer takes so long, so that 200 a second keep four replicas busy.
const WORK_MS: &str = "40";
const SCALING: Scaling = Scaling {
    concurrency: 2,
    replicas: 4,
    cooldown: 2,
};
const TICK: Duration = Duration::from_millis(5);
const SAMPLED_EACH: Duration = Duration::from_millis(250);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The activity window of 30 s, the cooldown, and room.
const ASLEEP_WITHIN: Duration = Duration::from_secs(60);

/// Seconds, and requests per second at the beginning and the end.
const FIRST: [(&str, f64, f64, f64); 3] = [
    ("a few", 5.0, 10.0, 10.0),
    ("more and more", 15.0, 10.0, 200.0),
    ("many", 15.0, 200.0, 200.0),
];
const CROWD: (&str, f64, f64, f64) = ("a crowd at once", 10.0, 200.0, 200.0);

/// About how long it takes.
pub(super) const TAKES: Duration = Duration::from_secs(90);

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// When it was due, seconds from the beginning.
    pub(super) at: f64,
    pub(super) ms: f64,
    /// Whether it was answered with 200.
    pub(super) good: bool,
    /// Whether it waited for a replica.
    pub(super) cold: bool,
}

/// What Reveille said of the target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Seconds from the beginning.
    pub(super) at: f64,
    pub(super) held: u64,
    pub(super) in_flight: u64,
    pub(super) wanted: u32,
    pub(super) ready: u32,
}

/// Everything, as far as it went.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Timeline {
    pub(super) answers: Vec<Answer>,
    pub(super) states: Vec<State>,
    /// When each phase of the load began, and what it is.
    pub(super) phases: Vec<(f64, String)>,
}

/// The part of `/api/v1/targets` that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetNow {
    in_flight: u64,
    held: u64,
    replicas: ReplicasNow,
}

#[derive(Deserialize)]
struct ReplicasNow {
    wanted: u32,
    ready: u32,
}

/// Runs it, and adds to `timeline` as it goes. Cancel safe: dropped, what it
/// started is stopped.
pub(super) async fn measure(args: &reveille::Args, timeline: &Arc<Mutex<Timeline>>) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let own = std::env::current_exe()?;
    let own = own.to_str().context("a path that is not UTF-8")?;
    let command = [own, "application", "--port", "{port}", "--work-ms", WORK_MS];
    manifest::write_scaled(dir.path(), NAME, &command, SCALING)?;
    let mut reveille = Reveille::start(args, dir.path(), None).await?;
    let (proxy, admin) = (reveille.addresses.proxy, reveille.addresses.admin);
    let begun = Instant::now();
    let done = tokio::select! {
        done = load(proxy, admin, begun, timeline) => done,
        failed = watch(admin, begun, timeline) => failed,
    };
    reveille.program.check_alive().context("reveille")?;
    reveille.program.stop().await.context("reveille")?;
    done
}

/// All phases.
async fn load(
    proxy: SocketAddr,
    admin: SocketAddr,
    begun: Instant,
    timeline: &Arc<Mutex<Timeline>>,
) -> Result<()> {
    let mut requests = JoinSet::new();
    for phase in FIRST {
        send(proxy, begun, phase, timeline, &mut requests).await;
    }
    note(begun, "nobody", timeline);
    tokio::time::timeout(ASLEEP_WITHIN, until_asleep(admin))
        .await
        .context("it did not fall asleep")??;
    send(proxy, begun, CROWD, timeline, &mut requests).await;
    while let Some(done) = requests.join_next().await {
        done?;
    }
    Ok(())
}

fn note(begun: Instant, phase: &str, timeline: &Mutex<Timeline>) {
    let at = begun.elapsed().as_secs_f64();
    timeline.lock().phases.push((at, phase.to_owned()));
}

/// Sends what is due until the phase is over.
async fn send(
    proxy: SocketAddr,
    begun: Instant,
    (name, seconds, from, to): (&str, f64, f64, f64),
    timeline: &Arc<Mutex<Timeline>>,
    requests: &mut JoinSet<()>,
) {
    note(begun, name, timeline);
    let phase = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    let mut sent = 0.0;
    loop {
        ticks.tick().await;
        let passed = phase.elapsed().as_secs_f64().min(seconds);
        // The integral of the rate.
        let due = passed * (from + (to - from) * passed / seconds / 2.0);
        while sent < due {
            sent += 1.0;
            let timeline = timeline.clone();
            requests.spawn(async move {
                let answer = ask(proxy, begun).await;
                timeline.lock().answers.push(answer);
            });
        }
        // The finished ones give their memory back.
        while requests.try_join_next().is_some() {}
        if passed >= seconds {
            return;
        }
    }
}

async fn ask(proxy: SocketAddr, begun: Instant) -> Answer {
    let due = Instant::now();
    let answer = async {
        let sent = client::send(proxy, &manifest::host(NAME), "/").await?;
        sent.answer().await
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
    let head = answer.ok().and_then(Result::ok).map(|answer| answer.head);
    let status = head.as_ref().and_then(|head| head.status().ok());
    let cold = head.and_then(|head| Some(head.get("x-keda-http-cold-start")? == "true"));
    Answer {
        at: (due - begun).as_secs_f64(),
        ms: due.elapsed().as_secs_f64() * 1e3,
        good: status == Some(200),
        cold: cold.unwrap_or_default(),
    }
}

/// Notes what Reveille says, until it cannot be asked.
async fn watch(admin: SocketAddr, begun: Instant, timeline: &Arc<Mutex<Timeline>>) -> Result<()> {
    let mut ticks = tokio::time::interval(SAMPLED_EACH);
    loop {
        ticks.tick().await;
        let now = target(admin).await.context("/api/v1/targets")?;
        timeline.lock().states.push(State {
            at: begun.elapsed().as_secs_f64(),
            held: now.held,
            in_flight: now.in_flight,
            wanted: now.replicas.wanted,
            ready: now.replicas.ready,
        });
    }
}

async fn until_asleep(admin: SocketAddr) -> Result<()> {
    while target(admin).await?.replicas.ready > 0 {
        tokio::time::sleep(SAMPLED_EACH).await;
    }
    Ok(())
}

async fn target(admin: SocketAddr) -> Result<TargetNow> {
    let answer = client::send(admin, "localhost", "/api/v1/targets").await?;
    let answer = answer.answer().await?;
    let mut targets: Vec<TargetNow> = serde_json::from_slice(&answer.body)?;
    ensure!(targets.len() == 1, "{} targets", targets.len());
    targets.pop().context("no target")
}

impl Timeline {
    /// From the beginning of a phase to that of the next one, seconds.
    pub(super) fn bounds(&self, phase: &str) -> Option<(f64, f64)> {
        let at = self.phases.iter().position(|(_, name)| name == phase)?;
        let (from, _) = self.phases.get(at)?;
        let next = self.phases.get(at + 1);
        Some((*from, next.map_or(f64::INFINITY, |(to, _)| *to)))
    }

    /// Latencies of a phase in the order in which the requests were due, ms.
    pub(super) fn latencies(&self, phase: &str, cold: bool) -> Vec<f64> {
        let Some((from, to)) = self.bounds(phase) else {
            return Vec::new();
        };
        let mut own: Vec<&Answer> = self
            .answers
            .iter()
            .filter(|one| one.good && one.cold == cold && one.at >= from && one.at < to)
            .collect();
        own.sort_by(|a, b| a.at.total_cmp(&b.at));
        own.iter().map(|one| one.ms).collect()
    }

    /// When it ended, seconds.
    pub(super) fn end(&self) -> f64 {
        let answers = self.answers.iter().map(|one| one.at + one.ms / 1e3);
        let states = self.states.iter().map(|one| one.at);
        answers.chain(states).fold(0.0, f64::max)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Answer, State, Timeline};

    pub(in crate::overview) fn timeline() -> Timeline {
        let answer = |at, ms, cold| Answer {
            at,
            ms,
            good: true,
            cold,
        };
        let state = |at, held, ready| State {
            at,
            held,
            in_flight: held + 1,
            wanted: 2,
            ready,
        };
        Timeline {
            answers: vec![
                answer(1.0, 80.0, true),
                answer(1.9, 4.0, false),
                answer(1.5, 2.0, false),
                answer(2.5, 3.0, false),
                Answer {
                    good: false,
                    ..answer(2.6, 30_000.0, false)
                },
            ],
            states: vec![state(0.0, 0, 0), state(1.0, 5, 0), state(2.0, 0, 2)],
            phases: vec![(0.5, "a few".to_owned()), (2.0, "many".to_owned())],
        }
    }

    #[test]
    fn answers_belong_to_the_phase_they_were_due_in() {
        let timeline = timeline();
        assert_eq!(timeline.latencies("a few", false), [2.0, 4.0]);
        assert_eq!(timeline.latencies("a few", true), [80.0]);
        assert_eq!(timeline.latencies("many", false), [3.0]);
        assert!(timeline.latencies("none", false).is_empty());
        assert_eq!(timeline.end(), 32.6);
    }
}
