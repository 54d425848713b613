//! Orders at an open platform (seed 003): that one was taken, what it costs, what its campaign
//! and its caller bring along, and what the platform reports of it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// The step.
#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261130_000006_open_platform"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        let ends = if sqlite { ENDS_SQLITE } else { ENDS_POSTGRES };
        super::run(manager, sqlite, &[ends, ORDERS, CALLBACKS]).await
    }
}

/// A packet of an open platform ends when it is SENT, and then has no next look: the table must
/// allow that. What has ended otherwise still has none, and what has not ended has one.
///
/// SQLite has no statement for it. A check that is loosened changes no row, and for that its
/// documents (lang_altertable.html, the simpler procedure) let the text of the table be written.
/// The ALTER TABLE that follows makes every connection read it anew.
const ENDS_SQLITE: &[&str] = &["PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql,
        'CHECK ((state IN (''RECEIVED'', ''REFUNDED'', ''FAILED'', ''CANCELLED'')) = (due_time IS NULL))',
        'CHECK (CASE WHEN due_time IS NULL THEN state IN (''SENT'', ''RECEIVED'', ''REFUNDED'', ''FAILED'', ''CANCELLED'')
            ELSE state NOT IN (''RECEIVED'', ''REFUNDED'', ''FAILED'', ''CANCELLED'') END)')
        WHERE type = 'table' AND name = 'issuance';
    PRAGMA writable_schema = RESET"];

const ENDS_POSTGRES: &[&str] = &[
    "DO $$
    DECLARE old TEXT;
    BEGIN
        SELECT conname INTO STRICT old FROM pg_constraint WHERE conrelid = 'issuance'::regclass AND contype = 'c'
            AND pg_get_constraintdef(oid) LIKE '%RECEIVED%' AND pg_get_constraintdef(oid) LIKE '%(due_time IS NULL)%';
        EXECUTE format('ALTER TABLE issuance DROP CONSTRAINT %I', old);
    END $$",
    "ALTER TABLE issuance ADD CONSTRAINT issuance_has_a_next_look CHECK (
        CASE WHEN due_time IS NULL THEN state IN ('SENT', 'RECEIVED', 'REFUNDED', 'FAILED', 'CANCELLED')
        ELSE state NOT IN ('RECEIVED', 'REFUNDED', 'FAILED', 'CANCELLED') END)",
];

const ORDERS: &[&str] = &[
    // When the provider said that it has the order and works on it.
    "ALTER TABLE attempt ADD COLUMN take_time BIGINT",
    // What the provider charges for it, rounded up to whole fen.
    "ALTER TABLE attempt ADD COLUMN cost_fen BIGINT CHECK (cost_fen >= 0)",
    // What packets cost beside their face value, and what they cost less.
    "ALTER TABLE campaign ADD COLUMN fee_fen BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE campaign ADD COLUMN discount_fen BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE campaign ADD COLUMN template_id TEXT",
    "ALTER TABLE campaign ADD COLUMN settlement_bp INTEGER NOT NULL DEFAULT 10000",
    "ALTER TABLE issuance ADD COLUMN mobile_cipher {bytes}",
    "ALTER TABLE issuance ADD COLUMN callback_cipher {bytes}",
    "ALTER TABLE webhook_endpoint ADD COLUMN order_callbacks BOOLEAN NOT NULL DEFAULT FALSE",
];

const CALLBACKS: &[&str] = &[
    // One report, however often it comes: the digest is of its body.
    "CREATE TABLE provider_callback (
        id {id},
        credential TEXT NOT NULL,
        digest {bytes} NOT NULL,
        order_code TEXT NOT NULL,
        biz_code TEXT NOT NULL,
        said TEXT,
        attempt_id BIGINT REFERENCES attempt (id),
        effect TEXT NOT NULL CHECK (effect IN ('ASKED', 'KNOWN', 'CONTRADICTION', 'QUARANTINED')),
        body_cipher {bytes} NOT NULL,
        come_count BIGINT NOT NULL DEFAULT 1 CHECK (come_count > 0),
        sign_time BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        CHECK ((effect = 'QUARANTINED') = (attempt_id IS NULL))
    )",
    "CREATE UNIQUE INDEX provider_callback_once ON provider_callback (credential, digest)",
    "CREATE INDEX provider_callback_attempt ON provider_callback (attempt_id) WHERE attempt_id IS NOT NULL",
    "CREATE INDEX provider_callback_quarantined ON provider_callback (credential, id) WHERE attempt_id IS NULL",
    // How far each shop's feed is published elsewhere, and until when somebody goes on with it.
    "CREATE TABLE event_sink (
        name TEXT NOT NULL,
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        position BIGINT NOT NULL CHECK (position >= 0),
        lease_until BIGINT NOT NULL,
        PRIMARY KEY (name, shop_id)
    ) {keyed}",
];
