//! AudienceService.ImportRecipients: what refuses the whole, and what leaves one out.

use hongbao::grpc::pb;
use tonic::{Code, Status};

use super::groups::group;
use super::{OTHER, Table, bad, no, over};
use crate::support::{SHOP, TestDb, on_both};

on_both!(
    bad_headers,
    bad_people_are_left_out,
    a_repeated_stream_replays
);

type Message = pb::ImportRecipientsRequest;

async fn import(
    table: &Table,
    messages: Vec<Message>,
) -> Result<pb::ImportRecipientsResponse, Status> {
    let stream = futures::stream::iter(messages);
    let answer = table.app.client.audience().import_recipients(stream).await;
    answer.map(tonic::Response::into_inner)
}

fn person(uid: &str) -> pb::RecipientInput {
    pb::RecipientInput {
        uid: uid.to_owned(),
        nickname: uid.to_owned(),
        openids: vec![pb::OpenidInput {
            appid: "wx1".into(),
            openid: format!("o-{uid}"),
        }],
        ..Default::default()
    }
}

fn head(recipients: Vec<pb::RecipientInput>) -> Message {
    Message {
        shop_id: SHOP,
        request_id: "import".into(),
        recipients,
        wx_group_ids: vec![7],
    }
}

fn more(recipients: Vec<pb::RecipientInput>) -> Message {
    Message {
        recipients,
        ..Default::default()
    }
}

async fn ready(db: TestDb) -> Table {
    let table = Table::start(db).await;
    for (shop, id) in [(SHOP, 7), (SHOP, 9), (OTHER, 8)] {
        let made = group(&table.app.client.fresh(), shop, id);
        let made = table.app.client.audience().upsert_group(made).await;
        made.unwrap();
    }
    table
}

async fn bad_headers(db: TestDb) {
    let table = ready(db).await;
    let with = |change: fn(&mut Message)| {
        let mut message = head(vec![person("a")]);
        change(&mut message);
        vec![message]
    };
    let rows = [
        (
            "#6 no message at all",
            vec![],
            bad(&[("request_id", "REQUEST_ID_INVALID")]),
        ),
        (
            "#17 no request id",
            with(|m| m.request_id.clear()),
            bad(&[("request_id", "REQUEST_ID_INVALID")]),
        ),
        (
            "#17 a request id of 65",
            with(|m| m.request_id = "x".repeat(65)),
            bad(&[("request_id", "REQUEST_ID_INVALID")]),
        ),
        (
            "no shop",
            with(|m| m.shop_id = 0),
            bad(&[("shop_id", "FIELD_REQUIRED")]),
        ),
        (
            "#7 a shop below zero",
            with(|m| m.shop_id = -1),
            bad(&[("shop_id", "ID_INVALID")]),
        ),
        (
            "#7 a shop that is not there",
            with(|m| m.shop_id = 404),
            no(Code::NotFound, "SHOP_NOT_FOUND"),
        ),
        (
            "#7 a group that is not there",
            with(|m| m.wx_group_ids = vec![404]),
            no(Code::NotFound, "GROUP_NOT_FOUND"),
        ),
        (
            "#8 a group of another shop",
            with(|m| m.wx_group_ids = vec![8]),
            no(Code::NotFound, "GROUP_NOT_FOUND"),
        ),
        (
            "no group",
            with(|m| m.wx_group_ids = vec![0]),
            bad(&[("wx_group_ids[0]", "ID_INVALID")]),
        ),
        (
            "#4 a group twice",
            with(|m| m.wx_group_ids = vec![7, 7]),
            bad(&[("wx_group_ids[1]", "DUPLICATE_ITEM")]),
        ),
        (
            "#5 21 groups",
            with(|m| m.wx_group_ids = (1..=21).collect()),
            bad(&[("wx_group_ids", "BATCH_TOO_LARGE")]),
        ),
        (
            "both at once",
            with(|m| {
                m.request_id = "a b".into();
                m.wx_group_ids = vec![-1];
            }),
            bad(&[
                ("request_id", "REQUEST_ID_INVALID"),
                ("wx_group_ids[0]", "ID_INVALID"),
            ]),
        ),
    ];
    for (row, messages, want) in rows {
        let before = table.raw.counts().await;
        let answer = import(&table, messages).await;
        table
            .judge(&format!("import: {row}"), &before, answer.map(drop), &want)
            .await;
    }
    // #5: a message that is too long ends the import; what came before it stays.
    let long = (0..1_001).map(|n| person(&format!("p{n}"))).collect();
    let answer = import(&table, vec![head(vec![person("a")]), more(long)]).await;
    let status = answer.unwrap_err();
    let due = "InvalidArgument INVALID_FIELDS [(\"recipients\", \"BATCH_TOO_LARGE\")]";
    assert!(super::describe(&status).starts_with(due), "{status:?}");
    let kept = table.raw.texts("SELECT uid FROM recipient").await;
    assert_eq!(kept, ["a"]);
    // The header of a later message does not count.
    let other = Message {
        shop_id: 404,
        request_id: "\0".into(),
        wx_group_ids: vec![404],
        recipients: vec![person("b")],
    };
    let answer = import(&table, vec![head(vec![person("a")]), other])
        .await
        .unwrap();
    assert_eq!((answer.created_count, answer.updated_count), (1, 1));
    assert!(answer.replayed && answer.refused_count == 0);
    table.finish().await;
}

