//! When the API server was away. One that starts refuses everybody (403) until it has
//! read its roles: that is no permission that an operator could grant. And one that
//! comes back may have been restored from a backup.
//!
//! Noted by `api.rs` with every call.

use super::failure::Failure;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// After a call without an answer, so long a 403 is put down to the start.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// When it was away last.
#[derive(Debug, Default)]
pub(super) struct Absence(Mutex<Option<Instant>>);

impl Absence {
    /// What a failure is in the light of those before it.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Unreachable(why) => {
                *self.0.lock() = Some(Instant::now());
                Failure::Unreachable(why)
            }
            Failure::Denied(said) if self.is_recent() => Failure::Starting(said),
            other => other,
        }
    }

    /// Was it away after `then`?
    pub(super) fn is_after(&self, then: Instant) -> bool {
        self.0.lock().is_some_and(|at| at > then)
    }

    fn is_recent(&self) -> bool {
        self.0.lock().is_some_and(|at| at.elapsed() < STARTS_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_denial_is_put_down_to_a_start_for_a_while_after_an_absence() {
        let absence = Absence::default();
        let denied = || absence.explain(Failure::Denied("no".to_owned()));
        assert_eq!(denied(), Failure::Denied("no".to_owned()));
        let away = Failure::Unreachable("refused".to_owned());
        assert_eq!(absence.explain(away.clone()), away);
        assert_eq!(denied(), Failure::Starting("no".to_owned()));
        assert_eq!(absence.explain(Failure::Gone), Failure::Gone);
        tokio::time::advance(STARTS_WITHIN).await;
        assert_eq!(denied(), Failure::Denied("no".to_owned()));
    }
}
