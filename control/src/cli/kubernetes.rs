//! `reveille kubernetes`: which cluster, and what of it.

use super::{RunArgs, keda_env, positive};
use crate::{
    kubernetes::{
        ClusterSettings, ConnectSettings, HostGrant, HttpScaledObjects, LeaseName, TrustBundleName,
        TrustBundleSettings, Wake,
    },
    manifest::{AuthenticationRef, FETCH_INTERVALS, Via},
};
use clap::{Args, Command};
use std::{path::PathBuf, time::Duration};

/// `reveille kubernetes`.
#[derive(Debug, Args)]
#[command(after_help = keda_env::HELP)]
pub struct KubernetesArgs {
    /// Serve only what is in this namespace; may be given several times
    /// [default: all namespaces]
    #[arg(
        long,
        env = "REVEILLE_WATCH_NAMESPACE",
        value_name = "NAMESPACE",
        value_delimiter = ','
    )]
    pub watch_namespace: Vec<String>,
    /// Which API server, and as whom [default: $KUBECONFIG, ~/.kube/config, or
    /// the service account of the Pod]
    #[arg(long, env = "REVEILLE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, env = "REVEILLE_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Who scales a workload from zero when somebody waits; `direct` and `both`
    /// need the permissions to get and patch its subresource `scale`
    #[arg(long, env = "REVEILLE_WAKE", value_enum, default_value = "keda")]
    pub wake: Wake,

    /// Hosts that a namespace may claim: NAMESPACE=HOST,HOST; may be given
    /// several times (in the variable: separated by ;). A HOST is exact, *.SUFFIX
    /// or *; the namespace * is all of them [default: all may claim all]
    #[arg(
        long,
        env = "REVEILLE_HOST_POLICY",
        value_name = "NAMESPACE=HOSTS",
        value_delimiter = ';'
    )]
    pub host_policy: Vec<HostGrant>,
    /// Where requests go, if a route's annotation reveille.dev/endpoints does not say
    #[arg(long, env = "REVEILLE_ENDPOINTS", value_enum, default_value = "pods")]
    pub endpoints: Via,
    /// Find the sidecars of Dapr, by the label and the port that its injector
    /// gives their Pods, and fetch the metrics that triggers need; needs the
    /// permissions to list and watch Pods
    #[arg(long, env = "REVEILLE_DAPR_SIDECARS")]
    pub dapr_sidecars: bool,
    /// How often, with --dapr-sidecars, the metrics of each are fetched: 100ms
    /// to 60s
    #[arg(long, env = "REVEILLE_DAPR_SCRAPE_INTERVAL", default_value = "2s", value_parser = positive)]
    pub dapr_scrape_interval: Duration,
    /// Who makes ScaledObjects of HTTPScaledObjects and writes their statuses
    #[arg(
        long,
        env = "REVEILLE_HTTP_SCALED_OBJECTS",
        value_enum,
        default_value = "manage"
    )]
    pub http_scaled_objects: HttpScaledObjects,
    /// Where KEDA finds this scaler: the scalerAddress of these ScaledObjects
    /// [default: reveille-scaler.NAMESPACE:9090, the namespace of the Lease]
    #[arg(long, env = "REVEILLE_SCALER_ADDRESS", value_name = "HOST:PORT")]
    pub scaler_address: Option<String>,
    /// What KEDA shows and believes there: the authenticationRef of these
    /// ScaledObjects, such as ClusterTriggerAuthentication/reveille; with
    /// --grpc-tls-cert they say enableTLS by themselves [default: none]
    #[arg(long, env = "REVEILLE_SCALER_AUTHENTICATION", value_name = "KIND/NAME")]
    pub scaler_authentication: Option<AuthenticationRef>,
    /// Tell 30, 14, 7, 2 and 1 days ahead when the root and issuer certificates of
    /// Dapr end, in metrics, log and Events: NAMESPACE, or NAMESPACE/NAME of the
    /// Secret and the ConfigMap with Dapr's trust bundle, such as dapr-system;
    /// needs the permissions to list and watch both [default name: dapr-trust-bundle]
    #[arg(
        long,
        env = "REVEILLE_DAPR_TRUST_BUNDLE",
        value_name = "NAMESPACE[/NAME]"
    )]
    pub dapr_trust_bundle: Option<TrustBundleName>,
    /// With --dapr-trust-bundle, read the ConfigMap alone, and not the Secret,
    /// which holds the issuer's private key beside its certificate: nothing is
    /// told of the issuer then
    #[arg(
        long,
        env = "REVEILLE_DAPR_TRUST_BUNDLE_ROOT_ONLY",
        requires = "dapr_trust_bundle"
    )]
    pub dapr_trust_bundle_root_only: bool,
    /// Name of the Lease of the replica that writes statuses
    #[arg(
        long,
        env = "REVEILLE_LEASE_NAME",
        value_name = "NAME",
        default_value = "reveille"
    )]
    pub lease_name: String,
    /// Its namespace [default: that of this Pod, or of the kubeconfig's context]
    #[arg(long, env = "REVEILLE_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// What both modes have
    #[command(flatten)]
    pub run: RunArgs,
}

