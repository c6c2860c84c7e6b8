//! What the two streams of a ScaledObject cost, with 1,000 of them on one
//! connection: bytes that are allocated while nothing happens. Allocators take
//! a little more; `loadtests keda-scale` tells how much.
//!
//! The client writes its frames by hand and reads them into one buffer, so that
//! nearly all of what is counted is the server's.

use prost::Message;
use proxy::{Clock, TargetId, Totals};
use scaler::{
    DemandSource, Ledger, LedgerConfig, TargetEntry, TargetScaling,
    externalscaler::ScaledObjectRef,
    keda::{self, KedaMetrics},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{
    alloc::System,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const OBJECTS: usize = 1_000;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A target of which nothing is asked.
struct Asleep(Clock);

impl DemandSource for Asleep {
    fn totals(&self) -> Totals {
        Totals::from_parts(self.0.now_us(), 0, 0, 0)
    }
    fn held(&self) -> u64 {
        0
    }
    fn ready_endpoints(&self) -> usize {
        0
    }
}

/// A frame of RFC 9113, section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header without a place in any table (RFC 7541, section 6.2.2).
fn header(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        block.push(u8::try_from(text.len()).expect("short"));
        block.extend(text.as_bytes());
    }
}

/// The frames with which KEDA opens a stream.
fn open(stream: u32, method: &str, object: &str) -> Vec<u8> {
    let mut head = vec![0x83, 0x86]; // POST, http
    header(
        &mut head,
        ":path",
        &format!("/externalscaler.ExternalScaler/{method}"),
    );
    header(&mut head, ":authority", "reveille.keda:9090");
    header(&mut head, "content-type", "application/grpc");
    header(&mut head, "user-agent", "grpc-go/1.83.0");
    header(&mut head, "te", "trailers");
    let pairs = [
        ("scalerAddress", "reveille.keda:9090"),
        ("interceptorRoute", object),
    ];
    let reference = ScaledObjectRef {
        name: object.to_owned(),
        namespace: "ns".to_owned(),
        scaler_metadata: pairs.map(|(key, value)| (key.into(), value.into())).into(),
    };
    let reference = reference.encode_to_vec();
    let mut message = vec![0];
    message.extend(u32::try_from(reference.len()).expect("short").to_be_bytes());
    message.extend(reference);
    let mut frames = frame(HEADERS, END_HEADERS, stream, &head);
    frames.extend(frame(DATA, END_STREAM, stream, &message));
    frames
}

/// Reads until so many messages have come.
fn read_messages(connection: &mut TcpStream, mut messages: usize) {
    let mut payload = vec![0; 1 << 14];
    while messages > 0 {
        let mut head = [0; 9];
        connection.read_exact(&mut head).expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let payload = &mut payload[..length as usize];
        connection.read_exact(payload).expect("its payload");
        messages -= usize::from(head[3] == DATA);
    }
}

#[test]
fn two_streams_and_what_was_told_on_them_take_less_than_3072_bytes() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let clock = Clock::start();
    let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
    let names: Vec<String> = (0..OBJECTS).map(|n| format!("route-{n:04}")).collect();
    let entry = |name: &String| TargetEntry {
        id: TargetId::new("ns", name),
        source: Arc::new(Asleep(clock)),
        scaling: TargetScaling::default(),
    };
    ledger.set_targets(names.iter().map(entry).collect());
    let metrics = Arc::new(KedaMetrics::default());
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut connection = TcpStream::connect(address).expect("listening");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let serving = keda::serve(
        listener,
        Arc::clone(&ledger),
        Arc::clone(&metrics),
        shutdown,
    );
    let server = std::thread::spawn(move || runtime.block_on(serving));

    connection
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .expect("open");
    connection
        .write_all(&frame(SETTINGS, 0, 0, &[]))
        .expect("open");
    let mut stream = 1;
    let mut open_all = |connection: &mut TcpStream, names: &[String]| {
        for name in names {
            for method in ["StreamIsActive", "StreamMetricSpec"] {
                let frames = open(stream, method, name);
                connection.write_all(&frames).expect("open");
                stream += 2;
            }
            read_messages(connection, 2);
        }
    };
    // What a connection costs by itself is not meant.
    open_all(&mut connection, &names[..1]);
    let region = Region::new(ALLOCATOR);
    open_all(&mut connection, &names[1..]);
    let change = region.change();
    let open = metrics.snapshot().open_streams;
    assert_eq!((open.activity, open.specs), (1_000, 1_000));
    let taken = change.bytes_allocated - change.bytes_deallocated;
    let each = taken / (OBJECTS - 1);
    println!("{each} bytes for the two streams of an object");
    assert!(each < 3072, "{each} bytes for the two streams of an object");

    stop.send(()).expect("it serves");
    drop(connection);
    server.join().expect("no panic").expect("served");
}
