//! What owners confirm spends with, and how often somebody has guessed.

pub(super) const UP: &[&str] = &[
    // Only a keyed hash of a code is kept. A row without one counts wrong codes.
    "CREATE TABLE step_up_code (
        recipient_id BIGINT NOT NULL REFERENCES recipient (id),
        kind TEXT NOT NULL CHECK (kind IN ('ACCOUNT_CODE', 'PAYMENT_CODE')),
        hash {bytes},
        expire_time BIGINT,
        wrong_count INTEGER NOT NULL DEFAULT 0 CHECK (wrong_count >= 0),
        locked_until BIGINT,
        update_time BIGINT NOT NULL,
        PRIMARY KEY (recipient_id, kind)
    ) {keyed}",
    // Codes of vouchers that an app tried and that are none.
    "CREATE TABLE code_guess (
        app_id BIGINT NOT NULL REFERENCES app (id),
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        wrong_count INTEGER NOT NULL CHECK (wrong_count >= 0),
        since BIGINT NOT NULL,
        locked_until BIGINT,
        PRIMARY KEY (app_id, shop_id)
    ) {keyed}",
];