/// #7, #8, #31, #32, #33: each is named by its place in the whole import.
async fn bad_people_are_left_out(db: TestDb) {
    let table = ready(db).await;
    let client = &table.app.client;
    let first = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "first".into(),
        recipients: vec![pb::RecipientInput {
            mobile: "13812345678".into(),
            ..person("first")
        }],
        ..Default::default()
    };
    client.audience().upsert_recipients(first).await.unwrap();
    let with = |uid: &str, change: fn(&mut pb::RecipientInput)| {
        let mut person = person(uid);
        change(&mut person);
        person
    };
    let one = vec![
        person("a"),
        with("", |_| {}),
        with("u 2", |_| {}),
        with("u3", |p| p.nickname = over(128)),
        with("u4", |p| p.nickname = "a\u{202E}b".into()),
        with("u5", |p| p.mobile = "+8713912345678".into()),
        with("u6", |p| p.openids[0].openid = "o=".into()),
        with("u7", |p| p.openids[0].appid.clear()),
        with("u8", |p| p.openids = vec![p.openids[0].clone(); 11]),
        with("u9", |p| p.shop_sub_id = Some(-1)),
    ];
    let two = vec![
        with("u10", |p| p.shop_sub_id = Some(404)),
        with("u11", |p| p.openids[0].openid = "o-first".into()),
        with("u12", |p| p.mobile = "+8613812345678".into()),
        person("b"),
        person("b"),
        with("u15", |p| p.openids[0].openid = "o-b".into()),
        with("c", |p| p.mobile = "13900000000".into()),
        with("u17", |p| p.mobile = "13900000000".into()),
    ];
    let three = vec![with("first", |p| p.nickname = "renamed".into())];
    // Wrong twice, but one.
    let four = vec![with("u19", |p| {
        p.openids[0].openid = "o-first".into();
        p.mobile = "13812345678".into();
    })];
    let stream = vec![head(one), more(vec![]), more(two), more(three), more(four)];
    let answer = import(&table, stream).await;
    let answer = answer.unwrap();
    assert_eq!((answer.created_count, answer.updated_count), (3, 1));
    let mut refusals: Vec<(i64, &str, &str)> = answer
        .refusals
        .iter()
        .map(|r| (r.index, r.field.as_str(), r.reason.as_str()))
        .collect();
    refusals.sort_unstable();
    let due = [
        (1, "uid", "FIELD_REQUIRED"),
        (2, "uid", "ID_INVALID"),
        (3, "nickname", "TEXT_TOO_LONG"),
        (4, "nickname", "TEXT_INVALID"),
        (5, "mobile", "MOBILE_INVALID"),
        (6, "openids[0].openid", "OPENID_INVALID"),
        (7, "openids[0].appid", "FIELD_REQUIRED"),
        (8, "openids", "BATCH_TOO_LARGE"),
        (9, "shop_sub_id", "ID_INVALID"),
        (10, "shop_sub_id", "BRANCH_NOT_FOUND"),
        (11, "openids[0].openid", "BELONGS_TO_ANOTHER"),
        (12, "mobile", "BELONGS_TO_ANOTHER"),
        (14, "uid", "DUPLICATE_ITEM"),
        (15, "openids", "DUPLICATE_ITEM"),
        (17, "mobile", "DUPLICATE_ITEM"),
        (19, "openids[0].openid", "BELONGS_TO_ANOTHER"),
    ];
    assert_eq!(refusals, due);
    assert_eq!(answer.refused_count, 16);
    assert!(answer.refusals.iter().all(|r| !r.message.is_empty()));
    let named = |index: i64| {
        let refusal = answer.refusals.iter().find(|r| r.index == index);
        refusal.unwrap().uid.clone()
    };
    assert_eq!((named(1), named(2)), (String::new(), String::new()));
    assert_eq!((named(11).as_str(), named(14).as_str()), ("u11", "b"));
    let kept = "SELECT uid FROM recipient ORDER BY uid";
    assert_eq!(table.raw.texts(kept).await, ["a", "b", "c", "first"]);
    let members = "SELECT COUNT(*) FROM group_member WHERE group_id = 7";
    assert_eq!(table.raw.number(members).await, 4);
    // Refusals are counted to the end, and a hundred of them are named.
    let many = (0..1_000).map(|_| pb::RecipientInput::default()).collect();
    let many = Message {
        request_id: "many".into(),
        ..head(many)
    };
    let answer = import(&table, vec![many]).await.unwrap();
    assert_eq!((answer.refused_count, answer.refusals.len()), (1_000, 100));
    assert_eq!(answer.refusals[99].index, 99);
    table.finish().await;
}

