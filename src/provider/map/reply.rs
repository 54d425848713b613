//! What a reply proves.
//!
//! A success needs errcode 0 and every echo that the seed calls mandatory: one that names
//! another sum is a mismatch, one that lacks it proves nothing, and a look at the list then
//! says what happened. A refusal needs a code that the account lists. All else is unknown.

use std::collections::BTreeSet;
use std::time::Duration;

use super::HttpReply;
use super::json::Json;
use crate::domain::outcome::{Cause, Rejection, RejectionKind};
use crate::domain::remote_voucher::{
    Give, GiveOutcome, ListOutcome, Page, PageQuery, RemoteId, RemoteStatus, RemoteVoucher, Spend,
    TurnOrder, TurnOutcome,
};
use crate::domain::{Fen, Timestamp};

/// The words of seed 002 and of a known installation (`reference/features.md` §2.3).
const STATUSES: [(&str, RemoteStatus); 4] = [
    ("正常", RemoteStatus::Usable),
    ("OK#", RemoteStatus::Usable),
    ("无效", RemoteStatus::Invalid),
    ("已消费", RemoteStatus::Spent),
];
/// "Other error": the one code that the seed lists, and the one with which it says that it
/// found nothing.
const OTHER_ERROR: &str = "10000";
/// How the seed's text of a list without anything begins. It is the only thing by which an
/// empty list differs from a broken one.
const NONE_FOUND: &str = "没有查询到";

