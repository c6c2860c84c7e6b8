//! An application that holds every request until it is told to answer.

use crate::http1::Reader;
use anyhow::{Result, ensure};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep},
};

const ARRIVED_WITHIN: Duration = Duration::from_secs(10);

/// It runs until the runtime ends.
pub(super) struct Holder {
    pub(super) address: SocketAddr,
    holding: Arc<AtomicUsize>,
    /// Counts how often it was told to answer.
    told: watch::Sender<u64>,
}

impl Holder {
    pub(super) async fn spawn() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (told, hears) = watch::channel(0);
        let holding = Arc::new(AtomicUsize::new(0));
        let count = holding.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (count, hears) = (count.clone(), hears.clone());
                tokio::spawn(async move {
                    // It ends when Envoy closes the connection.
                    serve(stream, &count, hears).await.ok();
                });
            }
        });
        Ok(Self {
            address,
            holding,
            told,
        })
    }

    /// Waits until it holds so many.
    pub(super) async fn until_holding(&self, count: usize) -> Result<()> {
        let deadline = Instant::now() + ARRIVED_WITHIN;
        while self.holding.load(Ordering::Relaxed) != count {
            ensure!(Instant::now() < deadline, "requests are missing");
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Answers what it holds now.
    pub(super) fn answer_all(&self) {
        self.told.send_modify(|times| *times += 1);
    }
}

async fn serve(
    mut stream: TcpStream,
    holding: &AtomicUsize,
    mut hears: watch::Receiver<u64>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::new();
    while let Some(head) = reader.head(&mut stream, || {}).await? {
        ensure!(head.body_length()? == 0, "a body");
        hears.mark_unchanged();
        holding.fetch_add(1, Ordering::Relaxed);
        let told = hears.changed().await;
        holding.fetch_sub(1, Ordering::Relaxed);
        told?;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await?;
    }
    Ok(())
}
