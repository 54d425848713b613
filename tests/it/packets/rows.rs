//! What a row shows of its packet, what a batch counts, and the provider's words.

use hongbao::grpc::pb::{self, IssuanceState as S};

use super::asking::{ask, by_id};
use super::kinds::{purse, send, single};
use super::{PAID, ended, exchanges, packets, person, rule, stage, uids, upsert};
use crate::support::{Options, SHOP, TestDb, on_both, reason};

on_both!(
    a_row_shows_all_of_its_packet,
    a_batch_counts_every_end,
    what_the_provider_said_is_kept_word_for_word,
    every_word_of_the_provider_is_shown,
    every_gateway_type_can_be_mapped,
);

async fn a_row_shows_all_of_its_packet(db: TestDb) {
    let (app, account) = stage(db, Options::default()).await;
    let client = &app.client;
    let input = pb::RecipientInput {
        nickname: "小明".into(),
        mobile: "+8613812345678".into(),
        ..person(&app, "u213", "onqOjjmM1tad-3ROpncN-yUfa6uI")
    };
    upsert(client, vec![input]).await.unwrap();
    let random = super::draft(
        client,
        account,
        "random",
        rule(pb::AmountType::Random, 110, 190),
    );
    let campaign = client.make_campaign(random, 10_000).await;
    let request = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id: campaign,
        uids: vec!["u213".into()],
        source: pb::IssuanceSource::ConsumptionGift.into(),
        wait: true,
        ..Default::default()
    };
    client.issuances().send_to_users(request).await.unwrap();
    let row = packets(client, Default::default()).await.remove(0);
    client
        .await_state(SHOP, row.issuance_id, &[S::Received])
        .await;
    let row = packets(client, Default::default()).await.remove(0);
    assert_eq!((row.uid.as_str(), row.nickname.as_str()), ("u213", "小明"));
    assert_eq!(
        (row.mobile.as_str(), row.obfuscated_mobile.as_str()),
        ("13812345678", "138****5678")
    );
    assert_eq!(row.openid, "onqOjjmM1tad-3ROpncN-yUfa6uI");
    assert_eq!(
        (row.amount_type(), row.min_fen, row.max_fen),
        (pb::AmountType::Random, 110, 190)
    );
    assert!((110..=190).contains(&row.amount_fen));
    assert_eq!((row.received_fen, row.refunded_fen), (row.amount_fen, 0));
    assert_eq!(
        (row.shop_id, row.campaign_id, row.account_id),
        (SHOP, campaign, account)
    );
    assert_eq!(
        (row.appid.as_str(), row.source()),
        (app.appid().as_str(), pb::IssuanceSource::ConsumptionGift)
    );
    assert_eq!((row.kind(), row.total_num), (pb::RedPacketKind::Normal, 1));
    assert_eq!(row.amt_type(), pb::AmtType::Unspecified);
    assert_eq!(row.texts, Some(crate::support::texts()));
    let (created, updated) = (row.create_time.unwrap(), row.update_time.unwrap());
    assert!(created.seconds < updated.seconds && row.receive_time.is_some());
    assert_eq!(
        (row.mch_billno.len(), row.attempt_count, row.frozen),
        (28, 1, false)
    );
    // One by one it is the same, and the provider's number is that of its attempt.
    let seen = super::unmasked(client, row.issuance_id).await;
    let one = seen.issuance.unwrap();
    assert_eq!(
        (&one.openid, &one.mobile, &one.texts),
        (&row.openid, &row.mobile, &row.texts)
    );
    assert_eq!(
        (one.state(), &one.mch_billno),
        (S::Received, &row.mch_billno)
    );
    assert_eq!(seen.attempts[0].provider_order_no, row.provider_order_no);
    assert!(row.provider_order_no.len() >= 28);
    // By number as well; and what is not there is not found.
    let by = |number: &str| pb::GetIssuanceRequest {
        shop_id: SHOP,
        r#ref: Some(pb::get_issuance_request::Ref::MchBillno(number.to_owned())),
        ..Default::default()
    };
    let found = client
        .issuances()
        .get_issuance(by(&row.mch_billno))
        .await
        .unwrap();
    assert_eq!(
        found.into_inner().issuance.unwrap().issuance_id,
        row.issuance_id
    );
    let missing = client
        .issuances()
        .get_issuance(by(&"7".repeat(28)))
        .await
        .unwrap_err();
    assert_eq!(reason(&missing), "ISSUANCE_NOT_FOUND");
    app.stop().await;
}

async fn a_batch_counts_every_end(db: TestDb) {
    let options = Options {
        time_scale: 20_000,
        ..Options::default()
    };
    let (app, account) = stage(db, options).await;
    let client = &app.client;
    let faults = [
        "REFUND",
        "OPENID_ERROR",
        "FAILED_LATER",
        "RECEIVED",
        "SEND_FAILED",
    ];
    let all: Vec<(String, String)> = faults
        .iter()
        .map(|fault| (fault.to_lowercase(), format!("oSIM-{fault}-count")))
        .collect();
    client.make_people(SHOP, &app.appid(), &all).await;
    let mut named = uids(&all);
    named.push("nobody".into());
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 10_000)
        .await;
    let request = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id: campaign,
        uids: named,
        source: pb::IssuanceSource::Game.into(),
        ..Default::default()
    };
    let sent = client
        .issuances()
        .send_to_users(request)
        .await
        .unwrap()
        .into_inner();
    let c = ended(client, sent.batch.unwrap().batch_id)
        .await
        .counts
        .unwrap();
    assert_eq!(
        (c.requested_count, c.accepted_count, c.refused_count),
        (6, 5, 1)
    );
    assert_eq!((c.refunded_count, c.failed_count), (1, 2), "{c:?}");
    assert_eq!((c.review_count, c.received_count), (1, 1), "{c:?}");
    app.assert_sound().await;
    app.stop().await;
}