/// Why a reply is no success.
#[derive(Debug)]
enum Not {
    Rejected(Rejection),
    Known(Cause),
    Ours(&'static str),
}

const UNPARSABLE: Not = Not::Known(Cause::Unparsable);

type Read<T> = Result<T, Not>;

pub(super) fn give(refusals: &BTreeSet<String>, give: &Give, reply: &HttpReply) -> GiveOutcome {
    let given = success(refusals, reply).and_then(|read| {
        let order = read.get("order").ok_or(UNPARSABLE)?;
        let product = || name(order, "redPaperProductId");
        differs(order, "mobileNum", give.pair.mobile.expose())?;
        differs(order, "appOrderId", give.order.as_str())?;
        if product().is_some_and(|theirs| theirs != give.pair.product) {
            return Err(Not::Ours("redPaperProductId"));
        }
        let voucher = voucher(order)?;
        if voucher.sum != give.sum {
            return Err(Not::Ours("sum"));
        }
        Ok((voucher, name(order, "orderId")))
    });
    match given {
        Ok((voucher, order)) => GiveOutcome::Given { voucher, order },
        Err(Not::Rejected(rejection)) => GiveOutcome::Rejected(rejection),
        Err(Not::Known(cause)) => GiveOutcome::Unknown(cause),
        Err(Not::Ours(field)) => GiveOutcome::Mismatch { field },
    }
}

pub(super) fn list(
    refusals: &BTreeSet<String>,
    query: &PageQuery,
    reply: &HttpReply,
) -> ListOutcome {
    match page(refusals, query, reply) {
        Ok(page) => ListOutcome::Listed(page),
        Err(Not::Rejected(rejection)) => ListOutcome::Rejected(rejection),
        Err(Not::Known(cause)) => ListOutcome::Unknown(cause),
        Err(Not::Ours(field)) => ListOutcome::Mismatch { field },
    }
}

fn page(refusals: &BTreeSet<String>, query: &PageQuery, reply: &HttpReply) -> Read<Page> {
    let read = read(reply)?;
    match read.word("errcode") {
        // The seed's sample of a list has no errcode.
        None if read.get("errcode").is_some() => return Err(UNPARSABLE),
        None => {}
        Some(code) if code == "0" => {}
        Some(code) => {
            let text = read.word("errmsg").unwrap_or_default();
            let none = code == OTHER_ERROR && text.starts_with(NONE_FOUND);
            return match none && query.page == 1 {
                true => Ok(Page {
                    vouchers: Vec::new(),
                    total: 0,
                }),
                false => Err(no(refusals, &code)),
            };
        }
    }
    differs(&read, "pageIndex", &query.page.to_string())?;
    differs(&read, "mobileNum", query.mobile.expose())?;
    let total = read.whole("total").and_then(|total| total.try_into().ok());
    let total = total.ok_or(UNPARSABLE)?;
    let list = match (read.list("list"), total) {
        (Some(list), _) => list,
        (None, 0) if read.get("list").is_none() => &[],
        (None, _) => return Err(UNPARSABLE),
    };
    let vouchers = list.iter().map(|entry| {
        differs(entry, "mobileNum", query.mobile.expose())?;
        let voucher = voucher(entry)?;
        let asked = query.products.is_empty() || query.products.contains(&voucher.product);
        asked
            .then_some(voucher)
            .ok_or(Not::Ours("redPaperProductId"))
    });
    Ok(Page {
        vouchers: vouchers.collect::<Read<_>>()?,
        total,
    })
}

pub(super) fn spend(refusals: &BTreeSet<String>, spend: &Spend, reply: &HttpReply) -> TurnOutcome {
    turn(success(refusals, reply).and_then(|read| orders(&read, spend)))
}

pub(super) fn undo(refusals: &BTreeSet<String>, reply: &HttpReply) -> TurnOutcome {
    turn(success(refusals, reply).map(|_| Vec::new()))
}

fn turn(read: Read<Vec<TurnOrder>>) -> TurnOutcome {
    match read {
        Ok(orders) => TurnOutcome::Done { orders },
        Err(Not::Rejected(rejection)) => TurnOutcome::Rejected(rejection),
        Err(Not::Known(cause)) => TurnOutcome::Unknown(cause),
        Err(Not::Ours(field)) => TurnOutcome::Mismatch { field },
    }
}

/// The orders of a spend: the seed has one `orderId`, and calls it optional; a known
/// installation has a list of `order` with a number for each voucher.
fn orders(read: &Json, spend: &Spend) -> Read<Vec<TurnOrder>> {
    let Some(list) = read.list("order") else {
        let whole = read.get("order").unwrap_or(read);
        let order = name(whole, "orderId");
        return Ok(order
            .map(|order| TurnOrder {
                order,
                voucher: None,
            })
            .into_iter()
            .collect());
    };
    let mut orders = Vec::with_capacity(list.len());
    for entry in list {
        let order = name(entry, "orderId").ok_or(UNPARSABLE)?;
        let voucher = name(entry, "redPaperId");
        if voucher
            .as_ref()
            .is_some_and(|theirs| !spend.vouchers.contains(theirs))
        {
            return Err(Not::Ours("redPaperId"));
        }
        orders.push(TurnOrder { order, voucher });
    }
    let named = |id: &RemoteId| {
        orders
            .iter()
            .any(|order| order.voucher.as_ref() == Some(id))
    };
    let some = orders.iter().any(|order| order.voucher.is_some());
    match some && !spend.vouchers.iter().all(named) {
        true => Err(Not::Ours("redPaperId")),
        false => Ok(orders),
    }
}

fn read(reply: &HttpReply) -> Read<Json> {
    if reply.status != 200 {
        return Err(Not::Known(Cause::HttpStatus(reply.status)));
    }
    Json::read(&reply.body).ok_or(UNPARSABLE)
}

/// A reply that says errcode 0.
fn success(refusals: &BTreeSet<String>, reply: &HttpReply) -> Read<Json> {
    let read = read(reply)?;
    match read.word("errcode").ok_or(UNPARSABLE)?.as_str() {
        "0" => Ok(read),
        code => Err(no(refusals, code)),
    }
}

/// What a code proves. It goes into rows, logs and metrics, so it must look like a code: free
/// text from outside might name a person.
fn no(refusals: &BTreeSet<String>, code: &str) -> Not {
    let byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if code.len() > 64 || !code.bytes().all(byte) {
        return Not::Known(Cause::UnlistedCode("MALFORMED_CODE".to_owned()));
    }
    let text = code.to_owned();
    if refusals.contains(code) {
        Not::Rejected(Rejection {
            kind: RejectionKind::Refused,
            code: text,
        })
    } else if code == OTHER_ERROR {
        Not::Known(Cause::ProviderUnsure(text))
    } else {
        Not::Known(Cause::UnlistedCode(text))
    }
}

fn differs(read: &Json, field: &'static str, ours: &str) -> Read<()> {
    match read.word(field) {
        Some(theirs) if theirs != ours => Err(Not::Ours(field)),
        _ => Ok(()),
    }
}

fn name(read: &Json, field: &str) -> Option<RemoteId> {
    read.word(field).as_deref().and_then(RemoteId::parse)
}

/// A voucher with everything that two looks compare; its times may be missing.
fn voucher(read: &Json) -> Read<RemoteVoucher> {
    let status = read.word("status").unwrap_or_default();
    let known = STATUSES.iter().find(|(word, _)| *word == status);
    Ok(RemoteVoucher {
        id: name(read, "redPaperId").ok_or(UNPARSABLE)?,
        product: name(read, "redPaperProductId").ok_or(UNPARSABLE)?,
        sum: read.whole("sum").map(Fen).ok_or(UNPARSABLE)?,
        start: read.word("startTime").as_deref().and_then(time),
        end: read.word("endTime").as_deref().and_then(time),
        status: known.map_or(RemoteStatus::Other, |(_, status)| *status),
    })
}

/// `yyyy-MM-dd HH:mm:ss` in Beijing, where 24:00:00 is the next midnight.
fn time(text: &str) -> Option<Timestamp> {
    const DAY: Duration = Duration::from_secs(86_400);
    match text.strip_suffix(" 24:00:00") {
        Some(day) => {
            Timestamp::parse_beijing(&format!("{day} 00:00:00")).map(|start| start.plus(DAY))
        }
        None => Timestamp::parse_beijing(text),
    }
}
