//! IssuanceService: sends, and reading back.

use hongbao::grpc::pb::{self, AmountType, CampaignKind};
use tonic::Code;

use super::{OTHER, Table, bad, no, refused, time};
use crate::support::{SHOP, TestDb, on_both};

on_both!(sends_to_users, single_sends, reads);

/// Campaigns in every state, none of which pays.
pub(super) struct Closed {
    pub(super) draft: i64,
    pub(super) paused: i64,
    pub(super) ended: i64,
    pub(super) early: i64,
    pub(super) late: i64,
}

impl Closed {
    pub(super) async fn make(table: &Table) -> Self {
        let client = &table.app.client;
        let request = |code: &str| client.draft(SHOP, table.account, code);
        let draft = client.campaigns().create_campaign(request("draft")).await;
        let draft = draft.unwrap().into_inner().campaign.unwrap().campaign_id;
        let paused = client.make_campaign(request("paused"), 10_000).await;
        let pause = pb::PauseCampaignRequest {
            shop_id: SHOP,
            request_id: client.fresh(),
            campaign_id: paused,
            ..Default::default()
        };
        client.campaigns().pause_campaign(pause).await.unwrap();
        let ended = client.make_campaign(request("ended"), 10_000).await;
        let end = pb::EndCampaignRequest {
            shop_id: SHOP,
            request_id: client.fresh(),
            campaign_id: ended,
            ..Default::default()
        };
        client.campaigns().end_campaign(end).await.unwrap();
        let mut window = request("early");
        window.start_time = time(253_402_300_000);
        let early = client.make_campaign(window, 10_000).await;
        let mut window = request("late");
        (window.start_time, window.end_time) = (time(1), time(2));
        let late = client.make_campaign(window, 10_000).await;
        Self {
            draft,
            paused,
            ended,
            early,
            late,
        }
    }
}

async fn disable(table: &Table, enabled: bool) {
    let client = &table.app.client;
    let request = pb::UpdateProviderAccountRequest {
        request_id: client.fresh(),
        account_id: table.account,
        enabled: Some(enabled),
        ..Default::default()
    };
    client
        .admin()
        .update_provider_account(request)
        .await
        .unwrap();
}

