//! IssuanceService: sends to many, and taking them back.

use hongbao::grpc::pb::{self, AmountType, CampaignKind};
use tonic::Code;

use super::groups::group;
use super::issuance::Closed;
use super::{OTHER, Table, bad, no, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(sends_to_groups, pots_of_a_call, too_many_members, cancels);

/// A campaign that divides pots.
pub(super) fn splits(
    table: &Table,
    code: &str,
    pot_fen: i64,
    stock_count: i64,
) -> pb::CreateCampaignRequest {
    pb::CreateCampaignRequest {
        amount: Some(pb::AmountRule {
            r#type: AmountType::Split.into(),
            min_fen: 100,
            max_fen: 200,
            pot_fen,
        }),
        stock_count,
        ..table.app.client.draft(SHOP, table.account, code)
    }
}

/// The shop's DIRECT campaign, with money.
pub(super) async fn direct(table: &Table, max_fen: i64, amount_fen: i64) -> i64 {
    let client = &table.app.client;
    let mut draft = client.draft(SHOP, table.account, "direct");
    draft.kind = CampaignKind::Direct.into();
    draft.amount = Some(pb::AmountRule {
        r#type: AmountType::CallerSet.into(),
        min_fen: 100,
        max_fen,
        ..Default::default()
    });
    client.make_campaign(draft, amount_fen).await
}

pub(super) async fn make_branches(table: &Table) {
    let client = &table.app.client;
    for (shop_id, shop_sub_id) in [(SHOP, 7), (OTHER, 8)] {
        let branch = pb::CreateBranchRequest {
            request_id: client.fresh(),
            shop_id,
            shop_sub_id,
            name: "branch".into(),
            ..Default::default()
        };
        client.admin().create_branch(branch).await.unwrap();
    }
}

/// Groups 7 and 9 with two people each, one of whom is in both; 10 has nobody, and 8
/// is another shop's.
async fn ready(db: TestDb) -> Table {
    let table = Table::start(db).await;
    let client = &table.app.client;
    for (shop, id) in [(SHOP, 7), (SHOP, 9), (SHOP, 10), (OTHER, 8)] {
        let made = group(&client.fresh(), shop, id);
        client.audience().upsert_group(made).await.unwrap();
    }
    let people = ["u1", "u2", "u3"].map(|uid| (uid.to_owned(), format!("o{uid}")));
    client.make_people(SHOP, &table.app.appid(), &people).await;
    for (id, uids) in [(7, ["u1", "u2"]), (9, ["u2", "u3"])] {
        let set = pb::SetGroupMembersRequest {
            shop_id: SHOP,
            request_id: client.fresh(),
            wx_group_id: id,
            add_uids: uids.map(str::to_owned).to_vec(),
            ..Default::default()
        };
        client.audience().set_group_members(set).await.unwrap();
    }
    make_branches(&table).await;
    table
}

fn to_groups(request_id: &str, campaign_id: i64, groups: &[i64]) -> pb::SendToGroupsRequest {
    pb::SendToGroupsRequest {
        shop_id: SHOP,
        request_id: request_id.to_owned(),
        campaign_id,
        wx_group_ids: groups.to_vec(),
        source: pb::IssuanceSource::Manual.into(),
        ..Default::default()
    }
}

async fn sends_to_groups(db: TestDb) {
    let table = ready(db).await;
    let closed = Closed::make(&table).await;
    let client = &table.app.client;
    let draft = pb::CreateCampaignRequest {
        stock_count: 3,
        ..client.draft(SHOP, table.account, "open")
    };
    let id = client.make_campaign(draft, 1_000).await;
    let poor = client.draft(SHOP, table.account, "poor");
    let poor = client.make_campaign(poor, 299).await;
    let direct = direct(&table, 200, 1_000).await;
    let good = pb::SendToGroupsRequest {
        shop_sub_id: 7,
        ..to_groups("groups", id, &[7, 9])
    };
    let sent = refused!(table, issuances.send_to_groups, good, {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#7 no campaign": |r| r.campaign_id = 0 => bad(&[("campaign_id", "ID_INVALID")]),
        "#7 a campaign that is not there": |r| r.campaign_id = 404 => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "#8 a campaign of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "#6 no group": |r| r.wx_group_ids.clear() => bad(&[("wx_group_ids", "FIELD_REQUIRED")]),
        "#5 101 groups": |r| r.wx_group_ids = (1..=101).collect() => bad(&[("wx_group_ids", "BATCH_TOO_LARGE")]),
        "#4 a group twice": |r| r.wx_group_ids.push(7) => bad(&[("wx_group_ids[2]", "DUPLICATE_ITEM")]),
        "#7 groups that are none": |r| r.wx_group_ids = vec![0, 7, -1] => bad(&[("wx_group_ids[0]", "ID_INVALID"), ("wx_group_ids[2]", "ID_INVALID")]),
        "#7 a group that is not there": |r| r.wx_group_ids.push(404) => no(Code::NotFound, "GROUP_NOT_FOUND"),
        "#8 a group of another shop": |r| r.wx_group_ids.push(8) => no(Code::NotFound, "GROUP_NOT_FOUND"),
        "#6 a group of nobody": |r| r.wx_group_ids = vec![10] => no(Code::FailedPrecondition, "GROUP_EMPTY"),
        "#37 source 0": |r| r.source = 0 => bad(&[("source", "ENUM_UNKNOWN")]),
        "#37 source 7": |r| r.source = 7 => bad(&[("source", "ENUM_UNKNOWN")]),
        "a branch below zero": |r| r.shop_sub_id = -1 => bad(&[("shop_sub_id", "ID_INVALID")]),
        "#7 a branch that is not there": |r| r.shop_sub_id = 404 => no(Code::NotFound, "BRANCH_NOT_FOUND"),
        "#8 a branch of another shop": |r| r.shop_sub_id = 8 => no(Code::NotFound, "BRANCH_NOT_FOUND"),
        "a pot for fixed packets": |r| r.pot_fen = 300 => bad(&[("pot_fen", "FIELD_NOT_ALLOWED")]),
        "#1 a pot of less than nothing": |r| r.pot_fen = -1 => bad(&[("pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "from a DIRECT campaign": |r| r.campaign_id = direct => bad(&[("campaign_id", "FIELD_NOT_ALLOWED")]),
        "#18 a draft": |r| r.campaign_id = closed.draft => no(Code::FailedPrecondition, "CAMPAIGN_NOT_ACTIVE"),
        "#18 a paused one": |r| r.campaign_id = closed.paused => no(Code::FailedPrecondition, "CAMPAIGN_PAUSED"),
        "#18 an ended one": |r| r.campaign_id = closed.ended => no(Code::FailedPrecondition, "CAMPAIGN_ENDED"),
        "#18 one before its window": |r| r.campaign_id = closed.early => no(Code::FailedPrecondition, "CAMPAIGN_NOT_STARTED"),
        "#18 one after its window": |r| r.campaign_id = closed.late => no(Code::FailedPrecondition, "CAMPAIGN_ENDED"),
        "more than the stock": |r| r.every_group = true => no(Code::FailedPrecondition, "STOCK_EXHAUSTED"),
        "#20 a fen too little": |r| r.campaign_id = poor => no(Code::FailedPrecondition, "BUDGET_EXHAUSTED"),
        "all at once": |r| r = pb::SendToGroupsRequest { shop_id: SHOP, pot_fen: -1, shop_sub_id: -1, ..Default::default() }
            => bad(&[("request_id", "REQUEST_ID_INVALID"), ("campaign_id", "ID_INVALID"), ("source", "ENUM_UNKNOWN"),
                     ("wx_group_ids", "FIELD_REQUIRED"), ("pot_fen", "AMOUNT_OUT_OF_RANGE"), ("shop_sub_id", "ID_INVALID")]),
    });
    // #4: who is in two groups gets one packet, and it is said.
    let counts = sent.batches.iter().map(|batch| {
        let counts = batch.counts.unwrap();
        (batch.wx_group_id, batch.shop_sub_id, counts.requested_count)
    });
    assert_eq!(counts.collect::<Vec<_>>(), [(7, 7, 2), (9, 7, 1)]);
    assert_eq!(sent.repeated_count, 1);
    table.finish().await;
}

async fn pots_of_a_call(db: TestDb) {
    let table = ready(db).await;
    let client = &table.app.client;
    let id = client
        .make_campaign(splits(&table, "split", 0, 0), 1_000)
        .await;
    let scanned = client
        .make_campaign(splits(&table, "scanned", 300, 3), 1_000)
        .await;
    let fixed = client.draft(SHOP, table.account, "fixed");
    let fixed = client.make_campaign(fixed, 1_000).await;
    let direct = direct(&table, 200, 1_000).await;
    let groups = pb::SendToGroupsRequest {
        pot_fen: 600,
        ..to_groups("groups", id, &[7, 9])
    };
    let sent = refused!(table, issuances.send_to_groups, groups, {
        "no pot": |r| r.pot_fen = 0 => bad(&[("pot_fen", "FIELD_REQUIRED")]),
        "#1 a fen less than all need": |r| r.pot_fen = 299 => bad(&[("pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 a fen more than all take": |r| r.pot_fen = 601 => bad(&[("pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#2 the largest pot": |r| r.pot_fen = i64::MAX => bad(&[("pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "a pot that belongs to scans": |r| r.campaign_id = scanned => bad(&[("campaign_id", "FIELD_NOT_ALLOWED")]),
    });
    let held: i64 = sent.batches.iter().map(|batch| batch.amount_fen).sum();
    assert_eq!(held, 600);
    // #4: a uid that stands twice counts once.
    let users = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "users".into(),
        campaign_id: id,
        uids: ["u1", "u2", "u1", "nobody"].map(str::to_owned).to_vec(),
        source: 1,
        pot_fen: 400,
        shop_sub_id: 7,
        ..Default::default()
    };
    let sent = refused!(table, issuances.send_to_users, users, {
        "no pot": |r| r.pot_fen = 0 => bad(&[("pot_fen", "FIELD_REQUIRED")]),
        "#1 a fen more than those accepted take": |r| r.pot_fen = 401 => bad(&[("pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 a fen less than those accepted need": |r| r.pot_fen = 199 => bad(&[("pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 less than nothing": |r| r.pot_fen = i64::MIN => bad(&[("pot_fen", "AMOUNT_OUT_OF_RANGE")]),
        "a pot for fixed packets": |r| r.campaign_id = fixed => bad(&[("pot_fen", "FIELD_NOT_ALLOWED")]),
        "a pot that belongs to scans": |r| r.campaign_id = scanned => bad(&[("campaign_id", "FIELD_NOT_ALLOWED")]),
        "from a DIRECT campaign": |r| { r.campaign_id = direct; r.pot_fen = 0; } => bad(&[("campaign_id", "FIELD_NOT_ALLOWED")]),
        "a branch below zero": |r| r.shop_sub_id = -1 => bad(&[("shop_sub_id", "ID_INVALID")]),
        "#7 a branch that is not there": |r| r.shop_sub_id = 404 => no(Code::NotFound, "BRANCH_NOT_FOUND"),
        "#8 a branch of another shop": |r| r.shop_sub_id = 8 => no(Code::NotFound, "BRANCH_NOT_FOUND"),
        "pot and branch at once": |r| (r.pot_fen, r.shop_sub_id) = (-1, -1) => bad(&[("pot_fen", "AMOUNT_OUT_OF_RANGE"), ("shop_sub_id", "ID_INVALID")]),
        "#20 more than the budget": |r| { r.uids = vec!["u1".into(), "u2".into(), "u3".into()]; r.pot_fen = 401; } => no(Code::FailedPrecondition, "BUDGET_EXHAUSTED"),
    });
    assert_eq!(sent.duplicate_uids, ["u1"]);
    let batch = sent.batch.unwrap();
    assert_eq!((batch.amount_fen, batch.shop_sub_id), (400, 7));
    let counts = batch.counts.unwrap();
    assert_eq!((counts.accepted_count, counts.refused_count), (2, 1));
    table.finish().await;
}

/// #5: 100,001 members, put there by hand.
async fn too_many_members(db: TestDb) {
    let table = ready(db).await;
    let client = &table.app.client;
    let draft = client.draft(SHOP, table.account, "open");
    let id = client.make_campaign(draft, 1_000).await;
    let numbers =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100001)";
    let people = format!(
        "INSERT INTO recipient (id, shop_id, shop_sub_id, nickname, create_time, update_time) {numbers} \
         SELECT 1000000 + i, {SHOP}, 0, '', 1, 1 FROM n"
    );
    assert_eq!(table.raw.execute(&people).await, 100_001);
    let join = format!(
        "INSERT INTO group_member (shop_id, group_id, recipient_id) {numbers} SELECT {SHOP}, 10, 1000000 + i FROM n"
    );
    assert_eq!(table.raw.execute(&join).await, 100_001);
    let before = table.raw.counts().await;
    let answer = client
        .issuances()
        .send_to_groups(to_groups("many", id, &[10]))
        .await;
    let want = bad(&[("wx_group_ids", "BATCH_TOO_LARGE")]);
    table
        .judge("#5 100,001 members", &before, answer.map(drop), &want)
        .await;
    // A person less, and together with another group it is too many again.
    table
        .raw
        .run("DELETE FROM group_member WHERE recipient_id = 1000001")
        .await;
    let before = table.raw.counts().await;
    let answer = client
        .issuances()
        .send_to_groups(to_groups("many", id, &[7, 10]))
        .await;
    table
        .judge(
            "#5 100,002 members of two groups",
            &before,
            answer.map(drop),
            &want,
        )
        .await;
    table.finish().await;
}

async fn cancels(db: TestDb) {
    let table = ready(db).await;
    let client = &table.app.client;
    let draft = client.draft(SHOP, table.account, "open");
    let id = client.make_campaign(draft, 1_000).await;
    let sent = client
        .issuances()
        .send_to_groups(to_groups("send", id, &[7]))
        .await;
    let batch_id = sent.unwrap().into_inner().batches[0].batch_id;
    let cancel = pb::CancelBatchRequest {
        shop_id: SHOP,
        request_id: "cancel".into(),
        batch_id,
        ..Default::default()
    };
    let done = refused!(table, issuances.cancel_batch, cancel, {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#7 no batch": |r| r.batch_id = 0 => bad(&[("batch_id", "ID_INVALID")]),
        "#7 not there": |r| r.batch_id = 404_404 => no(Code::NotFound, "BATCH_NOT_FOUND"),
        "#8 of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "BATCH_NOT_FOUND"),
        "#7 a shop that is not there": |r| r.shop_id = 404 => no(Code::NotFound, "BATCH_NOT_FOUND"),
        "both at once": |r| { r.request_id = "\u{7}".into(); r.batch_id = i64::MIN; }
            => bad(&[("request_id", "REQUEST_ID_INVALID"), ("batch_id", "ID_INVALID")]),
    });
    let batch = done.batch.unwrap();
    let counts = batch.counts.unwrap();
    assert_eq!((counts.cancelled_count, counts.queued_count), (2, 0));
    assert!(batch.settled && batch.cancel_time.is_some());
    assert_eq!(client.budget(SHOP, id).await.available_fen, 1_000);
    table.finish().await;
}

/// A replay says what the call said; of all its answer this alone is not kept.
#[test]
fn a_replay_says_how_many_were_repeated() {
    crate::support::block_on(async {
        let table = ready(TestDb::sqlite()).await;
        let client = &table.app.client;
        let draft = client.draft(SHOP, table.account, "open");
        let id = client.make_campaign(draft, 1_000).await;
        let mut said = Vec::new();
        for _ in 0..2 {
            let sent = client
                .issuances()
                .send_to_groups(to_groups("send", id, &[7, 9]))
                .await;
            said.push(sent.unwrap().into_inner().repeated_count);
        }
        assert_eq!(said, [1, 1]);
        table.finish().await;
    });
}
