//! What stands behind the proxy. [`Backend`] answers by itself and keeps a
//! log; [`ScriptedBackend`] does what the test says, connection by connection.
//!
//! Each has a loopback address of its own, so that nobody else can get its
//! port while it is down.

use super::{Head, Wire, within};
use parking_lot::Mutex;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

/// An address of 127.0.0.0/8 that no other test uses.
fn own_ip() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let process = u8::try_from(std::process::id() % 200).expect("below 200");
    Ipv4Addr::new(127, process + 20, high, low)
}

fn bind(addr: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an open socket");
    socket.bind(addr).expect("a free port");
    // Room for a whole queue that is released while nobody accepts.
    socket.listen(4096).expect("a bound socket")
}

/// Listens at an address of its own.
pub(super) fn bind_own() -> TcpListener {
    bind((own_ip(), 0).into())
}

/// An address that refuses connections.
pub(crate) async fn dead_address() -> SocketAddr {
    ScriptedBackend::start().await.kill()
}

/// A request as a [`Backend`] received it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The connection it came on, numbered from 0.
    pub(crate) connection: usize,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

type Answer = dyn Fn(&Received) -> Vec<u8> + Send + Sync;

/// A backend that reads each request completely and answers it at once.
pub(crate) struct Backend {
    addr: SocketAddr,
    state: Arc<State>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

struct State {
    answer: Box<Answer>,
    connections: AtomicUsize,
    open: AtomicUsize,
    heads: AtomicUsize,
    received: Mutex<Vec<Received>>,
}

impl Backend {
    /// Answers 200 with `text`.
    pub(crate) async fn saying(text: &'static str) -> Self {
        let length = text.len();
        Self::answering(move |_| {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}").into_bytes()
        })
        .await
    }

    /// Answers with these bytes; with none, it closes the connection.
    pub(crate) async fn answering(
        answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::answering_at((own_ip(), 0).into(), answer).await
    }

    /// Likewise, at a certain address, where another one was before.
    pub(crate) async fn answering_at(
        addr: SocketAddr,
        answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = bind(addr);
        let mut backend = Self {
            addr: listener.local_addr().expect("bound"),
            state: Arc::new(State {
                answer: Box::new(answer),
                connections: AtomicUsize::new(0),
                open: AtomicUsize::new(0),
                heads: AtomicUsize::new(0),
                received: Mutex::default(),
            }),
            running: None,
        };
        backend.run(listener);
        backend
    }

    fn run(&mut self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, self.state.clone(), stopped));
        self.running = Some((stop, task));
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Heads of requests so far, also of those whose body never ended.
    pub(crate) fn heads(&self) -> usize {
        self.state.heads.load(Ordering::SeqCst)
    }

    /// Requests so far, in order of arrival.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().clone()
    }

    /// Requests since the last time, in order of arrival.
    #[allow(dead_code, reason = "the fuzz targets use it")]
    pub(crate) fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.received.lock())
    }

    /// The paths of all requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        let received = self.state.received.lock();
        received.iter().map(|r| r.head.path().to_owned()).collect()
    }

    /// Closes the port and all connections. Resolves when they are closed.
    pub(crate) async fn kill(&mut self) {
        let (stop, task) = self.running.take().expect("it runs");
        stop.send(()).expect("it runs");
        within("the backend's end", task).await.expect("no panic");
    }

    /// Comes back on the same port.
    pub(crate) async fn restart(&mut self) {
        assert!(self.running.is_none(), "it runs");
        let listener = bind(self.addr);
        self.run(listener);
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection");
                let number = state.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream.into(), number, state.clone()));
            }
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(mut wire: Wire, connection: usize, state: Arc<State>) {
    let _open = Open::count(&state.open);
    while let Some(head) = wire.try_head().await {
        state.heads.fetch_add(1, Ordering::SeqCst);
        let Some(body) = wire.body(&head).await else {
            return;
        };
        let received = Received {
            connection,
            head,
            body,
        };
        state.received.lock().push(received.clone());
        let answer = (state.answer)(&received);
        if answer.is_empty() {
            return;
        }
        wire.send(&answer).await;
        if Head::parse_close(&answer) {
            return;
        }
    }
}

struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    fn count(open: &'a AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Head {
    /// Does this answer announce the end of the connection?
    fn parse_close(answer: &[u8]) -> bool {
        let needle = b"connection: close";
        answer.windows(needle.len()).any(|part| part == needle)
    }
}

/// A backend that does nothing by itself: the system accepts connections, the
/// test takes them up and plays the server.
#[derive(Debug)]
pub(crate) struct ScriptedBackend {
    listener: TcpListener,
}

impl ScriptedBackend {
    pub(crate) async fn start() -> Self {
        Self {
            listener: bind((own_ip(), 0).into()),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("bound")
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Wire {
        let accepted = within("a connection from the proxy", self.listener.accept()).await;
        accepted.expect("a connection").0.into()
    }

    /// The next connection, after a TLS handshake. Probes, which close
    /// without a word, are passed over.
    pub(crate) async fn accept_tls(&self, tls: &TlsAcceptor) -> Wire {
        loop {
            let accepted = within("a connection from the proxy", self.listener.accept()).await;
            let stream = accepted.expect("a connection").0;
            stream.set_nodelay(true).expect("an open socket");
            match within("a handshake", tls.accept(stream)).await {
                Ok(stream) => return Wire::over_tls(stream.into()),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => panic!("no handshake: {error}"),
            }
        }
    }

    /// The next connection, whose TLS handshake fails.
    pub(crate) async fn refuse_tls(&self, tls: &TlsAcceptor) {
        let accepted = within("a connection from the proxy", self.listener.accept()).await;
        let stream = accepted.expect("a connection").0;
        let shaken = within("a handshake", tls.accept(stream)).await;
        assert!(shaken.is_err(), "the handshake succeeded");
    }

    /// Closes the port; connections that were taken up live on.
    pub(crate) fn kill(self) -> SocketAddr {
        self.addr()
    }
}
