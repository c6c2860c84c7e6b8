//! Services that come later than the routes that name them, or never.

use super::*;
use crate::{
    crew::Crew,
    kubernetes::store::Seen,
    manifest::{PortRef, Via},
};
use proxy::{Clock, DemandSink, ProxyConfig, TargetId};
use serde_json::json;

struct Nobody;

impl DemandSink for Nobody {
    fn waiting(&self, _target: &TargetId) {}
    fn stirred(&self, _target: &TargetId, _at_us: u64) {}
}

fn key(service: &str) -> BackendKey {
    BackendKey {
        service: Key::new("default", service),
        port: PortRef::Number(80),
        probe: None,
        via: Via::Pods,
    }
}

/// What was listed at the start is served.
fn filled(crew: &Crew) -> Backends {
    let proxy = Proxy::new(ProxyConfig::default(), Clock::start(), Arc::new(Nobody));
    let mut backends = Backends::new(Arc::new(proxy.expect("it starts")), crew.handle());
    let missing = backends.get_or_make(key("missing"));
    let why = missing.service().failing().expect("it is known at once");
    assert_eq!(&*why, "Service default/missing does not exist");
    backends.keep_only(&HashSet::new());
    backends
}

fn service(name: &str) -> Seen<ServiceObject> {
    let ports = json!([{"name": "http", "port": 80}]);
    let object = ServiceObject::read(&json!({"spec": {"ports": ports}}).to_string());
    Seen {
        key: Key::new("default", name),
        version: "2".to_owned(),
        object: Some(object.expect("readable")),
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_comes_a_moment_later_is_waited_for() {
    let crew = Crew::new();
    let mut backends = filled(&crew);
    let backend = backends.get_or_make(key("late"));
    // For the status it is missing.
    let why = backend.nowhere().expect("it is missing");
    assert_eq!(&*why, "Service default/late does not exist");
    assert_eq!(backend.service().failing(), None);
    sleep(PATIENCE / 2).await;
    backends.take_services(Change::Put(service("late")));
    assert!(backends.settle());
    assert_eq!(backend.nowhere(), None);
    sleep(PATIENCE).await;
    assert_eq!(backend.service().failing(), None);
    // Later its end is believed at once.
    backends.take_services(Change::Gone(Key::new("default", "late")));
    backends.settle();
    assert!(backend.service().failing().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_come_is_given_up() {
    let crew = Crew::new();
    let mut backends = filled(&crew);
    let backend = backends.get_or_make(key("never"));
    sleep(PATIENCE + Duration::from_millis(1)).await;
    let why = backend.service().failing().expect("given up");
    assert_eq!(&*why, "Service default/never does not exist");
}
