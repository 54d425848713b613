//! The installation at a glance.

use super::account::render_breaker;
use super::{Backend, Fields, convert, pb, plan, stop};
use crate::domain::{Result, State};
use crate::grpc::campaign::render_budget;
use crate::store::account::Account;
use crate::store::overview::{CampaignGlance, Open};

const CAMPAIGNS_DEFAULT: u64 = 20;
const CAMPAIGNS_MAX: u64 = 100;

pub(super) async fn get(
    backend: &Backend,
    r: pb::GetOverviewRequest,
) -> Result<pb::GetOverviewResponse> {
    let mut fields = Fields::default();
    let path = "campaign_limit";
    let asked = fields.within(r.campaign_limit.into(), path, 0, i32::MAX.into());
    let limit = match u64::try_from(fields.finish(asked)?).unwrap_or(0) {
        0 => CAMPAIGNS_DEFAULT,
        asked => asked.min(CAMPAIGNS_MAX),
    };
    let store = &backend.store;
    let glance = store.glance(limit).await?;
    let (review_count, review_oldest) = store.reviews_waiting().await?;
    let (approval_count, approval_oldest) = store.approvals_waiting().await?;
    Ok(pb::GetOverviewResponse {
        now: convert::time(store.now().await?),
        campaigns: glance.campaigns.iter().map(campaign).collect(),
        accounts: glance.accounts.iter().map(account).collect(),
        stops: stop::list(backend).await?.stops,
        review_count,
        review_oldest_time: convert::optional_time(review_oldest),
        approval_count,
        approval_oldest_time: convert::optional_time(approval_oldest),
    })
}

fn campaign(glance: &CampaignGlance) -> pb::CampaignOverview {
    let row = &glance.row;
    pb::CampaignOverview {
        campaign_id: row.id.0,
        shop_id: row.shop_id.0,
        code: row.code.to_string(),
        state: convert::campaign_state(row.state),
        budget: Some(render_budget(row)),
        issued_count: row.issued_count,
        open: Some(open(&glance.open)),
        money_breaker: plan::render(glance.breaker.as_ref()),
    }
}

fn account((account, packets): &(Account, Open)) -> pb::AccountOverview {
    let row = &account.row;
    pb::AccountOverview {
        account_id: row.id.0,
        mch_id: row.mch_id.to_string(),
        enabled: row.enabled,
        breaker: Some(render_breaker(row)),
        money_breaker: plan::render(account.breaker.as_ref()),
        open: Some(open(packets)),
        sends_per_second: row.sends_per_second,
        day_used_fen: account.used.sum.0,
        day_fen: row.day_fen.0,
    }
}

fn open(packets: &Open) -> pb::OpenPackets {
    let count = |state| packets.get(&state).copied().unwrap_or(0);
    pb::OpenPackets {
        queued_count: count(State::Queued),
        sending_count: count(State::Sending),
        unknown_count: count(State::Unknown),
        review_count: count(State::Review),
    }
}
