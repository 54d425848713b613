//! IssuanceService.

use std::collections::HashSet;
use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use prost::Message as _;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::{body, call};
use super::layer::Deadline;
use super::parse::Fields;
use super::pb::issuance_service_server::IssuanceService;
use super::server::Backend;
use super::{convert, page, pb, status};
use crate::clock;
use crate::domain::id::{BatchId, CampaignId, IssuanceId};
use crate::domain::text::{MchBillno, Openid, Uid};
use crate::domain::{Error, Reason, Result, State};
use crate::store::entity::{attempt, issuance, issuance_batch};
use crate::store::issue::{Command, Wanted};
use crate::store::read::{Batch, ByIssuance, Filter};
use crate::telemetry;

/// Users of one call at most.
const USERS_MAX: usize = 1_000;
/// Repeated uids that a reply lists at most.
const DUPLICATES_SHOWN: usize = 100;
/// What is kept of a deadline for the way back.
const ANSWER_TIME: Duration = Duration::from_millis(150);
/// Between two looks at a watched batch.
const WATCH_EVERY: Duration = Duration::from_millis(200);

type Watch = Pin<Box<dyn Stream<Item = Result<pb::WatchBatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl IssuanceService for Backend {
    async fn send_to_users(
        &self,
        request: Request<pb::SendToUsersRequest>,
    ) -> Result<Response<pb::SendToUsersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let until = wait_until(&request);
        let asked = request.into_inner();
        let sent = send_to_users(self, &caller, &asked, until).await;
        sent.map(Response::new).map_err(status::status)
    }

    async fn send_red_packet(
        &self,
        request: Request<pb::SendRedPacketRequest>,
    ) -> Result<Response<pb::SendRedPacketResponse>, Status> {
        let caller = Caller::of(&request)?;
        let until = wait_until(&request);
        let sent = send_red_packet(self, &caller, &request.into_inner(), until).await;
        sent.map(Response::new).map_err(status::status)
    }

    async fn resend(
        &self,
        request: Request<pb::ResendRequest>,
    ) -> Result<Response<pb::ResendResponse>, Status> {
        let caller = Caller::of(&request)?;
        let until = wait_until(&request);
        let sent = resend(self, &caller, &request.into_inner(), until).await;
        sent.map(Response::new).map_err(status::status)
    }

    async fn get_issuance(
        &self,
        request: Request<pb::GetIssuanceRequest>,
    ) -> Result<Response<pb::GetIssuanceResponse>, Status> {
        let caller = Caller::of(&request)?;
        get(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_issuances(
        &self,
        request: Request<pb::ListIssuancesRequest>,
    ) -> Result<Response<pb::ListIssuancesResponse>, Status> {
        let caller = Caller::of(&request)?;
        list(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn get_batch(
        &self,
        request: Request<pb::GetBatchRequest>,
    ) -> Result<Response<pb::GetBatchResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let batch = find_batch(self, &caller, asked.shop_id, asked.batch_id)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::GetBatchResponse {
            batch: Some(render_batch(&batch)),
        }))
    }

    type WatchBatchStream = Watch;

    async fn watch_batch(
        &self,
        request: Request<pb::WatchBatchRequest>,
    ) -> Result<Response<Watch>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let first = find_batch(self, &caller, asked.shop_id, asked.batch_id)
            .await
            .map_err(status::status)?;
        Ok(Response::new(Box::pin(watch(self.clone(), first))))
    }
}

/// Until when a call that waits may do so.
fn wait_until<T>(request: &Request<T>) -> Instant {
    let deadline = request
        .extensions()
        .get::<Deadline>()
        .map(|deadline| deadline.0);
    let now = clock::monotonic_tokio();
    let left = deadline.map_or(Duration::from_secs(5), |at| {
        at.saturating_duration_since(now)
    });
    now + left.saturating_sub(ANSWER_TIME.max(left / 4).min(Duration::from_secs(1)))
}

