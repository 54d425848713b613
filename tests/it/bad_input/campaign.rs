//! CampaignService.

use hongbao::grpc::pb::{self, AmountType, CampaignKind};
use tonic::Code;

use super::{OTHER, Table, at, bad, no, over, refused, time};
use crate::support::{SHOP, TestDb, on_both};

on_both!(campaigns, changes, money);

fn rule(r#type: AmountType, min_fen: i64, max_fen: i64) -> Option<pb::AmountRule> {
    Some(pb::AmountRule {
        r#type: r#type.into(),
        min_fen,
        max_fen,
        ..Default::default()
    })
}

fn good(table: &Table, code: &str) -> pb::CreateCampaignRequest {
    pb::CreateCampaignRequest {
        request_id: format!("create-{code}"),
        ..table.app.client.draft(SHOP, table.account, code)
    }
}

fn branches(caps: &[(i64, i64)]) -> Option<pb::CampaignCaps> {
    let branch = |(shop_sub_id, count): &(i64, i64)| pb::BranchCap {
        shop_sub_id: *shop_sub_id,
        cap: Some(pb::Cap {
            count: *count,
            amount_fen: 0,
        }),
    };
    Some(pb::CampaignCaps {
        branches: caps.iter().map(branch).collect(),
        ..Default::default()
    })
}

