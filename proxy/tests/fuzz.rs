//! Fuzzing on stable Rust: random input against a reference that is written to
//! be obviously right, or against what must hold whatever comes.
//!
//! By default each target runs a fixed number of rounds with fixed seeds, so
//! that a failure is one for everybody. `REVEILLE_FUZZ_SECONDS` runs each for
//! so long, with other seeds each time; `REVEILLE_FUZZ_SEED` runs one round
//! with the seed that a failure has printed.

#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "made for the tests through sockets; a part of it is used here"
)]
mod support;

mod fuzz {
    mod framing;
    mod headers;
    mod http2;
    mod routes;
    mod strict;
}

use std::{ops::AsyncFnMut, time::Duration};
use tokio::time::Instant;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|e| panic!("{name}={text}: {e}")),
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
async fn fuzz(rounds: u64, mut round: impl AsyncFnMut(&mut fastrand::Rng)) {
    let mut run = async |seed| {
        let failed = Round(seed);
        round(&mut fastrand::Rng::with_seed(seed)).await;
        drop(failed);
    };
    if let Some(seed) = setting("REVEILLE_FUZZ_SEED") {
        return run(seed).await;
    }
    let Some(seconds) = setting("REVEILLE_FUZZ_SECONDS") else {
        for seed in 0..rounds {
            run(seed).await;
        }
        return;
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut seed = fastrand::u64(..);
    while Instant::now() < end {
        run(seed).await;
        seed = seed.wrapping_add(1);
    }
}

/// One of these.
fn one_of<T: Copy>(random: &mut fastrand::Rng, all: &[T]) -> T {
    *random.choice(all).expect("not empty")
}

/// Changes bytes in one of several ways, with a preference for `words`.
fn mutate(random: &mut fastrand::Rng, bytes: &mut Vec<u8>, words: &[&[u8]]) {
    let at = random.usize(..=bytes.len());
    let end = random.usize(at..=bytes.len().min(at + 20));
    match random.u8(..8) {
        0 => drop(bytes.drain(at..end)),
        1 => bytes.insert(at, random.u8(..)),
        2 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
        3 => {
            let copy = bytes[at..end].to_vec();
            let to = random.usize(..=bytes.len());
            bytes.splice(to..to, copy);
        }
        4 => bytes.truncate(at.max(1)),
        _ => {
            let word = one_of(random, words);
            bytes.splice(at..at, word.iter().copied());
        }
    }
}
