//! Calls to the API server: pages of lists, lines of watches, and writes.
//!
//! Over the connection, credentials and TLS of `kube`'s client (`account.rs`). Every answer is
//! read here, so that one object that cannot be understood costs only itself,
//! and what the server said about failures is kept.

use super::{absence::Absence, account::Account, failure::Failure, kind::Kind};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Objects of one page of a list, as other clients ask for.
const PAGE: usize = 500;
/// A call that is not a watch has ended after this long.
const WITHIN: Duration = Duration::from_secs(30);
/// The longest page, in bytes; etcd's objects are at most 1.5 MiB.
const MAX_PAGE: usize = 1 << 30;
/// The longest line of a watch, in bytes.
const MAX_LINE: usize = 16 << 20;
/// The longest text of a failure, in bytes.
const MAX_FAILURE: usize = 64 << 10;

/// Who calls: the API server's audit log and the managers of fields have it.
const AGENT: &str = concat!("reveille/", env!("CARGO_PKG_VERSION"));

/// The API server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Api {
    account: Account,
    absence: Arc<Absence>,
}

/// Which of the objects at a path are asked for; by default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Option<Cow<'static, str>>,
    fields: Option<String>,
}

/// A part of a list, as it came.
pub(super) struct Page(Bytes);

/// What is in it. Each object is read by itself, from its own text: one that
/// cannot be read costs only itself, and of the others nothing is held that
/// nobody asks for.
#[derive(Deserialize)]
pub(super) struct Listed<'a> {
    #[serde(default)]
    pub(super) metadata: PageMeta,
    #[serde(default, borrow)]
    pub(super) items: Vec<&'a RawValue>,
}

/// Where a list goes on.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PageMeta {
    pub(super) resource_version: String,
    /// Where the next page begins; nothing: there is none.
    #[serde(rename = "continue")]
    pub(super) next: Option<String>,
}

/// The lines of a watch.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// So many bytes of it have no end of line.
    searched: usize,
}

impl Selector {
    /// What of a kind concerns us.
    pub(super) fn of(kind: &Kind) -> Self {
        Self {
            labels: kind.labels.map(Cow::Borrowed),
            fields: None,
        }
    }

    /// Objects with these labels.
    pub(super) fn labelled(labels: String) -> Self {
        Self {
            labels: Some(Cow::Owned(labels)),
            fields: None,
        }
    }

    /// The one object of that name: a role that grants this name alone permits it.
    pub(super) fn named(name: &str) -> Self {
        Self {
            labels: None,
            fields: Some(format!("metadata.name={name}")),
        }
    }

    fn form(&self) -> String {
        let labels = self.labels.as_deref().map(|text| ("labelSelector", text));
        let fields = self.fields.as_deref().map(|text| ("fieldSelector", text));
        let both: Vec<_> = labels.into_iter().chain(fields).collect();
        form(&both)
    }
}

impl Page {
    pub(super) fn read(&self) -> Result<Listed<'_>, Failure> {
        serde_json::from_slice(&self.0).map_err(|error| Failure::Garbled(error.to_string()))
    }
}

impl Api {
    pub(super) fn new(account: Account) -> Self {
        Self {
            account,
            absence: Arc::default(),
        }
    }

    /// One page of the objects at `path`. Cancel safe.
    pub(super) async fn page(
        &self,
        path: &str,
        selector: &Selector,
        from: &str,
    ) -> Result<Page, Failure> {
        self.first(path, selector, from, PAGE).await
    }

    /// The version that a list of the objects at `path` would have now. Cancel safe.
    pub(super) async fn version(&self, path: &str, selector: &Selector) -> Result<String, Failure> {
        let page = self.first(path, selector, "", 1).await?;
        Ok(page.read()?.metadata.resource_version)
    }

