//! Calls to voucher platforms that somebody else runs, and what was said in each.

pub(super) const UP: &[&str] = &[
    // One call that changes something there: each is sent once. SENDING from the claim on;
    // sent_time says whether the request may have left, and then nothing is sent again.
    "CREATE TABLE remote_call (
        order_id BIGINT NOT NULL REFERENCES voucher_order (id),
        line INTEGER NOT NULL,
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        account_id BIGINT NOT NULL REFERENCES provider_account (id),
        kind TEXT NOT NULL CHECK (kind IN ('GIVE', 'SPEND', 'UNDO')),
        voucher_id BIGINT REFERENCES voucher (id),
        state TEXT NOT NULL CHECK (state IN ('QUEUED', 'SENDING', 'UNKNOWN', 'REVIEW', 'DONE', 'FAILED')),
        request_cipher {bytes} NOT NULL,
        codes_cipher {bytes},
        pair_index {bytes},
        baseline TEXT,
        refusal TEXT,
        last_error TEXT,
        remote_orders TEXT NOT NULL,
        sent_time BIGINT,
        ended_time BIGINT,
        due_time BIGINT,
        fence BIGINT NOT NULL,
        tries INTEGER NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        PRIMARY KEY (order_id, line),
        CHECK ((kind = 'GIVE') = (pair_index IS NOT NULL)),
        CHECK ((kind = 'GIVE') = (voucher_id IS NOT NULL)),
        CHECK ((state IN ('QUEUED', 'SENDING', 'UNKNOWN')) = (due_time IS NOT NULL)),
        CHECK ((sent_time IS NULL) = (ended_time IS NULL)),
        CHECK (state <> 'QUEUED' OR sent_time IS NULL),
        CHECK (state NOT IN ('UNKNOWN', 'REVIEW') OR sent_time IS NOT NULL),
        CHECK (codes_cipher IS NULL OR state IN ('QUEUED', 'SENDING', 'UNKNOWN'))
    ) {keyed}",
    "CREATE INDEX remote_call_due ON remote_call (account_id, due_time) WHERE due_time IS NOT NULL",
    // What is counted now and then: few of many.
    "CREATE INDEX remote_call_open ON remote_call (state) WHERE state IN ('QUEUED', 'SENDING', 'UNKNOWN', 'REVIEW')",
    // A voucher is given once.
    "CREATE UNIQUE INDEX remote_call_give ON remote_call (voucher_id) WHERE voucher_id IS NOT NULL",
    // Two gifts to one person of one product cannot be told apart, so the second waits.
    "CREATE UNIQUE INDEX remote_call_pair ON remote_call (pair_index) WHERE state IN ('SENDING', 'UNKNOWN', 'REVIEW')",
    // A spend and its undo wait for each other.
    "CREATE UNIQUE INDEX remote_call_turn ON remote_call (order_id) WHERE kind <> 'GIVE' AND state NOT IN ('DONE', 'FAILED')",
    // A voucher of a platform is one voucher here.
    "CREATE UNIQUE INDEX voucher_remote ON voucher (product_id, remote_id) WHERE remote_id IS NOT NULL",
    // What was said, word for word.
    "CREATE TABLE remote_exchange (
        id {id},
        order_id BIGINT NOT NULL,
        line INTEGER NOT NULL,
        name TEXT NOT NULL,
        request_cipher {bytes} NOT NULL,
        response_cipher {bytes},
        http_status INTEGER,
        late BOOLEAN NOT NULL,
        duration_ms BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        FOREIGN KEY (order_id, line) REFERENCES remote_call (order_id, line)
    )",
    "CREATE INDEX remote_exchange_call ON remote_exchange (order_id, line, id)",
];