/// The contract gives the uid of one who is left out "if it has a usable one".
#[test]
fn one_who_is_left_out_is_named_if_his_uid_is_good() {
    crate::support::block_on(async {
        let table = ready(TestDb::sqlite()).await;
        let bad = pb::RecipientInput {
            mobile: "1".into(),
            ..person("ann")
        };
        let answer = import(&table, vec![head(vec![bad])]).await.unwrap();
        let refusal = &answer.refusals[0];
        assert_eq!(
            (refusal.field.as_str(), refusal.uid.as_str()),
            ("mobile", "ann")
        );
        table.finish().await;
    });
}

/// #15, #16: one name for one import, however it is cut into messages.
async fn a_repeated_stream_replays(db: TestDb) {
    let table = ready(db).await;
    let all = || vec![person("a"), person("b"), person("c")];
    let first = import(&table, vec![head(all())]).await.unwrap();
    assert!(!first.replayed);
    assert_eq!((first.created_count, first.updated_count), (3, 0));
    let before = table.raw.counts().await;
    let cut = vec![
        head(vec![person("a")]),
        more(vec![person("b"), person("c")]),
    ];
    let again = import(&table, cut).await.unwrap();
    assert!(again.replayed);
    assert_eq!((again.created_count, again.updated_count), (0, 3));
    assert_eq!(table.raw.counts().await, before, "nothing is there twice");

    let reused = no(Code::AlreadyExists, "REQUEST_ID_REUSED");
    let rows = [
        (
            "other groups",
            Message {
                wx_group_ids: vec![9],
                ..head(all())
            },
        ),
        (
            "no groups",
            Message {
                wx_group_ids: vec![],
                ..head(all())
            },
        ),
        (
            "another shop",
            Message {
                shop_id: OTHER,
                wx_group_ids: vec![],
                ..head(all())
            },
        ),
    ];
    for (row, message) in rows {
        let answer = import(&table, vec![message]).await;
        table
            .judge(
                &format!("import: {row}"),
                &before,
                answer.map(drop),
                &reused,
            )
            .await;
    }
    let through = group("import", SHOP, 7);
    let through = table.app.client.audience().upsert_group(through).await;
    table
        .judge(
            "import: its id for another method",
            &before,
            through.map(drop),
            &reused,
        )
        .await;
    table.finish().await;
}
