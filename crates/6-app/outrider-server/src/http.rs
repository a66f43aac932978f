//! HTTP/1.1 for browsers and programs: caps and time limits around the router.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::tasks::Stopped;

/// How the listener treats its peers.
#[derive(Debug, Clone, Copy)]
pub struct HttpConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// Connections at the same time; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Time for the head of a request.
    pub patience: Duration,
    /// Whether browsers reach it over TLS, so that cookies are marked `Secure`.
    pub is_behind_tls: bool,
}

impl HttpConfig {
    /// Loopback, any free port, without TLS.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            connections_max: 2048,
            patience: Duration::from_secs(10),
            is_behind_tls: false,
        }
    }
}

/// Serves until told to stop; open streams end with it.
pub(crate) async fn serve(socket: TcpListener, router: Router, config: HttpConfig, mut stopped: Stopped) {
    let room = Arc::new(Semaphore::new(config.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = stopped.wait() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let router = router.clone();
                connections.spawn(async move {
                    connection(stream, router, config).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                // Out of file handles, most likely: give others time to end.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    connections.shutdown().await;
}

/// Serves one connection.
async fn connection(stream: TcpStream, router: Router, config: HttpConfig) {
    // Small answers and stream events must not wait for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "socket option refused");
    }
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.patience)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}
