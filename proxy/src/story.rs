//! The story of one target, for people: woken, ready, released, asleep again.
//!
//! Fed by `target.rs` and by the cold path (`forward/wait.rs`), never by a
//! request that finds an endpoint. Each turn is told once to a [`StorySink`].
//! It must never decide anything.

use crate::{endpoint::EjectReason, target::TargetId};
use parking_lot::Mutex;
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Clients that come and go while nobody serves their target are told of as one
/// wake, at most this often.
const TOLD_EACH: Duration = Duration::from_secs(10);

/// Who wants to know what becomes of targets. Called from workers and from
/// whoever changes endpoints, so it must neither block nor fail.
pub trait StorySink: fmt::Debug + Send + Sync + 'static {
    /// `what` has just happened to `target`.
    fn happened(&self, target: &TargetId, what: Happening);
}

/// A turn in the story of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Somebody wants it and nobody serves it.
    Woken {
        /// Method, host and path of the request, or what was measured.
        by: String,
    },
    /// An endpoint came where there was none.
    Ready {
        /// Its name.
        endpoint: String,
        /// Where it listens.
        address: SocketAddr,
        /// Since it was woken, if it was.
        after: Option<Duration>,
    },
    /// Nobody waits any more, and some of those who did were let through.
    Released {
        /// How many were let through.
        requests: u64,
        /// The longest of their waits.
        longest: Duration,
        /// How many of the others were refused, or left.
        lost: u64,
    },
    /// Nobody waits any more, and nobody was let through.
    GivenUp {
        /// Clients that left.
        left: u64,
        /// Requests that were refused.
        refused: u64,
        /// The longest of their waits.
        longest: Duration,
    },
    /// An endpoint left the rotation for a while.
    Ejected {
        /// Its name.
        endpoint: String,
        /// Why.
        reason: EjectReason,
    },
    /// Its last endpoint is gone.
    Asleep {
        /// For how long it had one; `None`: since it is known.
        awake: Option<Duration>,
    },
    /// Whoever waits for it is refused at once, for this reason.
    Failing(Arc<str>),
}

/// Why a request that found nobody was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRefusal {
    /// Too many wait already.
    Full,
    /// No endpoint became ready in time.
    NotReady,
    /// The target cannot be started, or must not be.
    Failing,
    /// The proxy stops.
    Stopping,
}

impl HoldRefusal {
    /// All of them, in the order of [`Story::refusals`].
    pub const ALL: [Self; 4] = [Self::Full, Self::NotReady, Self::Failing, Self::Stopping];

    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "too many wait already",
            Self::NotReady => "no endpoint became ready in time",
            Self::Failing => "the target is failing",
            Self::Stopping => "shutting down",
        }
    }
}

/// How one wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    Released,
    Refused,
    Left,
}

/// The story of one target so far.
#[derive(Debug)]
pub(crate) struct Story {
    sink: Option<Arc<dyn StorySink>>,
    wakes: AtomicU64,
    refusals: [AtomicU64; HoldRefusal::ALL.len()],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Endpoints were given once: what was so from the start is no news.
    is_known: bool,
    has_endpoints: bool,
    awake_since: Option<Instant>,
    /// It was woken, and there is no endpoint yet.
    woken_at: Option<Instant>,
    /// When a wake was last told.
    told_at: Option<Instant>,
    /// The present wake was told.
    is_told: bool,
    round: Round,
}

/// Those who waited since nobody did.
#[derive(Debug, Default)]
struct Round {
    /// Who waits now.
    waiting: u64,
    released: u64,
    refused: u64,
    left: u64,
    longest: Duration,
}

impl Story {
    pub(crate) fn new(sink: Option<Arc<dyn StorySink>>) -> Self {
        Self {
            sink,
            wakes: AtomicU64::new(0),
            refusals: Default::default(),
            state: Mutex::default(),
        }
    }

