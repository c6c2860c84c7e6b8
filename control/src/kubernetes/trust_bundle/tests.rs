//! When what is told: by a clock that is turned on by hand. What is read of
//! real objects is shown in `tests/e2e`.

use super::{object::Holder, *};
use crate::kubernetes::{
    account::Account,
    api::Api,
    event::Events,
    store::{Key, Seen},
    watch::Watched,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    task::{Context, Poll},
};
use tokio::{
    sync::watch,
    time::{Instant, advance},
};
use tonic::codegen::Service;

const DAY: u64 = 24 * 60 * 60;

/// A root that ends in so many days, in PEM form.
fn root(days: i64) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days);
    params.self_signed(&key).expect("signed").pem()
}

fn map(version: &str, pem: &str) -> BundleNews {
    let key = Key::new("dapr-system", "dapr-trust-bundle");
    let json = json!({"metadata": {"uid": "u"}, "data": {"ca.crt": pem}});
    let object = BundleMap::decode(&key, &json.to_string()).expect("a ConfigMap");
    BundleMap::news(Change::Put(Seen {
        key,
        version: version.to_owned(),
        object: Some(object),
    }))
}

/// A bundle that is followed from now on.
struct Followed {
    news: mpsc::Sender<BundleNews>,
    shown: Arc<TrustBundle>,
    told: mpsc::Receiver<Told>,
}

fn follow_from_now() -> Followed {
    let (news, changes) = mpsc::channel(8);
    let (tell, told) = mpsc::channel(64);
    let shown = Arc::new(TrustBundle::default());
    let (unix, start) = (
        time::OffsetDateTime::now_utc().unix_timestamp(),
        Instant::now(),
    );
    let now = move || unix + start.elapsed().as_secs().cast_signed();
    let name = "dapr-system".parse().expect("a place");
    tokio::spawn(follow(name, changes, shown.clone(), tell, now));
    Followed { news, shown, told }
}

impl Followed {
    /// The days that the next notice is about; `None`: it has ended.
    async fn next(&mut self) -> Option<i64> {
        match self.told.recv().await.expect("it is followed").notice() {
            Notice::Within(days) => Some(days.0),
            Notice::Expired => None,
        }
    }

