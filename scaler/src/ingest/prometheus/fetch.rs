//! Fetching a page: one target, one connection that is used again.
//!
//! Called by `target` each interval. It never sends anything but GET, follows
//! no redirect, and keeps nothing of a page that is refused.

use super::{
    Address, BadPage, Format, PageLimits,
    body::{BadBody, Body},
    filter::Filter,
    format::ACCEPT,
    page::{Page, Reader},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use proxy::{Stream, tls::Connector};
use std::{io, sync::Arc, time::Duration};
use tokio::{net::TcpStream, task::JoinSet};

/// Longest text of a peer's that an error repeats, in characters.
const SHOWN: usize = 80;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("the connection broke: {0}")]
    Http(#[from] hyper::Error),
    #[error("answered {0} instead of 200{hint}", hint = hint(*.0))]
    Status(StatusCode),
    #[error("answered with {0:?}, which is no text format of Prometheus: is the path right?")]
    Media(String),
    #[error("answered with content-encoding {0:?}, which was not asked for")]
    Encoding(String),
    #[error(transparent)]
    Page(#[from] BadPage),
    #[error("the compressed page is damaged: {0}")]
    Damaged(io::Error),
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
}

fn hint(status: StatusCode) -> &'static str {
    if status.is_redirection() {
        ": redirects are not followed, set spec.path"
    } else if status == StatusCode::NOT_FOUND {
        ": is spec.path right?"
    } else {
        ""
    }
}

impl From<BadBody> for FetchError {
    fn from(bad: BadBody) -> Self {
        match bad {
            BadBody::Page(bad) => Self::Page(bad),
            BadBody::Damaged(error) => Self::Damaged(error),
        }
    }
}

/// How a page is asked for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// Path and query.
    pub(super) path: String,
    pub(super) tls: Option<Arc<Connector>>,
    pub(super) timeout: Duration,
}

/// The connection to one target.
#[derive(Debug)]
pub(super) struct Client {
    address: Address,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Empty<Bytes>>,
    /// Ends when this is dropped.
    _driver: JoinSet<()>,
}

impl Client {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            open: None,
        }
    }

    /// Fetches a page. Not cancel safe for the connection: it is closed.
    pub(super) async fn fetch(
        &mut self,
        ask: &Ask,
        limits: PageLimits,
        filter: Arc<Filter>,
    ) -> Result<Page, FetchError> {
        // Taken, so that whatever goes wrong, or a call that is given up,
        // closes it.
        let open = self.open.take();
        let fetched = tokio::time::timeout(ask.timeout, self.attempt(open, ask, limits, filter));
        match fetched.await {
            Ok(Ok((page, open))) => {
                self.open = Some(open);
                Ok(page)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(FetchError::Timeout(ask.timeout)),
        }
    }

    async fn attempt(
        &self,
        open: Option<Open>,
        ask: &Ask,
        limits: PageLimits,
        filter: Arc<Filter>,
    ) -> Result<(Page, Open), FetchError> {
        let (open, response) = self.send(open, ask).await?;
        let mut body = accept(&response, limits, filter)?;
        let mut incoming = response.into_body();
        while let Some(frame) = incoming.frame().await {
            if let Some(data) = frame?.data_ref() {
                body.feed(data)?;
            }
        }
        Ok((body.finish()?, open))
    }

    /// Sends the request, on the open connection if there is one. The target
    /// may have closed it meanwhile: then again on a new one.
    async fn send(
        &self,
        open: Option<Open>,
        ask: &Ask,
    ) -> Result<(Open, Response<Incoming>), FetchError> {
        if let Some(mut open) = open
            && open.sender.ready().await.is_ok()
        {
            match open.sender.send_request(self.request(ask)).await {
                Ok(response) => return Ok((open, response)),
                // An answer that is not HTTP would be none the next time.
                Err(error) if error.is_parse() => return Err(error.into()),
                Err(error) => tracing::debug!(address = %self.address, %error, "connecting anew"),
            }
        }
        let mut open = self.connect(ask).await?;
        let response = open.sender.send_request(self.request(ask)).await?;
        Ok((open, response))
    }

    fn request(&self, ask: &Ask) -> Request<Empty<Bytes>> {
        Request::get(&ask.path)
            .header(header::HOST, self.address.to_string())
            .header(header::ACCEPT, ACCEPT)
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(
                header::USER_AGENT,
                concat!("reveille/", env!("CARGO_PKG_VERSION")),
            )
            // As Prometheus tells exporters how long they have.
            .header(
                "x-prometheus-scrape-timeout-seconds",
                ask.timeout.as_secs_f64().to_string(),
            )
            .body(Empty::new())
            .expect("the path was checked, all else is text")
    }

    async fn connect(&self, ask: &Ask) -> Result<Open, FetchError> {
        let (host, port) = (self.address.host(), self.address.port());
        let dialled = async {
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            match &ask.tls {
                None => Ok(Stream::Clear(stream)),
                Some(tls) => {
                    let stream = tls.connect_http1(host, stream).await?;
                    Ok(Stream::Tls(Box::new(stream)))
                }
            }
        };
        let stream = dialled.await.map_err(FetchError::Connect)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Whoever waits for an answer is told what happened.
            let _ended = connection.await;
        });
        Ok(Open {
            sender,
            _driver: driver,
        })
    }
}

/// What reads the body of an answer.
fn accept(
    response: &Response<Incoming>,
    limits: PageLimits,
    filter: Arc<Filter>,
) -> Result<Body, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let text = |name| {
        let value: Option<&http::HeaderValue> = response.headers().get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()))
    };
    let shown = |text: &str| text.chars().take(SHOWN).collect();
    let media = text(header::CONTENT_TYPE);
    let format = Format::from_content_type(media.as_deref());
    let format = format.ok_or_else(|| FetchError::Media(shown(&media.unwrap_or_default())))?;
    let encoding = text(header::CONTENT_ENCODING).unwrap_or_default();
    Body::new(&encoding, Reader::new(format, limits, filter))
        .ok_or_else(|| FetchError::Encoding(shown(&encoding)))
}
