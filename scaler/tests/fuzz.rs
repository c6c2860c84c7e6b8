//! Fuzzing on stable Rust: random input against a reference that is written to
//! be obviously right, or against what must hold whatever comes.
//!
//! By default each target runs a fixed number of rounds with fixed seeds, so
//! that a failure is one for everybody. `REVEILLE_FUZZ_SECONDS` runs each for
//! so long, with other seeds each time; `REVEILLE_FUZZ_SEED` runs one round
//! with the seed that a failure has printed.

mod fuzz {
    mod ingest;
    mod pages;
    mod queries;
}

use std::time::Duration;
use tokio::time::Instant;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{name}={text}: {error}")),
    )
}

/// Says which seed failed.
struct Round(u64);

impl Drop for Round {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with REVEILLE_FUZZ_SEED={}", self.0);
        }
    }
}

/// Runs `round` so often, each time with another seed, or as the environment
/// says.
fn fuzz(rounds: u64, mut round: impl FnMut(&mut fastrand::Rng)) {
    let mut run = |seed| {
        let failed = Round(seed);
        round(&mut fastrand::Rng::with_seed(seed));
        drop(failed);
    };
    if let Some(seed) = setting("REVEILLE_FUZZ_SEED") {
        return run(seed);
    }
    let Some(seconds) = setting("REVEILLE_FUZZ_SECONDS") else {
        return (0..rounds).for_each(run);
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut seed = fastrand::u64(..);
    while Instant::now() < end {
        run(seed);
        seed = seed.wrapping_add(1);
    }
}
