//! Flags about metrics that come in.

use super::{
    positive,
    tls::{self, ClientAuthArg, VersionArg, pairs},
};
use crate::ingest::IngestSettings;
use clap::Args;
use proxy::tls::{ServerTls, TlsProblem};
use scaler::{
    ingest::{
        otlp::{OtlpLimits, ResourceLabels},
        prometheus::PageLimits,
    },
    series::Limits,
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Where metrics come in, and how much of them is kept.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// Where OTLP metrics come in over gRPC, such as 0.0.0.0:4317 [default: nowhere]
    #[arg(long, env = "REVEILLE_OTLP_GRPC_ADDR", value_name = "ADDR")]
    pub otlp_grpc_addr: Option<SocketAddr>,
    /// Where OTLP metrics come in over HTTP (/v1/metrics), such as 0.0.0.0:4318
    /// [default: nowhere]
    #[arg(long, env = "REVEILLE_OTLP_HTTP_ADDR", value_name = "ADDR")]
    pub otlp_http_addr: Option<SocketAddr>,
    /// Where the OpenCensus agent's protocol comes in, such as 0.0.0.0:55678 [default: nowhere]
    #[arg(long, env = "REVEILLE_OPENCENSUS_ADDR", value_name = "ADDR")]
    pub opencensus_addr: Option<SocketAddr>,

    /// Certificate chain (PEM) of the ports where metrics come in, which then speak TLS only; may
    /// be given several times
    #[arg(
        long,
        env = "REVEILLE_INGEST_TLS_CERT",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub ingest_tls_cert: Vec<PathBuf>,
    /// Private keys (PEM), in the order of the chains; without one, the key
    /// is in the file of the chain
    #[arg(
        long,
        env = "REVEILLE_INGEST_TLS_KEY",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub ingest_tls_key: Vec<PathBuf>,
    /// Directory of pairs, NAME.crt and NAME.key, and of such directories (a
    /// mounted secret is one); may be given several times
    #[arg(
        long,
        env = "REVEILLE_INGEST_TLS_CERT_DIR",
        value_name = "DIR",
        value_delimiter = ','
    )]
    pub ingest_tls_cert_dir: Vec<PathBuf>,
    /// Oldest version of TLS that senders of metrics may speak
    #[arg(
        long,
        env = "REVEILLE_INGEST_TLS_MIN_VERSION",
        value_enum,
        default_value = "1.2"
    )]
    pub ingest_tls_min_version: VersionArg,
    /// Authorities that sign the certificates of senders of metrics (PEM)
    #[arg(long, env = "REVEILLE_INGEST_TLS_CLIENT_CA", value_name = "FILE")]
    pub ingest_tls_client_ca: Option<PathBuf>,
    /// Whether senders of metrics must show a certificate
    #[arg(
        long,
        env = "REVEILLE_INGEST_TLS_CLIENT_AUTH",
        value_enum,
        default_value = "none"
    )]
    pub ingest_tls_client_auth: ClientAuthArg,

    /// Most bytes of one request (OTLP) or message (OpenCensus), after decompression; more: 413, or
    /// RESOURCE_EXHAUSTED
    #[arg(long, env = "REVEILLE_OTLP_MAX_MESSAGE_BYTES", default_value = "4194304",
        value_parser = clap::value_parser!(u32).range(1024..=268_435_455))]
    pub otlp_max_message_bytes: u32,
    /// OTLP requests that are read at the same time; one that gets no place within a second: 429,
    /// or UNAVAILABLE
    #[arg(long, env = "REVEILLE_OTLP_MAX_REQUESTS", default_value = "8",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub otlp_max_requests: u16,
    /// Resource attributes that become labels, attribute=label,… [default: service.name=job,
    /// service.instance.id=instance, host.name, k8s.namespace.name=namespace, k8s.pod.name=pod,
    /// k8s.container.name=container, k8s.deployment.name=deployment]
    #[arg(
        long,
        env = "REVEILLE_OTLP_RESOURCE_LABELS",
        value_name = "ATTRIBUTE=LABEL",
        value_delimiter = ',',
        value_parser = resource_label
    )]
    pub otlp_resource_labels: Option<Vec<(String, String)>>,

    /// Most bytes of one page that is fetched (MetricSource), after decompression
    #[arg(long, env = "REVEILLE_SCRAPE_MAX_PAGE_BYTES", default_value = "16777216",
        value_parser = clap::value_parser!(u32).range(1024..))]
    pub scrape_max_page_bytes: u32,
    /// Most samples of one page that are wanted; with more it counts as failed
    #[arg(long, env = "REVEILLE_SCRAPE_MAX_SAMPLES", default_value = "50000",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub scrape_max_samples: u32,

    /// Most series; beyond, those go that no trigger needs, the longest silent first
    #[arg(long, env = "REVEILLE_MAX_SERIES", default_value = "100000",
        value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_series: u32,
    /// Most bytes of series and their points
    #[arg(long, env = "REVEILLE_MAX_SERIES_BYTES", default_value = "100663296",
        value_parser = clap::value_parser!(u64).range(1_048_576..))]
    pub max_series_bytes: u64,
    /// How long points are kept that no trigger needs
    #[arg(long, env = "REVEILLE_SERIES_RETENTION", default_value = "120s", value_parser = positive)]
    pub series_retention: Duration,
}

