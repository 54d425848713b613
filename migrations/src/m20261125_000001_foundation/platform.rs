//! What belongs to no campaign: settings, shops, apps, provider accounts, request ids.

pub(super) const UP: &[&str] = &[
    // Facts about the database itself: the origin of its time, the fingerprint of its keys.
    "CREATE TABLE setting (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    // The next id of each kind; replicas lease blocks of them.
    "CREATE TABLE id_block (kind TEXT NOT NULL PRIMARY KEY, next_id BIGINT NOT NULL CHECK (next_id > 0))",
    "CREATE TABLE shop (
        id {id},
        name TEXT NOT NULL,
        create_time BIGINT NOT NULL
    )",
    // 0 is the head office and has no row.
    "CREATE TABLE shop_branch (
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        shop_sub_id BIGINT NOT NULL CHECK (shop_sub_id > 0),
        name TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        PRIMARY KEY (shop_id, shop_sub_id)
    ) {keyed}",
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
        capabilities TEXT NOT NULL,
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
    // Which account pays for a kind of merchant (seed 001: gateway_type).
    "CREATE TABLE shop_gateway (
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        gateway_type TEXT NOT NULL,
        account_id BIGINT NOT NULL REFERENCES provider_account (id),
        PRIMARY KEY (shop_id, gateway_type)
    ) {keyed}",
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
];
