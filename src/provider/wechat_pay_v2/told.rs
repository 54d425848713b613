//! `gethbinfo`'s reply in its own words, for people.

use super::fen;
use super::xml::Elements;
use crate::domain::status_reply::{Receiver, StatusReply};
use crate::domain::text::Openid;
use crate::provider::HttpReply;

/// Longer than any field of the reply; what is longer is none of its words.
const FIELD_MAX: usize = 512;

pub(super) fn describe(reply: &HttpReply) -> Option<StatusReply> {
    if reply.status != 200 {
        return None;
    }
    let elements = Elements::read(&reply.body)?;
    let word = |name: &str| {
        let text = elements.get(name).unwrap_or("");
        text.chars().take(FIELD_MAX).collect::<String>()
    };
    let receivers = elements.list.iter().map(|entry| Receiver {
        openid: entry.get("openid").and_then(Openid::parse),
        amount: fen(entry.get("amount")),
        rcv_time: entry.get("rcv_time").unwrap_or("").to_owned(),
    });
    Some(StatusReply {
        return_code: word("return_code"),
        return_msg: word("return_msg"),
        result_code: word("result_code"),
        err_code: word("err_code"),
        err_code_des: word("err_code_des"),
        mch_billno: word("mch_billno"),
        mch_id: word("mch_id"),
        detail_id: word("detail_id"),
        status: word("status"),
        send_type: word("send_type"),
        hb_type: word("hb_type"),
        total_num: elements.get("total_num").and_then(|text| text.parse().ok()),
        total_amount: fen(elements.get("total_amount")),
        price: String::new(),
        reason: word("reason"),
        send_time: word("send_time"),
        refund_time: word("refund_time"),
        refund_amount: fen(elements.get("refund_amount")),
        wishing: word("wishing"),
        remark: word("remark"),
        act_name: word("act_name"),
        receivers: receivers.collect(),
    })
}
