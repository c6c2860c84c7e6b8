//! The server over real gRPC, as a client of tonic's sees it.

use super::*;
use envoy_types::pb::envoy::{
    config::{
        core::v3::{Node, address::Address, socket_address::PortSpecifier},
        endpoint::v3::{
            ClusterLoadAssignment, ClusterStats, UpstreamLocalityStats, lb_endpoint::HostIdentifier,
        },
    },
    service::{
        discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
        },
        load_stats::v3::{
            LoadStatsRequest, LoadStatsResponse,
            load_reporting_service_client::LoadReportingServiceClient,
        },
    },
};
use prost::Message;
use proxy::{
    Clock, EndpointSet, ProxyConfig, Target, TargetId,
    route::{Route, RouteSpec, RouteTable, Rule},
};
use scaler::{DemandSource, LedgerConfig, TargetEntry, TargetScaling};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};

/// A proxy with one route, and its xDS server.
struct Bench {
    proxy: Arc<Proxy>,
    ledger: Arc<Ledger>,
    target: Arc<Target>,
    xds: Arc<Xds>,
    _tasks: JoinSet<anyhow::Result<()>>,
    channel: Channel,
    stop: CancellationToken,
}

struct Counted(Arc<Target>);

impl DemandSource for Counted {
    fn totals(&self) -> proxy::Totals {
        self.0.totals()
    }
    fn held(&self) -> u64 {
        0
    }
    fn ready_endpoints(&self) -> usize {
        0
    }
    fn target(&self) -> Option<&TargetId> {
        Some(self.0.id())
    }
}

impl Bench {
    async fn start(nodes: &[&str]) -> Self {
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
        ledger.expect_reports(Duration::from_secs(1));
        let proxy = Proxy::new(ProxyConfig::default(), clock, Arc::new(()));
        let proxy = Arc::new(proxy.expect("a worker can be started"));
        let target = proxy.target(TargetId::new("default", "web"));
        ledger.set_targets(vec![TargetEntry {
            id: target.id().clone(),
            source: Arc::new(Counted(target.clone())),
            scaling: TargetScaling::default(),
        }]);
        let listener = proxy::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let settings = XdsSettings {
            addr,
            tls: None,
            nodes: nodes.iter().map(|text| text.parse().unwrap()).collect(),
            proxies: Vec::new(),
            listener: None,
            load_interval: Duration::from_millis(250),
            load_grace: Duration::from_secs(1),
            max_clients: 8,
        };
        let port = XdsPort {
            listener,
            tls: None,
        };
        let stop = CancellationToken::new();
        let ready = std::future::ready(());
        let from = (proxy.clone(), "127.0.0.1:8080".parse().unwrap());
        let (xds, tasks) = Xds::start(&settings, port, from, ledger.clone(), ready, &stop).unwrap();
        let bench = Self {
            proxy,
            ledger,
            target,
            xds,
            _tasks: tasks,
            channel: Channel::from_shared(format!("http://{addr}"))
                .unwrap()
                .connect_lazy(),
            stop,
        };
        bench.route_to(&["web.test"]);
        bench
    }

    fn route_to(&self, hosts: &[&str]) {
        let rule = Rule {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            ..Rule::default()
        };
        self.proxy.set_routes(RouteTable::build(vec![RouteSpec {
            route: Arc::new(Route::new(self.target.clone())),
            rules: vec![rule],
            created: 0,
        }]));
    }

    fn serve_at(&self, addrs: &[&str]) {
        let endpoint = |addr: &&str| self.proxy.endpoint(addr.parse().unwrap(), addr);
        let set = EndpointSet::new(addrs.iter().map(endpoint).collect());
        self.target.set_endpoints(Arc::new(set));
    }

    async fn connect(&self, node: &str) -> Result<Talk, Status> {
        let (requests, stream) = mpsc::channel(8);
        let mut client = AggregatedDiscoveryServiceClient::new(self.channel.clone());
        let talk = Talk {
            requests,
            node: node.to_owned(),
            responses: None,
        };
        talk.ask(Kind::Cluster, &[], "", None).await;
        let responses = client
            .delta_aggregated_resources(ReceiverStream::new(stream))
            .await?;
        Ok(Talk {
            responses: Some(responses.into_inner()),
            ..talk
        })
    }
}

