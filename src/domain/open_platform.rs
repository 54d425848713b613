//! The open platform of seed 003 (兑换系统开放接口): what its numbers prove, and its money.
//!
//! Two tables, as data: the status of a reply, and the state of an order. Sources: S is the
//! platform's page of response statuses, O that of order states, both as
//! `reference/wechat-pay.md` §6 quotes them.
//!
//! A status 0 says that an order was stored and nothing about money: it is
//! [`SendOutcome::Taken`], not [`SendOutcome::Accepted`], which means that the recipient can take it.

use RejectionKind::{Balance, Configuration, Refused};
use Verdict::{Missing, Rejected, Unsure};

use super::Fen;
use super::outcome::{Cause, ProviderState, QueryOutcome, Rejection, RejectionKind, SendOutcome};
use super::text::{Appid, Code, MchBillno, Mobile, Openid};

/// Digits of yuan before the point: up to 9,999,999,999,999 yuan, so fen fit many times.
const YUAN_DIGITS: usize = 13;
/// Digits after the point: the two of fen, and zeros as databases append them.
const FRACTION_DIGITS: usize = 12;

/// The merchant's order number (`bizCode`): 1 to 64 of `[0-9A-Za-z_-]`; no page says more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BizCode(String);

impl BizCode {
    /// The number, if it keeps the rule above.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let shaped = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let fits = (1..=64).contains(&raw.len()) && raw.bytes().all(shaped);
        fits.then(|| Self(raw.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&MchBillno> for BizCode {
    /// Every order number of ours is one: 28 letters and digits.
    fn from(number: &MchBillno) -> Self {
        Self(number.as_str().to_owned())
    }
}

/// The platform's order number (`orderCode`): 1 to 64 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrderCode(String);

impl OrderCode {
    /// The number, if it keeps the rule above.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let fits = (1..=64).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(raw.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A red packet to be ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Our number. A number is an order: the platform takes it once, whatever else is said.
    pub biz_code: BizCode,
    /// The recipient.
    pub openid: Openid,
    /// The app that knows the recipient by this openid; none: what the platform has set.
    pub appid: Option<Appid>,
    /// The recipient's mobile number.
    pub mobile: Option<Mobile>,
    /// The face value, more than nothing.
    pub face: Fen,
    /// The platform's template; none: the account's.
    pub template_id: Option<Code>,
    /// Where the platform reports to; none: the account's, or what the platform has set.
    pub callback_url: Option<String>,
}

/// A question about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// By which number.
    pub by: By,
    /// The face value that it should have, where that is known.
    pub face: Option<Fen>,
}

/// By which number is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Ours.
    BizCode(BizCode),
    /// The platform's.
    OrderCode(OrderCode),
}

/// What a reply proves, with what it says beside that. The price is what the platform charges,
/// with its fee or discount: never the face value, and no proof of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced<T> {
    /// What it proves.
    pub outcome: T,
    /// Our number, if a success names it: of use to whoever asked by the platform's.
    pub biz_code: Option<BizCode>,
    /// The platform's number, if a success names it.
    pub order_code: Option<OrderCode>,
    /// What the order costs (`settlementPrice`), if a success says it, rounded up to whole fen:
    /// a discount of 1.5 % on 1.01 yuan ends in the middle of one.
    pub price: Option<Fen>,
}

/// What the platform may charge for a packet, in basis points of its face value, as the contract
/// with it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceRule {
    /// The least, 0 to `max_bp`. Less is a mistake of somebody's, too.
    pub min_bp: i64,
    /// The most, up to 20,000: twice the face value.
    pub max_bp: i64,
}

impl PriceRule {
    /// The face value, no more and no less.
    pub const FACE: Self = Self {
        min_bp: 10_000,
        max_bp: 10_000,
    };

    /// The rule, if it is one.
    #[must_use]
    pub fn new(min_bp: i64, max_bp: i64) -> Option<Self> {
        let fits = 0 <= min_bp && min_bp <= max_bp && max_bp <= 20_000;
        fits.then_some(Self { min_bp, max_bp })
    }

    /// Whether a price is within it. Prices are whole fen, so each bound is rounded away from
    /// the other one.
    #[must_use]
    pub fn allows(self, face: Fen, price: Fen) -> bool {
        let share = |bp: i64| i128::from(face.0) * i128::from(bp);
        let low = share(self.min_bp).div_euclid(10_000);
        let high = share(self.max_bp) + 9_999;
        (low..=high.div_euclid(10_000)).contains(&i128::from(price.0))
    }
}

impl<T> Priced<T> {
    /// An outcome that says nothing more.
    #[must_use]
    pub fn bare(outcome: T) -> Self {
        Self {
            outcome,
            biz_code: None,
            order_code: None,
            price: None,
        }
    }

    /// The same beside another outcome.
    #[must_use]
    pub fn with<U>(self, outcome: U) -> Priced<U> {
        Priced {
            outcome,
            biz_code: self.biz_code,
            order_code: self.order_code,
            price: self.price,
        }
    }
}

/// What a status other than 0 proves of a request to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It was refused.
    Rejected(RejectionKind),
    /// Something does not exist: what the order names, or the order that is asked about.
    Missing,
    /// Nothing: only a query tells.
    Unsure,
}

