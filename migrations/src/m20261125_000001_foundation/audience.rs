//! Recipients and groups, and what finds them by a part of a name.

pub(super) const UP: &[&str] = &[
    "CREATE TABLE recipient (
        id {id},
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        shop_sub_id BIGINT NOT NULL DEFAULT 0 CHECK (shop_sub_id >= 0),
        uid TEXT,
        nickname TEXT NOT NULL DEFAULT '',
        mobile_cipher {bytes},
        mobile_index {bytes},
        mobile_tail_index {bytes},
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        UNIQUE (shop_id, uid),
        UNIQUE (shop_id, mobile_index)
    )",
    "CREATE INDEX recipient_shop ON recipient (shop_id, id)",
    // The last four digits are asked for; ten thousand values, so the index is keyed like the whole.
    "CREATE INDEX recipient_mobile_tail ON recipient (shop_id, mobile_tail_index) WHERE mobile_tail_index IS NOT NULL",
    "CREATE TABLE recipient_openid (
        recipient_id BIGINT NOT NULL REFERENCES recipient (id),
        appid TEXT NOT NULL,
        shop_id BIGINT NOT NULL,
        openid_cipher {bytes} NOT NULL,
        openid_index {bytes} NOT NULL,
        PRIMARY KEY (recipient_id, appid),
        UNIQUE (shop_id, appid, openid_index)
    )",
    // Callers bring their own ids, so two shops may bring the same one.
    "CREATE TABLE recipient_group (
        shop_id BIGINT NOT NULL REFERENCES shop (id),
        id BIGINT NOT NULL CHECK (id > 0),
        name TEXT NOT NULL,
        create_time BIGINT NOT NULL,
        update_time BIGINT NOT NULL,
        PRIMARY KEY (shop_id, id)
    ) {keyed}",
    "CREATE TABLE group_member (
        shop_id BIGINT NOT NULL,
        group_id BIGINT NOT NULL,
        recipient_id BIGINT NOT NULL REFERENCES recipient (id),
        PRIMARY KEY (shop_id, group_id, recipient_id),
        FOREIGN KEY (shop_id, group_id) REFERENCES recipient_group (shop_id, id)
    ) {keyed}",
    "CREATE INDEX group_member_recipient ON group_member (recipient_id)",
    // One and two neighbouring characters of each name, in lower case: a keyword is
    // found by its pairs, then compared whole.
    "CREATE TABLE search_gram (
        shop_id BIGINT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('RECIPIENT', 'CAMPAIGN', 'GROUP')),
        gram TEXT NOT NULL,
        ref_id BIGINT NOT NULL,
        PRIMARY KEY (shop_id, kind, gram, ref_id)
    ) {keyed}",
    // A name that changes takes its old grams away.
    "CREATE INDEX search_gram_ref ON search_gram (shop_id, kind, ref_id)",
];
