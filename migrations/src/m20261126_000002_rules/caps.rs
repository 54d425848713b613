//! Caps: what a campaign allows one person, one day, one branch, and what is used of it.

pub(super) const UP: &[&str] = &[
    // The caps as JSON; {} bounds nothing. Whether people are counted is decided while
    // the campaign is a draft, since who was not counted cannot be given back.
    "ALTER TABLE campaign ADD COLUMN caps TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE campaign ADD COLUMN counts_recipients BOOLEAN NOT NULL DEFAULT FALSE",
    // The Beijing day, in days since 1970, on which a packet was counted; none while it
    // is not: it failed or was withdrawn, or was never accepted.
    "ALTER TABLE issuance ADD COLUMN counted_day BIGINT",
    // What is used. subject is a recipient, a branch or 0, day is 0 where days do not
    // matter. The limits are those of the last taking.
    "CREATE TABLE cap_usage (
        campaign_id BIGINT NOT NULL REFERENCES campaign (id),
        scope TEXT NOT NULL CHECK (scope IN ('DAY', 'BRANCH', 'RECIPIENT', 'RECIPIENT_DAY')),
        subject BIGINT NOT NULL,
        day BIGINT NOT NULL,
        used_count BIGINT NOT NULL CHECK (used_count >= 0),
        used_fen BIGINT NOT NULL CHECK (used_fen >= 0),
        limit_count BIGINT,
        limit_fen BIGINT,
        PRIMARY KEY (campaign_id, scope, subject, day)
    ) {keyed}",
    // Two rows that turn out to be one person bring their usage together.
    "CREATE INDEX cap_usage_recipient ON cap_usage (subject) WHERE scope IN ('RECIPIENT', 'RECIPIENT_DAY')",
    "UPDATE issuance SET counted_day = (create_time + 28800000000) / 86400000000 WHERE state NOT IN ('FAILED', 'CANCELLED')",
    "INSERT INTO cap_usage (campaign_id, scope, subject, day, used_count, used_fen)
     SELECT campaign_id, 'DAY', 0, counted_day, COUNT(*), CAST(SUM(amount_fen) AS BIGINT)
     FROM issuance WHERE counted_day IS NOT NULL GROUP BY campaign_id, counted_day",
    "INSERT INTO cap_usage (campaign_id, scope, subject, day, used_count, used_fen)
     SELECT campaign_id, 'BRANCH', shop_sub_id, 0, COUNT(*), CAST(SUM(amount_fen) AS BIGINT)
     FROM issuance WHERE counted_day IS NOT NULL GROUP BY campaign_id, shop_sub_id",
];
