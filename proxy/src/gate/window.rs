//! The release window: how many released requests may be unanswered at once.
//!
//! A fresh replica is slow: it compiles, fills caches, opens its database
//! connections; and some can serve no more than a few requests at once and
//! refuse the rest. What it can take is not known, so it is felt for, as TCP
//! does (RFC 5681): the window starts small, each answer opens it by one (so
//! it doubles per round trip), and a failure halves it; from then on it grows
//! by one per round only. Answers that take much longer than they did at
//! first say that they queue up over there: then it stops doubling, and in
//! the extreme is halved.
//!
//! Slow answers (a long poll) must not hold up everybody behind them: while
//! none comes in, the window also grows with time, but slowly.
//!
//! Pure arithmetic, without locks and tasks; `gate/mod.rs` feeds it, the pacer
//! reads it.

use std::time::Duration;
use tokio::time::Instant;

/// Per endpoint, before anything is known.
const FIRST: f64 = 8.0;
/// Without an answer for this long, the window grows a little.
const PATIENCE: Duration = Duration::from_millis(250);
/// With each failure, time counts for less, down to this.
const MOST_PATIENCE: Duration = Duration::from_secs(4);
/// Latencies are compared over at least this many answers.
const LEAST_ROUND: u32 = 8;

/// What became of a released request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The head of an answer came.
    Answered,
    /// It could not be served for lack of room: no connection, a connection
    /// that broke before an answer, or 503.
    Refused,
    /// It was never sent, or what came of it says nothing.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Window {
    size: f64,
    /// Above it, answers open the window by one per round only.
    threshold: f64,
    outstanding: usize,
    /// Released so far; numbers requests.
    released: u64,
    /// Requests released up to here are of another time: what becomes of them
    /// says nothing.
    epoch: u64,
    /// Failures of requests released up to here are of a loss that the window
    /// was halved for.
    accounted: u64,
    round: Round,
    patience: Duration,
    /// The last answer, release or growth.
    progress: Instant,
}

/// Latencies of about one window of answers.
#[derive(Debug, Default)]
struct Round {
    answers: u32,
    sum: Duration,
    /// The least mean of any round.
    best: Option<Duration>,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            size: FIRST,
            threshold: f64::INFINITY,
            outstanding: 0,
            released: 0,
            epoch: 0,
            accounted: 0,
            round: Round::default(),
            patience: PATIENCE,
            progress: Instant::now(),
        }
    }

    /// Nothing is known about the `endpoints` that come next.
    pub(super) fn restart(&mut self, endpoints: usize) {
        self.size = FIRST * endpoints.max(1) as f64;
        self.threshold = f64::INFINITY;
        self.outstanding = 0;
        self.epoch = self.released;
        self.accounted = self.released;
        self.round = Round::default();
        self.patience = PATIENCE;
    }

    /// All endpoints refused connections: what they could take before does
    /// not count any more.
    pub(super) fn at_most_first(&mut self, endpoints: usize) {
        self.size = self.size.min(FIRST * endpoints.max(1) as f64);
    }

    /// The endpoints are warm and something else bounds what they get.
    pub(super) fn open(&mut self) {
        self.restart(1);
        self.size = f64::INFINITY;
    }

    /// How many may be released now.
    pub(super) fn room(&self) -> usize {
        // Saturates; never below one in total, or nothing would ever be learnt.
        (self.size.max(1.0) as usize).saturating_sub(self.outstanding)
    }

    pub(super) fn on_release(&mut self, count: usize) {
        self.outstanding += count;
        self.released += count as u64;
        self.progress = Instant::now();
    }

    /// The number of a request that was released just now.
    pub(super) fn number(&self) -> u64 {
        self.released
    }

    /// Request `number` is done with, `latency` after it was released.
    pub(super) fn on_end(&mut self, outcome: Outcome, number: u64, latency: Duration) {
        if number <= self.epoch {
            return;
        }
        let outstanding = self.outstanding;
        self.outstanding = outstanding.saturating_sub(1);
        match outcome {
            Outcome::Unknown => {}
            Outcome::Refused if number > self.accounted => self.halve(outstanding),
            Outcome::Refused => {}
            Outcome::Answered => {
                self.progress = Instant::now();
                self.size += if self.size < self.threshold {
                    1.0
                } else {
                    1.0 / self.size
                };
                self.compare(latency, outstanding);
            }
        }
    }

    fn halve(&mut self, outstanding: usize) {
        self.size = (self.size.min(outstanding as f64) / 2.0).max(1.0);
        self.threshold = self.size;
        self.accounted = self.released;
        self.patience = (self.patience * 2).min(MOST_PATIENCE);
        self.progress = Instant::now();
        self.round.start();
    }

    /// Do answers take longer than with a smaller window?
    fn compare(&mut self, latency: Duration, outstanding: usize) {
        let round = &mut self.round;
        round.answers += 1;
        round.sum += latency;
        if round.answers < LEAST_ROUND || f64::from(round.answers) < self.size / 2.0 {
            return;
        }
        let mean = round.sum / round.answers;
        let best = round.best.map_or(mean, |best| best.min(mean));
        round.best = Some(best);
        round.start();
        if mean > best * 8 + Duration::from_millis(100) {
            self.halve(outstanding);
        } else if mean > best * 2 + Duration::from_millis(10) {
            self.threshold = self.threshold.min(self.size);
        }
    }

    /// When the window grows if no answer comes in until then.
    pub(super) fn grows_at(&self) -> Instant {
        self.progress + self.patience
    }

    /// That time has come.
    pub(super) fn on_silence(&mut self) {
        if Instant::now() < self.grows_at() {
            return;
        }
        self.progress = Instant::now();
        self.size += if self.threshold.is_finite() {
            1.0
        } else {
            (self.size / 4.0).max(1.0)
        };
    }
}

