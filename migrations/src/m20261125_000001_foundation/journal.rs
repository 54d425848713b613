//! History, ledger and event feed in one.

pub(super) const UP: &[&str] = &[
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
