//! The order in which it stops, watched from outside: not ready, listeners
//! closed, drained, KEDA's streams ended with OK, children stopped, and the
//! admin server last.

use crate::support::{Reveille, Target};
use scaler::externalscaler::{ScaledObjectRef, external_scaler_client::ExternalScalerClient};
use tonic::{Streaming, transport::Endpoint};

type Activity = Streaming<scaler::externalscaler::IsActiveResponse>;

/// What KEDA does for a trigger of type `external-push`.
async fn open_stream(reveille: &Reveille) -> Activity {
    let endpoint =
        Endpoint::from_shared(format!("http://{}", reveille.grpc())).expect("an address");
    let channel = endpoint.connect().await.expect("connects");
    let mut client = ExternalScalerClient::new(channel);
    let scaled_object = ScaledObjectRef {
        name: "web".to_owned(),
        namespace: "default".to_owned(),
        scaler_metadata: [("interceptorRoute".to_owned(), "web".to_owned())].into(),
    };
    let stream = client.stream_is_active(scaled_object).await;
    stream.expect("it opens").into_inner()
}

#[tokio::test]
async fn each_part_ends_after_the_one_that_needs_it() {
    // Says when it is told to stop, and then takes its time.
    let script = "import server, signal, sys, os
def stop(*_):
    print('told to stop', flush=True)
    server.until('exit')
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
server.serve()
";
    let target = Target::new("web", "[python3, -B, slow_to_stop.py]")
        .process("terminationGracePeriod: 1h")
        .scaled("minReplicaCount: 1");
    let mut reveille = Reveille::of(target)
        .file("slow_to_stop.py", script)
        .arg("--shutdown-delay", "1s")
        .start();
    reveille.until_warm("web");
    let mut running = reveille.client("web").begin("GET", "/wait/answer");
    reveille.until("web", "it runs", |now| now.in_flight == 1);
    let mut stream = open_stream(&reveille).await;
    let first = stream
        .message()
        .await
        .expect("no error")
        .expect("a message");
    assert!(first.result);
    assert_eq!(reveille.ask("/readyz").status, 200);

    // 1. Not ready, but still serving whoever has not heard of it.
    reveille.begin_stop();
    assert_eq!(reveille.ask("/readyz").status, 503);
    assert_eq!(reveille.client("web").get("/late").status, 200);

    // 2. The listeners close; what runs goes on, and everything behind it.
    Reveille::until_closed(reveille.proxy());
    assert_eq!(reveille.ask("/readyz").status, 503);
    assert_eq!(reveille.ask("/livez").status, 200);
    let target = reveille.until("web", "it runs", |now| now.in_flight == 1);
    assert_eq!((target.state.as_str(), target.replicas()), ("warm", (1, 1)));
    let metrics = reveille.ask("/metrics").body;
    let streams = r#"reveille_scaler_open_streams{kind="activity"} 2"#;
    assert!(
        metrics.contains(streams),
        "ours and the autoscaler's: {metrics}"
    );

    // 3. Drained: now, and not before, KEDA's streams end, with OK.
    reveille.touch("answer");
    assert_eq!(running.answer().status, 200);
    while let Some(more) = stream.message().await.expect("OK, not an error") {
        assert!(more.result, "what it did was asked of it");
    }

    // 4. Then the children are told; the admin server outlives them.
    reveille.until_logged("told to stop");
    assert_eq!(reveille.ask("/livez").status, 200);
    assert_eq!(reveille.ask("/readyz").status, 503);
    assert_eq!(reveille.target("web").replicas().1, 0);
    reveille.touch("exit");
    reveille.wait_for_orderly_end();

    let log = reveille.log();
    assert!(
        !log.contains("WARN") && !log.contains("ERROR"),
        "an orderly stop"
    );
    let told = log.find("told to stop").expect("logged");
    assert!(log.find("draining requests").expect("logged") < told);
}
