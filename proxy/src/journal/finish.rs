//! The end of a request, in whatever way: the line of the access log, and the
//! spans.

use super::{
    CLIENT_GONE, Entries,
    blame::Blame,
    phase::{HoldEnd, Phase, PhaseKind},
};
use crate::{
    access_log::Line,
    metrics::MethodLabel,
    trace::{AttributeValue, SpanKind, SpanRecord, TraceContext, hex},
};
use http::Version;
use std::{
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

impl Drop for Entries {
    fn drop(&mut self) {
        let ended_us = self.observe.clock.now_us();
        if self.blame.is_none() {
            let is_cutting = self.observe.is_cutting.load(Ordering::Relaxed);
            self.blame = Some(match is_cutting {
                true => Blame::Proxy,
                false => Blame::Client,
            });
        }
        for phase in &mut self.phases {
            phase.ended_us.get_or_insert(ended_us);
        }
        if let Some(log) = &self.observe.config.access_log {
            log.write(&self.line(ended_us));
        }
        if let (Some(traces), Some(trace)) = (&self.observe.config.traces, &self.trace) {
            traces.sink.finished(self.spans(trace, ended_us));
        }
    }
}

impl Entries {
    fn status(&self) -> u16 {
        self.status.unwrap_or(CLIENT_GONE)
    }

    fn blame(&self) -> Blame {
        self.blame.unwrap_or(Blame::Client)
    }

    fn bytes(&self) -> (u64, u64) {
        match &self.moved {
            None => (self.upload.bytes(), self.bytes_sent),
            Some(moved) => (
                moved.from_client.load(Ordering::Relaxed),
                moved.to_client.load(Ordering::Relaxed),
            ),
        }
    }

    fn held(&self) -> impl Iterator<Item = (&Phase, Option<HoldEnd>)> {
        self.phases.iter().filter_map(|phase| match phase.kind {
            PhaseKind::Hold { end } => Some((phase, end)),
            _ => None,
        })
    }

    fn hold(&self) -> Option<Duration> {
        let us = self.held().map(|(phase, _)| phase.duration_us());
        us.reduce(|sum, one| sum + one).map(Duration::from_micros)
    }

    fn line(&self, ended_us: u64) -> Line<'_> {
        let (request_bytes, bytes) = self.bytes();
        let last = self.phases.iter().rev().find_map(|p| p.endpoint.as_ref());
        Line {
            begun: self.begun_at,
            client: self.client,
            peer: self.peer,
            method: self.method.as_str(),
            target: match self.version {
                // The rest is in `host`.
                Version::HTTP_2 => self.uri.path_and_query().map(ToString::to_string),
                _ => None,
            }
            .unwrap_or_else(|| self.uri.to_string()),
            version: self.version,
            host: self.host.as_ref().map(AsRef::as_ref),
            status: self.status(),
            bytes,
            request_bytes,
            referer: self.referer.as_ref().map(AsRef::as_ref),
            user_agent: self.user_agent.as_ref().map(AsRef::as_ref),
            duration: Duration::from_micros(ended_us.saturating_sub(self.begun_us)),
            hold: self.hold(),
            route: self.target.as_ref().map(|target| target.id()),
            endpoint: last.map(|(name, addr)| (&**name, *addr)),
            retries: self.attempts.saturating_sub(1),
            grpc_status: self.grpc_status.as_ref().map(AsRef::as_ref),
            blame: self.blame(),
            reason: self.refused.as_deref(),
            trace_id: self.trace_id.as_ref().map(|id| hex(id)),
        }
    }

    /// The moment `us` of the proxy's clock, by the wall clock of the begin.
    fn at(&self, us: u64) -> SystemTime {
        self.begun_at + Duration::from_micros(us.saturating_sub(self.begun_us))
    }

    fn spans(&self, trace: &TraceContext, ended_us: u64) -> Vec<SpanRecord> {
        let mut spans = vec![SpanRecord {
            trace_id: trace.trace_id,
            span_id: trace.server,
            parent: trace.parent,
            tracestate: trace.tracestate.clone(),
            kind: SpanKind::Server,
            name: self.method_attribute().to_owned(),
            begin: self.at(self.begun_us),
            end: self.at(ended_us),
            attributes: self.server_attributes(),
            error: (self.status() >= 500 || self.blame() == Blame::Endpoint)
                .then(|| self.refused.clone().unwrap_or_default()),
        }];
        spans.extend(
            self.phases
                .iter()
                .map(|phase| self.phase_span(trace, phase)),
        );
        spans
    }

    fn phase_span(&self, trace: &TraceContext, phase: &Phase) -> SpanRecord {
        let (kind, name) = match phase.kind {
            PhaseKind::Hold { .. } => (SpanKind::Internal, "hold"),
            PhaseKind::Connect => (SpanKind::Internal, "connect"),
            PhaseKind::Upstream { .. } => (SpanKind::Client, "upstream"),
        };
        let mut attributes: Vec<(&'static str, AttributeValue)> = Vec::new();
        if let PhaseKind::Hold { end } = phase.kind {
            let end = end.unwrap_or(HoldEnd::Cancelled);
            attributes.push(("reveille.hold.outcome", end.as_str().into()));
        }
        if let Some((name, addr)) = &phase.endpoint {
            attributes.push(("reveille.endpoint", (&**name).into()));
            attributes.push(("server.address", addr.ip().to_string().into()));
            attributes.push(("server.port", i64::from(addr.port()).into()));
        }
        let mut error = phase.error.clone();
        if let PhaseKind::Upstream { status } = phase.kind {
            attributes.push(("http.request.method", self.method_attribute().into()));
            let earlier = self.phases.iter().take_while(|p| !std::ptr::eq(*p, phase));
            let resent = earlier.filter(|p| p.is_upstream()).count();
            if resent > 0 {
                let resent = i64::try_from(resent).unwrap_or(i64::MAX);
                attributes.push(("http.request.resend_count", resent.into()));
            }
            match status {
                Some(status) => {
                    attributes.push(("http.response.status_code", i64::from(status).into()));
                    if status >= 400 {
                        attributes.push(("error.type", status.to_string().into()));
                        error.get_or_insert_default();
                    }
                }
                None => error = error.or_else(|| self.refused.clone()),
            }
        }
        if error.is_some() && !attributes.iter().any(|(key, _)| *key == "error.type") {
            attributes.push(("error.type", "_OTHER".into()));
        }
        SpanRecord {
            trace_id: trace.trace_id,
            span_id: phase.span_id,
            parent: Some(trace.server),
            tracestate: trace.tracestate.clone(),
            kind,
            name: name.to_owned(),
            begin: self.at(phase.begun_us),
            end: self.at(phase.ended_us.unwrap_or(phase.begun_us)),
            attributes,
            error,
        }
    }

    /// Bounded, as the semantic conventions want it.
    fn method_attribute(&self) -> &'static str {
        MethodLabel::of(&self.method).as_str()
    }

    /// The HTTP semantic conventions' for servers (1.23 and later), and ours.
    fn server_attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        let number = |number: u64| AttributeValue::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let text = |bytes: &[u8]| AttributeValue::Text(String::from_utf8_lossy(bytes).into_owned());
        let (request_bytes, bytes) = self.bytes();
        let method = self.method_attribute();
        let mut all = vec![
            ("http.request.method", method.into()),
            ("url.scheme", self.scheme.into()),
            ("url.path", self.uri.path().into()),
            ("http.response.status_code", number(self.status().into())),
            ("client.address", self.client.to_string().into()),
            ("network.peer.address", self.peer.ip().to_string().into()),
            ("network.peer.port", number(self.peer.port().into())),
            (
                "network.protocol.version",
                match self.version {
                    Version::HTTP_2 => "2",
                    Version::HTTP_10 => "1.0",
                    _ => "1.1",
                }
                .into(),
            ),
            ("http.request.body.size", number(request_bytes)),
            ("http.response.body.size", number(bytes)),
            (
                "reveille.cold_start",
                AttributeValue::Bool(self.hold().is_some()),
            ),
            ("reveille.blame", self.blame().as_str().into()),
        ];
        if method == "_OTHER" {
            all.push(("http.request.method_original", self.method.as_str().into()));
        }
        if let Some(query) = self.uri.query() {
            all.push(("url.query", redacted(query).into()));
        }
        if let Some(host) = &self.host {
            let host = String::from_utf8_lossy(host.as_bytes());
            let (name, port) = match host.rsplit_once(':') {
                Some((name, port)) => match port.parse::<u16>() {
                    Ok(port) => (name, Some(port)),
                    Err(_) => (&*host, None),
                },
                None => (&*host, None),
            };
            all.push(("server.address", name.into()));
            if let Some(port) = port {
                all.push(("server.port", number(port.into())));
            }
        }
        if let Some(agent) = &self.user_agent {
            all.push(("user_agent.original", text(agent.as_bytes())));
        }
        if let Some(target) = &self.target {
            all.push(("reveille.target", target.id().to_string().into()));
        }
        if let Some(status) = &self.grpc_status
            && let Some(code) = status
                .to_str()
                .ok()
                .and_then(|text| text.parse::<u32>().ok())
        {
            all.push(("rpc.system", "grpc".into()));
            all.push(("rpc.grpc.status_code", number(code.into())));
        }
        if self.status() >= 500 {
            all.push(("error.type", self.status().to_string().into()));
        }
        all
    }
}

impl Phase {
    fn duration_us(&self) -> u64 {
        self.ended_us
            .unwrap_or(self.begun_us)
            .saturating_sub(self.begun_us)
    }
}

/// Without what signs a URL: the conventions' list.
fn redacted(query: &str) -> String {
    const SECRET: [&str; 4] = ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key, _)) if SECRET.contains(&key) => format!("{key}=REDACTED"),
        _ => pair.to_owned(),
    };
    query.split('&').map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_not_recorded() {
        assert_eq!(
            redacted("a=1&sig=x=y&b&Signature=z"),
            "a=1&sig=REDACTED&b&Signature=REDACTED"
        );
        assert_eq!(redacted(""), "");
    }
}