impl Round {
    fn start(&mut self) {
        self.answers = 0;
        self.sum = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);

    /// Releases what may go and answers all of it; says how many.
    fn round(window: &mut Window, outcome: Outcome, latency: Duration) -> usize {
        let count = window.room();
        window.on_release(count);
        let number = window.number();
        for _ in 0..count {
            window.on_end(outcome, number, latency);
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn doubles_per_round_until_a_failure_then_grows_by_one() {
        let mut window = Window::new();
        let mut sizes: Vec<usize> = (0..5)
            .map(|_| round(&mut window, Outcome::Answered, FAST))
            .collect();
        assert_eq!(sizes, [8, 16, 32, 64, 128]);
        // A whole burst that is refused is one loss.
        assert_eq!(round(&mut window, Outcome::Refused, FAST), 256);
        sizes = (0..3)
            .map(|_| round(&mut window, Outcome::Answered, FAST))
            .collect();
        assert_eq!(sizes, [128, 128, 129]);
        for _ in 0..20 {
            round(&mut window, Outcome::Refused, FAST);
        }
        assert_eq!(window.room(), 1, "somebody must try");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_queue_up_stop_the_doubling() {
        let mut window = Window::new();
        let sizes: Vec<usize> = (0..8)
            // One at a time, 10 ms each: what is released at once waits.
            .map(|_| {
                let wait = FAST * u32::try_from(window.room()).expect("small") / 2;
                round(&mut window, Outcome::Answered, wait)
            })
            .collect();
        assert!(*sizes.last().expect("eight") <= 70, "{sizes:?}");
        // Differences that have nothing to do with the window change nothing.
        let mut window = Window::new();
        for nth in 0..6 {
            let uneven = FAST * (1 + nth % 2);
            round(&mut window, Outcome::Answered, uneven);
        }
        assert_eq!(window.room(), 512);
    }

    #[tokio::test(start_paused = true)]
    async fn grows_with_time_while_nobody_answers_and_less_after_a_failure() {
        let mut window = Window::new();
        window.on_release(window.room());
        assert_eq!(window.room(), 0);
        window.on_silence();
        assert_eq!(window.room(), 0, "it is not time yet");
        let start = Instant::now();
        let mut released = 8;
        while released < 1_000 {
            tokio::time::sleep_until(window.grows_at()).await;
            window.on_silence();
            released += window.room();
            window.on_release(window.room());
        }
        let took = start.elapsed();
        assert!(took > Duration::from_secs(4) && took < Duration::from_secs(7));
        window.on_end(Outcome::Refused, window.number(), FAST);
        assert_eq!(window.grows_at() - Instant::now(), PATIENCE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn open_means_unbounded_until_a_failure() {
        let mut window = Window::new();
        window.open();
        assert!(window.room() > 1_000_000);
        window.on_release(100);
        window.on_end(Outcome::Refused, window.number(), FAST);
        assert_eq!(window.room(), 0);
        // What is still under way then is of another time.
        let old = window.number();
        window.restart(2);
        assert_eq!(window.room(), 16);
        window.on_release(16);
        window.on_end(Outcome::Refused, old, FAST);
        assert_eq!(window.room(), 0);
        window.on_end(Outcome::Answered, window.number(), FAST);
        assert_eq!(window.room(), 2);
    }
}
