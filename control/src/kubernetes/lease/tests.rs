//! Who holds the Lease when holders come, stop, die, or cannot renew: by a clock
//! that stands still until all is done that can be.

use super::*;
use crate::kubernetes::account::Account;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::{Client, client::Body};
use parking_lot::Mutex;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{task::JoinHandle, time::timeout};
use tonic::codegen::Service;

/// The one Lease of an API server, seen by one client.
#[derive(Clone, Default)]
struct Server {
    lease: Arc<Mutex<Option<Value>>>,
    /// This client gets nothing but errors.
    is_cut: Arc<AtomicBool>,
}

impl Server {
    /// The same server for another client.
    fn for_another(&self) -> Self {
        Self {
            lease: self.lease.clone(),
            is_cut: Arc::default(),
        }
    }

    fn answer(&self, method: &Method, sent: &[u8]) -> (StatusCode, Value) {
        if self.is_cut.load(Ordering::Relaxed) {
            return (StatusCode::INTERNAL_SERVER_ERROR, json!({}));
        }
        let mut lease = self.lease.lock();
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].as_u64();
        let (known, sent) = (lease.clone(), serde_json::from_slice::<Value>(sent));
        match (method.as_str(), known, sent) {
            ("GET", Some(known), _) => (StatusCode::OK, known),
            ("GET", None, _) => (StatusCode::NOT_FOUND, json!({})),
            ("POST", None, Ok(mut new)) => {
                new["metadata"]["resourceVersion"] = 1.into();
                *lease = Some(new.clone());
                (StatusCode::CREATED, new)
            }
            ("PUT", Some(known), Ok(mut new)) if version(&known) == version(&new) => {
                let next = version(&known).expect("it was given one") + 1;
                new["metadata"]["resourceVersion"] = next.into();
                *lease = Some(new.clone());
                (StatusCode::OK, new)
            }
            _ => (StatusCode::CONFLICT, json!({})),
        }
    }
}

impl Service<Request<Body>> for Server {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let (status, json) = server.answer(&head.method, &body);
            let mut answer = Response::new(Full::new(Bytes::from(json.to_string())));
            *answer.status_mut() = status;
            Ok(answer)
        })
    }
}

/// A replica that tries to hold it.
struct Replica {
    server: Server,
    holds: watch::Receiver<bool>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(identity: &str, server: Server) -> Self {
        let settings = LeaseSettings {
            namespace: "keda".to_owned(),
            name: "reveille".to_owned(),
            identity: identity.to_owned(),
        };
        let (sender, holds) = watch::channel(false);
        let stop = CancellationToken::new();
        let api = Api::new(Account::new(Client::new(server.clone(), "default"), None));
        let task = tokio::spawn(hold(api, settings, sender, Arc::default(), stop.clone()));
        Self {
            server,
            holds,
            stop,
            task,
        }
    }

    /// How long it takes until it does, or does not.
    async fn until(&mut self, holds: bool) -> Duration {
        let began = Instant::now();
        let waited = timeout(
            Duration::from_secs(600),
            self.holds.wait_for(|now| *now == holds),
        );
        assert!(
            waited.await.is_ok_and(|seen| seen.is_ok()),
            "waited in vain"
        );
        began.elapsed()
    }
}

/// Two of them, of which the first holds it.
async fn two() -> (Replica, Replica) {
    let server = Server::default();
    let mut first = Replica::start("first", server.for_another());
    first.until(true).await;
    let second = Replica::start("second", server.for_another());
    // For as long as the first one renews.
    sleep(DURATION * 4).await;
    assert!(*first.holds.borrow() && !*second.holds.borrow());
    (first, second)
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_stops_gives_it_back() {
    let (first, mut second) = two().await;
    first.stop.cancel();
    assert!(second.until(true).await <= RENEW_EACH);
    first.task.await.expect("no panic");
    assert!(!*first.holds.borrow());
    let lease = second.server.lease.lock().clone().expect("there");
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_dies_is_replaced_when_its_time_is_over() {
    let (first, mut second) = two().await;
    first.task.abort();
    let took = second.until(true).await;
    assert!(took > DURATION - RENEW_EACH, "{took:?}");
    assert!(took <= DURATION + RENEW_EACH * 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_renew_writes_no_more_and_is_replaced() {
    let (mut first, mut second) = two().await;
    first.server.is_cut.store(true, Ordering::Relaxed);
    assert!(first.until(false).await <= DURATION + RENEW_EACH);
    assert!(second.until(true).await <= RENEW_EACH * 3);
    // When it is back, it is one of those who wait.
    first.server.is_cut.store(false, Ordering::Relaxed);
    sleep(DURATION * 4).await;
    assert!(!*first.holds.borrow() && *second.holds.borrow());
    second.task.abort();
    assert!(first.until(true).await <= DURATION + RENEW_EACH * 2);
}

#[tokio::test(start_paused = true)]
async fn of_those_that_come_at_once_one_holds_it() {
    let server = Server::default();
    let start = |name: &str| Replica::start(name, server.for_another());
    let replicas = ["a", "b", "c"].map(start);
    sleep(DURATION * 2).await;
    let holders = replicas.iter().filter(|one| *one.holds.borrow());
    assert_eq!(holders.count(), 1);
}