/// A stream of the delta variant.
struct Talk {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    node: String,
    responses: Option<Streaming<DeltaDiscoveryResponse>>,
}

impl Talk {
    async fn ask(&self, kind: Kind, names: &[&str], nonce: &str, error: Option<&str>) {
        let request = DeltaDiscoveryRequest {
            node: Some(node(&self.node)),
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: names.iter().map(|&name| name.to_owned()).collect(),
            response_nonce: nonce.to_owned(),
            error_detail: error.map(|message| envoy_types::pb::google::rpc::Status {
                message: message.to_owned(),
                ..Default::default()
            }),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }

    async fn next(&mut self) -> Result<Option<DeltaDiscoveryResponse>, Status> {
        self.responses.as_mut().unwrap().message().await
    }

    /// The next response, accepted; its resources' names.
    async fn take(&mut self, kind: Kind) -> (DeltaDiscoveryResponse, Vec<String>) {
        let response = self.next().await.unwrap().expect("a response");
        assert_eq!(response.type_url, kind.type_url());
        self.ask(kind, &[], &response.nonce, None).await;
        let names = response
            .resources
            .iter()
            .map(|one| one.name.clone())
            .collect();
        (response, names)
    }
}

fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        ..Node::default()
    }
}

/// The addresses at both priorities.
fn addresses(response: &DeltaDiscoveryResponse, name: &str) -> [Vec<String>; 2] {
    let resource = response.resources.iter().find(|one| one.name == name);
    let any = resource
        .and_then(|one| one.resource.as_ref())
        .expect("it is there");
    let assignment = ClusterLoadAssignment::decode(&*any.value).unwrap();
    [0, 1].map(|priority| {
        let localities = assignment.endpoints.iter();
        let here = localities.filter(|locality| locality.priority == priority);
        here.flat_map(|locality| &locality.lb_endpoints)
            .map(|endpoint| {
                let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else {
                    panic!("no endpoint");
                };
                let address = endpoint
                    .address
                    .as_ref()
                    .and_then(|one| one.address.as_ref());
                let Some(Address::SocketAddress(socket)) = address else {
                    panic!("no socket");
                };
                let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else {
                    panic!("no port");
                };
                format!("{}:{port}", socket.address)
            })
            .collect()
    })
}

const WEB: &str = "reveille/default/web";

#[tokio::test]
async fn a_changed_endpoint_sends_one_resource() {
    let bench = Bench::start(&[]).await;
    // From now on it is known what they speak.
    let clusters = || bench.xds.resources()[0].clone();
    while clusters().2 != 2 {
        tokio::task::yield_now().await;
    }
    let (_, unknown, _) = clusters();
    bench.serve_at(&["127.0.0.1:1"]);
    while clusters().1 == unknown {
        tokio::task::yield_now().await;
    }
    let endpoints = || bench.xds.resources()[Kind::Endpoints as usize].1.clone();
    let served = endpoints();
    bench.serve_at(&[]);
    while endpoints() == served {
        tokio::task::yield_now().await;
    }
    let mut talk = bench.connect("edge").await.unwrap();
    let (_, names) = talk.take(Kind::Cluster).await;
    assert_eq!(names, ["reveille", WEB]);
    talk.ask(Kind::Endpoints, &["reveille", WEB], "", None)
        .await;
    let (endpoints, names) = talk.take(Kind::Endpoints).await;
    assert_eq!(names.len(), 2);
    let ours = vec!["127.0.0.1:8080".to_owned()];
    assert_eq!(addresses(&endpoints, WEB), [vec![], ours.clone()]);
    talk.ask(Kind::Routes, &["reveille"], "", None).await;
    let (routes, _) = talk.take(Kind::Routes).await;

    bench.serve_at(&["127.0.0.1:2", "127.0.0.1:1"]);
    let (endpoints, names) = talk.take(Kind::Endpoints).await;
    assert_eq!(names, [WEB]);
    let ready = ["127.0.0.1:1", "127.0.0.1:2"].map(str::to_owned).to_vec();
    assert_eq!(addresses(&endpoints, WEB), [ready, ours]);
    bench.route_to(&["web.test", "more.test"]);
    let (changed, _) = talk.take(Kind::Routes).await;
    assert_ne!(changed.resources[0].version, routes.resources[0].version);
    assert_eq!(bench.xds.clients().connected(), 1);

    bench.stop.cancel();
    assert!(talk.next().await.unwrap().is_none(), "it ends in order");
}