    /// How often it was woken.
    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }

    /// Requests that were refused while nobody served it, in the order of
    /// [`HoldRefusal::ALL`].
    pub(crate) fn refusals(&self) -> [u64; HoldRefusal::ALL.len()] {
        std::array::from_fn(|at| self.refusals[at].load(Ordering::Relaxed))
    }

    pub(crate) fn refused(&self, why: HoldRefusal) {
        self.refusals[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Since when it is being woken; `None`: it is not.
    pub(crate) fn woken_at(&self) -> Option<Instant> {
        self.state.lock().woken_at
    }

    /// Since when it has endpoints, if that is known.
    pub(crate) fn awake_since(&self) -> Option<Instant> {
        self.state.lock().awake_since
    }

    /// Somebody wants it and nobody serves it.
    pub(crate) fn woken(&self, id: &TargetId, by: impl FnOnce() -> String) {
        let now = Instant::now();
        let is_news = {
            let mut state = self.state.lock();
            if state.woken_at.is_some() {
                return;
            }
            state.woken_at = Some(now);
            let is_news = state.told_at.is_none_or(|told| now - told >= TOLD_EACH);
            state.is_told = is_news;
            if is_news {
                state.told_at = Some(now);
            }
            is_news
        };
        self.wakes.fetch_add(1, Ordering::Relaxed);
        if is_news {
            self.tell(id, || Happening::Woken { by: by() });
        }
    }

    /// Its endpoints are others now; `first` is one of them.
    pub(crate) fn endpoints(&self, id: &TargetId, first: Option<(&str, SocketAddr)>) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let had = std::mem::replace(&mut state.has_endpoints, first.is_some());
        if !std::mem::replace(&mut state.is_known, true) || had == first.is_some() {
            return;
        }
        let Some((endpoint, address)) = first else {
            let awake = state.awake_since.take().map(|since| now - since);
            // Whoever comes next wakes it, however soon that is.
            (state.woken_at, state.told_at) = (None, None);
            drop(state);
            self.tell(id, || Happening::Asleep { awake });
            return;
        };
        state.awake_since = Some(now);
        let after = state.woken_at.take().map(|since| now - since);
        drop(state);
        self.tell(id, || Happening::Ready {
            endpoint: endpoint.to_owned(),
            address,
            after,
        });
    }

    /// A request begins to wait for an endpoint; [`Story::waited`] must follow.
    pub(crate) fn waits(&self) {
        self.state.lock().round.waiting += 1;
    }

    /// Its wait is over; `None`: it never was one.
    pub(crate) fn waited(&self, id: &TargetId, end: Option<WaitEnd>, waited: Duration) {
        let mut state = self.state.lock();
        let round = &mut state.round;
        round.waiting = round.waiting.saturating_sub(1);
        match end {
            Some(WaitEnd::Released) => round.released += 1,
            Some(WaitEnd::Refused) => round.refused += 1,
            Some(WaitEnd::Left) => round.left += 1,
            None => {}
        }
        if end.is_some() {
            round.longest = round.longest.max(waited);
        }
        if round.waiting > 0 {
            return;
        }
        let was_woken = state.woken_at.take().is_some();
        if state.round.released == 0 && was_woken && !state.is_told {
            // It came to nothing, and is told with the next that is.
            return;
        }
        let Round {
            released,
            refused,
            left,
            longest,
            ..
        } = std::mem::take(&mut state.round);
        if released == 0 && !was_woken {
            return;
        }
        drop(state);
        self.tell(id, || match released {
            0 => Happening::GivenUp {
                left,
                refused,
                longest,
            },
            requests => Happening::Released {
                requests,
                longest,
                lost: refused + left,
            },
        });
    }

    /// Something else happened.
    pub(crate) fn tell(&self, id: &TargetId, what: impl FnOnce() -> Happening) {
        if let Some(sink) = &self.sink {
            sink.happened(id, what());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<Happening>>);

    impl StorySink for Heard {
        fn happened(&self, _target: &TargetId, what: Happening) {
            self.0.lock().push(what);
        }
    }

    struct Bench {
        id: TargetId,
        heard: Arc<Heard>,
        story: Story,
    }

    impl Bench {
        fn new() -> Self {
            let heard = Arc::new(Heard::default());
            Self {
                id: TargetId::new("ns", "web"),
                story: Story::new(Some(heard.clone())),
                heard,
            }
        }

        fn endpoints(&self, some: bool) {
            let address = SocketAddr::from(([127, 0, 0, 1], 80));
            self.story
                .endpoints(&self.id, some.then_some(("web-0", address)));
        }

        fn woken(&self) {
            self.story.woken(&self.id, || "GET web.test/".to_owned());
        }

        fn waited(&self, end: WaitEnd, seconds: u64) {
            let waited = Duration::from_secs(seconds);
            self.story.waited(&self.id, Some(end), waited);
        }

        /// One comes, and leaves after so many seconds.
        fn comes_and_goes(&self, seconds: u64) {
            self.story.waits();
            self.woken();
            self.waited(WaitEnd::Left, seconds);
        }

        fn heard(&self) -> Vec<Happening> {
            std::mem::take(&mut self.heard.0.lock())
        }
    }

    fn woken() -> Happening {
        Happening::Woken {
            by: "GET web.test/".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_is_told_in_four_turns() {
        let bench = Bench::new();
        bench.endpoints(false);
        assert!(bench.heard().is_empty(), "asleep from the start");
        (0..3).for_each(|_| bench.story.waits());
        bench.woken();
        bench.woken();
        assert_eq!(bench.heard(), [woken()]);
        tokio::time::advance(Duration::from_secs(2)).await;
        bench.endpoints(true);
        bench.endpoints(true);
        let ready = bench.heard();
        let [Happening::Ready { after, .. }] = &ready[..] else {
            panic!("{ready:?}");
        };
        assert_eq!(*after, Some(Duration::from_secs(2)));
        bench.waited(WaitEnd::Released, 2);
        bench.waited(WaitEnd::Left, 1);
        bench.waited(WaitEnd::Released, 1);
        let longest = Duration::from_secs(2);
        let released = Happening::Released {
            requests: 2,
            longest,
            lost: 1,
        };
        assert_eq!(bench.heard(), [released]);
        tokio::time::advance(Duration::from_secs(60)).await;
        bench.endpoints(false);
        let awake = Some(Duration::from_secs(60));
        assert_eq!(bench.heard(), [Happening::Asleep { awake }]);
        bench.woken();
        assert_eq!(bench.heard(), [woken()], "however soon");
        assert_eq!(bench.story.wakes(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_serves_from_the_start_is_no_news() {
        let bench = Bench::new();
        bench.endpoints(true);
        assert!(bench.heard().is_empty());
        bench.endpoints(false);
        assert_eq!(bench.heard(), [Happening::Asleep { awake: None }]);
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_come_and_go_fill_no_log() {
        let bench = Bench::new();
        bench.endpoints(false);
        bench.comes_and_goes(1);
        assert_eq!(bench.heard().len(), 2, "the first is told");
        (0..5).for_each(|_| bench.comes_and_goes(3));
        assert!(bench.heard().is_empty());
        tokio::time::advance(TOLD_EACH).await;
        bench.story.waits();
        bench.woken();
        bench.waited(WaitEnd::Refused, 1);
        let given_up = Happening::GivenUp {
            left: 5,
            refused: 1,
            longest: Duration::from_secs(3),
        };
        assert_eq!(bench.heard(), [woken(), given_up]);
        assert_eq!(bench.story.wakes(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_at_once_is_no_story() {
        let bench = Bench::new();
        bench.endpoints(false);
        bench.story.waits();
        bench.waited(WaitEnd::Refused, 0);
        bench.story.waits();
        bench.story.waited(&bench.id, None, Duration::ZERO);
        assert!(bench.heard().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_released_after_a_quiet_wake_is_told_all_the_same() {
        let bench = Bench::new();
        bench.endpoints(false);
        bench.comes_and_goes(1);
        bench.story.waits();
        bench.woken();
        bench.endpoints(true);
        bench.waited(WaitEnd::Released, 1);
        let heard = bench.heard();
        assert!(
            matches!(
                &heard[2..],
                [Happening::Ready { .. }, Happening::Released { .. }]
            ),
            "{heard:?}"
        );
    }
}
