//! kube-proxy, played for one Service: an address whose connections go to the
//! ready endpoints in turn.
//!
//! A connection stays where it is, whatever becomes of its endpoint; only new
//! ones go elsewhere. The way of a connection is chosen and taken in one step:
//! when the endpoints have changed, nobody is on the old way any more.

use super::slices::ready;
use crate::support::ApiServer;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::RwLock,
};

/// A Service and where its Pods listen.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    pub(super) namespace: &'static str,
    pub(super) service: &'static str,
    pub(super) target_port: u16,
}

#[derive(Default)]
struct Ways {
    ready: RwLock<Vec<SocketAddr>>,
    next: AtomicUsize,
}

/// Forwards for ever.
pub(super) async fn run(api: Arc<ApiServer>, ports: Ports, listener: TcpListener) {
    let ways = Arc::new(Ways::default());
    let forwarding = async {
        loop {
            let (client, _) = listener.accept().await.expect("it listens");
            tokio::spawn(forward(client, ways.clone()));
        }
    };
    let following = async {
        let mut changes = api.changes();
        loop {
            changes.borrow_and_update();
            let ready = ready(&api, ports.namespace, ports.service, ports.target_port);
            *ways.ready.write().await = ready;
            changes.changed().await.expect("the API server stays");
        }
    };
    tokio::join!(forwarding, following);
}

async fn forward(mut client: TcpStream, ways: Arc<Ways>) {
    let pod = {
        let ready = ways.ready.read().await;
        if ready.is_empty() {
            return;
        }
        let next = ways.next.fetch_add(1, Ordering::Relaxed);
        TcpStream::connect(ready[next % ready.len()]).await
    };
    // Its client sees that the connection ends.
    let Ok(mut pod) = pod else { return };
    for stream in [&client, &pod] {
        stream.set_nodelay(true).expect("a socket");
    }
    // However either side ends it.
    let _ended = copy_bidirectional(&mut client, &mut pod).await;
}
