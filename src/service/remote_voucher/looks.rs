//! Reading a whole list, page by page, or admitting that it could not be read.

use super::{RemoteVoucher, Spoken};
use crate::clock;
use crate::domain::outcome::Rejection;
use crate::domain::remote_voucher::{ListOutcome, Page, PageQuery, Pair, RemoteId, Word};
use crate::domain::text::Mobile;
use crate::provider::{Said, VoucherPlatform};

/// Vouchers on a page that is asked for; a platform may give fewer.
const PAGE_SIZE: u32 = 100;
/// Pages of a list at most; nobody has as many vouchers of one product.
const PAGES_MAX: u32 = 50;

/// Whose vouchers to look at.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// The person.
    pub mobile: &'a Mobile,
    /// Of which products; none: of all.
    pub products: &'a [RemoteId],
}

impl<'a> Whose<'a> {
    /// Those of a pair.
    #[must_use]
    pub fn pair(pair: &'a Pair) -> Self {
        Self {
            mobile: &pair.mobile,
            products: std::slice::from_ref(&pair.product),
        }
    }
}

/// A look at a person's vouchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// All of them.
    Whole(Vec<RemoteVoucher>),
    /// Not all, or not surely: a short stable word says why.
    Unclear(String),
}

impl Look {
    /// The vouchers, if they are all there.
    #[must_use]
    pub fn vouchers(&self) -> Option<&[RemoteVoucher]> {
        match self {
            Self::Whole(vouchers) => Some(vouchers),
            Self::Unclear(_) => None,
        }
    }
}

/// Every page, from the first on. What is said to be empty is asked for twice: seed 002 says
/// so with the code of any other error, and doubt is resolved by what was there before.
pub(super) async fn whole(
    platform: &impl VoucherPlatform,
    whose: Whose<'_>,
    said: &mut Vec<Spoken>,
) -> Look {
    let first = pages(platform, whose, said).await;
    if first != Look::Whole(Vec::new()) {
        return first;
    }
    let second = pages(platform, whose, said).await;
    match second.vouchers() {
        Some(some) if !some.is_empty() => Look::Unclear("LIST_CHANGED".to_owned()),
        _ => second,
    }
}

/// A list that changes while it is read is not whole: a voucher may have slipped from one
/// page to another.
async fn pages(platform: &impl VoucherPlatform, whose: Whose<'_>, said: &mut Vec<Spoken>) -> Look {
    let unclear = |code: &str| Look::Unclear(code.to_owned());
    let mut vouchers = Vec::new();
    let mut total = None;
    for page in 1..=PAGES_MAX {
        let query = PageQuery {
            mobile: whose.mobile.clone(),
            products: whose.products.to_vec(),
            page,
            size: PAGE_SIZE,
        };
        let answer = platform.list(&query).await;
        let outcome = answer.outcome.clone();
        said.push(spoken(answer));
        let listed = match outcome {
            ListOutcome::Listed(listed) => listed,
            ListOutcome::Rejected(Rejection { code, .. }) => return Look::Unclear(code),
            ListOutcome::Unknown(cause) => return Look::Unclear(cause.code()),
            ListOutcome::Mismatch { .. } => return unclear("LIST_OF_ANOTHER"),
        };
        if total.is_some_and(|total| total != listed.total) {
            return unclear("LIST_CHANGED");
        }
        total = Some(listed.total);
        let Page {
            vouchers: more,
            total,
        } = listed;
        let came = !more.is_empty();
        vouchers.extend(more);
        let have = u64::try_from(vouchers.len()).unwrap_or(u64::MAX);
        match have.cmp(&total) {
            std::cmp::Ordering::Equal if repeats(&vouchers) => return unclear("LIST_REPEATS"),
            std::cmp::Ordering::Equal => return Look::Whole(vouchers),
            std::cmp::Ordering::Greater => return unclear("LIST_TOO_LONG"),
            std::cmp::Ordering::Less if !came => return unclear("LIST_TOO_SHORT"),
            std::cmp::Ordering::Less => {}
        }
    }
    unclear("LIST_TOO_LONG")
}

/// Whether a voucher is there twice: a platform that gives the same page again and again
/// would otherwise seem to have given its list.
fn repeats(vouchers: &[RemoteVoucher]) -> bool {
    let mut held: Vec<_> = vouchers.iter().map(|v| (&v.id, v.sum)).collect();
    held.sort();
    held.windows(2).any(|pair| pair.first() == pair.get(1))
}

/// An exchange as it is recorded.
pub(super) fn spoken<T: Word>(said: Said<T>) -> Spoken {
    Spoken {
        call: said.call,
        request: said.request,
        response: said.response,
        http_status: said.http_status,
        duration: said.duration,
        ended: clock::monotonic(),
        outcome: said.outcome.word(),
    }
}
