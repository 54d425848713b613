//! What a product allows: its validity, its states, its money and its stock.

use serde::{Deserialize, Serialize};

use crate::domain::campaign::CampaignState;
use crate::domain::error::{Error, Reason, Result};
use crate::domain::id::ProductId;
use crate::domain::{Fen, Timestamp};

/// The largest face value.
pub const FACE_MAX: Fen = Fen(100_000_000);
/// Days that a validity can name at most.
pub const DAYS_MAX: i64 = 3_650;
/// Vouchers of one order at most.
pub const PER_ORDER_MAX: i64 = 50;
/// How long a spend can be undone at most, in seconds.
pub const UNDO_MAX: i64 = 31_536_000;

/// How long a voucher is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Validity {
    /// One window for all.
    Window {
        /// Begins then; none: with the gift.
        start: Option<Timestamp>,
        /// Ends then, exclusive.
        end: Timestamp,
    },
    /// Whole days in Beijing from the gift.
    Days {
        /// Begins so many midnights later; 0: at once.
        start_after: i64,
        /// Is valid on so many days.
        valid: i64,
    },
}

impl Validity {
    /// The window of a voucher that is given at an instant; nothing if it would have
    /// ended already.
    #[must_use]
    pub fn window(self, given: Timestamp) -> Option<(Option<Timestamp>, Timestamp)> {
        let (start, end) = match self {
            Self::Window { start, end } => (start.filter(|start| *start > given), end),
            Self::Days { start_after, valid } => {
                let first = given.beijing_day().saturating_add(start_after);
                let start = (start_after > 0).then(|| Timestamp::beijing_midnight(first));
                (
                    start,
                    Timestamp::beijing_midnight(first.saturating_add(valid)),
                )
            }
        };
        (end > given).then_some((start, end))
    }

    /// Its column.
    ///
    /// # Errors
    /// INTERNAL: it is no JSON, which is a bug.
    pub fn to_json(self) -> Result<String> {
        serde_json::to_string(&self).map_err(|e| Error::internal("a validity is no JSON", e))
    }
}

/// What is known of a product when a gift is judged.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Which one.
    pub id: ProductId,
    /// Its state.
    pub state: CampaignState,
    /// Free money.
    pub available: Fen,
    /// How many it may give; none: no bound.
    pub stock: Option<i64>,
    /// How many it gave.
    pub issued: i64,
}

impl Standing {
    /// Why nothing is given now; nothing if it is.
    #[must_use]
    pub fn closed(&self) -> Option<Error> {
        let (reason, text) = match self.state {
            CampaignState::Active => return None,
            CampaignState::Draft => (
                Reason::ProductNotActive,
                "the product is a draft; call FundVoucherProduct and ActivateVoucherProduct first",
            ),
            CampaignState::Paused => (
                Reason::ProductPaused,
                "the product is paused; call ActivateVoucherProduct to go on",
            ),
            CampaignState::Ended => (
                Reason::ProductEnded,
                "the product has ended for ever; nothing more of it is given",
            ),
        };
        let error = Error::new(reason, text.to_owned());
        Some(
            error
                .fact("product_id", self.id)
                .fact("state", self.state.name()),
        )
    }

    /// Why nothing is spent now; nothing if it is.
    #[must_use]
    pub fn unspendable(&self) -> Option<Error> {
        match self.state {
            CampaignState::Active | CampaignState::Ended => None,
            CampaignState::Draft | CampaignState::Paused => self.closed(),
        }
    }

    /// Why this much for so many vouchers may not be taken: BUDGET_EXHAUSTED,
    /// STOCK_EXHAUSTED; nothing if it may.
    #[must_use]
    pub fn affords(&self, sum: Fen, count: i64) -> Vec<Error> {
        let mut refusals = Vec::new();
        if self.available < sum {
            let text = format!(
                "the budget holds {} yuan, {sum} are needed; call FundVoucherProduct",
                self.available
            );
            refusals.push(
                Error::new(Reason::BudgetExhausted, text)
                    .fact("product_id", self.id)
                    .fact("available_fen", self.available.0)
                    .fact("required_fen", sum.0),
            );
        }
        let left = self.stock.map(|stock| stock.saturating_sub(self.issued));
        if let Some(left) = left.filter(|left| *left < count) {
            let text = format!(
                "{left} vouchers are left, {count} are needed; call UpdateVoucherProduct to raise stock_count"
            );
            refusals.push(
                Error::new(Reason::StockExhausted, text)
                    .fact("product_id", self.id)
                    .fact("available_count", left)
                    .fact("required_count", count),
            );
        }
        refusals
    }
}

/// A product that is not there, or that the caller may not see.
#[must_use]
pub fn missing_product(key: &'static str, name: impl std::fmt::Display) -> Error {
    let text = "no such voucher product in this shop, or none that you may see".to_owned();
    Error::new(Reason::ProductNotFound, text).fact(key, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_beijing(text).unwrap()
    }

    #[test]
    fn a_day_is_the_day_of_the_gift() {
        let given = at("2026-11-27 09:30:00");
        let days = |start_after, valid| Validity::Days { start_after, valid }.window(given);
        assert_eq!(days(0, 1), Some((None, at("2026-11-28 00:00:00"))));
        assert_eq!(days(0, 30), Some((None, at("2026-12-27 00:00:00"))));
        assert_eq!(
            days(1, 1),
            Some((Some(at("2026-11-28 00:00:00")), at("2026-11-29 00:00:00")))
        );
    }

    #[test]
    fn a_window_that_is_over_gives_nothing() {
        let window = Validity::Window {
            start: Some(at("2026-01-01 00:00:00")),
            end: at("2026-02-01 00:00:00"),
        };
        assert_eq!(window.window(at("2026-02-01 00:00:00")), None);
        let within = window.window(at("2026-01-15 00:00:00")).unwrap();
        assert_eq!(
            within,
            (None, at("2026-02-01 00:00:00")),
            "it began long ago"
        );
        let before = window.window(at("2025-12-31 00:00:00")).unwrap();
        assert_eq!(before.0, Some(at("2026-01-01 00:00:00")));
    }

    #[test]
    fn what_is_paused_neither_gives_nor_spends() {
        use CampaignState as S;
        let of = |state| Standing {
            id: ProductId(1),
            state,
            available: Fen(100),
            stock: Some(3),
            issued: 2,
        };
        let reason = |error: Option<Error>| error.map(|e| e.reason);
        assert_eq!(
            reason(of(S::Draft).closed()),
            Some(Reason::ProductNotActive)
        );
        assert_eq!(
            reason(of(S::Paused).unspendable()),
            Some(Reason::ProductPaused)
        );
        assert_eq!(reason(of(S::Ended).closed()), Some(Reason::ProductEnded));
        assert_eq!(reason(of(S::Ended).unspendable()), None);
        assert!(of(S::Active).affords(Fen(100), 1).is_empty());
        assert_eq!(of(S::Active).affords(Fen(101), 2).len(), 2);
    }
}
