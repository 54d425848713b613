//! The money breaker: what a campaign or an account was planned to spend, and what
//! happened when it left its plan.

pub(super) const UP: &[&str] = &[
    // A row for each campaign and account that has a plan, or whose breaker has tripped.
    // spent_until is when all that has gone out will have been due by the plan; the
    // window counts packets that ended, in halves of two and a half minutes.
    "CREATE TABLE money_breaker (
        scope TEXT NOT NULL CHECK (scope IN ('ACCOUNT', 'CAMPAIGN')),
        subject BIGINT NOT NULL,
        fen_per_minute BIGINT NOT NULL CHECK (fen_per_minute >= 0),
        loss_max_fen BIGINT NOT NULL CHECK (loss_max_fen >= 0),
        failure_percent INTEGER NOT NULL CHECK (failure_percent BETWEEN 0 AND 100),
        spent_until BIGINT NOT NULL DEFAULT 0,
        half BIGINT NOT NULL DEFAULT 0,
        ended_count BIGINT NOT NULL DEFAULT 0,
        failed_count BIGINT NOT NULL DEFAULT 0,
        ended_before BIGINT NOT NULL DEFAULT 0,
        failed_before BIGINT NOT NULL DEFAULT 0,
        trip_reason TEXT,
        trip_time BIGINT,
        PRIMARY KEY (scope, subject),
        CHECK ((trip_reason IS NULL) = (trip_time IS NULL)),
        CHECK ((fen_per_minute > 0) = (loss_max_fen > 0)),
        CHECK (fen_per_minute > 0 OR failure_percent > 0)
    ) {keyed}",
    "CREATE INDEX money_breaker_tripped ON money_breaker (scope, subject) WHERE trip_time IS NOT NULL",
];
