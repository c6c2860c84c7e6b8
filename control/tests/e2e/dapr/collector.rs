//! A collector in front of Reveille, as users of OTLP have one.

use crate::ingest::post;
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How often it fetches pages.
const COLLECT_EACH: Duration = Duration::from_millis(500);

/// A collector: fetches the pages of all sidecars and sends them on over OTLP, under Dapr's own
/// names. It ends with the test.
pub(super) struct Collector {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    pub(super) fn start(targets: PathBuf, otlp: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let addresses = fs::read_to_string(&targets).unwrap_or_default();
                for address in addresses.lines() {
                    // It may be gone already.
                    let Ok(page) = page(address.parse().expect("an address")) else {
                        continue;
                    };
                    let answer = post(otlp, &otlp_json(address, &page));
                    assert_eq!((answer.status, &*answer.body), (200, "{}"));
                }
                thread::sleep(COLLECT_EACH);
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            thread::panicking() || matches!(ended, Some(Ok(()))),
            "the collector failed"
        );
    }
}

fn page(sidecar: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(sidecar)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: sidecar\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, page) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(page.to_owned())
}

/// The counters of a page as cumulative sums.
fn otlp_json(instance: &str, page: &str) -> String {
    let nanos = |seconds: f64| ((seconds * 1e9) as u64).to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = nanos(now.expect("after 1970").as_secs_f64());
    let started = page
        .lines()
        .find_map(|line| line.strip_prefix("process_start_time_seconds "));
    let started: f64 = started.and_then(|text| text.parse().ok()).expect("a start");
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let sums = page.lines().filter_map(|line| {
        let (row, value) = line.strip_prefix("dapr_")?.rsplit_once(' ')?;
        let (name, labels) = row.strip_suffix('}')?.split_once('{')?;
        // No value of these pages has a comma or a quotation mark in it.
        let labels = labels.split(',').filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some(text(key, value.trim_matches('"')))
        });
        Some(json!({
            "name": name,
            "sum": {"isMonotonic": true, "aggregationTemporality": 2, "dataPoints": [{
                "attributes": labels.collect::<Vec<Value>>(),
                "startTimeUnixNano": nanos(started),
                "timeUnixNano": now,
                "asDouble": value.parse::<f64>().expect("a number"),
            }]},
        }))
    });
    json!({"resourceMetrics": [{
        "resource": {"attributes": [text("service.instance.id", instance)]},
        "scopeMetrics": [{"metrics": sums.collect::<Vec<Value>>()}],
    }]})
    .to_string()
}
