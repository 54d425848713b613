//! Group packets: who took how much, and how much came back.
//!
//! Shares must add up: more taken than there was, or an end at which taken and returned
//! are not the whole, is another payment than ours, and a person's business.

use super::xml::Elements;
use super::{Not, Payment, UNPARSABLE, fen};
use crate::domain::outcome::{ProviderState, Receipt};
use crate::domain::text::Openid;
use crate::domain::{Fen, Timestamp};

/// Who took from the packet, and how much came back if it has ended so.
pub(super) fn portions(
    payment: &Payment,
    state: ProviderState,
    elements: &Elements,
) -> Result<(Vec<Receipt>, Option<Fen>), Not> {
    if let Some(theirs) = elements.get("total_num")
        && theirs != payment.total_num.to_string()
    {
        return Err(Not::Ours("total_num"));
    }
    let receipts: Vec<Receipt> = elements
        .list
        .iter()
        .map(receipt)
        .collect::<Result<_, _>>()?;
    let taken = receipts.iter().map(|receipt| receipt.amount);
    let taken = Fen::checked_sum(taken).ok_or(UNPARSABLE)?;
    if taken > payment.amount {
        return Err(Not::Ours("hblist"));
    }
    // The list may be missing; then the state speaks for itself.
    if state == ProviderState::Received && !receipts.is_empty() && taken != payment.amount {
        return Err(Not::Ours("hblist"));
    }
    if state != ProviderState::Refunded {
        return Ok((receipts, None));
    }
    let back = fen(elements.get("refund_amount")).ok_or(UNPARSABLE)?;
    let whole = taken.checked_add(back) == Some(payment.amount);
    // The list may be missing; then the returned amount speaks for itself.
    let alone = receipts.is_empty() && back <= payment.amount;
    if back == Fen::ZERO || !(whole || alone) {
        return Err(Not::Ours("refund_amount"));
    }
    Ok((receipts, Some(back)))
}

fn receipt(entry: &Elements) -> Result<Receipt, Not> {
    let openid = entry.get("openid").and_then(Openid::parse);
    let amount = fen(entry.get("amount")).filter(|amount| *amount > Fen::ZERO);
    Ok(Receipt {
        openid: openid.ok_or(UNPARSABLE)?,
        amount: amount.ok_or(UNPARSABLE)?,
        received_at: entry.get("rcv_time").and_then(Timestamp::parse_beijing),
    })
}
