//! The provider's listener: HTTP/1.1 over TCP or TLS, with connections that can be cut.
//!
//! hyper is driven by hand instead of through axum because a fault must be able to end a
//! connection without a reply, and a reset must be a real one on the wire.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::fields::Kind;
use super::open::Arrived;
use super::tls;
use super::wire::{self, Cut};
use super::xml::MAX_BODY;

const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADERS: Duration = Duration::from_secs(30);
/// How long connections may take to finish what they are answering when the simulator stops.
const DRAIN: Duration = Duration::from_secs(3);

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Provider {
    pub(super) engine: Arc<Engine>,
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) latency: Duration,
    pub(super) hold: Duration,
    pub(super) stop: CancellationToken,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}

/// Accepts until the simulator stops, then waits for the open connections, but not for long.
pub(super) async fn serve(listener: TcpListener, provider: Provider) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = provider.stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(provider.clone().connection(stream));
                }
                // Out of file descriptors, most likely: trying again at once would only spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _late = tokio::time::timeout(DRAIN, drained).await;
    connections.shutdown().await;
}

/// A stream whose TCP connection can be reset.
trait Resettable: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    fn tcp(&self) -> &TcpStream;
}

impl Resettable for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Resettable for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Provider {
    async fn connection(self, stream: TcpStream) {
        // Without it a small reply can wait 40 ms for the client's acknowledgement.
        let _unsupported = stream.set_nodelay(true);
        let Some(acceptor) = self.acceptor.clone() else {
            return self.drive(stream, None).await;
        };
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
            return;
        };
        if let Ok(peer) = tls::peer_name(&stream) {
            self.drive(stream, peer).await;
        }
    }

    async fn drive(self, stream: impl Resettable, peer: Option<String>) {
        let reset = Arc::new(AtomicBool::new(false));
        let stop = self.stop.clone();
        let address = stream.tcp().peer_addr().ok().map(|peer| peer.ip());
        let provider = Arc::new((self, peer));
        let service = service_fn(|request| {
            let provider = Arc::clone(&provider);
            let reset = Arc::clone(&reset);
            async move {
                let (provider, peer) = &*provider;
                let answer = provider.answer(request, peer.as_deref(), address).await;
                if answer.as_ref().err() == Some(&Cut::Reset) {
                    reset.store(true, Ordering::Release);
                }
                answer
            }
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            _ended = &mut connection => {}
            () = stop.cancelled() => {
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                let _ended = (&mut connection).await;
            }
        }
        if reset.load(Ordering::Acquire) {
            let stream = connection.into_parts().io.into_inner();
            // Closing with zero linger sends RST instead of FIN.
            let _closed = stream.tcp().set_zero_linger();
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Response<Body>, Cut> {
        let (head, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(Body::new(body), MAX_BODY).await else {
            return Ok(wire::too_large());
        };
        let path = head.uri.path();
        let platform = self.engine.map.as_ref();
        let voucher_call = platform.and_then(|map| Some((map, map.call_at(path)?)));
        let open = self.engine.open.as_ref().filter(|open| open.owns(path));
        let wire = if let Some(open) = open {
            let arrived = Arrived {
                is_post: head.method == Method::POST,
                path,
                headers: &head.headers,
                body: &body,
                peer: address,
            };
            open.answer(&self.engine.books, arrived).await
        } else {
            match (head.method, Kind::at(path)) {
                (Method::POST, Some(kind)) => self.engine.send(kind, &body, peer).await,
                (Method::POST, None) if path == "/mmpaymkttransfers/gethbinfo" => {
                    self.engine.query(&body, peer).await
                }
                (Method::POST, None) => match voucher_call {
                    Some((map, call)) => map.answer(&self.engine.books, call, &body).await,
                    None => return Ok(wire::not_found()),
                },
                _ => return Ok(wire::not_found()),
            }
        };
        if !self.latency.is_zero() {
            let _stopped = tokio::time::timeout(self.latency, self.stop.cancelled()).await;
        }
        wire::render(wire, self.hold, &self.stop).await
    }
}
