//! A TCP relay with a stable address that can be frozen or cut: the network
//! between KEDA and a replica, or between two replicas.

use socket2::SockRef;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Everything passes.
    Up,
    /// Nothing passes and nobody is told: a partition.
    Frozen,
    /// Connections are reset, new ones too: a dead process.
    Reset,
}

/// A relay. Dropping it resets its connections.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    link: watch::Sender<Link>,
    upstream: watch::Sender<Option<SocketAddr>>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Leads nowhere until it is told where to.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let link = watch::Sender::new(Link::Reset);
        let upstream = watch::Sender::new(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, link.subscribe(), upstream.subscribe()));
        Self {
            address,
            link,
            upstream,
            _tasks: tasks,
        }
    }

    /// New connections go there.
    pub(crate) fn lead_to(&self, upstream: SocketAddr) {
        self.upstream.send_replace(Some(upstream));
        self.set(Link::Up);
    }

    pub(crate) fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

async fn accept(
    listener: TcpListener,
    link: watch::Receiver<Link>,
    upstream: watch::Receiver<Option<SocketAddr>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a listener");
        let (link, upstream) = (link.clone(), upstream.clone());
        connections.spawn(async move {
            let mut cut = link.clone();
            tokio::select! {
                biased;
                // Err: the relay is gone, which cuts, too.
                _cut = cut.wait_for(|link| *link == Link::Reset) => {}
                () = relay(client, link, upstream) => {}
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn relay(
    client: TcpStream,
    mut link: watch::Receiver<Link>,
    upstream: watch::Receiver<Option<SocketAddr>>,
) {
    // A connection that is dropped half-way is reset, not closed.
    let reset_on_drop = |stream: &TcpStream| {
        SockRef::from(stream)
            .set_linger(Some(Duration::ZERO))
            .and_then(|()| stream.set_nodelay(true))
    };
    if reset_on_drop(&client).is_err() || link.wait_for(|link| *link == Link::Up).await.is_err() {
        return;
    }
    let address = *upstream.borrow();
    let Some(Ok(server)) = (match address {
        Some(address) => Some(TcpStream::connect(address).await),
        None => None,
    }) else {
        return;
    };
    if reset_on_drop(&server).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        pump(from_client, to_server, link.clone()),
        pump(from_server, to_client, link),
    );
}

/// One direction, until its end.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut link: watch::Receiver<Link>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        // What was read when the link froze arrives when it thaws.
        if link.wait_for(|link| *link == Link::Up).await.is_err() {
            return;
        }
        let Some(bytes) = read.ok().filter(|read| *read > 0).map(|n| &buffer[..n]) else {
            let _closed = to.shutdown().await;
            return;
        };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
