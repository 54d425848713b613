//! Campaigns, their money, their texts and the shares of their pots.

pub(super) const UP: &[&str] = &[
    // A campaign and its money. available = granted - defunded - debited + credited,
    // held = debited - credited - transit - paid; neither can become negative.
    "CREATE TABLE campaign (
        id {id},
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        code TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('NAMED', 'DIRECT')),
        state TEXT NOT NULL CHECK (state IN ('DRAFT', 'ACTIVE', 'PAUSED', 'ENDED')),
        amount_type TEXT NOT NULL CHECK (amount_type IN ('FIXED', 'RANDOM', 'CALLER_SET', 'SPLIT')),
        min_amount_fen BIGINT NOT NULL CHECK (min_amount_fen > 0),
        max_amount_fen BIGINT NOT NULL CHECK (max_amount_fen >= min_amount_fen),
        pot_fen BIGINT CHECK (pot_fen IS NULL OR (pot_fen > 0 AND stock_count IS NOT NULL AND amount_type = 'SPLIT')),
        scan_limit INTEGER NOT NULL CHECK (scan_limit > 0),
        act_name TEXT NOT NULL,
        revision BIGINT NOT NULL CHECK (revision > 0),
        account_id BIGINT NOT NULL REFERENCES provider_account (id),
        appid TEXT NOT NULL,
        start_time BIGINT NOT NULL,
        end_time BIGINT CHECK (end_time > start_time),
        stock_count BIGINT CHECK (stock_count > 0),
        issued_count BIGINT NOT NULL DEFAULT 0 CHECK (issued_count >= 0),
        granted_fen BIGINT NOT NULL DEFAULT 0 CHECK (granted_fen >= 0),
        defunded_fen BIGINT NOT NULL DEFAULT 0 CHECK (defunded_fen >= 0),
        debited_fen BIGINT NOT NULL DEFAULT 0 CHECK (debited_fen >= 0),
        credited_fen BIGINT NOT NULL DEFAULT 0 CHECK (credited_fen >= 0),
        transit_fen BIGINT NOT NULL DEFAULT 0 CHECK (transit_fen >= 0),
        paid_fen BIGINT NOT NULL DEFAULT 0 CHECK (paid_fen >= 0),
        version BIGINT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        UNIQUE (shop_id, code),
        CHECK (granted_fen - defunded_fen - debited_fen + credited_fen >= 0),
        CHECK (debited_fen - credited_fen - transit_fen - paid_fen >= 0),
        CHECK (stock_count IS NULL OR issued_count <= stock_count)
    )",
    // One purse for sends without a campaign.
    "CREATE UNIQUE INDEX campaign_direct ON campaign (shop_id) WHERE kind = 'DIRECT'",
    // What the dispatcher must not send: few of many.
    "CREATE INDEX campaign_paused ON campaign (id) WHERE state = 'PAUSED'",
    "CREATE INDEX campaign_type ON campaign (shop_id, amount_type, id)",
    // Texts never change; new ones are a new revision.
    "CREATE TABLE campaign_revision (
        campaign_id BIGINT NOT NULL REFERENCES campaign (id),
        revision BIGINT NOT NULL,
        texts TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        PRIMARY KEY (campaign_id, revision)
    )",
    // The shares of a pot, made when the campaign is activated. A scan takes one; a
    // packet that is proven not to have been paid gives its share back.
    "CREATE TABLE campaign_share (
        campaign_id BIGINT NOT NULL REFERENCES campaign (id),
        position INTEGER NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        issuance_id BIGINT,
        PRIMARY KEY (campaign_id, position)
    ) {keyed}",
    "CREATE INDEX campaign_share_free ON campaign_share (campaign_id, position) WHERE issuance_id IS NULL",
    "CREATE UNIQUE INDEX campaign_share_issuance ON campaign_share (issuance_id) WHERE issuance_id IS NOT NULL",
];
