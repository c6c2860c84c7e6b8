//! What a Process manifest says about its processes is what happens.

use crate::support::{Reveille, Target, wait_until};
use std::fs;

#[test]
fn port_variables_folder_and_placeholder_reach_the_process() {
    // Writes down what it got, and serves.
    let script = "import os, sys, server; \
        open('../seen', 'w').write(' '.join([os.environ['PORT'], sys.argv[1], \
        os.environ['GREETING'], os.environ['PATH'] and 'path', os.path.basename(os.getcwd())])); \
        server.serve()";
    let target = Target::new(
        "web",
        &format!("[python3, -B, -c, \"{script}\", 'at-{{port}}-{{port}}']"),
    )
    .process("env: {GREETING: 'good {port}', PORT: '1', PYTHONPATH: '..'}")
    .process("workingDir: inner/");
    let starter = Reveille::of(target);
    let reveille = starter.folder("inner").start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    let address = reveille.target("web").endpoints[0].address.clone();
    let port = address.strip_prefix("127.0.0.1:").expect("loopback");
    let seen = fs::read_to_string(reveille.path("seen")).expect("written");
    assert_eq!(
        seen,
        format!("{port} at-{port}-{port} good {{port}} path inner")
    );
}

#[test]
fn http_readiness_waits_for_a_good_status() {
    // Accepts connections at once; its /healthz is 503 until `healthy` is there.
    let script = "
import os, http.server
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        good = self.path != '/healthz?full=1' or os.path.exists('healthy')
        open('asked', 'a').write(self.path + chr(10))
        self.send_response(200 if good else 503)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Answer).serve_forever()
";
    let target = Target::new("web", "[python3, -B, healthz.py]")
        .process("readiness: {httpGet: {path: '/healthz?full=1'}}");
    let reveille = Reveille::of(target).file("healthz.py", script).start();
    let mut held = reveille.client("web").begin("GET", "/real");
    wait_until("it was asked three times", || {
        reveille.lines("asked").len() >= 3
    });
    let now = reveille.target("web");
    assert_eq!(
        (now.state.as_str(), now.held, now.replicas()),
        ("waking", 1, (1, 0))
    );
    reveille.touch("healthy");
    assert_eq!(held.answer().status, 200);
    let asked = reveille.lines("asked");
    let (last, probes) = asked.split_last().expect("asked");
    assert_eq!(last, "/real");
    assert!(probes.iter().all(|path| path == "/healthz?full=1"));
}

#[test]
fn what_replicas_say_is_logged_with_their_names() {
    let script = "import sys, os, server; print('out of', os.getpid(), flush=True); \
        print('err of', os.getpid(), file=sys.stderr, flush=True); server.serve()";
    let target = Target::new("web", &format!("[python3, -B, -c, \"{script}\"]"))
        .scaled("minReplicaCount: 2");
    let reveille = Reveille::of(target).start();
    let processes = reveille.until_workloads(2);
    let mut replicas = Vec::new();
    for process in processes {
        let out = reveille.until_logged(&format!("out of {}", process.pid));
        let err = reveille.until_logged(&format!("err of {}", process.pid));
        let name = |line: &str| {
            let (_, rest) = line.split_once("replica=").expect("a name");
            rest.trim_end().to_owned()
        };
        assert_eq!(name(&out), name(&err));
        replicas.push(name(&out));
    }
    replicas.sort();
    assert_eq!(replicas, ["default/web-0", "default/web-1"]);
}

#[test]
fn replicas_have_process_groups_of_their_own_so_that_ctrl_c_is_ours() {
    let reveille = Reveille::of(Target::python().scaled("minReplicaCount: 1")).start();
    reveille.until_warm("web");
    let process = reveille.until_workloads(1).remove(0);
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).expect("it lives");
    let after_name = stat.rsplit_once(") ").expect("a name").1;
    let group = after_name.split(' ').nth(2).expect("a group");
    assert_eq!(group, process.pid.to_string());
}
