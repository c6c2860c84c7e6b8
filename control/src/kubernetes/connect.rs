//! Which API server, and as whom: a kubeconfig, or the Pod's own account.

use super::{account::Account, api::Api};
use anyhow::{Context, anyhow};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{path::PathBuf, time::Duration};

/// Connecting takes at most this long.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A connection on which nothing comes for so long is dead: watches end by
/// themselves before that.
const READ_WITHIN: Duration = Duration::from_secs(28);

/// Which API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectSettings {
    /// The kubeconfig; `None`: `$KUBECONFIG`, `~/.kube/config`, or the Pod's
    /// service account.
    pub kubeconfig: Option<PathBuf>,
    /// Its context; `None`: its current one.
    pub context: Option<String>,
}

/// An API server that can be spoken to.
pub(super) struct Connected {
    pub(super) api: Api,
    /// Its address, for people.
    pub(super) server: String,
    /// The namespace of this Pod, or of the kubeconfig's context.
    pub(super) namespace: String,
}

/// A client of an API server.
pub(super) struct Made {
    pub(super) client: Client,
    server: String,
    namespace: String,
}

/// The calls to that API server; does not connect yet.
///
/// # Errors
/// No configuration, or one that cannot be used.
pub(super) async fn connect(settings: &ConnectSettings) -> anyhow::Result<Connected> {
    let Made {
        client,
        server,
        namespace,
    } = client(settings).await?;
    Ok(Connected {
        api: Api::new(Account::new(client, Some(settings.clone()))),
        server,
        namespace,
    })
}

/// A client of that API server, from its files as they are now.
///
/// # Errors
/// As [`connect`].
pub(super) async fn client(settings: &ConnectSettings) -> anyhow::Result<Made> {
    let mut config = config(settings).await?;
    config.connect_timeout = Some(CONNECT_WITHIN);
    config.read_timeout = Some(READ_WITHIN);
    config.reset_reader_on_write = true;
    // Whoever calls knows better when to come again, and says so in the log.
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config)
        .with_context(|| format!("the API server {server} cannot be spoken to"))?;
    Ok(Made {
        client,
        server,
        namespace,
    })
}

async fn config(settings: &ConnectSettings) -> anyhow::Result<Config> {
    let ConnectSettings {
        kubeconfig,
        context,
    } = settings;
    if kubeconfig.is_none() && context.is_none() {
        // Its text names its causes already.
        return Config::infer().await.map_err(|error| {
            anyhow!(
                "no Kubernetes API server: give --kubeconfig FILE, or run in a Pod with a service \
                 account ({error})"
            )
        });
    }
    let file = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path)
            .with_context(|| format!("--kubeconfig {}", path.display()))?,
        None => Kubeconfig::read().context("--context needs a kubeconfig")?,
    };
    let options = KubeConfigOptions {
        context: context.clone(),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(file, &options)
        .await
        .with_context(|| match context {
            Some(context) => format!("--context {context}"),
            None => "the kubeconfig cannot be used".to_owned(),
        })
}
