//! The retry budget: requests that are sent again must stay few beside those
//! that come in, or an endpoint that fails under load gets more of it.
//!
//! Costs the hot path nothing: the requests are counted anyway, as demand, and
//! looked at when somebody wants to send one again.

use parking_lot::Mutex;

/// The budget is for so long at a time, in microseconds.
const WINDOW_US: u64 = 10_000_000;

/// How many requests may be sent again after an endpoint may have seen them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// In percent of the target's requests.
    pub budget_percent: u32,
    /// So many per second may always be, per target.
    pub min_per_second: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            budget_percent: 20,
            min_per_second: 10,
        }
    }
}

/// What one target has spent.
#[derive(Debug, Default)]
pub(crate) struct RetryBudget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    /// When the present window began, and what had begun until then.
    start_us: u64,
    begun: u64,
    /// Requests per window, lately.
    usual: u64,
    retries: u64,
}

impl RetryBudget {
    /// Takes one retry at `now_us`, if there is one left. `begun` is the count
    /// of all requests of the target so far.
    pub(crate) fn take(&self, now_us: u64, begun: u64, config: &RetryConfig) -> bool {
        let mut spent = self.0.lock();
        let elapsed = now_us.saturating_sub(spent.start_us);
        let requests = begun.wrapping_sub(spent.begun);
        if elapsed >= WINDOW_US {
            let usual = u128::from(requests) * u128::from(WINDOW_US) / u128::from(elapsed);
            *spent = Spent {
                start_us: now_us,
                begun,
                usual: u64::try_from(usual).unwrap_or(u64::MAX),
                retries: 0,
            };
        }
        let requests = spent.usual.max(begun.wrapping_sub(spent.begun));
        let share = requests.saturating_mul(u64::from(config.budget_percent)) / 100;
        let least = u64::from(config.min_per_second) * (WINDOW_US / 1_000_000);
        let may = spent.retries < share.saturating_add(least);
        spent.retries += u64::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn taken(budget: &RetryBudget, now_us: u64, begun: u64, config: &RetryConfig) -> usize {
        (0..10_000)
            .take_while(|_| budget.take(now_us, begun, config))
            .count()
    }

    #[test]
    fn a_share_of_the_requests_and_a_minimum() {
        let config = RetryConfig::default();
        let budget = RetryBudget::default();
        assert_eq!(
            taken(&budget, SECOND, 0, &config),
            100,
            "10 s of the minimum"
        );
        // A thousand requests came since.
        assert_eq!(taken(&budget, 2 * SECOND, 1_000, &config), 200);
        assert_eq!(taken(&budget, 9 * SECOND, 1_000, &config), 0, "spent");
        // The next window knows what was usual: 1,000 in 20 s.
        assert_eq!(taken(&budget, 20 * SECOND, 1_000, &config), 100 + 100);
        // After a long silence, what came hours ago is no budget for now.
        let hours = 36_000 * SECOND;
        assert_eq!(taken(&budget, hours, 37_000, &config), 100 + 2);
    }

    #[test]
    fn zero_and_zero_is_never() {
        let config = RetryConfig {
            budget_percent: 0,
            min_per_second: 0,
        };
        assert_eq!(taken(&RetryBudget::default(), SECOND, 1_000, &config), 0);
    }
}
