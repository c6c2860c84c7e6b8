//! How KEDA reaches the scaler, as the triggers that are made of HTTPScaledObjects say it.
//!
//! `equivalent.rs` writes triggers with it; the command line of Kubernetes mode reads it. Whether
//! the objects that it names exist is KEDA's to find out.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

/// Where KEDA finds the scaler, and how it speaks to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalerRef {
    /// `HOST:PORT`, as KEDA dials it.
    pub address: String,
    /// The port speaks TLS only.
    pub is_tls: bool,
    /// Where KEDA has certificates and authorities from; `None`: it needs none.
    pub authentication: Option<AuthenticationRef>,
}

/// A trigger's `authenticationRef`: `KIND/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticationRef {
    kind: &'static str,
    name: String,
}

/// The kinds that KEDA knows (`AuthenticationRef` in its `scaletriggers_types.go`).
const KINDS: [&str; 2] = ["ClusterTriggerAuthentication", "TriggerAuthentication"];

impl ScalerRef {
    /// In the clear, without a certificate.
    #[must_use]
    pub fn plain(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            is_tls: false,
            authentication: None,
        }
    }

    /// The trigger of a ScaledObject whose key `key` names `name`.
    pub(super) fn trigger(&self, key: &str, name: &str) -> Value {
        let mut trigger = json!({
            "type": "external-push",
            "metadata": {"scalerAddress": self.address, key: name},
        });
        if self.is_tls {
            // KEDA speaks TLS by itself only where it has a certificate or an authority.
            trigger["metadata"]["enableTLS"] = "true".into();
        }
        if let Some(AuthenticationRef { kind, name }) = &self.authentication {
            trigger["authenticationRef"] = json!({"kind": kind, "name": name});
        }
        trigger
    }
}

impl FromStr for AuthenticationRef {
    type Err = String;

    /// `ClusterTriggerAuthentication/NAME` or `TriggerAuthentication/NAME`.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not {}/NAME or {}/NAME", KINDS[0], KINDS[1]);
        let (kind, name) = text.split_once('/').ok_or_else(bad)?;
        let kind = KINDS.into_iter().find(|known| *known == kind);
        let kind = kind.ok_or_else(bad)?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_name = name.len() <= 253
            && name.chars().all(fits)
            && name.starts_with(is_edge)
            && name.ends_with(is_edge);
        if !is_name {
            return Err(format!("{name:?} in {text:?} is not the name of an object"));
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for AuthenticationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authentication_is_named_with_its_kind() {
        for text in [
            "ClusterTriggerAuthentication/a.b",
            "TriggerAuthentication/0",
        ] {
            let read: AuthenticationRef = text.parse().expect("valid");
            assert_eq!(read.to_string(), text);
        }
        for text in [
            "scaler",
            "Secret/a",
            "TriggerAuthentication/",
            "TriggerAuthentication/A",
            "TriggerAuthentication/a/b",
            "TriggerAuthentication/-a",
        ] {
            let why = text.parse::<AuthenticationRef>().expect_err(text);
            assert!(why.contains(text), "{why}");
        }
    }

    #[test]
    fn a_trigger_says_how_the_scaler_is_spoken_to() {
        let mut scaler = ScalerRef::plain("scaler:1");
        let plain = json!({"type": "external-push",
            "metadata": {"scalerAddress": "scaler:1", "httpScaledObject": "web"}});
        assert_eq!(scaler.trigger("httpScaledObject", "web"), plain);
        scaler.is_tls = true;
        scaler.authentication = "ClusterTriggerAuthentication/a".parse().ok();
        let mut secured = plain;
        secured["metadata"]["enableTLS"] = "true".into();
        secured["authenticationRef"] = json!({"kind": "ClusterTriggerAuthentication", "name": "a"});
        assert_eq!(scaler.trigger("httpScaledObject", "web"), secured);
    }
}
