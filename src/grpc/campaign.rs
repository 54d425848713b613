//! CampaignService.

use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::{body, call};
use super::parse::Fields;
use super::pb::campaign_service_server::CampaignService;
use super::server::Backend;
use super::{convert, page, pb, status};
use crate::domain::amount::{AmountRule, AmountType};
use crate::domain::campaign::{CampaignKind, Verb};
use crate::domain::id::{AccountId, CampaignId, ShopId};
use crate::domain::ledger::Posting;
use crate::domain::money::BUDGET_MAX;
use crate::domain::text::{Appid, Code, Texts};
use crate::domain::{Fen, Reason, Result};
use crate::store::Call;
use crate::store::campaign::{Campaign, Draft, Update, Written};

/// Stock of a campaign at most.
const STOCK_MAX: i64 = 1_000_000_000;

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
            campaign: Some(render(&done.row)),
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
            campaign: Some(render(&found)),
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
            campaign: Some(render(&done.row)),
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
            campaign: Some(render(&done.row)),
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
            campaign: Some(render(&done.row)),
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
            campaign: Some(render(&done.row)),
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
            campaign: Some(render(&done.row)),
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
            campaign: Some(render(&done.row)),
            replayed: done.replayed,
        }))
    }

    async fn get_campaign_stats(
        &self,
        request: Request<pb::GetCampaignStatsRequest>,
    ) -> Result<Response<pb::GetCampaignStatsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let (shop, id) =
            which(&caller, asked.shop_id, asked.campaign_id).map_err(status::status)?;
        let (found, stats) = self
            .store
            .campaign_stats(shop, id)
            .await
            .map_err(status::status)?;
        let states = stats
            .into_iter()
            .map(|(state, tally)| pb::CampaignStateStats {
                state: convert::state(state),
                issuance_count: tally.count,
                amount_fen: tally.sum.0,
            });
        Ok(Response::new(pb::GetCampaignStatsResponse {
            states: states.collect(),
            budget: Some(budget(&found)),
        }))
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
    let done = backend.store.turn_campaign(call, shop, id, verb).await?;
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
    backend.store.move_money(call, shop, id, posting).await
}

async fn create(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateCampaignRequest,
) -> Result<Written<Campaign>> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let body = body!(CreateCampaignRequest, r, request_id, validate_only, shop_id);
    let call = call(
        &mut fields,
        caller,
        "CreateCampaign",
        Some(shop),
        &r.request_id,
        r.validate_only,
        &body,
    );
    let draft = parse_draft(&mut fields, shop, r);
    let (call, draft) = fields.finish(call.zip(draft))?;
    backend.store.create_campaign(call, draft).await
}

fn parse_draft(fields: &mut Fields, shop: ShopId, r: &pb::CreateCampaignRequest) -> Option<Draft> {
    let code = fields.name(
        &r.code,
        "code",
        Code::parse,
        Reason::IdInvalid,
        "1 to 64 characters of [A-Za-z0-9_.:-]",
    );
    let kind = if r.kind == 0 {
        Some(CampaignKind::Named)
    } else {
        fields.choice(r.kind, "kind", convert::parse_campaign_kind)
    };
    let amount = parse_amount(fields, r.amount.as_ref(), kind);
    let texts = fields.texts(r.texts.as_ref(), "texts");
    let account = fields.id(r.account_id, "account_id", AccountId::parse);
    let appid = if r.appid.is_empty() {
        Some(None)
    } else {
        fields
            .name(
                &r.appid,
                "appid",
                Appid::parse,
                Reason::AppidInvalid,
                "1 to 32 characters of [A-Za-z0-9_-]",
            )
            .map(Some)
    };
    let start = fields.time(r.start_time.as_ref(), "start_time");
    let end = fields.time(r.end_time.as_ref(), "end_time");
    if let (Some(Some(start)), Some(Some(end))) = (start, end)
        && end <= start
    {
        fields.bad(
            "end_time",
            Reason::TimeRangeInvalid,
            "must be after start_time",
        );
    }
    let stock = fields.within(r.stock_count, "stock_count", 0, STOCK_MAX);
    Some(Draft {
        shop,
        code: code?,
        kind: kind?,
        amount: amount?,
        texts: texts?,
        account: account?,
        appid: appid?,
        start: start?,
        end: end?,
        stock: Some(stock?).filter(|count| *count > 0),
    })
}

