//! Two servers on one PostgreSQL database, which know nothing of each other.

use std::time::Duration;

use hongbao::app::{self, Running};
use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::simulator::{Fault, FaultTable};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::sending::ready;
use crate::support::{Client, Options, Raw, TestApp, TestDb, block_on};

const SHOP: i64 = 1;

#[test]
fn two_servers_share_the_work_and_one_may_go() {
    block_on(async {
        let faults = FaultTable::default()
            .with_send(Fault::SystemErrorAfter, 60)
            .with_send(Fault::SystemErrorBefore, 60)
            .with_send(Fault::Html502, 60)
            .with_send(Fault::ResetAfter, 60)
            .with_send(Fault::TimeoutAfter, 30)
            .with_query(Fault::Html502, 100);
        let options = Options {
            faults,
            // Twenty hours, after which a number is not sent again, are longer than a slow test.
            time_scale: 3_000,
            dispatcher: false,
            ..Options::default()
        };
        let app = TestApp::start_with(TestDb::postgres(), options).await;
        let campaign = ready(&app, 100_000).await;
        for batch in 0..2 {
            send_to_many(&app, campaign, batch).await;
        }
        let mut config = app.config.clone();
        config.dispatcher.enabled = true;
        config.dispatcher.concurrency = 8;
        let first = app::start(&config).await.unwrap();
        let second = app::start(&config).await.unwrap();
        let one = Client::connect(first.grpc_addr, &app.key).await;
        let other = Client::connect(second.grpc_addr, &app.key).await;

        // The same request through both is one packet.
        let request = app.client.send_request(SHOP, campaign, "oBoth");
        let (mut left, mut right) = (one.issuances(), other.issuances());
        let (left, right) = tokio::join!(
            left.send_red_packet(request.clone()),
            right.send_red_packet(request)
        );
        let (left, right) = (left.unwrap().into_inner(), right.unwrap().into_inner());
        assert!(left.replayed ^ right.replayed, "one made it, one found it");
        assert_eq!(
            left.issuance.unwrap().issuance_id,
            right.issuance.unwrap().issuance_id
        );

        while app.simulator.books().totals().payments < 120 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let worked = [sends(&first).await, sends(&second).await];
        assert!(worked.iter().all(|n| *n > 10), "not shared: {worked:?}");
        first.shutdown().await;

        for id in all(&app).await {
            other.await_state(SHOP, id, &[S::Received]).await;
        }
        let payments = app.simulator.books().payments();
        assert_eq!(payments.len(), 401);
        assert!(payments.iter().all(|payment| payment.times_paid == 1));
        let raw = Raw::open(&app.db).await;
        let numbers = "SELECT COUNT(*) FROM attempt WHERE attempt_no = 1";
        assert_eq!(raw.number(numbers).await, 401);
        let more = "SELECT COUNT(*) FROM attempt WHERE attempt_no > 1";
        assert_eq!(raw.number(more).await, 0);
        app.assert_sound().await;
        second.shutdown().await;
        app.stop().await;
    });
}

async fn send_to_many(app: &TestApp, campaign_id: i64, batch: u32) {
    let people: Vec<(String, String)> = (0..200)
        .map(|n| (format!("u{batch}-{n}"), format!("oMany{batch}x{n}")))
        .collect();
    app.client.make_people(SHOP, &app.appid(), &people).await;
    let request = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: format!("batch-{batch}"),
        campaign_id,
        uids: people.into_iter().map(|(uid, _)| uid).collect(),
        source: pb::IssuanceSource::Lottery.into(),
        ..Default::default()
    };
    app.client.issuances().send_to_users(request).await.unwrap();
}

async fn all(app: &TestApp) -> Vec<i64> {
    let raw = Raw::open(&app.db).await;
    raw.numbers("SELECT id FROM issuance ORDER BY id").await
}

/// The payments that a server has asked for, as its metrics say.
async fn sends(server: &Running) -> u64 {
    let mut stream = tokio::net::TcpStream::connect(server.admin_addr)
        .await
        .unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page.lines()
        .filter(|line| {
            line.starts_with("hongbao_provider_exchange_duration_seconds_count")
                && line.contains("call=\"sendredpack\"")
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}
