//! Python's `websockets`, on both sides.

use super::{python, run_python};
use crate::support::{Reveille, Target};

const SERVER: &str = r#"
import os, websockets.sync.server
def talk(connection):
    connection.send(f"hello {connection.request.path} {connection.request.headers['Host']}")
    for message in connection:
        connection.send(message)
serve = websockets.sync.server.serve
with serve(talk, "127.0.0.1", int(os.environ["PORT"]), subprotocols=["chat"], max_size=None) as server:
    server.serve_forever()
"#;

/// Says what it hears. The second argument names a file that ends it.
const CLIENT: &str = r#"
import os, socket, sys, time, websockets.sync.client
port, until = int(sys.argv[1]), sys.argv[2]
sock = socket.create_connection(("127.0.0.1", port))
with websockets.sync.client.connect("ws://web.test/room", sock=sock, subprotocols=["chat"], max_size=None) as connection:
    headers = connection.response.headers
    print(connection.recv(), connection.subprotocol, headers["X-KEDA-HTTP-Cold-Start"])
    connection.send("text")
    print(connection.recv())
    much = os.urandom(3_000_000)
    connection.send(much)
    print(connection.recv() == much)
    connection.ping().wait(10)
    open(until + ".open", "w").close()
    while not os.path.exists(until):
        time.sleep(0.005)
    connection.send("late")
    print(connection.recv())
print(connection.close_code)
"#;

#[test]
fn a_conversation_wakes_its_target_and_keeps_it_awake() {
    let command = format!("[{:?}, -B, server.py]", python());
    let reveille = Reveille::of(Target::new("web", &command))
        .file("server.py", SERVER)
        .start();
    for cold in [true, false] {
        let name = format!("until-{cold}");
        let until = reveille.path(&name).display().to_string();
        assert_eq!(reveille.target("web").is_asleep(), cold);
        let heard = std::thread::scope(|scope| {
            let client = scope.spawn(|| run_python(&reveille, CLIENT, &[&until]));
            let open = reveille.path(&format!("{name}.open"));
            while !client.is_finished() && !open.exists() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            // Silent, but open, for longer than anything else keeps it awake.
            if !client.is_finished() {
                reveille.until("web", "it is demand", |now| {
                    now.endpoints.iter().any(|endpoint| endpoint.in_flight == 1)
                });
                std::thread::sleep(std::time::Duration::from_millis(1_500));
            }
            reveille.touch(&name);
            client.join().expect("no panic")
        });
        let first = format!("hello /room web.test chat {cold}");
        assert_eq!(heard, [&first, "text", "True", "late", "1000"]);
        if cold {
            // Awake for the second one.
            let mut keep = reveille.client("web").connect();
            keep.request("GET", "/");
            assert_eq!(keep.answer().status, 426);
        }
    }
    reveille.until_asleep("web");
    reveille.stop();
}
