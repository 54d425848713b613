//! #16, #21: somebody who scans twenty times at once, each time with another request
//! id, as a phone does that is not answered.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use hongbao::grpc::pb;
use tonic::Request;

use super::{DUPLICATES, quiet};
use crate::support::{Raw, SHOP, TestDb, on_both};

on_both!(many_scans_of_one_person_are_one_packet);

async fn many_scans_of_one_person_are_one_packet(db: TestDb) {
    let (app, account) = quiet(db).await;
    let client = &app.client;
    let draft = pb::CreateCampaignRequest {
        amount: Some(pb::AmountRule {
            r#type: pb::AmountType::Split.into(),
            min_fen: 100,
            max_fen: 200,
            pot_fen: 1_000,
        }),
        stock_count: 7,
        ..client.draft(SHOP, account, "pot")
    };
    let campaign_id = client.make_campaign(draft, 1_000).await;
    let people = i64::from(3);
    for person in 0..people {
        let calls = (0..DUPLICATES).map(|_| {
            let (client, request_id) = (client.clone(), client.fresh());
            tokio::spawn(async move {
                let mut scan = Request::new(pb::ScanSendRequest {
                    shop_id: SHOP,
                    request_id,
                    campaign_id,
                    openid: format!("oPerson{person}"),
                    ..Default::default()
                });
                // Nobody sends here.
                scan.set_timeout(Duration::from_secs(3));
                client.issuances().scan_send(scan).await
            })
        });
        let (mut packets, mut first) = (BTreeSet::new(), 0);
        for answer in join_all(calls).await {
            let answer = answer.unwrap().unwrap().into_inner();
            packets.insert(answer.issuance.unwrap().issuance_id);
            first += i32::from(!answer.replayed);
        }
        assert_eq!((packets.len(), first), (1, 1), "person {person}");
    }
    let raw = Raw::open(&app.db).await;
    for rows in [
        "SELECT COUNT(*) FROM issuance WHERE scan_no = 1",
        "SELECT COUNT(*) FROM issuance",
        "SELECT COUNT(*) FROM recipient",
        "SELECT COUNT(*) FROM campaign_share WHERE issuance_id IS NOT NULL",
    ] {
        assert_eq!(raw.number(rows).await, people, "{rows}");
    }
    app.assert_sound().await;
    app.stop().await;
}
