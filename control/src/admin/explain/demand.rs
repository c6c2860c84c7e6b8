//! What each source of demand says, and what KEDA was told of it.

use super::{Known, metric_words, tenths};
use crate::{
    explain::wire::{Source, Told},
    sight::spell,
};
use scaler::keda::{ActivityTold, ToldBy};

impl Known<'_> {
    pub(super) fn demand(&self) -> Vec<Source> {
        let mut all = Vec::new();
        let mut add = |source: &str, says: String, active: bool| {
            let source = source.to_owned();
            all.push(Source {
                source,
                says,
                active,
            });
        };
        if let Some(parts) = &self.parts {
            let says = |part: &scaler::Part| match part.in_flight {
                0 => "nothing in flight".to_owned(),
                _ => format!("{} in flight, {} of them held", part.in_flight, part.held),
            };
            add("this proxy", says(&parts.here), parts.here.in_flight > 0);
            let peers = self.admin.peer_views().len();
            if peers > 0 {
                let unsure = if self.admin.ledger.is_unsure() {
                    "; one of them is silent, so nothing is called idle"
                } else {
                    ""
                };
                let says = format!("{}{unsure}", says(&parts.elsewhere));
                add("other replicas", says, parts.elsewhere.in_flight > 0);
            }
            let (window, view) = (spell(parts.activity_window), &self.view);
            let says = match (parts.idle, self.window_left()) {
                (Some(idle), Some(left)) => format!(
                    "the last request ended {} ago; active for {} more of {window}",
                    spell(idle),
                    spell(left)
                ),
                (Some(_), None) if parts.active => format!("{window}, from the last request's end"),
                (Some(_), None) => format!("over: {window} without a request"),
                (None, _) => "no request yet".to_owned(),
            };
            add("activity window", says, self.window_left().is_some());
            let scaled_by = match (parts.scaling.concurrency, parts.scaling.request_rate) {
                (None, None) => "concurrency 100 per replica (its route sets nothing)".to_owned(),
                (concurrency, rate) => {
                    let concurrency = concurrency.map(|target| {
                        format!(
                            "concurrency {:.2} of {target} per replica",
                            view.concurrency
                        )
                    });
                    let rate = rate.map(|rate| {
                        let target = rate.target_value;
                        format!(
                            "{:.2} of {target} requests/s per replica",
                            view.request_rate
                        )
                    });
                    concurrency
                        .into_iter()
                        .chain(rate)
                        .collect::<Vec<_>>()
                        .join(", ")
                }
            };
            add("scaled by", scaled_by, false);
        }
        for told in self.activity.iter().filter(|told| told.metric.is_some()) {
            let active = matches!(&told.metric, Some(Ok(now)) if now.active);
            add(&told.source, metric_words(told), active);
        }
        match (&self.wired.scaled_object, &self.object, &self.wired.bounds) {
            (None, ..) => add(
                "ScaledObject",
                "none: nothing wakes it or puts it to sleep".to_owned(),
                false,
            ),
            (Some(name), Some(object), _) => {
                let rules = object.rules;
                let error = object.last_error.as_ref().filter(|error| error.ongoing);
                let error = error.map_or(String::new(), |error| {
                    format!("; failing, so nothing is taken away: {}", error.message)
                });
                let says = format!(
                    "{name}: {} to {} replicas, polled every {}, cooldown {}{error}",
                    rules.min_replicas,
                    rules.max_replicas,
                    spell(rules.polling_interval),
                    spell(rules.cooldown_period)
                );
                add("ScaledObject", says, rules.min_replicas > 0);
            }
            (Some(name), None, Some(bounds)) => {
                let paused = bounds.paused.as_deref();
                let paused = paused.map_or(String::new(), |paused| format!("; paused: {paused}"));
                let says = format!(
                    "{name}: {} to {} replicas, cooldown {}{paused}",
                    bounds.min,
                    bounds.max,
                    spell(bounds.cooldown)
                );
                add("ScaledObject", says, bounds.min > 0);
            }
            (Some(name), None, None) => add("ScaledObject", name.clone(), false),
        }
        all
    }

    pub(super) fn told(&self) -> Vec<Told> {
        let said = |told: &ActivityTold| {
            let said = told.said.as_ref()?;
            let by = match (said.by, told.has_stream) {
                (ToldBy::Stream, _) => "on its stream",
                (ToldBy::Poll, true) => "as it asked; it has a stream open, too",
                (ToldBy::Poll, false) => "as it asked; it has no stream open",
            };
            let what = match &said.what {
                Ok(true) => format!("active, {by}"),
                Ok(false) => format!("not active, {by}"),
                Err(error) => format!("an error: {error}"),
            };
            Some(Told {
                about: told.source.clone(),
                said: format!("{what} (so for {})", spell(said.since.elapsed())),
                ago_seconds: tenths(said.at.elapsed()),
            })
        };
        let activity = self.activity.iter().filter_map(said);
        let values = self.values.iter().map(|told| Told {
            about: told.metric.clone(),
            said: format!("{}", told.value),
            ago_seconds: tenths(told.at.elapsed()),
        });
        activity.chain(values).collect()
    }
}
