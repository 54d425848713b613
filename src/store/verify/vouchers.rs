//! What must hold of vouchers.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "product-budget-is-the-ledger",
        rule: "the columns of a voucher product's budget are the sums of its journal",
        sql: "SELECT p.id AS id FROM voucher_product p LEFT JOIN (
                SELECT product_id,
                  SUM(CASE WHEN debit_account = 'EXTERNAL' THEN amount_fen ELSE 0 END) AS granted,
                  SUM(CASE WHEN credit_account = 'EXTERNAL' THEN amount_fen ELSE 0 END) AS defunded,
                  SUM(CASE WHEN debit_account = 'AVAILABLE' AND credit_account <> 'EXTERNAL' THEN amount_fen ELSE 0 END) AS debited,
                  SUM(CASE WHEN credit_account = 'AVAILABLE' AND debit_account <> 'EXTERNAL' THEN amount_fen ELSE 0 END) AS credited,
                  SUM(CASE WHEN credit_account = 'REDEEMED' THEN amount_fen WHEN debit_account = 'REDEEMED' THEN -amount_fen ELSE 0 END) AS redeemed
                FROM journal WHERE product_id IS NOT NULL GROUP BY product_id) j ON j.product_id = p.id
              WHERE p.granted_fen <> COALESCE(j.granted, 0) OR p.defunded_fen <> COALESCE(j.defunded, 0)
                 OR p.debited_fen <> COALESCE(j.debited, 0) OR p.credited_fen <> COALESCE(j.credited, 0)
                 OR p.redeemed_fen <> COALESCE(j.redeemed, 0)",
    },
    Check {
        name: "liability-is-the-vouchers",
        rule: "a product's liability is what is on its open vouchers, and what is redeemed is what orders have spent",
        sql: "SELECT p.id AS id FROM voucher_product p LEFT JOIN (
                SELECT product_id, SUM(CASE WHEN state IN ('PENDING', 'ISSUED', 'RESERVED', 'FROZEN') THEN balance_fen ELSE 0 END) AS liability
                FROM voucher GROUP BY product_id) v ON v.product_id = p.id LEFT JOIN (
                SELECT v.product_id, SUM(r.amount_fen) AS redeemed FROM voucher_redemption r JOIN voucher v ON v.id = r.voucher_id
                WHERE r.state = 'SPENT' GROUP BY v.product_id) r ON r.product_id = p.id
              WHERE p.debited_fen - p.credited_fen - p.redeemed_fen <> COALESCE(v.liability, 0)
                 OR p.redeemed_fen <> COALESCE(r.redeemed, 0)",
    },
    Check {
        name: "product-not-overspent",
        rule: "no voucher product has less than nothing available or on its vouchers",
        sql: "SELECT id FROM voucher_product WHERE granted_fen - defunded_fen - debited_fen + credited_fen < 0
                 OR debited_fen - credited_fen - redeemed_fen < 0",
    },
    Check {
        name: "product-stock-is-the-vouchers",
        rule: "a product's issued count is the number of its vouchers",
        sql: "SELECT p.id AS id FROM voucher_product p LEFT JOIN (
                SELECT product_id, COUNT(*) AS counted FROM voucher GROUP BY product_id) v ON v.product_id = p.id
              WHERE p.issued_count <> COALESCE(v.counted, 0)",
    },
    Check {
        name: "balance-is-the-uses",
        rule: "what is missing on a voucher is what orders have spent of it, and its uses are counted without gaps",
        sql: "SELECT v.id AS id FROM voucher v LEFT JOIN (
                SELECT voucher_id, COUNT(*) AS uses, MAX(redemption_no) AS last,
                  SUM(CASE WHEN state = 'SPENT' THEN amount_fen ELSE 0 END) AS spent
                FROM voucher_redemption GROUP BY voucher_id) r ON r.voucher_id = v.id
              WHERE v.face_fen - v.balance_fen <> COALESCE(r.spent, 0)
                 OR v.redemption_count <> COALESCE(r.uses, 0) OR v.redemption_count <> COALESCE(r.last, 0)",
    },
    Check {
        name: "order-is-whole",
        rule: "an order's lines have its state and its sum, and there is no order without lines",
        sql: "SELECT o.id AS id FROM voucher_order o LEFT JOIN (
                SELECT order_id, COUNT(*) AS lines, SUM(amount_fen) AS fen, MIN(state) AS low, MAX(state) AS high
                FROM voucher_redemption GROUP BY order_id) r ON r.order_id = o.id LEFT JOIN (
                SELECT give_order_id, COUNT(*) AS lines, SUM(face_fen) AS fen FROM voucher GROUP BY give_order_id) g ON g.give_order_id = o.id
              WHERE (o.kind = 'SPEND' AND (COALESCE(r.lines, 0) = 0 OR r.fen <> o.amount_fen OR r.low <> o.state OR r.high <> o.state OR g.lines > 0))
                 OR (o.kind = 'GIVE' AND (COALESCE(g.lines, 0) = 0 OR g.fen <> o.amount_fen OR r.lines > 0))",
    },
    Check {
        name: "held-by-its-order",
        rule: "a voucher is held if, and only if, the order that it names holds it",
        sql: "SELECT v.id AS id FROM voucher v LEFT JOIN voucher_redemption r ON r.voucher_id = v.id AND r.state = 'RESERVED'
              WHERE (v.state = 'RESERVED') <> (r.order_id IS NOT NULL) OR v.hold_order_id <> r.order_id",
    },
    Check {
        name: "voucher-history-unbroken",
        rule: "a voucher's journal is numbered without gaps, as often as its version says, and each entry starts where the one before ended",
        sql: "SELECT v.id AS id FROM voucher v LEFT JOIN (
                SELECT aggregate_id, COUNT(*) AS entries, MAX(seq) AS last FROM journal
                WHERE aggregate = 'VOUCHER' GROUP BY aggregate_id) j ON j.aggregate_id = v.id
              WHERE COALESCE(j.entries, 0) <> v.version OR COALESCE(j.last, 0) <> v.version
              UNION SELECT b.aggregate_id AS id FROM journal b JOIN journal a
                ON a.aggregate = b.aggregate AND a.aggregate_id = b.aggregate_id AND a.seq = b.seq - 1
              WHERE b.aggregate = 'VOUCHER' AND a.to_state <> b.from_state
              UNION SELECT v.id AS id FROM voucher v JOIN journal j
                ON j.aggregate = 'VOUCHER' AND j.aggregate_id = v.id AND j.seq = v.version WHERE j.to_state <> v.state",
    },
    Check {
        name: "product-history-unbroken",
        rule: "a voucher product's journal is numbered without gaps, as often as its version says",
        sql: "SELECT p.id AS id FROM voucher_product p LEFT JOIN (
                SELECT aggregate_id, COUNT(*) AS entries, MAX(seq) AS last FROM journal
                WHERE aggregate = 'PRODUCT' GROUP BY aggregate_id) j ON j.aggregate_id = p.id
              WHERE COALESCE(j.entries, 0) <> p.version OR COALESCE(j.last, 0) <> p.version",
    },
    Check {
        name: "voucher-legal-edges",
        rule: "no voucher went a way that its states do not know",
        sql: "SELECT aggregate_id AS id FROM journal WHERE aggregate = 'VOUCHER'
              AND kind || ':' || COALESCE(from_state, '-') || '>' || to_state NOT IN (
                'GIVEN:->ISSUED', 'ACCEPTED:->PENDING', 'GIVEN:PENDING>ISSUED', 'NOT_GIVEN:PENDING>VOIDED',
                'RESERVED:ISSUED>RESERVED', 'RELEASED:RESERVED>ISSUED',
                'SPENT:ISSUED>SPENT', 'SPENT:ISSUED>ISSUED', 'SPENT:RESERVED>SPENT', 'SPENT:RESERVED>ISSUED',
                'UNDONE:SPENT>ISSUED', 'UNDONE:ISSUED>ISSUED', 'UNDONE:RESERVED>RESERVED', 'UNDONE:FROZEN>FROZEN',
                'UNDONE:VOIDED>VOIDED', 'UNDONE:EXPIRED>EXPIRED', 'FROZEN:ISSUED>FROZEN', 'UNFROZEN:FROZEN>ISSUED',
                'EXTENDED:ISSUED>ISSUED', 'EXTENDED:FROZEN>FROZEN', 'EXTENDED:RESERVED>RESERVED', 'EXTENDED:EXPIRED>ISSUED', 'EXTENDED:EXPIRED>FROZEN',
                'VOIDED:ISSUED>VOIDED', 'VOIDED:FROZEN>VOIDED', 'EXPIRED:ISSUED>EXPIRED', 'EXPIRED:FROZEN>EXPIRED')",
    },
    Check {
        name: "remote-order-is-its-calls",
        rule: "an order on a platform is pending, in review or failed as its calls are, and no other order has calls",
        sql: "SELECT o.id AS id FROM voucher_order o LEFT JOIN (
                SELECT order_id, SUM(CASE WHEN state IN ('QUEUED', 'SENDING', 'UNKNOWN') THEN 1 ELSE 0 END) AS open,
                  SUM(CASE WHEN state = 'REVIEW' THEN 1 ELSE 0 END) AS review,
                  SUM(CASE WHEN state = 'DONE' THEN 1 ELSE 0 END) AS done
                FROM remote_call GROUP BY order_id) c ON c.order_id = o.id
              WHERE (o.remote IS NULL) <> (c.order_id IS NULL)
                 OR (o.remote = 'PENDING') <> (c.open > 0) OR (o.remote = 'REVIEW') <> (c.open = 0 AND c.review > 0)
                 OR (o.remote = 'FAILED') <> (c.open = 0 AND c.review = 0 AND c.done = 0)",
    },
    Check {
        name: "spent-there-as-here",
        rule: "an order that spends on a platform is spent, let go of and undone here as its calls are there",
        sql: "SELECT o.id AS id FROM voucher_order o JOIN (
                SELECT order_id,
                  SUM(CASE WHEN kind = 'SPEND' AND state = 'DONE' THEN 1 ELSE 0 END) AS spent,
                  SUM(CASE WHEN kind = 'SPEND' AND state = 'FAILED' THEN 1 ELSE 0 END) AS failed,
                  SUM(CASE WHEN kind = 'UNDO' AND state = 'DONE' THEN 1 ELSE 0 END) AS undone
                FROM remote_call WHERE kind <> 'GIVE' GROUP BY order_id) c ON c.order_id = o.id
              WHERE (o.state = 'SPENT') <> (c.spent = 1 AND c.undone = 0) OR (o.state = 'UNDONE') <> (c.undone = 1)
                 OR (o.state = 'RELEASED') <> (c.failed = 1) OR (o.state = 'RESERVED') <> (c.spent = 0 AND c.failed = 0)",
    },
    Check {
        name: "given-there-once",
        rule: "a voucher of a platform is pending as long as its one call is open, and has a number there if, and only if, that is done",
        sql: "SELECT v.id AS id FROM voucher v JOIN voucher_product p ON p.id = v.product_id LEFT JOIN remote_call c ON c.voucher_id = v.id
              WHERE (p.account_id IS NULL) <> (c.order_id IS NULL)
                 OR (v.state = 'PENDING') <> (c.order_id IS NOT NULL AND c.state NOT IN ('DONE', 'FAILED'))
                 OR (v.remote_id IS NOT NULL) <> (c.order_id IS NOT NULL AND c.state = 'DONE')
                 OR (v.remote_id IS NULL AND p.account_id IS NOT NULL AND v.state NOT IN ('PENDING', 'VOIDED'))",
    },
    Check {
        name: "spent-in-its-time",
        rule: "no voucher was spent or held outside of its validity, but one that was held in time",
        sql: "SELECT v.id AS id FROM voucher v JOIN voucher_redemption r ON r.voucher_id = v.id
              WHERE r.create_time >= v.end_time OR r.create_time < v.start_time",
    },
    Check {
        name: "caps-are-the-vouchers",
        rule: "what is used of a product's caps is the number and the sum of the vouchers that were given",
        sql: "SELECT product_id AS id FROM (
                SELECT owner_id AS product_id, scope, subject, day, used_count AS vouchers, used_fen AS fen FROM cap_usage WHERE owner = 'PRODUCT'
                UNION ALL SELECT product_id, 'DAY', 0, (create_time + 28800000000) / 86400000000, -1, -face_fen FROM voucher
                UNION ALL SELECT v.product_id, 'RECIPIENT', v.recipient_id, 0, -1, -v.face_fen
                  FROM voucher v JOIN voucher_product p ON p.id = v.product_id WHERE p.counts_recipients AND v.recipient_id IS NOT NULL
                UNION ALL SELECT v.product_id, 'RECIPIENT_DAY', v.recipient_id, (v.create_time + 28800000000) / 86400000000, -1, -v.face_fen
                  FROM voucher v JOIN voucher_product p ON p.id = v.product_id WHERE p.counts_recipients AND v.recipient_id IS NOT NULL
              ) u GROUP BY product_id, scope, subject, day HAVING SUM(vouchers) <> 0 OR SUM(fen) <> 0",
    },
];
