//! What the status of an InterceptorRoute or HTTPScaledObject says: conditions as
//! Kubernetes has them, each with a reason for machines and a message for people.
//!
//! Pure: from what is known of a route to what should stand in its status.

use super::{made::Standing, route::RouteObject, store::Key};
use crate::manifest::api;
use serde::Deserialize;
use serde_json::{Value, json};

/// One condition, without its time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Condition {
    pub(super) kind: &'static str,
    pub(super) is_true: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Every reason that `Ready` may have.
pub(super) const REASONS: [&str; 9] = [
    "Reconciled",
    "Invalid",
    "TargetNotFound",
    "HostPolicy",
    "NoRules",
    "Conflict",
    "Shadowed",
    CREATE_ERROR,
    TAKEN,
];
const SCALED: &str = "ScaledObjectFound";
/// The add-on's own word for it.
const CREATE_ERROR: &str = "CreateError";
const TAKEN: &str = "Taken";
/// A condition that stands in a status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Present {
    #[serde(rename = "type")]
    kind: Box<str>,
    status: Box<str>,
    reason: Box<str>,
    message: Box<str>,
    observed_generation: i64,
    last_transition_time: Box<str>,
}

/// What is known of a route.
pub(super) struct Facts<'a> {
    pub(super) route: &'a RouteObject,
    /// Why its target leads nowhere.
    pub(super) unresolved: Option<&'a str>,
    /// The InterceptorRoute of its name is served in its place.
    pub(super) is_shadowed: bool,
    /// Which requests other routes have taken, and which routes.
    pub(super) lost: &'a [String],
    /// How its scaling stands.
    pub(super) scaling: Scaling<'a>,
}

