//! gRPC's own library (grpcio), on both sides.

use super::{python, run_python, run_python_at};
use crate::support::{Envoy, Reveille, Starter, Target};

const SERVER: &str = r#"
import grpc, os, time
from concurrent import futures
def unary(request, context):
    context.set_trailing_metadata((("x-end", "1"),))
    if request == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not so")
    if request == b"left":
        return str(context.time_remaining()).encode()
    return b"got " + request
def client_stream(requests, context):
    return b"+".join(requests)
def server_stream(request, context):
    for number in range(int(request)):
        yield str(number).encode()
def both(requests, context):
    for request in requests:
        yield b"echo " + request
def slow(request, context):
    yield b"first"
    time.sleep(20)
grpc_server = grpc.server(futures.ThreadPoolExecutor(8))
grpc_server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "Both": grpc.stream_stream_rpc_method_handler(both),
    "Slow": grpc.unary_stream_rpc_method_handler(slow),
}),))
grpc_server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
grpc_server.start()
grpc_server.wait_for_termination()
"#;

const CLIENT: &str = r#"
import grpc, queue, sys
def channel(host="web.test"):
    options = [("grpc.default_authority", host), ("grpc.enable_retries", 0)]
    return grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}", options)
def method(kind, name, host="web.test"):
    return getattr(channel(host), kind)("/test.Service/" + name)
def error(call):
    try:
        return call()
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
"#;

/// The server twice: as `web`, and with a time limit as `short`.
fn started() -> Reveille {
    starter().start()
}

fn starter() -> Starter {
    let command = format!("[{:?}, -B, server.py]", python());
    let target = |name| Target::new(name, &command).process("appProtocol: kubernetes.io/h2c");
    let short = target("short").route("timeouts: {request: 1s}");
    let both = format!("{}{short}", target("web"));
    Reveille::of(both).file("server.py", SERVER)
}

fn client(reveille: &Reveille, script: &str) -> Vec<String> {
    run_python(reveille, &format!("{CLIENT}{script}"), &[])
}

#[test]
fn calls_of_all_kinds_pass_and_the_first_wakes_the_target() {
    let reveille = started();
    assert!(reveille.target("web").is_asleep());
    let heard = client(
        &reveille,
        r#"
unary = method("unary_unary", "Unary")
answer, call = unary.with_call(b"hello", timeout=60)
print(answer.decode(), call.code().name, dict(call.trailing_metadata())["x-end"])
print(dict(call.initial_metadata())["x-keda-http-cold-start"])
print(error(lambda: unary(b"fail")))
print(len(unary(b"x" * 3_000_000)))
print(method("stream_unary", "ClientStream")(iter([b"a", b"b", b"c"])).decode())
print([answer.decode() for answer in method("unary_stream", "ServerStream")(b"4")])
# Each answer before the next request.
asked = queue.Queue()
answers = method("stream_stream", "Both")(iter(asked.get, None))
for word in [b"one", b"two"]:
    asked.put(word)
    print(next(answers).decode())
asked.put(None)
print(list(answers), answers.code().name)
print(error(lambda: method("unary_unary", "Nothing")(b"")))
"#,
    );
    assert_eq!(
        heard,
        [
            "got hello OK 1",
            "true",
            "FAILED_PRECONDITION: not so",
            "3000004",
            "a+b+c",
            "['0', '1', '2', '3']",
            "echo one",
            "echo two",
            "[] OK",
            "UNIMPLEMENTED: Method not found!",
        ]
    );
    reveille.stop();
}

#[test]
fn beside_envoy_the_first_stream_is_held_and_the_next_goes_straight() {
    let reveille = starter()
        .arg("--xds-addr", "127.0.0.1:0")
        .arg("--xds-listener", "127.0.0.1:0")
        .start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let heard = run_python_at(
        envoy.listener(),
        &format!(
            "{CLIENT}{}",
            r#"
both = method("stream_stream", "Both")
cold = both(iter([b"one", b"two"]), timeout=60)
print(dict(cold.initial_metadata())["x-keda-http-cold-start"], [a.decode() for a in cold])
while True:
    warm = both(iter([b"one", b"two"]), timeout=60)
    if "x-keda-http-cold-start" not in dict(warm.initial_metadata()):
        break
print([a.decode() for a in warm], warm.code().name)
print(error(lambda: method("unary_unary", "Unary")(b"fail")))
"#
        ),
        &[],
    );
    assert_eq!(
        heard,
        [
            "true ['echo one', 'echo two']",
            "['echo one', 'echo two'] OK",
            "FAILED_PRECONDITION: not so",
        ]
    );
}

#[test]
fn deadlines_are_kept_on_the_way() {
    let reveille = started();
    let heard = client(
        &reveille,
        r#"
# The first one is held, which the server is told of.
left = float(method("unary_unary", "Unary")(b"left", timeout=30))
print(left < 29.99, left)
# Shorter than the route's: the client's own.
print(error(lambda: list(method("unary_stream", "Slow")(b"", timeout=0.3))))
# The route's ends it in the middle, and the client learns why.
while "DEADLINE" in str(error(lambda: method("unary_unary", "Unary", "short.test")(b""))):
    pass
heard = []
def slow():
    for answer in method("unary_stream", "Slow", "short.test")(b"", timeout=30):
        heard.append(answer)
print(error(slow), heard)
"#,
    );
    assert!(heard[0].starts_with("True "), "{heard:?}");
    // In the words of whoever was first.
    assert!(heard[1].starts_with("DEADLINE_EXCEEDED: "), "{heard:?}");
    assert_eq!(
        heard[2],
        "DEADLINE_EXCEEDED: the deadline passed during the answer [b'first']"
    );
    reveille.stop();
}

#[test]
fn refusals_have_a_status() {
    let target = Target::new("web", "[sleep, '1000']")
        .process("appProtocol: grpc")
        .route("timeouts: {readiness: 200ms}");
    let failing = Target::new("bad", "[sh, -c, exit 1]").process("appProtocol: grpc");
    let reveille = Reveille::of(format!("{target}{failing}")).start();
    let heard = client(
        &reveille,
        r#"
print(error(lambda: method("unary_unary", "Unary", "nobody.test")(b"")))
print(error(lambda: method("unary_unary", "Unary", "web.test")(b"", timeout=30)))
print(error(lambda: method("unary_unary", "Unary", "bad.test")(b"", timeout=30)))
"#,
    );
    assert_eq!(heard[0], "UNIMPLEMENTED: Not Found");
    assert_eq!(heard[1], "DEADLINE_EXCEEDED: Gateway Timeout");
    assert!(heard[2].starts_with("UNAVAILABLE: "), "{heard:?}");
    reveille.stop();
}
