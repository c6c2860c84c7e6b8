//! `/api/v1/sources`: the pages that are fetched, and what came of it.

use super::Admin;
use scaler::ingest::prometheus::{SourceReading, TargetReading};
use serde::Serialize;
use std::collections::BTreeMap;

/// All sources.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SourcesView {
    sources: Vec<SourceView>,
}

/// A MetricSource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceView {
    /// `namespace/name`.
    name: String,
    /// Why its targets are not what they should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Pages that were read, and that were not to be had.
    pages: u64,
    failures: u64,
    targets: Vec<TargetView>,
}

/// One target of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetView {
    address: String,
    /// Those that its series get.
    labels: BTreeMap<String, String>,
    /// `up`, `down`, `waiting` for the first try, or `elsewhere`: another
    /// replica fetches it.
    state: &'static str,
    /// Of the last try.
    #[serde(flatten)]
    last: Option<LastView>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LastView {
    /// When it was, in Unix time.
    last_scrape_at: i64,
    duration_seconds: f64,
    /// Samples that were stored, and lines and samples that were not.
    samples: u64,
    dropped: u64,
    /// Why they were not.
    #[serde(skip_serializing_if = "String::is_empty")]
    problems: String,
    /// Of the page, after decompression.
    bytes: usize,
    /// Why there was no page.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

pub(super) fn view(admin: &Admin) -> SourcesView {
    let sources = admin.ingest.scraper.read().into_iter();
    SourcesView {
        sources: sources.map(source).collect(),
    }
}

fn source(source: SourceReading) -> SourceView {
    SourceView {
        name: source.id.to_string(),
        problem: source.problem,
        pages: source.pages,
        failures: source.failures,
        targets: source.targets.into_iter().map(target).collect(),
    }
}

fn target(target: TargetReading) -> TargetView {
    let state = match &target.last {
        _ if target.is_elsewhere => "elsewhere",
        None => "waiting",
        Some(last) if last.error.is_some() => "down",
        Some(_) => "up",
    };
    TargetView {
        address: target.address,
        labels: target.labels,
        state,
        last: target.last.map(|last| LastView {
            last_scrape_at: last.at_ms / 1000,
            duration_seconds: last.took.as_secs_f64(),
            samples: last.samples,
            dropped: last.dropped,
            problems: last.problems,
            bytes: last.bytes,
            last_error: last.error,
        }),
    }
}