/// The status, what it proves, and why.
const STATUSES: [(i64, Verdict, &str); 13] = [
    (1, Unsure, "S: failed; generic, so a query has to agree"),
    (2, Rejected(Configuration), "S: wrong signature"),
    (3, Rejected(Refused), "S: a parameter is wrong or missing"),
    (4, Rejected(Configuration), "S: no such interface"),
    (
        5,
        Unsure,
        "S: the request took too long; confirm by a query",
    ),
    (6, Unsure, "S: the nonce was used; confirm by a query"),
    (7, Missing, "S: no such resource"),
    (
        8,
        Unsure,
        "S: the bizCode was used, maybe by us; confirm by a query",
    ),
    (9, Rejected(Balance), "S: the balance is too low"),
    (
        10,
        Rejected(Configuration),
        "S: the IP address is not allowed",
    ),
    (11, Rejected(Balance), "S: the stock is too low"),
    (98, Unsure, "S: the order is abnormal; confirm by a query"),
    (99, Unsure, "S: the data is abnormal; confirm by a query"),
];

/// The state of an order, and the same in common words (O). A success ends it: the platform does
/// not report whether the recipient took the packet.
const STATES: [(i64, ProviderState); 5] = [
    (0, ProviderState::Sending),
    (1, ProviderState::Sending),
    (2, ProviderState::Sent),
    (3, ProviderState::Failed),
    (4, ProviderState::Failed),
];

/// What an order's state is in common words, if it is listed.
#[must_use]
pub fn state(number: i64) -> Option<ProviderState> {
    let found = STATES.iter().find(|(known, _)| *known == number);
    found.map(|(_, state)| *state)
}

/// The word for a number in rows, logs and metrics: `STATUS_8`. Numbers of more than four digits
/// or less than 0 share one word, so that a reply cannot make up words without end.
#[must_use]
pub fn code(what: &str, number: i64) -> String {
    match number {
        0..=9_999 => format!("{what}_{number}"),
        _ => format!("{what}_OTHER"),
    }
}

/// What a status proves of an order. Of 0 that it was stored, if the reply is whole; number and
/// price stand beside it.
#[must_use]
pub fn after_order(status: i64) -> SendOutcome {
    match said(status) {
        Said::Stored => SendOutcome::Taken {
            provider_order_no: String::new(),
            cost: None,
        },
        Said::Rejected(kind) => SendOutcome::Rejected(rejection(kind, status)),
        Said::Missing => SendOutcome::Rejected(rejection(Refused, status)),
        Said::Nothing(cause) => SendOutcome::Unknown(cause),
    }
}

/// What a status proves of an order that was asked about. Of 0 nothing without the state that
/// comes with it: [`Cause::Unparsable`].
#[must_use]
pub fn after_question(status: i64) -> QueryOutcome {
    match said(status) {
        Said::Stored => QueryOutcome::Unknown(Cause::Unparsable),
        Said::Rejected(kind) => QueryOutcome::Rejected(rejection(kind, status)),
        Said::Missing => QueryOutcome::NotFound,
        Said::Nothing(cause) => QueryOutcome::Unknown(cause),
    }
}

/// A status in the words that both calls share.
enum Said {
    Stored,
    Rejected(RejectionKind),
    Missing,
    Nothing(Cause),
}

fn said(status: i64) -> Said {
    if status == 0 {
        return Said::Stored;
    }
    let word = code("STATUS", status);
    let found = STATUSES.iter().find(|(known, _, _)| *known == status);
    match found.map(|(_, verdict, _)| *verdict) {
        Some(Rejected(kind)) => Said::Rejected(kind),
        Some(Missing) => Said::Missing,
        Some(Unsure) => Said::Nothing(Cause::ProviderUnsure(word)),
        None => Said::Nothing(Cause::UnlistedCode(word)),
    }
}

fn rejection(kind: RejectionKind, status: i64) -> Rejection {
    Rejection {
        kind,
        code: code("STATUS", status),
    }
}

/// An amount as the decimal text of a JSON number of yuan, without zeros at its end: `175`,
/// `1.5`, `0.01`.
#[must_use]
pub fn yuan(amount: Fen) -> String {
    let sign = if amount.0 < 0 { "-" } else { "" };
    let fen = amount.0.unsigned_abs();
    let (whole, rest) = (fen / 100, fen % 100);
    match rest {
        0 => format!("{sign}{whole}"),
        _ if rest % 10 == 0 => format!("{sign}{whole}.{}", rest / 10),
        _ => format!("{sign}{whole}.{rest:02}"),
    }
}

/// The amount that the decimal text of a number of yuan stands for, exactly: digits, and after a
/// point as many as there are, of which only the first two may be other than zero. None for what
/// is negative, has an exponent, is finer than a fen or has more than 13 digits before the point.
#[must_use]
pub fn fen(text: &str) -> Option<Fen> {
    let (whole, finer) = digits(text)?;
    (!finer).then_some(whole)
}

/// A price: as [`fen`], but what is finer than a fen is rounded up to the next.
#[must_use]
pub fn price(text: &str) -> Option<Fen> {
    let (whole, finer) = digits(text)?;
    whole.0.checked_add(i64::from(finer)).map(Fen)
}

/// The whole fen of a decimal text of yuan, and whether there is more.
fn digits(text: &str) -> Option<(Fen, bool)> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let plain = digits(whole) && digits(fraction);
    let leads = whole.len() > 1 && whole.starts_with('0');
    let fits = (1..=YUAN_DIGITS).contains(&whole.len()) && fraction.len() <= FRACTION_DIGITS;
    if !plain || leads || !fits {
        return None;
    }
    let mut cents = fraction.chars().chain("00".chars());
    let two: String = cents.by_ref().take(2).collect();
    let finer = cents.any(|digit| digit != '0');
    Some((format!("{whole}{two}").parse().ok().map(Fen)?, finer))
}

#[cfg(test)]
mod tests;
