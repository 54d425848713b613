//! How fast the simulator is: it must never be the slow part of a measurement of ours.
//!
//! `scripts/measure --simulator` runs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use hongbao::simulator::Config;

use super::client::{Message, begin, billno};

const SENDS: u32 = 40_000;
const CLIENTS: u32 = 128;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, for release builds; run by scripts/measure --simulator"]
async fn sends_per_second_with_every_payment_on_disk() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("books.jsonl");
    let config = Config {
        books: Some(path.clone()),
        ..Config::default()
    };
    let (simulator, client) = begin(config).await;
    let (simulator, client) = (Arc::new(simulator), Arc::new(client));
    let next = Arc::new(AtomicU32::new(0));
    let begun = Instant::now();
    let clients = (0..CLIENTS).map(|_| {
        let (simulator, client, next) = (simulator.clone(), client.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= SENDS {
                    return;
                }
                let message = Message::send(&simulator, &billno(n), "oAlice", 100);
                assert_eq!(client.send(&message).await.code(), "SUCCESS");
            }
        })
    });
    for client in futures::future::join_all(clients).await {
        client.unwrap();
    }
    let rate = u128::from(SENDS) * 1000 / begun.elapsed().as_millis();
    eprintln!("{rate} sends/s");
    assert_eq!(simulator.books().totals().payments, u64::from(SENDS));
    assert!(rate > 2_000, "{rate} sends/s");
}
