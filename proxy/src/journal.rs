//! The journal of one request: what the access log and its trace will say.
//!
//! `forward.rs` begins it and its parts write into it; it travels with the
//! answer's body and is closed when that ends or is dropped, in whatever way,
//! like the guards beside it. Where nobody wants to know, it is empty, and
//! each entry costs one branch.

mod blame;
mod finish;
mod phase;

pub use blame::Blame;
pub(crate) use phase::HoldEnd;

use crate::{
    access_log::AccessLog,
    clock::Clock,
    endpoint::Endpoint,
    error::Refusal,
    http::body::Upload,
    proxy::Shared,
    server::ClientConnection,
    story::StorySink,
    target::Target,
    trace::{Parent, TraceContext, TraceId, Traces},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use http_body::Frame;
use phase::{Phase, PhaseKind};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What a request that its client abandoned is logged as (nginx's code).
const CLIENT_GONE: u16 = 499;

/// Who wants to know about requests.
#[derive(Clone, Debug, Default)]
pub struct ObserveConfig {
    /// One line for each request.
    pub access_log: Option<AccessLog>,
    /// Spans of some requests.
    pub traces: Option<Traces>,
    /// What becomes of targets.
    pub stories: Option<Arc<dyn StorySink>>,
}

/// The same, for a running proxy.
#[derive(Debug)]
pub(crate) struct Observe {
    config: ObserveConfig,
    is_on: bool,
    clock: Clock,
    /// From now on it is the proxy that cuts connections.
    is_cutting: AtomicBool,
}

impl Observe {
    pub(crate) fn new(config: ObserveConfig, clock: Clock) -> Self {
        Self {
            is_on: config.access_log.is_some() || config.traces.is_some(),
            config,
            clock,
            is_cutting: AtomicBool::new(false),
        }
    }

    /// Whoever is cut off from now on did not leave by itself.
    pub(crate) fn cut_off(&self) {
        self.is_cutting.store(true, Ordering::Relaxed);
    }
}

/// Bytes that a tunnel moved.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) from_client: AtomicU64,
    pub(crate) to_client: AtomicU64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Journal(Option<Box<Entries>>);

/// What is known of a request so far.
#[derive(Debug)]
struct Entries {
    observe: Arc<Observe>,
    begun_us: u64,
    begun_at: SystemTime,
    trace: Option<TraceContext>,
    /// Also of a trace that is not recorded here.
    trace_id: Option<TraceId>,

    client: IpAddr,
    peer: SocketAddr,
    scheme: &'static str,
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    upload: Upload,

    target: Option<Arc<Target>>,
    phases: Vec<Phase>,
    /// How often an endpoint was tried.
    attempts: u32,

    status: Option<u16>,
    grpc_status: Option<HeaderValue>,
    bytes_sent: u64,
    moved: Option<Arc<Moved>>,
    /// Who ended it, once that is known.
    blame: Option<Blame>,
    /// Why it was not served.
    refused: Option<String>,
}

impl Journal {
    /// The journal of a request as it came; empty if nobody wants one.
    pub(crate) fn begin<B>(
        shared: &Shared,
        client: &ClientConnection,
        request: &Request<B>,
        begun_us: u64,
    ) -> Self {
        if !shared.observe.is_on {
            return Self(None);
        }
        let config = &shared.observe.config;
        let headers = request.headers();
        let trace = config.traces.as_ref().and_then(|all| all.begin(headers));
        if trace.is_none() && config.access_log.is_none() {
            return Self(None);
        }
        let trusted = &shared.config.client_address.trusted_proxies;
        let known = trace.as_ref().map(|trace| trace.trace_id);
        let host = match request.uri().authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => headers.get(header::HOST).cloned(),
        };
        Self(Some(Box::new(Entries {
            observe: shared.observe.clone(),
            begun_us,
            begun_at: SystemTime::now(),
            trace_id: known.or_else(|| Parent::of(headers).map(|parent| parent.trace_id)),
            trace,
            client: client.peer.client(headers, trusted),
            peer: client.peer.addr,
            scheme: client.peer.transport.scheme(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host,
            referer: headers.get(header::REFERER).cloned(),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            upload: Upload::none(),
            target: None,
            phases: Vec::new(),
            attempts: 0,
            status: None,
            grpc_status: None,
            bytes_sent: 0,
            moved: None,
            blame: None,
            refused: None,
        })))
    }

    /// Is nothing written down?
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The request has a route.
    pub(crate) fn routed(&mut self, target: &Arc<Target>) {
        if let Some(entries) = &mut self.0 {
            entries.target = Some(target.clone());
        }
    }

    /// It has a body, of which this tells.
    pub(crate) fn upload(&mut self, upload: &Upload) {
        if let Some(entries) = &mut self.0 {
            entries.upload = upload.share();
        }
    }

    /// It waits for an endpoint.
    pub(crate) fn hold_began(&mut self) {
        if let Some(entries) = &mut self.0 {
            entries.phase_began(PhaseKind::Hold { end: None }, None);
        }
    }

    /// The wait is over.
    pub(crate) fn hold_ended(&mut self, end: HoldEnd) {
        if let Some(entries) = &mut self.0 {
            entries.phase_ended(None, |kind| *kind = PhaseKind::Hold { end: Some(end) });
        }
    }

    /// A connection to `endpoint` is being made for it.
    pub(crate) fn connect_began(&mut self, endpoint: &Endpoint) {
        if let Some(entries) = &mut self.0 {
            entries.phase_began(PhaseKind::Connect, Some(endpoint));
        }
    }

    /// The connection is made, or could not be.
    pub(crate) fn connect_ended(&mut self, error: Option<&std::io::Error>) {
        if let Some(entries) = &mut self.0 {
            entries.phase_ended(error.map(ToString::to_string), |_| ());
            entries.resume_upstream();
        }
    }

    /// It is about to be sent to `endpoint`, which is told of the trace.
    pub(crate) fn send_began(&mut self, endpoint: &Endpoint, headers: &mut HeaderMap) {
        if let Some(entries) = &mut self.0 {
            entries.attempts += 1;
            entries.phase_began(PhaseKind::Upstream { status: None }, Some(endpoint));
            if let (Some(trace), Some(phase)) = (&entries.trace, entries.phases.last()) {
                trace.propagate(phase.span_id, headers);
            }
        }
    }

    /// No connection could be made, so it was not sent after all.
    pub(crate) fn not_sent(&mut self) {
        if let Some(entries) = &mut self.0
            && let Some(at) = entries.phases.iter().rposition(Phase::is_upstream)
        {
            entries.phases.remove(at);
        }
    }

    /// No answer came of it.
    pub(crate) fn send_failed(&mut self, error: &dyn std::fmt::Display) {
        if let Some(entries) = &mut self.0 {
            entries.upstream_failed(error.to_string());
        }
    }

    /// The head of an endpoint's answer.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        if let Some(entries) = &mut self.0 {
            entries.status = Some(status.as_u16());
            entries.grpc_status = headers.get(GRPC_STATUS).cloned();
            entries.upstream_answered(status.as_u16());
        }
    }

    /// It is not served, and the client is told so with this status.
    pub(crate) fn refused(&mut self, refusal: &Refusal, status: StatusCode, headers: &HeaderMap) {
        if let Some(entries) = &mut self.0 {
            entries.status = Some(status.as_u16());
            entries.grpc_status = headers.get(GRPC_STATUS).cloned();
            entries.blame = Some(Blame::of(refusal));
            if !matches!(refusal, Refusal::Fixed(_)) {
                entries.refused = Some(refusal.to_string());
            }
        }
    }

    /// A piece of the answer's body goes to the client.
    pub(crate) fn passed(&mut self, frame: &Frame<Bytes>) {
        if let Some(entries) = &mut self.0 {
            if let Some(data) = frame.data_ref() {
                entries.bytes_sent += data.len() as u64;
            } else if let Some(trailers) = frame.trailers_ref() {
                let status = trailers.get(GRPC_STATUS).cloned();
                entries.grpc_status = status.or_else(|| entries.grpc_status.take());
            }
        }
    }

    /// Who ended it, as the first who knows says.
    pub(crate) fn ended_by(&mut self, blame: Blame) {
        if let Some(entries) = &mut self.0 {
            entries.blame.get_or_insert(blame);
        }
    }

    /// It became a tunnel that counts its bytes there.
    pub(crate) fn tunnel(&mut self, moved: &Arc<Moved>) {
        if let Some(entries) = &mut self.0 {
            entries.moved = Some(moved.clone());
        }
    }
}
