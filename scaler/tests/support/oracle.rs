//! What must be true of every run: KEDA's log against what was really asked.

use super::{
    keda::{Event, Keda},
    world::{Sent, World},
};
use std::{fmt::Write as _, time::Duration};
use tokio::time::Instant;

/// A target is active for so long after its last request.
const ACTIVITY_WINDOW: Duration = Duration::from_secs(30);

/// How far KEDA's picture may lag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Margins {
    /// From a request to what is said of it.
    pub(crate) told_within: Duration,
    /// A target without demand may be up for its activity window, its cooldown
    /// and this.
    pub(crate) down_within: Duration,
}

impl Sent {
    /// Held or served at any time in there.
    fn was_within(&self, from: Instant, to: Instant) -> bool {
        self.begun <= to && self.ended.is_none_or(|ended| ended >= from)
    }
}

impl World {
    /// No target with demand was reported idle or put to sleep.
    ///
    /// # Panics
    /// If one was, with what KEDA saw.
    pub(crate) fn assert_demand_was_never_denied(&self, keda: &Keda, margins: Margins) {
        for backend in &self.backends {
            let name = &backend.name;
            let sent: Vec<&Sent> = self.sent.iter().filter(|s| s.target == *name).collect();
            let asked_within = |from: Instant, to: Instant| {
                from <= to && sent.iter().any(|sent| sent.was_within(from, to))
            };
            for entry in keda.log.of(name) {
                let lately = entry.at - ACTIVITY_WINDOW + margins.told_within;
                let denied = match entry.event {
                    Event::Answered {
                        asked,
                        active: false,
                        ..
                    } => asked_within(lately, asked - margins.told_within),
                    Event::Said(false) => asked_within(lately, entry.at - margins.told_within),
                    Event::Scaled { to: 0, .. } => {
                        asked_within(lately, entry.at - margins.told_within)
                    }
                    _ => false,
                };
                assert!(!denied, "{name}: {entry:?}\n{}", self.story(keda, name));
            }
        }
    }

    /// Every target is asleep, and was put there in time after its last
    /// request.
    ///
    /// # Panics
    /// If one is not, with what KEDA saw.
    pub(crate) fn assert_all_sleep_in_time(
        &self,
        keda: &Keda,
        cooldown: Duration,
        margins: Margins,
    ) {
        for backend in &self.backends {
            let name = &backend.name;
            let story = || self.story(keda, name);
            assert_eq!(backend.workload.replicas(), 0, "{name}\n{}", story());
            let ended = self.sent.iter().filter(|s| s.target == *name);
            let last = ended.map(|s| s.ended.expect("all have ended")).max();
            let log = keda.log.of(name);
            let slept = log.iter().rev().find_map(|entry| match entry.event {
                Event::Scaled { to: 0, .. } => Some(entry.at),
                _ => None,
            });
            let (Some(last), Some(slept)) = (last, slept) else {
                continue;
            };
            let most = ACTIVITY_WINDOW + cooldown + margins.down_within;
            let took = slept - last;
            assert!(took <= most, "{name}: {took:?} > {most:?}\n{}", story());
        }
    }

    /// KEDA's log of one target, in seconds, with the requests.
    fn story(&self, keda: &Keda, name: &str) -> String {
        let log = keda.log.of(name);
        let mut lines: Vec<(Instant, String)> = Vec::new();
        for entry in log {
            lines.push((entry.at, format!("{:?}", entry.event)));
        }
        for sent in self.sent.iter().filter(|sent| sent.target == name) {
            lines.push((sent.begun, "request begins".to_owned()));
            if let Some(ended) = sent.ended {
                lines.push((ended, "request ends".to_owned()));
            }
        }
        lines.sort_by_key(|(at, _)| *at);
        let Some(start) = lines.first().map(|(at, _)| *at) else {
            return String::new();
        };
        let mut story = String::new();
        for (at, line) in lines.iter().rev().take(200).rev() {
            let second = (*at - start).as_secs_f64();
            writeln!(story, "{second:9.2} {line}").expect("a String takes all");
        }
        story
    }
}
