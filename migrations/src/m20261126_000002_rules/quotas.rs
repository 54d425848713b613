//! What a provider allows a merchant: requests per second, and packets and money a day.

pub(super) const UP: &[&str] = &[
    // 0: no bound. The defaults are WeChat Pay's.
    "ALTER TABLE provider_account ADD COLUMN openid_day_count BIGINT NOT NULL DEFAULT 10",
    "ALTER TABLE provider_account ADD COLUMN openid_day_fen BIGINT NOT NULL DEFAULT 100000",
    "ALTER TABLE provider_account ADD COLUMN day_fen BIGINT NOT NULL DEFAULT 100000000",
    // The latest Beijing day against whose quota a number was counted.
    "ALTER TABLE attempt ADD COLUMN quota_day BIGINT",
    // When the next request may go out, in microseconds of the database's own clock,
    // which no scale makes faster. Claims take turns on this row.
    "CREATE TABLE account_pace (
        account_id BIGINT NOT NULL REFERENCES provider_account (id),
        lane TEXT NOT NULL CHECK (lane IN ('SEND', 'QUERY')),
        next_time BIGINT NOT NULL,
        PRIMARY KEY (account_id, lane)
    ) {keyed}",
    "INSERT INTO account_pace (account_id, lane, next_time) SELECT id, 'SEND', 0 FROM provider_account",
    "INSERT INTO account_pace (account_id, lane, next_time) SELECT id, 'QUERY', 0 FROM provider_account",
    // What was asked for on a Beijing day: of an openid, by a blind index that all
    // shops of the merchant share, or, where it is empty, of the whole account.
    "CREATE TABLE quota_usage (
        account_id BIGINT NOT NULL REFERENCES provider_account (id),
        day BIGINT NOT NULL,
        openid_index {bytes} NOT NULL,
        used_count BIGINT NOT NULL CHECK (used_count >= 0),
        used_fen BIGINT NOT NULL CHECK (used_fen >= 0),
        PRIMARY KEY (account_id, day, openid_index)
    ) {keyed}",
];
