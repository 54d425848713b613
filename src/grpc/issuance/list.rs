//! ListIssuances and ListBatches.

use prost::Message as _;

use super::parse::Fields;
use super::render::{Shows, render, render_batch};
use super::{Backend, Caller, convert, page, pb};
use crate::domain::id::{BatchId, CampaignId, GroupId};
use crate::domain::{Reason, Result, Timestamp};
use crate::store::list::{BatchFilter, Filter, Order, Part, Place, place};

/// Rows that a caller may skip; whoever wants to go further pages by token.
const SKIP_MAX: i64 = 10_000;

pub(super) async fn issuances(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListIssuancesRequest,
) -> Result<pb::ListIssuancesResponse> {
    let shop = caller.shop(r.shop_id)?;
    caller.may_unmask(shop, r.unmask)?;
    let raw = r.filter.clone().unwrap_or_default();
    let mut scope = format!("issuances of {shop} in {} ", r.order).into_bytes();
    scope.extend_from_slice(&raw.encode_to_vec());
    let mut fields = Fields::default();
    let filter = parse_filter(&mut fields, &raw);
    let order = parse_order(&mut fields, r.order, &raw);
    let keys = if order.is_some_and(Order::is_by_amount) {
        3
    } else {
        2
    };
    let asked = Asked {
        size: r.page_size,
        token: &r.page_token,
        skip: r.skip,
        scope: &scope,
    };
    let part = asked.part(&mut fields, order, keys);
    let (filter, part) = fields.finish(filter.zip(part))?;
    let listed = backend
        .store
        .issuances(shop, &filter, &part, r.include_total)
        .await?;
    let next_page_token = page::next_after(&listed.rows, part.size, &scope, |packet| {
        place(&packet.row, part.order).0
    });
    let shows = Shows {
        people: r.unmask,
        ..Shows::NOTHING
    };
    let issuances = listed
        .rows
        .iter()
        .map(|packet| render(backend, packet, shows))
        .collect::<Result<_>>()?;
    Ok(pb::ListIssuancesResponse {
        issuances,
        next_page_token,
        total_count: listed.total.unwrap_or(0),
    })
}

fn parse_order(fields: &mut Fields, raw: i32, filter: &pb::IssuanceFilter) -> Option<Order> {
    let order = match raw {
        0 => Order::NewestFirst,
        raw => fields.choice(raw, "order", convert::parse_order)?,
    };
    if order.is_by_amount() && filter.campaign_id == 0 && filter.batch_id == 0 {
        let text = "by amount only within one campaign or batch: name filter.campaign_id or filter.batch_id";
        fields.bad("order", Reason::FieldNotAllowed, text);
    }
    Some(order)
}

fn parse_filter(fields: &mut Fields, raw: &pb::IssuanceFilter) -> Option<Filter> {
    let campaign = fields.optional_id(raw.campaign_id, "filter.campaign_id", CampaignId::parse);
    let batch = fields.optional_id(raw.batch_id, "filter.batch_id", BatchId::parse);
    let states = raw.states.iter().enumerate();
    let mut states: Vec<_> = states
        .filter_map(|(i, state)| {
            fields.choice(*state, &format!("filter.states[{i}]"), convert::parse_state)
        })
        .collect();
    states.sort_unstable();
    states.dedup();
    let source = match raw.source {
        0 => Some(None),
        raw => fields
            .choice(raw, "filter.source", convert::parse_source)
            .map(Some),
    };
    let uid = match raw.uid.as_str() {
        "" => Some(None),
        uid => fields.uid(uid, "filter.uid").map(Some),
    };
    let times = parse_times(
        fields,
        raw.create_time_from.as_ref(),
        raw.create_time_to.as_ref(),
    );
    let amount_type = match raw.amount_type {
        0 => Some(None),
        raw => fields
            .choice(raw, "filter.amount_type", convert::parse_amount_type)
            .map(Some),
    };
    let keyword = fields.keyword(&raw.keyword, "filter.keyword");
    let batch_keyword = fields.keyword(&raw.batch_keyword, "filter.batch_keyword");
    if !raw.batch_keyword.is_empty() && raw.batch_id == 0 {
        let text = "searches within a batch: name filter.batch_id";
        fields.bad("filter.batch_keyword", Reason::FieldNotAllowed, text);
    }
    if !raw.batch_keyword.is_empty() && !raw.keyword.is_empty() {
        let text = "one keyword at a time";
        fields.bad("filter.batch_keyword", Reason::FieldNotAllowed, text);
    }
    let (from, to) = times?;
    Some(Filter {
        campaign: campaign?,
        batch: batch?,
        states,
        source: source?,
        uid: uid?,
        from,
        to,
        amount_type: amount_type?,
        keyword: keyword?,
        batch_keyword: batch_keyword?,
    })
}

