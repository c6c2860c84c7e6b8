//! What is read of a target: by KEDA's RPCs and streams, and for people.
//!
//! Each reading looks at the counters first, so it is of now and not of the last
//! sample.

use super::{Look, Tracked};
use crate::{
    ledger::{DemandParts, DemandReading, Part},
    window::Arrivals,
};
use std::time::Duration;

/// Who waits for a target, and whether anybody could serve them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Requests that wait.
    pub(crate) held: u64,
    /// Endpoints that could take them.
    pub(crate) ready_endpoints: usize,
}

impl Tracked {
    /// What is asked of the target now, on all replicas.
    pub(crate) fn demand(&self, now_us: u64) -> DemandReading {
        let mut sampled = self.sampled.lock();
        let Look {
            totals,
            held,
            elsewhere,
        } = self.look(&mut sampled, now_us);
        let mean = sampled
            .concurrency
            .mean(&totals)
            .unwrap_or(totals.in_flight() as f64);
        let held = held + elsewhere.held;
        DemandReading {
            in_flight: totals.in_flight() + elsewhere.in_flight,
            held,
            // Who waits now must count in full now: a mean over seconds would
            // let a burst ask for its replicas in instalments.
            concurrency: tidy((mean + elsewhere.concurrency).max(held as f64)),
            request_rate: tidy(
                sampled.arrivals.per_second(&Arrivals::from(&totals)) + elsewhere.request_rate,
            ),
            active: self.activation.active(),
        }
    }

    /// The same by where it comes from.
    pub(crate) fn parts(&self, now_us: u64) -> DemandParts {
        let (here, elsewhere) = {
            let mut sampled = self.sampled.lock();
            let look = self.look(&mut sampled, now_us);
            let here = Part {
                in_flight: look.totals.in_flight(),
                held: look.held,
            };
            (here, look.elsewhere)
        };
        DemandParts {
            here,
            elsewhere: Part {
                in_flight: elsewhere.in_flight,
                held: elsewhere.held,
            },
            active: self.activation.active(),
            idle: self.activation.idle_us(now_us).map(Duration::from_micros),
            activity_window: self.config.activity_window,
            scaling: self.scaling(),
        }
    }

    /// The answer to KEDA's `IsActive`; see [`Activation::answer`].
    pub(crate) fn answer_active(&self, now_us: u64) -> bool {
        let ready_endpoints = {
            let mut sampled = self.sampled.lock();
            self.look(&mut sampled, now_us);
            sampled.source.ready_endpoints()
        };
        self.activation.answer(now_us, ready_endpoints)
    }

    /// Who waits now, on any replica, and what can serve them: the fewest
    /// endpoints that a replica sees at which somebody waits. An endpoint that
    /// only others see does not help whoever waits here.
    pub(crate) fn queue(&self) -> Queue {
        let mut sampled = self.sampled.lock();
        let now_us = sampled.source.totals().at_us;
        let elsewhere = sampled.shares.read(now_us);
        let held = sampled.source.held();
        let ready = sampled.source.ready_endpoints();
        let where_held = (held > 0).then_some(ready);
        let fewest = where_held
            .into_iter()
            .chain(elsewhere.ready_where_held)
            .min();
        Queue {
            held: held + elsewhere.held,
            ready_endpoints: fewest.unwrap_or(ready.max(elsewhere.ready_endpoints)),
        }
    }
}

/// A sum without what adding floats up left in its last digits: KEDA is also
/// told the number rounded up, and 4.000000000000001 would be 5.
fn tidy(value: f64) -> f64 {
    let tidy = (value * 1e6).round() / 1e6;
    // Some demand, however little, is never none.
    if tidy > 0.0 { tidy } else { value }
}
