//! Which namespace may claim which hosts.
//!
//! Applied to a route when it is read, so that everything after it, the routing
//! table and the search for conflicts alike, sees only what it may have.
//! Without a policy every namespace may claim every host, as in the HTTP add-on.

use crate::manifest::{RoutingRule, host};
use std::{collections::BTreeMap, str::FromStr};

/// `NAMESPACE=HOST,HOST`: hosts that a namespace may claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGrant {
    /// The namespace; `*`: all.
    namespace: String,
    hosts: Vec<String>,
}

impl FromStr for HostGrant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, hosts) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is not NAMESPACE=HOST,HOST"))?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = !namespace.is_empty() && namespace.chars().all(fits);
        if namespace != "*" && !is_name {
            return Err(format!("{namespace:?} is neither a namespace nor *"));
        }
        let hosts = hosts.split(',').map(str::trim);
        let hosts: Vec<String> = hosts
            .filter(|host| !host.is_empty())
            .map(host::check)
            .collect::<Result<_, _>>()?;
        if hosts.is_empty() {
            return Err(format!("{text:?} names no host"));
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            hosts: hosts.iter().map(|host| host::normalize(host)).collect(),
        })
    }
}

/// All grants.
#[derive(Clone, Debug, Default)]
pub(super) struct HostPolicy(BTreeMap<String, Vec<String>>);

impl HostPolicy {
    /// Of these; none: everything is granted.
    pub(super) fn new(grants: &[HostGrant]) -> Self {
        let mut policy: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for grant in grants {
            let hosts = policy.entry(grant.namespace.clone()).or_default();
            hosts.extend(grant.hosts.iter().cloned());
        }
        Self(policy)
    }

    /// Takes the hosts out of `rules` that `namespace` may not claim, and rules
    /// that have no other; gives them as they were written.
    pub(super) fn restrict(&self, namespace: &str, rules: &mut Vec<RoutingRule>) -> Vec<String> {
        let mut refused = Vec::new();
        if self.0.is_empty() {
            return refused;
        }
        rules.retain_mut(|rule| {
            if rule.hosts.is_empty() {
                let is_granted = self.grants(namespace, "");
                if !is_granted {
                    refused.push("*".to_owned());
                }
                return is_granted;
            }
            rule.hosts.retain(|host| {
                let is_granted = self.grants(namespace, &host::normalize(host));
                if !is_granted {
                    refused.push(host.clone());
                }
                is_granted
            });
            !rule.hosts.is_empty()
        });
        refused.sort();
        refused.dedup();
        refused
    }

    /// May it claim that host, which is normalised?
    fn grants(&self, namespace: &str, host: &str) -> bool {
        let own = self.0.get(namespace).into_iter();
        let granted = own.chain(self.0.get("*")).flatten();
        let mut granted = granted.map(String::as_str);
        granted.any(|granted| match granted.strip_prefix('*') {
            _ if granted.is_empty() => true,
            // `.example.com`, of any depth, also of a wildcard.
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == granted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(grants: &[&str]) -> HostPolicy {
        let grants = grants.iter().map(|grant| grant.parse().expect("valid"));
        HostPolicy::new(&grants.collect::<Vec<_>>())
    }

    fn rule(hosts: &[&str]) -> RoutingRule {
        RoutingRule {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..RoutingRule::default()
        }
    }

    #[test]
    fn without_a_policy_everything_is_granted() {
        let mut rules = vec![rule(&[]), rule(&["a.test"])];
        assert!(policy(&[]).restrict("a", &mut rules).is_empty());
        assert_eq!(rules.len(), 2);
    }

    #[test]
    fn a_namespace_keeps_the_hosts_that_it_may_have() {
        let policy = policy(&["a=*.a.test,shop.test", "a=x.test", "*=any.test"]);
        let hosts = [
            "WEB.a.test:80",
            "*.b.a.test",
            "a.test",
            "shop.test",
            "x.test",
            "any.test",
            "*",
        ];
        let mut rules = vec![rule(&hosts), rule(&[]), rule(&["other.test"])];
        let refused = policy.restrict("a", &mut rules);
        assert_eq!(refused, ["*", "a.test", "other.test"]);
        let kept = [
            "WEB.a.test:80",
            "*.b.a.test",
            "shop.test",
            "x.test",
            "any.test",
        ];
        assert_eq!(rules, [rule(&kept)]);
        let mut rules = vec![rule(&["shop.test", "any.test"])];
        assert_eq!(policy.restrict("b", &mut rules), ["shop.test"]);
    }

    #[test]
    fn any_host_is_granted_by_a_star() {
        let policy = policy(&["ops=*"]);
        assert!(policy.restrict("ops", &mut vec![rule(&[])]).is_empty());
        assert_eq!(
            policy.restrict("dev", &mut vec![rule(&["a.test"])]),
            ["a.test"]
        );
    }

    #[test]
    fn what_is_no_grant() {
        for text in ["", "a", "a=", "=a.test", "A=a.test", "a=http://x", "a b=x"] {
            text.parse::<HostGrant>().expect_err(text);
        }
    }
}
