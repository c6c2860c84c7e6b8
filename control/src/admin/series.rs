//! `GET /api/v1/series`: what is stored, page by page.

use super::{Admin, query::pairs};
use axum::{
    Json,
    extract::{RawQuery, State},
    http::StatusCode,
};
use scaler::series::{METRIC_NAME, MatchOp, Matcher, Point, SeriesView};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// Most series of a page.
const MOST: usize = 1_000;

/// Most selectors of one question.
const SELECTORS: usize = 16;

/// What is asked for.
#[derive(Debug)]
struct Asked {
    /// The metric's name, in any spelling.
    name: Option<String>,
    /// Selectors, one of which must match: `match[]`, as in Prometheus.
    selectors: Vec<Vec<Matcher>>,
    /// How many series.
    limit: usize,
    /// `next` of the page before.
    from: u32,
}

impl Asked {
    /// From a URL's query.
    ///
    /// # Errors
    /// The parameter, and what is wrong with it.
    fn read(text: &str) -> Result<Self, String> {
        let mut asked = Self {
            name: None,
            selectors: Vec::new(),
            limit: 100,
            from: 0,
        };
        for (name, value) in pairs(text) {
            match &*name {
                "name" => asked.name = Some(value),
                "match[]" if asked.selectors.len() == SELECTORS => {
                    return Err(format!("match[]: at most {SELECTORS} of them"));
                }
                "match[]" => {
                    let selector = scaler::query::Query::selector(&value);
                    let selector = selector.map_err(|error| format!("match[]: {error}"))?;
                    asked.selectors.push(selector);
                }
                "limit" => {
                    let limit = value.parse().ok();
                    let limit = limit.filter(|limit| (1..=MOST).contains(limit));
                    asked.limit = limit.ok_or_else(|| format!("limit: from 1 to {MOST}"))?;
                }
                "from" => {
                    let from = value.parse().ok();
                    asked.from = from.ok_or("from: the next of the page before")?;
                }
                _ => {
                    let known = "name, match[], limit, from";
                    return Err(format!("{name:?} is not known: {known} are"));
                }
            }
        }
        Ok(asked)
    }

    /// What a series must match one of.
    fn wanted(self) -> Result<Vec<Vec<Matcher>>, String> {
        let mut wanted = self.selectors;
        if let Some(name) = self.name {
            let by_name = Matcher::new(METRIC_NAME, MatchOp::Equal, &name)
                .map_err(|error| format!("name: {error}"))?;
            if wanted.is_empty() {
                wanted.push(Vec::new());
            }
            for selector in &mut wanted {
                selector.push(by_name.clone());
            }
        }
        Ok(wanted)
    }
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
    RawQuery(text): RawQuery,
) -> Result<Json<PageView>, (StatusCode, String)> {
    let bad = |message: String| (StatusCode::BAD_REQUEST, format!("{message}\n"));
    let asked = Asked::read(&text.unwrap_or_default()).map_err(bad)?;
    let (from, limit) = (asked.from, asked.limit);
    let wanted = asked.wanted().map_err(bad)?;
    let page = admin.ingest.store.list(&wanted, from, limit);
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
