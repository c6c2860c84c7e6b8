//! As much of an API server as Reveille asks for: lists in pages, watches, its
//! Lease, statuses and Events. On a thread of its own; loopback only.
//!
//! The double of the end-to-end tests is another one: that one does everything
//! that can go wrong, this one must cost little beside what is measured.

use super::store::{Kind, Store};
use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, net::SocketAddr, sync::Arc, thread, time::Duration};
use tokio::{net::TcpListener, sync::oneshot, time::Instant};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    addr: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Server {
    pub(crate) fn start(store: Arc<Store>) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("apiserver".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        served = serve(listener, store) => {
                            if let Err(error) = served {
                                eprintln!("the API server has ended: {error}");
                            }
                        }
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self { addr, _stop: stop })
    }

    pub(crate) fn kubeconfig(&self) -> String {
        let addr = self.addr;
        format!(
            r#"{{"apiVersion":"v1","kind":"Config","current-context":"a","clusters":[{{"name":"a","cluster":{{"server":"http://{addr}"}}}}],"users":[{{"name":"a","user":{{}}}}],"contexts":[{{"name":"a","context":{{"cluster":"a","user":"a"}}}}]}}"#
        )
    }
}

async fn serve(listener: std::net::TcpListener, store: Arc<Store>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let store = store.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(store.clone(), request));
            // Whoever leaves in the middle is no concern of ours.
            let _ended = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    store: Arc<Store>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let parts: Vec<&str> = path.split('/').collect();
    let after = |name: &str| {
        let at = parts.iter().position(|part| *part == name)?;
        parts.get(at + 1).copied()
    };
    Ok(match head.method {
        Method::PATCH if path.ends_with("/status") => {
            let (namespace, name) = (after("namespaces"), after("interceptorroutes"));
            let written =
                namespace
                    .zip(name)
                    .zip(status(&body))
                    .and_then(|((namespace, name), status)| {
                        store.write_status(namespace, name, &status)
                    });
            written.map_or_else(missing, json)
        }
        Method::GET if path.contains("/leases/") => store.lease().map_or_else(missing, json),
        Method::POST | Method::PUT if path.contains("/leases") => {
            store.set_lease(body.clone());
            json(body)
        }
        Method::POST => json(body),
        Method::GET if query.contains("watch=true") => {
            let number = |name| parameter(query, name).and_then(|text| text.parse().ok());
            let limit = Duration::from_secs(number("timeoutSeconds").unwrap_or(60));
            watch(
                store,
                kind(path),
                number("resourceVersion").unwrap_or(0),
                limit,
            )
        }
        Method::GET => {
            let number = |name| parameter(query, name).and_then(|text| text.parse().ok());
            list(
                &store,
                kind(path),
                number("continue").unwrap_or(0),
                number("limit").unwrap_or(500),
            )
        }
        _ => missing(),
    })
}

fn kind(path: &str) -> Kind {
    match path.rsplit('/').next() {
        Some("interceptorroutes") => Kind::Routes,
        Some("scaledobjects") => Kind::ScaledObjects,
        Some("services") => Kind::Services,
        Some("endpointslices") => Kind::Slices,
        _ => Kind::Others,
    }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// The status of an object that is applied.
fn status(body: &[u8]) -> Option<String> {
    let object: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(object.get("status")?.to_string())
}

fn list(store: &Store, kind: Kind, from: usize, limit: usize) -> Response<Body> {
    let (items, version, has_more) = store.list(kind, from, limit);
    let next = if has_more {
        format!(r#","continue":"{}""#, from + limit)
    } else {
        String::new()
    };
    let head = format!(
        r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"{next}}},"items":["#
    );
    json(
        [head.as_bytes(), &items.join(&b","[..]), b"]}"]
            .concat()
            .into(),
    )
}

fn watch(store: Arc<Store>, kind: Kind, from: u64, limit: Duration) -> Response<Body> {
    let versions = store.versions();
    let end = Instant::now() + limit;
    let lines = futures_util::stream::unfold((from, versions), move |(from, mut versions)| {
        let store = store.clone();
        async move {
            loop {
                versions.mark_unchanged();
                let (lines, now) = store.since(kind, from);
                if !lines.is_empty() {
                    let frame = Frame::data(Bytes::from(lines.concat()));
                    return Some((Ok(frame), (now, versions)));
                }
                tokio::select! {
                    changed = versions.changed() => changed.ok()?,
                    () = tokio::time::sleep_until(end) => return None,
                }
            }
        }
    });
    Response::new(StreamBody::new(lines).boxed_unsync())
}

fn json(body: Bytes) -> Response<Body> {
    let mut answer = Response::new(Full::new(body).boxed_unsync());
    let json = http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

fn missing() -> Response<Body> {
    let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":404,"reason":"NotFound","message":"not found"}"#;
    let mut answer = json(body.into());
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}
