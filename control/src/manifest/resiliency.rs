//! `Resiliency` (dapr.io/v1alpha1): what Dapr's sidecars do about calls that fail. Not ours; read to
//! warn of policies with which a call never wakes a sleeping app, or does not live to see it awake.
//!
//! Called by `kind`. It must never refuse a document: whatever else is in it is Dapr's to judge. What
//! is said here follows the source of daprd 1.18 (`pkg/resiliency`).

use std::collections::BTreeSet;
use std::time::Duration;

use super::decode::Field;
use super::duration;

/// An app that sleeps takes so long to answer, or longer: pulling, starting, getting ready.
const COLD_START: Duration = Duration::from_secs(10);

/// Attempts of daprd's built-in retries, the first one included.
const BUILT_IN_ATTEMPTS: i64 = 4;

/// daprd's policies for apps that have no entry of their own; the most special name first.
const DEFAULT_RETRIES: [&str; 2] = ["DefaultAppRetryPolicy", "DefaultRetryPolicy"];
const DEFAULT_TIMEOUTS: [&str; 2] = ["DefaultAppTimeoutPolicy", "DefaultTimeoutPolicy"];
const DEFAULT_BREAKERS: [&str; 2] = [
    "DefaultAppCircuitBreakerPolicy",
    "DefaultCircuitBreakerPolicy",
];

/// The policies of one document, by their kinds.
struct Policies<'a> {
    retries: Vec<(&'a str, Field<'a>)>,
    timeouts: Vec<(&'a str, Field<'a>)>,
    breakers: Vec<(&'a str, Field<'a>)>,
}

/// Warns of what in the document defeats waking.
pub(super) fn check(root: &Field<'_>) {
    let Some(spec) = root.entry("spec") else {
        return;
    };
    let policies = spec.entry("policies");
    let named = |kind| {
        let policies = policies.as_ref().and_then(|policies| policies.entry(kind));
        policies.map(|all| all.as_entries()).unwrap_or_default()
    };
    let policies = Policies {
        retries: named("retries"),
        timeouts: named("timeouts"),
        breakers: named("circuitBreakers"),
    };
    let apps = spec.entry("targets").and_then(|it| it.entry("apps"));
    let mut used = BTreeSet::new();
    for (_, app) in apps.map(|apps| apps.as_entries()).unwrap_or_default() {
        policies.check_app(&app, &mut used);
    }
    policies.check_defaults(&mut used);
    policies.check_used(&used);
}

impl<'a> Policies<'a> {
    /// What an app's own entry names.
    fn check_app(&self, app: &Field<'a>, used: &mut BTreeSet<&'a str>) {
        let known = [
            ("retry", &self.retries),
            ("timeout", &self.timeouts),
            ("circuitBreaker", &self.breakers),
        ];
        for (kind, policies) in known {
            let Some(field) = app.entry(kind) else {
                continue;
            };
            let name = field.as_str().unwrap_or_default();
            match find(policies, &[name]) {
                Some((name, _)) => {
                    used.insert(name);
                }
                None => field.warning(format!(
                    "there is no policy {name:?} in spec.policies: daprd goes on without one"
                )),
            }
        }
        if let (Some(_), Some(breaker)) = (app.entry("retry"), app.entry("circuitBreaker")) {
            breaker_with_retry(&breaker);
        }
    }

    /// What apps without an entry of their own get.
    fn check_defaults(&self, used: &mut BTreeSet<&'a str>) {
        let retry = find(&self.retries, &DEFAULT_RETRIES);
        let breaker = find(&self.breakers, &DEFAULT_BREAKERS);
        used.extend(find(&self.timeouts, &DEFAULT_TIMEOUTS).map(|(name, _)| name));
        let Some((name, retry)) = retry else {
            return;
        };
        used.insert(name);
        let attempts = match retries(retry) {
            Some(most) => format!(
                "a call is tried up to {} times",
                most.saturating_add(1).saturating_mul(BUILT_IN_ATTEMPTS)
            ),
            None => format!("each attempt is tried up to {BUILT_IN_ATTEMPTS} times"),
        };
        retry.warning(format!(
            "multiplies with daprd's built-in retries, which only an entry for the app in \
             spec.targets.apps switches off: {attempts}. Give apps that sleep such an entry"
        ));
        if let Some((_, breaker)) = breaker {
            breaker_with_retry(breaker);
        }
    }

    /// What is wrong with policies themselves, once however many use them.
    fn check_used(&self, used: &BTreeSet<&str>) {
        for (_, retry) in self.retries.iter().filter(|(name, _)| used.contains(name)) {
            check_retry(retry);
        }
        let timeouts = self.timeouts.iter();
        for (_, timeout) in timeouts.filter(|(name, _)| used.contains(name)) {
            if let Some(limit) = time(timeout).filter(|limit| *limit < COLD_START) {
                timeout.warning(format!(
                    "ends each attempt after {}, which is shorter than a cold start \
                     ({} and more): a call that is held until its app is awake is given up",
                    duration::format(limit),
                    duration::format(COLD_START)
                ));
            }
        }
    }
}

fn check_retry(retry: &Field<'_>) {
    let most = retries(retry);
    if most.is_none() {
        let place = retry.entry("maxRetries");
        place.as_ref().unwrap_or(retry).warning(
            "repeats without end: calls to an app that never starts pile up in the caller's \
             sidecar. Set maxRetries so that duration times maxRetries is what callers wait",
        );
    }
    let is_constant = retry
        .entry("policy")
        .is_none_or(|it| it.as_str() != Some("exponential"));
    let pause = match retry.entry("duration") {
        Some(field) => time(&field),
        None => Some(Duration::from_secs(5)),
    };
    if let (Some(most), Some(pause), true) = (most, pause, is_constant) {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let patience = pause.saturating_mul(most);
        if patience < COLD_START {
            retry.warning(format!(
                "gives up after {}, which is shorter than a cold start ({} and more): the call \
                 that wakes an app is lost",
                duration::format(patience),
                duration::format(COLD_START)
            ));
        }
    }
    if retry.entry("matching").is_none() {
        retry.warning(
            "without matching, every status outside 200 to 399 is repeated, 400 and 404 included. \
             To wake an app, httpStatusCodes \"502-504\" and gRPCStatusCodes \"14\" are enough",
        );
    }
}

fn breaker_with_retry(breaker: &Field<'_>) {
    breaker.warning(
        "a circuit breaker beside a retry policy: every attempt counts, so it opens while the app \
         wakes, and then refuses calls to an app that is awake. Leave it out for apps that sleep",
    );
}

/// So many retries; `None`: without end.
fn retries(retry: &Field<'_>) -> Option<i64> {
    let most = retry.entry("maxRetries")?.as_int()?;
    (most >= 0).then_some(most)
}

fn time(field: &Field<'_>) -> Option<Duration> {
    duration::parse(field.as_str()?).ok()
}

/// The first of `names` that is there.
fn find<'p, 'a>(
    policies: &'p [(&'a str, Field<'a>)],
    names: &[&str],
) -> Option<(&'a str, &'p Field<'a>)> {
    names.iter().find_map(|wanted| {
        let mut policies = policies.iter();
        let (name, field) = policies.find(|(name, _)| name == wanted)?;
        Some((*name, field))
    })
}
