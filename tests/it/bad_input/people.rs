//! What people decide.

use hongbao::domain::role::Role;
use hongbao::grpc::pb;
use tonic::Code;

use super::{Table, at, bad, no, over, refused, time};
use crate::support::{SHOP, TestDb, fact, on_both};

on_both!(decisions, closings, records, bounds, plans);

async fn decisions(db: TestDb) {
    let table = Table::start(db).await;
    let client = table.app.client.clone();
    let mut draft = client.draft(SHOP, table.account, "two");
    draft.approve_fund_above_fen = Some(0);
    let made = client.campaigns().create_campaign(draft).await.unwrap();
    let fund = pb::FundCampaignRequest {
        shop_id: SHOP,
        request_id: "fund".into(),
        campaign_id: made.into_inner().campaign.unwrap().campaign_id,
        amount_fen: 100,
        ..Default::default()
    };
    let waits = client.campaigns().fund_campaign(fund).await.unwrap_err();
    let decide = pb::DecideApprovalRequest {
        request_id: "decide".into(),
        approval_id: fact(&waits, "approval_id").parse().unwrap(),
        approve: true,
        reason: at(255),
        ..Default::default()
    };
    let by_app = client.reviews().decide_approval(decide.clone()).await;
    let before = table.raw.counts().await;
    let want = no(Code::PermissionDenied, "OPERATOR_REQUIRED");
    let row = "decide_approval: a system";
    table.judge(row, &before, by_app.map(drop), &want).await;
    let table = table.by_person(&[Role::Approver]).await;
    refused!(table, reviews.decide_approval, decide, {
        "no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "no approval": |r| r.approval_id = 0 => bad(&[("approval_id", "ID_INVALID")]),
        "an approval that is not there": |r| r.approval_id = 404 => no(Code::NotFound, "APPROVAL_NOT_FOUND"),
        "no reason": |r| r.reason.clear() => bad(&[("reason", "FIELD_REQUIRED")]),
        "a reason of 256 bytes": |r| r.reason = over(255) => bad(&[("reason", "TEXT_TOO_LONG")]),
        "a hidden reason": |r| r.reason = "a\u{202E}b".into() => bad(&[("reason", "TEXT_INVALID")]),
    });
    let list = pb::ListApprovalsRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    refused!(table, reviews.list_approvals, list, {
        "a shop below zero": |r| r.shop_id = -1 => bad(&[("shop_id", "ID_INVALID")]),
        "an unknown state": |r| r.state = 99 => bad(&[("state", "ENUM_UNKNOWN")]),
        "a page below zero": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "a token of elsewhere": |r| r.page_token = "AAAA".into() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
    });
    table.finish().await;
}

async fn closings(db: TestDb) {
    let table = Table::start(db).await;
    let client = table.app.client.clone();
    let draft = client.draft(SHOP, table.account, "plain");
    let campaign = client.make_campaign(draft, 1_000).await;
    let queued = client.send(SHOP, campaign, "oQueued").await.unwrap();
    let table = table.by_person(&[Role::Reviewer]).await;
    let close = pb::CloseReviewRequest {
        shop_id: SHOP,
        request_id: "close".into(),
        issuance_id: queued.issuance_id,
        verdict: pb::ReviewVerdict::Paid.into(),
        reason: at(255),
        ..Default::default()
    };
    // What is under way is nobody's to decide, so that no request here is good.
    type Change = fn(&mut pb::CloseReviewRequest);
    let rows: [(&str, Change, super::Want); 9] = [
        (
            "no request id",
            |r| r.request_id.clear(),
            bad(&[("request_id", "REQUEST_ID_INVALID")]),
        ),
        (
            "no packet",
            |r| r.issuance_id = 0,
            bad(&[("issuance_id", "ID_INVALID")]),
        ),
        (
            "no verdict",
            |r| r.verdict = 0,
            bad(&[("verdict", "ENUM_UNKNOWN")]),
        ),
        (
            "an unknown verdict",
            |r| r.verdict = 99,
            bad(&[("verdict", "ENUM_UNKNOWN")]),
        ),
        (
            "no reason",
            |r| r.reason.clear(),
            bad(&[("reason", "FIELD_REQUIRED")]),
        ),
        (
            "a reason of 256 bytes",
            |r| r.reason = over(255),
            bad(&[("reason", "TEXT_TOO_LONG")]),
        ),
        (
            "a packet that is not there",
            |r| r.issuance_id = 404,
            no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
        ),
        (
            "another shop",
            |r| r.shop_id = 404,
            no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
        ),
        (
            "what is queued",
            |_| {},
            no(Code::FailedPrecondition, "NOT_IN_REVIEW"),
        ),
    ];
    for (name, change, want) in rows {
        let mut request = close.clone();
        change(&mut request);
        let before = table.raw.counts().await;
        let answer = table.app.client.reviews().close_review(request).await;
        let row = format!("close_review: {name}");
        table.judge(&row, &before, answer.map(drop), &want).await;
    }
    let list = pb::ListReviewsRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    refused!(table, reviews.list_reviews, list, {
        "a page below zero": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "a token of elsewhere": |r| r.page_token = "AAAA".into() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
    });
    table.finish().await;
}

