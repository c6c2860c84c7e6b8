//! Sources and targets over real connections: each request waits for the test's
//! answer, so that nothing depends on how fast anything is.

use super::*;
use crate::series::{Labels, Limits, METRIC_NAME, MatchOp, Matcher, Points, Select, Selector};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// What the server does behind an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Keep,
    Close,
}

/// Serves whatever the test says.
struct Page {
    address: Address,
    requests: mpsc::UnboundedReceiver<Request>,
    _server: JoinSet<()>,
}

struct Request {
    head: String,
    /// Number of the connection, from 1.
    connection: usize,
    answer: oneshot::Sender<(Vec<u8>, Then)>,
}

impl Request {
    fn answer(self, bytes: impl Into<Vec<u8>>, then: Then) {
        let answer = (bytes.into(), then);
        self.answer.send(answer).expect("the client waits");
    }

    /// A page of text.
    fn page(self, body: &str) {
        self.answer(page(body), Then::Keep);
    }
}

fn page(body: &str) -> Vec<u8> {
    answer("200 OK", "content-type: text/plain\r\n", body.as_bytes())
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

impl Page {
    async fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let (asked, requests) = mpsc::unbounded_channel();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = connections.len() + 1;
                connections.spawn(connection(stream, number, asked.clone()));
            }
        });
        Self {
            address,
            requests,
            _server: server,
        }
    }

    async fn next(&mut self) -> Request {
        self.requests.recv().await.expect("the server runs")
    }

    fn source(&self) -> SourceConfig {
        SourceConfig {
            targets: TargetList::Addresses(vec![self.address.clone()]),
            path: "/metrics?x=1".to_owned(),
            tls: None,
            interval: Duration::from_millis(20),
            timeout: Duration::from_secs(60),
            labels: BTreeMap::new(),
            metrics: Arc::new(["c*".parse().unwrap(), "g".parse().unwrap()]),
        }
    }
}

/// One connection.
async fn connection(mut stream: TcpStream, number: usize, asked: mpsc::UnboundedSender<Request>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let (answer, told) = oneshot::channel();
        let request = Request {
            head: String::from_utf8(head).unwrap(),
            connection: number,
            answer,
        };
        let sent = asked.send(request);
        let told = tokio::select! {
            told = told => told,
            // It says nothing while it waits: it is gone.
            _ = stream.read_u8() => return,
        };
        let Ok((bytes, then)) = told else { return };
        let written = stream.write_all(&bytes).await;
        if sent.is_err() || written.is_err() || then == Then::Close {
            return;
        }
    }
}

struct Run {
    scraper: Arc<Scraper>,
    store: Arc<Store>,
    counters: Arc<IngestCounters>,
    mine: watch::Sender<Mine>,
    _task: JoinHandle<()>,
}

fn id(name: &str) -> SourceId {
    SourceId {
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }
}

impl Run {
    fn start() -> Self {
        let (store, counters) = (Arc::new(Store::new(Limits::default())), Arc::default());
        let limits = PageLimits::default();
        let scraper = Arc::new(Scraper::new(store.clone(), Arc::clone(&counters), limits));
        let (mine, is_mine) = watch::channel(Mine::default());
        let running = scraper.clone();
        let task = tokio::spawn(async move {
            running.run(is_mine, std::future::pending()).await;
        });
        Self {
            scraper,
            store,
            counters,
            mine,
            _task: task,
        }
    }

    fn sources(&self, sources: &[(&str, SourceConfig)]) {
        let sources = sources.iter();
        let sources = sources.map(|(name, config)| (id(name), config.clone()));
        self.scraper.set_sources(sources.collect());
    }

    /// Values of a metric in the order of time, `-` for an end.
    fn values(&self, name: &str) -> Vec<String> {
        let mut all = Vec::new();
        let mut found = |_: &Labels, points: Points<'_>| {
            all.extend(points.iter().map(|point| {
                let value = point.value.to_string();
                let value = if point.is_stale() {
                    "-".to_owned()
                } else {
                    value
                };
                (point.at_ms, value)
            }));
        };
        self.store.select(&[named(name)], 0, i64::MAX, &mut found);
        all.sort_by_key(|(at_ms, _)| *at_ms);
        all.into_iter().map(|(_, value)| value).collect()
    }

    fn registered(&self, name: &str) -> crate::series::Registration {
        self.store.register(&[Selector {
            matchers: vec![named(name)],
            back: Duration::from_secs(60),
        }])
    }

    /// The last try of the only target of the only source.
    fn last(&self) -> crate::ingest::prometheus::LastScrape {
        let read = self.scraper.read();
        read[0].targets[0].last.clone().expect("it was tried")
    }
}

fn named(name: &str) -> Matcher {
    Matcher::new(METRIC_NAME, MatchOp::Equal, name).unwrap()
}

