//! What is fetched: sources of metrics and their targets.

use super::page::{Labels, Page};
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use scaler::ingest::prometheus::{LastScrape, SourceReading};
use std::fmt;

/// One number of a source.
type Count = fn(&SourceReading) -> u64;

/// A series per source: of single targets tells `/api/v1/sources`.
pub(super) fn scrape(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let sources = admin.ingest.scraper.read();
    let gauges: [(&str, &str, Count); 3] = [
        (
            "reveille_scrape_targets",
            "Targets of a source, without those that another replica fetches",
            |source| {
                let ours = source.targets.iter().filter(|target| !target.is_elsewhere);
                ours.count() as u64
            },
        ),
        (
            "reveille_scrape_targets_up",
            "Targets of a source whose last page was read",
            |source| {
                let up = last(source).filter(|last| last.error.is_none());
                up.count() as u64
            },
        ),
        (
            "reveille_scrape_samples",
            "Samples that were stored of the last pages of a source",
            |source| last(source).map(|last| last.samples).sum(),
        ),
    ];
    for (name, help, count) in gauges {
        page.family(name, help, MetricType::Gauge, |family| {
            let mut all = sources.iter();
            all.try_for_each(|source| family.gauge(&labels(source), count(source)))
        })?;
    }
    let counters: [(&str, &str, Count); 3] = [
        ("reveille_scrape_pages", "Pages that were read", |source| {
            source.pages
        }),
        (
            "reveille_scrape_failures",
            "Pages that were not to be had: why, tells /api/v1/sources",
            |source| source.failures,
        ),
        (
            "reveille_scrape_page_bytes",
            "Bytes of pages, after decompression",
            |source| source.bytes,
        ),
    ];
    for (name, help, count) in counters {
        page.family(name, help, MetricType::Counter, |family| {
            let mut all = sources.iter();
            all.try_for_each(|source| family.counter(&labels(source), count(source)))
        })?;
    }
    page.gauge_seconds(
        "reveille_scrape_duration",
        "How long the slowest of the last pages of a source took",
        |family| {
            let mut all = sources.iter();
            all.try_for_each(|source| {
                let slowest = last(source).map(|last| last.took).max();
                let slowest = slowest.unwrap_or_default().as_secs_f64();
                family.fraction(&labels(source), slowest)
            })
        },
    )
}

fn last(source: &SourceReading) -> impl Iterator<Item = &LastScrape> {
    let targets = source.targets.iter();
    targets.filter_map(|target| target.last.as_ref())
}

fn labels(source: &SourceReading) -> Labels<2> {
    [
        ("source_name", source.id.name.clone()),
        ("source_namespace", source.id.namespace.clone()),
    ]
}
