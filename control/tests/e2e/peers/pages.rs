//! Pages of metrics: replicas divide them, and each answers for all.

use super::{
    Group, block_on,
    metrics::{until_value, value},
    until_peer,
};
use crate::support::{Reveille, Sidecar, Target, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;

/// So many that one replica gets all of them once in eight million runs.
const TARGETS: usize = 24;

/// The targets that this replica fetches.
fn fetched(by: &Reveille) -> BTreeSet<String> {
    let sources: Value = serde_json::from_str(&by.ask("/api/v1/sources").body).expect("JSON");
    let targets = sources["sources"][0]["targets"].as_array().expect("a list");
    let fetched = targets
        .iter()
        .filter(|target| target["state"] != "elsewhere");
    let address = |target: &Value| target["address"].as_str().expect("text").to_owned();
    fetched.map(address).collect()
}

#[test]
fn each_page_is_fetched_by_one_replica_and_all_say_the_same() {
    const JOBS: &str = "sum(jobs)";
    const ALL: f64 = TARGETS as f64;
    let sidecars: Vec<Sidecar> = (0..TARGETS).map(|_| Sidecar::start()).collect();
    for sidecar in &sidecars {
        sidecar.says("# TYPE jobs gauge\njobs 1\n");
    }
    let addresses: Vec<String> = sidecars.iter().map(|one| one.addr().to_string()).collect();
    let manifest = format!(
        "{}---\napiVersion: local.reveille.dev/v1alpha1\nkind: MetricSource\n\
         metadata: {{name: jobs}}\nspec: {{addresses: {addresses:?}, interval: 200ms}}\n",
        Target::hello()
    );
    let group = Group::new();
    let (a, b) = (
        group.starter_of(&*manifest).start(),
        group.starter_of(&*manifest).start(),
    );
    group.name(&[&a, &b]);
    for replica in [&a, &b] {
        until_value(replica, JOBS, ALL);
    }
    wait_until("they have divided the pages", || {
        let (here, there) = (fetched(&a), fetched(&b));
        let divided = here.is_disjoint(&there) && here.len() + there.len() == TARGETS;
        divided && !here.is_empty() && !there.is_empty()
    });
    for replica in [&a, &b] {
        assert_eq!(block_on(value(replica, JOBS)).expect("known"), ALL);
    }
    // What one of them fetched goes to the other, and nothing is missing meanwhile.
    let address = b.grpc().to_string();
    b.signal(Signal::KILL);
    until_peer(&a, &address, "lost");
    wait_until("the other fetches all", || {
        assert_eq!(block_on(value(&a, JOBS)).expect("known"), ALL);
        fetched(&a).len() == TARGETS
    });
}