/// How the scaling of a route stands.
#[derive(Clone, Copy)]
pub(super) enum Scaling<'a> {
    /// Of an InterceptorRoute: the ScaledObject that it is a trigger of.
    Named(Option<&'a Key>),
    /// Of an HTTPScaledObject.
    Made(&'a Standing),
}

/// The conditions of a route, always in the same order.
pub(super) fn of_route(key: &Key, facts: &Facts<'_>) -> Vec<Condition> {
    let resolved = resolved(facts);
    let accepted = accepted(key, facts);
    let scaled = scaled(key, facts);
    let ready = if facts.route.is_broken() {
        let what = api::in_one_line(&facts.route.problems);
        let still = match facts.route.served {
            Some(_) => " (it is served as it was before)",
            None => "",
        };
        condition("Ready", false, "Invalid", format!("{what}{still}"))
    } else if let Some(cause) = [&resolved, &accepted, &scaled]
        .into_iter()
        .find(|one| !one.is_true && is_grave(one))
    {
        condition("Ready", false, cause.reason, cause.message.clone())
    } else {
        // What is odd about it, and no error.
        let warnings = api::in_one_line(&facts.route.problems);
        condition("Ready", true, "Reconciled", warnings)
    };
    vec![ready, resolved, accepted, scaled]
}

/// Are there conditions of ours among them? `Ready` is the add-on's as well.
pub(super) fn are_known(present: &[Present]) -> bool {
    present.iter().any(|known| &*known.kind == SCALED)
}

/// Does it keep a route from being ready? An InterceptorRoute is, whether or
/// not somebody scales what is behind it.
fn is_grave(one: &Condition) -> bool {
    one.kind != SCALED || [CREATE_ERROR, TAKEN].contains(&one.reason)
}

fn resolved(facts: &Facts<'_>) -> Condition {
    let kind = "TargetResolved";
    match (facts.unresolved, &facts.route.served) {
        (Some(why), _) => condition(kind, false, "TargetNotFound", why.to_owned()),
        (None, Some(_)) => condition(kind, true, "Resolved", String::new()),
        (None, None) => {
            let message = "the route cannot be understood".to_owned();
            condition(kind, false, "Invalid", message)
        }
    }
}

fn accepted(key: &Key, facts: &Facts<'_>) -> Condition {
    let kind = "HostsAccepted";
    if facts.is_shadowed {
        let message = format!(
            "InterceptorRoute {key} is served in its place; its ScaledObject is told of that one"
        );
        return condition(kind, false, "Shadowed", message);
    }
    let Some(served) = &facts.route.served else {
        let message = "the route cannot be understood".to_owned();
        return condition(kind, false, "Invalid", message);
    };
    if !facts.route.refused.is_empty() {
        let message = format!(
            "this namespace may not claim {} (--host-policy)",
            facts.route.refused.join(", ")
        );
        return condition(kind, false, "HostPolicy", message);
    }
    if served.spec.rules.is_empty() {
        let message = "no rules: this route receives no traffic".to_owned();
        return condition(kind, false, "NoRules", message);
    }
    match facts.lost {
        [] => condition(kind, true, "Accepted", String::new()),
        lost => condition(kind, false, "Conflict", lost.join("; ")),
    }
}

fn scaled(key: &Key, facts: &Facts<'_>) -> Condition {
    let no = |reason, message| condition(SCALED, false, reason, message);
    match facts.scaling {
        Scaling::Named(Some(object)) | Scaling::Made(Standing::Found(object)) => {
            condition(SCALED, true, "Found", format!("ScaledObject {object}"))
        }
        Scaling::Made(Standing::Theirs(object)) => {
            let message = format!("ScaledObject {object}, which is not of this object");
            condition(SCALED, true, "Found", message)
        }
        Scaling::Made(Standing::Awaited) => no("Awaited", "a ScaledObject is being made".into()),
        Scaling::Made(Standing::Refused(why)) => no(CREATE_ERROR, why.clone()),
        // Its requests are those of the route that is served in its place.
        Scaling::Made(Standing::Taken(what)) if facts.is_shadowed => no(TAKEN, what.clone()),
        Scaling::Made(Standing::Taken(what)) => no(TAKEN, format!("{what}: requests wake nothing")),
        Scaling::Made(Standing::Unwanted(why)) => {
            no("NotWanted", format!("there is no ScaledObject: {why}"))
        }
        Scaling::Named(None) => {
            let message = format!(
                "no ScaledObject in namespace {} has a trigger with interceptorRoute: {}; \
                 requests wake nothing",
                key.namespace, key.name
            );
            no("NotFound", message)
        }
    }
}

fn condition(
    kind: &'static str,
    is_true: bool,
    reason: &'static str,
    message: String,
) -> Condition {
    Condition {
        kind,
        is_true,
        reason,
        message,
    }
}

impl Condition {
    fn status(&self) -> &'static str {
        if self.is_true { "True" } else { "False" }
    }

    /// Is it what stands in a status, for that generation of the object?
    pub(super) fn stands_in(&self, present: &[Present], generation: i64) -> bool {
        self.find(present).is_some_and(|known| {
            *known.status == *self.status()
                && *known.reason == *self.reason
                && *known.message == *self.message
                && known.observed_generation == generation
        })
    }

    /// As it is written; where its state is the same as in `present`, it keeps
    /// the time of its last change, else that is `now`.
    pub(super) fn json(&self, present: &[Present], generation: i64, now: &str) -> Value {
        let same = self.find(present);
        let same = same.filter(|known| *known.status == *self.status());
        let since = same.map(|known| &*known.last_transition_time);
        let since = since.filter(|since| !since.is_empty());
        json!({
            "type": self.kind,
            "status": self.status(),
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": generation,
            "lastTransitionTime": since.unwrap_or(now),
        })
    }

    fn find<'a>(&self, present: &'a [Present]) -> Option<&'a Present> {
        present.iter().find(|known| *known.kind == *self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(rules: &Value) -> RouteObject {
        let json = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
            "spec": {
                "target": {"service": "web", "port": 80},
                "rules": rules,
                "scalingMetric": {"concurrency": {"targetValue": 10}},
            },
        });
        RouteObject::read(&json.to_string())
    }

    fn of(facts: &Facts<'_>) -> Vec<(&'static str, bool, &'static str)> {
        let conditions = of_route(&Key::new("shop", "web"), facts).into_iter();
        conditions
            .map(|one| (one.kind, one.is_true, one.reason))
            .collect()
    }

    fn facts(route: &RouteObject) -> Facts<'_> {
        Facts {
            route,
            unresolved: None,
            is_shadowed: false,
            lost: &[],
            scaling: Scaling::Named(None),
        }
    }

    #[test]
    fn a_sound_route_is_ready_with_or_without_a_scaled_object() {
        let route = route(&json!([{"hosts": ["a.test"]}]));
        let conditions = of(&facts(&route));
        assert_eq!(conditions[0], ("Ready", true, "Reconciled"));
        assert_eq!(conditions[3], ("ScaledObjectFound", false, "NotFound"));
        let scaled = Key::new("shop", "web");
        let found = Facts {
            scaling: Scaling::Named(Some(&scaled)),
            ..facts(&route)
        };
        assert_eq!(of(&found)[3], ("ScaledObjectFound", true, "Found"));
    }

    #[test]
    fn ready_says_what_is_wrong() {
        let sound = route(&json!([{"hosts": ["a.test"]}]));
        let nowhere = Facts {
            unresolved: Some("Service shop/web does not exist"),
            ..facts(&sound)
        };
        let conditions = of_route(&Key::new("shop", "web"), &nowhere);
        assert_eq!(conditions[0].message, "Service shop/web does not exist");
        assert_eq!(of(&nowhere)[0], ("Ready", false, "TargetNotFound"));
        let lost = ["a.test / is claimed by others".to_owned()];
        let taken = Facts {
            lost: &lost,
            ..facts(&sound)
        };
        assert_eq!(of(&taken)[0], ("Ready", false, "Conflict"));
        let idle = route(&json!([]));
        assert_eq!(of(&facts(&idle))[2], ("HostsAccepted", false, "NoRules"));
        let broken = route(&json!(7));
        assert_eq!(of(&facts(&broken))[0], ("Ready", false, "Invalid"));
    }

    #[test]
    fn an_http_scaled_object_without_its_scaling_is_not_ready() {
        let route = route(&json!([{"hosts": ["a.test"]}]));
        let ready = |standing: &Standing| {
            let with = Facts {
                scaling: Scaling::Made(standing),
                ..facts(&route)
            };
            (of(&with)[0], of(&with)[3].2)
        };
        let yes = ("Ready", true, "Reconciled");
        assert_eq!(ready(&Standing::Awaited), (yes, "Awaited"));
        assert_eq!(ready(&Standing::Unwanted("why")), (yes, "NotWanted"));
        let refused = Standing::Refused("forbidden".to_owned());
        let no = ("Ready", false, "CreateError");
        assert_eq!(ready(&refused), (no, "CreateError"));
        let taken = Standing::Taken("somebody's".to_owned());
        assert_eq!(ready(&taken), (("Ready", false, "Taken"), "Taken"));
        let shadowed = Facts {
            is_shadowed: true,
            ..facts(&route)
        };
        assert_eq!(of(&shadowed)[0], ("Ready", false, "Shadowed"));
        // As in the midst of a migration: the ScaledObject wakes for the route.
        let moved = Facts {
            scaling: Scaling::Made(&taken),
            ..shadowed
        };
        let scaled = of_route(&Key::new("shop", "web"), &moved).remove(3);
        assert_eq!((scaled.reason, &*scaled.message), ("Taken", "somebody's"));
    }

    #[test]
    fn the_time_of_a_change_stays_until_the_next() {
        let one = condition("Ready", true, "Reconciled", String::new());
        let written = one.json(&[], 3, "then");
        let present: [Present; 1] = [serde_json::from_value(written).expect("as it is written")];
        assert!(one.stands_in(&present, 3));
        assert!(!one.stands_in(&present, 4));
        assert_eq!(one.json(&present, 4, "now")["lastTransitionTime"], "then");
        let other = condition("Ready", false, "Invalid", String::new());
        assert_eq!(other.json(&present, 4, "now")["lastTransitionTime"], "now");
    }
}
