//! Issuances, attempts and batches on the wire.

use super::{Backend, convert, pb};
use crate::domain::id::BatchId;
use crate::domain::{Reason, Result, State};
use crate::store::entity::{attempt, issuance, issuance_batch};
use crate::store::read::Batch;

/// A batch that was only tried, counted from its packets.
pub(super) fn tried(row: &issuance_batch::Model, issuances: &[issuance::Model]) -> Batch {
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

pub(super) fn render_batch(batch: &Batch) -> pb::IssuanceBatch {
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

pub(super) fn render_refused(row: &issuance::Model) -> pb::RefusedItem {
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
        issuance_id: row.id.0,
    }
}

pub(super) fn render(backend: &Backend, row: &issuance::Model) -> Result<pb::Issuance> {
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

pub(super) fn render_attempt(attempt: &attempt::Model, row: &issuance::Model) -> pb::Attempt {
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
