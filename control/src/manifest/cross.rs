//! Checks between objects: names that are used twice, names that nothing has, and workloads that
//! nothing would ever start.
//!
//! Called by `load` once over all files. It must never blame a sound object for a broken one more
//! than it has to: only what cannot work without the other is left out.

use std::collections::{HashMap, HashSet};

use super::Manifests;
use super::config_map::RESPONSE_BODY_LABEL;
use super::derived;
use super::draft::{Broken, Draft, Drafts};
use super::kind::Kind;
use super::meta::Object;
use super::overlap;
use super::problem::Problem;
use super::process::ProcessSpec;
use super::response::StaticResponse;
use super::scaled_object::ScaledObjectSpec;
use super::trigger::{Trigger, TriggerKind};

/// Finishes `drafts`: objects with errors left out, all problems in order of file and line.
pub(super) fn check(mut drafts: Drafts) -> Manifests {
    unique(&mut drafts);
    derived::add(&mut drafts);
    routes(&mut drafts);
    scaled_objects(&mut drafts);
    idle_processes(&mut drafts);
    routes_that_wake_nothing(&mut drafts);
    bodies_that_are_missing(&mut drafts);
    let overlaps = overlap::find(&drafts.routes);
    drafts.problems.extend(overlaps);
    // Stable: problems of one line stay in the order they were found.
    drafts
        .problems
        .sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let Drafts {
        mut routes,
        mut http_scaled_objects,
        broken,
        ..
    } = drafts;
    // They are made again of their HTTPScaledObjects.
    routes.retain(|route| route.kind == Kind::InterceptorRoute);
    http_scaled_objects.retain(|it| find(&broken, &[Kind::HttpScaledObject], it.id()).is_none());
    Manifests {
        routes: objects(routes),
        http_scaled_objects: objects(http_scaled_objects),
        scaled_objects: objects(drafts.scaled_objects),
        processes: objects(drafts.processes),
        backends: objects(drafts.backends),
        config_maps: objects(drafts.config_maps),
        metric_sources: objects(drafts.metric_sources),
        problems: drafts.problems,
    }
}

fn objects<S>(drafts: Vec<Draft<S>>) -> Vec<Object<S>> {
    drafts.into_iter().map(|draft| draft.object).collect()
}

/// Every name once per kind and namespace, and Processes and Backends once together.
fn unique(drafts: &mut Drafts) {
    let Drafts {
        routes,
        http_scaled_objects,
        scaled_objects,
        processes,
        backends,
        config_maps,
        metric_sources,
        broken,
        problems,
        ..
    } = drafts;
    problems.extend(first_wins(config_maps));
    problems.extend(first_wins(metric_sources));
    problems.extend(first_wins(routes));
    problems.extend(first_wins(http_scaled_objects));
    problems.extend(first_wins(scaled_objects));
    problems.extend(first_wins(processes));
    problems.extend(first_wins(backends));
    let processes: HashMap<(&str, &str), &Draft<ProcessSpec>> = processes
        .iter()
        .map(|process| (process.id(), process))
        .collect();
    retain(backends, broken, |backend, _| {
        let Some(process) = processes.get(&backend.id()) else {
            return true;
        };
        let message = format!(
            "{} ({}) has the same name: a route could mean either",
            process.label(),
            process.place()
        );
        problems.push(backend.error("metadata.name", message));
        false
    });
}

/// Leaves out objects whose name is taken. They do not count as broken: the name still works.
fn first_wins<S>(drafts: &mut Vec<Draft<S>>) -> Vec<Problem> {
    let mut first: HashMap<(String, String), String> = HashMap::new();
    let mut problems = Vec::new();
    drafts.retain(|draft| {
        let (namespace, name) = draft.id();
        let id = (namespace.to_owned(), name.to_owned());
        if let Some(place) = first.get(&id) {
            let message = format!("defined twice: the first is at {place} and is the one used");
            problems.push(draft.error("metadata.name", message));
            return false;
        }
        first.insert(id, draft.place());
        true
    });
    problems
}

/// A route's target and fallback must exist.
fn routes(drafts: &mut Drafts) {
    let Drafts {
        routes,
        processes,
        backends,
        broken,
        problems,
        ..
    } = drafts;
    let known: HashSet<(&str, &str)> = processes
        .iter()
        .map(Draft::id)
        .chain(backends.iter().map(Draft::id))
        .collect();
    retain(routes, broken, |route, broken| {
        let fallback = route
            .object
            .spec
            .cold_start
            .as_ref()
            .and_then(|cold| cold.fallback.as_ref());
        let (target_path, fallback_path) = match route.kind {
            Kind::HttpScaledObject => (
                "spec.scaleTargetRef.service",
                "spec.coldStartTimeoutFailoverRef.service",
            ),
            _ => (
                "spec.target.service",
                "spec.coldStart.fallback.service.name",
            ),
        };
        let mut services = vec![(target_path, &route.object.spec.target)];
        services.extend(fallback.map(|service| (fallback_path, service)));
        let mut sound = true;
        for (path, service) in services {
            let id = (route.namespace(), service.service.as_str());
            if known.contains(&id) {
                continue;
            }
            sound = false;
            let broken = find(broken, &[Kind::Process, Kind::Backend], id);
            problems.push(route.error(path, missing("Process or Backend", broken, id)));
        }
        sound
    });
}