fn resource_label(text: &str) -> Result<(String, String), String> {
    let (attribute, label) = text.split_once('=').unwrap_or((text, text));
    let (attribute, label) = (attribute.trim(), label.trim());
    if attribute.is_empty() || label.is_empty() {
        return Err(format!("{text:?}: an attribute and a label are expected"));
    }
    Ok((attribute.to_owned(), label.to_owned()))
}

impl IngestArgs {
    /// As the composition root takes them.
    #[must_use]
    pub fn settings(&self) -> IngestSettings {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        IngestSettings {
            otlp_grpc_addr: self.otlp_grpc_addr,
            otlp_http_addr: self.otlp_http_addr,
            opencensus_addr: self.opencensus_addr,
            tls: self.tls(),
            otlp: OtlpLimits {
                message_bytes: size(self.otlp_max_message_bytes.into()),
                requests: self.otlp_max_requests.into(),
            },
            labels: self
                .otlp_resource_labels
                .clone()
                .map_or_else(ResourceLabels::default, ResourceLabels::new),
            pages: PageLimits {
                bytes: size(self.scrape_max_page_bytes.into()),
                samples: size(self.scrape_max_samples.into()),
                ..PageLimits::default()
            },
            series: Limits {
                series: size(self.max_series.into()),
                bytes: size(self.max_series_bytes),
                retention: self.series_retention,
                ..Limits::default()
            },
        }
    }

    fn tls(&self) -> Option<ServerTls> {
        let dirs = &self.ingest_tls_cert_dir;
        tls::if_meant(ServerTls {
            certificates: pairs(&self.ingest_tls_cert, &self.ingest_tls_key, dirs),
            client_ca: self.ingest_tls_client_ca.clone(),
            client_auth: self.ingest_tls_client_auth.into(),
            min_version: self.ingest_tls_min_version.into(),
            ..ServerTls::default()
        })
    }
}

/// A problem with the TLS of these ports in the words of the command line.
#[must_use]
pub fn describe(problem: &TlsProblem) -> String {
    tls::describe_listener("ingest", problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        ingest: IngestArgs,
    }

    fn parsed(args: &[&str]) -> IngestSettings {
        let args = std::iter::once("x").chain(args.iter().copied());
        Alone::try_parse_from(args).expect("good").ingest.settings()
    }

    #[test]
    fn the_defaults_are_the_scalers() {
        assert_eq!(parsed(&[]), IngestSettings::default());
    }

    #[test]
    fn labels_are_attributes_under_names_of_ones_own() {
        let settings = parsed(&["--otlp-resource-labels", "service.name=job, host.name"]);
        let wanted = ResourceLabels::new([("service.name", "job"), ("host.name", "host.name")]);
        assert_eq!(settings.labels, wanted);
        let bad = Alone::try_parse_from(["x", "--otlp-resource-labels", "a=,b"]);
        let message = bad.expect_err("no label").to_string();
        assert!(message.contains("--otlp-resource-labels"), "{message}");
    }

    #[test]
    fn what_makes_no_sense_is_an_error_that_names_the_flag() {
        for (flag, value) in [
            ("--otlp-grpc-addr", "4317"),
            ("--opencensus-addr", "55678"),
            ("--ingest-tls-client-auth", "maybe"),
            ("--otlp-max-message-bytes", "1"),
            ("--otlp-max-requests", "0"),
            ("--scrape-max-page-bytes", "1"),
            ("--scrape-max-samples", "0"),
            ("--max-series", "0"),
            ("--max-series-bytes", "1"),
            ("--series-retention", "0s"),
        ] {
            let error = Alone::try_parse_from(["x", &format!("{flag}={value}")]);
            let message = error.expect_err(flag).to_string();
            assert!(message.contains(flag), "{message}");
        }
    }
}
