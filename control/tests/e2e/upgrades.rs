//! A connection that switches protocols wakes its target and keeps it awake.

use crate::support::{Connection, Reveille, Target};

/// Switches each connection to a protocol that sends everything back.
const ECHO: &str = r#"
import server, socket
def talk(connection, reader, request):
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n"
                       b"Connection: Upgrade\r\nUpgrade: echo\r\n\r\nwelcome\n")
    while words := reader.read1():
        connection.sendall(words)
    connection.shutdown(socket.SHUT_RDWR)
server.talk = talk
server.serve()
"#;

#[test]
fn an_upgrade_wakes_a_process_and_the_tunnel_is_demand_until_it_closes() {
    let target = Target::new("web", "[python3, -B, echo.py]");
    let reveille = Reveille::of(target).file("echo.py", ECHO).start();
    assert!(reveille.target("web").is_asleep());
    let mut connection = reveille.client("web").connect();
    connection.send(
        b"GET /chat HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\n\
          Upgrade: echo\r\n\r\nearly\n",
    );
    let (status, headers) = connection.head().expect("an answer");
    assert_eq!(status, 101);
    for (name, value) in [("upgrade", "echo"), ("x-keda-http-cold-start", "true")] {
        assert!(headers.contains(&(name.to_owned(), value.to_owned())));
    }
    let hear = |connection: &mut Connection, words: &str| {
        let length = ("content-length".to_owned(), words.len().to_string());
        let heard = connection.rest_of(&[length]).expect("so many bytes");
        assert_eq!(String::from_utf8_lossy(&heard), words);
    };
    hear(&mut connection, "welcome\nearly\n");
    reveille.until("web", "the tunnel is demand", |now| {
        now.endpoints.iter().any(|endpoint| endpoint.in_flight == 1)
    });
    connection.send(b"late\n");
    hear(&mut connection, "late\n");
    connection.leave();
    reveille.until_asleep("web");
    reveille.stop();
}
