//! What is wrong below the fields: bytes that are no message, sizes, deadlines.

use std::time::Duration;

use hongbao::grpc::pb;
use prost::Message as _;
use tonic::{Code, Request};

use super::{Table, no};
use crate::support::{SHOP, TestDb, call, on_both, reason};

on_both!(messages);

const SEND: &str = "/hongbao.v1.IssuanceService/SendRedPacket";
const UPSERT: &str = "/hongbao.v1.AudienceService/UpsertRecipients";
/// Calls whose field 2 is no number.
const OTHERS: &[&str] = &[
    "/hongbao.v1.IssuanceService/SendToGroups",
    "/hongbao.v1.IssuanceService/ScanSend",
    "/hongbao.v1.IssuanceService/CancelBatch",
    "/hongbao.v1.IssuanceService/RefreshStatus",
    "/hongbao.v1.IssuanceService/ListBatches",
    "/hongbao.v1.AudienceService/UpsertGroup",
    "/hongbao.v1.AudienceService/SetGroupMembers",
    "/hongbao.v1.AudienceService/ImportRecipients",
];

async fn messages(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let campaign = client.draft(SHOP, table.account, "open");
    let campaign = client.make_campaign(campaign, 10_000).await;
    let (channel, key) = (client.channel(), Some(table.app.key.as_str()));
    let before = table.raw.counts().await;

    // #30: field 2, a text of two bytes that are not UTF-8.
    let malformed = no(Code::InvalidArgument, "MALFORMED_MESSAGE");
    for (row, bytes) in [
        ("#30 no UTF-8", vec![0x12, 2, 0xff, 0xfe]),
        ("a text that ends too soon", vec![0x12, 9, b'a']),
        ("a number where a text is due", vec![0x10, 1]),
        ("a field without number", vec![0]),
        (
            "a varint without end",
            [vec![0x08], vec![0x80; 11]].concat(),
        ),
    ] {
        let answer = call(&channel, SEND, false, key, bytes).await;
        table
            .judge(row, &before, answer.map(drop), &malformed)
            .await;
    }

    for path in OTHERS {
        let answer = call(&channel, path, false, key, vec![0x12, 2, 0xff, 0xfe]).await;
        let row = format!("#30 {path}");
        table
            .judge(&row, &before, answer.map(drop), &malformed)
            .await;
    }

    // #34: tonic's own answer, which carries no details. 1 MiB is taken, a byte more is not.
    let size = |bytes: usize| {
        let mut request = pb::UpsertRecipientsRequest {
            shop_id: SHOP,
            request_id: "size".into(),
            ..Default::default()
        };
        let mut person = pb::RecipientInput {
            uid: "u".into(),
            ..Default::default()
        };
        person.nickname = "x".repeat(bytes - 30);
        request.recipients.push(person);
        let missing = bytes - request.encoded_len();
        request.recipients[0]
            .nickname
            .push_str(&"x".repeat(missing));
        assert_eq!(request.encoded_len(), bytes);
        request.encode_to_vec()
    };
    let status = call(&channel, UPSERT, false, key, size(1 << 20)).await;
    assert_eq!(reason(&status.unwrap_err()), "INVALID_FIELDS");
    for bytes in [(1 << 20) + 1, 5 << 20] {
        let status = call(&channel, UPSERT, false, key, size(bytes)).await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
        assert!(status.message().contains("too large"), "{status:?}");
    }

    // #34: headers over 16 KiB end at HTTP/2, and the server goes on.
    let mut request = Request::new(client.send_request(SHOP, campaign, "oHeaders"));
    let long = "x".repeat(64 << 10).parse().unwrap();
    request.metadata_mut().insert("x-long", long);
    let status = client.issuances().send_red_packet(request).await;
    assert_ne!(status.unwrap_err().code(), Code::Ok);

    // An RPC that is not there.
    let status = call(
        &channel,
        "/hongbao.v1.IssuanceService/Steal",
        false,
        key,
        vec![],
    )
    .await;
    assert_eq!(status.unwrap_err().code(), Code::Unimplemented);

    // #36: a deadline that has passed. The same id is good later.
    let late = client.send_request(SHOP, campaign, "oLate");
    for wait in [Duration::ZERO, Duration::from_nanos(1)] {
        let mut request = Request::new(late.clone());
        request.set_timeout(wait);
        let status = client.issuances().send_red_packet(request).await;
        let code = status.unwrap_err().code();
        assert!(
            matches!(code, Code::DeadlineExceeded | Code::Cancelled),
            "{code:?}"
        );
    }

    // #50: what a newer caller sends besides is ignored, and is no other body.
    let again = client.issuances().send_red_packet(late.clone()).await;
    let first = again.unwrap().into_inner().issuance.unwrap();
    let mut bytes = late.encode_to_vec();
    bytes.extend([0xfa, 0x3e, 3, b'n', b'e', b'w']);
    let answer = call(&channel, SEND, false, key, bytes).await.unwrap();
    let again = pb::SendRedPacketResponse::decode(answer).unwrap();
    assert!(again.replayed);
    assert_eq!(again.issuance.unwrap().issuance_id, first.issuance_id);
    table.finish().await;
}
