//! The real binary is killed in the middle of streams and deliveries: whoever goes on from his
//! cursor, and whoever is posted to, has seen every event at least once, each packet's in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hongbao::grpc::pb;

use crate::chaos::process::{Provider, Server};
use crate::chaos::rng::Rng;
use crate::chaos::watch::Rows;
use crate::support::receiver::{Receiver, ok};
use crate::support::{Client, SHOP, TestDb, on_both};

/// Kills of one run.
const KILLS: usize = 5;

on_both!(nothing_is_lost_by_a_kill);

/// What a reader keeps: his cursor, and what he has seen.
#[derive(Default)]
struct Reader {
    cursor: String,
    seen: Vec<pb::Event>,
}

impl Reader {
    /// Reads until the stream breaks, or until there was nothing new for a while. A cursor is
    /// kept when its event is, as a careful reader would.
    async fn read(&mut self, client: &Client) {
        let watch = pb::WatchEventsRequest {
            shop_id: SHOP,
            from_beginning: self.cursor.is_empty(),
            cursor: self.cursor.clone(),
            filter: None,
        };
        let Ok(stream) = client.events().watch_events(watch).await else {
            return;
        };
        let mut stream = stream.into_inner();
        let wait = Duration::from_secs(2);
        while let Ok(Ok(Some(message))) = tokio::time::timeout(wait, stream.message()).await {
            self.seen.extend(message.event);
            self.cursor = message.cursor;
        }
    }
}

async fn nothing_is_lost_by_a_kill(db: TestDb) {
    let folder = db.folder.path().to_owned();
    // Its port comes from it, too: two of these run at once.
    let mut rng = Rng::new(hongbao::clock::random_u64());
    if !folder.join("keys.toml").exists() {
        hongbao::app::write_key_file(&folder.join("keys.toml")).unwrap();
    }
    let provider = Provider::start(&folder, 7, false);
    let mut server = Server::new(&folder, "killed", &db.url, &provider, &mut rng);
    let environment = [("HONGBAO__WEBHOOKS__ALLOW_LOOPBACK", "true")];
    let key = server.create_app();
    server.start_with(&environment);
    server.ready().await;
    let client = Client::connect(server.addr, &key).await;
    client.make_shop(SHOP).await;
    let account = client
        .make_account(&provider.mch_id, &provider.appid, &[SHOP])
        .await;
    let receiver = Receiver::start(ok).await;
    let endpoint = pb::CreateWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        url: receiver.url(),
        ..Default::default()
    };
    let made = client.events().create_webhook_endpoint(endpoint).await;
    made.unwrap();
    let draft = client.draft(SHOP, account, "killed");
    let campaign = client.make_campaign(draft, 1_000_000).await;
    let rows = Rows::connect(&db).await;

    let mut reader = Reader::default();
    for kill in 0..KILLS {
        let sends = (0..40).map(|n| {
            let client = &client;
            let openid = format!("oKilled{kill}x{n}");
            async move { client.send(SHOP, campaign, &openid).await }
        });
        let reads = tokio::time::timeout(Duration::from_secs(3), reader.read(&client));
        let (sent, _) = tokio::join!(futures::future::join_all(sends), async {
            let kill = async {
                tokio::time::sleep(rng.millis(150, 900)).await;
                server.kill();
            };
            tokio::join!(reads, kill)
        });
        // What was not answered may or may not be there; what is there has events.
        drop(sent);
        server.start_with(&environment);
        server.ready().await;
    }
    // Until every packet has ended, everything has its place and nothing waits to be posted.
    let open = "SELECT COUNT(*) AS n FROM issuance WHERE state NOT IN ('RECEIVED', 'REFUNDED', 'FAILED', 'CANCELLED')";
    let unplaced = "SELECT COUNT(*) AS n FROM journal WHERE position IS NULL";
    let pending = "SELECT COUNT(*) AS n FROM webhook_delivery WHERE state = 'PENDING'";
    for query in [open, unplaced, pending] {
        for _ in 0..2_000 {
            if rows.number(query).await == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(rows.number(query).await, 0, "{query}");
    }
    let count = rows.number("SELECT COUNT(*) AS n FROM journal").await;
    let last = |reader: &Reader| reader.seen.last().map_or(0, |event| event.position);
    for _ in 0..20 {
        if last(&reader) < count {
            reader.read(&client).await;
        }
    }

    // The reader has seen each once, in order, for he kept his cursor with what he had read.
    let places: Vec<i64> = reader.seen.iter().map(|event| event.position).collect();
    assert_eq!(places, (1..=count).collect::<Vec<_>>());
    let mut seqs: BTreeMap<(i32, i64), i64> = BTreeMap::new();
    for event in &reader.seen {
        let seq = seqs.entry((event.subject, event.subject_id)).or_default();
        assert!(event.seq >= *seq, "out of order: {event:?}");
        *seq = event.seq;
    }
    // The receiver has each at least once: all but what was before it, and what is of itself.
    let posted: BTreeSet<String> = receiver
        .posts()
        .iter()
        .map(|post| post.header("webhook-id").to_owned())
        .collect();
    let missing: Vec<&str> = reader
        .seen
        .iter()
        .filter(|event| event.subject() == pb::EventSubject::Issuance)
        .map(|event| event.event_id.as_str())
        .filter(|id| !posted.contains(*id))
        .collect();
    assert!(missing.is_empty(), "never posted: {missing:?}");
    let packets = rows.number("SELECT COUNT(*) AS n FROM issuance").await;
    println!(
        "{KILLS} kills: {packets} packets, {count} events seen once each by a reader, {} posts of {} events",
        receiver.posts().len(),
        posted.len()
    );
    assert_eq!(server.errors(), Vec::<String>::new());
}