#[tokio::test]
async fn the_first_call_to_a_fresh_sidecar_is_growth() {
    let run = Run::start();
    let mut sidecar = Page::serve().await;
    run.sources(&[("sidecars", sidecar.source())]);
    let first = sidecar.next().await;
    for wanted in [
        "GET /metrics?x=1 HTTP/1.1\r\n",
        &format!("host: {}\r\n", sidecar.address),
        "accept: application/openmetrics-text;version=1.0.0,",
        "accept-encoding: gzip\r\n",
    ] {
        assert!(first.head.contains(wanted), "{}", first.head);
    }
    first.page("# TYPE up gauge\nup 1\n");
    sidecar
        .next()
        .await
        .page("# TYPE c_total counter\nc_total{app=\"a\"} 1\n");
    let third = sidecar.next().await;
    assert_eq!(run.values("c_total"), ["0", "1"]);
    assert_eq!(third.connection, 1, "the connection is used again");
    let last = run.last();
    assert_eq!((last.samples, last.dropped, last.error), (1, 0, None));
    assert!(run.counters.last_arrival_ms().is_some());
    let reading = &run.scraper.read()[0];
    assert_eq!((reading.pages, reading.failures), (2, 0));
    assert_eq!(reading.targets[0].labels["job"], "sidecars");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    let run = Run::start();
    let mut target = Page::serve().await;
    run.sources(&[("s", target.source())]);
    target.next().await.page("g 1\n");
    // Closed before the answer, as if it had been idle for too long.
    target.next().await.answer(Vec::new(), Then::Close);
    let again = target.next().await;
    assert_eq!(again.connection, 2);
    again.page("g 2\n");
    target.next().await;
    assert_eq!(run.values("g"), ["1", "2"]);
    assert_eq!(run.scraper.read()[0].failures, 0);
}

#[tokio::test]
async fn a_target_that_fails_ends_its_series_at_once() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"g 7\n").unwrap();
    let packed = packed.finish().unwrap();
    let gzip = "content-type: text/plain\r\ncontent-encoding: gzip\r\n";
    let openmetrics = "content-type: application/openmetrics-text\r\n";
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ng 9\n".to_vec();
    for (bytes, error) in [
        (answer("503 Service Unavailable", "", b"no"), "answered 503"),
        (
            answer("302 Found", "location: /x\r\n", b""),
            "set spec.path",
        ),
        (answer("404 Not Found", "", b""), "is spec.path right?"),
        (
            answer("200 OK", "content-type: text/html\r\n", b"<p>"),
            "no text format",
        ),
        (
            answer("200 OK", "content-encoding: br\r\n", b"x"),
            "content-encoding \"br\"",
        ),
        (answer("200 OK", gzip, b"g 1\n"), "damaged"),
        (answer("200 OK", openmetrics, b"g 1\n"), "no # EOF"),
        (cut, "broke"),
        (b"not HTTP at all\r\n\r\n".to_vec(), "broke"),
    ] {
        let run = Run::start();
        let mut target = Page::serve().await;
        run.sources(&[("s", target.source())]);
        target.next().await.page("g 1\n");
        target.next().await.answer(bytes, Then::Close);
        let next = target.next().await;
        let told = run.last().error.expect("it failed");
        assert!(told.contains(error), "{told}");
        next.answer(answer("200 OK", gzip, &packed), Then::Keep);
        let _next = target.next().await;
        assert_eq!(run.values("g"), ["1", "-", "7"], "{error}");
    }
}

#[tokio::test]
async fn what_failed_is_told() {
    let run = Run::start();
    let mut target = Page::serve().await;
    run.sources(&[("s", target.source())]);
    let oh = answer("500 Oh", "", b"");
    target.next().await.answer(oh, Then::Keep);
    target.next().await.page("g 1\ng x\n");
    let _third = target.next().await;
    let last = run.last();
    assert_eq!((last.samples, last.dropped), (1, 1));
    assert!(
        last.problems.contains("\"g\" (syntax)"),
        "{}",
        last.problems
    );
    let reading = &run.scraper.read()[0];
    assert_eq!((reading.pages, reading.failures), (1, 1));
}

#[tokio::test]
async fn a_target_that_hangs_is_given_up() {
    let run = Run::start();
    let mut target = Page::serve().await;
    let source = SourceConfig {
        timeout: Duration::from_millis(30),
        ..target.source()
    };
    run.sources(&[("s", source)]);
    let held = target.next().await;
    let again = target.next().await;
    assert_eq!(again.connection, 2, "the first connection was given up");
    let error = run.last().error.expect("it failed");
    assert!(error.contains("no whole answer within 30ms"), "{error}");
    drop(held);
}

#[tokio::test]
async fn a_source_that_goes_ends_its_series_and_one_that_changes_does_not() {
    let run = Run::start();
    let mut target = Page::serve().await;
    let mut arrivals = run.registered("g");
    run.sources(&[("s", target.source())]);
    target.next().await.page("g 1\n");
    target.next().await.page("g 2\n");
    let pending = target.next().await;
    let faster = SourceConfig {
        interval: Duration::from_millis(10),
        ..target.source()
    };
    run.sources(&[("s", faster)]);
    drop(pending);
    target.next().await.page("g 3\n");
    let pending = target.next().await;
    assert_eq!(run.values("g"), ["1", "2", "3"]);
    arrivals.arrived().await;
    run.sources(&[]);
    arrivals.arrived().await;
    assert_eq!(run.values("g"), ["1", "2", "3", "-"]);
    assert!(run.scraper.read().is_empty());
    drop(pending);
}

