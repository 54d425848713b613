//! The journal as a feed, and who is told of it: a place in its shop for each entry, webhook
//! endpoints, and what is delivered to them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// The step.
#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000005_events"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        super::run(manager, sqlite, &[FEED, WEBHOOKS]).await
    }
}

/// The journal made anew, with room for endpoints and for places. Entries from before get
/// theirs when the server runs, like all others.
const FEED: &[&str] = &[
    "CREATE TABLE journal_fed (
        aggregate TEXT NOT NULL CHECK (aggregate IN ('ISSUANCE', 'CAMPAIGN', 'PRODUCT', 'VOUCHER', 'ENDPOINT')),
        aggregate_id BIGINT NOT NULL,
        seq BIGINT NOT NULL CHECK (seq > 0),
        line INTEGER NOT NULL,
        shop_id BIGINT NOT NULL,
        campaign_id BIGINT,
        product_id BIGINT,
        order_id BIGINT,
        kind TEXT NOT NULL,
        from_state TEXT,
        to_state TEXT NOT NULL,
        debit_account TEXT,
        credit_account TEXT,
        amount_fen BIGINT,
        reason TEXT,
        actor TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        position BIGINT CHECK (position > 0),
        PRIMARY KEY (aggregate, aggregate_id, seq, line),
        CHECK (CASE WHEN aggregate = 'ENDPOINT' THEN campaign_id IS NULL AND product_id IS NULL AND amount_fen IS NULL
            ELSE (campaign_id IS NULL) <> (product_id IS NULL) END),
        CHECK ((debit_account IS NULL) = (credit_account IS NULL)),
        CHECK ((amount_fen IS NULL) = (debit_account IS NULL)),
        CHECK (amount_fen IS NULL OR amount_fen > 0),
        CHECK (debit_account IS NULL OR debit_account <> credit_account)
    )",
    "INSERT INTO journal_fed (aggregate, aggregate_id, seq, line, shop_id, campaign_id, product_id, order_id, kind,
        from_state, to_state, debit_account, credit_account, amount_fen, reason, actor, create_time)
     SELECT aggregate, aggregate_id, seq, line, shop_id, campaign_id, product_id, order_id, kind,
        from_state, to_state, debit_account, credit_account, amount_fen, reason, actor, create_time FROM journal",
    "DROP TABLE journal",
    "ALTER TABLE journal_fed RENAME TO journal",
    "CREATE INDEX journal_campaign ON journal (campaign_id)",
    "CREATE INDEX journal_product ON journal (product_id) WHERE product_id IS NOT NULL",
    // The feed of a shop: each place once.
    "CREATE UNIQUE INDEX journal_feed ON journal (shop_id, position) WHERE position IS NOT NULL",
    // What has no place yet: nearly nothing, at any time.
    "CREATE INDEX journal_unplaced ON journal (shop_id, create_time) WHERE position IS NULL",
    // The last place that was given in each shop. Whoever holds its row gives places, so
    // places become visible in their order.
    "CREATE TABLE event_head (
        shop_id BIGINT PRIMARY KEY,
        position BIGINT NOT NULL CHECK (position >= 0),
        update_time BIGINT NOT NULL
    ) {keyed}",
];

const WEBHOOKS: &[&str] = &[
    "CREATE TABLE webhook_endpoint (
        id {id},
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        app_id BIGINT NOT NULL REFERENCES app (id),
        url_cipher {bytes} NOT NULL,
        url_shown TEXT NOT NULL,
        style TEXT NOT NULL CHECK (style IN ('STANDARD', 'OPEN_PLATFORM')),
        types TEXT NOT NULL,
        secret_cipher {bytes} NOT NULL,
        old_secret_cipher {bytes},
        old_secret_until BIGINT,
        state TEXT NOT NULL CHECK (state IN ('ACTIVE', 'PAUSED', 'DISABLED')),
        disabled_reason TEXT,
        failure_count INTEGER NOT NULL DEFAULT 0 CHECK (failure_count >= 0),
        failing_since BIGINT,
        last_outcome TEXT,
        acknowledge_time BIGINT,
        version BIGINT NOT NULL CHECK (version > 0),
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        CHECK ((state = 'DISABLED') = (disabled_reason IS NOT NULL)),
        CHECK ((old_secret_cipher IS NULL) = (old_secret_until IS NULL)),
        CHECK ((failing_since IS NULL) = (failure_count = 0))
    )",
    "CREATE INDEX webhook_endpoint_shop ON webhook_endpoint (shop_id, id)",
    // One event for one endpoint, once. PENDING has a due time, which is the lease as well: a
    // claim moves it, so what a dead process had in hand comes back by itself.
    "CREATE TABLE webhook_delivery (
        endpoint_id BIGINT NOT NULL REFERENCES webhook_endpoint (id),
        position BIGINT NOT NULL,
        type TEXT NOT NULL,
        event_time BIGINT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD')),
        try_count INTEGER NOT NULL DEFAULT 0 CHECK (try_count >= 0),
        due_time BIGINT,
        fence BIGINT NOT NULL DEFAULT 0,
        last_outcome TEXT,
        http_status INTEGER,
        excerpt_cipher {bytes},
        duration_ms BIGINT,
        try_time BIGINT,
        acknowledge_time BIGINT,
        PRIMARY KEY (endpoint_id, position),
        CHECK ((state = 'PENDING') = (due_time IS NOT NULL)),
        CHECK ((state = 'DELIVERED') = (acknowledge_time IS NOT NULL))
    ) {keyed}",
    "CREATE INDEX webhook_delivery_due ON webhook_delivery (endpoint_id, due_time) WHERE due_time IS NOT NULL",
    "CREATE INDEX webhook_delivery_state ON webhook_delivery (endpoint_id, state, position)",
    "CREATE INDEX webhook_delivery_time ON webhook_delivery (endpoint_id, event_time)",
    // What is old and over goes.
    "CREATE INDEX webhook_delivery_over ON webhook_delivery (event_time) WHERE due_time IS NULL",
];
