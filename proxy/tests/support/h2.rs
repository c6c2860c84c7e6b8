//! A client that speaks HTTP/2 without TLS, by prior knowledge.

use super::within;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::SockRef;
use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
};

/// The body of a request or an answer, sent when the test says so.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    bytes: Option<mpsc::UnboundedReceiver<Bytes>>,
    trailers: Option<HeaderMap>,
}

impl Upload {
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// A body that ends when the sender is dropped.
    pub(crate) fn channel() -> (mpsc::UnboundedSender<Bytes>, Self) {
        let (send, receive) = mpsc::unbounded_channel();
        let upload = Self {
            bytes: Some(receive),
            trailers: None,
        };
        (send, upload)
    }

    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        let (send, upload) = Self::channel();
        send.send(bytes.into()).expect("the receiver is there");
        upload
    }

    /// Ends with this trailer.
    pub(crate) fn trailer(mut self, name: &'static str, value: &'static str) -> Self {
        let trailers = self.trailers.get_or_insert_default();
        trailers.insert(name, HeaderValue::from_static(value));
        self
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(bytes) = &mut self.bytes
            && let Some(bytes) = ready!(bytes.poll_recv(cx))
        {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.trailers.is_none()
    }
}

pub(crate) struct H2Client {
    sender: SendRequest<Upload>,
    /// The same socket once more, to cut it.
    socket: std::net::TcpStream,
    connection: JoinHandle<hyper::Result<()>>,
}

impl H2Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = std::net::TcpStream::connect(addr).expect("somebody listens");
        stream.set_nonblocking(true).expect("an open socket");
        let socket = stream.try_clone().expect("an open socket");
        let stream = TcpStream::from_std(stream).expect("a runtime");
        Self::over(stream, socket).await
    }

    /// Over TLS, once HTTP/2 was agreed on.
    pub(crate) async fn over_tls(stream: tokio_rustls::client::TlsStream<TcpStream>) -> Self {
        let socket = SockRef::from(stream.get_ref().0).try_clone();
        Self::over(stream, socket.expect("an open socket").into()).await
    }

    async fn over<S>(stream: S, socket: std::net::TcpStream) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("HTTP/2");
        let connection = tokio::spawn(connection);
        Self {
            sender,
            socket,
            connection,
        }
    }

    /// Sends a request; dropping the future before it is done resets it.
    pub(crate) fn send(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        self.sender.send_request(request)
    }

    /// Sends GET and receives status, cold-start header and body.
    pub(crate) async fn get(&mut self, path: &str) -> (u16, Option<String>, Bytes) {
        let answer = self.send(request("GET", path, Upload::none()));
        complete(within("an answer", answer).await.expect("an answer")).await
    }

    /// Did the server end the connection, politely?
    pub(crate) async fn until_closed(self) -> hyper::Result<()> {
        drop(self.sender);
        within("the end of the connection", self.connection)
            .await
            .expect("no panic")
    }

    /// Cuts the connection.
    pub(crate) fn cut(self) {
        let cut = self.socket.shutdown(std::net::Shutdown::Both);
        cut.expect("an open socket");
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// A request for a.test.
pub(crate) fn request(method: &str, path: &str, upload: Upload) -> Request<Upload> {
    Request::builder()
        .method(method)
        .uri(format!("http://a.test{path}"))
        .body(upload)
        .expect("a valid request")
}

/// All of an answer.
pub(crate) async fn complete(answer: Response<Incoming>) -> (u16, Option<String>, Bytes) {
    let status = answer.status().as_u16();
    let cold = answer.headers().get("x-keda-http-cold-start");
    let cold = cold.map(|value| value.to_str().expect("ASCII").to_owned());
    let body = within("the body", answer.into_body().collect()).await;
    (status, cold, body.expect("a complete body").to_bytes())
}
