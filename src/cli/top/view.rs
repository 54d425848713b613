//! What was seen of a server, and how it moved between two looks.

use std::collections::VecDeque;
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
            self.spent.push_back(per_second(out(&now) - out(before)));
            self.answered =
                per_second(issued(&now) - issued(before) + under_way(before) - under_way(&now));
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

/// What went out of all campaigns that are shown.
fn out(seen: &pb::GetOverviewResponse) -> i64 {
    let budgets = seen.campaigns.iter().filter_map(|c| c.budget.as_ref());
    budgets
        .map(|b| b.transit_fen.saturating_add(b.paid_fen))
        .sum()
}

fn issued(seen: &pb::GetOverviewResponse) -> i64 {
    seen.campaigns.iter().map(|c| c.issued_count).sum()
}

fn under_way(seen: &pb::GetOverviewResponse) -> i64 {
    let open = seen.campaigns.iter().filter_map(|c| c.open.as_ref());
    open.map(|open| open.queued_count + open.sending_count + open.unknown_count)
        .sum()
}
