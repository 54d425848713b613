//! What takes two people: which rule demands it, where an approval stands, and what it
//! is good for.

use std::time::Duration;

use sea_orm::{DeriveActiveEnum, EnumIter};

use super::error::{Error, Reason};
use super::id::{ApprovalId, CampaignId, IssuanceId, ShopId};
use super::money::Fen;
use super::time::Timestamp;

/// How long a decision is good for.
pub const GOOD_FOR: Duration = Duration::from_secs(24 * 3_600);

/// What demands a second person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Rule {
    /// A send of more than the campaign leaves to one.
    SendAbove,
    /// Funding of more than the campaign leaves to one.
    FundAbove,
    /// A bound on what one person may do, or a spend plan, is raised or taken away.
    LoosenBound,
    /// A case is closed by hand.
    CloseReview,
    /// A campaign goes on that the money breaker had paused.
    BreakerTripped,
}

impl Rule {
    /// Its name, as in rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SendAbove => "SEND_ABOVE",
            Self::FundAbove => "FUND_ABOVE",
            Self::LoosenBound => "LOOSEN_BOUND",
            Self::CloseReview => "CLOSE_REVIEW",
            Self::BreakerTripped => "BREAKER_TRIPPED",
        }
    }
}

/// Where an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Stage {
    /// A second person has to decide.
    Pending,
    /// Agreed; the call has not been repeated yet.
    Approved,
    /// Refused.
    Rejected,
    /// Agreed, and the call has had its effect.
    Used,
    /// What it was about has ended otherwise.
    Withdrawn,
}

impl Stage {
    /// Its name, as in rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
            Self::Used => "USED",
            Self::Withdrawn => "WITHDRAWN",
        }
    }
}

/// What a call needs a second person for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What demands it.
    pub rule: Rule,
    /// The shop; none for the whole installation.
    pub shop: Option<ShopId>,
    /// The campaign.
    pub campaign: Option<CampaignId>,
    /// The packet.
    pub issuance: Option<IssuanceId>,
    /// How many packets.
    pub count: i64,
    /// How much.
    pub amount: Fen,
    /// The call in words.
    pub summary: String,
}

impl Need {
    /// A need that is about no packets and no money.
    #[must_use]
    pub fn new(rule: Rule, shop: Option<ShopId>, summary: String) -> Self {
        Self {
            rule,
            shop,
            campaign: None,
            issuance: None,
            count: 0,
            amount: Fen::ZERO,
            summary,
        }
    }

    /// Whether what was agreed to covers this: decided lately, for as much.
    #[must_use]
    pub fn is_covered(&self, count: i64, amount: Fen, decided: Timestamp, now: Timestamp) -> bool {
        self.count <= count && self.amount <= amount && now.since(decided) < GOOD_FOR
    }

    /// The refusal of a call that nobody has agreed to. Without an id nothing waits
    /// yet: the call was only tried, or is refused for other reasons as well.
    #[must_use]
    pub fn required(&self, id: Option<ApprovalId>) -> Error {
        let what = match id {
            Some(id) => format!("approval {id} waits for a second person (DecideApproval)"),
            None => "the call itself will ask for a second person".to_owned(),
        };
        let text = format!(
            "{}: this takes two people; {what}; once it is approved, repeat the same call with the same request_id",
            self.summary
        );
        let error = Error::new(Reason::ApprovalRequired, text)
            .fact("rule", self.rule.name())
            .fact("amount_fen", self.amount.0)
            .fact("packet_count", self.count);
        match id {
            Some(id) => error.fact("approval_id", id),
            None => error,
        }
    }
}

/// The refusal of a call that a second person has refused.
#[must_use]
pub fn rejected(id: ApprovalId, decider: &str, reason: &str) -> Error {
    let text = format!("{decider} said no ({reason}); what is asked anew needs a new request_id");
    Error::new(Reason::ApprovalRejected, text)
        .fact("approval_id", id)
        .fact("decider", decider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_covers_as_much_as_was_seen_and_no_more() {
        let need = |count, fen| Need {
            count,
            amount: Fen(fen),
            ..Need::new(Rule::SendAbove, None, String::new())
        };
        let (decided, day) = (Timestamp(1_000), 86_400_000_000);
        let covered = |need: Need, at| need.is_covered(10, Fen(1_000), decided, Timestamp(at));
        assert!(covered(need(10, 1_000), 1_000));
        assert!(covered(need(1, 1), 999 + day));
        assert!(!covered(need(1, 1), 1_000 + day));
        assert!(!covered(need(11, 1_000), 1_000));
        assert!(!covered(need(10, 1_001), 1_000));
    }
}
