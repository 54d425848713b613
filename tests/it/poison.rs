//! One answer that cannot be written down must not hold up its neighbours.

use hongbao::grpc::pb::{self, IssuanceState as S};
use sea_orm::{ConnectionTrait as _, Database};

use crate::support::{Client, Options, TestApp, TestDb, on_both};

const SHOP: i64 = 1;
const PACKETS: u64 = 20;

on_both!(a_spoilt_campaign_does_not_hold_up_another);

/// Answers are settled many in one transaction. Here half of them belong to a
/// campaign whose books somebody has spoilt by hand, so that none of its payments
/// can be booked any more; the other half must end as if nothing was wrong.
async fn a_spoilt_campaign_does_not_hold_up_another(db: TestDb) {
    let options = Options {
        dispatcher: false,
        taken_per_mille: 1_000,
        ..Options::default()
    };
    let mut app = TestApp::start_with(db, options).await;
    let client = app.client.clone();
    client.make_shop(SHOP).await;
    let merchant = app.simulator.merchant().clone();
    let account = client
        .make_account(&merchant.mch_id, merchant.appid(), &[SHOP])
        .await;
    let spoilt = campaign(&client, account, "spoilt").await;
    let sound = campaign(&client, account, "sound").await;
    let (mut stuck, mut fine) = (Vec::new(), Vec::new());
    for n in 0..PACKETS {
        stuck.push(send(&client, spoilt, &format!("oSpoilt{n}")).await);
        fine.push(send(&client, sound, &format!("oSound{n}")).await);
    }
    app.running.shutdown().await;
    let db = Database::connect(&app.db.url).await.unwrap();
    db.execute_unprepared("UPDATE campaign SET credited_fen = debited_fen WHERE code = 'spoilt'")
        .await
        .unwrap();
    db.close().await.unwrap();

    app.config.dispatcher.enabled = true;
    app.running = hongbao::app::start(&app.config).await.unwrap();
    let client = Client::connect(app.running.grpc_addr, &app.key).await;
    for id in fine {
        client.await_state(SHOP, id, &[S::Received]).await;
    }
    for id in stuck {
        let issuance = client.get(SHOP, id).await.issuance.unwrap();
        assert!(
            [S::Sending, S::Unknown].contains(&issuance.state()),
            "what cannot be booked is not moved: {issuance:?}"
        );
    }
    app.stop().await;
}

async fn campaign(client: &Client, account: i64, code: &str) -> i64 {
    let draft = client.draft(SHOP, account, code);
    client.make_campaign(draft, 100_000).await
}

async fn send(client: &Client, campaign: i64, openid: &str) -> i64 {
    let sent: pb::Issuance = client.send(SHOP, campaign, openid).await.unwrap();
    sent.issuance_id
}
