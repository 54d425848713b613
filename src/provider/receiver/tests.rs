//! Receivers on loopback, and a look-up that says what a test wants.

mod ssrf;
mod tls;
mod wire;

use std::collections::VecDeque;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// A name that the public DNS could know.
const NAME: &str = "hooks.example.com";

/// A server on loopback, and who has connected to it.
struct Listener {
    address: SocketAddr,
    peers: Receiver<SocketAddr>,
}

impl Listener {
    /// Serves each connection by `serve`, on a thread of its own.
    fn new(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        Self::at("127.0.0.1:0", serve)
    }

    fn at(address: &str, serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, peers) = channel();
        std::thread::spawn(move || accept(&listener, &seen, &serve));
        Self { address, peers }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections have come since the last time. Connections are taken in order, so
    /// one of our own, once seen, says that no other is on its way.
    fn connections(&self) -> usize {
        let own = TcpStream::connect(self.address).unwrap();
        let own = own.local_addr().unwrap();
        self.peers
            .iter()
            .take_while(|peer| peer.port() != own.port())
            .count()
    }

    /// A URL with the name and this port.
    fn named(&self) -> ReceiverUrl {
        url(&format!("https://{NAME}:{}/hook", self.port()))
    }

    /// A URL with the address, in plain HTTP.
    fn plain(&self) -> ReceiverUrl {
        url(&format!("http://{}/hook?token=s3cret", self.address))
    }
}

fn accept(
    listener: &TcpListener,
    seen: &Sender<SocketAddr>,
    serve: &(impl Fn(TcpStream) + Clone + Send + 'static),
) {
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        if seen.send(stream.peer_addr().unwrap()).is_err() {
            return;
        }
        let serve = serve.clone();
        std::thread::spawn(move || serve(stream));
    }
}

/// Takes connections and lets go of them.
fn closing() -> Listener {
    Listener::new(drop)
}

/// Answers each request with the same bytes, then closes.
fn answering(reply: impl Into<Vec<u8>>) -> Listener {
    let reply = reply.into();
    Listener::new(move |mut stream| {
        if request(&mut stream).is_some() {
            let _gone = io::Write::write_all(&mut stream, &reply);
        }
    })
}

/// A request whose body ends in `}`; none if the connection ended first, or it is no HTTP.
fn request(stream: &mut impl Read) -> Option<String> {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    while !read.ends_with(b"}") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => read.extend_from_slice(&buffer[..n]),
        }
        if !read.starts_with(b"P") {
            return None;
        }
    }
    String::from_utf8(read).ok()
}

fn url(raw: &str) -> ReceiverUrl {
    ReceiverUrl::parse(raw, Reach::InternetAndLoopback).unwrap()
}

/// Long enough for a machine under load.
fn options(reach: Reach) -> ReceiverOptions {
    ReceiverOptions {
        reach,
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(10),
        },
        ca_pem: None,
    }
}

/// For tests in which the time has to run out.
fn hasty(reach: Reach) -> ReceiverOptions {
    ReceiverOptions {
        timeouts: Timeouts {
            connect: Duration::from_millis(500),
            total: Duration::from_millis(700),
        },
        ..options(reach)
    }
}

/// What a name leads to, look-up by look-up: the last one again and again.
struct Script {
    steps: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Script {
    fn new(steps: &[&[&str]]) -> Arc<Self> {
        let addresses = |step: &&[&str]| step.iter().map(|raw| raw.parse().unwrap()).collect();
        Arc::new(Self {
            steps: Mutex::new(steps.iter().map(addresses).collect()),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn lookup(self: &Arc<Self>) -> Lookup {
        let script = Arc::clone(self);
        Arc::new(move |name| {
            script.asked.lock().unwrap().push(name);
            let mut steps = script.steps.lock().unwrap();
            let step = match steps.len() {
                0 | 1 => steps.front().cloned().unwrap_or_default(),
                _ => steps.pop_front().unwrap(),
            };
            Box::pin(async { Ok(step) })
        })
    }

    /// A door that asks it. Its connections begin at loopback, from where the kernel lets
    /// none go to the internet: a test of a public address fails to connect, and sends nothing.
    fn door(self: &Arc<Self>, reach: Reach) -> ReceiverDoor {
        let bound = |builder: ClientBuilder| builder.local_address(LOOPBACK[0]);
        ReceiverDoor::built(&options(reach), self.lookup(), bound).unwrap()
    }
}

/// A door for receivers that are named by their address.
fn door(reach: Reach) -> ReceiverDoor {
    unasking(&options(reach))
}

fn unasking(options: &ReceiverOptions) -> ReceiverDoor {
    let unasked: Lookup = Arc::new(|name| panic!("no name is to be looked up: {name}"));
    ReceiverDoor::with_lookup(options, unasked).unwrap()
}

async fn post(door: &ReceiverDoor, url: &ReceiverUrl) -> Delivered {
    let headers = [("content-type", "application/json".to_owned())];
    door.post(url, &headers, b"{\"event_id\":\"evt_7\"}".to_vec())
        .await
}
