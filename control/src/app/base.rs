//! What both modes stand on: everything bound and loaded, telemetry, the proxy
//! and its ledger. Nobody connects yet.
//!
//! Made first by the composition root. It must never know what is served.

use super::{
    Addresses, Settings, Stops,
    listen::{
        all_or_every_problem, bind_all, load_grpc_tls, load_ingest_tls, load_peers_tls,
        load_xds_tls, local_addr,
    },
    scaling::ScalingPorts,
    telemetry::Telemetry,
};
use crate::{
    admin::Access,
    ingest::{Ingest, Port, Ports},
    xds::XdsPort,
};
use anyhow::Context;
use proxy::{
    Clock, DemandSink, Proxy, ProxyConfig,
    tls::{Offers, Tls},
};
use scaler::Ledger;
use std::{net::TcpListener, sync::Arc};

/// What is there before anything is served.
pub(super) struct Base {
    pub(super) settings: Settings,
    pub(super) addresses: Addresses,
    pub(super) telemetry: Telemetry,
    pub(super) proxy: Arc<Proxy>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) ingest: Ingest,
    pub(super) stops: Stops,
    pub(super) access: Arc<Access>,
}

/// Bound and loaded, and not listened to yet.
pub(super) struct Listeners {
    pub(super) proxy: TcpListener,
    pub(super) proxy_tls: Option<TcpListener>,
    pub(super) scaling: ScalingPorts,
    pub(super) xds: Option<XdsPort>,
    pub(super) admin: TcpListener,
}

impl Base {
    /// Binds all addresses and starts the proxy's workers. `problems` are those
    /// with TLS so far; `sink`, made of the ledger, is told when somebody waits.
    ///
    /// # Errors
    /// All TLS settings that cannot be used and all addresses that cannot be
    /// bound, together; workers that cannot be started. Nothing is left running.
    pub(super) fn start(
        settings: Settings,
        tls: Arc<Tls>,
        mut problems: Vec<String>,
        sink: impl FnOnce(Arc<Ledger>) -> Arc<dyn DemandSink>,
    ) -> anyhow::Result<(Self, Listeners)> {
        let grpc_tls = load_grpc_tls(&settings.grpc, &tls, &mut problems);
        let to_peers = load_peers_tls(&settings, &tls, &mut problems);
        // Each is loaded even if nothing listens: what is wrong is said.
        let [otlp_grpc_tls, otlp_http_tls, opencensus_tls] = [
            ("otlp-grpc", Offers::Http2Only),
            ("otlp-http", Offers::Http1Only),
            ("opencensus", Offers::Http2Only),
        ]
        .map(|(name, offers)| load_ingest_tls(name, offers, &settings.ingest, &tls, &mut problems));
        let (access, access_problem) = match Access::load(settings.access.clone()) {
            Ok(access) => (Some(Arc::new(access)), None),
            Err(problem) => (None, Some(problem)),
        };
        let xds_tls = load_xds_tls(settings.xds.as_ref(), &tls, &mut problems);
        let has_tls = settings.tls.server.is_some();
        let bound = bind_all([
            ("proxy", Some(settings.proxy_addr)),
            ("proxy-tls", has_tls.then_some(settings.proxy_tls_addr)),
            ("grpc", Some(settings.grpc_addr)),
            ("admin", Some(settings.admin_addr)),
            ("otlp-grpc", settings.ingest.otlp_grpc_addr),
            ("otlp-http", settings.ingest.otlp_http_addr),
            ("opencensus", settings.ingest.opencensus_addr),
            ("xds", settings.xds.as_ref().map(|xds| xds.addr)),
        ]);
        let [
            proxy,
            proxy_tls,
            grpc,
            admin,
            otlp_grpc,
            otlp_http,
            opencensus,
            xds,
        ] = all_or_every_problem(bound, &problems, access_problem.as_deref())?;
        let addresses = Addresses {
            proxy: local_addr(proxy.as_ref())?.expect("an address was given"),
            proxy_tls: local_addr(proxy_tls.as_ref())?,
            grpc: local_addr(grpc.as_ref())?.expect("an address was given"),
            admin: local_addr(admin.as_ref())?.expect("an address was given"),
            otlp_grpc: local_addr(otlp_grpc.as_ref())?,
            otlp_http: local_addr(otlp_http.as_ref())?,
            opencensus: local_addr(opencensus.as_ref())?,
            xds: local_addr(xds.as_ref())?,
        };
        let port =
            |listener: Option<TcpListener>, tls| listener.map(|listener| Port { listener, tls });
        let listeners = Listeners {
            proxy: proxy.expect("an address was given"),
            proxy_tls,
            scaling: ScalingPorts {
                grpc: grpc.expect("an address was given"),
                grpc_tls,
                to_peers,
                ingest: Ports {
                    otlp_grpc: port(otlp_grpc, otlp_grpc_tls),
                    otlp_http: port(otlp_http, otlp_http_tls),
                    opencensus: port(opencensus, opencensus_tls),
                },
            },
            xds: xds.map(|listener| XdsPort {
                listener,
                tls: xds_tls,
            }),
            admin: admin.expect("an address was given"),
        };

        let stops = Stops::default();
        let mut telemetry = Telemetry::start(&settings, &stops.telemetry)?;
        let config = ProxyConfig {
            observe: std::mem::take(&mut telemetry.observe),
            ..settings.proxy.clone()
        };
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(settings.ledger, clock));
        if let Some(xds) = &settings.xds {
            ledger.expect_reports(xds.load_grace);
        }
        let proxy = Proxy::with_tls(config, clock, sink(ledger.clone()), tls)
            .context("the proxy's workers cannot be started")?;
        let base = Self {
            ingest: Ingest::new(&settings.ingest),
            settings,
            addresses,
            telemetry,
            proxy: Arc::new(proxy),
            ledger,
            stops,
            access: access.expect("its problem was reported"),
        };
        Ok((base, listeners))
    }
}
