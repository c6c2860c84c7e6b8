//! Clients that nobody here wrote, for one address: gRPC's own library and
//! Python's `websockets`.

use crate::real_clients::{python, run};
use std::{net::SocketAddr, process::Command};

/// `unary` and `count` call the service of the cluster's containers.
const GRPC: &str = r#"
import grpc, os, sys
channel = grpc.insecure_channel(sys.argv[1], [("grpc.default_authority", sys.argv[2])])
unary = channel.unary_unary("/test.Service/Unary")
count = channel.unary_stream("/test.Service/Count")
def meta(data):
    return dict(data)
"#;

/// `connect` begins a conversation.
const WEBSOCKET: &str = r#"
import os, socket, sys, websockets.sync.client
def connect():
    host, port = sys.argv[1].rsplit(":", 1)
    sock = socket.create_connection((host, int(port)))
    url = f"ws://{sys.argv[2]}/room"
    return websockets.sync.client.connect(url, sock=sock, open_timeout=60, close_timeout=60)
"#;

/// Runs a script after that beginning; gives the lines that it writes.
pub(super) fn grpc(addr: SocketAddr, host: &str, script: &str, args: &[&str]) -> Vec<String> {
    run_script(&format!("{GRPC}{script}"), addr, host, args)
}

/// The same.
pub(super) fn websocket(addr: SocketAddr, host: &str, script: &str, args: &[&str]) -> Vec<String> {
    run_script(&format!("{WEBSOCKET}{script}"), addr, host, args)
}

fn run_script(script: &str, addr: SocketAddr, host: &str, args: &[&str]) -> Vec<String> {
    let mut command = Command::new(python());
    command
        .args(["-B", "-c", script])
        .args([&addr.to_string(), host])
        .args(args);
    let text = String::from_utf8(run(&mut command).stdout).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}
