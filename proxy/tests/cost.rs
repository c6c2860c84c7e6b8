//! What a warm request may cost: allocations.
//!
//! A binary of its own, because it counts every allocation of the process.
//! Client and endpoint are plain blocking sockets with buffers made before:
//! they allocate nothing, which is checked first, so that what is counted is
//! the proxy's, housekeeping included. Instructions are counted by
//! `.ci/instructions`, where a release build is.

use proxy::{
    Clock, DemandSink, EndpointSet, Proxy, ProxyConfig, TargetId,
    route::{Route, RouteSpec, RouteTable, Rule},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{
    alloc::System,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Most allocations of a warm keep-alive GET; the project's goal is 8.
const MOST_PER_REQUEST: f64 = 0.0;
/// What housekeeping may add, which grows with time and not with requests.
const HOUSEKEEPING: f64 = 0.02;

const ROUTES: usize = 1_000;
const WARM_UP: usize = 200;
const REQUESTS: usize = 2_000;
const BODY: usize = 1024;

/// What wrk, curl and most clients send.
const REQUEST: &[u8] = b"GET /a/path?query=1 HTTP/1.1\r\nHost: r500.localhost\r\n\
    User-Agent: cost/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n";

/// Nobody waits in this test.
struct NoSink;

impl DemandSink for NoSink {
    fn waiting(&self, target: &TargetId) {
        panic!("a request to {target} was held");
    }
    fn stirred(&self, _target: &TargetId, _at_us: u64) {}
}

#[test]
fn allocations_of_a_warm_request() {
    let endpoint = serve_endpoint();
    let (direct, _) = count(endpoint);
    assert_eq!(direct, 0.0, "client and endpoint must not allocate");

    let (proxy, address) = start_proxy(endpoint);
    let region = Region::new(COUNTED);
    let (allocations, bytes) = count(address);
    assert_ne!(
        region.change().allocations,
        0,
        "not even a new connection was counted"
    );
    drop(proxy);

    println!("{allocations:.2} allocations of {bytes:.0} bytes together per warm request");
    assert!(
        allocations <= MOST_PER_REQUEST + HOUSEKEEPING,
        "{allocations:.2} allocations per warm request, at most {MOST_PER_REQUEST} are allowed"
    );
}

/// One worker, everything as it is by default, the endpoint behind each of
/// many routes.
fn start_proxy(endpoint: SocketAddr) -> (Proxy, SocketAddr) {
    let proxy = Proxy::new(ProxyConfig::default(), Clock::start(), Arc::new(NoSink))
        .expect("a worker can be started");
    let endpoints = Arc::new(EndpointSet::new(vec![proxy.endpoint(endpoint, "endpoint")]));
    let spec = |n| {
        let target = proxy.target(TargetId::new("default", &format!("r{n}")));
        target.set_endpoints(endpoints.clone());
        RouteSpec {
            route: Arc::new(Route::new(target)),
            rules: vec![Rule {
                hosts: vec![format!("r{n}.localhost")],
                ..Rule::default()
            }],
            created: 0,
        }
    };
    proxy.set_routes(RouteTable::build((0..ROUTES).map(spec).collect()));
    let address = proxy
        .listen(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    (proxy, address)
}

/// Allocations (also those that grow one) and their bytes per request, of the
/// whole process, in the steady state of one connection.
fn count(address: SocketAddr) -> (f64, f64) {
    let mut client = Client::connect(address);
    (0..WARM_UP).for_each(|_| client.get());
    let region = Region::new(COUNTED);
    (0..REQUESTS).for_each(|_| client.get());
    let counted = region.change();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let per_request = |count: usize| count as f64 / REQUESTS as f64;
    (
        per_request(counted.allocations + counted.reallocations),
        per_request(counted.bytes_allocated),
    )
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a listener");
        stream.set_nodelay(true).expect("a TCP socket");
        Self {
            stream,
            buffer: vec![0; 16 * 1024],
        }
    }

    /// One request and its whole answer.
    fn get(&mut self) {
        self.stream.write_all(REQUEST).expect("it takes a request");
        let mut read = 0;
        let mut end = None;
        while end.is_none_or(|end| read < end) {
            let more = self.stream.read(&mut self.buffer[read..]);
            let more = more.expect("it answers");
            assert!(more > 0, "closed within an answer");
            read += more;
            end = end.or_else(|| find_end(&self.buffer[..read]).map(|head| head + BODY));
        }
        assert_eq!(end, Some(read), "more than an answer");
        assert!(self.buffer.starts_with(b"HTTP/1.1 200 "), "not 200");
    }
}

fn find_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// Answers each head with 200 and 1 KiB, connection by connection.
fn serve_endpoint() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\nContent-Type: text/plain\r\n\r\n");
    let answer: Arc<[u8]> = [head.as_bytes(), &[b'x'; BODY]].concat().into();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            thread::spawn(move || answer_all(&stream.expect("a connection"), &answer));
        }
    });
    address
}

fn answer_all(mut stream: &TcpStream, answer: &[u8]) {
    stream.set_nodelay(true).expect("a TCP socket");
    let mut buffer = vec![0; 16 * 1024];
    let mut read = 0;
    // Ends when the proxy or the client closes, in whatever way.
    while let Ok(more @ 1..) = stream.read(&mut buffer[read..]) {
        read += more;
        if find_end(&buffer[..read]) == Some(read) {
            read = 0;
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}
