//! CampaignService: pots, scans and keywords.

use hongbao::grpc::pb::{self, AmountType, CampaignKind};

use super::{OTHER, Table, bad, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(pots, changes, lists);

fn rule(r#type: AmountType, min_fen: i64, max_fen: i64, pot_fen: i64) -> Option<pb::AmountRule> {
    Some(pb::AmountRule {
        r#type: r#type.into(),
        min_fen,
        max_fen,
        pot_fen,
    })
}

/// Three people share 4.50 yuan, 1 to 2 yuan each.
fn pot(table: &Table, code: &str) -> pb::CreateCampaignRequest {
    pb::CreateCampaignRequest {
        request_id: format!("create-{code}"),
        amount: rule(AmountType::Split, 100, 200, 450),
        stock_count: 3,
        scan_limit: 1_000,
        ..table.app.client.draft(SHOP, table.account, code)
    }
}

async fn pots(db: TestDb) {
    let table = Table::start(db).await;
    let made = refused!(table, campaigns.create_campaign, pot(&table, "pot"), {
        "#1 a fen less than all need": |r| r.amount.as_mut().unwrap().pot_fen = 299 => bad(&[("amount.pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 a fen more than all take": |r| r.amount.as_mut().unwrap().pot_fen = 601 => bad(&[("amount.pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 less than nothing": |r| r.amount.as_mut().unwrap().pot_fen = -1 => bad(&[("amount.pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#2 the largest pot": |r| r.amount.as_mut().unwrap().pot_fen = i64::MAX => bad(&[("amount.pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#2 shares whose sum does not fit": |r| r.amount = rule(AmountType::Split, 100, i64::MAX / 2, 450) => bad(&[("amount.pot_fen", "AMOUNT_OVERFLOW")]),
        "#1 shares above the account": |r| r.amount = rule(AmountType::Split, 100, 50_001, 450) => bad(&[("amount.max_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 shares below the account": |r| r.amount = rule(AmountType::Split, 29, 200, 450) => bad(&[("amount.min_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 small shares without a scene": |r| r.amount = rule(AmountType::Split, 99, 200, 450) => bad(&[("texts.scene_id", "SCENE_ID_REQUIRED")]),
        "#1 min above max": |r| r.amount = rule(AmountType::Split, 200, 100, 450) => bad(&[("amount.max_fen", "AMOUNT_OUT_OF_RANGE")]),
        "a pot for nobody": |r| r.stock_count = 0 => bad(&[("stock_count", "OUT_OF_RANGE")]),
        "#5 a pot for more than 100,000": |r| r.stock_count = 100_001 => bad(&[("stock_count", "OUT_OF_RANGE")]),
        "a pot of fixed packets": |r| r.amount = rule(AmountType::Fixed, 100, 100, 300) => bad(&[("amount.pot_fen", "FIELD_NOT_ALLOWED")]),
        "a pot of random packets": |r| r.amount = rule(AmountType::Random, 100, 200, 450) => bad(&[("amount.pot_fen", "FIELD_NOT_ALLOWED")]),
        "a pot of a DIRECT one": |r| r.kind = CampaignKind::Direct.into() => bad(&[("amount.type", "FIELD_NOT_ALLOWED")]),
        "#37 an amount type that is not known": |r| r.amount.as_mut().unwrap().r#type = 5 => bad(&[("amount.type", "ENUM_UNKNOWN")]),
        "a limit below zero": |r| r.scan_limit = -1 => bad(&[("scan_limit", "OUT_OF_RANGE")]),
        "a limit of 1,001": |r| r.scan_limit = 1_001 => bad(&[("scan_limit", "OUT_OF_RANGE")]),
        "pot and limit at once": |r| { r.amount.as_mut().unwrap().pot_fen = 601; r.scan_limit = i32::MIN; }
            => bad(&[("amount.pot_fen", "AMOUNT_OUT_OF_RANGE"), ("scan_limit", "OUT_OF_RANGE")]),
    });
    let made = made.campaign.unwrap();
    assert_eq!(
        (made.scan_limit, made.amount.unwrap().pot_fen),
        (1_000, 450)
    );

    // The bounds themselves are good, and a pot is no must.
    let client = &table.app.client;
    for (code, amount, stock_count) in [
        ("least", rule(AmountType::Split, 100, 200, 300), 3),
        ("most", rule(AmountType::Split, 100, 200, 600), 3),
        (
            "many",
            rule(AmountType::Split, 100, 100, 10_000_000),
            100_000,
        ),
        ("no-pot", rule(AmountType::Split, 100, 200, 0), 0),
    ] {
        let edge = pb::CreateCampaignRequest {
            amount,
            stock_count,
            scan_limit: 0,
            ..pot(&table, code)
        };
        let made = client.campaigns().create_campaign(edge).await;
        let made = made.expect(code).into_inner().campaign.unwrap();
        assert_eq!(made.scan_limit, 1, "{code}");
    }
    table.finish().await;
}

async fn changes(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let id = client.make_campaign(pot(&table, "pot"), 450).await;
    let mask = |path: &str| {
        Some(prost_types::FieldMask {
            paths: vec![path.to_owned()],
        })
    };
    let update = pb::UpdateCampaignRequest {
        shop_id: SHOP,
        request_id: "update".into(),
        campaign_id: id,
        update_mask: mask("scan_limit"),
        scan_limit: 2,
        ..Default::default()
    };
    let done = refused!(table, campaigns.update_campaign, update, {
        "no limit": |r| r.scan_limit = 0 => bad(&[("scan_limit", "OUT_OF_RANGE")]),
        "a limit of 1,001": |r| r.scan_limit = 1_001 => bad(&[("scan_limit", "OUT_OF_RANGE")]),
        "the pot": |r| r.update_mask = mask("amount.pot_fen") => bad(&[("update_mask", "UPDATE_MASK_INVALID")]),
        "more people for a pot": |r| (r.update_mask, r.stock_count) = (mask("stock_count"), 4) => bad(&[("stock_count", "FIELD_NOT_ALLOWED")]),
        "any number of people for a pot": |r| r.update_mask = mask("stock_count") => bad(&[("stock_count", "FIELD_NOT_ALLOWED")]),
    });
    assert_eq!(done.campaign.unwrap().scan_limit, 2);
    table.finish().await;
}

async fn lists(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    for code in ["one", "two%_\\"] {
        let draft = pb::CreateCampaignRequest {
            code: code.replace(['%', '\\'], "-"),
            texts: Some(pb::RedPacketTexts {
                act_name: code.to_owned(),
                ..crate::support::texts()
            }),
            ..pot(&table, "list")
        };
        let draft = pb::CreateCampaignRequest {
            request_id: client.fresh(),
            ..draft
        };
        client.campaigns().create_campaign(draft).await.unwrap();
    }
    let list = |keyword: &str| pb::ListCampaignsRequest {
        shop_id: SHOP,
        page_size: 1,
        keyword: keyword.to_owned(),
        ..Default::default()
    };
    let page = async |keyword: &str| {
        let page = client.campaigns().list_campaigns(list(keyword)).await;
        let page = page.unwrap().into_inner();
        (page.campaigns.len(), page.next_page_token)
    };
    let ((_, page_token), (_, of_keyword)) = (page("").await, page("o").await);
    refused!(table, campaigns.list_campaigns, pb::ListCampaignsRequest { page_token, ..list("") }, {
        "#27 a negative page": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "#29 31 characters": |r| { r.keyword = "红".repeat(31); r.page_token.clear(); } => bad(&[("keyword", "TEXT_TOO_LONG")]),
        "#29 10,000 characters": |r| { r.keyword = "x".repeat(10_000); r.page_token.clear(); } => bad(&[("keyword", "TEXT_TOO_LONG")]),
        "#47 a token of another keyword": |r| r.page_token = of_keyword.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another shop": |r| r.shop_id = OTHER => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#8 a shop that is not there": |r| { r.shop_id = -1; r.page_token.clear(); } => bad(&[("shop_id", "ID_INVALID")]),
        "#47 no token": |r| (r.keyword, r.page_token) = ("x".repeat(31), "zz".into())
            => bad(&[("page_token", "PAGE_TOKEN_INVALID"), ("keyword", "TEXT_TOO_LONG")]),
    });
    // #29: signs of other languages mean themselves.
    for (keyword, due) in [
        ("%", 1),
        ("_", 1),
        ("\\", 1),
        ("%_\\", 1),
        ("%o", 0),
        ("' --", 0),
        ("TWO", 1),
    ] {
        assert_eq!(page(keyword).await.0, due, "{keyword}");
    }
    table.finish().await;
}
