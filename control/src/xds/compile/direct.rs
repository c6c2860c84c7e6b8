//! May Envoy send the requests of a route to endpoints itself, and how?
//!
//! As our own proxy does, or not at all: what it checks, Envoy checks.

use proxy::{
    Endpoint, EndpointSet, Protocol,
    route::Route,
    tls::{Connector, Spoken},
};
use serde::Serialize;
use std::sync::Arc;

/// What stands against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Indirect {
    /// A client stays with one endpoint by a cookie that only our proxy reads.
    Session,
    /// Most requests at once for each endpoint: that many over all proxies, and
    /// who finds no place waits. Envoy knows limits of its own, and refuses.
    ConcurrencyLimit,
    /// The route limits the time from the request to the head of the response.
    /// Envoy's limit of a try would count the hold, too.
    ResponseHeaderTimeout,
    /// Our proxy shows its endpoints a certificate. Nobody else gets the key.
    ClientCertificate,
    /// No TLS handshake of our proxy with its endpoints has ended well: it is
    /// not known what they speak.
    NoHandshake,
}

impl Indirect {
    /// What stands against it for `route`, whoever serves it, if anything does.
    pub(crate) fn of(route: &Route) -> Option<Self> {
        let limit = route.timeouts.response_header;
        if route.session.is_some() {
            Some(Self::Session)
        } else if route.target.max_concurrency().is_some() {
            Some(Self::ConcurrencyLimit)
        } else if limit.is_some_and(|limit| !limit.is_zero()) {
            Some(Self::ResponseHeaderTimeout)
        } else {
            None
        }
    }

    /// What stands against it for these endpoints.
    pub(crate) fn of_endpoints(endpoints: &EndpointSet) -> Option<Self> {
        let shows = |endpoint: &Arc<Endpoint>| {
            let tls = endpoint.tls();
            tls.is_some_and(|(connector, _)| connector.terms().shows_certificate)
        };
        endpoints
            .iter()
            .any(shows)
            .then_some(Self::ClientCertificate)
    }
}

/// How Envoy talks to endpoints.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// In clear text.
    Clear(Protocol),
    /// Over TLS, on these terms: they chose that when our proxy connected.
    Tls(Spoken, Arc<Connector>),
}

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Clear(one), Self::Clear(other)) => one == other,
            (Self::Tls(one, on), Self::Tls(other, others)) => {
                one == other && on.terms() == others.terms()
            }
            _ => false,
        }
    }
}

impl Way {
    /// The first that is known of any of them. `None`: there is none, or none
    /// that Envoy may go.
    pub(crate) fn of(endpoints: &EndpointSet) -> Option<Self> {
        endpoints.iter().find_map(|endpoint| {
            if let Some(protocol) = endpoint.clear_protocol() {
                return Some(Self::Clear(protocol));
            }
            let (connector, spoken) = endpoint.tls()?;
            let is_ours_alone = connector.terms().shows_certificate;
            let spoken = spoken.filter(|_| !is_ours_alone)?;
            Some(Self::Tls(spoken, connector.clone()))
        })
    }

    /// May Envoy go to `endpoint` by it? One that our proxy has not connected
    /// to yet is taken for one like the others.
    pub(crate) fn leads_to(&self, endpoint: &Endpoint) -> bool {
        match (self, endpoint.tls()) {
            (Self::Clear(protocol), None) => endpoint.clear_protocol() == Some(*protocol),
            (Self::Tls(spoken, on), Some((connector, theirs))) => {
                on.terms() == connector.terms() && theirs.is_none_or(|theirs| theirs == *spoken)
            }
            _ => false,
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(..))
    }

    /// Are connections switched to another protocol for our proxy alone? It
    /// makes one of HTTP/1.1 then; Envoy would ask for RFC 8441, which few
    /// servers know.
    pub(crate) fn keeps_upgrades(&self) -> bool {
        matches!(self, Self::Tls(Spoken::H2, _))
    }
}

/// Could Envoy go to it, if it were known what it chooses?
pub(crate) fn is_unheard(endpoint: &Endpoint) -> bool {
    let is_ours_alone = |connector: &Connector| connector.terms().shows_certificate;
    matches!(endpoint.tls(), Some((connector, None)) if !is_ours_alone(connector))
}

/// What those endpoints chose that speak TLS: it may change while they stay.
pub(crate) fn chosen(endpoints: &EndpointSet) -> Vec<Option<Spoken>> {
    let tls = endpoints.iter().filter_map(|endpoint| endpoint.tls());
    tls.map(|(_, spoken)| spoken).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxy::{
        Changes,
        tls::{Tls, UpstreamTls},
    };

    fn connector(server_name: &str) -> Arc<Connector> {
        let settings = UpstreamTls {
            server_name: Some(server_name.to_owned()),
            insecure_skip_verify: true,
            ..UpstreamTls::default()
        };
        let connector = Tls::none().connector(&settings, "web.default", false);
        connector.expect("good settings")
    }

    fn over_tls(connector: &Arc<Connector>) -> Arc<Endpoint> {
        let (addr, changes) = (([127, 0, 0, 1], 1).into(), Arc::<Changes>::default());
        Arc::new(Endpoint::over_tls(addr, "a", connector.clone(), 1, changes))
    }

    fn clear(protocol: Protocol) -> Arc<Endpoint> {
        Arc::new(Endpoint::new(([127, 0, 0, 1], 2).into(), "b", protocol, 1))
    }

    #[test]
    fn nobody_is_gone_to_before_it_is_known_what_is_spoken() {
        let unknown = EndpointSet::new(vec![over_tls(&connector("a.test"))]);
        assert_eq!(Way::of(&unknown), None);
        assert_eq!(Indirect::of_endpoints(&unknown), None);
        assert_eq!(Way::of(&EndpointSet::empty()), None);
        let mixed = vec![over_tls(&connector("a.test")), clear(Protocol::H2c)];
        let way = Way::of(&EndpointSet::new(mixed));
        assert_eq!(way, Some(Way::Clear(Protocol::H2c)));
    }

    #[test]
    fn a_way_leads_to_endpoints_of_its_terms_alone() {
        let ours = connector("a.test");
        let way = Way::Tls(Spoken::H2, ours.clone());
        // Other settings, other terms; the same ones loaded anew are the same.
        for (endpoint, is_led_to) in [
            (over_tls(&ours), true),
            (over_tls(&connector("a.test")), true),
            (over_tls(&connector("b.test")), false),
            (clear(Protocol::Http1), false),
        ] {
            assert_eq!(way.leads_to(&endpoint), is_led_to, "{endpoint:?}");
        }
        let way = Way::Clear(Protocol::Http1);
        assert!(way.leads_to(&clear(Protocol::Http1)));
        assert!(!way.leads_to(&clear(Protocol::H2c)));
        assert!(!way.leads_to(&over_tls(&ours)));
    }
}
