//! What Envoy does with the requests of one candidate: sends them to its
//! cluster, or to our proxy.

use super::{any, duration, number, yes};
use envoy_types::pb::envoy::{
    config::route::v3::{
        RetryPolicy, Route as WireRoute, RouteAction, RouteMatch,
        retry_policy::{RetryBackOff, RetryPriority, retry_priority::ConfigType},
        route::Action,
        route_action::{ClusterSpecifier, UpgradeConfig},
    },
    extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig,
};
use std::time::Duration;

/// Nothing of the request was acted on.
const UNSENT: &str = "connect-failure,refused-stream,reset-before-request";
/// Or it may be sent again though it was.
const ANY_RESET: &str = "connect-failure,refused-stream,reset-before-request,reset";

/// One attempt at an endpoint, one at our proxy, one more if that goes away.
const RETRIES: u32 = 2;
/// A retry goes somewhere else, so there is nothing to wait for.
const BACK_OFF: Duration = Duration::from_millis(5);

/// To a cluster, with this limit of the whole request; zero: none.
pub(super) fn to(
    cluster: &str,
    matches: RouteMatch,
    timeout: Duration,
    is_idempotent: bool,
) -> WireRoute {
    let action = RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        timeout: duration(timeout),
        // Streams and tunnels are silent for as long as they like.
        idle_timeout: duration(Duration::ZERO),
        retry_policy: Some(retries(is_idempotent)),
        upgrade_configs: vec![UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            enabled: yes(),
            ..UpgradeConfig::default()
        }],
        ..RouteAction::default()
    };
    WireRoute {
        r#match: Some(matches),
        action: Some(Action::Route(action)),
        ..WireRoute::default()
    }
}

/// A retry goes to a priority that was not tried: from an endpoint that has
/// just died to our proxy, which picks another, or holds.
fn retries(is_idempotent: bool) -> RetryPolicy {
    let next = PreviousPrioritiesConfig {
        update_frequency: 1,
    };
    RetryPolicy {
        retry_on: if is_idempotent { ANY_RESET } else { UNSENT }.to_owned(),
        num_retries: number(RETRIES),
        retry_priority: Some(RetryPriority {
            name: "envoy.retry_priorities.previous_priorities".to_owned(),
            config_type: Some(ConfigType::TypedConfig(any(
                "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                &next,
            ))),
        }),
        retry_back_off: Some(RetryBackOff {
            base_interval: duration(BACK_OFF),
            max_interval: duration(BACK_OFF * 10),
        }),
        ..RetryPolicy::default()
    }
}
