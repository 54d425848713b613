//! Who is told of what.

use std::collections::BTreeSet;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};

use super::super::entity::{journal, webhook_delivery, webhook_endpoint};
use super::super::journal::insert_all;
use super::super::tx::{Fault, Tx};
use super::super::voucher::Access;
use super::PING;
use crate::domain::event::{Aggregate, Types, type_name};
use crate::domain::id::{ProductId, ShopId};
use crate::domain::webhook::{DeliveryState, Style};

impl Tx {
    /// Makes a delivery of each event for each endpoint of the shop that wants it.
    pub(in crate::store) async fn fan_out(
        &self,
        shop: ShopId,
        placed: &[(i64, journal::Model)],
    ) -> Result<u64, Fault> {
        let endpoints = webhook_endpoint::Entity::find()
            .filter(webhook_endpoint::Column::ShopId.eq(shop))
            .order_by_asc(webhook_endpoint::Column::Id)
            .all(self)
            .await?;
        if endpoints.is_empty() {
            return Ok(0);
        }
        let products: BTreeSet<ProductId> = placed
            .iter()
            .filter_map(|(_, row)| row.product_id)
            .collect();
        let mut deliveries = Vec::new();
        for endpoint in endpoints {
            let access = Access {
                app: endpoint.app_id,
                is_person: false,
            };
            let seen = access.seen(self, products.clone()).await?;
            let types = Types::from_text(&endpoint.types);
            let wanted = placed
                .iter()
                .filter(|(_, row)| wants(&endpoint, &types, &seen, row));
            deliveries.extend(wanted.map(|(position, row)| webhook_delivery::ActiveModel {
                endpoint_id: Set(endpoint.id),
                position: Set(*position),
                kind: Set(type_name(row.aggregate, &row.kind)),
                event_time: Set(row.create_time),
                state: Set(DeliveryState::Pending),
                try_count: Set(0),
                due_time: Set(Some(self.now())),
                fence: Set(0),
                last_outcome: Set(None),
                http_status: Set(None),
                excerpt_cipher: Set(None),
                duration_ms: Set(None),
                try_time: Set(None),
                acknowledge_time: Set(None),
            }));
        }
        let count = u64::try_from(deliveries.len()).unwrap_or(u64::MAX);
        insert_all::<webhook_delivery::Entity, _>(self, deliveries).await?;
        Ok(count)
    }
}

fn wants(
    endpoint: &webhook_endpoint::Model,
    types: &Types,
    seen: &BTreeSet<ProductId>,
    row: &journal::Model,
) -> bool {
    let own = row.aggregate == Aggregate::Endpoint && row.aggregate_id == endpoint.id.0;
    if row.aggregate == Aggregate::Endpoint && row.kind == PING {
        return own;
    }
    // What was before it is not told, though its place comes later.
    if row.create_time < endpoint.create_time {
        return false;
    }
    // It is not told of itself: it was just disabled, or is being changed by its app.
    if own || row.product_id.is_some_and(|id| !seen.contains(&id)) {
        return false;
    }
    let told = match endpoint.style {
        Style::Standard => true,
        // Seed 003 reports how an order ended, and nothing else.
        Style::OpenPlatform => {
            row.aggregate == Aggregate::Issuance
                && matches!(row.kind.as_str(), "SENT" | "FAILED" | "CANCELLED")
        }
    };
    told && types.want(row.aggregate, &row.kind)
}