type Times = (Option<Timestamp>, Option<Timestamp>);

fn parse_times(
    fields: &mut Fields,
    from: Option<&prost_types::Timestamp>,
    to: Option<&prost_types::Timestamp>,
) -> Option<Times> {
    let from = fields.time(from, "filter.create_time_from");
    let to = fields.time(to, "filter.create_time_to");
    let (from, to) = (from?, to?);
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        fields.bad(
            "filter.create_time_to",
            Reason::TimeRangeInvalid,
            "must not be before create_time_from",
        );
    }
    Some((from, to))
}

/// Which part of a list a request asks for.
struct Asked<'a> {
    size: i32,
    token: &'a str,
    skip: i32,
    scope: &'a [u8],
}

impl Asked<'_> {
    fn part(&self, fields: &mut Fields, order: Option<Order>, keys: usize) -> Option<Part> {
        let size = page::parse_size(fields, self.size);
        let after = page::parse_after(fields, self.token, self.scope, keys);
        let skip = fields.within(i64::from(self.skip), "skip", 0, SKIP_MAX);
        if self.skip > 0 && !self.token.is_empty() {
            let text = "a page_token says where to go on; leave skip 0";
            fields.bad("skip", Reason::FieldNotAllowed, text);
        }
        Some(Part {
            order: order?,
            after: after?.map(Place),
            skip: u64::try_from(skip?).ok()?,
            size: size?,
        })
    }
}

pub(super) async fn batches(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListBatchesRequest,
) -> Result<pb::ListBatchesResponse> {
    let shop = caller.shop(r.shop_id)?;
    let raw = r.filter.clone().unwrap_or_default();
    let mut scope = format!("batches of {shop} {} ", r.oldest_first).into_bytes();
    scope.extend_from_slice(&raw.encode_to_vec());
    let mut fields = Fields::default();
    let filter = parse_batch_filter(&mut fields, &raw);
    let order = if r.oldest_first {
        Order::OldestFirst
    } else {
        Order::NewestFirst
    };
    let asked = Asked {
        size: r.page_size,
        token: &r.page_token,
        skip: r.skip,
        scope: &scope,
    };
    let part = asked.part(&mut fields, Some(order), 2);
    let (filter, part) = fields.finish(filter.zip(part))?;
    let listed = backend
        .store
        .batches(shop, &filter, &part, r.include_total)
        .await?;
    let next_page_token = page::next_after(&listed.rows, part.size, &scope, |(row, _)| {
        vec![row.create_time.0, row.id.0]
    });
    let batches = listed.rows.iter().map(|(row, of)| render_batch(row, of));
    Ok(pb::ListBatchesResponse {
        batches: batches.collect(),
        next_page_token,
        total_count: listed.total.unwrap_or(0),
    })
}

fn parse_batch_filter(fields: &mut Fields, raw: &pb::BatchFilter) -> Option<BatchFilter> {
    let campaign = fields.optional_id(raw.campaign_id, "filter.campaign_id", CampaignId::parse);
    let group = fields.optional_id(raw.wx_group_id, "filter.wx_group_id", GroupId::parse);
    let keyword = fields.keyword(&raw.keyword, "filter.keyword");
    let (from, to) = parse_times(
        fields,
        raw.create_time_from.as_ref(),
        raw.create_time_to.as_ref(),
    )?;
    Some(BatchFilter {
        campaign: campaign?,
        group: group?,
        keyword: keyword?,
        from,
        to,
        groups_only: raw.groups_only,
    })
}