    async fn first(
        &self,
        path: &str,
        selector: &Selector,
        from: &str,
        limit: usize,
    ) -> Result<Page, Failure> {
        let mut query = form(&[("limit", &limit.to_string())]);
        query.push_str(&selector.form());
        if !from.is_empty() {
            query.push_str(&form(&[("continue", from)]));
        }
        let request = get(path, &query)?;
        within(WITHIN, self.call(request)).await.map(Page)
    }

    /// What changes at `path` after `version`, for at most `limit`. Cancel safe.
    pub(super) async fn watch(
        &self,
        path: &str,
        selector: &Selector,
        version: &str,
        limit: Duration,
    ) -> Result<Lines, Failure> {
        let mut query = form(&[
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", &limit.as_secs().to_string()),
        ]);
        query.push_str(&selector.form());
        let request = get(path, &query)?;
        let answer = within(WITHIN, self.send(request)).await?;
        Ok(Lines {
            body: answer.into_body(),
            buffer: BytesMut::new(),
            searched: 0,
        })
    }

    /// Sends `body` to `path` and gives the object that is answered.
    pub(super) async fn write(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &Value,
    ) -> Result<Value, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::USER_AGENT, AGENT)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body.to_string().into_bytes()))
            .map_err(|error| Failure::Garbled(error.to_string()))?;
        let answer = within(WITHIN, self.call(request)).await?;
        serde_json::from_slice(&answer).map_err(|error| Failure::Garbled(error.to_string()))
    }

    /// The object at `path`.
    pub(super) async fn read(&self, path: &str) -> Result<Value, Failure> {
        let answer = within(WITHIN, self.call(get(path, "")?)).await?;
        serde_json::from_slice(&answer).map_err(|error| Failure::Garbled(error.to_string()))
    }

    /// Was there a call without an answer after `then`?
    pub(super) fn was_away_since(&self, then: Instant) -> bool {
        self.absence.is_after(then)
    }

    async fn call(&self, request: Request<Body>) -> Result<Bytes, Failure> {
        let answer = self.send(request).await?;
        let read = Limited::new(answer.into_body(), MAX_PAGE).collect().await;
        let read = read.map_err(|error| Failure::Unreachable(error.to_string()))?;
        Ok(read.to_bytes())
    }

    /// The answer, if it is a success.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let sent = self.try_send(request).await;
        sent.map_err(|failure| self.absence.explain(failure))
    }

    async fn try_send(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let answer = self.account.send(request).await;
        let answer = answer.map_err(|error| Failure::of_no_answer(&chain(&error)))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let said = Limited::new(body, MAX_FAILURE).collect().await;
        let said = said.map(|said| said.to_bytes()).unwrap_or_default();
        Err(Failure::of_answer(head.status, &head.headers, &said))
    }
}

impl Lines {
    /// The next line; `None` at the end. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(end) = memchr(unsearched) {
                let mut line = self.buffer.split_to(self.searched + end + 1);
                self.searched = 0;
                line.truncate(line.len() - 1);
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(Some(line.freeze()));
            }
            self.searched = self.buffer.len();
            if self.searched > MAX_LINE {
                let what = format!("a line of more than {MAX_LINE} bytes");
                return Err(Failure::Garbled(what));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(Failure::Unreachable(chain(&error))),
            }
        }
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

fn get(path: &str, query: &str) -> Result<Request<Body>, Failure> {
    let separator = if query.is_empty() { "" } else { "?" };
    let query = query.trim_start_matches('&');
    Request::get(format!("{path}{separator}{query}"))
        .header(header::USER_AGENT, AGENT)
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())
        .map_err(|error| Failure::Garbled(error.to_string()))
}

/// `&name=value` for each.
fn form(fields: &[(&str, &str)]) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let one = |(name, value): &(&str, &str)| {
        format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
    };
    fields.iter().map(one).collect()
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, call)
        .await
        .unwrap_or_else(|_| Err(Failure::Unreachable(format!("no answer within {limit:?}"))))
}

/// An error with all that caused it: the outer ones seldom say what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
