//! What a reply proves.
//!
//! A status 0 needs the echo of the number that was asked about: another one is a mismatch, none
//! proves nothing. A price that the contract does not allow, or that is no amount, is a mismatch
//! as well, unless nothing is charged because the order failed. All that no table lists is unknown.

use super::HttpReply;
use super::json::{Members, Strange};
use crate::domain::Fen;
use crate::domain::open_platform::{
    self as tables, BizCode, By, OrderCode, PriceRule, Priced, Question, after_order,
    after_question,
};
use crate::domain::outcome::{Cause, ProviderState, QueryOutcome, Report, SendOutcome};
use crate::domain::status_reply::StatusReply;

/// Longer than any field of a reply; what is longer is none of its words.
const FIELD_MAX: usize = 512;

/// Why a reply proves nothing of what was asked.
enum Not {
    Known(Cause),
    Ours(&'static str),
}

impl From<Strange> for Not {
    fn from(_: Strange) -> Self {
        UNPARSABLE
    }
}

const UNPARSABLE: Not = Not::Known(Cause::Unparsable);

type Read<T> = Result<T, Not>;

/// What the price of an order is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bill {
    pub(super) rule: PriceRule,
    pub(super) face: Option<Fen>,
}

impl Bill {
    /// What an order costs, where the reply says so.
    fn read(self, data: &Members<'_>) -> Read<Option<Fen>> {
        let wrong = Not::Ours("settlementPrice");
        let Ok(price) = data.price("settlementPrice") else {
            return Err(wrong);
        };
        match (price, self.face) {
            (Some(price), Some(face)) if !self.rule.allows(face, price) => Err(wrong),
            _ => Ok(price),
        }
    }
}

pub(super) fn order(biz_code: &BizCode, bill: Bill, reply: &HttpReply) -> Priced<SendOutcome> {
    placed(biz_code, bill, reply).unwrap_or_else(|not| {
        Priced::bare(match not {
            Not::Known(cause) => SendOutcome::Unknown(cause),
            Not::Ours(field) => SendOutcome::Mismatch { field },
        })
    })
}

fn placed(biz_code: &BizCode, bill: Bill, reply: &HttpReply) -> Read<Priced<SendOutcome>> {
    let whole = Whole::read(reply)?;
    let outcome = after_order(whole.status);
    match whole.data {
        Some(data) if whole.status == 0 => {
            due(&data, "bizCode", biz_code.as_str())?;
            let told = priced(&data, bill.read(&data)?)?;
            let taken = SendOutcome::Taken {
                provider_order_no: text(told.order_code.as_ref()),
                cost: told.price,
            };
            Ok(told.with(taken))
        }
        None if whole.status == 0 => Err(UNPARSABLE),
        // A refusal that names another order is not ours, whatever it says.
        Some(data) => {
            same(&data, "bizCode", biz_code.as_str())?;
            Ok(Priced::bare(outcome))
        }
        None => Ok(Priced::bare(outcome)),
    }
}

pub(super) fn question(
    question: &Question,
    rule: PriceRule,
    reply: &HttpReply,
) -> Priced<QueryOutcome> {
    told(question, rule, reply).unwrap_or_else(|not| {
        Priced::bare(match not {
            Not::Known(cause) => QueryOutcome::Unknown(cause),
            Not::Ours(field) => QueryOutcome::Mismatch { field },
        })
    })
}

