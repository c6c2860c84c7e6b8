//! The double itself: is it as bad as KEDA? Against a scaler that does what a
//! test tells it to.

use crate::support::{
    Link, Relay,
    keda::{Dns, Event, Fallback, Keda, ScaledObject, Timings, Trigger, Workload},
    time::pass,
};
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use scaler::externalscaler::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec,
    MetricValue, ScaledObjectRef,
    external_scaler_server::{ExternalScaler, ExternalScalerServer},
};
use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::Instant};
use tonic::{Request, Response, Status, transport::Server, transport::server::TcpIncoming};

const SECOND: Duration = Duration::from_secs(1);

/// What an attempt to open `StreamIsActive` meets; after the last, a stream
/// that says nothing.
#[derive(Clone, Debug)]
enum Open {
    Refuse,
    End,
    SayThenBreak(bool),
    Say(bool),
}

#[derive(Debug, Default)]
struct Script {
    started: Option<Instant>,
    /// Names and targets of the metrics.
    specs: Vec<(&'static str, f64)>,
    value: f64,
    /// What `IsActive` says, one after another; then no.
    active: VecDeque<bool>,
    fails: bool,
    /// `GetMetrics` fails.
    blind: bool,
    streams: VecDeque<Open>,
    /// Seconds and names of the calls, with the route.
    calls: Vec<(u64, &'static str, String)>,
}

/// A scaler that follows a script. Clones are the same one.
#[derive(Clone, Debug)]
struct Scripted {
    script: Arc<Mutex<Script>>,
    /// Unary calls wait while this is true.
    hung: watch::Sender<bool>,
}

impl Scripted {
    fn new() -> Self {
        let script = Script {
            started: Some(Instant::now()),
            specs: vec![("load", 10.0)],
            ..Script::default()
        };
        Self {
            script: Arc::new(Mutex::new(script)),
            hung: watch::Sender::new(false),
        }
    }

    fn set(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock());
    }

    async fn listen(&self, tasks: &mut JoinSet<()>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = Server::builder()
            .add_service(ExternalScalerServer::new(self.clone()))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        tasks.spawn(async move { server.await.expect("it serves") });
        address
    }

    fn note(&self, call: &'static str, of: &ScaledObjectRef) {
        let mut script = self.script.lock();
        let started = script.started.expect("set");
        let route = of.scaler_metadata.get("interceptorRoute");
        let route = route.cloned().unwrap_or_default();
        let second = started.elapsed().as_secs();
        script.calls.push((second, call, route));
    }

    /// The seconds of these calls.
    fn calls(&self, call: &str) -> Vec<u64> {
        let script = self.script.lock();
        let calls = script.calls.iter().filter(|(_, made, _)| *made == call);
        calls.map(|(second, ..)| *second).collect()
    }

    async fn unary(&self, call: &'static str, of: &ScaledObjectRef) -> Result<(), Status> {
        self.note(call, of);
        let mut hung = self.hung.subscribe();
        let _thawed = hung.wait_for(|hung| !hung).await;
        if self.script.lock().fails {
            return Err(Status::unavailable("as the script says"));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl ExternalScaler for Scripted {
    type StreamIsActiveStream = BoxStream<'static, Result<IsActiveResponse, Status>>;
    type StreamMetricSpecStream = BoxStream<'static, Result<GetMetricSpecResponse, Status>>;

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        self.unary("IsActive", request.get_ref()).await?;
        let result = self.script.lock().active.pop_front().unwrap_or(false);
        Ok(Response::new(IsActiveResponse { result }))
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        self.note("StreamIsActive", request.get_ref());
        let next = self.script.lock().streams.pop_front();
        let say = |result| stream::iter([Ok(IsActiveResponse { result })]);
        let broken = || stream::iter([Err(Status::unavailable("broken"))]);
        Ok(Response::new(match next {
            Some(Open::Refuse) => return Err(Status::unavailable("refused")),
            Some(Open::End) => stream::empty().boxed(),
            Some(Open::SayThenBreak(result)) => say(result).chain(broken()).boxed(),
            Some(Open::Say(result)) => say(result).chain(stream::pending()).boxed(),
            None => stream::pending().boxed(),
        }))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        self.unary("GetMetricSpec", request.get_ref()).await?;
        let script = self.script.lock();
        let spec = |&(name, target): &(&str, f64)| MetricSpec {
            metric_name: name.to_owned(),
            target_size: target as i64,
            target_size_float: target,
        };
        let metric_specs = script.specs.iter().map(spec).collect();
        Ok(Response::new(GetMetricSpecResponse { metric_specs }))
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let request = request.into_inner();
        let of = request.scaled_object_ref.unwrap_or_default();
        self.unary("GetMetrics", &of).await?;
        let (value, blind) = {
            let script = self.script.lock();
            (script.value, script.blind)
        };
        if blind {
            return Err(Status::unavailable("blind"));
        }
        let value = MetricValue {
            metric_name: request.metric_name,
            metric_value: value as i64,
            metric_value_float: value,
        };
        let metric_values = vec![value];
        Ok(Response::new(GetMetricsResponse { metric_values }))
    }

    async fn stream_metric_spec(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        Err(Status::unimplemented("as before KEDA 2.21"))
    }
}

/// One ScaledObject, `web`, on one scripted scaler.
struct Stage {
    scaler: Scripted,
    workload: Workload,
    keda: Keda,
    _tasks: JoinSet<()>,
}

impl Stage {
    async fn new(scaler: Scripted, object: ScaledObject, replicas: u32) -> Self {
        let mut tasks = JoinSet::new();
        let dns = Dns::default();
        dns.set("scaler", vec![scaler.listen(&mut tasks).await]);
        let workload = Workload::new(replicas);
        let objects = vec![(object, workload.clone())];
        let keda = Keda::start(Timings::KEDA, &dns, objects);
        Self {
            scaler,
            workload,
            keda,
            _tasks: tasks,
        }
    }

    fn count(&self, is_so: impl Fn(&Event) -> bool) -> usize {
        self.keda.log.count("web", is_so)
    }
}

fn web() -> ScaledObject {
    ScaledObject::of_route("web", "scaler")
}

async fn stream_attempts(streams: Vec<Open>) -> Vec<u64> {
    let scaler = Scripted::new();
    let attempts = streams.len();
    scaler.set(|script| script.streams = streams.into());
    let stage = Stage::new(scaler, web(), 0).await;
    pass(260 * SECOND).await;
    let mut seconds = stage.scaler.calls("StreamIsActive");
    seconds.truncate(attempts);
    seconds
}

#[tokio::test(start_paused = true)]
async fn a_stream_comes_back_ever_later() {
    let seconds = stream_attempts(vec![Open::Refuse; 8]).await;
    assert_near(&seconds, &[0, 2, 6, 14, 30, 62, 122, 182]);
}

#[tokio::test(start_paused = true)]
async fn only_a_clean_end_makes_it_come_back_soon_again() {
    use Open::{End, Refuse, SayThenBreak};
    let streams = vec![Refuse, SayThenBreak(true), Refuse, End, Refuse, Refuse];
    let seconds = stream_attempts(streams).await;
    assert_near(&seconds, &[0, 2, 6, 14, 16, 20]);
}

/// Within the second that a few steps may add.
fn assert_near(seen: &[u64], expected: &[u64]) {
    let near = |(seen, expected): (&u64, &u64)| seen.abs_diff(*expected) <= 1;
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    assert!(seen.iter().zip(expected).all(near), "{seen:?} {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_streamed_true_activates_and_a_false_is_ignored() {
    let scaler = Scripted::new();
    scaler.set(|script| script.streams = [Open::End, Open::Say(true)].into());
    let stage = Stage::new(scaler, web(), 0).await;
    pass(3 * SECOND).await;
    assert_eq!(stage.workload.replicas(), 1);

    let scaler = Scripted::new();
    scaler.set(|script| {
        script.streams = [Open::End, Open::Say(false)].into();
        script.active = vec![true; 100].into();
    });
    let stage = Stage::new(scaler, web(), 1).await;
    pass(60 * SECOND).await;
    assert_eq!(stage.count(|event| *event == Event::Said(false)), 1);
    assert_eq!(stage.workload.replicas(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_message_of_a_new_object_is_dropped() {
    let scaler = Scripted::new();
    scaler.set(|script| script.streams = [Open::Say(true)].into());
    let stage = Stage::new(scaler, web(), 0).await;
    pass(8 * SECOND).await;
    assert_eq!(stage.count(|event| *event == Event::Dropped), 1);
    assert_eq!(stage.workload.replicas(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_metric_decides_on_activity() {
    for (said, active) in [([true, false], false), ([false, true], true)] {
        let scaler = Scripted::new();
        scaler.set(|script| {
            script.specs = vec![("load", 10.0), ("rate", 10.0)];
            script.active = said.into();
        });
        let stage = Stage::new(scaler, web(), 0).await;
        pass(SECOND).await;
        let polled = Event::Polled {
            active,
            failed: false,
        };
        assert_eq!(stage.count(|event| *event == polled), 1, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_poll_delays_an_activation() {
    let scaler = Scripted::new();
    // Opened at 0, 2, 4, … s; the poll at 10 s hangs, the message comes at 12 s.
    scaler.set(|script| {
        script.streams = vec![Open::End; 6].into();
        script.streams.push_back(Open::Say(true));
    });
    let stage = Stage::new(scaler, web(), 0).await;
    pass(SECOND).await;
    stage.scaler.hung.send_replace(true);
    pass(60 * SECOND).await;
    assert_eq!(stage.count(|event| *event == Event::Said(true)), 1);
    assert_eq!(stage.workload.replicas(), 0, "it waits for the poll");
    stage.scaler.hung.send_replace(false);
    pass(SECOND).await;
    assert_eq!(stage.workload.replicas(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_twice_and_takes_nothing_away() {
    let scaler = Scripted::new();
    scaler.set(|script| script.active = [true].into());
    let stage = Stage::new(scaler, web(), 1).await;
    pass(SECOND).await;
    stage.scaler.set(|script| script.fails = true);
    pass(60 * SECOND).await;
    let polls = stage.count(|event| matches!(event, Event::Polled { failed: true, .. }));
    assert_eq!(polls, 6);
    let asked = stage.scaler.calls("GetMetricSpec");
    let at_ten = asked.iter().filter(|second| **second == 10).count();
    assert_eq!(at_ten, 2, "{asked:?}");
    assert_eq!(stage.workload.replicas(), 1);
    // Nobody is there any more, and now it says so.
    stage.scaler.set(|script| script.fails = false);
    pass(20 * SECOND).await;
    assert_eq!(stage.workload.replicas(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_object_without_specs_is_neither_polled_nor_listened_for() {
    let scaler = Scripted::new();
    scaler.set(|script| script.specs.clear());
    let stage = Stage::new(scaler, web(), 0).await;
    pass(30 * SECOND).await;
    assert!(stage.scaler.calls("GetMetrics").is_empty());
    assert!(stage.scaler.calls("StreamIsActive").is_empty());
    assert!(stage.scaler.calls("GetMetricSpec").len() > 6);
}

#[tokio::test(start_paused = true)]
async fn specs_are_asked_for_one_trigger_after_another() {
    let scaler = Scripted::new();
    scaler.hung.send_replace(true);
    let mut object = web();
    let second = Trigger {
        metadata: vec![("interceptorRoute".to_owned(), "other".to_owned())],
        ..object.triggers[0].clone()
    };
    object.triggers.push(second);
    let stage = Stage::new(scaler, object, 0).await;
    let routes = |stage: &Stage| -> Vec<String> {
        let script = stage.scaler.script.lock();
        let calls = script.calls.iter().filter(|c| c.1 == "GetMetricSpec");
        calls.map(|(.., route)| route.clone()).collect()
    };
    pass(10 * SECOND).await;
    assert_eq!(routes(&stage), ["web"]);
    stage.scaler.hung.send_replace(false);
    pass(SECOND).await;
    assert_eq!(routes(&stage)[..2], ["web", "other"]);
}

#[tokio::test(start_paused = true)]
async fn the_fallback_counts_as_activity() {
    let scaler = Scripted::new();
    let mut object = web();
    object.fallback = Some(Fallback {
        failure_threshold: 2,
        replicas: 3,
    });
    let stage = Stage::new(scaler, object, 0).await;
    stage.scaler.set(|script| script.blind = true);
    pass(15 * SECOND).await;
    assert_eq!(stage.workload.replicas(), 0, "two failures are borne");
    pass(10 * SECOND).await;
    assert_eq!(stage.workload.replicas(), 1);
    pass(16 * SECOND).await;
    assert_eq!(stage.workload.replicas(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_hpa_rounds_up_beyond_its_tolerance() {
    // Usage, replicas before, replicas after; the target is 10 each.
    for (value, before, after) in [(11.0, 1, 1), (11.1, 1, 2), (30.0, 1, 3), (31.0, 2, 4)] {
        let scaler = Scripted::new();
        scaler.set(|script| {
            script.value = value;
            script.active = vec![true; 100].into();
        });
        let stage = Stage::new(scaler, web(), before).await;
        pass(16 * SECOND).await;
        assert_eq!(stage.workload.replicas(), after, "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_connection_serves_all_objects_and_calls_go_round() {
    let (one, two) = (Scripted::new(), Scripted::new());
    let mut tasks = JoinSet::new();
    let dns = Dns::default();
    let addresses = vec![one.listen(&mut tasks).await, two.listen(&mut tasks).await];
    dns.set("scaler", addresses);
    let objects = (0..4).map(|n| {
        let object = ScaledObject::of_route(&format!("web-{n}"), "scaler");
        (object, Workload::new(0))
    });
    let keda = Keda::start(Timings::KEDA, &dns, objects.collect());
    pass(61 * SECOND).await;
    let (one, two) = (one.calls("IsActive").len(), two.calls("IsActive").len());
    assert_eq!(one + two, 4 * 7);
    assert!(one > 0 && two > 0, "{one} {two}");
    drop(keda);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_resets_fails_at_once_and_comes_back_after_its_pause() {
    let scaler = Scripted::new();
    let mut tasks = JoinSet::new();
    let relay = Relay::start().await;
    relay.lead_to(scaler.listen(&mut tasks).await);
    let dns = Dns::default();
    dns.set("scaler", vec![relay.address]);
    let keda = Keda::start(Timings::KEDA, &dns, vec![(web(), Workload::new(1))]);
    pass(5 * SECOND).await;
    relay.set(Link::Reset);
    pass(40 * SECOND).await;
    let unavailable = |keda: &Keda| {
        keda.log.count("web", |event| {
            let unavailable = tonic::Code::Unavailable;
            matches!(event, Event::Failed { code, .. } if *code == unavailable)
        })
    };
    // Polls at 10, 20, 30 and 40 s, and each call twice.
    let failed = unavailable(&keda);
    assert!(failed >= 8, "{failed}");
    // Connects at 5, 6, 7.6, 10.2, 14.3, 20.8, 31.3 and 48 s.
    relay.set(Link::Up);
    let answers = |keda: &Keda| {
        keda.log
            .count("web", |e| matches!(e, Event::Answered { .. }))
    };
    let before = answers(&keda);
    pass(Duration::from_millis(2_500)).await;
    assert_eq!(answers(&keda), before, "its pause is not over");
    pass(10 * SECOND).await;
    assert!(answers(&keda) > before, "it is back");
}
