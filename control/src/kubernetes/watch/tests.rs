//! What takes time: silence, and pauses between tries. The rest is shown on a
//! real connection, in `tests/e2e`.

use super::*;
use crate::kubernetes::{account::Account, news::News, service::ServiceObject};
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use kube::{Client, client::Body};
use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};
use tonic::codegen::Service;

/// Answers lists with nothing in them, and watches with silence; or everything
/// with a failure.
#[derive(Clone)]
struct Double {
    asked: mpsc::UnboundedSender<(String, Instant)>,
    status: StatusCode,
}

impl Service<Request<Body>> for Double {
    type Response = Response<UnsyncBoxBody<Bytes, Infallible>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_watch = query.contains("watch=true");
        self.asked
            .send((query, Instant::now()))
            .expect("the test listens");
        let body = if is_watch {
            StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>()).boxed_unsync()
        } else {
            let list = r#"{"metadata": {"resourceVersion": "7"}, "items": []}"#;
            Full::new(Bytes::from(list)).boxed_unsync()
        };
        let mut answer = Response::new(body);
        *answer.status_mut() = self.status;
        ready(Ok(answer))
    }
}

/// A watch, and what it asks for.
fn watch(
    status: StatusCode,
) -> (
    mpsc::UnboundedReceiver<(String, Instant)>,
    mpsc::Receiver<News>,
    Arc<Contact>,
) {
    let (asked, questions) = mpsc::unbounded_channel();
    let (sender, news) = mpsc::channel(16);
    let contact = Arc::new(Contact::new([(ServiceObject::KIND, None)]));
    let watch = Watch {
        api: Api::new(Account::new(
            Client::new(Double { asked, status }, "default"),
            None,
        )),
        scope: None,
        labels: None,
        news: sender,
        contact: contact.clone(),
    };
    tokio::spawn(watch.run::<ServiceObject>());
    (questions, news, contact)
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_says_nothing_is_opened_anew_within_thirty_seconds() {
    let (mut questions, mut news, contact) = watch(StatusCode::OK);
    let (list, _) = questions.recv().await.expect("a list");
    assert!(list.contains("limit=500"), "{list}");
    assert!(matches!(
        news.recv().await,
        Some(News::Services(Change::All(None, _)))
    ));
    let (first, opened) = questions.recv().await.expect("a watch");
    assert!(first.contains("resourceVersion=7"), "{first}");
    assert!(first.contains("timeoutSeconds=20"), "{first}");
    assert!(contact.is_synced_all());
    let (again, reopened) = questions.recv().await.expect("another watch");
    assert!(again.contains("resourceVersion=7"), "{again}");
    let silent = reopened - opened;
    assert!(
        silent >= SILENT_AFTER && silent < Duration::from_secs(30),
        "{silent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_a_bound() {
    let (mut questions, _news, contact) = watch(StatusCode::INTERNAL_SERVER_ERROR);
    let mut times = Vec::new();
    for _ in 0..20 {
        times.push(questions.recv().await.expect("a try").1);
    }
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] <= FIRST_PAUSE, "{pauses:?}");
    assert!(
        pauses.iter().all(|pause| *pause <= LONGEST_PAUSE),
        "{pauses:?}"
    );
    assert!(pauses[18] >= LONGEST_PAUSE / 2, "{pauses:?}");
    assert!(!contact.is_synced_all());
    assert!(contact.view()[0].failures["refused"] >= 19);
}
