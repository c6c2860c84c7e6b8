//! `GET /api/v1/series`: what is stored, page by page.

use super::Admin;
use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use scaler::series::{METRIC_NAME, MatchOp, Matcher, Point, SeriesView};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Most series of a page.
const MOST: usize = 1_000;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The metric's name, in any spelling.
    name: Option<String>,
    /// How many series.
    #[serde(default = "page")]
    limit: usize,
    /// `next` of the page before.
    #[serde(default)]
    from: u32,
}

fn page() -> usize {
    100
}

/// A page of series.
#[derive(Debug, Serialize)]
pub(super) struct PageView {
    series: Vec<View>,
    /// `from` of the next page; not there at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    labels: BTreeMap<String, String>,
    points: usize,
    needed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Last>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Last {
    at_ms: i64,
    /// As text: JSON has no infinity. `null`: the series has ended.
    value: Option<String>,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Query(asked): Query<Asked>,
) -> Result<Json<PageView>, (StatusCode, String)> {
    if !(1..=MOST).contains(&asked.limit) {
        let message = format!("limit: from 1 to {MOST}\n");
        return Err((StatusCode::BAD_REQUEST, message));
    }
    let by_name = asked
        .name
        .map(|name| Matcher::new(METRIC_NAME, MatchOp::Equal, &name))
        .transpose()
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("name: {error}\n")))?;
    let store = &admin.ingest.store;
    let page = store.list(by_name.as_slice(), asked.from, asked.limit);
    Ok(Json(PageView {
        series: page.series.iter().map(view).collect(),
        next: page.next,
    }))
}

fn view(series: &SeriesView) -> View {
    let last = |point: Point| Last {
        at_ms: point.at_ms,
        value: (!point.is_stale()).then(|| point.value.to_string()),
    };
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    View {
        labels: series.labels.iter().map(owned).collect(),
        points: series.points,
        needed: series.needed,
        last: series.last.map(last),
    }
}
