//! All of TLS in one process: loads it, looks at its files again and again,
//! says when certificates expire, and counts what goes wrong. It renews every
//! listener and every connector that it has made, whoever uses them.

use super::{
    certificate::{CertificateFacts, CertificateRole},
    config::{Offers, ServerTls, TlsConfig, TlsProblem, UpstreamTls},
    expiry::{self, Notice},
    inbound::Look,
    listener::Listener,
    metrics::TlsMetrics,
    outbound::Connector,
};
use crate::changes::Changes;
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Weak, atomic::Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Everything about TLS in one process.
#[derive(Debug)]
pub struct Tls {
    config: TlsConfig,
    /// The global settings towards endpoints are not usable: reported once.
    upstream_is_bad: bool,
    /// The proxy's own.
    proxy_listener: Option<Arc<Listener>>,
    listeners: Mutex<Vec<Weak<Listener>>>,
    connectors: Mutex<Vec<Weak<Connector>>>,
    metrics: TlsMetrics,
    seen: Mutex<Seen>,
}

/// What was said already.
#[derive(Debug, Default)]
struct Seen {
    problems: BTreeSet<String>,
    /// When a certificate was last looked at, in Unix seconds.
    expiry: HashMap<(CertificateRole, PathBuf, String, i64), i64>,
}

impl Tls {
    /// No listener, and the defaults towards endpoints.
    #[must_use]
    pub fn none() -> Self {
        Self::load(TlsConfig::default()).0
    }

    /// Loads what `config` names. With problems, it is good for nothing but
    /// finding more of them ([`Tls::connector`]).
    #[must_use]
    pub fn load(config: TlsConfig) -> (Self, Vec<TlsProblem>) {
        let mut problems = Vec::new();
        let proxy_listener = config.server.as_ref().and_then(|settings| {
            let limit = config.handshake_timeout;
            let loaded = Listener::load("proxy", settings, Offers::Http, limit);
            loaded.map_err(|found| problems.extend(found)).ok()
        });
        let proxy_listener = proxy_listener.map(Arc::new);
        let upstream = &config.upstream;
        let is_set = *upstream != UpstreamTls::default();
        let tried =
            is_set.then(|| Connector::load(upstream, "any.test", false, config.handshake_timeout));
        let upstream_is_bad = matches!(&tried, Some(Err(_)));
        if let Some(Err(found)) = tried {
            problems.extend(found);
        }
        let tls = Self {
            config,
            upstream_is_bad,
            listeners: Mutex::new(proxy_listener.iter().map(Arc::downgrade).collect()),
            proxy_listener,
            connectors: Mutex::default(),
            metrics: TlsMetrics::default(),
            seen: Mutex::default(),
        };
        (tls, problems)
    }

    /// What shakes hands with the clients of a port beside the proxy's. `name`
    /// is for metrics and logs.
    ///
    /// # Errors
    /// All problems with the settings.
    pub fn listener(
        &self,
        name: &'static str,
        settings: &ServerTls,
        offers: Offers,
    ) -> Result<Arc<Listener>, Vec<TlsProblem>> {
        let limit = self.config.handshake_timeout;
        let listener = Arc::new(Listener::load(name, settings, offers, limit)?);
        self.listeners.lock().push(Arc::downgrade(&listener));
        Ok(listener)
    }

    /// What shakes hands with servers that are no endpoints, such as other
    /// replicas: nothing is taken from the settings towards endpoints. Use it
    /// with [`Connector::connect_h2`].
    ///
    /// # Errors
    /// All problems with the settings.
    pub fn client(&self, settings: &UpstreamTls) -> Result<Arc<Connector>, Vec<TlsProblem>> {
        // Each connection says whom it wants, unless the settings do.
        let limit = self.config.handshake_timeout;
        let connector = Arc::new(Connector::load(settings, "unnamed", false, limit)?);
        self.connectors.lock().push(Arc::downgrade(&connector));
        Ok(connector)
    }

    /// What shakes hands with the endpoints of one service. What `settings`
    /// leave open is as set for all; `service` is the name that certificates
    /// must have where no setting gives one. With `http1_only`, HTTP/2 is not
    /// offered.
    ///
    /// # Errors
    /// All problems with the service's own settings.
    pub fn connector(
        &self,
        settings: &UpstreamTls,
        service: &str,
        http1_only: bool,
    ) -> Result<Arc<Connector>, Vec<TlsProblem>> {
        let fallback = if self.upstream_is_bad {
            &UpstreamTls::default()
        } else {
            &self.config.upstream
        };
        let mut merged = settings.clone();
        merged.ca = merged.ca.or_else(|| fallback.ca.clone());
        if merged.client_cert.is_none() && merged.client_key.is_none() {
            merged.client_cert.clone_from(&fallback.client_cert);
            merged.client_key.clone_from(&fallback.client_key);
        }
        merged.server_name = merged.server_name.or_else(|| fallback.server_name.clone());
        merged.insecure_skip_verify |= fallback.insecure_skip_verify;
        let limit = self.config.handshake_timeout;
        let connector = Arc::new(Connector::load(&merged, service, http1_only, limit)?);
        if merged.insecure_skip_verify {
            tracing::warn!(
                service,
                "certificates of endpoints are not verified: anybody could answer for them"
            );
        }
        self.connectors.lock().push(Arc::downgrade(&connector));
        Ok(connector)
    }

