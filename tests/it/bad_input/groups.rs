//! AudienceService: groups, and the groups and branches of recipients.

use hongbao::grpc::pb;
use tonic::Code;

use super::{OTHER, Table, at, bad, no, over, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(groups, members, recipients);

pub(super) fn group(request_id: &str, shop_id: i64, id: i64) -> pb::UpsertGroupRequest {
    pb::UpsertGroupRequest {
        shop_id,
        request_id: request_id.to_owned(),
        wx_group_id: id,
        name: at(64),
        ..Default::default()
    }
}

/// A group 7 in both shops, a group 8 in the other one alone.
async fn ready(db: TestDb) -> Table {
    let table = Table::start(db).await;
    let client = &table.app.client;
    for (shop, id) in [(SHOP, 7), (OTHER, 7), (OTHER, 8)] {
        let made = group(&client.fresh(), shop, id);
        client.audience().upsert_group(made).await.unwrap();
    }
    table
}

async fn groups(db: TestDb) {
    let table = ready(db).await;
    let client = &table.app.client;
    refused!(table, audience.upsert_group, group("group", SHOP, 1 << 53), {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#7 a shop that is not there": |r| r.shop_id = 404 => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "an id below zero": |r| r.wx_group_id = -1 => bad(&[("wx_group_id", "ID_INVALID")]),
        "#50 an id that JSON cannot hold": |r| r.wx_group_id += 1 => bad(&[("wx_group_id", "ID_INVALID")]),
        "no name": |r| r.name.clear() => bad(&[("name", "FIELD_REQUIRED")]),
        "#32 a name of 65 bytes": |r| r.name = over(64) => bad(&[("name", "TEXT_TOO_LONG")]),
        "#17 a name with NUL": |r| r.name = "a\0b".into() => bad(&[("name", "TEXT_INVALID")]),
        "all at once": |r| { r.request_id = "x".repeat(129); r.wx_group_id = i64::MIN; r.name.clear(); }
            => bad(&[("request_id", "REQUEST_ID_INVALID"), ("wx_group_id", "ID_INVALID"), ("name", "FIELD_REQUIRED")]),
    });
    let get = pb::GetGroupRequest {
        shop_id: SHOP,
        wx_group_id: 7,
    };
    refused!(table, audience.get_group, get, {
        "#7 no id": |r| r.wx_group_id = 0 => bad(&[("wx_group_id", "ID_INVALID")]),
        "#7 not there": |r| r.wx_group_id = 404 => no(Code::NotFound, "GROUP_NOT_FOUND"),
        "#8 of another shop": |r| r.wx_group_id = 8 => no(Code::NotFound, "GROUP_NOT_FOUND"),
    });
    let list = |shop_id, keyword: &str| pb::ListGroupsRequest {
        shop_id,
        page_size: 1,
        keyword: keyword.to_owned(),
        ..Default::default()
    };
    let page = async |shop, keyword| {
        let page = client.audience().list_groups(list(shop, keyword)).await;
        page.unwrap().into_inner().next_page_token
    };
    let (page_token, others, of_keyword) = (
        page(SHOP, "").await,
        page(OTHER, "").await,
        page(SHOP, "红").await,
    );
    refused!(table, audience.list_groups, pb::ListGroupsRequest { page_token, ..list(SHOP, "") }, {
        "#27 a negative page": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "#29 31 characters": |r| { r.keyword = "红".repeat(31); r.page_token.clear(); } => bad(&[("keyword", "TEXT_TOO_LONG")]),
        "#29 10,000 characters": |r| { r.keyword = "x".repeat(10_000); r.page_token.clear(); } => bad(&[("keyword", "TEXT_TOO_LONG")]),
        "#47 a token of another keyword": |r| r.page_token = of_keyword.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another shop": |r| r.page_token = others.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 half a token": |r| { r.page_token.pop(); } => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
    });
    table.finish().await;
}

async fn members(db: TestDb) {
    let table = ready(db).await;
    let client = &table.app.client;
    let people: Vec<(String, String)> = (0..3)
        .map(|n| (format!("u{n}"), format!("oU{n}")))
        .collect();
    client.make_people(SHOP, "wx1", &people).await;
    client
        .make_people(OTHER, "wx1", &[("theirs".to_owned(), "oT".to_owned())])
        .await;
    let many = |count| (0..count).map(|n| format!("u{n}")).collect::<Vec<_>>();
    let set = pb::SetGroupMembersRequest {
        shop_id: SHOP,
        request_id: "members".into(),
        wx_group_id: 7,
        add_uids: vec!["u0".into(), "u1".into()],
        remove_uids: vec!["u2".into()],
        ..Default::default()
    };
    let done = refused!(table, audience.set_group_members, set, {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#7 no group": |r| r.wx_group_id = 0 => bad(&[("wx_group_id", "ID_INVALID")]),
        "#7 a group that is not there": |r| r.wx_group_id = 404 => no(Code::NotFound, "GROUP_NOT_FOUND"),
        "#8 a group of another shop": |r| r.wx_group_id = 8 => no(Code::NotFound, "GROUP_NOT_FOUND"),
        "#6 nobody": |r| { r.add_uids.clear(); r.remove_uids.clear(); } => bad(&[("add_uids", "FIELD_REQUIRED")]),
        "#5 1,001 to put in": |r| { r.add_uids = many(1_001); r.remove_uids.clear(); } => bad(&[("add_uids", "BATCH_TOO_LARGE")]),
        "#5 1,001 in all": |r| { r.add_uids = many(1_000); r.remove_uids = vec!["z".into()]; } => bad(&[("add_uids", "BATCH_TOO_LARGE")]),
        "#4 a uid twice": |r| r.add_uids.push("u0".into()) => bad(&[("add_uids[2]", "DUPLICATE_ITEM")]),
        "#4 a uid in and out": |r| r.remove_uids.push("u1".into()) => bad(&[("remove_uids[1]", "DUPLICATE_ITEM")]),
        "uids out of their alphabet": |r| { r.add_uids.push("a b".into()); r.remove_uids.push(String::new()); }
            => bad(&[("add_uids[2]", "ID_INVALID"), ("remove_uids[1]", "FIELD_REQUIRED")]),
        "#7 a uid that is not there": |r| r.add_uids.push("nobody".into()) => no(Code::NotFound, "RECIPIENT_NOT_FOUND"),
        "#7 to take out, a uid that is not there": |r| r.remove_uids.push("nobody".into()) => no(Code::NotFound, "RECIPIENT_NOT_FOUND"),
        "#8 a uid of another shop": |r| r.add_uids.push("theirs".into()) => no(Code::NotFound, "RECIPIENT_NOT_FOUND"),
    });
    assert_eq!(done.group.unwrap().member_count, 2);
    table.finish().await;
}

async fn recipients(db: TestDb) {
    let table = ready(db).await;
    let client = &table.app.client;
    for (shop_id, shop_sub_id) in [(SHOP, 7), (OTHER, 8)] {
        let branch = pb::CreateBranchRequest {
            request_id: client.fresh(),
            shop_id,
            shop_sub_id,
            name: "b".into(),
            ..Default::default()
        };
        client.admin().create_branch(branch).await.unwrap();
    }
    let person = |uid: &str| pb::RecipientInput {
        uid: uid.to_owned(),
        nickname: uid.to_owned(),
        shop_sub_id: Some(7),
        ..Default::default()
    };
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "upsert".into(),
        recipients: vec![person("ann"), person("anna")],
        wx_group_ids: vec![7],
        ..Default::default()
    };
    refused!(table, audience.upsert_recipients, upsert, {
        "a branch below zero": |r| r.recipients[1].shop_sub_id = Some(-1) => bad(&[("recipients[1].shop_sub_id", "ID_INVALID")]),
        "#7 a branch that is not there": |r| r.recipients[1].shop_sub_id = Some(404) => no(Code::NotFound, "BRANCH_NOT_FOUND"),
        "#8 a branch of another shop": |r| r.recipients[1].shop_sub_id = Some(8) => no(Code::NotFound, "BRANCH_NOT_FOUND"),
        "#7 a group that is not there": |r| r.wx_group_ids.push(404) => no(Code::NotFound, "GROUP_NOT_FOUND"),
        "#8 a group of another shop": |r| r.wx_group_ids = vec![8] => no(Code::NotFound, "GROUP_NOT_FOUND"),
        "no group": |r| r.wx_group_ids.push(0) => bad(&[("wx_group_ids[1]", "ID_INVALID")]),
        "#4 a group twice": |r| r.wx_group_ids.push(7) => bad(&[("wx_group_ids[1]", "DUPLICATE_ITEM")]),
        "#5 21 groups": |r| r.wx_group_ids = (1..=21).collect() => bad(&[("wx_group_ids", "BATCH_TOO_LARGE")]),
        "people and groups at once": |r| { r.recipients[0].shop_sub_id = Some(i64::MIN); r.wx_group_ids = vec![-1]; }
            => bad(&[("recipients[0].shop_sub_id", "ID_INVALID"), ("wx_group_ids[0]", "ID_INVALID")]),
    });
    let list = |wx_group_id, keyword: &str| pb::ListRecipientsRequest {
        shop_id: SHOP,
        page_size: 1,
        wx_group_id,
        keyword: keyword.to_owned(),
        ..Default::default()
    };
    let page = async |group, keyword| {
        let page = client
            .audience()
            .list_recipients(list(group, keyword))
            .await;
        page.unwrap().into_inner().next_page_token
    };
    let (page_token, of_all, of_keyword) =
        (page(7, "").await, page(0, "").await, page(7, "an").await);
    refused!(table, audience.list_recipients, pb::ListRecipientsRequest { page_token, ..list(7, "") }, {
        "a group below zero": |r| { r.wx_group_id = -1; r.page_token.clear(); } => bad(&[("wx_group_id", "ID_INVALID")]),
        "#7 a group that is not there": |r| { r.wx_group_id = 404; r.page_token.clear(); } => no(Code::NotFound, "GROUP_NOT_FOUND"),
        "#8 a group of another shop": |r| { r.wx_group_id = 8; r.page_token.clear(); } => no(Code::NotFound, "GROUP_NOT_FOUND"),
        "#29 31 characters": |r| { r.keyword = "红".repeat(31); r.page_token.clear(); } => bad(&[("keyword", "TEXT_TOO_LONG")]),
        "#47 a token of all": |r| r.page_token = of_all.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of a keyword": |r| r.page_token = of_keyword.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "all at once": |r| r = pb::ListRecipientsRequest { page_size: -1, page_token: "x".into(), wx_group_id: -1, ..list(0, &"x".repeat(31)) }
            => bad(&[("page_size", "OUT_OF_RANGE"), ("page_token", "PAGE_TOKEN_INVALID"), ("wx_group_id", "ID_INVALID"), ("keyword", "TEXT_TOO_LONG")]),
    });
    table.finish().await;
}
