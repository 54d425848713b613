//! What a campaign allows: its states, its window, its budget and its stock.
//!
//! The same conditions stand once more in the UPDATE that takes the money, so a
//! verdict of here that is a moment old cannot overspend; here they get their words.

use sea_orm::{DeriveActiveEnum, EnumIter};

use super::error::{Error, Reason, Result};
use super::id::CampaignId;
use super::money::Fen;
use super::time::Timestamp;

/// Where a campaign stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum CampaignState {
    /// Made, not yet open.
    Draft,
    /// Open within its window.
    Active,
    /// Stopped for a while.
    Paused,
    /// Over for ever.
    Ended,
}

/// What kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum CampaignKind {
    /// An activity.
    Named,
    /// The shop's purse for sends that name no campaign.
    Direct,
}

/// What an operator asks of a campaign's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Open it.
    Activate,
    /// Stop it for a while.
    Pause,
    /// Close it for ever.
    End,
}

impl CampaignState {
    /// Its name, as in the contract without prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Active => "ACTIVE",
            Self::Paused => "PAUSED",
            Self::Ended => "ENDED",
        }
    }

    /// The state that a verb leads to; the state itself if it is there already.
    #[must_use]
    pub fn after(self, verb: Verb) -> Option<Self> {
        match (self, verb) {
            (Self::Draft | Self::Paused | Self::Active, Verb::Activate) => Some(Self::Active),
            (Self::Active | Self::Paused, Verb::Pause) => Some(Self::Paused),
            (_, Verb::End) => Some(Self::Ended),
            (Self::Ended, Verb::Activate | Verb::Pause) | (Self::Draft, Verb::Pause) => None,
        }
    }
}

/// What is known of a campaign when a send is judged.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Which one.
    pub id: CampaignId,
    /// Its state.
    pub state: CampaignState,
    /// Opens then.
    pub start: Timestamp,
    /// Closes then, exclusive.
    pub end: Option<Timestamp>,
    /// Free money.
    pub available: Fen,
    /// How many packets it may have; none: no bound.
    pub stock: Option<i64>,
    /// How many it has.
    pub issued: i64,
}

impl Standing {
    /// Whether packets may be issued now at all.
    ///
    /// # Errors
    /// CAMPAIGN_NOT_ACTIVE, CAMPAIGN_PAUSED, CAMPAIGN_ENDED, CAMPAIGN_NOT_STARTED.
    pub fn open_at(&self, now: Timestamp) -> Result<()> {
        let refuse = |reason, text: &str| {
            Err(Error::new(reason, text.to_owned()).fact("campaign_id", self.id))
        };
        match self.state {
            CampaignState::Draft => {
                return refuse(
                    Reason::CampaignNotActive,
                    "the campaign is a draft; call ActivateCampaign first",
                )
                .map_err(|e| e.fact("state", self.state.name()));
            }
            CampaignState::Paused => {
                return refuse(
                    Reason::CampaignPaused,
                    "the campaign is paused; call ActivateCampaign to go on",
                );
            }
            CampaignState::Ended => {
                return refuse(Reason::CampaignEnded, "the campaign has ended for ever");
            }
            CampaignState::Active => {}
        }
        if now < self.start {
            return refuse(
                Reason::CampaignNotStarted,
                "the window of the campaign has not opened",
            )
            .map_err(|e| e.fact("start_time", self.start));
        }
        if self.end.is_some_and(|end| now >= end) {
            return refuse(
                Reason::CampaignEnded,
                "the window of the campaign has closed; UpdateCampaign can move end_time",
            );
        }
        Ok(())
    }

    /// Why this much for so many packets may not be taken: BUDGET_EXHAUSTED,
    /// STOCK_EXHAUSTED; nothing if it may.
    #[must_use]
    pub fn affords(&self, sum: Fen, count: i64) -> Vec<Error> {
        let mut refusals = Vec::new();
        if self.available < sum {
            let error = Error::new(
                Reason::BudgetExhausted,
                format!(
                    "the budget holds {} yuan, {sum} are needed; call FundCampaign",
                    self.available
                ),
            )
            .fact("campaign_id", self.id)
            .fact("available_fen", self.available.0)
            .fact("required_fen", sum.0);
            refusals.push(error);
        }
        let left = self.stock.map(|stock| stock.saturating_sub(self.issued));
        if let Some(left) = left.filter(|left| *left < count) {
            let text = format!(
                "{left} packets are left, {count} are needed; call UpdateCampaign to raise stock_count"
            );
            let error = Error::new(Reason::StockExhausted, text)
                .fact("campaign_id", self.id)
                .fact("available_count", left)
                .fact("required_count", count);
            refusals.push(error);
        }
        refusals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(state: CampaignState) -> Standing {
        Standing {
            id: CampaignId(1),
            state,
            start: Timestamp(100),
            end: Some(Timestamp(200)),
            available: Fen(1_000),
            stock: Some(10),
            issued: 7,
        }
    }

    fn reason<T>(result: Result<T>) -> Option<Reason> {
        result.err().map(|e| e.reason)
    }

    #[test]
    fn the_window_is_half_open() {
        let open = standing(CampaignState::Active);
        assert_eq!(
            reason(open.open_at(Timestamp(99))),
            Some(Reason::CampaignNotStarted)
        );
        assert_eq!(reason(open.open_at(Timestamp(100))), None);
        assert_eq!(reason(open.open_at(Timestamp(199))), None);
        assert_eq!(
            reason(open.open_at(Timestamp(200))),
            Some(Reason::CampaignEnded)
        );
    }

    #[test]
    fn only_an_active_one_issues() {
        let now = Timestamp(150);
        assert_eq!(
            reason(standing(CampaignState::Draft).open_at(now)),
            Some(Reason::CampaignNotActive)
        );
        assert_eq!(
            reason(standing(CampaignState::Paused).open_at(now)),
            Some(Reason::CampaignPaused)
        );
        assert_eq!(
            reason(standing(CampaignState::Ended).open_at(now)),
            Some(Reason::CampaignEnded)
        );
    }

    #[test]
    fn budget_and_stock_bound_what_is_taken() {
        let open = standing(CampaignState::Active);
        let reasons = |sum, count| -> Vec<Reason> {
            let refusals = open.affords(Fen(sum), count);
            refusals.into_iter().map(|error| error.reason).collect()
        };
        assert_eq!(reasons(1_000, 3), []);
        assert_eq!(reasons(1_001, 1), [Reason::BudgetExhausted]);
        assert_eq!(reasons(1, 4), [Reason::StockExhausted]);
        assert_eq!(
            reasons(1_001, 4),
            [Reason::BudgetExhausted, Reason::StockExhausted]
        );
        let unbounded = Standing {
            stock: None,
            ..open
        };
        assert!(unbounded.affords(Fen(1), 1_000_000).is_empty());
    }

    #[test]
    fn an_ended_campaign_stays_ended() {
        assert_eq!(CampaignState::Ended.after(Verb::Activate), None);
        assert_eq!(CampaignState::Ended.after(Verb::Pause), None);
        assert_eq!(
            CampaignState::Ended.after(Verb::End),
            Some(CampaignState::Ended)
        );
        assert_eq!(CampaignState::Draft.after(Verb::Pause), None);
    }
}
