//! A small service over real loopback, for the tests of the layers. Its requests are instructions
//! in words.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{Layer, Service};

use super::{AppId, CallLog, Deadline, RequestId, status};
use crate::grpc::codec::StrictCodec;

pub(crate) const SAY: &str = "/hongbao.test.Echo/Say";
pub(crate) const COUNT: &str = "/hongbao.test.Echo/Count";

/// Does what the text of the request says, and counts the works that came to their end.
#[derive(Clone, Default)]
pub(crate) struct Echo {
    pub(crate) finished: Arc<AtomicUsize>,
}

impl NamedService for Echo {
    const NAME: &'static str = "hongbao.test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(StrictCodec::<String, String>::default());
            match request.uri().path() {
                SAY => Ok(grpc.unary(echo, request).await),
                COUNT => Ok(grpc.server_streaming(echo, request).await),
                _ => Ok(Status::unimplemented("").into_http()),
            }
        })
    }
}

impl UnaryService<String> for Echo {
    type Response = String;
    type Future = BoxFuture<'static, Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let finished = self.finished.clone();
        Box::pin(async move {
            let (_, extensions, text) = request.into_parts();
            tracing::info!("a line from the handler");
            if let Some(millis) = text.strip_prefix("work ") {
                tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
                finished.fetch_add(1, Ordering::SeqCst);
            }
            match text.as_str() {
                "panic" => panic!("for 13800138000"),
                "refuse" => Err(status(
                    Code::FailedPrecondition,
                    "BUDGET_EXHAUSTED",
                    "too little",
                    &[],
                    None,
                )),
                "id" => Ok(Response::new(
                    extensions.get::<RequestId>().unwrap().as_str().to_owned(),
                )),
                "deadline" => {
                    let left =
                        extensions.get::<Deadline>().unwrap().0 - crate::clock::monotonic_tokio();
                    Ok(Response::new(left.as_millis().to_string()))
                }
                _ => Ok(Response::new(text)),
            }
        })
    }
}

impl ServerStreamingService<String> for Echo {
    type Response = String;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    /// Three messages, 100 ms apart, and an error where one is asked for.
    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let fail = request.into_inner() == "refuse";
            let stream = futures::stream::unfold(0, move |n| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                match n {
                    0..3 => Some((Ok(n.to_string()), n + 1)),
                    3 if fail => Some((
                        Err(status(
                            Code::Unavailable,
                            "SHUTTING_DOWN",
                            "closing",
                            &[],
                            None,
                        )),
                        n + 1,
                    )),
                    _ => None,
                }
            });
            let stream: Self::ResponseStream = Box::pin(stream);
            Ok(Response::new(stream))
        })
    }
}

/// Takes the app from the header `app`, as the authentication would from a key.
#[derive(Clone)]
pub(crate) struct FakeAuth<S>(pub(crate) S);

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for FakeAuth<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> S::Future {
        let sent = request
            .headers()
            .get("app")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(app) = sent.map(AppId) {
            if let Some(log) = request.extensions().get::<CallLog>() {
                log.set_app(app);
            }
            request.extensions_mut().insert(app);
        }
        self.0.call(request)
    }
}

/// Serves `echo` behind `layer` until the runtime of the test ends.
pub(crate) async fn serve<L>(echo: Echo, layer: L) -> SocketAddr
where
    L: Layer<Echo> + Clone + Send + Sync + 'static,
    L::Service: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    <L::Service as Service<http::Request<Body>>>::Future: Send,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = Named(layer.layer(echo));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming),
    );
    address
}

/// A layered [`Echo`] goes by the name of the bare one.
#[derive(Clone)]
struct Named<S>(S);

impl<S> NamedService for Named<S> {
    const NAME: &'static str = Echo::NAME;
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for Named<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        self.0.call(request)
    }
}

/// A request with headers, e.g. `&[("app", "7")]`.
pub(crate) fn request<T>(message: T, headers: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
}

pub(crate) async fn connect(server: &SocketAddr) -> tonic::client::Grpc<Channel> {
    let channel = Endpoint::from_shared(format!("http://{server}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    client
}

/// One unary call on a connection of its own.
pub(crate) async fn ask(
    server: &SocketAddr,
    request: Request<String>,
) -> Result<Response<String>, Status> {
    connect(server)
        .await
        .unary(
            request,
            SAY.parse().unwrap(),
            ProstCodec::<String, String>::default(),
        )
        .await
}

/// The same, with any message that looks like a text on the wire.
pub(crate) async fn ask_with<T>(server: &SocketAddr, message: T) -> Result<Response<String>, Status>
where
    T: Message + Send + Sync + 'static,
{
    let codec = ProstCodec::<T, String>::default();
    connect(server)
        .await
        .unary(Request::new(message), SAY.parse().unwrap(), codec)
        .await
}

/// A client that only writes the `grpc-timeout` header. tonic's own client starts a timer by it,
/// and then nobody sees what the server would have said.
#[derive(Clone)]
pub(crate) struct RawClient {
    sender: SendRequest<Body>,
    server: SocketAddr,
}

impl RawClient {
    pub(crate) async fn connect(server: SocketAddr) -> Self {
        let stream = tokio::net::TcpStream::connect(server).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self { sender, server }
    }

    /// The status in the headers of the reply: that of a refused call.
    pub(crate) async fn refusal(&mut self, text: &str, timeout: &str) -> Status {
        let request = http::Request::post(format!("http://{}{SAY}", self.server))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", timeout)
            .body(Body::new(OneMessage(Some(text.to_owned().encode_to_vec()))))
            .unwrap();
        let reply = self.sender.send_request(request).await.unwrap();
        Status::from_header_map(reply.headers()).unwrap()
    }
}

/// One message in the framing of gRPC.
struct OneMessage(Option<Vec<u8>>);

impl http_body::Body for OneMessage {
    type Data = prost::bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Status>>> {
        Poll::Ready(self.0.take().map(|message| {
            let mut framed = vec![0];
            framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            framed.extend(message);
            Ok(http_body::Frame::data(framed.into()))
        }))
    }
}
