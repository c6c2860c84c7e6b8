//! CLOCK_MONOTONIC as plain nanoseconds.
//!
//! One clock for all processes of a machine, so instants taken by the backend
//! can be compared with those of the client. Never the wall clock.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since some instant before boot's end; never goes back.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanos
}

#[cfg(test)]
mod tests {
    use super::monotonic_ns;

    #[test]
    fn does_not_go_back() {
        let before = monotonic_ns();
        assert!(before > 0);
        assert!(monotonic_ns() >= before);
    }
}
