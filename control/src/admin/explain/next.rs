//! What happens to a target next, and when.

use super::{Known, TargetState};
use crate::sight::spell;
use std::time::Duration;

impl Known<'_> {
    /// What happens next, and in how long at the earliest.
    pub(super) fn next(&self) -> (String, Option<Duration>) {
        let held = self.view.held;
        match self.view.state {
            TargetState::Failing => {
                let text = "it is tried again with growing pauses; until a replica gets ready, \
                            requests are refused or wait.";
                (text.to_owned(), None)
            }
            TargetState::Cold | TargetState::Waking if self.paused().is_some() => {
                let text = "nothing, until KEDA is allowed to scale it again; requests get 503.";
                (text.to_owned(), None)
            }
            TargetState::Cold if self.wired.scaled_object.is_none() => {
                let text = "a request would wait: no ScaledObject is known that would wake it.";
                (text.to_owned(), None)
            }
            TargetState::Cold => {
                let metrics = self.activity.iter().filter(|told| told.metric.is_some());
                let metrics: Vec<&str> = metrics.map(|told| told.source.as_str()).collect();
                let above = match &metrics[..] {
                    [] => String::new(),
                    some => format!("{} above its activation value", some.join(" or ")),
                };
                let text = match (self.has_own_trigger(), above.is_empty()) {
                    (true, true) => "the next request wakes it.".to_owned(),
                    (true, false) => format!("the next request, or {above}, wakes it."),
                    (false, _) => format!("{above} wakes it; no trigger asks for its requests."),
                };
                (text, None)
            }
            TargetState::Waking => {
                let waits = match held {
                    0 => "whoever comes".to_owned(),
                    1 => "the request that waits".to_owned(),
                    _ => format!("the {held} requests that wait"),
                };
                (
                    format!("the first endpoint that accepts connections gets {waits}."),
                    None,
                )
            }
            TargetState::Warm => self.when_asleep(),
        }
    }

    fn when_asleep(&self) -> (String, Option<Duration>) {
        if self.wired.scaled_object.is_none() {
            return (
                "it stays as it is: no ScaledObject scales it.".to_owned(),
                None,
            );
        }
        let min = self.min_replicas();
        if min > 0 {
            return (format!("it stays awake: minReplicaCount is {min}."), None);
        }
        if let Some(paused) = self.paused() {
            return (
                format!("it stays as it is: KEDA is paused ({paused})."),
                None,
            );
        }
        let Some(cooldown) = self.cooldown() else {
            return (
                "it sleeps when KEDA finds that nothing asks for it.".to_owned(),
                None,
            );
        };
        let asked = self
            .parts
            .as_ref()
            .map(|parts| parts.here.in_flight + parts.elsewhere.in_flight);
        if asked.is_some_and(|asked| asked > 0) {
            let window = self
                .parts
                .as_ref()
                .map(|parts| parts.activity_window)
                .unwrap_or_default();
            let text = format!(
                "it stays awake while requests are in flight; asleep about {} after the last one, \
                 if nothing else comes.",
                spell(window + cooldown)
            );
            return (text, None);
        }
        if self.active_metric().is_some() {
            let text = format!(
                "it stays awake while its metric is above the activation value, and for the \
                 cooldown of {} after that.",
                spell(cooldown)
            );
            return (text, None);
        }
        let left = match (self.window_left(), &self.object) {
            (Some(left), _) => left + cooldown,
            (None, Some(object)) => object.sleeps_in.unwrap_or_default(),
            (None, None) => {
                let said = self.activity.iter().filter_map(|told| told.said.as_ref());
                let quiet = said.map(|said| said.since.elapsed()).min();
                cooldown.saturating_sub(quiet.unwrap_or_default())
            }
        };
        (
            format!("asleep in about {} if nothing comes.", spell(left)),
            Some(left),
        )
    }
}