async fn send_to_users(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SendToUsersRequest,
    until: Instant,
) -> Result<pb::SendToUsersResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let body = body!(
        SendToUsersRequest,
        r,
        request_id,
        validate_only,
        shop_id,
        wait
    );
    let call = call(
        &mut fields,
        caller,
        "SendToUsers",
        Some(shop),
        &r.request_id,
        r.validate_only,
        &body,
    );
    let campaign = fields.id(r.campaign_id, "campaign_id", CampaignId::parse);
    let source = fields.choice(r.source, "source", convert::parse_source);
    let (uids, duplicate_uids) = parse_uids(&mut fields, &r.uids);
    let parsed = (|| Some((call?, campaign?, source?)))();
    let (call, campaign, source) = fields.finish(parsed)?;
    let traceparent = telemetry::traceparent_of_current_span();
    let wanted = Wanted::Users(uids);
    let command = Command {
        call,
        shop,
        campaign: Some(campaign),
        source,
        wanted,
        traceparent,
    };
    let issued = backend.issuer.issue(command).await?;
    let (batch, refused) = if r.validate_only && !issued.replayed {
        let batch = issued
            .batch
            .as_ref()
            .ok_or_else(|| Error::internal("a trial without batch", "SendToUsers"))?;
        let refused = issued
            .issuances
            .iter()
            .filter(|row| row.state == State::Failed)
            .cloned()
            .collect();
        (render_batch(&tried(batch, &issued.issuances)), refused)
    } else {
        let id = BatchId(issued.resource);
        let batch = match r.wait {
            true => backend.issuer.await_batch(shop, id, until).await?,
            false => backend.store.batch(shop, id).await?,
        };
        (render_batch(&batch), backend.store.refused_of(id).await?)
    };
    let refused = refused.iter().map(render_refused).collect();
    Ok(pb::SendToUsersResponse {
        batch: Some(batch),
        refused,
        duplicate_uids,
        replayed: issued.replayed,
    })
}

/// Each uid once, and those that stood more than once.
fn parse_uids(fields: &mut Fields, raw: &[String]) -> (Vec<Uid>, Vec<String>) {
    if raw.is_empty() {
        fields.bad("uids", Reason::FieldRequired, "name 1 to 1,000 users");
    }
    if raw.len() > USERS_MAX {
        fields.bad(
            "uids",
            Reason::BatchTooLarge,
            format!("{} users; one call takes at most {USERS_MAX}", raw.len()),
        );
        return (Vec::new(), Vec::new());
    }
    let (mut seen, mut uids, mut repeated) =
        (HashSet::new(), Vec::with_capacity(raw.len()), Vec::new());
    for (index, text) in raw.iter().enumerate() {
        let rule = "1 to 64 printable ASCII characters without blanks";
        let Some(uid) = fields.name(
            text,
            &format!("uids[{index}]"),
            Uid::parse,
            Reason::IdInvalid,
            rule,
        ) else {
            continue;
        };
        if seen.insert(uid.clone()) {
            uids.push(uid);
        } else if !repeated.contains(text) && repeated.len() < DUPLICATES_SHOWN {
            repeated.push(text.clone());
        }
    }
    (uids, repeated)
}