#[tokio::test]
async fn a_refusal_is_counted_and_shown_with_its_reason() {
    let bench = Bench::start(&[]).await;
    let mut talk = bench.connect("edge").await.unwrap();
    let (_, _) = talk.take(Kind::Cluster).await;
    talk.ask(Kind::Routes, &["reveille"], "", None).await;
    talk.ask(Kind::Endpoints, &["reveille", WEB], "", None)
        .await;
    talk.take(Kind::Endpoints).await;
    let response = talk.next().await.unwrap().expect("routes");
    talk.ask(Kind::Routes, &[], &response.nonce, Some("no such matcher"))
        .await;
    bench.route_to(&["other.test"]);
    talk.take(Kind::Routes).await;
    let views = bench.xds.clients().view();
    let routes = views[0]
        .kinds
        .iter()
        .find(|one| one.kind == Kind::Routes)
        .unwrap();
    let refusal = routes.last_refusal.as_ref().expect("it was refused");
    assert_eq!(refusal.reason, "no such matcher");
    assert_eq!(refusal.resources, ["reveille"]);
    let [.., (_, counts)] = bench.xds.clients().counts();
    assert_eq!((counts.responses, counts.refused), (2, 1));
}

#[tokio::test]
async fn who_is_not_named_does_not_connect() {
    let bench = Bench::start(&["edge-*"]).await;
    for (node, code) in [
        ("other", Code::PermissionDenied),
        ("", Code::InvalidArgument),
    ] {
        let mut talk = bench.connect(node).await.unwrap();
        assert_eq!(talk.next().await.unwrap_err().code(), code);
        assert_eq!(report_as(&bench, node).await.unwrap_err().code(), code);
    }
    let mut talk = bench.connect("edge-7").await.unwrap();
    assert!(talk.next().await.unwrap().is_some());
}

type Reports = (mpsc::Sender<LoadStatsRequest>, Streaming<LoadStatsResponse>);

async fn report_as(bench: &Bench, id: &str) -> Result<Reports, Status> {
    let (requests, stream) = mpsc::channel(8);
    let first = LoadStatsRequest {
        node: Some(node(id)),
        ..LoadStatsRequest::default()
    };
    requests.send(first).await.unwrap();
    let mut client = LoadReportingServiceClient::new(bench.channel.clone());
    let response = client
        .stream_load_stats(ReceiverStream::new(stream))
        .await?;
    let mut responses = response.into_inner();
    let first = responses.message().await?.expect("what is to be reported");
    assert!(first.send_all_clusters);
    assert_eq!(first.load_reporting_interval.unwrap().nanos, 250_000_000);
    Ok((requests, responses))
}

fn stats(issued: u64, in_progress: u64) -> LoadStatsRequest {
    let locality = |priority| UpstreamLocalityStats {
        priority,
        total_issued_requests: issued,
        total_requests_in_progress: in_progress,
        ..UpstreamLocalityStats::default()
    };
    LoadStatsRequest {
        cluster_stats: vec![ClusterStats {
            cluster_name: WEB.to_owned(),
            upstream_locality_stats: vec![locality(0), locality(1)],
            ..ClusterStats::default()
        }],
        ..LoadStatsRequest::default()
    }
}

#[tokio::test]
async fn reports_of_envoys_become_demand() {
    let bench = Bench::start(&[]).await;
    // The names of clusters are known from when they are served.
    let mut talk = bench.connect("edge").await.unwrap();
    talk.take(Kind::Cluster).await;
    let mut reports = Vec::new();
    for id in ["edge-1", "edge-2"] {
        let (requests, responses) = report_as(&bench, id).await.unwrap();
        requests.send(stats(10, 4)).await.unwrap();
        reports.push((requests, responses));
    }
    let id = bench.target.id().clone();
    while bench.ledger.demand(&id).unwrap().in_flight != 8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.ledger.requests_begun(&id), Some(20));
    assert_eq!(bench.xds.loads().reporting(), 2);
    assert_eq!(bench.xds.loads().requests(), 20);
    reports.clear();
    while bench.xds.loads().losses() != 2 {
        tokio::task::yield_now().await;
    }
    // They count on for the grace.
    assert_eq!(bench.ledger.demand(&id).unwrap().in_flight, 8);
}
