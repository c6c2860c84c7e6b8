//! Traffic that goes on while manifests change again and again.

use super::{edit, following};
use crate::support::Target;
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

const RELOADS: usize = 20;
const CLIENTS: usize = 4;

#[test]
fn twenty_reloads_lose_no_request_on_kept_and_on_new_connections() {
    let web = Target::python().scaled("cooldownPeriod: 900").to_string();
    let other = |n: usize| Target::new(&format!("other-{n}"), "[sleep, '1000']").to_string();
    let reveille = following(web.clone()).start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    let process = reveille.until_workloads(1);
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let count = |status| {
        assert_eq!(status, 200);
        done.fetch_add(1, Ordering::Relaxed);
    };
    let keeps = || {
        let mut connection = reveille.client("web").connect();
        while !stop.load(Ordering::Relaxed) {
            connection.request("GET", "/");
            count(connection.answer().status);
        }
    };
    let opens = || {
        while !stop.load(Ordering::Relaxed) {
            count(reveille.client("web").get("/close/").status);
        }
    };
    thread::scope(|scope| {
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(keeps)).collect();
        clients.push(scope.spawn(opens));
        for n in 0..RELOADS {
            let before = done.load(Ordering::Relaxed);
            let mut manifest = web.clone() + &other(n);
            if n % 2 == 1 {
                manifest = manifest.replace("targetValue: 100", "targetValue: 50");
            }
            edit(&reveille, manifest);
            reveille.until("web", "traffic goes on", |_| {
                assert!(
                    !clients.iter().any(thread::ScopedJoinHandle::is_finished),
                    "a request failed"
                );
                done.load(Ordering::Relaxed) > before + 20
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(reveille.until_workloads(1), process);
    assert_eq!(reveille.manifests().reloads_applied, RELOADS as u64);
    reveille.stop();
}
