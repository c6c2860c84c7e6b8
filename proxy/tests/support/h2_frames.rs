//! HTTP/2 with all that comes before an answer, which hyper does not show: a
//! client that sees interim answers, and a backend that sends them.

use super::{backend::bind_own, within};
use bytes::{Bytes, BytesMut};
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
    server::SendResponse,
};
use http::{HeaderMap, Request, Response};
use std::{future::poll_fn, net::SocketAddr};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

/// See the module.
pub(crate) struct FrameClient {
    sender: SendRequest<Bytes>,
    /// Ends with it.
    _connection: JoinSet<()>,
}

/// A request under way.
pub(crate) struct Asked {
    answer: ResponseFuture,
    pub(crate) body: SendStream<Bytes>,
}

impl FrameClient {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("a listener");
        let shaken = within("a handshake", h2::client::handshake(stream)).await;
        let (sender, connection) = shaken.expect("HTTP/2");
        let mut running = JoinSet::new();
        running.spawn(async move {
            // How it ended shows in the answers.
            let _ended = connection.await;
        });
        Self {
            sender,
            _connection: running,
        }
    }

    /// Sends a head for a.test; its body follows unless `is_end`.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        headers: &[(&str, &str)],
        is_end: bool,
    ) -> Asked {
        poll_fn(|cx| self.sender.poll_ready(cx))
            .await
            .expect("it is open");
        let mut request = Request::builder().method(method).uri("http://a.test/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let (answer, body) = self.sender.send_request(request, is_end).expect("sent");
        Asked { answer, body }
    }
}

impl Asked {
    /// The next interim answer; None: the final one has come.
    pub(crate) async fn interim(&mut self) -> Option<Response<()>> {
        let next = poll_fn(|cx| self.answer.poll_informational(cx));
        let next = within("an answer", next).await;
        next.map(|interim| interim.expect("no reset"))
    }

    /// The final answer, before which nothing else may come.
    pub(crate) async fn answer(mut self) -> (Response<()>, Bytes, Option<HeaderMap>) {
        let interim = self.interim().await;
        assert!(interim.is_none(), "unexpected: {interim:?}");
        let answer = within("an answer", self.answer).await;
        let (head, body) = answer.expect("no reset").into_parts();
        let (bytes, trailers) = all(body).await;
        (Response::from_parts(head, ()), bytes, trailers)
    }
}

/// All of a body.
pub(crate) async fn all(mut body: RecvStream) -> (Bytes, Option<HeaderMap>) {
    let mut bytes = BytesMut::new();
    while let Some(data) = within("data", body.data()).await {
        let data = data.expect("no reset");
        let released = body.flow_control().release_capacity(data.len());
        released.expect("it was used");
        bytes.extend_from_slice(&data);
    }
    let trailers = within("trailers", body.trailers()).await;
    (bytes.freeze(), trailers.expect("no reset"))
}

/// A request that waits for the test to answer it.
pub(crate) type FrameCall = (Request<RecvStream>, SendResponse<Bytes>);

/// See the module.
pub(crate) struct FrameBackend {
    addr: SocketAddr,
    calls: mpsc::UnboundedReceiver<FrameCall>,
    running: AbortHandle,
}

impl FrameBackend {
    pub(crate) async fn start() -> Self {
        let listener = bind_own();
        let addr = listener.local_addr().expect("bound");
        let (found, calls) = mpsc::unbounded_channel();
        let running = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let found = found.clone();
                connections.spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else {
                        return;
                    };
                    while let Some(Ok(call)) = connection.accept().await {
                        // A test that is over wants no more of them.
                        let _found = found.send(call);
                    }
                });
            }
        });
        Self {
            addr,
            calls,
            running: running.abort_handle(),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) async fn call(&mut self) -> FrameCall {
        let call = within("a request from the proxy", self.calls.recv()).await;
        call.expect("it runs")
    }
}

impl Drop for FrameBackend {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Sends an interim head with these fields.
pub(crate) fn say(answer: &mut SendResponse<Bytes>, status: u16, headers: &[(&str, &str)]) {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let response = response.body(()).expect("a head");
    answer.send_informational(response).expect("an open stream");
}

/// Sends 200 with this body.
pub(crate) fn finish(answer: &mut SendResponse<Bytes>, text: &'static str) {
    let mut body = answer
        .send_response(Response::new(()), false)
        .expect("an open stream");
    let sent = body.send_data(Bytes::from_static(text.as_bytes()), true);
    sent.expect("an open stream");
}
