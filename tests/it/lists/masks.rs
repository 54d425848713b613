//! No reply and no refusal names a person.

use hongbao::grpc::pb;

use super::{all, to_users};
use crate::support::{SHOP, TestApp, TestDb, on_both};

on_both!(nobody_is_named);

async fn nobody_is_named(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = crate::sending::ready(&app, 10_000).await;
    let client = &app.client;
    let (openid, mobile) = ("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "13812345678");
    let person = pb::RecipientInput {
        uid: "u1".into(),
        mobile: mobile.into(),
        openids: vec![pb::OpenidInput {
            appid: app.appid(),
            openid: openid.into(),
        }],
        ..Default::default()
    };
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "u".into(),
        recipients: vec![person],
        ..Default::default()
    };
    let mut said = vec![format!(
        "{:?}",
        client.audience().upsert_recipients(upsert).await.unwrap()
    )];
    let batch_id = to_users(&app, campaign, &["u1".to_owned()], 1).await;
    let mut send = client.send_request(SHOP, campaign, openid);
    send.wait = true;
    let sent = client.issuances().send_red_packet(send).await.unwrap();
    let issuance = sent.get_ref().issuance.clone().unwrap();
    said.push(format!("{sent:?}"));
    let by = Some(pb::get_recipient_request::Ref::Uid("u1".into()));
    let get = pb::GetRecipientRequest {
        shop_id: SHOP,
        r#ref: by,
        ..Default::default()
    };
    let found = client
        .audience()
        .get_recipient(get)
        .await
        .unwrap()
        .into_inner()
        .recipient
        .unwrap();
    assert_eq!(found.obfuscated_mobile, "138****5678");
    assert_eq!(found.openids[0].obfuscated_openid, "oUpF…eS6o");
    assert_eq!(issuance.obfuscated_openid, "oUpF…eS6o");
    let people = pb::ListRecipientsRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    said.push(format!(
        "{found:?} {:?}",
        client.audience().list_recipients(people).await.unwrap()
    ));
    said.push(format!(
        "{:?}",
        client.get(SHOP, issuance.issuance_id).await
    ));
    said.push(format!("{:?}", all(&app, Default::default()).await));
    let get = pb::GetBatchRequest {
        shop_id: SHOP,
        batch_id,
    };
    said.push(format!(
        "{:?}",
        client.issuances().get_batch(get).await.unwrap()
    ));
    // Nor does a refusal name him.
    let thief = pb::RecipientInput {
        uid: "u2".into(),
        mobile: mobile.into(),
        openids: vec![pb::OpenidInput {
            appid: app.appid(),
            openid: openid.into(),
        }],
        ..Default::default()
    };
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "t".into(),
        recipients: vec![thief],
        ..Default::default()
    };
    said.push(format!(
        "{:?}",
        client
            .audience()
            .upsert_recipients(upsert)
            .await
            .unwrap_err()
    ));
    let wrong = client
        .send(SHOP, campaign, &format!("{openid}={mobile}"))
        .await;
    said.push(format!("{:?}", wrong.unwrap_err()));
    for text in said {
        assert!(!text.contains(openid) && !text.contains(mobile), "{text}");
    }
    app.stop().await;
}
