//! Pages of Python's `prometheus_client`: what an application really exposes,
//! in both formats.

use super::python;
use crate::{
    query::query,
    support::{Reveille, Target, wait_until},
};
use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Counts a call for each line that it reads.
const APP: &str = r#"
import sys
from prometheus_client import Counter, Gauge, Histogram, Info, Summary, start_http_server
server, thread = start_http_server(0, addr="127.0.0.1")
calls = Counter("calls", "Calls, \"all\" of\nthem", ["app", "path"])
depth = Gauge("depth", "Of the queue")
took = Histogram("took_seconds", "How long", buckets=[0.1, 1])
size = Summary("size_bytes", "How much")
Info("build", "What").info({"version": "1"})
print(server.server_port, flush=True)
for line in sys.stdin:
    calls.labels("a", 'C:\\x\n"y"').inc(exemplar={"trace_id": "abc"})
    depth.set(-2.5)
    took.observe(0.5)
    size.observe(7)
    print("done", flush=True)
"#;

struct App {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl App {
    fn start() -> Self {
        let mut child = Command::new(python())
            .args(["-B", "-c", APP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = child.stdout.take().expect("piped");
        let mut output = BufReader::new(output).lines();
        let port = output.next().expect("a line").expect("UTF-8");
        Self {
            input: child.stdin.take().expect("piped"),
            port: port.parse().expect("a port"),
            child,
            output,
        }
    }

    fn call(&mut self) {
        writeln!(self.input, "call").expect("it reads");
        let done = self.output.next().expect("a line").expect("UTF-8");
        assert_eq!(done, "done");
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[test]
fn what_an_application_exposes_is_stored_and_its_first_call_is_growth() {
    let mut app = App::start();
    let source = format!(
        "---\napiVersion: local.reveille.dev/v1alpha1\nkind: MetricSource\n\
         metadata: {{name: app}}\nspec: {{addresses: ['127.0.0.1:{}'], interval: 100ms, \
         metrics: ['calls*', depth, 'took_*', 'size_*', build_info]}}\n",
        app.port
    );
    let reveille = Reveille::of(format!("{}{source}", Target::hello())).start();
    let sources = || reveille.ask("/api/v1/sources").body;
    wait_until("a page is read", || sources().contains(r#""state":"up""#));
    app.call();
    let series = |name: &str| {
        let path = format!("/api/v1/series?name={name}");
        reveille.ask(&path).body
    };
    wait_until("the call is counted", || {
        series("calls_total").contains(r#""value":"1""#)
    });
    for (name, value) in [
        ("depth", r#""value":"-2.5""#),
        ("took_seconds_sum", r#""value":"0.5""#),
        ("took_seconds_count", r#""value":"1""#),
        ("took_seconds_bucket", r#""le":"1.0""#),
        ("size_bytes_sum", r#""value":"7""#),
        ("build_info", r#""version":"1""#),
        ("calls_total", r#""path":"C:\\x\n\"y\"""#),
        ("calls_total", r#""job":"app""#),
    ] {
        let listed = series(name);
        assert!(listed.contains(value), "{name}: {value}: {listed}");
    }
    // Nothing of a page is thrown away.
    assert!(sources().contains(r#""dropped":0"#), "{}", sources());
    let grown = query(&reveille, &["sum(increase(calls_total[1m])) >= bool 1"]);
    let value = String::from_utf8_lossy(&grown.stdout);
    assert!(value.starts_with("1\n"), "{grown:?}");
    reveille.stop();
}
