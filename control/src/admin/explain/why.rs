//! Why a target is in the state that it is in.

use super::{Known, TargetState, are, metric_words, waits};
use crate::sight::{plural, spell};

impl Known<'_> {
    pub(super) fn why(&self) -> String {
        let view = &self.view;
        let waits = format!("{} for an endpoint", waits(view.held));
        match view.state {
            TargetState::Failing => {
                let reason = view.reason.as_deref().unwrap_or("nobody can serve it");
                match view.held {
                    0 => format!("{reason}."),
                    _ => format!("{reason}; {waits}."),
                }
            }
            TargetState::Cold => {
                if let Some(paused) = self.paused() {
                    return format!("nobody serves it, and KEDA does not wake it: {paused}.");
                }
                match (&self.parts, self.is_asked_elsewhere()) {
                    (_, true) => {
                        "nobody serves it here, and requests for it wait on other replicas."
                            .to_owned()
                    }
                    (Some(parts), _) => match parts.idle {
                        Some(idle) if parts.active => format!(
                            "nobody serves it; the last request ended {} ago.",
                            spell(idle)
                        ),
                        Some(idle) => format!(
                            "nothing was asked of it for {}, so it sleeps at zero replicas.",
                            spell(idle)
                        ),
                        None => {
                            "nothing was asked of it yet, so it sleeps at zero replicas.".to_owned()
                        }
                    },
                    (None, _) => "nothing is known to be asked of it.".to_owned(),
                }
            }
            TargetState::Waking => {
                let since = match self.wired.target.waking_for() {
                    Some(since) => format!("woken {} ago", spell(since)),
                    None => "woken".to_owned(),
                };
                let by = self
                    .last_woken()
                    .map_or(String::new(), |by| format!(" {by}"));
                let starting = match &view.replicas {
                    Some(replicas) if replicas.wanted > replicas.ready => {
                        let starting = u64::from(replicas.wanted - replicas.ready);
                        format!(", and {} starting", are(starting, "replica"))
                    }
                    Some(_) => ", and no replica is started yet".to_owned(),
                    None => ", and no endpoint is known yet".to_owned(),
                };
                let waits = match view.held {
                    0 => "nobody waits".to_owned(),
                    _ => waits,
                };
                match self.paused() {
                    Some(paused) => format!("{since}{by}; {waits}, but KEDA is paused: {paused}."),
                    None => format!("{since}{by}; {waits}{starting}."),
                }
            }
            TargetState::Warm => {
                let serve = view.endpoints.iter().filter(|one| !one.ejected).count() as u64;
                let serve = match serve {
                    0 => "its endpoints keep failing but are tried on".to_owned(),
                    1 => "1 endpoint serves it".to_owned(),
                    _ => format!("{serve} endpoints serve it"),
                };
                format!("{serve}, {}.", self.kept_awake_by())
            }
        }
    }

    /// Why a warm target is not put to sleep.
    fn kept_awake_by(&self) -> String {
        let asked = self
            .parts
            .as_ref()
            .map(|parts| parts.here.in_flight + parts.elsewhere.in_flight);
        if let Some(asked) = asked.filter(|asked| *asked > 0) {
            return format!("with {} in flight", plural(asked, "request"));
        }
        if let Some(metric) = self.active_metric() {
            let what = metric_words(metric);
            return format!("and a metric keeps it awake: {what}");
        }
        if let Some(left) = self.window_left() {
            let idle = self
                .parts
                .as_ref()
                .and_then(|parts| parts.idle)
                .unwrap_or_default();
            return format!(
                "and its last request ended {} ago: it counts as active for {} more",
                spell(idle),
                spell(left)
            );
        }
        let object = self.wired.scaled_object.as_deref();
        match object {
            None => "and no ScaledObject would put it to sleep".to_owned(),
            Some(_) if self.min_replicas() > 0 => {
                format!("and minReplicaCount is {}", self.min_replicas())
            }
            Some(_) => match self.cooldown() {
                Some(cooldown) => format!(
                    "nothing asks for it, and the cooldown of {} runs",
                    spell(cooldown)
                ),
                None => "and nothing asks for it".to_owned(),
            },
        }
    }
}
