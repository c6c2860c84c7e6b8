//! What reading a fetched page costs: CPU time per page of a sidecar, of which
//! a few metrics are wanted.
//!
//! In this process and without a network: the page is at hand, in chunks as a
//! connection would give them, and goes through the parser into the store.

use anyhow::{Result, ensure};
use clap::Args as ClapArgs;
use rustix::time::{ClockId, clock_gettime};
use scaler::{
    ingest::prometheus::{Format, Intake, PageLimits},
    series::{Limits, METRIC_NAME, MatchOp, Matcher, Selector, Store, unix_ms},
};
use std::{sync::Arc, time::Duration};

/// As large as the buffer that a connection reads into.
const CHUNK: usize = 16 << 10;

/// What a trigger would ask for.
const WANTED: [&str; 5] = [
    "dapr_runtime_service_invocation_req_sent_total",
    "dapr_runtime_service_invocation_req_recv_total",
    "dapr_resiliency_count",
    "dapr_http_server_request_count",
    "dapr_runtime_actor_pending_actor_calls",
];

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Size of a page, in KiB
    #[arg(long, default_value = "500", value_parser = clap::value_parser!(u32).range(1..=16_000))]
    kib: u32,
    /// Pages that are read
    #[arg(long, default_value = "2000", value_parser = clap::value_parser!(u32).range(1..))]
    pages: u32,
    /// Keep every metric of the page, not five
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let store = Arc::new(Store::new(Limits::default()));
    let selectors = WANTED.map(|name| Selector {
        matchers: vec![
            Matcher::new(METRIC_NAME, MatchOp::Equal, name).expect("a name is no expression"),
        ],
        back: Duration::from_secs(60),
    });
    let _needed = store.register(&selectors);
    let metrics = if args.all { vec!["*".parse()?] } else { vec![] };
    let metrics = Arc::from(metrics);
    let labels = [("instance", "10.0.0.1:9090"), ("job", "sidecars")];
    let labels: Vec<_> = labels.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let now = unix_ms();
    let mut intake = Intake::new(store, labels.into(), PageLimits::default(), now);
    let page = page(args.kib as usize * 1024);
    let lines = page.lines().count();

    let mut read = |number: u32| -> Result<u64> {
        // Two seconds between pages, all within what is kept.
        let at_ms = now - 60_000 + i64::from(number);
        let chunks = page.as_bytes().chunks(CHUNK);
        let outcome = intake.page(Format::Text, &metrics, chunks, at_ms)?;
        ensure!(outcome.rejected() == 0, "{}", outcome.message());
        Ok(outcome.accepted())
    };
    // The first page makes the series; all others find them.
    let first = cpu_us();
    let samples = read(0)?;
    let first = cpu_us() - first;
    ensure!(samples > 0, "nothing is wanted of the page");
    let mut each = Vec::with_capacity(args.pages as usize);
    for number in 1..=args.pages {
        let before = cpu_us();
        read(number)?;
        each.push(cpu_us() - before);
    }
    each.sort_by(f64::total_cmp);
    let total: f64 = each.iter().sum();
    let mean = total / f64::from(args.pages);
    let p99 = each[(each.len() * 99 / 100).min(each.len() - 1)];
    println!(
        "page                  {} KiB, {lines} lines",
        page.len() / 1024
    );
    println!("samples that are kept {samples}");
    println!("first page            {first:.0} us of CPU");
    println!("each further page     {mean:.0} us of CPU, p99 {p99:.0} us");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    let bytes = page.len() as f64;
    println!("                      {:.0} MB/s", bytes / mean);
    Ok(())
}

/// CPU time of this process, in microseconds.
fn cpu_us() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 seconds")]
    let (seconds, nanos) = (now.tv_sec as f64, now.tv_nsec as f64);
    seconds * 1e6 + nanos / 1e3
}

/// A page like that of a daprd that knows many paths: names, labels and buckets
/// are its own.
fn page(bytes: usize) -> String {
    let mut page = String::with_capacity(bytes + 8192);
    let mut line = |text: std::fmt::Arguments<'_>| page.push_str(&text.to_string());
    for name in [
        "dapr_runtime_service_invocation_req_recv_total",
        "dapr_runtime_service_invocation_req_sent_total",
    ] {
        line(format_args!(
            "# HELP {name} Calls.\n# TYPE {name} counter\n"
        ));
        for app in 0..5 {
            line(format_args!(
                "{name}{{app_id=\"nodeapp\",dst_app_id=\"app{app}\",type=\"unary\"}} {app}7\n"
            ));
        }
    }
    line(format_args!(
        "# TYPE dapr_resiliency_count counter\ndapr_resiliency_count{{app_id=\"nodeapp\",\
         flow_direction=\"outbound\",name=\"r\",namespace=\"default\",policy=\"timeout\",\
         status=\"\",target=\"app_x\"}} 1.7638e+09\n\
         # TYPE dapr_runtime_actor_pending_actor_calls gauge\n\
         dapr_runtime_actor_pending_actor_calls{{actor_type=\"a\",app_id=\"nodeapp\"}} 3\n\
         # TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.7e+09\n\
         # TYPE dapr_http_server_request_count counter\n"
    ));
    for path in 0..30 {
        line(format_args!(
            "dapr_http_server_request_count{{app_id=\"nodeapp\",method=\"POST\",\
             path=\"/v1.0/invoke/app{path}/method/neworder\",status=\"200\"}} {path}5\n"
        ));
    }
    let bounds = [
        1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 65, 80, 100, 130, 160, 200, 250, 300,
        400, 500, 650, 800, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000,
    ];
    let names = [
        "dapr_http_server_latency",
        "dapr_http_client_roundtrip_latency",
        "dapr_http_server_response_bytes",
    ];
    for path in 0.. {
        let name = names[path % names.len()];
        if path < names.len() {
            page.push_str(&format!(
                "# HELP {name} Distribution.\n# TYPE {name} histogram\n"
            ));
        }
        let labels = format!(
            "app_id=\"nodeapp\",method=\"POST\",path=\"/v1.0/invoke/app{path}/method/neworder\",\
             status=\"200\""
        );
        for bound in bounds {
            page.push_str(&format!(
                "{name}_bucket{{{labels},le=\"{bound}\"}} {bound}\n"
            ));
        }
        page.push_str(&format!(
            "{name}_bucket{{{labels},le=\"+Inf\"}} 100001\n{name}_sum{{{labels}}} 12345.5\n\
             {name}_count{{{labels}}} 100001\n"
        ));
        if page.len() >= bytes {
            break;
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::{Args, page, run};

    #[test]
    fn a_page_is_as_large_as_it_should_be_and_can_be_read() {
        assert!((100_000..110_000).contains(&page(100_000).len()));
        run(&Args {
            kib: 20,
            pages: 2,
            all: false,
        })
        .expect("it is read");
    }
}
