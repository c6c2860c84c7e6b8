//! Metrics that are sent to one replica, asked for at another.

use super::{Group, block_on, until_peer};
use crate::{
    ingest::{gauge, post},
    support::{PATIENCE, Reveille, Starter, wait_until},
};
use rustix::process::Signal;
use scaler::externalscaler::{
    GetMetricsRequest, IsActiveResponse, ScaledObjectRef,
    external_scaler_client::ExternalScalerClient,
};
use std::{fs, time::SystemTime};
use tonic::{Code, Status, Streaming, transport::Channel, transport::Endpoint};

fn starter(group: &Group) -> Starter {
    group.starter().arg("--otlp-http-addr", "127.0.0.1:0")
}

fn reference(query: &str) -> ScaledObjectRef {
    let metadata = [
        ("metricQuery", query),
        ("targetValue", "1"),
        ("window", "5m"),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    ScaledObjectRef {
        name: "web".into(),
        namespace: "default".into(),
        scaler_metadata: metadata.into(),
    }
}

async fn client(of: &Reveille) -> ExternalScalerClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", of.grpc())).expect("an address");
    ExternalScalerClient::new(endpoint.connect().await.expect("it listens"))
}

/// What KEDA is told of a query by this replica.
pub(super) async fn value(of: &Reveille, query: &str) -> Result<f64, Status> {
    let request = GetMetricsRequest {
        scaled_object_ref: Some(reference(query)),
        metric_name: "default-web".into(),
    };
    let answer = client(of).await.get_metrics(request).await?;
    Ok(answer.into_inner().metric_values[0].metric_value_float)
}

pub(super) fn until_value(of: &Reveille, query: &str, wanted: f64) {
    wait_until(&format!("KEDA is told {wanted}"), || {
        block_on(value(of, query)).is_ok_and(|told| told == wanted)
    });
}

fn send(to: &Reveille, body: &str) {
    let (_, otlp) = to.otlp();
    let answer = post(otlp.expect("it was asked for"), body);
    assert_eq!((answer.status, &*answer.body), (200, "{}"));
}

/// A delta of one series, from `since` to `at` (seconds).
fn delta(value: u64, since: u64, at: u64) -> String {
    format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"jobs","sum":{{
            "aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
            {{"asInt":"{value}","startTimeUnixNano":"{since}000000000",
              "timeUnixNano":"{at}000000000"}}]}}}}]}}]}}]}}"#
    )
}

#[test]
fn what_is_sent_to_one_replica_is_told_by_the_other_and_wakes_through_its_stream() {
    const DEPTH: &str = "sum(queue_depth)";
    let group = Group::new();
    let (a, b) = (starter(&group).start(), starter(&group).start());
    group.name(&[&a, &b]);
    let refused = block_on(value(&b, DEPTH)).expect_err("nobody sends metrics");
    assert_eq!(refused.code(), Code::Unavailable);
    let told = block_on(async {
        let opened = client(&b).await.stream_is_active(reference(DEPTH)).await;
        let mut stream: Streaming<IsActiveResponse> = opened.expect("it opens").into_inner();
        send(&a, &gauge("queue.depth", "one", 3));
        let edge = tokio::time::timeout(PATIENCE, stream.message()).await;
        edge.expect("in time")
            .expect("no error")
            .expect("a message")
            .result
    });
    assert!(told);
    send(&b, &gauge("queue.depth", "two", 4));
    for replica in [&a, &b] {
        until_value(replica, DEPTH, 7.0);
    }
    // A metric that is quiet is zero at the one that is sent nothing of it.
    send(&a, &gauge("other", "one", 1));
    for replica in [&a, &b] {
        until_value(replica, "sum(quiet)", 0.0);
    }
    let page = b.ask("/metrics").body;
    assert!(
        page.contains(r#"reveille_ingest_points_total{source="peer"} 1"#),
        "{page}"
    );
}

#[test]
fn deltas_of_one_series_that_go_to_either_replica_add_up_on_both() {
    const GROWTH: &str = "sum(last_over_time(jobs[5m]))";
    let group = Group::new();
    let (a, b) = (starter(&group).start(), starter(&group).start());
    group.name(&[&a, &b]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let begin = now.expect("after 1970").as_secs() - 60;
    let mut sum = 0;
    for step in 0..10 {
        let to = if step % 3 == 0 { &a } else { &b };
        sum += step + 1;
        send(to, &delta(step + 1, begin + step, begin + step + 1));
    }
    for replica in [&a, &b] {
        until_value(
            replica,
            GROWTH,
            f64::from(u32::try_from(sum).expect("small")),
        );
    }
}

#[test]
fn the_metrics_of_a_replica_that_is_killed_stay_and_one_that_is_new_learns_them() {
    const DEPTH: &str = "sum(queue_depth)";
    let group = Group::new();
    let (a, b) = (starter(&group).start(), starter(&group).start());
    group.name(&[&a, &b]);
    send(&a, &gauge("queue.depth", "one", 5));
    until_value(&b, DEPTH, 5.0);
    let address = a.grpc().to_string();
    a.signal(Signal::KILL);
    until_peer(&b, &address, "lost");
    assert_eq!(block_on(value(&b, DEPTH)).expect("it is known"), 5.0);
    drop(a);
    // Another start at the same address: it never says zero, and then the same.
    let again = starter(&group).set("--grpc-addr", &address).start();
    until_peer(&again, &b.grpc().to_string(), "connected");
    wait_until("it knows what it was never sent", || {
        match block_on(value(&again, DEPTH)) {
            Ok(told) => {
                assert_eq!(told, 5.0);
                true
            }
            Err(refused) => {
                assert_eq!(refused.code(), Code::Unavailable);
                false
            }
        }
    });
}

#[test]
fn replicas_that_lost_each_other_say_the_same_when_they_have_found_each_other() {
    const DEPTH: &str = "sum(queue_depth)";
    let group = Group::new();
    let (a, b) = (starter(&group).start(), starter(&group).start());
    group.name(&[&a, &b]);
    send(&a, &gauge("queue.depth", "one", 1));
    for replica in [&a, &b] {
        until_value(replica, DEPTH, 1.0);
    }
    fs::write(group.file().join("peers"), "# nobody\n").expect("written");
    for replica in [&a, &b] {
        wait_until("it follows nobody", || {
            super::peers(replica).peers.is_empty()
        });
        wait_until("nobody follows it", || super::peers(replica).followers == 0);
    }
    send(&a, &gauge("queue.depth", "two", 10));
    send(&b, &gauge("queue.depth", "three", 100));
    until_value(&a, DEPTH, 11.0);
    until_value(&b, DEPTH, 101.0);
    group.name(&[&a, &b]);
    for replica in [&a, &b] {
        until_value(replica, DEPTH, 111.0);
    }
}
