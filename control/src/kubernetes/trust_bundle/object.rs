//! What of the Secret and of the ConfigMap of a trust bundle is read.
//!
//! The Secret also holds the issuer's private key. It is passed over in the
//! text of the object: never decoded, never kept, never part of a message.

use super::super::{
    kind::{self, Kind},
    store::{Change, Key},
    watch::Watched,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use proxy::tls::Bundle;
use serde::Deserialize;

/// The key of the certificates that all sidecars trust.
pub(super) const ROOT: &str = "ca.crt";
/// The key of the certificates that sign those of sidecars.
const ISSUER: &str = "issuer.crt";

/// The object that a certificate stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Secret,
    ConfigMap,
}

/// What has changed.
#[derive(Debug)]
pub(in crate::kubernetes) struct BundleNews {
    pub(super) holder: Holder,
    pub(super) change: Change<BundleObject>,
}

/// A trust bundle, from one of its objects.
#[derive(Debug, PartialEq)]
pub(super) struct BundleObject {
    pub(super) uid: String,
    root: Bundle,
    /// `None`: it is no place for one.
    issuer: Option<Bundle>,
}

/// The Secret of a trust bundle.
#[derive(Debug)]
pub(in crate::kubernetes) struct BundleSecret(BundleObject);

/// The ConfigMap of a trust bundle.
#[derive(Debug)]
pub(in crate::kubernetes) struct BundleMap(BundleObject);

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    metadata: RawMeta,
    #[serde(default)]
    data: Option<RawData>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawMeta {
    uid: String,
}

/// Everything else in it is passed over.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawData {
    #[serde(rename = "ca.crt")]
    root: Option<String>,
    #[serde(rename = "issuer.crt")]
    issuer: Option<String>,
}

impl Holder {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
        }
    }
}

impl BundleObject {
    /// The keys that it should have, with what they hold.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&'static str, &Bundle)> {
        let issuer = self.issuer.iter().map(|issuer| (ISSUER, issuer));
        [(ROOT, &self.root)].into_iter().chain(issuer)
    }

    /// A part of which nothing can be read is what it was before.
    pub(super) fn take_over(&mut self, before: Self) {
        let keep = |now: &mut Bundle, before: Bundle| {
            if now.certificates.is_empty() {
                now.certificates = before.certificates;
            }
        };
        keep(&mut self.root, before.root);
        if let (Some(now), Some(before)) = (&mut self.issuer, before.issuer) {
            keep(now, before);
        }
    }

    fn of_secret(json: &str) -> Result<Self, String> {
        let (metadata, data) = raw(json)?;
        let decoded = |text: Option<String>| match text.map(|text| STANDARD.decode(text)) {
            Some(Ok(pem)) => Bundle::read(&pem),
            Some(Err(_)) => flawed("is not valid Base64"),
            None => flawed("is missing"),
        };
        Ok(Self {
            uid: metadata.uid,
            root: decoded(data.root),
            issuer: Some(decoded(data.issuer)),
        })
    }

    fn of_config_map(json: &str) -> Result<Self, String> {
        let (metadata, data) = raw(json)?;
        let root = data.root.map(|pem| Bundle::read(pem.as_bytes()));
        Ok(Self {
            uid: metadata.uid,
            root: root.unwrap_or_else(|| flawed("is missing")),
            issuer: None,
        })
    }
}

fn raw(json: &str) -> Result<(RawMeta, RawData), String> {
    // The parser's own words could repeat what they are about.
    let raw: Raw =
        serde_json::from_str(json).map_err(|_| "its data is not a map of texts".to_owned())?;
    Ok((raw.metadata, raw.data.unwrap_or_default()))
}

fn flawed(problem: &str) -> Bundle {
    Bundle {
        certificates: Vec::new(),
        problems: vec![problem.to_owned()],
    }
}

impl Watched for BundleSecret {
    const KIND: &'static Kind = &kind::TRUST_BUNDLE_SECRET;
    type News = BundleNews;

    fn decode(_: &Key, json: &str) -> Result<Self, String> {
        BundleObject::of_secret(json).map(Self)
    }

    fn news(change: Change<Self>) -> BundleNews {
        BundleNews {
            holder: Holder::Secret,
            change: change.map(|secret| secret.0),
        }
    }
}

impl Watched for BundleMap {
    const KIND: &'static Kind = &kind::TRUST_BUNDLE_CONFIG_MAP;
    type News = BundleNews;

    fn decode(_: &Key, json: &str) -> Result<Self, String> {
        BundleObject::of_config_map(json).map(Self)
    }

    fn news(change: Change<Self>) -> BundleNews {
        BundleNews {
            holder: Holder::ConfigMap,
            change: change.map(|map| map.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_says_what_is_wrong_with_each_part_and_nothing_of_the_key() {
        let key = STANDARD.encode("-----BEGIN PRIVATE KEY-----");
        let json = json!({"metadata": {"uid": "u"}, "data": {"ca.crt": "%", "issuer.key": key}});
        let read = BundleObject::of_secret(&json.to_string()).expect("a Secret");
        let problems: Vec<_> = read
            .parts()
            .map(|(key, part)| (key, part.problems.join(";")))
            .collect();
        let wanted = [
            ("ca.crt", "is not valid Base64"),
            ("issuer.crt", "is missing"),
        ];
        assert_eq!(problems, wanted.map(|(key, why)| (key, why.to_owned())));
        assert!(!format!("{read:?}").contains(&key));
        // Where the key stands in the wrong place, too.
        for data in [json!(key), json!({"ca.crt": {"issuer.key": key}})] {
            let json = json!({"metadata": {}, "data": data}).to_string();
            assert_eq!(
                BundleObject::of_secret(&json),
                Err("its data is not a map of texts".to_owned())
            );
        }
    }

    #[test]
    fn a_config_map_has_the_root_alone() {
        let json =
            json!({"metadata": {}, "data": {"ca.crt": "none", "issuer.crt": "x"}}).to_string();
        let read = BundleObject::of_config_map(&json).expect("a ConfigMap");
        assert_eq!(read.parts().count(), 1);
        let empty = BundleObject::of_config_map(r#"{"metadata": {}}"#).expect("a ConfigMap");
        assert_eq!(empty.root.problems, ["is missing"]);
    }
}