/// What a Pod wants to be set otherwise than a program on a laptop: others
/// connect to it, and learn late that it goes.
const DEFAULTS: [(&str, &str); 3] = [
    ("grpc_addr", "0.0.0.0:9090"),
    ("admin_addr", "0.0.0.0:9901"),
    ("shutdown_delay", "5s"),
];

/// `command` with the defaults of `reveille kubernetes`.
pub(super) fn with_defaults(command: Command) -> Command {
    command.mut_subcommand("kubernetes", |mut command| {
        for (id, value) in DEFAULTS {
            command = command.mut_arg(id, |arg| arg.default_value(value));
        }
        command
    })
}

impl KubernetesArgs {
    /// What cannot be as it is given, flag by flag.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.run.problems();
        let is_name = |name: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !name.is_empty() && name.len() <= 63 && name.chars().all(fits)
        };
        let wrong = self.watch_namespace.iter().filter(|name| !is_name(name));
        problems.extend(
            wrong.map(|name| format!("--watch-namespace {name:?}: is not the name of a namespace")),
        );
        if let Some(address) = &self.scaler_address
            && !is_host_and_port(address)
        {
            problems.push(format!(
                "--scaler-address {address:?}: is not HOST:PORT, such as reveille-scaler.keda:9090"
            ));
        }
        let interval = self.dapr_scrape_interval;
        if !FETCH_INTERVALS.contains(&interval) {
            let (shortest, longest) = (FETCH_INTERVALS.start(), FETCH_INTERVALS.end());
            problems.push(format!(
                "--dapr-scrape-interval: must be between {shortest:?} and {longest:?}, not \
                 {interval:?}"
            ));
        }
        problems
    }

    /// Which cluster, and what of it.
    #[must_use]
    pub fn cluster(&self) -> ClusterSettings {
        ClusterSettings {
            connect: ConnectSettings {
                kubeconfig: self.kubeconfig.clone(),
                context: self.context.clone(),
            },
            namespaces: self.watch_namespace.clone(),
            wake: self.wake,
            hosts: self.host_policy.clone(),
            dapr: self.dapr_sidecars.then_some(self.dapr_scrape_interval),
            via: self.endpoints,
            http_scaled_objects: self.http_scaled_objects,
            scaler_address: self.scaler_address.clone(),
            scaler_tls: self.run.grpc.is_tls(),
            scaler_authentication: self.scaler_authentication.clone(),
            trust_bundle: self
                .dapr_trust_bundle
                .clone()
                .map(|name| TrustBundleSettings {
                    name,
                    root_only: self.dapr_trust_bundle_root_only,
                }),
            lease: LeaseName {
                namespace: self.lease_namespace.clone(),
                name: self.lease_name.clone(),
            },
        }
    }
}

/// As KEDA dials it.
fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let is_host = !host.is_empty() && host.len() <= 253 && host.chars().all(fits);
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}
