//! Journal and caps, made anew with room for products and vouchers. Nothing refers to
//! either, and SQLite cannot change what a table refuses.

pub(super) const UP: &[&str] = &[
    "CREATE TABLE journal_wide (
        aggregate TEXT NOT NULL CHECK (aggregate IN ('ISSUANCE', 'CAMPAIGN', 'PRODUCT', 'VOUCHER')),
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
        PRIMARY KEY (aggregate, aggregate_id, seq, line),
        CHECK ((campaign_id IS NULL) <> (product_id IS NULL)),
        CHECK ((debit_account IS NULL) = (credit_account IS NULL)),
        CHECK ((amount_fen IS NULL) = (debit_account IS NULL)),
        CHECK (amount_fen IS NULL OR amount_fen > 0),
        CHECK (debit_account IS NULL OR debit_account <> credit_account)
    )",
    "INSERT INTO journal_wide (aggregate, aggregate_id, seq, line, shop_id, campaign_id, kind, from_state,
        to_state, debit_account, credit_account, amount_fen, reason, actor, create_time)
     SELECT aggregate, aggregate_id, seq, line, shop_id, campaign_id, kind, from_state,
        to_state, debit_account, credit_account, amount_fen, reason, actor, create_time FROM journal",
    "DROP TABLE journal",
    "ALTER TABLE journal_wide RENAME TO journal",
    "CREATE INDEX journal_campaign ON journal (campaign_id)",
    "CREATE INDEX journal_product ON journal (product_id) WHERE product_id IS NOT NULL",
    // What is used of the caps of a campaign or of a voucher product.
    "CREATE TABLE cap_usage_wide (
        owner TEXT NOT NULL CHECK (owner IN ('CAMPAIGN', 'PRODUCT')),
        owner_id BIGINT NOT NULL,
        scope TEXT NOT NULL CHECK (scope IN ('DAY', 'BRANCH', 'RECIPIENT', 'RECIPIENT_DAY')),
        subject BIGINT NOT NULL,
        day BIGINT NOT NULL,
        used_count BIGINT NOT NULL CHECK (used_count >= 0),
        used_fen BIGINT NOT NULL CHECK (used_fen >= 0),
        limit_count BIGINT,
        limit_fen BIGINT,
        PRIMARY KEY (owner, owner_id, scope, subject, day)
    ) {keyed}",
    "INSERT INTO cap_usage_wide (owner, owner_id, scope, subject, day, used_count, used_fen, limit_count, limit_fen)
     SELECT 'CAMPAIGN', campaign_id, scope, subject, day, used_count, used_fen, limit_count, limit_fen FROM cap_usage",
    "DROP TABLE cap_usage",
    "ALTER TABLE cap_usage_wide RENAME TO cap_usage",
    "CREATE INDEX cap_usage_recipient ON cap_usage (subject) WHERE scope IN ('RECIPIENT', 'RECIPIENT_DAY')",
];