async fn records(db: TestDb) {
    let table = Table::start(db).await;
    let list = pb::ListAuditRequest {
        start_time: time(1),
        ..Default::default()
    };
    refused!(table, admin.list_audit, list, {
        "a principal below zero": |r| r.app_id = -1 => bad(&[("app_id", "ID_INVALID")]),
        "a shop below zero": |r| r.shop_id = -1 => bad(&[("shop_id", "ID_INVALID")]),
        "51 methods": |r| r.methods = vec!["FundCampaign".into(); 51] => bad(&[("methods", "BATCH_TOO_LARGE")]),
        "a time that is none": |r| r.start_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 })
            => bad(&[("start_time", "TIME_RANGE_INVALID")]),
        "a page below zero": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "a token of elsewhere": |r| r.page_token = "AAAA".into() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
    });
    // An operator's keys are made where the database is.
    let person = table.app.person("ann", &[Role::Viewer]).await;
    let made = pb::ListAuditRequest {
        methods: vec!["hongbao operator create".into()],
        ..Default::default()
    };
    let own = person.admin().list_audit(made).await;
    let own = own.unwrap().into_inner().entries[0].resource_id;
    let key = pb::CreateApiKeyRequest {
        request_id: "key".into(),
        app_id: own,
        ..Default::default()
    };
    let before = table.raw.counts().await;
    let answer = table.app.client.admin().create_api_key(key).await;
    let want = bad(&[("app_id", "FIELD_NOT_ALLOWED")]);
    let row = "create_api_key: of a person";
    table.judge(row, &before, answer.map(drop), &want).await;
    table.finish().await;
}

async fn bounds(db: TestDb) {
    let table = Table::start(db).await;
    let mut draft = table.app.client.draft(SHOP, table.account, "bound");
    draft.approve_send_above_fen = Some(0);
    draft.approve_fund_above_fen = Some(1 << 62);
    let made = refused!(table, campaigns.create_campaign, draft, {
        "a send below nothing": |r| r.approve_send_above_fen = Some(-1) => bad(&[("approve_send_above_fen", "OUT_OF_RANGE")]),
        "funding beyond all budgets": |r| r.approve_fund_above_fen = Some((1 << 62) + 1) => bad(&[("approve_fund_above_fen", "OUT_OF_RANGE")]),
    });
    let update = pb::UpdateCampaignRequest {
        shop_id: SHOP,
        request_id: "tighter".into(),
        campaign_id: made.campaign.unwrap().campaign_id,
        approve_fund_above_fen: Some(5),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["approve_fund_above_fen".into()],
        }),
        ..Default::default()
    };
    refused!(table, campaigns.update_campaign, update, {
        "below nothing": |r| r.approve_fund_above_fen = Some(-1) => bad(&[("approve_fund_above_fen", "OUT_OF_RANGE")]),
        "an unknown path": |r| r.update_mask = Some(prost_types::FieldMask { paths: vec!["approve".into()] })
            => bad(&[("update_mask", "UPDATE_MASK_INVALID")]),
    });
    table.finish().await;
}

async fn plans(db: TestDb) {
    let table = Table::start(db).await;
    let plan = |fen_per_minute, loss_max_fen, failure_percent| {
        Some(pb::SpendPlan {
            fen_per_minute,
            loss_max_fen,
            failure_percent,
        })
    };
    let mut draft = table.app.client.draft(SHOP, table.account, "plan");
    draft.plan = plan(1 << 62, 1 << 62, 100);
    let made = refused!(table, campaigns.create_campaign, draft, {
        "an empty plan": |r| r.plan = plan(0, 0, 0) => bad(&[("plan", "FIELD_REQUIRED")]),
        "a rate without a loss": |r| r.plan = plan(1, 0, 0) => bad(&[("plan.loss_max_fen", "OUT_OF_RANGE")]),
        "a loss without a rate": |r| r.plan = plan(0, 1, 1) => bad(&[("plan.loss_max_fen", "OUT_OF_RANGE")]),
        "a rate below zero": |r| r.plan = plan(-1, 1, 0) => bad(&[("plan.fen_per_minute", "OUT_OF_RANGE")]),
        "a loss beyond all budgets": |r| r.plan = plan(1, (1 << 62) + 1, 0) => bad(&[("plan.loss_max_fen", "OUT_OF_RANGE")]),
        "more than all": |r| r.plan = plan(1, 1, 101) => bad(&[("plan.failure_percent", "OUT_OF_RANGE")]),
    });
    let update = pb::UpdateCampaignRequest {
        shop_id: SHOP,
        request_id: "plan".into(),
        campaign_id: made.campaign.unwrap().campaign_id,
        plan: plan(0, 0, 1),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["plan".into()],
        }),
        ..Default::default()
    };
    refused!(table, campaigns.update_campaign, update, {
        "an empty plan": |r| r.plan = plan(0, 0, 0) => bad(&[("plan", "FIELD_REQUIRED")]),
    });
    let update = pb::UpdateProviderAccountRequest {
        request_id: "account-plan".into(),
        account_id: table.account,
        plan: plan(5, 5, 0),
        ..Default::default()
    };
    refused!(table, admin.update_provider_account, update, {
        "an empty plan": |r| r.plan = plan(0, 0, 0) => bad(&[("plan", "FIELD_REQUIRED")]),
        "a plan and none": |r| r.clear_plan = true => bad(&[("clear_plan", "FIELD_NOT_ALLOWED")]),
    });
    table.finish().await;
}
