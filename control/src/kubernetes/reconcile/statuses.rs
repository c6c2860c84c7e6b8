//! What the status of each route should say, from all that the reconciler
//! knows. It only looks.

use super::{Key, Placed, Reconciler, RouteObject};
use crate::{
    kubernetes::{
        condition::{self, Facts},
        status::Wanted,
    },
    manifest::overlap::{self, WHO_WINS},
};
use std::collections::HashMap;

impl Reconciler {
    /// What the status of each route should say.
    pub(in crate::kubernetes) fn statuses(&mut self) -> Vec<(Key, Wanted)> {
        self.has_stale_statuses = false;
        let taken = self.taken();
        let one = |key: &Key, route: &RouteObject| {
            let unresolved = self.placed.get(key).and_then(Placed::unresolved);
            let facts = Facts {
                route,
                unresolved: unresolved.as_deref(),
                lost: taken.get(key).map(Vec::as_slice).unwrap_or_default(),
                scaled_object: self.scaled_object(key).map(|(key, _)| key),
            };
            let wanted = Wanted {
                uid: route.uid.clone(),
                version: route.version.clone(),
                generation: route.generation,
                conditions: condition::of_route(key, &facts),
                present: route.conditions.clone(),
            };
            (key.clone(), wanted)
        };
        self.routes
            .iter()
            .map(|(key, route)| one(key, route))
            .collect()
    }

    /// Requests that routes claim and do not get, in words.
    fn taken(&self) -> HashMap<Key, Vec<String>> {
        let served = self.routes.iter().filter_map(|(key, route)| {
            let object = route.served.as_ref()?;
            Some((key, object))
        });
        let (keys, objects): (Vec<&Key>, Vec<_>) = served.unzip();
        let mut taken: HashMap<Key, Vec<String>> = HashMap::new();
        for lost in overlap::lost(&objects) {
            let winner = keys[lost.winner];
            let message = format!(
                "{} is served by InterceptorRoute {winner}, which claims it too: {WHO_WINS}",
                lost.requests
            );
            taken
                .entry(keys[lost.route].clone())
                .or_default()
                .push(message);
        }
        taken
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