async fn send_red_packet(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SendRedPacketRequest,
    until: Instant,
) -> Result<pb::SendRedPacketResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let body = body!(
        SendRedPacketRequest,
        r,
        request_id,
        validate_only,
        shop_id,
        wait
    );
    let call = call(
        &mut fields,
        caller,
        "SendRedPacket",
        Some(shop),
        &r.request_id,
        r.validate_only,
        &body,
    );
    let campaign = fields.optional_id(r.campaign_id, "campaign_id", CampaignId::parse);
    let openid = fields.name(
        &r.openid,
        "openid",
        Openid::parse,
        Reason::OpenidInvalid,
        "1 to 32 characters of [A-Za-z0-9_-]",
    );
    let amount = if r.amount_fen == 0 {
        Some(None)
    } else {
        fields.amount(r.amount_fen, "amount_fen").map(Some)
    };
    let texts = match &r.texts {
        Some(texts) => fields
            .texts(Some(texts), "texts")
            .map(|texts| Some(Box::new(texts))),
        None => Some(None),
    };
    let source = fields.choice(r.source, "source", convert::parse_source);
    let parsed = (|| Some((call?, campaign?, openid?, amount?, texts?, source?)))();
    let (call, campaign, openid, amount, texts, source) = fields.finish(parsed)?;
    let traceparent = telemetry::traceparent_of_current_span();
    let wanted = Wanted::Openid {
        openid,
        amount,
        texts,
    };
    let issued = backend
        .issuer
        .issue(Command {
            call,
            shop,
            campaign,
            source,
            wanted,
            traceparent,
        })
        .await?;
    let row = if r.validate_only && !issued.replayed {
        let mut row = issued
            .issuances
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("a trial without packet", "SendRedPacket"))?;
        row.id = IssuanceId(0);
        row
    } else {
        backend
            .settled_issuance(shop, IssuanceId(issued.resource), r.wait.then_some(until))
            .await?
    };
    Ok(pb::SendRedPacketResponse {
        issuance: Some(render(backend, &row)?),
        replayed: issued.replayed,
    })
}

async fn resend(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ResendRequest,
    until: Instant,
) -> Result<pb::ResendResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let body = body!(ResendRequest, r, request_id, validate_only, shop_id, wait);
    let call = call(
        &mut fields,
        caller,
        "Resend",
        Some(shop),
        &r.request_id,
        r.validate_only,
        &body,
    );
    let id = fields.id(r.issuance_id, "issuance_id", IssuanceId::parse);
    let (call, id) = fields.finish(call.zip(id))?;
    let done = backend.store.resend(call, shop, id).await?;
    backend.wake.notify_waiters();
    let row = match r.wait && !r.validate_only {
        true => backend.settled_issuance(shop, id, Some(until)).await?,
        false => done.row,
    };
    Ok(pb::ResendResponse {
        issuance: Some(render(backend, &row)?),
        replayed: done.replayed,
    })
}

impl Backend {
    /// A packet as it is now, or once the provider has said whether it was paid.
    async fn settled_issuance(
        &self,
        shop: crate::domain::id::ShopId,
        id: IssuanceId,
        until: Option<Instant>,
    ) -> Result<issuance::Model> {
        match until {
            Some(until) => self.issuer.await_issuance(shop, id, until).await,
            None => Ok(self.store.issuance(shop, &ByIssuance::Id(id)).await?.0),
        }
    }
}

