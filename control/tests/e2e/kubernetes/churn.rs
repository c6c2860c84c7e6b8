//! However much changes and however fast, in the end exactly what the objects
//! say is served.

use super::objects::{all_of, answers, in_state, route, serving, until_answers};
use crate::support::{ApiServer, Pod, Reveille, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn after_much_churn_exactly_what_the_objects_say_is_served() {
    let (api, pods) = (ApiServer::start(), ["a", "b"].map(Pod::start));
    api.put_all(all_of("steady", &pods[0]));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let mut there = std::collections::BTreeSet::from(["default/steady".to_owned()]);
    for step in 0..2000 {
        // The same each time, and without a pattern that a cache would like.
        let name = format!("r{}", step * 7 % 50);
        let full_name = format!("default/{name}");
        match step % 5 {
            0 | 1 => {
                api.put_all(all_of(&name, &pods[step % 2]));
                there.insert(full_name);
            }
            2 => api.put(serving(&name, 0, &pods[step % 2])),
            3 if there.remove(&full_name) => api.delete("InterceptorRoute", "default", &name),
            3 => {}
            _ => {
                let gone = json!({"ready": false, "serving": false, "terminating": true});
                api.put(in_state("steady", 1, &pods[1], &gone));
            }
        }
        match step {
            500 => api.cut_watches(),
            1000 => api.forget_history(),
            1500 => {
                api.forget_history();
                api.cut_watches();
            }
            _ => {}
        }
        if step % 200 == 0 {
            assert!(answers(&reveille, "steady", "a"), "at step {step}");
        }
    }
    wait_until("it has caught up", || {
        let now = reveille.targets().into_iter().map(|target| target.name);
        now.eq(there.iter().cloned())
    });
    for full_name in there.iter().filter(|name| *name != "default/steady") {
        let name = full_name.trim_start_matches("default/");
        let slice = api
            .get("EndpointSlice", "default", &format!("{name}-0"))
            .expect("there");
        let pod = slice["endpoints"][0]["targetRef"]["name"]
            .as_str()
            .expect("named");
        until_answers(&reveille, name, pod);
    }
    assert!(answers(&reveille, "steady", "a"));
    reveille.stop();
}

/// What clients of each of these routes should get: the name of a Pod, or
/// nothing, where there is no route.
type Wanted = BTreeMap<String, Option<usize>>;

/// Five thousand changes without a pause, which is far more than a thousand a
/// second: routes come, go, move their target, and Pods come and go.
fn burst(api: &ApiServer, pods: &[Pod; 3]) -> Wanted {
    const ROUTES: usize = 100;
    let mut wanted = Wanted::new();
    for step in 0..5_000 {
        // Each in its turn and its own way, the same in every run.
        let (index, turn) = (step * 37 % ROUTES, step / ROUTES);
        let (name, pod) = (format!("r{index}"), (index + turn) % pods.len());
        match (index + turn * 7) % 5 {
            0..=2 => {
                // The Service is another one's: only the route changes.
                let mut moved = route(&name);
                moved["spec"]["target"]["service"] = format!("s{pod}").into();
                api.put(moved);
                wanted.insert(name, Some(pod));
            }
            3 if matches!(wanted.get(&name), Some(Some(_))) => {
                api.delete("InterceptorRoute", "default", &name);
                wanted.insert(name, None);
            }
            3 => {}
            // A Pod that nobody has heard of comes and goes.
            _ => {
                let gone = json!({"ready": false, "serving": false, "terminating": true});
                api.put(in_state(
                    &format!("s{pod}"),
                    1 + turn % 3,
                    &pods[pod],
                    &gone,
                ));
            }
        }
    }
    wanted
}

#[test]
fn a_burst_of_thousands_of_changes_ends_with_what_the_objects_say() {
    let (api, pods) = (ApiServer::start(), ["p0", "p1", "p2"].map(Pod::start));
    for (index, pod) in pods.iter().enumerate() {
        let [_, service, slice] = all_of(&format!("s{index}"), pod);
        api.put_all([service, slice]);
    }
    api.put_all(all_of("steady", &pods[0]));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let wanted = burst(&api, &pods);
    assert!(answers(&reveille, "steady", "p0"), "in the middle of it");
    let there = wanted.iter().filter(|(_, pod)| pod.is_some());
    let there: Vec<String> = there.map(|(name, _)| format!("default/{name}")).collect();
    assert!(
        there.len() > 50 && there.len() < wanted.len(),
        "{}",
        there.len()
    );
    // Changes are taken in order: with the last one, all were.
    let mut last = route("last");
    last["spec"]["target"]["service"] = "s0".into();
    api.put(last);
    until_answers(&reveille, "last", "p0");
    let now = reveille.targets().into_iter().map(|target| target.name);
    let now = now.filter(|name| !["default/last", "default/steady"].contains(&name.as_str()));
    assert!(now.eq(there.iter().cloned()));
    for (name, pod) in &wanted {
        match pod {
            Some(pod) => until_answers(&reveille, name, &format!("p{pod}")),
            None => assert_eq!(reveille.client(name).get("/").status, 404, "{name}"),
        }
    }
    for target in reveille.targets() {
        assert_eq!(target.endpoints.len(), 1, "{target:?}");
    }
    // Nothing was listed twice for it, and no watch is in trouble.
    let view: Value = serde_json::from_str(&reveille.ask("/api/v1/cluster").body).expect("JSON");
    for watch in view.as_array().expect("a list") {
        assert_eq!(
            (&watch["synced"], &watch["trouble"]),
            (&json!(true), &Value::Null),
            "{watch}"
        );
    }
    let lists = "reveille_kubernetes_lists_total{kind=\"InterceptorRoute\",namespace=\"\"}";
    assert_eq!(reveille.metric(lists), Some(1.0));
    reveille.stop();
}
