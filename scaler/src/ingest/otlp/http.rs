//! OTLP over HTTP/1.1: `POST /v1/metrics`, protobuf or JSON.
//!
//! Each limit has its answer: 413 too large, 429 too many at once or no room
//! (with `Retry-After`), 408 too slow, 415 not understood, 400 damaged.

use super::{
    Otlp,
    inflate::{Encoding, InflateError, inflate},
    response::{Form, Response as Answer, Status},
};
use crate::{ingest::Source, series::unix_ms};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use proxy::tls::Listener;
use std::{
    convert::Infallible, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

const PATH: &str = "/v1/metrics";

/// Connections at the same time; a further one waits to be accepted.
const MAX_CONNECTIONS: usize = 1024;

/// A head may take so long, and so may the time between requests: exporters
/// send each minute by default, and should find their connection open.
const HEAD_WITHIN: Duration = Duration::from_secs(150);

/// A body may take so long.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// After shutdown began, so long for requests under way.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// After an accept that failed: descriptors may be free by then.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// When a sender that was turned away should come again, in seconds: for a
/// place, and for room among the series.
const RETRY_PLACE: &str = "1";
const RETRY_ROOM: &str = "30";

/// Serves on `listener`, with TLS if there is some, until `shutdown` is ready,
/// then lets requests under way end, at the latest 5 s later. TLS must offer
/// HTTP/1.1 (`proxy::tls::Offers::Http1Only`).
///
/// Cancellation: dropping the future ends everything at once.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Listener>>,
    otlp: Arc<Otlp>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (close, closing) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (tls, otlp, closing) = (tls.clone(), otlp.clone(), closing.clone());
                connections.spawn(async move {
                    match tls {
                        None => connection(stream, otlp, closing).await,
                        Some(tls) => over_tls(stream, peer, &tls, otlp, closing).await,
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "OTLP/HTTP: cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    close.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_WITHIN, all).await.is_err() {
        tracing::warn!("some OTLP/HTTP connections did not close in time");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await;
    let place = place.expect("the semaphore is never closed");
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

async fn over_tls(
    stream: TcpStream,
    peer: SocketAddr,
    tls: &Listener,
    otlp: Arc<Otlp>,
    mut closing: watch::Receiver<bool>,
) {
    let shaken = tokio::select! {
        shaken = tls.accept(stream, peer) => shaken,
        _ = closing.wait_for(|closing| *closing) => return,
    };
    // Else it was counted with its reason, and logged.
    if let Ok(stream) = shaken {
        connection(stream, otlp, closing).await;
    }
}

async fn connection<IO>(stream: IO, otlp: Arc<Otlp>, mut closing: watch::Receiver<bool>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let otlp = &otlp;
        async move { Ok::<_, Infallible>(answer(otlp, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        // Also when the server is gone.
        () = async { drop(closing.wait_for(|closing| *closing).await) } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "OTLP/HTTP: a connection ended badly");
    }
}

/// A request that is turned away.
struct Refusal {
    status: StatusCode,
    message: String,
    header: Option<(header::HeaderName, &'static str)>,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            header: None,
        }
    }

    fn with(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }
}

async fn answer(otlp: &Otlp, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let form =
        header_text(request.headers(), &header::CONTENT_TYPE).and_then(Form::from_content_type);
    match receive(otlp, form, request).await {
        Ok(answer) => {
            let form = form.unwrap_or(Form::Protobuf);
            respond(StatusCode::OK, form, form.bytes(&answer))
        }
        Err(refusal) => {
            otlp.counters.refused(Source::OtlpHttp);
            let form = form.unwrap_or(Form::Json);
            let status = Status {
                code: grpc_code(refusal.status),
                message: refusal.message,
            };
            let mut response = respond(refusal.status, form, form.bytes(&status));
            if let Some((name, value)) = refusal.header {
                response
                    .headers_mut()
                    .insert(name, HeaderValue::from_static(value));
            }
            response
        }
    }
}

async fn receive(
    otlp: &Otlp,
    form: Option<Form>,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    if request.uri().path() != PATH {
        let message = format!("only metrics are received here, at {PATH}");
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    }
    if request.method() != Method::POST {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "POST is expected");
        return Err(refusal.with(header::ALLOW, "POST"));
    }
    let form = form.ok_or_else(|| {
        Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type: application/x-protobuf or application/json is expected",
        )
    })?;
    let encoding = header_text(request.headers(), &header::CONTENT_ENCODING).unwrap_or_default();
    let encoding = Encoding::from_name(encoding).ok_or_else(|| {
        Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-encoding: gzip, zstd or none is expected",
        )
        .with(header::ACCEPT_ENCODING, "gzip, zstd")
    })?;
    let most = otlp.limits.message_bytes;
    if request.body().size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    // Before the body is read: what waits for a place holds no memory.
    let Some(_place) = otlp.place().await else {
        let message = "too many requests at once";
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, message);
        return Err(refusal.with(header::RETRY_AFTER, RETRY_PLACE));
    };
    let body = collect(request.into_body(), most).await?;
    let body = inflate(encoding, body, most).map_err(|error| match error {
        InflateError::TooLarge(most) => too_large(most),
        InflateError::Damaged(_) => Refusal::new(StatusCode::BAD_REQUEST, error.to_string()),
    })?;
    let outcome = match form {
        Form::Protobuf => otlp
            .take(Source::OtlpHttp, &body, unix_ms())
            .map_err(|error| not_a_request(&error))?,
        Form::Json => otlp
            .take_json(&body, unix_ms())
            .map_err(|error| not_a_request(&error))?,
    };
    if outcome.is_full() {
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, outcome.message());
        return Err(refusal.with(header::RETRY_AFTER, RETRY_ROOM));
    }
    Ok(Answer::of(&outcome))
}

async fn collect(body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    match timeout(BODY_WITHIN, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(most)),
        Ok(Err(error)) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the body cannot be read: {error}"),
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body took longer than {BODY_WITHIN:?}"),
        )),
    }
}

fn too_large(most: usize) -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("more than {most} bytes (after decompression): send smaller batches"),
    )
}

fn not_a_request(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        format!("not an ExportMetricsServiceRequest: {error}"),
    )
}

fn header_text<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// What gRPC would have said.
fn grpc_code(status: StatusCode) -> i32 {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => 12,
        StatusCode::REQUEST_TIMEOUT => 4,
        _ => 3,
    }
}

fn respond(status: StatusCode, form: Form, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let form = HeaderValue::from_static(form.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, form);
    response
}
