//! Time that only the test moves.
//!
//! The runtime's clock is paused, but a paused clock runs ahead whenever the
//! runtime waits for a socket. So the test never lets it wait: it yields until
//! everything that can happen now has happened, and then moves the clock.

use std::time::Duration;
use tokio::{task::yield_now, time::advance};

/// The longest that the clock is moved at once.
pub(crate) const STEP: Duration = Duration::from_millis(50);

/// A call to a scaler takes about ten turns of the runtime (client, relay,
/// server and back). What is not done after these goes on in the next step.
const TURNS: usize = 60;

/// Lets everything happen that can happen without time passing.
pub(crate) async fn settle() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

/// Moves the clock after everything of now has happened.
pub(crate) async fn step(by: Duration) {
    settle().await;
    advance(by).await;
}

/// Lets so much time pass, for tests without a [`super::World`].
pub(crate) async fn pass(time: Duration) {
    let mut left = time;
    while !left.is_zero() {
        let by = left.min(STEP);
        step(by).await;
        left -= by;
    }
    settle().await;
}
