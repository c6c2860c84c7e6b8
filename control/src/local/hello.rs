//! `reveille hello`: a small HTTP server to wake, scale and put load on.

use axum::{Router, extract::State, http::HeaderMap, routing::get};
use std::{net::SocketAddr, process, sync::Arc};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Serves `GET /` on `addr` until SIGTERM or SIGINT.
///
/// # Errors
/// An address that cannot be bound.
pub async fn serve(addr: SocketAddr) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(addr).await?;
    let name: Arc<str> = format!("process {} on {}", process::id(), listener.local_addr()?).into();
    let app = Router::new().route("/", get(greet)).with_state(name);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await
}

async fn greet(State(name): State<Arc<str>>, headers: HeaderMap) -> String {
    let client = headers
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok());
    format!("Hello {} from {name}\n", client.unwrap_or("you"))
}