fn told(question: &Question, rule: PriceRule, reply: &HttpReply) -> Read<Priced<QueryOutcome>> {
    let whole = Whole::read(reply)?;
    let (field, number) = match &question.by {
        By::BizCode(code) => ("bizCode", code.as_str()),
        By::OrderCode(code) => ("orderCode", code.as_str()),
    };
    let Some(data) = whole.data else {
        return match whole.status {
            0 => Err(UNPARSABLE),
            status => Ok(Priced::bare(after_question(status))),
        };
    };
    if whole.status != 0 {
        same(&data, field, number)?;
        return Ok(Priced::bare(after_question(whole.status)));
    }
    due(&data, field, number)?;
    // Not every reply says it; one that does is held to it.
    let face = data.yuan("spec")?;
    if question
        .face
        .is_some_and(|ours| face.is_some_and(|theirs| theirs != ours))
    {
        return Err(Not::Ours("spec"));
    }
    let number = data.whole("status")?.ok_or(UNPARSABLE)?;
    let unlisted = || Not::Known(Cause::UnlistedCode(tables::code("STATE", number)));
    let state = tables::state(number).ok_or_else(unlisted)?;
    let bill = Bill {
        rule,
        face: question.face,
    };
    // What failed costs nothing, whatever its price would have been.
    let price = match state == ProviderState::Failed {
        true => None,
        false => bill.read(&data)?,
    };
    let told = priced(&data, price)?;
    let outcome = QueryOutcome::Known(Report {
        state,
        provider_order_no: text(told.order_code.as_ref()),
        reason: String::new(),
        received_at: None,
        refunded_at: None,
        refunded: None,
        receipts: Vec::new(),
        cost: told.price,
    });
    Ok(told.with(outcome))
}

fn text(code: Option<&OrderCode>) -> String {
    code.map_or_else(String::new, |code| code.as_str().to_owned())
}

/// A reply with a status: all that is common to both.
struct Whole<'a> {
    status: i64,
    data: Option<Members<'a>>,
}

impl<'a> Whole<'a> {
    fn read(reply: &'a HttpReply) -> Read<Self> {
        if reply.status != 200 {
            return Err(Not::Known(Cause::HttpStatus(reply.status)));
        }
        let members = Members::read(&reply.body).ok_or(UNPARSABLE)?;
        let status = members.whole("status")?.ok_or(UNPARSABLE)?;
        let data = members.object("data")?;
        Ok(Self { status, data })
    }
}

/// What a success says beside what it proves. A number that was not asked about and does not
/// look like one counts as none.
fn priced(data: &Members<'_>, price: Option<Fen>) -> Result<Priced<()>, Strange> {
    Ok(Priced {
        outcome: (),
        biz_code: data.word("bizCode")?.as_deref().and_then(BizCode::parse),
        order_code: data
            .word("orderCode")?
            .as_deref()
            .and_then(OrderCode::parse),
        price,
    })
}

/// An echo that has to be there.
fn due(data: &Members<'_>, field: &'static str, ours: &str) -> Read<()> {
    match data.word(field)? {
        Some(theirs) if theirs == ours => Ok(()),
        Some(_) => Err(Not::Ours(field)),
        None => Err(UNPARSABLE),
    }
}

/// An echo that is right if it is there.
fn same(data: &Members<'_>, field: &'static str, ours: &str) -> Read<()> {
    match data.word(field)? {
        Some(theirs) if theirs != ours => Err(Not::Ours(field)),
        Some(_) | None => Ok(()),
    }
}

/// A reply in its own words, for people.
pub(super) fn describe(reply: &HttpReply) -> Option<StatusReply> {
    if reply.status != 200 {
        return None;
    }
    let members = Members::read(&reply.body)?;
    let data = members.object("data").ok().flatten();
    let cut = |text: String| text.chars().take(FIELD_MAX).collect::<String>();
    let word = |name: &str| members.word(name).ok().flatten().unwrap_or_default();
    let inner = |name: &str| {
        let word = data
            .as_ref()
            .and_then(|data| data.word(name).ok().flatten());
        word.unwrap_or_default()
    };
    let face: Option<Fen> = data
        .as_ref()
        .and_then(|data| data.yuan("spec").ok().flatten());
    let status = word("status");
    Some(StatusReply {
        return_code: cut(status.clone()),
        return_msg: cut(word("message")),
        err_code: if status == "0" {
            String::new()
        } else {
            cut(status)
        },
        mch_billno: cut(inner("bizCode")),
        detail_id: cut(inner("orderCode")),
        status: cut(inner("status")),
        total_amount: face,
        price: cut(inner("settlementPrice")),
        ..StatusReply::default()
    })
}
