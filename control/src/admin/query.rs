//! `/api/v1/query`: what a query makes of the stored series. Read-only.
//!
//! Prometheus' instant query, by GET, by form and as JSON; other parameters
//! than those named here are ignored, as clients of Prometheus send more.

use crate::{manifest::duration, query::wire::Reply};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use scaler::{
    query::{self, Query},
    series::{Store, unix_ms},
};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// The longest request body, in bytes: a query is at most 4 KiB.
const MAX_BODY: usize = 16 << 10;
/// The window of an operation where none is given, as for triggers.
const WINDOW: Duration = Duration::from_secs(60);

/// The route, over this store.
pub(super) fn router(store: Arc<Store>) -> Router {
    Router::new()
        .route("/api/v1/query", get(by_get).post(by_post))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(store)
}

/// What is asked, however it was sent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Ask {
    query: Option<String>,
    /// Seconds since the Unix epoch.
    time: Option<Time>,
    operation_over_time: Option<String>,
    window: Option<String>,
}

/// A number, which clients also send as text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Time {
    Number(f64),
    Text(String),
}

/// An answer that is none.
type Refusal = (StatusCode, Json<Reply>);

fn bad(error: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, Json(Reply::bad(error)))
}

async fn by_get(State(store): State<Arc<Store>>, RawQuery(text): RawQuery) -> Response {
    let ask = asked(pairs(&text.unwrap_or_default()));
    answer(store, ask).await
}

async fn by_post(State(store): State<Arc<Store>>, headers: HeaderMap, body: Bytes) -> Response {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let ask = match kind {
        Some("application/json") => match serde_json::from_slice(&body) {
            Ok(ask) => ask,
            Err(error) => {
                return bad(format!("the body is not the JSON of a query: {error}"))
                    .into_response();
            }
        },
        Some("application/x-www-form-urlencoded") => match std::str::from_utf8(&body) {
            Ok(text) => asked(pairs(text)),
            Err(_) => return bad("the form is not UTF-8").into_response(),
        },
        _ => {
            let said =
                "the Content-Type must be application/json or application/x-www-form-urlencoded";
            let reply = Json(Reply::bad(said));
            return (StatusCode::UNSUPPORTED_MEDIA_TYPE, reply).into_response();
        }
    };
    answer(store, ask).await
}

async fn answer(store: Arc<Store>, ask: Ask) -> Response {
    // Off the threads that serve KEDA: a query may go through all series.
    let evaluated = tokio::task::spawn_blocking(move || evaluate(&store, &ask)).await;
    match evaluated {
        Ok(Ok(reply)) => Json(reply).into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn evaluate(store: &Store, ask: &Ask) -> Result<Reply, Refusal> {
    let text = ask
        .query
        .as_deref()
        .ok_or_else(|| bad("query is missing"))?;
    let now_ms = unix_ms();
    let at_ms = match &ask.time {
        None => now_ms,
        Some(time) => milliseconds(time)?,
    };
    let query = match &ask.operation_over_time {
        None if ask.window.is_some() => {
            return Err(bad("window goes with operationOverTime"));
        }
        None => Query::promql(text),
        Some(word) => {
            let operation = word
                .parse()
                .map_err(|error: query::UnknownOperation| bad(error.to_string()))?;
            let window = match ask.window.as_deref().map(duration::parse) {
                None => WINDOW,
                Some(Ok(window)) if !window.is_zero() => window,
                Some(Ok(_)) => return Err(bad("window must be more than zero")),
                Some(Err(error)) => return Err(bad(format!("window: {error}"))),
            };
            Query::trigger(text, Some(operation), window)
        }
    };
    let query = query.map_err(|error| (StatusCode::BAD_REQUEST, Json(Reply::from(&error))))?;
    match query.answer(store, at_ms) {
        Ok(answer) => Ok(Reply::success(&answer, query.reading(), at_ms, now_ms)),
        Err(error) => {
            let reply = Json(Reply::unanswerable(error.to_string()));
            Err((StatusCode::UNPROCESSABLE_ENTITY, reply))
        }
    }
}

/// # Errors
/// For what is no number, and for times that do not fit.
fn milliseconds(time: &Time) -> Result<i64, Refusal> {
    /// About the year 5138.
    const MOST: f64 = 1e11;
    let seconds = match time {
        Time::Number(seconds) => Some(*seconds),
        Time::Text(text) => text.parse().ok(),
    };
    seconds
        .filter(|seconds| (0.0..MOST).contains(seconds))
        .map(|seconds| (seconds * 1000.0) as i64)
        .ok_or_else(|| bad("time must be in seconds since 1970, such as 1700000000.5"))
}

fn asked(pairs: Vec<(String, String)>) -> Ask {
    let mut ask = Ask::default();
    for (name, value) in pairs {
        match &*name {
            "query" => ask.query = Some(value),
            "time" => ask.time = Some(Time::Text(value)),
            "operationOverTime" => ask.operation_over_time = Some(value),
            "window" => ask.window = Some(value),
            _ => {}
        }
    }
    ask
}

/// The pairs of a form or of a URL's query.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let decoded = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8_lossy()
            .into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

#[cfg(test)]
mod tests;
