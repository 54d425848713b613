//! The real binary: what it prints, how it stops, and what is left of it after `kill -9`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hongbao::simulator::{Books, Config, Merchant, start};

use super::client::{Client, Message, billno, http};

/// A running `hongbao simulate` that does not outlive its test.
struct Process {
    child: Child,
    printed: Vec<(String, String)>,
}

impl Process {
    fn start(books: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hongbao"))
            .args(["simulate", "--listen", "127.0.0.1:0", "--admin-listen"])
            .args(["127.0.0.1:0", "--books"])
            .arg(books)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let printed = lines
            .map(Result::unwrap)
            .take_while(|line| line != "# ready")
            .filter_map(|line| {
                let (name, value) = line.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
        Self { child, printed }
    }

    fn get(&self, name: &str) -> &str {
        let line = self.printed.iter().find(|(known, _)| known == name);
        &line.unwrap().1
    }

    fn signal(&mut self, signal: &str) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[tokio::test]
async fn it_prints_what_a_client_needs_and_stops_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(&dir.path().join("books.jsonl"));
    let merchant = Merchant::from_seed(1);
    assert_eq!(process.get("mch_id"), merchant.mch_id);
    assert_eq!(process.get("api_key"), merchant.api_key);
    assert_eq!(process.get("appid"), merchant.appid());
    let url = format!("{}/_sim/books", process.get("admin_url"));
    let books = http().build().unwrap().get(url).send().await.unwrap();
    assert_eq!(books.status(), 200);
    assert!(process.signal("-TERM").success());
}

#[tokio::test]
async fn after_a_kill_every_acknowledged_payment_is_there_and_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("books.jsonl");
    let merchant = Merchant::from_seed(1);
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut process = Process::start(&path);
        let base_url = process.get("base_url").to_owned();
        let client = Arc::new(Client::at(http().build().unwrap(), base_url, &merchant));
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                let (client, merchant) = (Arc::clone(&client), merchant.clone());
                tokio::spawn(async move {
                    let mut sent = Vec::new();
                    // From the first number on each round: what was paid before is sent again.
                    for n in (0..).map(|n| n * 8 + sender) {
                        let message = Message::send_by(&merchant, &billno(n), "oAlice", 100);
                        match client.try_send(&message).await {
                            Ok(reply) if reply.code() == "SUCCESS" => sent.push(billno(n)),
                            _ => return sent,
                        }
                    }
                    sent
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(120 + 37 * round)).await;
        process.signal("-KILL");
        for sender in senders {
            acknowledged.extend(sender.await.unwrap());
        }
    }
    let payments = Books::read(&path).unwrap();
    assert!(payments.iter().all(|payment| payment.times_paid == 1));
    assert!(payments.len() > 100, "{}", payments.len());
    let paid: std::collections::HashSet<&str> = payments
        .iter()
        .map(|payment| payment.mch_billno.as_str())
        .collect();
    let lost = acknowledged
        .iter()
        .filter(|number| !paid.contains(number.as_str()));
    assert_eq!(lost.count(), 0);
    let config = Config {
        books: Some(path),
        ..Config::default()
    };
    let simulator = start(config).await.unwrap();
    let totals = simulator.books().totals();
    assert_eq!(totals.double_payments, 0);
    assert_eq!(totals.balance_fen, 100_000_000 - totals.paid_fen);
}
