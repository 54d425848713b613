//! The record of every write.

use super::{Backend, Fields, convert, page, pb};
use crate::domain::id::{AppId, ShopId};
use crate::domain::{Reason, Result, Timestamp};
use crate::store::audit::{Filter, Place};
use crate::store::entity::request;

/// Methods of one question at most.
const METHODS_MAX: usize = 50;

pub(super) async fn list(
    backend: &Backend,
    r: &pb::ListAuditRequest,
) -> Result<pb::ListAuditResponse> {
    let mut fields = Fields::default();
    let app = fields.optional_id(r.app_id, "app_id", AppId::parse);
    let shop = fields.optional_id(r.shop_id, "shop_id", ShopId::parse);
    let start = fields.time(r.start_time.as_ref(), "start_time");
    let end = fields.time(r.end_time.as_ref(), "end_time");
    if r.methods.len() > METHODS_MAX {
        let text = format!("at most {METHODS_MAX}");
        fields.bad("methods", Reason::BatchTooLarge, text);
    }
    let scope = prost::Message::encode_to_vec(&pb::ListAuditRequest {
        page_size: 0,
        page_token: String::new(),
        ..r.clone()
    });
    let size = page::parse_size(&mut fields, r.page_size);
    let after = page::parse_after(&mut fields, &r.page_token, &scope, 2);
    let parsed = (|| {
        let filter = Filter {
            app: app?,
            shop: shop?,
            methods: r.methods.clone(),
            start: start?,
            end: end?,
        };
        Some((filter, size?, after?))
    })();
    let (filter, size, after) = fields.finish(parsed)?;
    let after = after.and_then(|keys| match keys.as_slice() {
        [time, seen] => Some(Place {
            time: Timestamp(*time),
            seen: u64::try_from(*seen).ok()?,
        }),
        _ => None,
    });
    let rows = backend.store.audit(filter, after, size).await?;
    let place = |last: &request::Model| {
        let here = rows
            .iter()
            .filter(|row| row.create_time == last.create_time);
        let before = after.filter(|place| place.time == last.create_time);
        let seen = u64::try_from(here.count()).unwrap_or(0) + before.map_or(0, |place| place.seen);
        vec![last.create_time.0, i64::try_from(seen).unwrap_or(i64::MAX)]
    };
    let next_page_token = page::next_after(&rows, size, &scope, place);
    Ok(pb::ListAuditResponse {
        entries: rows.iter().map(render).collect(),
        next_page_token,
    })
}

fn render(row: &request::Model) -> pb::AuditEntry {
    pb::AuditEntry {
        actor: row.actor.clone(),
        app_id: row.app_id.0,
        method: row.method.clone(),
        shop_id: row.shop_id.map_or(0, |id| id.0),
        resource_id: row.resource_id,
        request_id: row.request_id.to_string(),
        create_time: convert::time(row.create_time),
    }
}
