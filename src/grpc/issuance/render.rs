//! Issuances, attempts and batches on the wire.

use super::{Backend, convert, pb};
use crate::domain::packet::Kind;
use crate::domain::state::Position;
use crate::domain::{Reason, Result, State};
use crate::grpc::campaign::render_texts;
use crate::store::entity::{attempt, campaign, issuance, issuance_batch, journal};
use crate::store::issue::Issued;
use crate::store::packets::Packet;

/// What of a packet is shown beside the usual.
#[derive(Clone, Copy)]
pub(in crate::grpc) struct Shows<'a> {
    /// Openid, mobile and risk_info unmasked.
    pub(in crate::grpc) people: bool,
    /// The openid that the caller brought, who is shown it and no other.
    pub(in crate::grpc) brought: Option<&'a str>,
    /// What a mini program opens it with.
    pub(in crate::grpc) package: bool,
}

impl<'a> Shows<'a> {
    pub(in crate::grpc) const NOTHING: Self = Self {
        people: false,
        brought: None,
        package: false,
    };
    pub(super) const PACKAGE: Self = Self {
        package: true,
        ..Self::NOTHING
    };

    /// To a caller who brought an openid. A scan may find an older packet of the same
    /// person, which went to another one.
    pub(super) fn own(openid: &'a str) -> Self {
        Self {
            brought: Some(openid),
            ..Self::PACKAGE
        }
    }
}

pub(super) fn render_batch(
    row: &issuance_batch::Model,
    campaign: &campaign::Model,
) -> pb::IssuanceBatch {
    pb::IssuanceBatch {
        batch_id: row.id.0,
        shop_id: row.shop_id.0,
        campaign_id: row.campaign_id.0,
        source: convert::source(row.source),
        counts: Some(pb::BatchCounts {
            requested_count: row.requested_count,
            accepted_count: row.requested_count - row.refused_count,
            refused_count: row.refused_count,
            queued_count: row.count(State::Queued),
            sending_count: row.count(State::Sending),
            unknown_count: row.count(State::Unknown),
            review_count: row.count(State::Review),
            sent_count: row.count(State::Sent),
            received_count: row.count(State::Received),
            refunding_count: row.count(State::Refunding),
            refunded_count: row.count(State::Refunded),
            failed_count: row.count(State::Failed),
            cancelled_count: row.count(State::Cancelled),
        }),
        amount_fen: row.amount_fen.0,
        settled: row.is_settled(),
        create_time: convert::time(row.create_time),
        wx_group_id: row.group_id.map_or(0, |id| id.0),
        group_name: row.group_name.clone().unwrap_or_default(),
        act_name: campaign.act_name.clone(),
        amount_type: convert::amount_type(campaign.amount_type),
        min_fen: campaign.min_amount_fen.0,
        max_fen: campaign.max_amount_fen.0,
        shop_sub_id: row.shop_sub_id.0,
        cancel_time: convert::optional_time(row.cancel_time),
    }
}

