//! Asking the admin port of a running Reveille: what `reveille query`,
//! `explain` and `top` have in common. Knows HTTP, not what is asked.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::{net::SocketAddr, pin::pin, time::Duration};
use tokio::net::TcpStream;

/// How long one exchange may take.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Who to ask, and the token to show.
#[derive(Clone, Debug)]
pub struct Asker {
    admin: SocketAddr,
    token: Option<String>,
}

impl Asker {
    /// Asks that admin address; shows `token`, if there is one.
    #[must_use]
    pub fn new(admin: SocketAddr, token: Option<String>) -> Self {
        Self { admin, token }
    }

    /// Who is asked.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// GETs a path. Cancel safe.
    ///
    /// # Errors
    /// Nobody listens there, no answer in time, or the token is wrong.
    pub async fn get(&self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        self.ask(Method::GET, path, None).await
    }

    /// POSTs JSON to a path. Cancel safe.
    ///
    /// # Errors
    /// As [`Asker::get`].
    pub async fn post(&self, path: &str, json: Vec<u8>) -> anyhow::Result<(StatusCode, Bytes)> {
        self.ask(Method::POST, path, Some(json)).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let admin = self.admin;
        let exchange = self.exchange(method, path, json);
        let (status, body) = tokio::time::timeout(WITHIN, exchange)
            .await
            .with_context(|| format!("no answer from {admin} within {} s", WITHIN.as_secs()))??;
        match status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => {
                bail!("{admin} wants its admin token: give --token-file")
            }
            StatusCode::UNAUTHORIZED => bail!("{admin} does not know the token of --token-file"),
            StatusCode::FORBIDDEN => {
                let said = String::from_utf8_lossy(&body);
                bail!("{admin} refuses: {}", said.trim_end())
            }
            _ => Ok((status, body)),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let admin = self.admin;
        let stream = TcpStream::connect(admin).await.with_context(|| {
            format!("nobody listens on {admin}; is that the --admin-addr of a running reveille?")
        })?;
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, admin.to_string());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if json.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::<Bytes>::from(json.unwrap_or_default()))?;
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER);
            let body = body.collect().await;
            let body = body.map_err(|error| anyhow::anyhow!(error))?;
            anyhow::Ok((status, body.to_bytes()))
        };
        let mut answer = pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            // It may have answered and closed in one go.
            _ended = connection => answer.await,
        }
    }
}
