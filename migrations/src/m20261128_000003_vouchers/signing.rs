//! What apps sign their calls with, and the nonces that they have used.

pub(super) const UP: &[&str] = &[
    // A row for an app that signs. app_key is encrypted; a scheme that needs a key has one.
    "CREATE TABLE app_signing (
        app_id {id} REFERENCES app (id),
        accepts_hmac BOOLEAN NOT NULL,
        accepts_rsa BOOLEAN NOT NULL,
        accepts_map BOOLEAN NOT NULL,
        required TEXT NOT NULL CHECK (required IN ('NOTHING', 'VOUCHERS', 'EVERYTHING')),
        app_key {bytes},
        public_key TEXT,
        map_hash TEXT NOT NULL CHECK (map_hash IN ('SHA1', 'SHA256', 'MD5')),
        map_covers_associated BOOLEAN NOT NULL,
        order_id_prefix TEXT,
        window_seconds INTEGER NOT NULL CHECK (window_seconds BETWEEN 1 AND 900),
        actor TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        CHECK (app_key IS NOT NULL OR NOT (accepts_hmac OR accepts_map)),
        CHECK (public_key IS NOT NULL OR NOT (accepts_rsa OR accepts_map)),
        CHECK (required <> 'VOUCHERS' OR accepts_hmac OR accepts_rsa OR accepts_map),
        CHECK (required <> 'EVERYTHING' OR accepts_hmac OR accepts_rsa)
    )",
    // One call for each nonce of an app. seen_time is the database's own, which no scale
    // makes faster, like the clocks of those who sign.
    "CREATE TABLE signing_nonce (
        app_id BIGINT NOT NULL,
        nonce TEXT NOT NULL,
        call_hash {bytes} NOT NULL,
        seen_time BIGINT NOT NULL,
        PRIMARY KEY (app_id, nonce)
    ) {keyed}",
    "CREATE INDEX signing_nonce_seen ON signing_nonce (seen_time)",
];
