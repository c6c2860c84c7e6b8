//! The shares of all other replicas in the demand for one target.
//!
//! Kept by [`crate::tracked`] under the target's lock, or by [`super::aside`]
//! for a target that is not known here yet. Pure.

use super::{
    identity::Identity,
    replica::Replica,
    report::{News, Report},
    share::{Heard, Shape, Share, ShareReading},
};
use crate::source::RateTarget;
use std::sync::Arc;

/// Identities that a target remembers at once. Replicas are few; starts of a
/// replica that crashes all the time are not, and each stays until its arrivals
/// have left the window.
const MAX_SHARES: usize = 128;

/// What others ask of one target.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    shares: Vec<Share>,
    /// What was counted by shares that are over, oldest first. A replica that
    /// was away for longer than the window counts from its birth when it comes
    /// back, so its part must be found again.
    over: Vec<Over>,
    /// Requests begun at replicas that are not remembered any more.
    begun_before: u64,
}

/// A share that is over.
#[derive(Clone, Copy, Debug)]
struct Over {
    identity: Identity,
    born_us: u64,
    begun: u64,
}

/// The shares at one moment, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Elsewhere {
    pub(crate) begun: u64,
    pub(crate) in_flight: u64,
    pub(crate) held: u64,
    pub(crate) concurrency: f64,
    pub(crate) request_rate: f64,
    /// Fewest endpoints that a replica sees at which somebody waits.
    pub(crate) ready_where_held: Option<usize>,
    /// Most endpoints that any replica sees.
    pub(crate) ready_endpoints: usize,
}

impl Shares {
    /// A report, read at `at_us` of our clock.
    pub(crate) fn take(
        &mut self,
        replica: &Arc<Replica>,
        report: &Report,
        at_us: u64,
        shape: &Shape,
    ) -> Heard {
        if let Some(share) = self.of(replica) {
            return share.take(report, at_us, shape);
        }
        if self.shares.len() >= MAX_SHARES {
            self.forget_one();
        }
        let (share, heard) = Share::new(Arc::clone(replica), report, at_us, shape);
        let same = (replica.identity(), share.born_us());
        self.over
            .retain(|over| (over.identity, over.born_us) != same);
        self.shares.push(share);
        heard
    }

    /// The target is gone at `replica`.
    pub(crate) fn remove(&mut self, replica: &Replica, revision: u64, now_us: u64) {
        if let Some(share) = self.of(replica) {
            share.remove(revision, now_us);
        }
    }

    /// `replica` sent its whole state, and the target was not in it.
    pub(crate) fn absent(&mut self, replica: &Replica, now_us: u64) {
        if let Some(share) = self.of(replica) {
            share.absent(now_us);
        }
    }

    /// Both kinds of news.
    pub(crate) fn hear(
        &mut self,
        replica: &Arc<Replica>,
        news: &News,
        at_us: u64,
        now_us: u64,
        shape: &Shape,
    ) -> Heard {
        match news {
            News::State(report) => self.take(replica, report, at_us, shape),
            News::Removed { revision } => {
                self.remove(replica, *revision, now_us);
                Heard::default()
            }
        }
    }

    /// Another window of the rate from now on.
    pub(crate) fn reshape(&mut self, rate: Option<&RateTarget>) {
        self.shares.iter_mut().for_each(|share| share.reshape(rate));
    }

    /// All of them at `now_us`. Forgets those that are over.
    pub(crate) fn read(&mut self, now_us: u64) -> Elsewhere {
        let mut sum = Elsewhere::default();
        let over = &mut self.over;
        self.shares.retain_mut(|share| {
            let reading = share.read(now_us);
            if share.is_over(now_us) {
                over.push(Over {
                    identity: share.replica().identity(),
                    born_us: share.born_us(),
                    begun: reading.begun,
                });
                return false;
            }
            sum.add(&reading);
            true
        });
        if self.over.len() > MAX_SHARES {
            let forgotten = self.over.drain(..self.over.len() - MAX_SHARES);
            self.begun_before += forgotten.map(|over| over.begun).sum::<u64>();
        }
        sum.begun += self.begun_before + self.over.iter().map(|over| over.begun).sum::<u64>();
        sum
    }

    /// Nobody else asks for the target or did lately.
    pub(crate) fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// Makes room: who was lost first, or else who has been there longest. What
    /// it has in flight does not count any more, what it counted does.
    fn forget_one(&mut self) {
        let shares = self.shares.iter().enumerate();
        let first = shares.min_by_key(|(_, share)| share.replica().counts_until_us());
        let Some((index, _)) = first else { return };
        let forgotten = self.shares.remove(index);
        tracing::warn!(
            replica = forgotten.replica().name(),
            "more than {MAX_SHARES} replicas report one target: what this one has in flight does \
             not count any more"
        );
        self.over.push(Over {
            identity: forgotten.replica().identity(),
            born_us: forgotten.born_us(),
            begun: forgotten.begun(),
        });
    }

    fn of(&mut self, replica: &Replica) -> Option<&mut Share> {
        self.shares
            .iter_mut()
            .find(|share| share.replica().identity() == replica.identity())
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.shares.iter().map(Share::bytes).sum()
    }
}

impl Elsewhere {
    fn add(&mut self, share: &ShareReading) {
        self.begun += share.begun;
        self.in_flight += share.in_flight;
        self.held += share.held;
        self.concurrency += share.concurrency;
        self.request_rate += share.request_rate;
        self.ready_endpoints = self.ready_endpoints.max(share.ready_endpoints);
        if share.held > 0 {
            let fewest = self.ready_where_held.unwrap_or(usize::MAX);
            self.ready_where_held = Some(fewest.min(share.ready_endpoints));
        }
    }

    /// Something is held or in flight elsewhere.
    pub(crate) fn is_busy(&self) -> bool {
        self.held > 0 || self.in_flight > 0
    }
}

#[cfg(test)]
mod tests;
