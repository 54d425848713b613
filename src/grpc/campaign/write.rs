//! Reading what a campaign is to be, or to become.

use super::{Backend, Caller, Fields, Write, body, caps, convert, parse_call, pb, plan};
use crate::domain::amount::{AmountRule, AmountType};
use crate::domain::campaign::CampaignKind;
use crate::domain::id::{AccountId, ShopId};
use crate::domain::money::BUDGET_MAX;
use crate::domain::split::SHARES_MAX;
use crate::domain::text::{Appid, Code};
use crate::domain::{Fen, Reason, Result};
use crate::store::campaign::{Campaign, Change, Draft, Update};
use crate::store::request::Written;

/// Stock of a campaign at most.
const STOCK_MAX: i64 = 1_000_000_000;
const SEND_BOUND: &str = "approve_send_above_fen";
const FUND_BOUND: &str = "approve_fund_above_fen";
/// What a packet costs its caller, in basis points of its face value, unless the campaign says
/// otherwise, and at most.
const SETTLEMENT_FACE: i64 = 10_000;
const SETTLEMENT_MAX: i64 = 20_000;
/// What an update can name.
const PATHS: &str = "texts, start_time, end_time, stock_count, scan_limit, caps, plan, approve_send_above_fen, approve_fund_above_fen";
/// Packets that one person may get by scanning, at most.
const SCAN_LIMIT_MAX: i64 = 1_000;

pub(super) async fn create(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateCampaignRequest,
) -> Result<Written<Campaign>> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CreateCampaign",
        Some(shop),
        r,
        CreateCampaignRequest,
        shop_id
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
    let pot = parse_pot(fields, r.amount.as_ref(), amount, r.stock_count);
    let scan_limit = match r.scan_limit {
        0 => Some(1),
        raw => parse_scan_limit(fields, raw),
    };
    let caps = caps::parse(fields, r.caps.as_ref());
    let send = parse_bound(fields, r.approve_send_above_fen, SEND_BOUND);
    let fund = parse_bound(fields, r.approve_fund_above_fen, FUND_BOUND);
    let plan = plan::parse(fields, r.plan.as_ref());
    let template_id = match r.template_id.as_str() {
        "" => Some(None),
        raw => fields
            .name(
                raw,
                "template_id",
                Code::parse,
                Reason::IdInvalid,
                "1 to 64 characters of [A-Za-z0-9_.:-]",
            )
            .map(Some),
    };
    let settlement = match r.settlement_bp {
        0 => Some(SETTLEMENT_FACE),
        raw => fields.within(i64::from(raw), "settlement_bp", 1, SETTLEMENT_MAX),
    };
    Some(Draft {
        plan: plan?,
        template_id: template_id?,
        settlement_bp: i32::try_from(settlement?).ok()?,
        approve_send_above: send?,
        approve_fund_above: fund?,
        caps: caps?,
        pot: pot?,
        scan_limit: scan_limit?,
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

/// A bound above which it takes two people, or none. The outer option is nothing if
/// it is wrong.
fn parse_bound(fields: &mut Fields, raw: Option<i64>, path: &str) -> Option<Option<Fen>> {
    let Some(raw) = raw else { return Some(None) };
    let bound = fields.within(raw, path, 0, BUDGET_MAX.0);
    bound.map(|fen| Some(Fen(fen)))
}

fn parse_scan_limit(fields: &mut Fields, raw: i32) -> Option<i32> {
    let limit = fields.within(i64::from(raw), "scan_limit", 1, SCAN_LIMIT_MAX)?;
    i32::try_from(limit).ok()
}

/// The pot that scans draw from; none where it is 0. The outer option is nothing if
/// it is wrong.
fn parse_pot(
    fields: &mut Fields,
    raw: Option<&pb::AmountRule>,
    rule: Option<AmountRule>,
    stock: i64,
) -> Option<Option<Fen>> {
    let path = "amount.pot_fen";
    let pot = match raw.map_or(0, |rule| rule.pot_fen) {
        0 => return Some(None),
        raw => fields.amount(raw, path)?,
    };
    let rule = rule?;
    if rule.kind() != AmountType::Split {
        let text = "only a SPLIT campaign has a pot; leave it 0";
        fields.bad(path, Reason::FieldNotAllowed, text);
        return None;
    }
    let people = fields.within(stock, "stock_count", 1, SHARES_MAX)?;
    let (low, high) = (
        rule.min().checked_mul(people),
        rule.max().checked_mul(people),
    );
    let (Some(low), Some(high)) = (low, high) else {
        let text = "stock_count times max_fen does not fit";
        fields.bad(path, Reason::AmountOverflow, text);
        return None;
    };
    let fits = (low..=high).contains(&pot).then_some(Some(pot));
    let rule = format!("must be {} to {} fen for {people} people", low.0, high.0);
    fields.take(fits, path, Reason::AmountOutOfRange, &rule)
}

pub(super) async fn update(
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
    backend
        .store
        .change_campaign(call, shop, id, Change::Update(Box::new(update)))
        .await
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
            format!("name what is to change: {PATHS}"),
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
            "caps" => update.caps = caps::parse(fields, r.caps.as_ref()),
            "plan" => update.plan = plan::parse(fields, r.plan.as_ref()),
            SEND_BOUND => {
                update.approve_send_above = parse_bound(fields, r.approve_send_above_fen, path);
            }
            FUND_BOUND => {
                update.approve_fund_above = parse_bound(fields, r.approve_fund_above_fen, path);
            }
            "scan_limit" => update.scan_limit = parse_scan_limit(fields, r.scan_limit),
            other => fields.bad(
                "update_mask",
                Reason::UpdateMaskInvalid,
                format!("{other:?} is not one of: {PATHS}"),
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
