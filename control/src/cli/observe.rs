//! Flags about what is told of requests: the access log, and traces.

use super::positive;
use crate::otlp::{OtlpSettings, parse_endpoint, parse_header, parse_pair};
use clap::{Args, ValueEnum};
use proxy::{AccessLogFormat, AccessLogTarget, Sampler};
use std::{path::PathBuf, time::Duration};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};

const SERVICE_NAME: &str = "service.name";
const DEFAULT_NAME: &str = "reveille";

/// What is told of requests.
#[derive(Clone, Debug, Args)]
pub struct ObserveArgs {
    /// A line for each request, when it has ended
    #[arg(long, env = "REVEILLE_ACCESS_LOG", value_enum, default_value = "off")]
    pub access_log: AccessLogArg,
    /// Where to; - is standard output. SIGHUP opens the file anew
    #[arg(
        long,
        env = "REVEILLE_ACCESS_LOG_FILE",
        value_name = "PATH",
        default_value = "-"
    )]
    pub access_log_file: PathBuf,

    /// OpenTelemetry collector that gets traces over OTLP/gRPC, such as
    /// http://collector:4317. Without it there are no traces, and their headers
    /// pass through
    #[arg(
        long,
        env = "REVEILLE_OTLP_TRACES_ENDPOINT",
        value_name = "URL",
        value_parser = parse_endpoint
    )]
    pub otlp_traces_endpoint: Option<String>,
    /// Which requests are recorded [default: those whose caller records them,
    /// and of the others the part that --otlp-traces-sampler-arg says, or none]
    #[arg(long, env = "REVEILLE_OTLP_TRACES_SAMPLER", value_enum)]
    pub otlp_traces_sampler: Option<SamplerArg>,
    /// The part of new traces that is recorded, from 0 to 1
    #[arg(
        long,
        env = "REVEILLE_OTLP_TRACES_SAMPLER_ARG",
        value_name = "RATIO",
        value_parser = ratio
    )]
    pub otlp_traces_sampler_arg: Option<f64>,
    /// Headers of each export, key=value,…
    #[arg(
        long,
        env = "REVEILLE_OTLP_TRACES_HEADERS",
        value_name = "KEY=VALUE",
        value_delimiter = ',',
        value_parser = parse_header,
        hide_env_values = true
    )]
    pub otlp_traces_headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
    /// Limit of one export
    #[arg(
        long,
        env = "REVEILLE_OTLP_TRACES_TIMEOUT",
        default_value = "10s",
        value_parser = positive
    )]
    pub otlp_traces_timeout: Duration,
    /// What traces call this program
    #[arg(long, env = "REVEILLE_OTLP_SERVICE_NAME", default_value = DEFAULT_NAME)]
    pub otlp_service_name: String,
    /// What else traces say of it, key=value,…
    #[arg(
        long,
        env = "REVEILLE_OTLP_RESOURCE_ATTRIBUTES",
        value_name = "KEY=VALUE",
        value_delimiter = ',',
        value_parser = parse_pair
    )]
    pub otlp_resource_attributes: Vec<(String, String)>,
}

/// The form of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccessLogArg {
    /// None
    Off,
    /// Apache's common log format, and the duration in seconds
    Common,
    /// Apache's combined log format, and the duration in seconds
    Combined,
    /// One JSON object with everything
    Json,
}

/// Which requests are recorded, by OpenTelemetry's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum SamplerArg {
    /// All
    AlwaysOn,
    /// None
    AlwaysOff,
    /// A part of all traces
    #[value(name = "traceidratio")]
    TraceIdRatio,
    /// All, but those whose caller says no
    #[value(name = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    /// Only those whose caller says yes
    #[value(name = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    /// As the caller says; of those without one, a part
    #[value(name = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text
        .trim()
        .parse()
        .map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=1.0).contains(&ratio) {
        Ok(ratio)
    } else {
        Err("must be from 0 to 1".to_owned())
    }
}

impl ObserveArgs {
    /// The access log, if there is to be one.
    #[must_use]
    pub fn access_log(&self) -> Option<(AccessLogFormat, AccessLogTarget)> {
        let format = match self.access_log {
            AccessLogArg::Off => return None,
            AccessLogArg::Common => AccessLogFormat::Common,
            AccessLogArg::Combined => AccessLogFormat::Combined,
            AccessLogArg::Json => AccessLogFormat::Json,
        };
        let target = match self.access_log_file.as_os_str() {
            name if name == "-" => AccessLogTarget::Stdout,
            _ => AccessLogTarget::File(self.access_log_file.clone()),
        };
        Some((format, target))
    }

    /// Traces, if there are to be some.
    #[must_use]
    pub fn otlp(&self) -> Option<OtlpSettings> {
        let named = self.otlp_resource_attributes.iter();
        let named = named.rev().find(|(key, _)| key == SERVICE_NAME);
        let name = match named {
            // A name of its own wins (OpenTelemetry says so too).
            Some((_, name)) if self.otlp_service_name == DEFAULT_NAME => name,
            _ => &self.otlp_service_name,
        };
        let own = [
            (SERVICE_NAME, name.as_str()),
            ("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let mut resource: Vec<(String, String)> = own
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let others = self.otlp_resource_attributes.iter();
        resource.extend(others.filter(|(key, _)| key != SERVICE_NAME).cloned());
        Some(OtlpSettings {
            endpoint: self.otlp_traces_endpoint.clone()?,
            headers: self.otlp_traces_headers.clone(),
            timeout: self.otlp_traces_timeout,
            resource,
            sampler: self.sampler(),
        })
    }

    fn sampler(&self) -> Sampler {
        // OpenTelemetry's default ratio is 1; ours is 0 where no sampler was
        // chosen: a proxy in front of everything should not begin traces
        // because a collector's address is in its environment.
        let part = |default| self.otlp_traces_sampler_arg.unwrap_or(default);
        match self.otlp_traces_sampler {
            None => Sampler::ratio(part(0.0), true),
            Some(SamplerArg::AlwaysOn) => Sampler::ratio(1.0, false),
            Some(SamplerArg::AlwaysOff) => Sampler::ratio(0.0, false),
            Some(SamplerArg::TraceIdRatio) => Sampler::ratio(part(1.0), false),
            Some(SamplerArg::ParentBasedAlwaysOn) => Sampler::ratio(1.0, true),
            Some(SamplerArg::ParentBasedAlwaysOff) => Sampler::ratio(0.0, true),
            Some(SamplerArg::ParentBasedTraceIdRatio) => Sampler::ratio(part(1.0), true),
        }
    }
}
