//! CampaignService.

use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::{body, call, parse_call};
use super::parse::Fields;
use super::pb::campaign_service_server::CampaignService;
use super::server::Backend;
use super::{convert, page, pb, plan, status};
use crate::domain::campaign::Verb;
use crate::domain::cap::Owner;
use crate::domain::id::{CampaignId, ShopId};
use crate::domain::ledger::Posting;
use crate::domain::money::BUDGET_MAX;
use crate::domain::{Fen, Reason, Result};
use crate::store::Call;
use crate::store::audience::ByRecipient;
use crate::store::campaign::{Campaign, Change};
use crate::store::request::Written;

pub(super) mod caps;
mod render;
mod write;

use render::render;
pub(super) use render::{render_budget, render_texts};
use write::{create, update};

#[tonic::async_trait]
impl CampaignService for Backend {
    async fn create_campaign(
        &self,
        request: Request<pb::CreateCampaignRequest>,
    ) -> Result<Response<pb::CreateCampaignResponse>, Status> {
        let caller = Caller::of(&request)?;
        let done = create(self, &caller, &request.into_inner())
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::CreateCampaignResponse {
            campaign: Some(render(&done.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn get_campaign(
        &self,
        request: Request<pb::GetCampaignRequest>,
    ) -> Result<Response<pb::GetCampaignResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let (shop, id) =
            which(&caller, asked.shop_id, asked.campaign_id).map_err(status::status)?;
        let found = self
            .store
            .campaign(shop, id)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::GetCampaignResponse {
            campaign: Some(render(&found).map_err(status::status)?),
        }))
    }

    async fn list_campaigns(
        &self,
        request: Request<pb::ListCampaignsRequest>,
    ) -> Result<Response<pb::ListCampaignsResponse>, Status> {
        let caller = Caller::of(&request)?;
        list(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn update_campaign(
        &self,
        request: Request<pb::UpdateCampaignRequest>,
    ) -> Result<Response<pb::UpdateCampaignResponse>, Status> {
        let caller = Caller::of(&request)?;
        let done = update(self, &caller, &request.into_inner())
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::UpdateCampaignResponse {
            campaign: Some(render(&done.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn activate_campaign(
        &self,
        request: Request<pb::ActivateCampaignRequest>,
    ) -> Result<Response<pb::ActivateCampaignResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(
            ActivateCampaignRequest,
            r,
            request_id,
            validate_only,
            shop_id
        );
        let named = Write {
            method: "ActivateCampaign",
            shop_id: r.shop_id,
            request_id: &r.request_id,
            validate_only: r.validate_only,
            campaign_id: r.campaign_id,
        };
        let done = turn(self, &caller, named, &body, Verb::Activate)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::ActivateCampaignResponse {
            campaign: Some(render(&done.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn pause_campaign(
        &self,
        request: Request<pb::PauseCampaignRequest>,
    ) -> Result<Response<pb::PauseCampaignResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(PauseCampaignRequest, r, request_id, validate_only, shop_id);
        let named = Write {
            method: "PauseCampaign",
            shop_id: r.shop_id,
            request_id: &r.request_id,
            validate_only: r.validate_only,
            campaign_id: r.campaign_id,
        };
        let done = turn(self, &caller, named, &body, Verb::Pause)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::PauseCampaignResponse {
            campaign: Some(render(&done.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn end_campaign(
        &self,
        request: Request<pb::EndCampaignRequest>,
    ) -> Result<Response<pb::EndCampaignResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(EndCampaignRequest, r, request_id, validate_only, shop_id);
        let named = Write {
            method: "EndCampaign",
            shop_id: r.shop_id,
            request_id: &r.request_id,
            validate_only: r.validate_only,
            campaign_id: r.campaign_id,
        };
        let done = turn(self, &caller, named, &body, Verb::End)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::EndCampaignResponse {
            campaign: Some(render(&done.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn fund_campaign(
        &self,
        request: Request<pb::FundCampaignRequest>,
    ) -> Result<Response<pb::FundCampaignResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(FundCampaignRequest, r, request_id, validate_only, shop_id);
        let named = Write {
            method: "FundCampaign",
            shop_id: r.shop_id,
            request_id: &r.request_id,
            validate_only: r.validate_only,
            campaign_id: r.campaign_id,
        };
        let done = pay(self, &caller, named, &body, r.amount_fen, Posting::fund)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::FundCampaignResponse {
            campaign: Some(render(&done.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn defund_campaign(
        &self,
        request: Request<pb::DefundCampaignRequest>,
    ) -> Result<Response<pb::DefundCampaignResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(DefundCampaignRequest, r, request_id, validate_only, shop_id);
        let named = Write {
            method: "DefundCampaign",
            shop_id: r.shop_id,
            request_id: &r.request_id,
            validate_only: r.validate_only,
            campaign_id: r.campaign_id,
        };
        let done = pay(self, &caller, named, &body, r.amount_fen, Posting::defund)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::DefundCampaignResponse {
            campaign: Some(render(&done.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn get_campaign_stats(
        &self,
        request: Request<pb::GetCampaignStatsRequest>,
    ) -> Result<Response<pb::GetCampaignStatsResponse>, Status> {
        let caller = Caller::of(&request)?;
        stats(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }
}

/// What the writes on one campaign have in common.
struct Write<'a> {
    method: &'static str,
    shop_id: i64,
    request_id: &'a str,
    validate_only: bool,
    campaign_id: i64,
}

impl Write<'_> {
    fn parse(
        &self,
        fields: &mut Fields,
        caller: &Caller,
        body: &impl prost::Message,
    ) -> Result<(ShopId, Option<(Call, CampaignId)>)> {
        let shop = caller.shop(self.shop_id)?;
        let call = call(
            fields,
            caller,
            self.method,
            Some(shop),
            self.request_id,
            self.validate_only,
            body,
        );
        let id = fields.id(self.campaign_id, "campaign_id", CampaignId::parse);
        Ok((shop, call.zip(id)))
    }
}

fn which(caller: &Caller, shop_id: i64, campaign_id: i64) -> Result<(ShopId, CampaignId)> {
    let shop = caller.shop(shop_id)?;
    let mut fields = Fields::default();
    let id = fields.id(campaign_id, "campaign_id", CampaignId::parse);
    Ok((shop, fields.finish(id)?))
}

async fn turn(
    backend: &Backend,
    caller: &Caller,
    write: Write<'_>,
    body: &impl prost::Message,
    verb: Verb,
) -> Result<Written<Campaign>> {
    let mut fields = Fields::default();
    let (shop, parsed) = write.parse(&mut fields, caller, body)?;
    let (call, id) = fields.finish(parsed)?;
    let done = backend
        .store
        .change_campaign(call, shop, id, Change::Turn(verb))
        .await?;
    backend.wake.notify_waiters();
    Ok(done)
}

async fn pay(
    backend: &Backend,
    caller: &Caller,
    write: Write<'_>,
    body: &impl prost::Message,
    amount_fen: i64,
    posting: fn(Fen) -> Option<Posting>,
) -> Result<Written<Campaign>> {
    let mut fields = Fields::default();
    let (shop, parsed) = write.parse(&mut fields, caller, body)?;
    let amount = fields.amount(amount_fen, "amount_fen").and_then(|amount| {
        let fits = (amount <= BUDGET_MAX).then_some(amount);
        fields.take(
            fits,
            "amount_fen",
            Reason::AmountOverflow,
            "a budget holds at most 2^62 fen",
        )
    });
    let ((call, id), posting) = fields.finish(parsed.zip(amount.and_then(posting)))?;
    backend
        .store
        .change_campaign(call, shop, id, Change::Move(posting))
        .await
}

async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListCampaignsRequest,
) -> Result<pb::ListCampaignsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let scope = format!("campaigns of {shop} {}", r.keyword);
    let mut fields = Fields::default();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, scope.as_bytes());
    let keyword = fields.keyword(&r.keyword, "keyword");
    let (page, keyword) = fields.finish(page.zip(keyword))?;
    let found = backend
        .store
        .campaigns(shop, keyword.as_ref(), page)
        .await?;
    let next_page_token = page::next(&found, page, scope.as_bytes(), |c| c.row.id.0);
    Ok(pb::ListCampaignsResponse {
        campaigns: found.iter().map(render).collect::<Result<_>>()?,
        next_page_token,
    })
}

async fn stats(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetCampaignStatsRequest,
) -> Result<pb::GetCampaignStatsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let id = fields.id(r.campaign_id, "campaign_id", CampaignId::parse);
    let uid = match r.uid.as_str() {
        "" => Some(None),
        raw => fields.uid(raw, "uid").map(Some),
    };
    let (id, uid) = fields.finish(id.zip(uid))?;
    let (found, stats) = backend.store.campaign_stats(shop, id).await?;
    let recipient = match uid {
        Some(uid) => {
            let shown = backend
                .store
                .recipient(shop, &ByRecipient::Uid(uid))
                .await?;
            Some(shown.row.id)
        }
        None => None,
    };
    let day = backend.store.now().await?.beijing_day();
    let usage = backend
        .store
        .usage(Owner::Campaign(id), day, recipient)
        .await?;
    let caps = found.row.caps()?;
    let states = stats
        .into_iter()
        .map(|(state, tally)| pb::CampaignStateStats {
            state: convert::state(state),
            issuance_count: tally.count,
            amount_fen: tally.sum.0,
        });
    Ok(pb::GetCampaignStatsResponse {
        states: states.collect(),
        budget: Some(render_budget(&found.row)),
        usage: usage.iter().map(|row| caps::usage(&caps, row)).collect(),
    })
}
