//! GetIssuance, ListIssuances, and finding a batch.

use prost::Message as _;

use super::parse::Fields;
use super::render::{render, render_attempt};
use super::{Backend, Caller, convert, page, pb};
use crate::domain::id::{BatchId, CampaignId, IssuanceId};
use crate::domain::text::{MchBillno, Uid};
use crate::domain::{Reason, Result};
use crate::store::read::{Batch, ByIssuance, Filter};

pub(super) async fn get(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetIssuanceRequest,
) -> Result<pb::GetIssuanceResponse> {
    use pb::get_issuance_request::Ref;
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let by = match &r.r#ref {
        Some(Ref::IssuanceId(id)) => fields
            .id(*id, "issuance_id", IssuanceId::parse)
            .map(ByIssuance::Id),
        Some(Ref::MchBillno(number)) => fields
            .name(
                number,
                "mch_billno",
                MchBillno::parse,
                Reason::IdInvalid,
                "28 characters of [0-9A-Za-z]",
            )
            .map(ByIssuance::Number),
        None => {
            fields.bad(
                "issuance_id",
                Reason::FieldRequired,
                "name issuance_id or mch_billno",
            );
            None
        }
    };
    let by = fields.finish(by)?;
    let (row, attempts) = backend.store.issuance(shop, &by).await?;
    let attempts = attempts
        .iter()
        .map(|attempt| render_attempt(attempt, &row))
        .collect();
    Ok(pb::GetIssuanceResponse {
        issuance: Some(render(backend, &row)?),
        attempts,
    })
}

pub(super) async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListIssuancesRequest,
) -> Result<pb::ListIssuancesResponse> {
    let shop = caller.shop(r.shop_id)?;
    let raw = r.filter.clone().unwrap_or_default();
    let mut scope = format!("issuances of {shop} ").into_bytes();
    scope.extend_from_slice(&raw.encode_to_vec());
    let mut fields = Fields::default();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, &scope);
    let filter = parse_filter(&mut fields, &raw);
    let (page, filter) = fields.finish(page.zip(filter))?;
    let rows = backend.store.issuances(shop, &filter, page).await?;
    let next_page_token = page::next(&rows, page, &scope, |row| row.id.0);
    let issuances = rows
        .iter()
        .map(|row| render(backend, row))
        .collect::<Result<_>>()?;
    Ok(pb::ListIssuancesResponse {
        issuances,
        next_page_token,
    })
}

fn parse_filter(fields: &mut Fields, raw: &pb::IssuanceFilter) -> Option<Filter> {
    let campaign = fields.optional_id(raw.campaign_id, "filter.campaign_id", CampaignId::parse);
    let batch = fields.optional_id(raw.batch_id, "filter.batch_id", BatchId::parse);
    let states = raw.states.iter().enumerate();
    let states: Vec<_> = states
        .filter_map(|(i, state)| {
            fields.choice(*state, &format!("filter.states[{i}]"), convert::parse_state)
        })
        .collect();
    let source = match raw.source {
        0 => Some(None),
        raw => fields
            .choice(raw, "filter.source", convert::parse_source)
            .map(Some),
    };
    let uid = match raw.uid.as_str() {
        "" => Some(None),
        uid => fields
            .name(
                uid,
                "filter.uid",
                Uid::parse,
                Reason::IdInvalid,
                "1 to 64 printable ASCII characters",
            )
            .map(Some),
    };
    let from = fields.time(raw.create_time_from.as_ref(), "filter.create_time_from");
    let to = fields.time(raw.create_time_to.as_ref(), "filter.create_time_to");
    if let (Some(Some(from)), Some(Some(to))) = (from, to)
        && from > to
    {
        fields.bad(
            "filter.create_time_to",
            Reason::TimeRangeInvalid,
            "must not be before create_time_from",
        );
    }
    Some(Filter {
        campaign: campaign?,
        batch: batch?,
        states,
        source: source?,
        uid: uid?,
        from: from?,
        to: to?,
    })
}

pub(super) async fn find_batch(
    backend: &Backend,
    caller: &Caller,
    shop_id: i64,
    batch_id: i64,
) -> Result<Batch> {
    let shop = caller.shop(shop_id)?;
    let mut fields = Fields::default();
    let id = fields.id(batch_id, "batch_id", BatchId::parse);
    backend.store.batch(shop, fields.finish(id)?).await
}
