//! What must hold of feeds and deliveries.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "feed-has-no-gap",
        rule: "the places of a shop's feed are 1 to its head, each once",
        sql: "SELECT h.shop_id AS id FROM event_head h LEFT JOIN (
                SELECT shop_id, COUNT(position) AS places, COALESCE(MAX(position), 0) AS last FROM journal GROUP BY shop_id
              ) j ON j.shop_id = h.shop_id
              WHERE h.position <> COALESCE(j.places, 0) OR h.position <> COALESCE(j.last, 0)",
    },
    Check {
        name: "feed-keeps-subjects-in-order",
        rule: "no change of a thing has a place before the change that came first",
        sql: "SELECT later.aggregate_id AS id FROM journal later JOIN journal earlier ON earlier.aggregate = later.aggregate
                AND earlier.aggregate_id = later.aggregate_id AND earlier.seq = later.seq - 1
              WHERE later.position IS NOT NULL AND (earlier.position IS NULL OR earlier.position > later.position)",
    },
    Check {
        name: "delivery-has-its-event",
        rule: "what is delivered is an event of the endpoint's shop",
        sql: "SELECT d.endpoint_id AS id FROM webhook_delivery d JOIN webhook_endpoint e ON e.id = d.endpoint_id
              LEFT JOIN journal j ON j.shop_id = e.shop_id AND j.position = d.position WHERE j.position IS NULL",
    },
];
