//! Vouchers on the wire.

use super::{convert, pb};
use crate::domain::voucher::{OrderShown, Shown, Validity, voucher_no};
use crate::domain::{Fen, Result, Timestamp};
use crate::grpc::campaign::caps;
use crate::store::entity::{journal, voucher_product, voucher_product_grant, voucher_redemption};
use crate::store::voucher::{OrderView, VoucherHistory, VoucherView};

pub(super) fn product(row: &voucher_product::Model) -> Result<pb::VoucherProduct> {
    let caps = caps::render(&row.caps()?);
    Ok(pb::VoucherProduct {
        product_id: row.id.0,
        shop_id: row.shop_id.0,
        code: row.code.to_string(),
        name: row.name.clone(),
        kind: convert::voucher_kind(row.kind),
        state: convert::product_state(row.state),
        min_face_fen: row.min_face_fen.0,
        max_face_fen: row.max_face_fen.0,
        validity: Some(validity(row.validity()?)),
        max_per_order: row.max_per_order,
        partial: row.partial,
        undo_seconds: row.undo_seconds,
        step_up: convert::step_up(row.step_up),
        owner_app_id: row.owner_app_id.map_or(0, |app| app.0),
        stock_count: row.stock_count.unwrap_or(0),
        issued_count: row.issued_count,
        caps: Some(pb::VoucherCaps {
            recipient: caps.recipient,
            recipient_day: caps.recipient_day,
            day: caps.day,
        }),
        budget: Some(pb::VoucherBudget {
            granted_fen: row.granted_fen.0,
            defunded_fen: row.defunded_fen.0,
            available_fen: row.available().0,
            liability_fen: row.liability().0,
            redeemed_fen: row.redeemed_fen.0,
        }),
        etag: row.version.to_string(),
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
        account_id: row.account_id.map_or(0, |account| account.0),
        remote_product_code: row.remote_code.clone().unwrap_or_default(),
    })
}

fn validity(of: Validity) -> pb::VoucherValidity {
    use pb::voucher_validity::Validity as V;
    let validity = match of {
        Validity::Window { start, end } => V::Window(pb::VoucherWindow {
            start_time: convert::optional_time(start),
            end_time: convert::time(end),
            end_text: end.beijing_end(),
        }),
        Validity::Days { start_after, valid } => V::Days(pb::VoucherDays {
            start_after_days: i32::try_from(start_after).unwrap_or(i32::MAX),
            valid_days: i32::try_from(valid).unwrap_or(i32::MAX),
        }),
    };
    pb::VoucherValidity {
        validity: Some(validity),
    }
}

pub(super) fn grant(row: &voucher_product_grant::Model) -> pb::VoucherProductGrant {
    pb::VoucherProductGrant {
        app_id: row.app_id.0,
        may_see: row.may_see,
        may_give: row.may_give,
        may_spend: row.may_spend,
    }
}

pub(super) fn voucher(view: &VoucherView, at: Timestamp, unmask: bool) -> pb::Voucher {
    let row = &view.row;
    let shown = Shown::at(row.state, row.start_time, row.end_time, at);
    let mobile = view.owner.as_ref().and_then(|owner| owner.mobile.as_ref());
    pb::Voucher {
        voucher_id: row.id.0,
        voucher_no: voucher_no(row.id, row.create_time),
        product_id: row.product_id.0,
        product_code: view.product.code.to_string(),
        product_name: view.product.name.clone(),
        face_fen: row.face_fen.0,
        balance_fen: row.balance_fen.0,
        state: convert::voucher_state(shown),
        status: shown.status().to_owned(),
        start_time: convert::optional_time(row.start_time),
        end_time: convert::time(row.end_time),
        end_text: row.end_time.beijing_end(),
        recipient_id: row.recipient_id.map_or(0, |id| id.0),
        uid: view
            .owner
            .as_ref()
            .and_then(|owner| owner.uid.as_ref())
            .map(ToString::to_string)
            .unwrap_or_default(),
        obfuscated_mobile: mobile.map(|mobile| mobile.masked()).unwrap_or_default(),
        mobile: mobile
            .filter(|_| unmask)
            .map(|mobile| mobile.expose().to_owned())
            .unwrap_or_default(),
        code: view
            .code
            .as_ref()
            .map(|code| code.expose().to_owned())
            .unwrap_or_default(),
        give_order_id: row.give_order_id.0,
        hold_order_id: row.hold_order_id.map_or(0, |id| id.0),
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
        remote_voucher_id: row.remote_id.clone().unwrap_or_default(),
    }
}

pub(super) fn order(view: &OrderView) -> pb::VoucherOrder {
    let row = &view.row;
    let line = |(of, amount): &(VoucherView, Fen)| pb::VoucherOrderLine {
        voucher: Some(voucher(of, view.at, false)),
        amount_fen: amount.0,
    };
    pb::VoucherOrder {
        order_id: row.id.0,
        shop_id: row.shop_id.0,
        app_id: row.app_id.0,
        app_order_id: row.app_order_id.to_string(),
        kind: convert::order_kind(row.kind),
        state: convert::order_state(row.shown()),
        associated_order_id: row.associated_order_id.clone(),
        remark: row.remark.clone(),
        amount_fen: row.amount_fen.0,
        lines: view.lines.iter().map(line).collect(),
        hold_until: convert::optional_time(row.hold_until),
        undo_until: convert::optional_time(row.undo_until),
        last_error: row.last_error.clone().unwrap_or_default(),
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
    }
}

pub(super) fn history(found: &VoucherHistory, unmask: bool) -> pb::GetVoucherResponse {
    pb::GetVoucherResponse {
        voucher: Some(voucher(&found.view, found.at, unmask)),
        history: found.events.iter().map(event).collect(),
        uses: found.uses.iter().map(used).collect(),
    }
}

fn event(row: &journal::Model) -> pb::VoucherEvent {
    let account = |of: Option<crate::domain::state::Position>| {
        of.map(|position| position.name().to_owned())
            .unwrap_or_default()
    };
    pb::VoucherEvent {
        seq: row.seq,
        kind: row.kind.clone(),
        from_state: row.from_state.clone().unwrap_or_default(),
        to_state: row.to_state.clone(),
        debit_account: account(row.debit_account),
        credit_account: account(row.credit_account),
        amount_fen: row.amount_fen.map_or(0, |fen| fen.0),
        order_id: row.order_id.map_or(0, |id| id.0),
        reason: row.reason.clone().unwrap_or_default(),
        actor: row.actor.clone(),
        create_time: convert::time(row.create_time),
    }
}

fn used(row: &voucher_redemption::Model) -> pb::VoucherUseRecord {
    pb::VoucherUseRecord {
        order_id: row.order_id.0,
        redemption_no: i64::from(row.redemption_no),
        amount_fen: row.amount_fen.0,
        state: convert::order_state(OrderShown::of(row.state, None)),
    }
}