/// A ScaledObject's workload and the routes of its triggers must exist, and a Process has one
/// ScaledObject.
fn scaled_objects(drafts: &mut Drafts) {
    let Drafts {
        routes,
        http_scaled_objects,
        scaled_objects,
        processes,
        backends,
        broken,
        problems,
        ..
    } = drafts;
    let processes: HashSet<(&str, &str)> = processes.iter().map(Draft::id).collect();
    let backends: HashSet<(&str, &str)> = backends.iter().map(Draft::id).collect();
    let known: HashSet<(Kind, (&str, &str))> = routes
        .iter()
        .map(|route| (route.kind, route.id()))
        .chain(
            // Also one whose name a route has: its trigger asks about that one's requests.
            http_scaled_objects
                .iter()
                .filter(|it| find(broken, &[Kind::HttpScaledObject], it.id()).is_none())
                .map(|it| (it.kind, it.id())),
        )
        .collect();
    let mut scaled: HashMap<(String, String), String> = HashMap::new();
    retain(scaled_objects, broken, |scaled_object, broken| {
        let target = &scaled_object.object.spec.scale_target_ref;
        let id = (scaled_object.namespace(), target.name.as_str());
        let (namespace, name) = id;
        let mut errors = Vec::new();
        let kind = target.kind.as_deref().unwrap_or("Deployment");
        if kind == "Backend" || (!processes.contains(&id) && backends.contains(&id)) {
            let path = "spec.scaleTargetRef.name";
            errors.push((path, format!("Backend {namespace}/{name} is never scaled")));
        } else if kind != "Deployment" && kind != "Process" {
            let message = format!("must be Deployment or Process in local mode, not {kind}");
            errors.push(("spec.scaleTargetRef.kind", message));
        } else if !processes.contains(&id) {
            let broken = find(broken, &[Kind::Process], id);
            errors.push(("spec.scaleTargetRef.name", missing("Process", broken, id)));
        } else if let Some(first) = scaled.get(&(namespace.to_owned(), name.to_owned())) {
            let message = format!("Process {namespace}/{name} is already scaled by {first}");
            errors.push(("spec.scaleTargetRef.name", message));
        }
        let mut problems_here: Vec<_> = errors
            .into_iter()
            .map(|(path, message)| scaled_object.error(path, message))
            .collect();
        let mut named = true;
        for (index, kind, key, route) in named_routes(&scaled_object.object.spec) {
            let id = (namespace, route);
            if known.contains(&(kind, id)) {
                continue;
            }
            named = false;
            // One that an HTTPScaledObject stands for names that one, which has said enough.
            if scaled_object.kind == Kind::ScaledObject {
                let path = format!("spec.triggers[{index}].metadata.{key}");
                let broken = find(broken, &[kind], id);
                let message = missing(kind.name(), broken, id);
                problems_here.push(scaled_object.error(&path, message));
            }
        }
        let sound = named && problems_here.is_empty();
        if sound {
            let place = format!("{} ({})", scaled_object.label(), scaled_object.place());
            scaled.insert((namespace.to_owned(), name.to_owned()), place);
        }
        problems.extend(problems_here);
        sound
    });
}

/// Warns of Processes that stay at zero. Where a broken ScaledObject names one, its own problems
/// say enough.
fn idle_processes(drafts: &mut Drafts) {
    let scaled: HashSet<(&str, &str)> = drafts
        .scaled_objects
        .iter()
        .map(|draft| {
            (
                draft.namespace(),
                draft.object.spec.scale_target_ref.name.as_str(),
            )
        })
        .chain(
            drafts
                .broken
                .iter()
                .filter_map(|broken| Some((broken.namespace.as_str(), broken.scales.as_deref()?))),
        )
        .collect();
    let idle = drafts
        .processes
        .iter()
        .filter(|process| !scaled.contains(&process.id()));
    let warning = "no ScaledObject scales it: it stays at zero, nothing will start it";
    let warnings: Vec<_> = idle
        .map(|process| process.warning("", warning.to_owned()))
        .collect();
    drafts.problems.extend(warnings);
}

