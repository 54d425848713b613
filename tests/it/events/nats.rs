//! The feed on NATS JetStream, by Debian's `nats-server`: each event once, in its order, also when
//! the server dies in between.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use futures::StreamExt as _;

use super::{placed, sent};
use crate::sending::ready;
use crate::support::{Options, TestApp, TestDb, on_both};

on_both!(every_event_is_published_once_in_order);

struct NatsServer {
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl NatsServer {
    fn start() -> Self {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut server = Self {
            port,
            folder: tempfile::tempdir().unwrap(),
            process: None,
        };
        server.run();
        server
    }

    fn run(&mut self) {
        let folder: &Path = self.folder.path();
        let started = Command::new("nats-server")
            .args([
                "-a",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-js",
                "-sd",
            ])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server: Debian's package of that name");
        self.process = Some(started);
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn stream_of(url: &str) -> stream::Stream {
    let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
    let client = options.connect(url).await.unwrap();
    let context = jetstream::new(client);
    for _ in 0..100 {
        let config = stream::Config {
            name: "hongbao".into(),
            subjects: vec!["hongbao.>".into()],
            ..Default::default()
        };
        if let Ok(stream) = context.get_or_create_stream(config).await {
            return stream;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no stream at {url}");
}

async fn every_event_is_published_once_in_order(db: TestDb) {
    let mut nats = NatsServer::start();
    stream_of(&nats.url()).await;
    let options = Options {
        time_scale: 36_000,
        nats: Some(nats.url()),
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaign = ready(&app, 100_000).await;
    for n in 0..10 {
        sent(&app, campaign, &format!("oBefore{n}")).await;
    }
    nats.kill();
    for n in 0..10 {
        sent(&app, campaign, &format!("oWhile{n}")).await;
    }
    nats.run();
    sent(&app, campaign, "oAfter").await;
    let count = usize::try_from(placed(&app).await).unwrap();
    let stream = stream_of(&nats.url()).await;
    let reader = stream
        .create_consumer(consumer::pull::Config::default())
        .await
        .unwrap();
    let mut messages = reader.messages().await.unwrap();
    let mut ids = Vec::new();
    let mut seqs: BTreeMap<String, i64> = BTreeMap::new();
    while ids.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), messages.next());
        let message = next.await.expect("nothing more comes").unwrap().unwrap();
        let headers = message.headers.as_ref().unwrap();
        ids.push(headers.get("Nats-Msg-Id").unwrap().as_str().to_owned());
        let told: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
        let kind = told["type"].as_str().unwrap();
        assert_eq!(message.subject.as_str(), format!("hongbao.1.{kind}"));
        let data = &told["data"];
        let subject = format!("{} {}", data["subject"], data["subjectId"]);
        let seq: i64 = data["seq"].as_str().unwrap().parse().unwrap();
        let last = seqs.entry(subject).or_default();
        assert!(seq >= *last, "out of order: {data}");
        *last = seq;
        message.ack().await.unwrap();
    }
    let due: Vec<String> = (1..=count).map(|place| format!("evt_1_{place}")).collect();
    assert_eq!(ids, due);
    app.assert_sound().await;
    app.stop().await;
}
