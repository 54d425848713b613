//! What was seen of a server, and how it moved between two looks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::grpc::pb;

/// Looks that the curve remembers.
const REMEMBERED: usize = 120;

/// What was seen.
#[derive(Debug)]
pub(in crate::cli) struct View {
    server: String,
    seen: Option<(pb::GetOverviewResponse, Instant)>,
    error: Option<String>,
    /// Fen that went out a second, look by look.
    spent: VecDeque<u64>,
    /// Packets that got an answer a second.
    answered: u64,
}

impl View {
    /// Nothing yet, of a server.
    pub(in crate::cli) fn new(server: String) -> Self {
        Self {
            server,
            seen: None,
            error: None,
            spent: VecDeque::new(),
            answered: 0,
        }
    }

    /// The server was seen like this.
    pub(in crate::cli) fn saw(&mut self, now: pb::GetOverviewResponse, at: Instant) {
        if let Some((before, since)) = &self.seen {
            let micros = at.duration_since(*since).as_micros().max(1);
            let per_second = |more: i64| {
                let more = u128::try_from(more).unwrap_or(0);
                u64::try_from(more * 1_000_000 / micros).unwrap_or(u64::MAX)
            };
            if self.spent.len() == REMEMBERED {
                self.spent.pop_front();
            }
            let (sent, answered) = moved(before, &now);
            self.spent.push_back(per_second(sent));
            self.answered = per_second(answered);
        }
        self.seen = Some((now, at));
        self.error = None;
    }

    /// It could not be seen.
    pub(in crate::cli) fn missed(&mut self, why: String) {
        self.error = Some(why);
    }

    pub(in crate::cli) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub(super) fn server(&self) -> &str {
        &self.server
    }

    pub(super) fn seen(&self) -> Option<&pb::GetOverviewResponse> {
        self.seen.as_ref().map(|(seen, _)| seen)
    }

    pub(super) fn spent(&self) -> Vec<u64> {
        self.spent.iter().copied().collect()
    }

    pub(super) fn spent_now(&self) -> u64 {
        self.spent.back().copied().unwrap_or(0)
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered
    }
}

/// Fen that went out and packets that got an answer between two looks, by the campaigns
/// that were seen at both: one that comes into sight brings all that it ever paid.
fn moved(before: &pb::GetOverviewResponse, now: &pb::GetOverviewResponse) -> (i64, i64) {
    let earlier: BTreeMap<i64, &pb::CampaignOverview> = before
        .campaigns
        .iter()
        .map(|c| (c.campaign_id, c))
        .collect();
    let both = now
        .campaigns
        .iter()
        .filter_map(|c| Some((*earlier.get(&c.campaign_id)?, c)));
    both.fold((0, 0), |(sent, answered), (then, now)| {
        (
            sent + out(now) - out(then),
            answered + reached(now) - reached(then),
        )
    })
}

/// What went out of a campaign.
fn out(campaign: &pb::CampaignOverview) -> i64 {
    let budget = campaign.budget.unwrap_or_default();
    budget.transit_fen.saturating_add(budget.paid_fen)
}

/// Packets of a campaign that got an answer.
fn reached(campaign: &pb::CampaignOverview) -> i64 {
    let open = campaign.open.unwrap_or_default();
    campaign.issued_count - open.queued_count - open.sending_count - open.unknown_count
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(paid: &[(i64, i64)]) -> pb::GetOverviewResponse {
        let campaigns = paid.iter().map(|&(campaign_id, paid_fen)| {
            let budget = pb::Budget {
                paid_fen,
                ..Default::default()
            };
            pb::CampaignOverview {
                campaign_id,
                budget: Some(budget),
                issued_count: paid_fen / 100,
                ..Default::default()
            }
        });
        pb::GetOverviewResponse {
            campaigns: campaigns.collect(),
            ..Default::default()
        }
    }

    fn rates(before: &[(i64, i64)], now: &[(i64, i64)]) -> (u64, u64) {
        let mut view = View::new("x".to_owned());
        let at = crate::clock::monotonic();
        view.saw(seen(before), at);
        view.saw(seen(now), at + Duration::from_secs(1));
        (view.spent_now(), view.answered())
    }

    #[test]
    fn a_campaign_that_comes_into_sight_is_no_spending() {
        let came = rates(&[(1, 100), (2, 0)], &[(1, 300), (3, 50_000_000)]);
        assert_eq!(came, (200, 2));
    }

    #[test]
    fn a_campaign_that_goes_out_of_sight_hides_no_spending() {
        assert_eq!(
            rates(&[(1, 100), (2, 50_000_000)], &[(1, 1_100)]),
            (1_000, 10)
        );
    }
}
