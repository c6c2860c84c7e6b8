//! Giving memory back to the system soon after a burst.
//!
//! mimalloc keeps what is freed for a second, in case it is needed again, and
//! then returns it, but looks for what is due only when whole pages are freed.
//! A process that has nothing to do frees nothing, so a burst of connections
//! would cost memory until the next one. Its settings can be changed only
//! through the environment, which child processes would inherit, or through
//! unsafe code; freeing one page does as well.

use std::time::Duration;

/// A little more than the allocator waits.
const PERIOD: Duration = Duration::from_millis(1_100);
/// More than fits into a page with anything else.
const OWN_PAGE: usize = 2 << 20;

/// Makes the allocator look for what is due, now and then, without end. Harmless with
/// any other allocator. Cancel safe.
pub async fn give_back() {
    let mut every = tokio::time::interval(PERIOD);
    loop {
        every.tick().await;
        // Never touched, so it costs no memory itself; hidden from the
        // optimiser, who would see that nobody needs it.
        drop(std::hint::black_box(Vec::<u8>::with_capacity(OWN_PAGE)));
    }
}
