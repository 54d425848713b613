//! The first schema. Plain SQL, one text for both databases: where they differ in a
//! word, the word is a placeholder. Times are microseconds since 1970 UTC, money is
//! fen, ids are given by the service.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

/// The step.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        // A rowid is 64 bits wide; INTEGER PRIMARY KEY is its name.
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        let id = if sqlite {
            "INTEGER PRIMARY KEY"
        } else {
            "BIGINT PRIMARY KEY"
        };
        let bytes = if sqlite { "BLOB" } else { "BYTEA" };
        for statement in UP {
            db.execute_unprepared(&statement.replace("{id}", id).replace("{bytes}", bytes))
                .await?;
        }
        Ok(())
    }
}

const UP: &[&str] = &[
    // Facts about the database itself: the origin of its time, the fingerprint of its keys.
    "CREATE TABLE setting (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    // The next id of each kind; replicas lease blocks of them.
    "CREATE TABLE id_block (kind TEXT NOT NULL PRIMARY KEY, next_id BIGINT NOT NULL CHECK (next_id > 0))",
    "CREATE TABLE shop (
        id {id},
        name TEXT NOT NULL,
        create_time BIGINT NOT NULL
    )",
    "CREATE TABLE app (
        id {id},
        name TEXT NOT NULL UNIQUE,
        default_shop_id BIGINT REFERENCES shop (id),
        grants TEXT NOT NULL,
        create_time BIGINT NOT NULL
    )",
    // Only a hash of a key's secret is kept.
    "CREATE TABLE api_key (
        id TEXT NOT NULL PRIMARY KEY,
        app_id BIGINT NOT NULL REFERENCES app (id),
        secret_hash {bytes} NOT NULL,
        create_time BIGINT NOT NULL,
        revoke_time BIGINT
    )",
    "CREATE INDEX api_key_app ON api_key (app_id)",
    "CREATE TABLE provider_account (
        id {id},
        protocol TEXT NOT NULL,
        mch_id TEXT NOT NULL,
        credential TEXT NOT NULL,
        appids TEXT NOT NULL,
        client_ip TEXT NOT NULL,
        min_amount_fen BIGINT NOT NULL CHECK (min_amount_fen > 0),
        max_amount_fen BIGINT NOT NULL CHECK (max_amount_fen >= min_amount_fen),
        sends_per_second INTEGER NOT NULL CHECK (sends_per_second > 0),
        queries_per_second INTEGER NOT NULL CHECK (queries_per_second > 0),
        confirm_refusals BOOLEAN NOT NULL,
        enabled BOOLEAN NOT NULL,
        breaker_code TEXT,
        breaker_until BIGINT,
        breaker_trips INTEGER NOT NULL DEFAULT 0,
        create_time BIGINT NOT NULL,
        UNIQUE (protocol, mch_id),
        CHECK ((breaker_code IS NULL) = (breaker_until IS NULL))
    )",
    "CREATE TABLE account_shop (
        account_id BIGINT NOT NULL REFERENCES provider_account (id),
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        PRIMARY KEY (account_id, shop_id)
    )",
    // A campaign and its money. available = granted - defunded - debited + credited,
    // held = debited - credited - transit - paid; neither can become negative.
    "CREATE TABLE campaign (
        id {id},
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        code TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('NAMED', 'DIRECT')),
        state TEXT NOT NULL CHECK (state IN ('DRAFT', 'ACTIVE', 'PAUSED', 'ENDED')),
        amount_type TEXT NOT NULL CHECK (amount_type IN ('FIXED', 'RANDOM', 'CALLER_SET')),
        min_amount_fen BIGINT NOT NULL CHECK (min_amount_fen > 0),
        max_amount_fen BIGINT NOT NULL CHECK (max_amount_fen >= min_amount_fen),
        revision BIGINT NOT NULL CHECK (revision > 0),
        account_id BIGINT NOT NULL REFERENCES provider_account (id),
        appid TEXT NOT NULL,
        start_time BIGINT NOT NULL,
        end_time BIGINT CHECK (end_time > start_time),
        stock_count BIGINT CHECK (stock_count > 0),
        issued_count BIGINT NOT NULL DEFAULT 0 CHECK (issued_count >= 0),
        granted_fen BIGINT NOT NULL DEFAULT 0 CHECK (granted_fen >= 0),
        defunded_fen BIGINT NOT NULL DEFAULT 0 CHECK (defunded_fen >= 0),
        debited_fen BIGINT NOT NULL DEFAULT 0 CHECK (debited_fen >= 0),
        credited_fen BIGINT NOT NULL DEFAULT 0 CHECK (credited_fen >= 0),
        transit_fen BIGINT NOT NULL DEFAULT 0 CHECK (transit_fen >= 0),
        paid_fen BIGINT NOT NULL DEFAULT 0 CHECK (paid_fen >= 0),
        version BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        UNIQUE (shop_id, code),
        CHECK (granted_fen - defunded_fen - debited_fen + credited_fen >= 0),
        CHECK (debited_fen - credited_fen - transit_fen - paid_fen >= 0),
        CHECK (stock_count IS NULL OR issued_count <= stock_count)
    )",
    // One purse for sends without a campaign.
    "CREATE UNIQUE INDEX campaign_direct ON campaign (shop_id) WHERE kind = 'DIRECT'",
    // Texts never change; new ones are a new revision.
    "CREATE TABLE campaign_revision (
        campaign_id BIGINT NOT NULL REFERENCES campaign (id),
        revision BIGINT NOT NULL,
        texts TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        PRIMARY KEY (campaign_id, revision)
    )",
    "CREATE TABLE recipient (
        id {id},
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        uid TEXT,
        nickname TEXT NOT NULL DEFAULT '',
        mobile_cipher {bytes},
        mobile_index {bytes},
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        UNIQUE (shop_id, uid),
        UNIQUE (shop_id, mobile_index)
    )",
    "CREATE TABLE recipient_openid (
        recipient_id BIGINT NOT NULL REFERENCES recipient (id),
        appid TEXT NOT NULL,
        shop_id BIGINT NOT NULL,
        openid_cipher {bytes} NOT NULL,
        openid_index {bytes} NOT NULL,
        PRIMARY KEY (recipient_id, appid),
        UNIQUE (shop_id, appid, openid_index)
    )",
    // One effect per request id of an app, for ever.
    "CREATE TABLE request (
        app_id BIGINT NOT NULL,
        request_id TEXT NOT NULL,
        method TEXT NOT NULL,
        shop_id BIGINT,
        fingerprint {bytes} NOT NULL,
        resource_id BIGINT NOT NULL,
        reply TEXT,
        create_time BIGINT NOT NULL,
        PRIMARY KEY (app_id, request_id)
    )",
    "CREATE TABLE issuance_batch (
        id {id},
        shop_id BIGINT NOT NULL,
        campaign_id BIGINT NOT NULL REFERENCES campaign (id),
        source TEXT NOT NULL,
        requested_count BIGINT NOT NULL CHECK (requested_count > 0),
        amount_fen BIGINT NOT NULL CHECK (amount_fen >= 0),
        create_time BIGINT NOT NULL
    )",
    // What has not ended has a next look; what has ended has none. due_time is the
    // lease as well: a claim moves it into the future, and a dead worker's row
    // comes back by itself. fence counts claims, version counts journal entries.
    "CREATE TABLE issuance (
        id {id},
        shop_id BIGINT NOT NULL,
        campaign_id BIGINT NOT NULL REFERENCES campaign (id),
        campaign_revision BIGINT NOT NULL,
        texts TEXT,
        batch_id BIGINT REFERENCES issuance_batch (id),
        recipient_id BIGINT REFERENCES recipient (id),
        uid TEXT,
        app_id BIGINT NOT NULL,
        request_id TEXT NOT NULL,
        account_id BIGINT NOT NULL REFERENCES provider_account (id),
        appid TEXT NOT NULL,
        openid_cipher {bytes},
        openid_index {bytes},
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        source TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('QUEUED', 'SENDING', 'UNKNOWN', 'REVIEW', 'SENT', 'RECEIVED', 'REFUNDING', 'REFUNDED', 'FAILED', 'CANCELLED')),
        last_error TEXT,
        mch_billno TEXT,
        attempt_count INTEGER NOT NULL DEFAULT 0,
        frozen BOOLEAN NOT NULL DEFAULT FALSE,
        traceparent TEXT,
        job TEXT CHECK (job IN ('SEND', 'QUERY', 'SYNC')),
        due_time BIGINT,
        fence BIGINT NOT NULL DEFAULT 0,
        version BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        send_time BIGINT,
        receive_time BIGINT,
        refund_time BIGINT,
        CHECK ((state IN ('RECEIVED', 'REFUNDED', 'FAILED', 'CANCELLED')) = (due_time IS NULL)),
        CHECK ((job IS NULL) = (due_time IS NULL)),
        CHECK (openid_cipher IS NOT NULL OR (state = 'FAILED' AND attempt_count = 0)),
        CHECK (mch_billno IS NOT NULL OR (state = 'FAILED' AND attempt_count = 0))
    )",
    // The dispatcher's work list.
    "CREATE INDEX issuance_due ON issuance (account_id, job, due_time) WHERE due_time IS NOT NULL",
    // Who waits for a person, oldest first: few rows of very many.
    "CREATE INDEX issuance_review ON issuance (update_time) WHERE state = 'REVIEW'",
    "CREATE INDEX issuance_shop ON issuance (shop_id, id)",
    "CREATE INDEX issuance_campaign ON issuance (campaign_id, state)",
    "CREATE INDEX issuance_batch_state ON issuance (batch_id, state) WHERE batch_id IS NOT NULL",
    "CREATE INDEX issuance_uid ON issuance (shop_id, uid, id) WHERE uid IS NOT NULL",
    // At most one attempt of an issuance is live: live_key is its id until the
    // provider has said that the number will not pay, and unique.
    "CREATE TABLE attempt (
        id {id},
        issuance_id BIGINT NOT NULL REFERENCES issuance (id),
        attempt_no INTEGER NOT NULL CHECK (attempt_no > 0),
        account_id BIGINT NOT NULL REFERENCES provider_account (id),
        mch_id TEXT NOT NULL,
        mch_billno TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('SENDING', 'UNKNOWN', 'REVIEW', 'SENT', 'RECEIVED', 'REFUNDING', 'REFUNDED', 'FAILED')),
        send_count INTEGER NOT NULL CHECK (send_count > 0),
        query_count INTEGER NOT NULL DEFAULT 0,
        queries_since_send INTEGER NOT NULL DEFAULT 0,
        doubtful BOOLEAN NOT NULL DEFAULT FALSE,
        first_send_time BIGINT NOT NULL,
        refuse_time BIGINT,
        not_found_time BIGINT,
        accept_time BIGINT,
        provider_order_no TEXT NOT NULL DEFAULT '',
        last_error TEXT,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        live_key BIGINT GENERATED ALWAYS AS (CASE WHEN state IN ('FAILED', 'REFUNDED') THEN NULL ELSE issuance_id END) STORED,
        UNIQUE (live_key),
        UNIQUE (mch_id, mch_billno),
        UNIQUE (issuance_id, attempt_no)
    )",
    "CREATE INDEX attempt_number ON attempt (mch_billno)",
    // What was said, word for word, encrypted. Written even when the worker had
    // lost its lease: evidence is never thrown away.
    "CREATE TABLE provider_exchange (
        id {id},
        attempt_id BIGINT NOT NULL REFERENCES attempt (id),
        call TEXT NOT NULL,
        request_cipher {bytes} NOT NULL,
        response_cipher {bytes},
        http_status INTEGER,
        outcome TEXT NOT NULL,
        late BOOLEAN NOT NULL,
        duration_ms BIGINT NOT NULL,
        create_time BIGINT NOT NULL
    )",
    "CREATE INDEX provider_exchange_attempt ON provider_exchange (attempt_id)",
    // Every change of state and every movement of money: history, ledger and event
    // feed in one. Only ever appended to.
    "CREATE TABLE journal (
        aggregate TEXT NOT NULL CHECK (aggregate IN ('ISSUANCE', 'CAMPAIGN')),
        aggregate_id BIGINT NOT NULL,
        seq BIGINT NOT NULL CHECK (seq > 0),
        line INTEGER NOT NULL,
        shop_id BIGINT NOT NULL,
        campaign_id BIGINT NOT NULL,
        kind TEXT NOT NULL,
        from_state TEXT,
        to_state TEXT NOT NULL,
        debit_account TEXT,
        credit_account TEXT,
        amount_fen BIGINT,
        reason TEXT,
        actor TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        PRIMARY KEY (aggregate, aggregate_id, seq, line),
        CHECK ((debit_account IS NULL) = (credit_account IS NULL)),
        CHECK ((amount_fen IS NULL) = (debit_account IS NULL)),
        CHECK (amount_fen IS NULL OR amount_fen > 0),
        CHECK (debit_account IS NULL OR debit_account <> credit_account)
    )",
    "CREATE INDEX journal_campaign ON journal (campaign_id)",
];