/// Warns of answers whose body is in a ConfigMap that does not have it.
fn bodies_that_are_missing(drafts: &mut Drafts) {
    let find = |id: (&str, &str)| drafts.config_maps.iter().find(|map| map.id() == id);
    let mut warnings = Vec::new();
    for route in &drafts.routes {
        let mut check = |path: String, response: &StaticResponse| {
            let Some(wanted) = &response.body_from_config_map else {
                return;
            };
            let path = format!("{path}.bodyFromConfigMap");
            let (namespace, name) = (route.namespace(), wanted.name.as_str());
            let map = format!("ConfigMap {namespace}/{name}");
            let is_it = |(ns, other): &(String, String)| ns == namespace && other == name;
            let message = match (find((namespace, name)), &wanted.key) {
                (Some(found), Some(key)) if !found.object.spec.bodies.contains_key(key) => {
                    format!("{map} has no key {key:?}: the answer is 500")
                }
                (Some(_), _) => return,
                (None, _) if drafts.unlabelled.iter().any(is_it) => format!(
                    "{map} lacks the label {RESPONSE_BODY_LABEL}: \"true\": the answer is 500"
                ),
                (None, _) => format!("there is no {map}: the answer is 500"),
            };
            warnings.push(route.warning(&path, message));
        };
        let spec = &route.object.spec;
        let cold_start = spec.cold_start.as_ref();
        if let Some(placeholder) = cold_start.and_then(|cold| cold.placeholder.as_ref()) {
            check(
                "spec.coldStart.placeholder.response".to_owned(),
                placeholder,
            );
        }
        for (index, fixed) in spec.static_routes.iter().enumerate() {
            check(
                format!("spec.staticRoutes[{index}].response"),
                &fixed.response,
            );
        }
    }
    drafts.problems.extend(warnings);
}

/// Warns of routes to a scaled Process that none of its triggers name.
fn routes_that_wake_nothing(drafts: &mut Drafts) {
    let mut warnings = Vec::new();
    let scaled: HashMap<(&str, &str), &Draft<ScaledObjectSpec>> = drafts
        .scaled_objects
        .iter()
        .map(|draft| {
            let name = draft.object.spec.scale_target_ref.name.as_str();
            ((draft.namespace(), name), draft)
        })
        .collect();
    let targets: HashSet<(&str, &str)> = drafts.processes.iter().map(Draft::id).collect();
    for route in &drafts.routes {
        let id = (route.namespace(), route.object.spec.target.service.as_str());
        let Some(scaled_object) = scaled.get(&id).filter(|_| targets.contains(&id)) else {
            continue;
        };
        let (_, name) = route.id();
        let mut named = named_routes(&scaled_object.object.spec);
        if named.all(|(_, kind, _, named)| (kind, named) != (route.kind, name)) {
            let message = format!(
                "no trigger of {} ({}) names this route: requests to it wake nothing",
                scaled_object.label(),
                scaled_object.place()
            );
            warnings.push(route.warning("", message));
        }
    }
    drafts.problems.extend(warnings);
}

/// The routes that the served triggers name: the index of the trigger, the kind of the object, its
/// key, its name.
fn named_routes(
    spec: &ScaledObjectSpec,
) -> impl Iterator<Item = (usize, Kind, &'static str, &str)> {
    let served = |trigger: &Trigger| !matches!(trigger.kind, TriggerKind::NotServed(_));
    let keys = [
        (Kind::InterceptorRoute, "interceptorRoute"),
        (Kind::HttpScaledObject, "httpScaledObject"),
    ];
    spec.triggers
        .iter()
        .enumerate()
        .filter(move |(_, trigger)| served(trigger))
        .flat_map(move |(index, trigger)| {
            keys.into_iter().filter_map(move |(kind, key)| {
                Some((index, kind, key, trigger.metadata.get(key)?.as_str()))
            })
        })
}

/// Keeps what `sound` approves; the rest is broken from here on.
fn retain<S>(
    drafts: &mut Vec<Draft<S>>,
    broken: &mut Vec<Broken>,
    mut sound: impl FnMut(&Draft<S>, &[Broken]) -> bool,
) {
    drafts.retain(|draft| {
        let keep = sound(draft, broken);
        if !keep {
            broken.push(draft.broken());
        }
        keep
    });
}

fn find<'a>(
    broken: &'a [Broken],
    kinds: &[Kind],
    (namespace, name): (&str, &str),
) -> Option<&'a Broken> {
    broken
        .iter()
        .find(|it| kinds.contains(&it.kind) && it.namespace == namespace && it.name == name)
}

fn missing(what: &str, broken: Option<&Broken>, (namespace, name): (&str, &str)) -> String {
    match broken {
        Some(broken) => {
            format!(
                "{} {namespace}/{name} is left out because of its own errors",
                broken.kind
            )
        }
        None => format!("there is no {what} named {name:?} in namespace {namespace}"),
    }
}
