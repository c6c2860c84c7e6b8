//! The timers of a client connection, for the phases of its requests.
//!
//! A timer that is set and taken back for each request costs more than the
//! request's look-up of its route. So a connection keeps one for each request
//! that it has at a time, and it is set only if it would come too late: one that comes too early looks at the
//! clock and is set again. With the usual limits, that is once in minutes.

use parking_lot::Mutex;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// As many are kept; requests of an HTTP/2 connection that find none make one.
const MOST_KEPT: usize = 32;

/// See the module. Whoever uses one takes it.
#[derive(Debug, Default)]
pub(crate) struct PhaseTimer(Mutex<Vec<Pin<Box<Sleep>>>>);

impl PhaseTimer {
    /// What `future` comes to, or `None` at `at`.
    ///
    /// Cancel safe if the future is.
    pub(super) async fn until<F: Future + Unpin>(
        &self,
        at: Instant,
        mut future: F,
    ) -> Option<F::Output> {
        let mut taken = Taken {
            timer: self,
            sleep: None,
        };
        poll_fn(|cx| match Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => taken.poll_passed(at, cx).map(|()| None),
        })
        .await
    }
}

struct Taken<'a> {
    timer: &'a PhaseTimer,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Taken<'_> {
    fn poll_passed(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.sleep.is_none() {
            self.sleep = self.timer.0.lock().pop();
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let Some(mut sleep) = self.sleep.take() else {
            return;
        };
        let mut kept = self.timer.0.lock();
        if kept.len() < MOST_KEPT {
            if !kept.is_empty() {
                // Whom it would wake is over, and what that was would stay in
                // memory for as long as it is kept. (Alone, it wakes the
                // connection itself, or little is kept.)
                let _early = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
            kept.push(sleep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::{pending, ready},
        time::Duration,
    };

    #[tokio::test(start_paused = true)]
    async fn phases_end_in_time_whatever_came_before() {
        let timer = PhaseTimer::default();
        let begun = Instant::now();
        for (limit, wanted) in [(300, 300), (1, 1), (600, 600), (2, 2), (2, 2)] {
            let at = Instant::now() + Duration::from_secs(limit);
            let begun = Instant::now();
            assert!(timer.until(at, pending::<()>()).await.is_none());
            assert_eq!(begun.elapsed().as_secs(), wanted);
        }
        assert_eq!(begun.elapsed().as_secs(), 905);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_in_time_is_given_back() {
        let timer = PhaseTimer::default();
        let at = Instant::now() + Duration::from_secs(300);
        assert_eq!(timer.until(at, ready(1)).await, Some(1));
        assert!(
            timer.0.lock().is_empty(),
            "no timer for what is there at once"
        );
        let soon = Box::pin(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            2
        });
        assert_eq!(timer.until(at, soon).await, Some(2));
        let kept = timer.0.lock().last().map(|sleep| sleep.deadline());
        assert_eq!(kept, Some(at));
        // It is not set anew for a later one, and not too late for that.
        let later = at + Duration::from_secs(50);
        let between = Box::pin(tokio::time::sleep(Duration::from_secs(1)));
        assert!(timer.until(later, between).await.is_some());
        let kept = timer.0.lock().last().map(|sleep| sleep.deadline());
        assert_eq!(kept, Some(at));
        assert!(timer.until(later, pending::<()>()).await.is_none());
        assert_eq!(Instant::now(), later);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_at_the_same_time_have_a_timer_each_and_not_too_many_are_kept() {
        let timer = PhaseTimer::default();
        let limit = |number: u64| Duration::from_secs(1 + number);
        for round in 0..2 {
            let begun = Instant::now();
            let all = (0..100).map(|number| timer.until(begun + limit(number), pending::<()>()));
            let mut all = futures_util::future::join_all(all);
            tokio::time::timeout(limit(50), &mut all)
                .await
                .expect_err("half of them");
            drop(all);
            assert_eq!(timer.0.lock().len(), MOST_KEPT, "{round}");
        }
        // An old one that has passed is set anew.
        let at = Instant::now() + limit(1_000);
        assert!(timer.until(at, pending::<()>()).await.is_none());
        assert_eq!(Instant::now(), at);
    }
}