async fn sends_to_users(db: TestDb) {
    let table = Table::start(db).await;
    let closed = Closed::make(&table).await;
    let client = &table.app.client;
    let people: Vec<(String, String)> = (0..1_000)
        .map(|n| (format!("u{n}"), format!("oMany{n}")))
        .collect();
    client.make_people(SHOP, &table.app.appid(), &people).await;
    let mut draft = client.draft(SHOP, table.account, "open");
    draft.stock_count = 999;
    let id = client.make_campaign(draft, 100_000).await;
    let poor = client.draft(SHOP, table.account, "poor");
    let poor = client.make_campaign(poor, 99_999).await;
    let uids: Vec<String> = people.iter().map(|(uid, _)| uid.clone()).collect();
    let good = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "send".into(),
        campaign_id: id,
        uids: uids[..999].to_vec(),
        source: pb::IssuanceSource::Open.into(),
        ..Default::default()
    };
    let sent = refused!(table, issuances.send_to_users, good.clone(), {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#7 no campaign": |r| r.campaign_id = 0 => bad(&[("campaign_id", "ID_INVALID")]),
        "#7 a campaign that is not there": |r| r.campaign_id = 404 => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "#8 a campaign of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "#6 nobody": |r| r.uids.clear() => bad(&[("uids", "FIELD_REQUIRED")]),
        "#5 1,001 users": |r| r.uids = (0..1_001).map(|n| format!("u{n}")).collect() => bad(&[("uids", "BATCH_TOO_LARGE")]),
        "#5 100,000 users": |r| r.uids = (0..100_000).map(|n| format!("u{n}")).collect() => bad(&[("uids", "BATCH_TOO_LARGE")]),
        "uids out of their alphabet": |r| r.uids = vec!["a b".into(), String::new(), "ok".into(), "x".repeat(65), "ü".into()]
            => bad(&[("uids[0]", "ID_INVALID"), ("uids[1]", "FIELD_REQUIRED"), ("uids[3]", "ID_INVALID"), ("uids[4]", "ID_INVALID")]),
        "#37 source 0": |r| r.source = 0 => bad(&[("source", "ENUM_UNKNOWN")]),
        "#37 source 7": |r| r.source = 7 => bad(&[("source", "ENUM_UNKNOWN")]),
        "#18 a draft": |r| r.campaign_id = closed.draft => no(Code::FailedPrecondition, "CAMPAIGN_NOT_ACTIVE"),
        "#18 a paused one": |r| r.campaign_id = closed.paused => no(Code::FailedPrecondition, "CAMPAIGN_PAUSED"),
        "#18 an ended one": |r| r.campaign_id = closed.ended => no(Code::FailedPrecondition, "CAMPAIGN_ENDED"),
        "#18 one before its window": |r| r.campaign_id = closed.early => no(Code::FailedPrecondition, "CAMPAIGN_NOT_STARTED"),
        "#18 one after its window": |r| r.campaign_id = closed.late => no(Code::FailedPrecondition, "CAMPAIGN_ENDED"),
        "more than the stock": |r| r.uids.push("u999".into()) => no(Code::FailedPrecondition, "STOCK_EXHAUSTED"),
        "#20 a fen too little for all": |r| { r.campaign_id = poor; r.uids.push("u999".into()); } => no(Code::FailedPrecondition, "BUDGET_EXHAUSTED"),
        "all at once": |r| { r.request_id.clear(); r.campaign_id = 0; r.source = 99; r.uids.clear(); }
            => bad(&[("request_id", "REQUEST_ID_INVALID"), ("campaign_id", "ID_INVALID"), ("source", "ENUM_UNKNOWN"), ("uids", "FIELD_REQUIRED")]),
    });
    assert_eq!(sent.batch.unwrap().counts.unwrap().accepted_count, 999);
    // #20: what is there and what is needed is said to machines.
    let mut dear = client.send_request(SHOP, poor, "oDear");
    dear.request_id = "dear".into();
    client.issuances().send_red_packet(dear).await.unwrap();
    let mut all = good;
    (all.request_id, all.campaign_id, all.uids) = ("all".into(), poor, uids);
    let status = client.issuances().send_to_users(all).await.unwrap_err();
    use tonic_types::StatusExt as _;
    let details = status.get_error_details();
    let facts = &details.error_info().unwrap().metadata;
    assert_eq!(
        (
            facts["available_fen"].as_str(),
            facts["required_fen"].as_str()
        ),
        ("99899", "100000")
    );
    table.finish().await;
}

