//! A trial is refused for what the call is refused for.

use hongbao::grpc::pb;

use super::quiet;
use crate::support::{SHOP, TestDb, on_both, reason};

on_both!(a_trial_is_refused_like_the_call);

async fn a_trial_is_refused_like_the_call(db: TestDb) {
    let (app, raw) = quiet(db).await;
    let client = &app.client;
    let merchant = app.simulator.merchant();
    let account = client
        .make_account(&merchant.mch_id, merchant.appid(), &[SHOP])
        .await;
    let campaign_id = client
        .make_campaign(client.draft(SHOP, account, "poor"), 99)
        .await;
    let before = raw.counts().await;
    let mut send = client.send_request(SHOP, campaign_id, "oOne");
    for validate_only in [true, false] {
        send.validate_only = validate_only;
        let status = client
            .issuances()
            .send_red_packet(send.clone())
            .await
            .unwrap_err();
        assert_eq!(reason(&status), "BUDGET_EXHAUSTED");
        let defund = pb::DefundCampaignRequest {
            shop_id: SHOP,
            request_id: "defund".into(),
            campaign_id,
            amount_fen: 100,
            validate_only,
        };
        let status = client
            .campaigns()
            .defund_campaign(defund)
            .await
            .unwrap_err();
        assert_eq!(reason(&status), "BUDGET_IN_USE");
        let shop = pb::CreateShopRequest {
            request_id: "shop".into(),
            shop_id: SHOP,
            name: "taken".into(),
            validate_only,
        };
        let status = client.admin().create_shop(shop).await.unwrap_err();
        assert_eq!(reason(&status), "ALREADY_EXISTS");
    }
    assert_eq!(raw.counts().await, before);
    app.stop().await;
}
