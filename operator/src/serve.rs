//! A warp filter on a socket, with or without TLS: warp has none of its own, and its server sets no limits.
//!
//! Guarantees: a peer that is slow with its handshake or its request's head, or that reads nothing of its answer, is dropped; so
//! many connections and no more are open at a time; once `stop` is done nobody new is let in and open requests get [`GRACE`].

mod stalled;

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use warp::{Filter, Reply};

use stalled::UntilStalled;

/// How long a peer may take for the TLS handshake, and then for the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may read nothing of its answer.
const STALLED: Duration = Duration::from_secs(30);
/// How long open requests may take once the end has come.
const GRACE: Duration = Duration::from_secs(10);
/// Connections at a time: agents upload one recording each, and people read one report each.
const CONNECTIONS: usize = 256;

/// Serves `filter` until `stop`.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    filter: F,
    stop: CancellationToken,
) where
    F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let acceptor = tls.map(TlsAcceptor::from);
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = stop.cancelled() => break,
        };
        let Some((stream, slot)) = accepted else { continue };
        let service = TowerToHyperService::new(warp::service(filter.clone()));
        let (acceptor, watcher) = (acceptor.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _slot = slot;
            let stream: Box<dyn Stream> = match acceptor {
                None => Box::new(stream),
                Some(acceptor) => match timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => Box::new(stream),
                    Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => return tracing::debug!("TLS handshake took too long"),
                },
            };
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(UntilStalled::new(stream, STALLED)), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "connection ended early");
            }
        });
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off at the end: they took more than {} s", GRACE.as_secs());
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            sleep(Duration::from_millis(100)).await; // out of descriptors: trying at once would spin
            None
        }
    }
}
