//! AudienceService.

use hongbao::grpc::pb;
use tonic::Code;

use super::{OTHER, Table, at, bad, no, over, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(recipients, no_more_than_twenty);

fn person(uid: &str, openid: &str) -> pb::RecipientInput {
    pb::RecipientInput {
        uid: uid.to_owned(),
        nickname: at(128),
        openids: vec![pb::OpenidInput {
            appid: "wx1".into(),
            openid: openid.to_owned(),
        }],
        ..Default::default()
    }
}

async fn recipients(db: TestDb) {
    use pb::get_recipient_request::Ref;
    let table = Table::start(db).await;
    let client = &table.app.client;
    let first = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "first".into(),
        recipients: vec![pb::RecipientInput {
            mobile: "13812345678".into(),
            ..person("first", "oFirst")
        }],
        ..Default::default()
    };
    client.audience().upsert_recipients(first).await.unwrap();
    let good = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "upsert".into(),
        recipients: vec![person("a", "oA"), person(&"b".repeat(64), &"o".repeat(32))],
        ..Default::default()
    };
    let mobile = |text: &str| {
        let mut people = vec![person("a", "oA")];
        people[0].mobile = text.to_owned();
        people
    };
    let done = refused!(table, audience.upsert_recipients, good, {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#7 a shop that is not there": |r| r.shop_id = 404 => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "#6 nobody": |r| r.recipients.clear() => bad(&[("recipients", "FIELD_REQUIRED")]),
        "#5 1,001 people": |r| r.recipients = (0..1_001).map(|n| person(&format!("u{n}"), "o")).collect()
            => bad(&[("recipients", "BATCH_TOO_LARGE")]),
        "no uid": |r| r.recipients[1].uid.clear() => bad(&[("recipients[1].uid", "FIELD_REQUIRED")]),
        "a uid of 65": |r| r.recipients[1].uid.push('b') => bad(&[("recipients[1].uid", "ID_INVALID")]),
        "a uid with a blank": |r| r.recipients[0].uid = "a ".into() => bad(&[("recipients[0].uid", "ID_INVALID")]),
        "one uid twice": |r| r.recipients[1].uid = "a".into() => bad(&[("recipients[1].uid", "DUPLICATE_ITEM")]),
        "#32 a name of 129 bytes": |r| r.recipients[0].nickname = over(128) => bad(&[("recipients[0].nickname", "TEXT_TOO_LONG")]),
        "#32 a name with a control": |r| r.recipients[0].nickname = "a\u{7}".into() => bad(&[("recipients[0].nickname", "TEXT_INVALID")]),
        "#31 full width": |r| r.recipients = mobile("１３９１２３４５６７８") => bad(&[("recipients[0].mobile", "MOBILE_INVALID")]),
        "#31 12 digits": |r| r.recipients = mobile("139123456789") => bad(&[("recipients[0].mobile", "MOBILE_INVALID")]),
        "#31 letters": |r| r.recipients = mobile("1391234567a") => bad(&[("recipients[0].mobile", "MOBILE_INVALID")]),
        "#31 another country": |r| r.recipients = mobile("+8713912345678") => bad(&[("recipients[0].mobile", "MOBILE_INVALID")]),
        "#31 not a mobile": |r| r.recipients = mobile("23912345678") => bad(&[("recipients[0].mobile", "MOBILE_INVALID")]),
        "11 openids": |r| r.recipients[0].openids = (0..11).map(|n| pb::OpenidInput { appid: format!("wx{n}"), openid: "o".into() }).collect()
            => bad(&[("recipients[0].openids", "BATCH_TOO_LARGE")]),
        "#33 an openid without appid": |r| r.recipients[0].openids[0].appid.clear() => bad(&[("recipients[0].openids[0].appid", "FIELD_REQUIRED")]),
        "#33 an appid of 33": |r| r.recipients[0].openids[0].appid = "w".repeat(33) => bad(&[("recipients[0].openids[0].appid", "APPID_INVALID")]),
        "#33 an openid of 33": |r| r.recipients[1].openids[0].openid.push('o') => bad(&[("recipients[1].openids[0].openid", "OPENID_INVALID")]),
        "two openids of one appid": |r| { let one = r.recipients[0].openids[0].clone(); r.recipients[0].openids.push(one); }
            => bad(&[("recipients[0].openids[1].appid", "DUPLICATE_ITEM")]),
        "somebody else's openid": |r| r.recipients[0].openids[0].openid = "oFirst".into() => no(Code::AlreadyExists, "BELONGS_TO_ANOTHER"),
        "somebody else's mobile, with +86": |r| r.recipients = mobile("+8613812345678") => no(Code::AlreadyExists, "BELONGS_TO_ANOTHER"),
        "one openid for two": |r| r.recipients[1].openids[0].openid = "oA".into() => bad(&[("recipients[1].openids[0].openid", "DUPLICATE_ITEM")]),
        "one mobile for two": |r| { for one in &mut r.recipients { one.mobile = "13900000000".into(); } } => bad(&[("recipients[1].mobile", "DUPLICATE_ITEM")]),
        "a known one takes another's mobile": |r| { r.recipients = mobile("13812345678"); r.recipients.push(person("first", "oFirst2")); }
            => no(Code::AlreadyExists, "BELONGS_TO_ANOTHER"),
    });
    assert_eq!((done.created_count, done.updated_count), (2, 0));

    let get = pb::GetRecipientRequest {
        shop_id: SHOP,
        r#ref: Some(Ref::Uid("a".into())),
        ..Default::default()
    };
    refused!(table, audience.get_recipient, get, {
        "#6 neither": |r| r.r#ref = None => bad(&[("recipient_id", "FIELD_REQUIRED")]),
        "#7 an id below zero": |r| r.r#ref = Some(Ref::RecipientId(-1)) => bad(&[("recipient_id", "ID_INVALID")]),
        "#7 an id that is not there": |r| r.r#ref = Some(Ref::RecipientId(404_404)) => no(Code::NotFound, "RECIPIENT_NOT_FOUND"),
        "#7 a uid that is not there": |r| r.r#ref = Some(Ref::Uid("z".into())) => no(Code::NotFound, "RECIPIENT_NOT_FOUND"),
        "#7 an empty uid": |r| r.r#ref = Some(Ref::Uid(String::new())) => bad(&[("uid", "FIELD_REQUIRED")]),
        "#8 of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "RECIPIENT_NOT_FOUND"),
    });
    let list = pb::ListRecipientsRequest {
        shop_id: SHOP,
        page_size: 1,
        ..Default::default()
    };
    let token = client.audience().list_recipients(list.clone()).await;
    let page_token = token.unwrap().into_inner().next_page_token;
    refused!(table, audience.list_recipients, pb::ListRecipientsRequest { page_token, ..list }, {
        "#27 a negative page": |r| r.page_size = i32::MIN => bad(&[("page_size", "OUT_OF_RANGE")]),
        "#47 a token of another shop": |r| r.shop_id = OTHER => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
    });
    table.finish().await;
}

/// The reply names twenty fields and counts all of them.
async fn no_more_than_twenty(db: TestDb) {
    use tonic_types::StatusExt as _;
    let table = Table::start(db).await;
    for count in [20, 21, 1_000] {
        let request = pb::UpsertRecipientsRequest {
            shop_id: SHOP,
            request_id: "many".into(),
            recipients: vec![pb::RecipientInput::default(); count],
            ..Default::default()
        };
        let answer = table.app.client.audience().upsert_recipients(request).await;
        let details = answer.unwrap_err().get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations.len(), 20);
        let info = details.error_info().unwrap();
        assert_eq!(info.metadata["violation_count"], count.to_string());
    }
    table.finish().await;
}