async fn get(
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

async fn list(
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

async fn find_batch(
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

/// The batch at first and whenever it changes, until it is settled or the server stops.
fn watch(
    backend: Backend,
    first: Batch,
) -> impl Stream<Item = Result<pb::WatchBatchResponse, Status>> + Send {
    let (shop, id) = (first.row.shop_id, first.row.id);
    futures::stream::unfold(Some((backend, first, true)), move |state| async move {
        let (backend, mut shown, fresh) = state?;
        if fresh {
            let reply = pb::WatchBatchResponse {
                batch: Some(render_batch(&shown)),
            };
            let next = (!shown.is_settled()).then_some((backend, shown, false));
            return Some((Ok(reply), next));
        }
        loop {
            tokio::select! {
                () = backend.stop.cancelled() => {
                    let error = Error::new(Reason::ShuttingDown, "the server shuts down; watch again".to_owned());
                    return Some((Err(status::status(error)), None));
                }
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
            match backend.store.batch(shop, id).await {
                Ok(batch) if batch.states == shown.states => {}
                Ok(batch) => {
                    shown = batch;
                    let reply = pb::WatchBatchResponse {
                        batch: Some(render_batch(&shown)),
                    };
                    let next = (!shown.is_settled()).then_some((backend, shown, false));
                    return Some((Ok(reply), next));
                }
                Err(error) => return Some((Err(status::status(error)), None)),
            }
        }
    })
}

/// A batch that was only tried, counted from its packets.
fn tried(row: &issuance_batch::Model, issuances: &[issuance::Model]) -> Batch {
    let mut batch = Batch {
        row: issuance_batch::Model {
            id: BatchId(0),
            ..row.clone()
        },
        refused: 0,
        states: Default::default(),
    };
    for packet in issuances {
        if packet.state == State::Failed {
            batch.refused += 1;
        } else {
            *batch.states.entry(packet.state).or_default() += 1;
        }
    }
    batch
}

fn render_batch(batch: &Batch) -> pb::IssuanceBatch {
    let row = &batch.row;
    let count = |state: State| batch.states.get(&state).copied().unwrap_or(0);
    let accepted: i64 = batch.states.values().sum();
    pb::IssuanceBatch {
        batch_id: row.id.0,
        shop_id: row.shop_id.0,
        campaign_id: row.campaign_id.0,
        source: convert::source(row.source),
        counts: Some(pb::BatchCounts {
            requested_count: accepted + batch.refused,
            accepted_count: accepted,
            refused_count: batch.refused,
            queued_count: count(State::Queued),
            sending_count: count(State::Sending),
            unknown_count: count(State::Unknown),
            review_count: count(State::Review),
            sent_count: count(State::Sent),
            received_count: count(State::Received),
            refunding_count: count(State::Refunding),
            refunded_count: count(State::Refunded),
            failed_count: count(State::Failed),
            cancelled_count: count(State::Cancelled),
        }),
        amount_fen: row.amount_fen.0,
        settled: batch.is_settled(),
        create_time: convert::time(row.create_time),
    }
}

fn render_refused(row: &issuance::Model) -> pb::RefusedItem {
    let reason = row.last_error.clone().unwrap_or_default();
    let message = if reason == Reason::OpenidMissing.name() {
        "the recipient has no openid of the campaign's appid; add it with UpsertRecipients, then Resend"
    } else {
        "the shop has no recipient with this uid; make him with UpsertRecipients, then Resend"
    };
    pb::RefusedItem {
        uid: row
            .uid
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        reason: Some(pb::ErrorReasonText {
            reason,
            message: message.to_owned(),
        }),
    }
}

fn render(backend: &Backend, row: &issuance::Model) -> Result<pb::Issuance> {
    Ok(pb::Issuance {
        issuance_id: row.id.0,
        shop_id: row.shop_id.0,
        campaign_id: row.campaign_id.0,
        campaign_revision: row.campaign_revision,
        batch_id: row.batch_id.map_or(0, |id| id.0),
        recipient_id: row.recipient_id.map_or(0, |id| id.0),
        uid: row
            .uid
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        appid: row.appid.to_string(),
        obfuscated_openid: backend.store.masked_openid(row)?,
        amount_fen: row.amount_fen.0,
        source: convert::source(row.source),
        state: convert::state(row.state),
        last_error: row.last_error.clone().unwrap_or_default(),
        mch_billno: row
            .mch_billno
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        attempt_count: row.attempt_count,
        frozen: row.frozen,
        traceparent: row.traceparent.clone().unwrap_or_default(),
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
        send_time: convert::optional_time(row.send_time),
        receive_time: convert::optional_time(row.receive_time),
        refund_time: convert::optional_time(row.refund_time),
    })
}

fn render_attempt(attempt: &attempt::Model, row: &issuance::Model) -> pb::Attempt {
    let live = attempt.live_key.is_some();
    pb::Attempt {
        attempt_no: attempt.attempt_no,
        account_id: attempt.account_id.0,
        mch_id: attempt.mch_id.to_string(),
        mch_billno: attempt.mch_billno.to_string(),
        state: convert::state(attempt.state),
        send_count: attempt.send_count,
        query_count: attempt.query_count,
        last_error: attempt.last_error.clone().unwrap_or_default(),
        provider_order_no: attempt.provider_order_no.clone(),
        create_time: convert::time(attempt.create_time),
        update_time: convert::time(attempt.update_time),
        next_time: if live {
            convert::optional_time(row.due_time)
        } else {
            None
        },
    }
}
