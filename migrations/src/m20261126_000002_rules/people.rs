//! People: operators beside apps, what a second one of them has to agree to, and the
//! record of every write.

pub(super) const UP: &[&str] = &[
    // An app is a calling system, an operator a person. Only a person decides for a
    // second one; persons are made where the database is, never over the wire.
    "ALTER TABLE app ADD COLUMN kind TEXT NOT NULL DEFAULT 'APP' CHECK (kind IN ('APP', 'OPERATOR'))",
    // The roles of an operator, as JSON. What a role may do is the program's, so that
    // a new version's permissions reach those who hold it.
    "ALTER TABLE app ADD COLUMN roles TEXT NOT NULL DEFAULT '[]'",
    // Who acted, by name, for whoever reads the record of all writes.
    "ALTER TABLE request ADD COLUMN actor TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX request_time ON request (create_time, app_id, request_id)",
    // Sends and funding above these need a second person; none: no bound.
    "ALTER TABLE campaign ADD COLUMN approve_send_above_fen BIGINT CHECK (approve_send_above_fen >= 0)",
    "ALTER TABLE campaign ADD COLUMN approve_fund_above_fen BIGINT CHECK (approve_fund_above_fen >= 0)",
    // A call that waits for a second person, by its name; the same call, made again,
    // uses the approval up.
    "CREATE TABLE approval (
        id {id},
        app_id BIGINT NOT NULL REFERENCES app (id),
        request_id TEXT NOT NULL,
        actor TEXT NOT NULL,
        method TEXT NOT NULL,
        fingerprint {bytes} NOT NULL,
        shop_id BIGINT REFERENCES shop (id),
        campaign_id BIGINT,
        issuance_id BIGINT,
        rule TEXT NOT NULL CHECK (rule IN ('SEND_ABOVE', 'FUND_ABOVE', 'LOOSEN_BOUND', 'CLOSE_REVIEW', 'BREAKER_TRIPPED')),
        summary TEXT NOT NULL,
        packet_count BIGINT NOT NULL CHECK (packet_count >= 0),
        amount_fen BIGINT NOT NULL CHECK (amount_fen >= 0),
        state TEXT NOT NULL CHECK (state IN ('PENDING', 'APPROVED', 'REJECTED', 'USED', 'WITHDRAWN')),
        decided_by BIGINT REFERENCES app (id),
        decider TEXT NOT NULL DEFAULT '',
        reason TEXT NOT NULL DEFAULT '',
        decide_time BIGINT,
        create_time BIGINT NOT NULL,
        UNIQUE (app_id, request_id),
        CHECK (state <> 'PENDING' OR decided_by IS NULL),
        CHECK (state IN ('PENDING', 'WITHDRAWN') OR decided_by IS NOT NULL),
        CHECK (decided_by IS NULL OR decided_by <> app_id)
    )",
    "CREATE INDEX approval_pending ON approval (create_time, id) WHERE state = 'PENDING'",
    "CREATE INDEX approval_case ON approval (issuance_id) WHERE issuance_id IS NOT NULL",
    "CREATE INDEX approval_time ON approval (create_time, id)",
    // What a person has to look at: packets in doubt for too long, and those whose
    // provider contradicted itself.
    "DROP INDEX issuance_review",
    "CREATE INDEX issuance_review ON issuance (shop_id, update_time, id) WHERE state = 'REVIEW' OR frozen",
];
