//! What a person has stopped.

pub(super) const UP: &[&str] = &[
    // A row for everything, for each account and each shop, stopped or not: claims
    // share a lock on theirs, so that a stop that has been answered holds for every
    // claim after it.
    "CREATE TABLE stop (
        scope TEXT NOT NULL CHECK (scope IN ('EVERYTHING', 'ACCOUNT', 'SHOP')),
        subject BIGINT NOT NULL,
        stopped BOOLEAN NOT NULL DEFAULT FALSE,
        reason TEXT NOT NULL DEFAULT '',
        stopped_by BIGINT,
        actor TEXT NOT NULL DEFAULT '',
        update_time BIGINT NOT NULL DEFAULT 0,
        PRIMARY KEY (scope, subject),
        CHECK (NOT stopped OR stopped_by IS NOT NULL)
    ) {keyed}",
    "CREATE INDEX stop_stopped ON stop (scope, subject) WHERE stopped",
    "INSERT INTO stop (scope, subject) VALUES ('EVERYTHING', 0)",
    "INSERT INTO stop (scope, subject) SELECT 'ACCOUNT', id FROM provider_account",
    "INSERT INTO stop (scope, subject) SELECT 'SHOP', id FROM shop",
];