pub(super) fn render_refused(row: &issuance::Model) -> pb::RefusedItem {
    let reason = row.last_error.clone().unwrap_or_default();
    let message = if reason == Reason::OpenidMissing.name() {
        "the recipient has no openid of the campaign's appid; add it with UpsertRecipients, then Resend"
    } else if reason == Reason::RecipientLimit.name() {
        "the recipient has as much of the campaign as one may get; see its caps"
    } else {
        "the shop has no recipient with this uid; make him with UpsertRecipients, then Resend"
    };
    pb::RefusedItem {
        uid: text(row.uid.as_ref()),
        reason: Some(pb::ErrorReasonText {
            reason,
            message: message.to_owned(),
        }),
        issuance_id: row.id.0,
        recipient_id: row.recipient_id.map_or(0, |id| id.0),
    }
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

pub(in crate::grpc) fn render(
    backend: &Backend,
    packet: &Packet,
    shows: Shows<'_>,
) -> Result<pb::Issuance> {
    let row = &packet.row;
    let store = &backend.store;
    let openid = store.openid_of(row)?;
    let mobile = match &packet.recipient {
        Some(recipient) => store.mobile_of(recipient)?,
        None => None,
    };
    let risk_info = match shows.people {
        true => store.risk_info(row)?,
        false => None,
    };
    let package = match (&packet.attempt, shows.package) {
        (Some(attempt), true) => store.package(attempt)?,
        _ => String::new(),
    };
    let campaign = &packet.campaign;
    Ok(pb::Issuance {
        issuance_id: row.id.0,
        shop_id: row.shop_id.0,
        campaign_id: row.campaign_id.0,
        campaign_revision: row.campaign_revision,
        batch_id: row.batch_id.map_or(0, |id| id.0),
        recipient_id: row.recipient_id.map_or(0, |id| id.0),
        uid: text(row.uid.as_ref()),
        appid: row.appid.to_string(),
        obfuscated_openid: openid.as_ref().map(|o| o.masked()).unwrap_or_default(),
        amount_fen: row.amount_fen.0,
        source: convert::source(row.source),
        state: convert::state(row.state),
        last_error: row.last_error.clone().unwrap_or_default(),
        mch_billno: text(row.mch_billno.as_ref()),
        request_id: row.request_id.to_string(),
        settlement_price_fen: campaign.settlement_price(row.amount_fen).0,
        obfuscated_callback_url: store.callback_shown(row)?,
        attempt_count: row.attempt_count,
        frozen: row.frozen,
        traceparent: row.traceparent.clone().unwrap_or_default(),
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
        send_time: convert::optional_time(row.send_time),
        receive_time: convert::optional_time(row.receive_time),
        refund_time: convert::optional_time(row.refund_time),
        kind: convert::kind(row.kind),
        total_num: row.total_num,
        amt_type: amt_type(row.kind),
        shop_sub_id: row.shop_sub_id.0,
        provider_order_no: packet
            .attempt
            .as_ref()
            .map(|attempt| attempt.provider_order_no.clone())
            .unwrap_or_default(),
        texts: Some(render_texts(&packet.texts)),
        amount_type: convert::amount_type(campaign.amount_type),
        min_fen: campaign.min_amount_fen.0,
        max_fen: campaign.max_amount_fen.0,
        nickname: packet
            .recipient
            .as_ref()
            .map(|recipient| recipient.nickname.clone())
            .unwrap_or_default(),
        obfuscated_mobile: mobile.as_ref().map(|m| m.masked()).unwrap_or_default(),
        received_fen: row.received_fen.0,
        refunded_fen: row.refunded_fen.0,
        openid: openid
            .filter(|o| shows.people || shows.brought == Some(o.expose()))
            .map(|o| o.expose().to_owned())
            .unwrap_or_default(),
        mobile: mobile
            .filter(|_| shows.people)
            .map(|m| m.expose().to_owned())
            .unwrap_or_default(),
        account_id: row.account_id.0,
        gateway_type: row.gateway_type.map_or(0, convert::gateway),
        client_ip: row.client_ip.clone().unwrap_or_default(),
        package,
        risk_info: risk_info
            .map(|info| info.expose().to_owned())
            .unwrap_or_default(),
    })
}

fn amt_type(kind: Kind) -> i32 {
    match kind {
        Kind::Fission => pb::AmtType::AllRand.into(),
        Kind::Normal | Kind::MiniProgram => 0,
    }
}

pub(in crate::grpc) fn render_attempt(
    attempt: &attempt::Model,
    row: &issuance::Model,
) -> pb::Attempt {
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
        take_time: convert::optional_time(attempt.take_time),
        cost_fen: attempt.cost_fen.map(|cost| cost.0),
        create_time: convert::time(attempt.create_time),
        update_time: convert::time(attempt.update_time),
        next_time: if live {
            convert::optional_time(row.due_time)
        } else {
            None
        },
    }
}

/// States stand in the journal by their names.
fn named_state(name: &str) -> i32 {
    let state = State::ALL.into_iter().find(|state| state.name() == name);
    state.map_or(0, convert::state)
}

pub(super) fn render_entry(entry: &journal::Model) -> pb::JournalEntry {
    let account = |account: Option<Position>| account.map(Position::name).unwrap_or_default();
    pb::JournalEntry {
        seq: entry.seq,
        kind: entry.kind.clone(),
        from_state: entry.from_state.as_deref().map_or(0, named_state),
        to_state: named_state(&entry.to_state),
        reason: entry.reason.clone().unwrap_or_default(),
        actor: entry.actor.clone(),
        debit_account: account(entry.debit_account).to_owned(),
        credit_account: account(entry.credit_account).to_owned(),
        amount_fen: entry.amount_fen.map_or(0, |amount| amount.0),
        create_time: convert::time(entry.create_time),
    }
}

/// When a trial's packets would go out.
pub(super) fn render_forecast(issued: &Issued) -> Option<pb::Forecast> {
    let forecast = issued.forecast?;
    let batches = issued.batches.iter();
    let of_batches = batches.map(|batch| {
        let accepted = batch.requested_count - batch.refused_count;
        (accepted, batch.amount_fen.0)
    });
    let of_packet = issued.packet.iter().map(|packet| (1, packet.amount_fen.0));
    let (packet_count, amount_fen) = of_batches
        .chain(of_packet)
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Some(pb::Forecast {
        packet_count,
        amount_fen,
        last_send_time: convert::optional_time(forecast.last),
        bound_by: forecast.bound.code().to_owned(),
    })
}