async fn what_the_provider_said_is_kept_word_for_word(db: TestDb) {
    let (app, _, _) = purse(db, 3_600).await;
    let client = &app.client;
    let paid = send(client, single(client, "oWords", 110)).await.unwrap();
    assert!(PAID.contains(&paid.state()));
    let kept = &exchanges(client, paid.issuance_id).await[0];
    assert!(
        kept.request.starts_with("<xml>") && kept.response.starts_with("<xml>"),
        "{kept:?}"
    );
    for word in [
        "return_code",
        "return_msg",
        "result_code",
        "err_code",
        "err_code_des",
        "mch_billno",
        "mch_id",
        "wxappid",
        "re_openid",
        "total_amount",
        "send_listid",
        "oWords",
        paid.mch_billno.as_str(),
    ] {
        assert!(
            kept.response.contains(word),
            "{word} is not in {}",
            kept.response
        );
    }
    assert_eq!(
        (kept.outcome.as_str(), kept.http_status, kept.attempt_no),
        ("ACCEPTED", 200, 1)
    );
    assert!(kept.create_time.is_some() && kept.duration_ms >= 0);
    // A refusal with its sentence, and an answer that is no XML.
    let refused = send(client, single(client, "oSIM-OPENID_ERROR-words", 110))
        .await
        .unwrap();
    let kept = &exchanges(client, refused.issuance_id).await[0];
    assert_eq!(kept.outcome, "OPENID_ERROR");
    assert!(
        kept.response.contains("openid和appid不匹配"),
        "{}",
        kept.response
    );
    let page = send(client, single(client, "oSIM-HTML_502-words", 110))
        .await
        .unwrap();
    let kept = &exchanges(client, page.issuance_id).await[0];
    assert!(
        kept.http_status == 502 && kept.response.contains("<html"),
        "{kept:?}"
    );
    app.assert_sound().await;
    app.stop().await;
}

async fn every_word_of_the_provider_is_shown(db: TestDb) {
    let (app, _, _) = purse(db, 10_000).await;
    let client = &app.client;
    let cases: [(&str, &[&str]); 3] = [
        ("oSIM-REFUND-word", &["SENT", "RFUND_ING", "REFUND"]),
        ("oSIM-PROCESSING_FAILED-word", &["SENDING", "FAILED"]),
        ("oSIM-SENDING_REASON-word", &["SENDING", "FAILED"]),
    ];
    for (openid, words) in cases {
        let request = pb::SendRedPacketRequest {
            wait: false,
            ..single(client, openid, 110)
        };
        let id = send(client, request).await.unwrap().issuance_id;
        let mut seen: Vec<String> = Vec::new();
        for _ in 0..3_000 {
            // Until it was sent there is nothing to ask.
            let Ok(told) = ask(client, by_id(id)).await else {
                continue;
            };
            let status = told.status.unwrap();
            if openid.contains("REASON") && status.status == "SENDING" {
                assert!(!status.reason.is_empty(), "{status:?}");
            }
            if !status.status.is_empty() && seen.last() != Some(&status.status) {
                let ours = match status.status.as_str() {
                    "RFUND_ING" => "REFUNDING",
                    "REFUND" => "REFUNDED",
                    word => word,
                };
                assert_eq!(told.outcome, ours);
                seen.push(status.status);
            }
            if seen.last().map(String::as_str) == words.last().copied() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let order: Vec<&str> = seen
            .iter()
            .map(String::as_str)
            .filter(|word| words.contains(word))
            .collect();
        assert_eq!(order, words, "{openid}: {seen:?}");
    }
    app.stop().await;
}

async fn every_gateway_type_can_be_mapped(db: TestDb) {
    let (app, account, _) = purse(db, 3_600).await;
    let client = &app.client;
    for gateway_type in 1..=5 {
        let by_gateway = || pb::SendRedPacketRequest {
            gateway_type,
            ..single(client, "oGate", 110)
        };
        let refused = send(client, by_gateway()).await.unwrap_err();
        assert_eq!(reason(&refused), "GATEWAY_NOT_MAPPED", "{gateway_type}");
        let map = pb::SetShopGatewaysRequest {
            request_id: client.fresh(),
            shop_id: SHOP,
            gateways: vec![pb::ShopGateway {
                gateway_type,
                account_id: account,
            }],
            ..Default::default()
        };
        client.admin().set_shop_gateways(map).await.unwrap();
        let sent = send(client, by_gateway()).await.unwrap();
        assert!(PAID.contains(&sent.state()), "{sent:?}");
        assert_eq!(
            (sent.gateway_type, sent.account_id),
            (gateway_type, account)
        );
    }
    app.assert_sound().await;
    app.stop().await;
}
