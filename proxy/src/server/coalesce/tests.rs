use super::*;
use std::{
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering},
    task::Wake,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll_write<T: AsyncWrite + Unpin>(
    io: &mut CoalescingIo<T>,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<usize> {
    Pin::new(io)
        .poll_write(cx, bytes)
        .map(|count| count.expect("an open connection"))
}

#[tokio::test]
async fn nothing_is_written_until_the_owner_flushes_and_then_all_of_it() {
    let (mut peer, ours) = duplex(1024);
    let (mut io, flush) = coalesce(ours);
    for word in ["one ", "two ", "three"] {
        io.write_all(word.as_bytes()).await.expect("collected");
        io.flush().await.expect("says so");
    }
    let mut bytes = [0; 13];
    {
        let waker = Arc::new(Wakes::default()).into();
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut peer).poll_read(&mut Context::from_waker(&waker), &mut buffer);
        assert!(read.is_pending());
    }
    poll_fn(|cx| flush.poll(cx)).await.expect("flushed");
    peer.read_exact(&mut bytes).await.expect("all of it");
    assert_eq!(&bytes, b"one two three");
    poll_fn(|cx| flush.poll(cx)).await.expect("nothing to do");
}

#[tokio::test]
async fn a_peer_that_does_not_read_stops_the_writer_and_wakes_it_when_it_does() {
    let (mut peer, ours) = duplex(1000);
    let (mut io, flush) = coalesce(ours);
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.clone().into();
    let cx = &mut Context::from_waker(&waker);
    let piece = [7; 10_000];
    let mut taken = 0;
    while let Poll::Ready(count) = poll_write(&mut io, cx, &piece) {
        assert!(count > 0);
        taken += count;
        assert!(taken <= MOST + 1000, "bounded");
    }
    assert_eq!(taken, MOST, "the rest waits in the bound");
    assert!(flush.poll(cx).is_pending());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    let mut received = vec![0; 1000];
    peer.read_exact(&mut received).await.expect("the beginning");
    assert!(wakes.0.load(Ordering::Relaxed) > 0, "it can go on");
    let rest = tokio::spawn(async move {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.expect("the rest");
        all.len()
    });
    io.write_all(&piece).await.expect("room by and by");
    io.shutdown().await.expect("flushes first");
    drop((io, flush));
    assert_eq!(rest.await.expect("no panic"), MOST + 10_000 - 1000);
}

#[tokio::test]
async fn a_peer_that_left_is_an_error_of_the_flush() {
    let (peer, ours) = duplex(64);
    let (mut io, flush) = coalesce(ours);
    drop(peer);
    io.write_all(b"to nobody").await.expect("collected");
    poll_fn(|cx| flush.poll(cx))
        .await
        .expect_err("nobody is there");
}

#[tokio::test]
async fn memory_is_given_back_only_when_nothing_waits() {
    let (mut peer, ours) = duplex(64);
    let (mut io, flush) = coalesce(ours);
    io.write_all(b"kept").await.expect("collected");
    flush.release();
    poll_fn(|cx| flush.poll(cx)).await.expect("flushed");
    let mut bytes = [0; 4];
    peer.read_exact(&mut bytes).await.expect("all of it");
    assert_eq!(&bytes, b"kept");
    flush.release();
    assert_eq!(flush.0.lock().waiting.capacity(), 0);
}
