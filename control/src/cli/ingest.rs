//! Flags about metrics that come in.

use super::positive;
use crate::ingest::IngestSettings;
use clap::Args;
use scaler::{
    ingest::{
        otlp::{OtlpLimits, ResourceLabels},
        prometheus::PageLimits,
    },
    series::Limits,
};
use std::{net::SocketAddr, time::Duration};

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
    /// Most bytes of one OTLP request, after decompression; more: 413, or RESOURCE_EXHAUSTED
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