async fn campaigns(db: TestDb) {
    let table = Table::start(db).await;
    let made = refused!(table, campaigns.create_campaign, good(&table, "new"), {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#17 a request id of 65": |r| r.request_id = "x".repeat(65) => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#17 blanks in front": |r| r.request_id = " a".into() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#17 NUL": |r| r.request_id = "a\0".into() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "no shop": |r| r.shop_id = 0 => bad(&[("shop_id", "FIELD_REQUIRED")]),
        "#7 a negative shop": |r| r.shop_id = -1 => bad(&[("shop_id", "ID_INVALID")]),
        "#7 a shop that is not there": |r| r.shop_id = 404 => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "no code": |r| r.code.clear() => bad(&[("code", "FIELD_REQUIRED")]),
        "a code of 65": |r| r.code = "c".repeat(65) => bad(&[("code", "ID_INVALID")]),
        "#28 SQL for a code": |r| r.code = "id;drop table".into() => bad(&[("code", "ID_INVALID")]),
        "#37 an unknown kind": |r| r.kind = 9 => bad(&[("kind", "ENUM_UNKNOWN")]),
        "no amount": |r| r.amount = None => bad(&[("amount", "FIELD_REQUIRED")]),
        "#37 an amount type that is not known": |r| r.amount.as_mut().unwrap().r#type = 5 => bad(&[("amount.type", "ENUM_UNKNOWN")]),
        "no amount type": |r| r.amount.as_mut().unwrap().r#type = 0 => bad(&[("amount.type", "ENUM_UNKNOWN")]),
        "#1 nothing": |r| r.amount = rule(AmountType::Fixed, 0, 0)
            => bad(&[("amount.min_fen", "AMOUNT_OUT_OF_RANGE"), ("amount.max_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 less than nothing": |r| r.amount = rule(AmountType::Random, i64::MIN, 100) => bad(&[("amount.min_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 min above max": |r| r.amount = rule(AmountType::Random, 200, 100) => bad(&[("amount.max_fen", "AMOUNT_OUT_OF_RANGE")]),
        "fixed, but a range": |r| r.amount = rule(AmountType::Fixed, 100, 101) => bad(&[("amount.max_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 below the account": |r| r.amount = rule(AmountType::Fixed, 29, 29) => bad(&[("amount.min_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 above the account": |r| r.amount = rule(AmountType::Random, 100, 50_001) => bad(&[("amount.max_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#2 the largest number": |r| r.amount = rule(AmountType::Random, 100, i64::MAX) => bad(&[("amount.max_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 below a yuan without scene": |r| r.amount = rule(AmountType::Random, 99, 100) => bad(&[("texts.scene_id", "SCENE_ID_REQUIRED")]),
        "#1 above 200 yuan without scene": |r| r.amount = rule(AmountType::Random, 100, 20_001) => bad(&[("texts.scene_id", "SCENE_ID_REQUIRED")]),
        "the caller's amount for a NAMED one": |r| r.amount = rule(AmountType::CallerSet, 100, 200) => bad(&[("amount.type", "FIELD_NOT_ALLOWED")]),
        "a fixed amount for a DIRECT one": |r| r.kind = CampaignKind::Direct.into() => bad(&[("amount.type", "FIELD_NOT_ALLOWED")]),
        "no texts": |r| r.texts = None => bad(&[("texts", "FIELD_REQUIRED")]),
        "#32 each text one byte too long": |r| {
            let texts = r.texts.as_mut().unwrap();
            (texts.send_name, texts.act_name, texts.wishing, texts.remark) = (over(31), over(31), over(127), over(255));
        } => bad(&[("texts.send_name", "TEXT_TOO_LONG"), ("texts.act_name", "TEXT_TOO_LONG"),
                   ("texts.wishing", "TEXT_TOO_LONG"), ("texts.remark", "TEXT_TOO_LONG")]),
        "#32 writing turned round": |r| r.texts.as_mut().unwrap().wishing = "a\u{202E}b".into() => bad(&[("texts.wishing", "TEXT_INVALID")]),
        "#32 joined unseen": |r| r.texts.as_mut().unwrap().remark = "👨\u{200D}👩".into() => bad(&[("texts.remark", "TEXT_INVALID")]),
        "#17 NUL in a text": |r| r.texts.as_mut().unwrap().act_name = "a\0".into() => bad(&[("texts.act_name", "TEXT_INVALID")]),
        "an unknown scene": |r| r.texts.as_mut().unwrap().scene_id = "PRODUCT_9".into() => bad(&[("texts.scene_id", "ENUM_UNKNOWN")]),
        "caps below zero and beyond": |r| r.caps = Some(pb::CampaignCaps {
            recipient: Some(pb::Cap { count: -1, amount_fen: 0 }),
            recipient_day: Some(pb::Cap { count: 1_000_000_001, amount_fen: 0 }),
            day: Some(pb::Cap { count: 0, amount_fen: i64::MAX }),
            branches: vec![],
        }) => bad(&[("caps.recipient.count", "OUT_OF_RANGE"), ("caps.recipient_day.count", "OUT_OF_RANGE"),
                    ("caps.day.amount_fen", "OUT_OF_RANGE")]),
        "caps of branches": |r| r.caps = branches(&[(-1, 1), (0, 0), (0, 1), (0, 2)])
            => bad(&[("caps.branches[0].shop_sub_id", "ID_INVALID"), ("caps.branches[1].cap", "FIELD_REQUIRED"),
                     ("caps.branches[2]", "DUPLICATE_ITEM"), ("caps.branches[3]", "DUPLICATE_ITEM")]),
        "caps of 1,001 branches": |r| r.caps = branches(&vec![(0, 1); 1_001]) => bad(&[("caps.branches", "BATCH_TOO_LARGE")]),
        "a cap of a branch that is not there": |r| r.caps = branches(&[(404, 1)]) => no(Code::NotFound, "BRANCH_NOT_FOUND"),
        "no account": |r| r.account_id = 0 => bad(&[("account_id", "ID_INVALID")]),
        "an account that is not there": |r| r.account_id = 404 => no(Code::NotFound, "ACCOUNT_NOT_FOUND"),
        "#8 an account of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "ACCOUNT_NOT_FOUND"),
        "an appid out of its alphabet": |r| r.appid = "wx 1".into() => bad(&[("appid", "APPID_INVALID")]),
        "an appid of another merchant": |r| r.appid = "wxother".into() => bad(&[("appid", "APPID_INVALID")]),
        "a time with too many nanos": |r| r.start_time = Some(prost_types::Timestamp { seconds: 1, nanos: 1_000_000_000 })
            => bad(&[("start_time", "TIME_RANGE_INVALID")]),
        "a time before 1970": |r| r.start_time = time(-1) => bad(&[("start_time", "TIME_RANGE_INVALID")]),
        "a time after 9999": |r| r.end_time = time(253_402_300_800) => bad(&[("end_time", "TIME_RANGE_INVALID")]),
        "an end at the start": |r| (r.start_time, r.end_time) = (time(100), time(100)) => bad(&[("end_time", "TIME_RANGE_INVALID")]),
        "an end before the opening that is now": |r| r.end_time = time(100) => bad(&[("end_time", "TIME_RANGE_INVALID")]),
        "negative stock": |r| r.stock_count = -1 => bad(&[("stock_count", "OUT_OF_RANGE")]),
        "too much stock": |r| r.stock_count = 1_000_000_001 => bad(&[("stock_count", "OUT_OF_RANGE")]),
        "all at once": |r| {
            r.request_id.clear(); r.code.clear(); r.kind = 7; r.amount = rule(AmountType::Fixed, 0, 1);
            r.texts = None; r.account_id = -1; r.appid = "!".into(); r.start_time = time(-1); r.stock_count = -1;
        } => bad(&[("request_id", "REQUEST_ID_INVALID"), ("code", "FIELD_REQUIRED"), ("kind", "ENUM_UNKNOWN"),
                   ("amount.min_fen", "AMOUNT_OUT_OF_RANGE"), ("texts", "FIELD_REQUIRED"), ("account_id", "ID_INVALID"),
                   ("appid", "APPID_INVALID"), ("start_time", "TIME_RANGE_INVALID"), ("stock_count", "OUT_OF_RANGE")]),
    });
    assert!(!made.replayed);
    let taken = pb::CreateCampaignRequest {
        request_id: "create-again".into(),
        ..good(&table, "new")
    };
    let before = table.raw.counts().await;
    let answer = table.app.client.campaigns().create_campaign(taken).await;
    let want = no(Code::AlreadyExists, "ALREADY_EXISTS");
    table
        .judge("a code that is taken", &before, answer.map(drop), &want)
        .await;

    // The bounds themselves are good.
    let mut edge = good(&table, &"e".repeat(64));
    edge.request_id = "r".repeat(64);
    edge.amount = rule(AmountType::Random, 30, 50_000);
    edge.texts = Some(pb::RedPacketTexts {
        send_name: at(31),
        act_name: at(31),
        wishing: at(127),
        remark: at(255),
        scene_id: "PRODUCT_1".into(),
    });
    edge.stock_count = 1_000_000_000;
    edge.end_time = time(253_402_300_799);
    let edge = table.app.client.campaigns().create_campaign(edge).await;
    let texts = edge.unwrap().into_inner().campaign.unwrap().texts.unwrap();
    assert_eq!(
        (
            texts.send_name.len(),
            texts.wishing.len(),
            texts.remark.len()
        ),
        (31, 127, 255),
        "a text is never cut"
    );
    table.finish().await;
}

async fn changes(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let id = client.make_campaign(good(&table, "live"), 1_000).await;
    client.send(SHOP, id, "oOne").await.unwrap();
    client.send(SHOP, id, "oTwo").await.unwrap();
    let mask = |path: &str| {
        Some(prost_types::FieldMask {
            paths: vec![path.to_owned()],
        })
    };
    let update = pb::UpdateCampaignRequest {
        shop_id: SHOP,
        request_id: "update".into(),
        campaign_id: id,
        update_mask: mask("stock_count"),
        stock_count: 2,
        ..Default::default()
    };
    refused!(table, campaigns.update_campaign, update, {
        "no campaign": |r| r.campaign_id = 0 => bad(&[("campaign_id", "ID_INVALID")]),
        "#7 a campaign that is not there": |r| r.campaign_id = 404 => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "#8 a campaign of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "no mask": |r| r.update_mask = None => bad(&[("update_mask", "FIELD_REQUIRED")]),
        "an empty mask": |r| r.update_mask = Some(Default::default()) => bad(&[("update_mask", "FIELD_REQUIRED")]),
        "a field that cannot change": |r| r.update_mask = mask("amount") => bad(&[("update_mask", "UPDATE_MASK_INVALID")]),
        "a part of a field": |r| r.update_mask = mask("texts.wishing") => bad(&[("update_mask", "UPDATE_MASK_INVALID")]),
        "a star": |r| r.update_mask = mask("*") => bad(&[("update_mask", "UPDATE_MASK_INVALID")]),
        "a mask without its texts": |r| r.update_mask = mask("texts") => bad(&[("texts", "FIELD_REQUIRED")]),
        "a mask without its start": |r| r.update_mask = mask("start_time") => bad(&[("start_time", "TIME_RANGE_INVALID")]),
        "a start that is none": |r| (r.update_mask, r.start_time) = (mask("start_time"), time(-1)) => bad(&[("start_time", "TIME_RANGE_INVALID")]),
        "an end before the start": |r| (r.update_mask, r.end_time) = (mask("end_time"), time(1)) => bad(&[("end_time", "TIME_RANGE_INVALID")]),
        "less stock than is issued": |r| r.stock_count = 1 => bad(&[("stock_count", "OUT_OF_RANGE")]),
        "an etag that is none": |r| r.etag = "new".into() => bad(&[("etag", "ID_INVALID")]),
        "an etag of before": |r| r.etag = "1".into() => no(Code::Aborted, "ETAG_MISMATCH"),
        "a mask and an etag": |r| (r.update_mask, r.etag) = (mask("code"), "x".into())
            => bad(&[("update_mask", "UPDATE_MASK_INVALID"), ("etag", "ID_INVALID")]),
    });
    let pause = pb::PauseCampaignRequest {
        shop_id: SHOP,
        request_id: "pause".into(),
        campaign_id: id,
        ..Default::default()
    };
    let draft = client
        .campaigns()
        .create_campaign(good(&table, "draft"))
        .await;
    let draft = draft.unwrap().into_inner().campaign.unwrap().campaign_id;
    refused!(table, campaigns.pause_campaign, pause, {
        "a draft": |r| r.campaign_id = draft => no(Code::FailedPrecondition, "CAMPAIGN_STATE"),
        "#8 of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "an id below zero": |r| r.campaign_id = i64::MIN => bad(&[("campaign_id", "ID_INVALID")]),
    });
    let end = pb::EndCampaignRequest {
        shop_id: SHOP,
        request_id: "end".into(),
        campaign_id: id,
        ..Default::default()
    };
    refused!(table, campaigns.end_campaign, end, {
        "a campaign that is not there": |r| r.campaign_id = 404 => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
    });
    let activate = pb::ActivateCampaignRequest {
        shop_id: SHOP,
        request_id: "activate".into(),
        campaign_id: draft,
        ..Default::default()
    };
    refused!(table, campaigns.activate_campaign, activate, {
        "one that has ended": |r| r.campaign_id = id => no(Code::FailedPrecondition, "CAMPAIGN_STATE"),
    });
    let update = pb::UpdateCampaignRequest {
        shop_id: SHOP,
        request_id: "update-2".into(),
        campaign_id: draft,
        update_mask: mask("stock_count"),
        ..Default::default()
    };
    refused!(table, campaigns.update_campaign, update, {
        "one that has ended": |r| r.campaign_id = id => no(Code::FailedPrecondition, "CAMPAIGN_ENDED"),
    });
    table.finish().await;
}

async fn money(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let id = client.make_campaign(good(&table, "money"), 0).await;
    let ended = client.make_campaign(good(&table, "ended"), 100).await;
    let end = pb::EndCampaignRequest {
        shop_id: SHOP,
        request_id: "end".into(),
        campaign_id: ended,
        ..Default::default()
    };
    client.campaigns().end_campaign(end).await.unwrap();
    let fund = pb::FundCampaignRequest {
        shop_id: SHOP,
        request_id: "fund".into(),
        campaign_id: id,
        amount_fen: 1 << 62,
        ..Default::default()
    };
    refused!(table, campaigns.fund_campaign, fund.clone(), {
        "#1 nothing": |r| r.amount_fen = 0 => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 less than nothing": |r| r.amount_fen = -1 => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#2 one over the bound": |r| r.amount_fen = (1 << 62) + 1 => bad(&[("amount_fen", "AMOUNT_OVERFLOW")]),
        "#2 the largest number": |r| r.amount_fen = i64::MAX => bad(&[("amount_fen", "AMOUNT_OVERFLOW")]),
        "#18 into one that has ended": |r| r.campaign_id = ended => no(Code::FailedPrecondition, "CAMPAIGN_ENDED"),
        "#8 of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
    });
    // The budget is as full as it can be now.
    let one_more = pb::FundCampaignRequest {
        request_id: "one-more".into(),
        amount_fen: 1,
        ..fund
    };
    let before = table.raw.counts().await;
    let answer = client.campaigns().fund_campaign(one_more).await;
    let want = bad(&[("amount_fen", "AMOUNT_OVERFLOW")]);
    table
        .judge(
            "#2 one fen into a full budget",
            &before,
            answer.map(drop),
            &want,
        )
        .await;
    client.send(SHOP, id, "oOne").await.unwrap();
    let defund = pb::DefundCampaignRequest {
        shop_id: SHOP,
        request_id: "defund".into(),
        campaign_id: id,
        amount_fen: (1 << 62) - 100,
        ..Default::default()
    };
    refused!(table, campaigns.defund_campaign, defund, {
        "#49 more than is free": |r| r.amount_fen += 1 => no(Code::FailedPrecondition, "BUDGET_IN_USE"),
        "#1 nothing": |r| r.amount_fen = 0 => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#7 not there": |r| r.campaign_id = 404 => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
    });
    let get = pb::GetCampaignRequest {
        shop_id: SHOP,
        campaign_id: id,
    };
    refused!(table, campaigns.get_campaign, get, {
        "#7 not there": |r| r.campaign_id = 404 => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "#7 no id": |r| r.campaign_id = -4 => bad(&[("campaign_id", "ID_INVALID")]),
    });
    let stats = pb::GetCampaignStatsRequest {
        shop_id: SHOP,
        campaign_id: id,
        ..Default::default()
    };
    refused!(table, campaigns.get_campaign_stats, stats, {
        "#8 of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "usage of nobody": |r| r.uid = "nobody".into() => no(Code::NotFound, "RECIPIENT_NOT_FOUND"),
        "usage of no uid": |r| r.uid = "a b".into() => bad(&[("uid", "ID_INVALID")]),
    });
    table.finish().await;
}