fn parse_amount(
    fields: &mut Fields,
    raw: Option<&pb::AmountRule>,
    kind: Option<CampaignKind>,
) -> Option<AmountRule> {
    let Some(raw) = raw else {
        fields.bad(
            "amount",
            Reason::FieldRequired,
            "required: type, min_fen and max_fen",
        );
        return None;
    };
    let amount_type = fields.choice(raw.r#type, "amount.type", convert::parse_amount_type);
    let min = fields.amount(raw.min_fen, "amount.min_fen");
    let max = fields.amount(raw.max_fen, "amount.max_fen");
    let (amount_type, min, max) = (amount_type?, min?, max?);
    let fits = match kind? {
        CampaignKind::Direct => amount_type == AmountType::CallerSet,
        CampaignKind::Named => amount_type != AmountType::CallerSet,
    };
    if !fits {
        fields.bad(
            "amount.type",
            Reason::FieldNotAllowed,
            "CALLER_SET belongs to DIRECT campaigns, and to no others",
        );
    }
    let rule = AmountRule::new(amount_type, min, max);
    fields.take(
        rule,
        "amount.max_fen",
        Reason::AmountOutOfRange,
        "must be at least min_fen, and equal to it where the amount is FIXED",
    )
}

async fn update(
    backend: &Backend,
    caller: &Caller,
    r: &pb::UpdateCampaignRequest,
) -> Result<Written<Campaign>> {
    let mut fields = Fields::default();
    let body = body!(UpdateCampaignRequest, r, request_id, validate_only, shop_id);
    let write = Write {
        method: "UpdateCampaign",
        shop_id: r.shop_id,
        request_id: &r.request_id,
        validate_only: r.validate_only,
        campaign_id: r.campaign_id,
    };
    let (shop, parsed) = write.parse(&mut fields, caller, &body)?;
    let update = parse_update(&mut fields, r);
    let ((call, id), update) = fields.finish(parsed.zip(update))?;
    backend.store.update_campaign(call, shop, id, update).await
}

fn parse_update(fields: &mut Fields, r: &pb::UpdateCampaignRequest) -> Option<Update> {
    let mut update = Update::default();
    let paths = r
        .update_mask
        .as_ref()
        .map(|mask| mask.paths.as_slice())
        .unwrap_or_default();
    if paths.is_empty() {
        fields.bad(
            "update_mask",
            Reason::FieldRequired,
            "name what is to change: texts, start_time, end_time, stock_count",
        );
    }
    for path in paths {
        match path.as_str() {
            "texts" => update.texts = fields.texts(r.texts.as_ref(), "texts"),
            "start_time" => {
                let start = fields.time(r.start_time.as_ref(), "start_time");
                if start == Some(None) {
                    fields.bad(
                        "start_time",
                        Reason::TimeRangeInvalid,
                        "required, since the mask names it",
                    );
                }
                update.start = start.flatten();
            }
            "end_time" => update.end = fields.time(r.end_time.as_ref(), "end_time"),
            "stock_count" => {
                let stock = fields.within(r.stock_count, "stock_count", 0, STOCK_MAX);
                update.stock = stock.map(|count| Some(count).filter(|count| *count > 0));
            }
            other => fields.bad(
                "update_mask",
                Reason::UpdateMaskInvalid,
                format!("{other:?} is not one of: texts, start_time, end_time, stock_count"),
            ),
        }
    }
    if !r.etag.is_empty() {
        update.version = fields.take(
            r.etag.parse().ok(),
            "etag",
            Reason::IdInvalid,
            "not an etag of a campaign",
        );
    }
    Some(update)
}

async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListCampaignsRequest,
) -> Result<pb::ListCampaignsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let scope = format!("campaigns of {shop}");
    let mut fields = Fields::default();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, scope.as_bytes());
    let page = fields.finish(page)?;
    let found = backend.store.campaigns(shop, page).await?;
    let next_page_token = page::next(&found, page, scope.as_bytes(), |c| c.row.id.0);
    Ok(pb::ListCampaignsResponse {
        campaigns: found.iter().map(render).collect(),
        next_page_token,
    })
}

fn render(campaign: &Campaign) -> pb::Campaign {
    let row = &campaign.row;
    pb::Campaign {
        campaign_id: row.id.0,
        shop_id: row.shop_id.0,
        code: row.code.to_string(),
        kind: convert::campaign_kind(row.kind),
        state: convert::campaign_state(row.state),
        amount: Some(pb::AmountRule {
            r#type: convert::amount_type(row.amount_type),
            min_fen: row.min_amount_fen.0,
            max_fen: row.max_amount_fen.0,
        }),
        texts: Some(render_texts(&campaign.texts)),
        revision: row.revision,
        account_id: row.account_id.0,
        appid: row.appid.to_string(),
        start_time: convert::time(row.start_time),
        end_time: convert::optional_time(row.end_time),
        stock_count: row.stock_count.unwrap_or(0),
        issued_count: row.issued_count,
        budget: Some(budget(campaign)),
        etag: row.version.to_string(),
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
    }
}

fn render_texts(texts: &Texts) -> pb::RedPacketTexts {
    pb::RedPacketTexts {
        send_name: texts.send_name.clone(),
        act_name: texts.act_name.clone(),
        wishing: texts.wishing.clone(),
        remark: texts.remark.clone(),
        scene_id: texts
            .scene_id
            .map(|scene| scene.code().to_owned())
            .unwrap_or_default(),
    }
}

fn budget(campaign: &Campaign) -> pb::Budget {
    let row = &campaign.row;
    pb::Budget {
        granted_fen: row.granted_fen.0,
        defunded_fen: row.defunded_fen.0,
        available_fen: row.available().0,
        held_fen: row.held().0,
        transit_fen: row.transit_fen.0,
        paid_fen: row.paid_fen.0,
    }
}
