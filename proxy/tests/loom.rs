//! Every interleaving of the two structures that several threads write at
//! once, explored with loom: the counters of `demand.rs` and the queue of
//! `gate/queue.rs`. Both name their primitives `crate::sync`, which here is
//! loom's; so this compiles the very files that the product runs.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "the included files offer more than each model uses"
)]

#[path = "../src/demand.rs"]
mod demand;
#[path = "../src/gate/queue.rs"]
mod queue;

/// What `proxy/src/sync.rs` is to the product.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    /// parking_lot's interface over loom's lock.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0
                .lock()
                .expect("no model panics while it holds the lock")
        }
    }
}

use demand::Demand;
use loom::{future::block_on, sync::Arc, thread};
use queue::{Entered, Queue, Ticket};
use std::future::poll_fn;

/// Explores with at most `preemptions` involuntary switches per execution:
/// two find nearly every race that exists, and keep the search short.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn enter(queue: &Queue) -> Ticket {
    match queue.enter(usize::MAX) {
        Entered::Queued { ticket, .. } => ticket,
        Entered::Full => panic!("no limit"),
    }
}

/// Two workers count on one shard while a third thread reads: at every moment
/// the reading is one that some order of the requests explains.
#[test]
fn demand_is_consistent_at_every_moment() {
    explore(2, || {
        let demand = Arc::new(Demand::new(1));
        let worker = |from: u64| {
            let demand = demand.clone();
            thread::spawn(move || {
                demand.begin(0, from);
                demand.end(0, from + 10);
            })
        };
        let (a, b) = (worker(100), worker(200));
        let before = demand::Totals::default();
        let seen = demand.totals(1_000);
        assert!(seen.ended <= seen.begun && seen.begun <= 2);
        // Whatever is counted as begun but not ended weighs from its begin
        // until now; the rest 10 µs each. A torn reading would be off by
        // hundreds.
        let busy = seen.busy_us_since(&before);
        let finished = seen.ended * 10;
        let open = seen.begun - seen.ended;
        assert!(
            busy >= finished + open * 800 && busy <= finished + open * 900,
            "{seen:?}"
        );
        a.join().expect("no panic");
        b.join().expect("no panic");
        let end = demand.totals(1_000);
        assert_eq!(
            (end.begun, end.ended, end.busy_us_since(&before)),
            (2, 2, 20)
        );
    });
}

/// Two waiters, two releases of one each, from different threads: both get
/// through, and a wake-up is never lost.
#[test]
fn no_waiter_is_lost() {
    explore(3, || {
        let queue = Arc::new(Queue::new());
        let first = enter(&queue);
        let waiter = {
            let queue = queue.clone();
            thread::spawn(move || {
                block_on(poll_fn(|cx| queue.poll_released(first, cx)));
                assert!(queue.leave(first));
            })
        };
        let second = enter(&queue);
        let releaser = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(queue.release(1), 1))
        };
        assert_eq!(queue.release(1), 1);
        block_on(poll_fn(|cx| queue.poll_released(second, cx)));
        assert!(queue.leave(second));
        waiter.join().expect("no panic");
        releaser.join().expect("no panic");
        assert!(queue.is_empty());
    });
}

/// A waiter leaves while one release goes out: either it had the release (and
/// says so) or the other waiter has it; never both, never neither.
#[test]
fn a_release_is_spent_once() {
    explore(3, || {
        let queue = Arc::new(Queue::new());
        let (leaver, stayer) = (enter(&queue), enter(&queue));
        let leaving = {
            let queue = queue.clone();
            thread::spawn(move || queue.leave(leaver))
        };
        assert_eq!(queue.release(1), 1);
        let wasted = leaving.join().expect("no panic");
        let released = block_on(poll_fn(|cx| {
            std::task::Poll::Ready(queue.poll_released(stayer, cx).is_ready())
        }));
        assert_ne!(wasted, released);
        assert_eq!(queue.unreleased(), usize::from(!released));
    });
}

/// Somebody is released and has to go back while another one waits behind:
/// the way is never clear in between, and the next release is the first's.
#[test]
fn who_goes_back_keeps_the_place() {
    explore(3, || {
        let queue = Arc::new(Queue::new());
        let (first, second) = (enter(&queue), enter(&queue));
        assert_eq!(queue.release(1), 1);
        let going_back = {
            let queue = queue.clone();
            thread::spawn(move || {
                block_on(poll_fn(|cx| queue.poll_released(first, cx)));
                assert!(matches!(queue.enter_again(first), Entered::Queued { .. }));
            })
        };
        assert!(!queue.is_empty());
        going_back.join().expect("no panic");
        assert_eq!((queue.unreleased(), queue.released()), (2, 0));
        assert_eq!(queue.release(1), 1);
        assert!(queue.leave(first) && !queue.leave(second));
    });
}

/// The pacer ends while somebody enters: one of the two must notice, or the
/// newcomer would wait for nobody.
#[test]
fn somebody_always_paces() {
    explore(3, || {
        let queue = Arc::new(Queue::new());
        let first = enter(&queue);
        queue.leave(first);
        let pacer = {
            let queue = queue.clone();
            thread::spawn(move || queue.pacer_may_end())
        };
        let entered = queue.enter(usize::MAX);
        let Entered::Queued { start_pacer, .. } = entered else {
            panic!("no limit")
        };
        let ended = pacer.join().expect("no panic");
        assert_eq!(start_pacer, ended);
    });
}

/// The limit holds for concurrent newcomers.
#[test]
fn never_more_than_the_limit() {
    explore(3, || {
        let queue = Arc::new(Queue::new());
        let other = {
            let queue = queue.clone();
            thread::spawn(move || queue.enter(1) != Entered::Full)
        };
        let mine = queue.enter(1) != Entered::Full;
        let theirs = other.join().expect("no panic");
        assert!(mine ^ theirs);
        assert_eq!(queue.len(), 1);
    });
}