    /// Lets so many days go by, as many looks as there are in them.
    async fn days(&self, days: u64) {
        for _ in 0..days * 24 {
            advance(Duration::from_secs(3_600)).await;
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_notice_of_a_certificate_is_told_once_and_again_of_the_next_one() {
    let mut bundle = follow_from_now();
    bundle
        .news
        .send(map("1", &root(40)))
        .await
        .expect("followed");
    bundle.days(45).await;
    for days in [Some(30), Some(14), Some(7), Some(2), Some(1), None] {
        assert_eq!(bundle.next().await, days);
    }
    bundle.days(5).await;
    assert!(bundle.told.is_empty(), "each was told");
    // The same root at another place, and the same object listed anew.
    let renewed = root(45 + 5 + 10);
    bundle
        .news
        .send(map("2", &renewed))
        .await
        .expect("followed");
    assert_eq!(bundle.next().await, Some(14));
    bundle
        .news
        .send(map("2", &renewed))
        .await
        .expect("followed");
    bundle
        .news
        .send(map("3", &format!("\n{renewed}")))
        .await
        .expect("followed");
    bundle.days(4).await;
    assert_eq!(bundle.next().await, Some(7));
    assert!(bundle.told.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_hides_nothing_that_was() {
    let mut bundle = follow_from_now();
    bundle
        .news
        .send(map("1", &root(20)))
        .await
        .expect("followed");
    assert_eq!(bundle.next().await, Some(30));
    let known = bundle.shown.certificates();
    assert_eq!(
        known[0].path,
        "dapr-system/configmaps/dapr-trust-bundle/ca.crt"
    );
    bundle
        .news
        .send(map("2", "no certificate"))
        .await
        .expect("followed");
    bundle.days(7).await;
    assert_eq!(bundle.next().await, Some(14));
    assert_eq!(bundle.shown.certificates(), known);
    let gone = Change::Gone(Key::new("dapr-system", "dapr-trust-bundle"));
    bundle
        .news
        .send(BundleMap::news(gone))
        .await
        .expect("followed");
    bundle.days(7).await;
    assert!(bundle.told.is_empty() && bundle.shown.certificates().is_empty());
}

#[test]
fn what_names_a_bundle_and_what_does_not() {
    let named = |text: &str| text.parse().map(|name: TrustBundleName| name.to_string());
    let wanted = Ok("dapr-system/dapr-trust-bundle".to_owned());
    assert_eq!(named("dapr-system"), wanted);
    assert_eq!(named("a/b.c"), Ok("a/b.c".to_owned()));
    for bad in ["", "/", "a/", "/b", "A", "a/b/c", "a/B", &"a".repeat(64)] {
        let refused = named(bad).expect_err(bad);
        assert!(refused.contains("is not NAMESPACE"), "{refused}");
    }
}

/// An API server that answers with `status`, and keeps what it took.
#[derive(Clone)]
struct Server {
    status: Arc<Mutex<StatusCode>>,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Service<Request<Body>> for Server {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { status, taken } = self.clone();
        Box::pin(async move {
            let body = request.into_body().collect().await.expect("a body");
            let status = *status.lock();
            if status.is_success() {
                let event = serde_json::from_slice(&body.to_bytes()).expect("JSON");
                taken.lock().push(event);
            }
            let mut answer = Response::new(Full::new(Bytes::from("{}")));
            *answer.status_mut() = status;
            Ok(answer)
        })
    }
}

fn told(notice: Notice) -> Told {
    let certificate = TrustCertificate {
        role: TrustRole::Issuer,
        path: String::new(),
        subject: "CN=issuer".to_owned(),
        not_after: 1_893_542_400,
        fingerprint: "0123456789abcdef0".to_owned(),
        holder: Holder::Secret,
        uid: "u".to_owned(),
    };
    Told::new("dapr-system".parse().expect("a place"), certificate, notice)
}

/// Lets all that can happen now happen.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_holder_of_the_lease_writes_events_and_tries_until_it_has() {
    let within = |days| Notice::Within(std::cmp::Reverse(days));
    let server = Server {
        status: Arc::new(Mutex::new(StatusCode::CREATED)),
        taken: Arc::default(),
    };
    let (status, taken) = (server.status.clone(), server.taken.clone());
    let api = Api::new(Account::new(Client::new(server, "default"), None));
    let events = Arc::new(Events::new(api, "me".to_owned(), Arc::default()));
    let (tell, news) = mpsc::channel(8);
    let (hold, holds) = watch::channel(false);
    tokio::spawn(write(events, news, holds));
    // Of two, the more urgent; but not long after somebody else should have.
    for notice in [within(30), within(14)] {
        tell.send(told(notice)).await.expect("taken");
    }
    settle().await;
    assert!(taken.lock().is_empty(), "another one holds it");
    hold.send_replace(true);
    settle().await;
    let event = taken.lock().pop().expect("written");
    assert_eq!(
        event["metadata"]["name"],
        "dapr-trust-bundle.0123456789abcdef.14d"
    );
    assert_eq!(event["reason"], "CertificateExpiresSoon");
    assert_eq!(event["regarding"]["kind"], "Secret");
    let note = event["note"].as_str().expect("a note");
    assert!(note.starts_with("Dapr's issuer certificate (CN=issuer) expires in less than 14 days, at 2030-01-02T00:00:00Z."), "{note}");
    assert!(taken.lock().is_empty());

    // Failures are not the end.
    *status.lock() = StatusCode::INTERNAL_SERVER_ERROR;
    tell.send(told(within(7))).await.expect("taken");
    settle().await;
    *status.lock() = StatusCode::CREATED;
    advance(Duration::from_secs(11)).await;
    settle().await;
    let event = taken.lock().pop().expect("written in the end");
    assert_eq!(
        event["metadata"]["name"],
        "dapr-trust-bundle.0123456789abcdef.7d"
    );

    // What another one had much time to write is not ours.
    hold.send_replace(false);
    settle().await;
    tell.send(told(Notice::Expired)).await.expect("taken");
    settle().await;
    advance(Duration::from_secs(DAY)).await;
    hold.send_replace(true);
    settle().await;
    assert!(taken.lock().is_empty());
}
