//! Campaigns on the wire.

use super::{caps, convert, pb, plan};
use crate::domain::Result;
use crate::domain::text::Texts;
use crate::store::campaign::Campaign;
use crate::store::entity::campaign;

pub(super) fn render(campaign: &Campaign) -> Result<pb::Campaign> {
    let row = &campaign.row;
    Ok(pb::Campaign {
        campaign_id: row.id.0,
        shop_id: row.shop_id.0,
        code: row.code.to_string(),
        kind: convert::campaign_kind(row.kind),
        state: convert::campaign_state(row.state),
        amount: Some(pb::AmountRule {
            r#type: convert::amount_type(row.amount_type),
            min_fen: row.min_amount_fen.0,
            max_fen: row.max_amount_fen.0,
            pot_fen: row.pot_fen.map_or(0, |pot| pot.0),
        }),
        scan_limit: row.scan_limit,
        template_id: row
            .template_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        settlement_bp: row.settlement_bp,
        texts: Some(render_texts(&campaign.texts)),
        revision: row.revision,
        account_id: row.account_id.0,
        appid: row.appid.to_string(),
        start_time: convert::time(row.start_time),
        end_time: convert::optional_time(row.end_time),
        stock_count: row.stock_count.unwrap_or(0),
        issued_count: row.issued_count,
        budget: Some(render_budget(row)),
        etag: row.version.to_string(),
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
        approve_send_above_fen: row.approve_send_above_fen.map(|fen| fen.0),
        approve_fund_above_fen: row.approve_fund_above_fen.map(|fen| fen.0),
        money_breaker: plan::render(campaign.breaker.as_ref()),
        caps: Some(caps::render(&row.caps()?)),
    })
}

pub(in crate::grpc) fn render_texts(texts: &Texts) -> pb::RedPacketTexts {
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

pub(in crate::grpc) fn render_budget(row: &campaign::Model) -> pb::Budget {
    pb::Budget {
        granted_fen: row.granted_fen.0,
        defunded_fen: row.defunded_fen.0,
        available_fen: row.available().0,
        held_fen: row.held().0,
        transit_fen: row.transit_fen.0,
        paid_fen: row.paid_fen.0,
        fee_fen: row.fee_fen.0,
        discount_fen: row.discount_fen.0,
    }
}