#[tokio::test]
async fn targets_that_come_and_go_leave_those_that_stay_alone() {
    let run = Run::start();
    let (mut stays, mut comes) = (Page::serve().await, Page::serve().await);
    let found = |pages: &[(&Page, &str)]| {
        let target = |(page, pod): &(&Page, &str)| FoundTarget {
            address: page.address.clone(),
            labels: [("pod".to_owned(), (*pod).to_owned())].into(),
        };
        TargetList::Found(pages.iter().map(target).collect())
    };
    let source = |targets| SourceConfig {
        targets,
        ..stays.source()
    };
    let alone = source(found(&[(&stays, "a")]));
    let both = source(found(&[(&stays, "a"), (&comes, "b")]));
    let mut arrivals = run.registered("g");
    run.sources(&[("s", alone.clone())]);
    let pending = stays.next().await;
    run.sources(&[("s", both)]);
    // It is fetched by now: the change was taken in.
    comes.next().await.page("g 7\n");
    let _next = comes.next().await;
    pending.page("g 1\n");
    assert_eq!(stays.next().await.connection, 1);
    let reading = run.scraper.read();
    let pods = reading[0]
        .targets
        .iter()
        .map(|target| &*target.labels["pod"]);
    assert!(pods.eq(["a", "b"]));
    let mut values = run.values("g");
    values.sort();
    assert_eq!(values, ["1", "7"]);
    run.sources(&[("s", alone)]);
    while !run.values("g").contains(&"-".to_owned()) {
        arrivals.arrived().await;
    }
    assert_eq!(run.scraper.read()[0].targets.len(), 1);
}

#[tokio::test]
async fn a_target_of_another_replica_is_let_go_without_an_end() {
    let run = Run::start();
    let mut target = Page::serve().await;
    run.sources(&[("s", target.source())]);
    target.next().await.page("# TYPE c counter\nc 5\n");
    let pending = target.next().await;
    let key = format!("default/s {}", target.address);
    run.mine.send_replace(Mine::new(move |asked| asked != key));
    let mut answer = pending.answer;
    // The request was given up.
    answer.closed().await;
    assert_eq!(run.values("c"), ["5"]);
    assert!(run.scraper.read()[0].targets[0].is_elsewhere);
    // It comes back: what grew elsewhere meanwhile is no growth here.
    run.mine.send_replace(Mine::default());
    target.next().await.page("# TYPE c counter\nc 9\n");
    let _next = target.next().await;
    assert_eq!(run.values("c"), ["5", "9"]);
}

#[tokio::test]
async fn a_file_of_targets_is_followed() {
    let run = Run::start();
    let (mut one, mut other) = (Page::serve().await, Page::serve().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("targets");
    std::fs::write(&file, format!("{} app=a\n", one.address)).unwrap();
    let source = SourceConfig {
        targets: TargetList::File(file.clone()),
        ..one.source()
    };
    let mut arrivals = run.registered("g");
    run.sources(&[("s", source)]);
    one.next().await.page("g 1\n");
    let pending = one.next().await;
    arrivals.arrived().await;
    assert_eq!(run.scraper.read()[0].targets[0].labels["app"], "a");
    // A file that is wrong changes nothing.
    std::fs::write(&file, "x\n").unwrap();
    pending.page("g 2\n");
    loop {
        one.next().await.page("g 2\n");
        let problem = run.scraper.read()[0].problem.clone();
        if problem.is_some_and(|problem| problem.contains("line 1: \"x\" is not an address")) {
            break;
        }
    }
    // Another target: the first one's series end.
    std::fs::write(&file, format!("{}\n", other.address)).unwrap();
    let answering = tokio::spawn(async move {
        while let Some(request) = one.requests.recv().await {
            // It may be given up just now.
            let _sent = request.answer.send((page("g 2\n"), Then::Keep));
        }
    });
    let _asked = other.next().await;
    while run.values("g").last().map(String::as_str) != Some("-") {
        arrivals.arrived().await;
    }
    assert_eq!(run.scraper.read()[0].targets.len(), 1);
    answering.abort();
}

#[tokio::test]
async fn two_targets_of_the_same_labels_are_one_and_a_problem() {
    let run = Run::start();
    let mut target = Page::serve().await;
    let named = SourceConfig {
        labels: [("job".to_owned(), "a".to_owned())].into(),
        ..target.source()
    };
    run.sources(&[("a", target.source()), ("b", named)]);
    target.next().await.page("g 1\n");
    target.next().await.page("g 2\n");
    let next = target.next().await;
    assert_eq!(next.connection, 1);
    let reading = run.scraper.read();
    assert_eq!(reading[0].targets.len(), 1);
    let problem = reading[1].problem.as_deref().expect("a problem");
    assert!(problem.contains("another job in spec.labels"), "{problem}");
}
