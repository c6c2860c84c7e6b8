//! The timer of a client connection, for the phases of its requests.
//!
//! A timer that is set and taken back for each request costs more than the
//! request's look-up of its route. So there is one per connection, and it is
//! set only if it would come too late: one that comes too early looks at the
//! clock and is set again. With the usual limits, that is once in minutes.

use parking_lot::Mutex;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// See the module. Whoever uses it takes it; requests of an HTTP/2 connection
/// that find it taken make one of their own.
#[derive(Debug, Default)]
pub(crate) struct PhaseTimer(Mutex<Option<Pin<Box<Sleep>>>>);

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
            self.sleep = self.timer.0.lock().take();
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
        if let Some(sleep) = self.sleep.take() {
            *self.timer.0.lock() = Some(sleep);
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
            timer.0.lock().is_none(),
            "no timer for what is there at once"
        );
        let soon = Box::pin(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            2
        });
        assert_eq!(timer.until(at, soon).await, Some(2));
        let kept = timer.0.lock().as_ref().map(|sleep| sleep.deadline());
        assert_eq!(kept, Some(at));
        // It is not set anew for a later one, and not too late for that.
        let later = at + Duration::from_secs(50);
        let between = Box::pin(tokio::time::sleep(Duration::from_secs(1)));
        assert!(timer.until(later, between).await.is_some());
        let kept = timer.0.lock().as_ref().map(|sleep| sleep.deadline());
        assert_eq!(kept, Some(at));
        assert!(timer.until(later, pending::<()>()).await.is_none());
        assert_eq!(Instant::now(), later);
    }
}
