//! Who may connect: Envoys by their node ids.

use envoy_types::pb::envoy::config::core::v3::Node;
use std::str::FromStr;
use tonic::Status;

/// Longer ids are cut in logs and in the admin API.
const LONGEST: usize = 256;

/// One id, or all that begin with something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePattern(String);

impl FromStr for NodePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let start = text.strip_suffix('*').unwrap_or(text);
        if text.is_empty() || start.contains('*') {
            return Err("must be a node id, or the begin of one and `*`".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl NodePattern {
    fn matches(&self, id: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => id.starts_with(start),
            None => self.0 == id,
        }
    }
}

/// The id of a client that may connect. No pattern: whoever has an id may.
///
/// # Errors
/// Who says no id, and who is not allowed.
pub(super) fn admit(node: Option<&Node>, allowed: &[NodePattern]) -> Result<String, Status> {
    let id = node.map_or("", |node| &node.id);
    if id.is_empty() {
        return Err(Status::invalid_argument(
            "the first request has no node id: start Envoy with --service-node ID",
        ));
    }
    let shown: String = id.chars().take(LONGEST).collect();
    if !allowed.is_empty() && !allowed.iter().any(|pattern| pattern.matches(id)) {
        tracing::warn!(
            node = shown,
            "an Envoy is refused: --xds-nodes does not name it"
        );
        return Err(Status::permission_denied(format!(
            "node {shown} may not connect: --xds-nodes of Reveille does not name it"
        )));
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn code(id: &str, allowed: &[&str]) -> Result<String, Code> {
        let allowed: Vec<NodePattern> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        let node = Node {
            id: id.to_owned(),
            ..Node::default()
        };
        admit(Some(&node), &allowed).map_err(|status| status.code())
    }

    #[test]
    fn whoever_is_named_may_connect() {
        assert_eq!(code("edge-1", &[]), Ok("edge-1".to_owned()));
        assert_eq!(
            code("edge-1", &["other", "edge-*"]),
            Ok("edge-1".to_owned())
        );
        assert_eq!(code("edge-1", &["edge"]), Err(Code::PermissionDenied));
        assert_eq!(code("", &[]), Err(Code::InvalidArgument));
        assert_eq!(admit(None, &[]).unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn a_pattern_is_an_id_or_its_begin() {
        for bad in ["", "a*b", "**"] {
            assert!(bad.parse::<NodePattern>().is_err(), "{bad}");
        }
        assert!("*".parse::<NodePattern>().unwrap().matches("any"));
    }
}