    /// Is there anything for the proxy's TLS listener to serve with?
    #[must_use]
    pub fn serves(&self) -> bool {
        self.proxy_listener.is_some()
    }

    /// All listeners that there are now, the proxy's first.
    #[must_use]
    pub fn listeners(&self) -> Vec<Arc<Listener>> {
        alive(&self.listeners)
    }

    /// What is counted, beside the handshakes of each listener.
    #[must_use]
    pub fn metrics(&self) -> &TlsMetrics {
        &self.metrics
    }

    /// The certificates in use, each once.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateFacts> {
        let mut all: Vec<CertificateFacts> = Vec::new();
        let (listeners, connectors) = (self.listeners(), self.connectors());
        let mut lists: Vec<_> = listeners.iter().map(|listener| listener.facts()).collect();
        lists.extend(connectors.iter().map(|connector| connector.facts()));
        for facts in lists.iter().flat_map(|list| list.iter()) {
            let is_it = |known: &&mut CertificateFacts| {
                (known.role, &known.path, &known.subject)
                    == (facts.role, &facts.path, &facts.subject)
            };
            match all.iter_mut().find(is_it) {
                Some(known) => known.not_after = known.not_after.min(facts.not_after),
                None => all.push(facts.clone()),
            }
        }
        all
    }

    pub(crate) fn proxy_listener(&self) -> Option<&Listener> {
        self.proxy_listener.as_deref()
    }

    fn connectors(&self) -> Vec<Arc<Connector>> {
        alive(&self.connectors)
    }

    /// Looks at everything every few seconds, for ever. `changes` is told of
    /// what is other than before.
    pub(crate) async fn watch(self: Arc<Self>, changes: Arc<Changes>) {
        // Reported before the first connection, not an interval later.
        self.warn_of_expiry(unix_now());
        let mut every = tokio::time::interval(self.config.reload_interval);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // At once; everything has just been loaded.
        every.tick().await;
        loop {
            every.tick().await;
            if self.listeners().is_empty() && self.connectors().is_empty() {
                continue;
            }
            let (this, changes) = (self.clone(), changes.clone());
            // Files: not on a worker's thread.
            let look = tokio::task::spawn_blocking(move || {
                if this.look() {
                    changes.tell();
                }
                this.warn_of_expiry(unix_now());
            });
            if let Err(error) = look.await {
                tracing::error!(%error, "looking at certificates crashed");
            }
        }
    }

    /// Takes over what has changed in the files, and logs what cannot be. The
    /// proxy does it every [`TlsConfig::reload_interval`]. Reads files: not for
    /// a worker's thread.
    pub fn refresh(&self) {
        self.look();
    }

    /// Says whether anything has changed.
    fn look(&self) -> bool {
        let (listeners, connectors) = (self.listeners(), self.connectors());
        let mut looks: Vec<Look> = listeners
            .iter()
            .map(|listener| listener.refresh())
            .collect();
        looks.extend(connectors.iter().map(|connector| connector.refresh()));
        let reloads = looks.iter().filter(|look| look.is_changed).count();
        if reloads > 0 {
            let count = reloads as u64;
            self.metrics.reloads.fetch_add(count, Ordering::Relaxed);
            tracing::info!("certificates reloaded; open connections keep the old ones");
        }
        let problems = looks.iter().flat_map(|look| &look.problems);
        let problems: BTreeSet<String> = problems.map(ToString::to_string).collect();
        let mut seen = self.seen.lock();
        for problem in problems.difference(&seen.problems) {
            let failures = &self.metrics.reload_failures;
            failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!("not reloaded, what was in use stays: {problem}");
        }
        seen.problems = problems;
        reloads > 0
    }

    fn warn_of_expiry(&self, now: i64) {
        let certificates = self.certificates();
        let mut seen = self.seen.lock();
        let mut looked_at = HashMap::new();
        for facts in certificates {
            let (role, path, subject) = (facts.role.as_str(), facts.path.display(), &facts.subject);
            let key = (
                facts.role,
                facts.path.clone(),
                facts.subject.clone(),
                facts.not_after,
            );
            let last = seen.expiry.get(&key).copied();
            match expiry::due(facts.not_after, last, now) {
                Some(Notice::Expired) => {
                    tracing::error!(role, %path, subject, "certificate has expired: renew it");
                }
                Some(Notice::Within(_)) => {
                    let days_left = expiry::days_left(facts.not_after, now);
                    tracing::warn!(role, %path, subject, days_left, "certificate expires soon");
                }
                None => {}
            }
            looked_at.insert(key, last.map_or(now, |last| last.max(now)));
        }
        seen.expiry = looked_at;
    }
}

/// Those that somebody still uses; the others are forgotten.
fn alive<T>(known: &Mutex<Vec<Weak<T>>>) -> Vec<Arc<T>> {
    let mut known = known.lock();
    known.retain(|one| one.strong_count() > 0);
    known.iter().filter_map(Weak::upgrade).collect()
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
