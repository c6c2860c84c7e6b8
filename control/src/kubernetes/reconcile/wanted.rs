//! What should be written: the status of each route, and what should become of
//! the ScaledObjects that are made of HTTPScaledObjects. From all that the
//! reconciler knows; it only looks.

use super::{Key, Placed, Reconciler, routes::Seen};
use crate::{
    kubernetes::{
        condition::{self, Facts, Scaling},
        legacy::LegacyObject,
        made::{self, Made, Standing, View},
        scaled::Workload,
        status::Status,
    },
    manifest::{
        ScalerRef,
        overlap::{self, WHO_WINS},
    },
};
use proxy::TargetId;
use std::collections::{BTreeMap, HashMap};

/// Whose the rest of HTTPScaledObjects is, beside serving them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kubernetes) struct Operating {
    /// ScaledObjects are made of them, and their statuses are written: the
    /// HTTP add-on's operator does not.
    pub(in crate::kubernetes) is_ours: bool,
    /// Where KEDA finds us.
    pub(in crate::kubernetes) scaler: ScalerRef,
}

/// What should be written.
pub(in crate::kubernetes) struct Wishes {
    pub(in crate::kubernetes) statuses: Vec<(TargetId, Status)>,
    pub(in crate::kubernetes) made: Vec<(TargetId, Made)>,
    /// How many routes are ready or not, by kind and reason.
    pub(in crate::kubernetes) census: BTreeMap<(&'static str, &'static str), usize>,
}

/// ScaledObjects by namespace and what they scale.
type Scalers<'a> = HashMap<(&'a str, &'a Workload), Vec<&'a Key>>;

impl Reconciler {
    /// What should be written; `refusals` are why ScaledObjects are not.
    pub(in crate::kubernetes) fn wishes(&mut self, refusals: &HashMap<TargetId, String>) -> Wishes {
        self.has_stale_wishes = false;
        let lost = self.lost();
        let scalers = self.scalers();
        let mut wishes = Wishes {
            statuses: Vec::new(),
            made: Vec::new(),
            census: BTreeMap::new(),
        };
        for seen in self.routes.all() {
            let decided = seen.legacy.map(|legacy| {
                let refusal = refusals.get(&seen.id).map(String::as_str);
                self.decide(&seen, legacy, &scalers, refusal)
            });
            let (made, standing) = decided.unzip();
            let lost = lost.get(&seen.id).map(Vec::as_slice);
            let status = self.status(&seen, lost.unwrap_or_default(), standing.as_ref());
            let reason = (seen.kind.name, status.ready());
            *wishes.census.entry(reason).or_default() += 1;
            if seen.legacy.is_none() || self.ways.operating.is_ours {
                let made = made.flatten().map(|made| (seen.id.clone(), made));
                wishes.made.extend(made);
                wishes.statuses.push((seen.id, status));
            }
        }
        wishes
    }

    fn status(&self, seen: &Seen<'_>, lost: &[String], standing: Option<&Standing>) -> Status {
        let Seen {
            id,
            key,
            kind,
            route,
            legacy,
            is_shadowed,
        } = seen;
        let unresolved = self.placed.get(id).and_then(Placed::unresolved);
        let scaling = match standing {
            Some(standing) => Scaling::Made(standing),
            None => Scaling::Named(self.scaled_object(id).map(|(key, _)| key)),
        };
        let facts = Facts {
            route,
            unresolved: unresolved.as_deref(),
            is_shadowed: *is_shadowed,
            lost,
            scaling,
        };
        let is_first = !condition::are_known(&route.conditions);
        let object = legacy.and_then(|legacy| legacy.object.as_ref());
        Status {
            kind,
            uid: route.uid.clone(),
            version: route.version.clone(),
            generation: route.generation,
            conditions: condition::of_route(key, &facts),
            tells: legacy.and_then(LegacyObject::tells),
            present: route.conditions.clone(),
            told: legacy.and_then(|legacy| legacy.told.clone()),
            deprecation: object
                .filter(|_| is_first)
                .map(|object| object.equivalent(Some(&self.ways.operating.scaler))),
            events: self.events.clone(),
        }
    }

    fn decide(
        &self,
        seen: &Seen<'_>,
        legacy: &LegacyObject,
        scalers: &Scalers<'_>,
        refusal: Option<&str>,
    ) -> (Option<Made>, Standing) {
        let key = seen.key;
        let object = legacy.object.as_ref();
        let workload = object.and_then(|object| Workload::of(&object.spec));
        let rival = workload.as_ref().and_then(|workload| {
            let all = scalers.get(&(&*key.namespace, workload))?;
            all.iter().copied().find(|one| *one != key)
        });
        let (act, standing) = made::decide(&View {
            key,
            legacy,
            named: self.scaled.get(key),
            waker: self.woken_by.get(&seen.id),
            rival,
            scaler: &self.ways.operating.scaler,
            refusal,
        });
        let version = self.scaled.version(key);
        let version = version.and_then(|version| version.parse().ok());
        let made = act.map(|act| Made {
            key: key.clone(),
            // It must not go before the ScaledObject that we made last was seen.
            follows_from: version.or(matches!(act, made::Act::LetGo { .. }).then_some(0)),
            act,
        });
        (made, standing)
    }

    /// Which ScaledObjects scale what. Needed for HTTPScaledObjects alone.
    fn scalers(&self) -> Scalers<'_> {
        let mut scalers = Scalers::new();
        if self.routes.has_legacy() {
            for (key, object) in self.scaled.iter() {
                let workload = (&*key.namespace, &object.workload);
                scalers.entry(workload).or_default().push(key);
            }
        }
        scalers
    }

    /// Requests that routes claim and do not get, in words.
    fn lost(&self) -> HashMap<TargetId, Vec<String>> {
        let served = self.routes.all().filter(|seen| !seen.is_shadowed);
        let served = served.filter_map(|seen| {
            let object = seen.route.served.as_ref()?;
            Some((seen, object))
        });
        let (seen, objects): (Vec<Seen<'_>>, Vec<_>) = served.unzip();
        let mut all: HashMap<TargetId, Vec<String>> = HashMap::new();
        for lost in overlap::lost(&objects) {
            let Seen { kind, key, .. } = &seen[lost.winner];
            let message = format!(
                "{} is served by {} {key}, which claims it too: {WHO_WINS}",
                lost.requests, kind.name
            );
            let id = seen[lost.route].id.clone();
            all.entry(id).or_default().push(message);
        }
        all
    }
}

impl Placed {
    /// Why it leads nowhere.
    fn unresolved(&self) -> Option<String> {
        if let Some(why) = self.backend.nowhere() {
            return Some(why.to_string());
        }
        let why = self.fallback.as_deref()?.nowhere()?;
        Some(format!("the fallback: {why}"))
    }
}