async fn single_sends(db: TestDb) {
    let table = Table::start(db).await;
    let closed = Closed::make(&table).await;
    let client = &table.app.client;
    let mut draft = client.draft(SHOP, table.account, "open");
    draft.stock_count = 1;
    let id = client.make_campaign(draft, 1_000).await;
    let poor = client.draft(SHOP, table.account, "poor");
    let poor = client.make_campaign(poor, 99).await;
    let good = pb::SendRedPacketRequest {
        request_id: "send".into(),
        ..client.send_request(SHOP, id, &"o".repeat(32))
    };
    refused!(table, issuances.send_red_packet, good.clone(), {
        "#33 no openid": |r| r.openid.clear() => bad(&[("openid", "FIELD_REQUIRED")]),
        "#33 an openid of 33": |r| r.openid.push('o') => bad(&[("openid", "OPENID_INVALID")]),
        "#33 an openid out of its alphabet": |r| r.openid = "o=".into() => bad(&[("openid", "OPENID_INVALID")]),
        "an amount for a campaign that fixes it": |r| r.amount_fen = 100 => bad(&[("amount_fen", "FIELD_NOT_ALLOWED")]),
        "texts for a campaign that has its own": |r| r.texts = client.draft(1, 1, "x").texts => bad(&[("texts", "FIELD_NOT_ALLOWED")]),
        "#1 less than nothing": |r| r.amount_fen = -100 => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "no campaign, and no DIRECT one": |r| r.campaign_id = 0 => no(Code::FailedPrecondition, "DIRECT_CAMPAIGN_MISSING"),
        "a campaign below zero": |r| r.campaign_id = -1 => bad(&[("campaign_id", "ID_INVALID")]),
        "#18 a draft": |r| r.campaign_id = closed.draft => no(Code::FailedPrecondition, "CAMPAIGN_NOT_ACTIVE"),
        "#18 a paused one": |r| r.campaign_id = closed.paused => no(Code::FailedPrecondition, "CAMPAIGN_PAUSED"),
        "#18 an ended one": |r| r.campaign_id = closed.ended => no(Code::FailedPrecondition, "CAMPAIGN_ENDED"),
        "#18 one before its window": |r| r.campaign_id = closed.early => no(Code::FailedPrecondition, "CAMPAIGN_NOT_STARTED"),
        "#18 one after its window": |r| r.campaign_id = closed.late => no(Code::FailedPrecondition, "CAMPAIGN_ENDED"),
        "#20 a fen too little": |r| r.campaign_id = poor => no(Code::FailedPrecondition, "BUDGET_EXHAUSTED"),
    });
    let mut direct = client.draft(SHOP, table.account, "direct");
    direct.kind = CampaignKind::Direct.into();
    let amount = direct.amount.as_mut().unwrap();
    (amount.r#type, amount.min_fen, amount.max_fen) = (AmountType::CallerSet.into(), 100, 40_000);
    direct.texts.as_mut().unwrap().scene_id = "PRODUCT_2".into();
    client.make_campaign(direct.clone(), 100_000).await;
    direct.request_id = "direct-2".into();
    direct.code = "direct-2".into();
    let before = table.raw.counts().await;
    let answer = client.campaigns().create_campaign(direct).await;
    let want = no(Code::AlreadyExists, "ALREADY_EXISTS");
    table
        .judge("a second DIRECT campaign", &before, answer.map(drop), &want)
        .await;

    let texts = client.draft(1, 1, "x").texts;
    let own = pb::SendRedPacketRequest {
        request_id: "direct".into(),
        campaign_id: 0,
        amount_fen: 100,
        ..good.clone()
    };
    refused!(table, issuances.send_red_packet, own, {
        "#8 no DIRECT campaign in the other shop": |r| r.shop_id = OTHER => no(Code::FailedPrecondition, "DIRECT_CAMPAIGN_MISSING"),
        "no amount": |r| r.amount_fen = 0 => bad(&[("amount_fen", "FIELD_REQUIRED")]),
        "below the rule": |r| r.amount_fen = 99 => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "above the rule": |r| r.amount_fen = 40_001 => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#2 the largest number": |r| r.amount_fen = i64::MAX => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "own texts, below the account": |r| (r.amount_fen, r.texts) = (29, texts.clone()) => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "own texts without the scene": |r| (r.amount_fen, r.texts) = (20_001, texts.clone()) => bad(&[("texts.scene_id", "SCENE_ID_REQUIRED")]),
        "own texts in part": |r| { r.texts = texts.clone(); r.texts.as_mut().unwrap().remark.clear(); } => bad(&[("texts.remark", "FIELD_REQUIRED")]),
    });
    disable(&table, false).await;
    let off = pb::SendRedPacketRequest {
        request_id: "off".into(),
        campaign_id: 0,
        amount_fen: 100,
        ..good.clone()
    };
    let before = table.raw.counts().await;
    let answer = client.issuances().send_red_packet(off).await;
    let want = no(Code::FailedPrecondition, "ACCOUNT_DISABLED");
    table
        .judge("a disabled account", &before, answer.map(drop), &want)
        .await;
    disable(&table, true).await;
    let status = client.send(SHOP, id, "oMore").await.unwrap_err();
    assert_eq!(crate::support::reason(&status), "STOCK_EXHAUSTED");
    table.finish().await;
}

async fn reads(db: TestDb) {
    use pb::get_issuance_request::Ref;
    let table = Table::start(db).await;
    let client = &table.app.client;
    let draft = client.draft(SHOP, table.account, "open");
    let id = client.make_campaign(draft, 1_000).await;
    let sent = client.send(SHOP, id, "oOne").await.unwrap();
    let get = pb::GetIssuanceRequest {
        shop_id: SHOP,
        r#ref: Some(Ref::IssuanceId(sent.issuance_id)),
        ..Default::default()
    };
    refused!(table, issuances.get_issuance, get, {
        "#6 neither id nor number": |r| r.r#ref = None => bad(&[("issuance_id", "FIELD_REQUIRED")]),
        "#7 an id below zero": |r| r.r#ref = Some(Ref::IssuanceId(-1)) => bad(&[("issuance_id", "ID_INVALID")]),
        "#7 an id that is not there": |r| r.r#ref = Some(Ref::IssuanceId(i64::MAX)) => no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
        "#7 no number": |r| r.r#ref = Some(Ref::MchBillno(String::new())) => bad(&[("mch_billno", "FIELD_REQUIRED")]),
        "#7 a number of 27": |r| r.r#ref = Some(Ref::MchBillno("1".repeat(27))) => bad(&[("mch_billno", "ID_INVALID")]),
        "#7 a number that is not there": |r| r.r#ref = Some(Ref::MchBillno("1".repeat(28))) => no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
        "#8 of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
    });
    let people = [("u1".to_owned(), "oU1".to_owned())];
    client.make_people(SHOP, &table.app.appid(), &people).await;
    let batch = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "batch".into(),
        campaign_id: id,
        uids: vec!["u1".into()],
        source: 1,
        ..Default::default()
    };
    let batch = client.issuances().send_to_users(batch).await.unwrap();
    let batch_id = batch.into_inner().batch.unwrap().batch_id;
    refused!(table, issuances.get_batch, pb::GetBatchRequest { shop_id: SHOP, batch_id }, {
        "#7 no id": |r| r.batch_id = 0 => bad(&[("batch_id", "ID_INVALID")]),
        "#7 not there": |r| r.batch_id = 404_404 => no(Code::NotFound, "BATCH_NOT_FOUND"),
        "#8 of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "BATCH_NOT_FOUND"),
    });
    let watch = pb::WatchBatchRequest {
        shop_id: SHOP,
        batch_id,
    };
    drop(refused!(table, issuances.watch_batch, watch, {
        "#7 not there": |r| r.batch_id = 404_404 => no(Code::NotFound, "BATCH_NOT_FOUND"),
    }));
    let list = pb::ListIssuancesRequest {
        shop_id: SHOP,
        page_size: 1,
        ..Default::default()
    };
    let first = client
        .issuances()
        .list_issuances(list.clone())
        .await
        .unwrap();
    let token = first.into_inner().next_page_token;
    let mut tampered = token.clone();
    tampered.replace_range(4..5, if &token[4..5] == "B" { "C" } else { "B" });
    let filter = |filter: pb::IssuanceFilter| Some(filter);
    refused!(table, issuances.list_issuances, pb::ListIssuancesRequest { page_token: token.clone(), ..list }, {
            "#27 a negative page": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
            "#47 no token": |r| r.page_token = "xyz".into() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
            "#47 a tampered token": |r| r.page_token = tampered.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
            "#47 a token of another shop": |r| r.shop_id = OTHER => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
            "#47 a token of another filter": |r| r.filter = filter(pb::IssuanceFilter { source: 1, ..Default::default() })
                => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
            "#28 a filter of nonsense": |r| {
                r.page_token.clear();
                r.filter = filter(pb::IssuanceFilter {
                    campaign_id: -1, batch_id: -1, states: vec![1, 0, 99], source: 7, uid: "%' --".into(),
                    create_time_from: time(-1), create_time_to: time(i64::MAX),
    ..Default::default()
    });
            } => bad(&[("filter.campaign_id", "ID_INVALID"), ("filter.batch_id", "ID_INVALID"), ("filter.states[1]", "ENUM_UNKNOWN"),
                       ("filter.states[2]", "ENUM_UNKNOWN"), ("filter.source", "ENUM_UNKNOWN"), ("filter.uid", "ID_INVALID"),
                       ("filter.create_time_from", "TIME_RANGE_INVALID"), ("filter.create_time_to", "TIME_RANGE_INVALID")]),
            "a time that runs back": |r| { r.page_token.clear(); r.filter = filter(pb::IssuanceFilter {
                    create_time_from: time(2), create_time_to: time(1), ..Default::default() }); }
                => bad(&[("filter.create_time_to", "TIME_RANGE_INVALID")]),
        });
    table.finish().await;
}
