//! What is posted: the event as JSON, and the headers that sign it.
//!
//! `data` is `hongbao.v1.Event` as protobuf writes it in JSON (64-bit numbers are texts, what
//! is empty is left out), so that a receiver with the contract parses it with that.

use serde_json::{Map, Value, json};

use crate::clock;
use crate::domain::event::{event_id, type_name};
use crate::domain::webhook::{Outcome, Style};
use crate::domain::{State, Timestamp};
use crate::provider::Delivered;
use crate::signing::open_platform::{Head, md5_sign};
use crate::signing::webhook::{
    ID_HEADER, MessageId, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, sign,
};
use crate::store::event::EventView;
use crate::store::webhook::Receiver;

/// Seed 003's order states.
const SUCCESS: u8 = 2;
const FAILED: u8 = 3;
const CANCELLED: u8 = 4;
/// What its receivers answer.
const ACKNOWLEDGED: &str = "SUCCESS";

/// One message.
pub(super) struct Message {
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// The message of an event for a receiver, at an instant of real time; nothing if it cannot
/// be made.
pub(super) fn message(to: &Receiver, event: &EventView, now: Timestamp) -> Option<Message> {
    match to.style {
        Style::Standard => standard(to, event, now),
        Style::OpenPlatform => open_platform(to, event, now),
    }
}

/// An event as it is told outside of gRPC.
pub(super) fn json(event: &EventView) -> Vec<u8> {
    let row = &event.row;
    let body = json!({
        "type": type_name(row.aggregate, &row.kind),
        "timestamp": row.create_time.rfc3339(),
        "data": data(event),
    });
    body.to_string().into_bytes()
}

/// What an answer means to a receiver of a style.
pub(super) fn outcome(style: Style, delivered: &Delivered) -> Outcome {
    // What cannot be shown stands as U+FFFD in it, a line break too.
    let blank = |c: char| c.is_whitespace() || c == char::REPLACEMENT_CHARACTER;
    let said = delivered.reply_excerpt.trim_matches(blank);
    match (style, delivered.outcome) {
        (Style::OpenPlatform, Outcome::Done) if !said.eq_ignore_ascii_case(ACKNOWLEDGED) => {
            Outcome::Status(delivered.http_status.unwrap_or_default())
        }
        (Style::Standard | Style::OpenPlatform, outcome) => outcome,
    }
}

fn standard(to: &Receiver, event: &EventView, now: Timestamp) -> Option<Message> {
    let row = &event.row;
    let id = MessageId::parse(&event_id(row.shop_id, event.position))?;
    let body = json(event);
    let secrets: Vec<Secret> = to.secrets.iter().filter_map(|s| Secret::parse(s)).collect();
    let seconds = now.0.div_euclid(1_000_000);
    let signature = sign(secrets.first()?, secrets.get(1), &id, seconds, &body);
    Some(Message {
        headers: vec![
            ("content-type", "application/json".to_owned()),
            (ID_HEADER, id.as_str().to_owned()),
            (TIMESTAMP_HEADER, seconds.to_string()),
            (SIGNATURE_HEADER, signature),
        ],
        body,
    })
}

fn open_platform(to: &Receiver, event: &EventView, now: Timestamp) -> Option<Message> {
    let packet = event.packet.as_ref()?;
    let status = match event.row.to_state.as_str() {
        state if state == State::Failed.name() => FAILED,
        state if state == State::Cancelled.name() => CANCELLED,
        _ => SUCCESS,
    };
    let body = json!({
        "orderCode": packet.id.to_string(),
        "bizCode": packet.request_id.as_str(),
        "status": status,
    });
    let body = body.to_string().into_bytes();
    let nonce = uuid(clock::random());
    let (business, millis) = (to.app.to_string(), now.0.div_euclid(1_000).to_string());
    let head = Head {
        business_id: &business,
        nonce: &nonce,
        sign_type: "",
        timestamp: &millis,
    };
    // One signature has room: the old secret's, as long as it signs.
    let sign = md5_sign(&head, &body, to.secrets.last()?);
    let headers = vec![
        ("content-type", "application/json; charset=utf-8".to_owned()),
        ("businessId", business),
        ("nonce", nonce),
        ("timestamp", millis),
        ("sign", sign),
    ];
    Some(Message { headers, body })
}

/// A number that no other message has.
fn uuid(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

fn data(event: &EventView) -> Value {
    let row = &event.row;
    let mut data = Fields::default();
    data.text("eventId", &event_id(row.shop_id, event.position));
    data.number("position", event.position);
    data.number("shopId", row.shop_id.0);
    data.text("type", &type_name(row.aggregate, &row.kind));
    data.text(
        "subject",
        &format!("EVENT_SUBJECT_{}", row.aggregate.name()),
    );
    data.number("subjectId", row.aggregate_id);
    data.number("seq", row.seq);
    if row.line != 0 {
        data.0.insert("line".to_owned(), row.line.into());
    }
    data.text("fromState", row.from_state.as_deref().unwrap_or_default());
    data.text("toState", &row.to_state);
    data.text("debitAccount", row.debit_account.map_or("", |p| p.name()));
    data.text("creditAccount", row.credit_account.map_or("", |p| p.name()));
    data.number("amountFen", row.amount_fen.map_or(0, |fen| fen.0));
    data.text("reason", row.reason.as_deref().unwrap_or_default());
    data.text("actor", &row.actor);
    data.text("createTime", &row.create_time.rfc3339());
    data.0.insert("facts".to_owned(), facts(event));
    Value::Object(data.0)
}

fn facts(event: &EventView) -> Value {
    let facts = event.facts();
    let mut fields = Fields::default();
    fields.number("campaignId", facts.campaign_id);
    fields.number("batchId", facts.batch_id);
    fields.number("productId", facts.product_id);
    fields.number("orderId", facts.order_id);
    fields.number("appId", facts.app_id);
    fields.text("requestId", &facts.request_id);
    fields.number("recipientId", facts.recipient_id);
    fields.text("uid", &facts.uid);
    fields.number("faceFen", facts.face_fen);
    fields.text("mchBillno", &facts.mch_billno);
    fields.text("lastError", &facts.last_error);
    fields.text("voucherNo", &facts.voucher_no);
    Value::Object(fields.0)
}

/// An object without what is empty.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.0.insert(name.to_owned(), text.into());
        }
    }

    /// Numbers of 64 bits are texts: a receiver in JavaScript would round them.
    fn number(&mut self, name: &str, number: i64) {
        if number != 0 {
            self.0.insert(name.to_owned(), number.to_string().into());
        }
    }
}
