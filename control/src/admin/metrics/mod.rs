//! `/metrics`: the HTTP add-on's three metrics under their names and labels,
//! and Reveille's own; a file per topic.
//!
//! Nothing is kept for the scrape: every value is read from the part that
//! counts it, at the moment it is asked for.

mod clients;
mod grpc;
mod holds;
mod ingest;
mod keda;
mod kubernetes;
mod manifests;
mod observe;
mod page;
mod peers;
mod program;
mod requests;
mod scrape;
mod tls;
mod upstream;
mod workloads;
mod xds;

use super::Admin;
use page::Page;
use prometheus_client::{
    encoding::{DescriptorEncoder, text},
    registry::Registry,
};
use std::{fmt, sync::Arc};

/// What `/metrics` says it is.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The whole page.
pub(super) fn render(admin: &Arc<Admin>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collector(admin.clone())));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

#[derive(Debug)]
struct Collector(Arc<Admin>);

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let admin = &self.0;
        let mut page = Page::new(&mut encoder);
        requests::requests(admin, &mut page)?;
        holds::holds(admin, &mut page)?;
        upstream::upstream(admin, &mut page)?;
        clients::clients(admin, &mut page)?;
        observe::observe(admin, &mut page)?;
        tls::tls(admin, &mut page)?;
        workloads::workloads(admin, &mut page)?;
        grpc::grpc(admin, &mut page)?;
        keda::keda(admin, &mut page)?;
        peers::peers(admin, &mut page)?;
        xds::xds(admin, &mut page)?;
        ingest::ingest(admin, &mut page)?;
        scrape::scrape(admin, &mut page)?;
        manifests::manifests(admin, &mut page)?;
        kubernetes::kubernetes(admin, &mut page)?;
        program::program(admin, &mut page)
    }
}
