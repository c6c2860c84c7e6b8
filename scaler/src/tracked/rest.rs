//! Rest: whether the sampler looks at a target, or waits until it is told that
//! something is asked of it.
//!
//! A target goes to rest when nobody could be told a wrong number for hours of
//! not looking, and its source tells of the next request. Whatever shows that
//! something is asked ends it: that, a reading, a peer, a reporter.

use super::{Look, Sampled, Tracked};
use crate::window::Arrivals;
use std::sync::atomic::Ordering;

impl Tracked {
    /// The source tells of a request that began at `at_us`. From any thread;
    /// takes no lock of ours.
    pub(crate) fn stirred(&self, at_us: u64) {
        let at = at_us.saturating_add(1);
        self.stirred_at.store(at, Ordering::SeqCst);
        self.attend();
    }

    /// The sampler has to look at it from now on.
    pub(crate) fn attend(&self) {
        if !self.has_attention.swap(true, Ordering::SeqCst) {
            self.attention.call(&self.id);
        }
    }

    /// The sampler looks at it from now on, whoever called.
    pub(crate) fn attended(&self) {
        self.has_attention.store(true, Ordering::SeqCst);
    }

    /// Does the sampler look at it, or is it called to?
    pub(crate) fn has_attention(&self) -> bool {
        self.has_attention.load(Ordering::SeqCst)
    }

    /// The sampler's look. False: the target rests, and needs none before it
    /// is attended to again.
    pub(crate) fn sample(&self, now_us: u64) -> bool {
        let mut sampled = self.sampled.lock();
        let look = self.look(&mut sampled, now_us);
        if !sampled.is_resting {
            if self.is_idle(&sampled, &look) {
                self.stirred_at.store(0, Ordering::SeqCst);
                // The next look is the one that `proxy::Target::tell_of_next`
                // asks for.
                sampled.is_resting = sampled.source.tell_of_next();
            }
            return true;
        }
        self.has_attention.store(false, Ordering::SeqCst);
        // Who stirred it between the look and this found that it had attention.
        let is_stirred = self.stirred_at.load(Ordering::SeqCst) != 0;
        is_stirred && !self.has_attention.swap(true, Ordering::SeqCst)
    }

    /// Could it be left alone for hours without anybody being told a wrong
    /// number?
    fn is_idle(&self, sampled: &Sampled, look: &Look) -> bool {
        // A source under another target's name tells of that one.
        sampled.source.target() == Some(&self.id)
            && look.held == 0
            && look.totals.in_flight() == 0
            && !look.elsewhere.is_busy()
            && !self.activation.active()
            && sampled.concurrency.is_quiet_at(&look.totals)
            && sampled.arrivals.is_quiet_at(&Arrivals::from(&look.totals))
    }
}

impl Sampled {
    /// Nothing had happened until then, or until the last look if that was
    /// later.
    pub(super) fn rested_until(&mut self, at_us: u64) {
        let quiet = self.last.unchanged_until(at_us);
        self.rested_until_us = quiet.at_us;
        self.concurrency.push(quiet);
        self.arrivals.push(Arrivals::from(&quiet));
    }
}
