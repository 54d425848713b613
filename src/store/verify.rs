//! What must hold at any instant: every check gives the ids that break it.
//!
//! The checks restate in SQL what the code promises, from the rows alone, so that a
//! mistake in the code cannot hide in the check. Each is one statement, so it sees
//! one instant, also while a server is at work.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, JoinType, QueryFilter, QueryOrder,
    QuerySelect, Statement,
};

use super::Store;
use super::entity::{attempt, issuance};
use super::tx::{End, Fault, to_error};
use crate::domain::id::{AttemptId, IssuanceId};
use crate::domain::{Fen, Result, State};

mod events;
mod vouchers;

/// A rule of the books.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What must hold, in a sentence.
    pub rule: &'static str,
    /// Selects `id` of whatever breaks it.
    sql: &'static str,
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// How many things break it.
    pub count: usize,
    /// The first of them.
    pub ids: Vec<i64>,
}

/// Ids of one finding that are named.
const NAMED_MAX: usize = 20;

/// Every check.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    PACKETS.iter().chain(vouchers::CHECKS).chain(events::CHECKS)
}

/// What must hold of campaigns and packets.
const PACKETS: &[Check] = &[
    Check {
        name: "budget-is-the-ledger",
        rule: "the columns of a campaign's budget are the sums of its journal",
        sql: "SELECT c.id AS id FROM campaign c LEFT JOIN (
                SELECT campaign_id,
                  SUM(CASE WHEN debit_account = 'EXTERNAL' THEN amount_fen ELSE 0 END) AS granted,
                  SUM(CASE WHEN credit_account = 'EXTERNAL' THEN amount_fen ELSE 0 END) AS defunded,
                  SUM(CASE WHEN debit_account = 'AVAILABLE' AND credit_account <> 'EXTERNAL' THEN amount_fen ELSE 0 END) AS debited,
                  SUM(CASE WHEN credit_account = 'AVAILABLE' AND debit_account <> 'EXTERNAL' THEN amount_fen ELSE 0 END) AS credited,
                  SUM(CASE WHEN credit_account = 'TRANSIT' THEN amount_fen WHEN debit_account = 'TRANSIT' THEN -amount_fen ELSE 0 END) AS transit,
                  SUM(CASE WHEN credit_account = 'PAID' THEN amount_fen WHEN debit_account = 'PAID' THEN -amount_fen ELSE 0 END) AS paid,
                  SUM(CASE WHEN credit_account = 'FEE' THEN amount_fen ELSE 0 END) AS fee,
                  SUM(CASE WHEN debit_account = 'DISCOUNT' THEN amount_fen ELSE 0 END) AS discount
                FROM journal GROUP BY campaign_id) j ON j.campaign_id = c.id
              WHERE c.granted_fen <> COALESCE(j.granted, 0) OR c.defunded_fen <> COALESCE(j.defunded, 0)
                 OR c.debited_fen <> COALESCE(j.debited, 0) OR c.credited_fen <> COALESCE(j.credited, 0)
                 OR c.transit_fen <> COALESCE(j.transit, 0) OR c.paid_fen <> COALESCE(j.paid, 0)
                 OR c.fee_fen <> COALESCE(j.fee, 0) OR c.discount_fen <> COALESCE(j.discount, 0)",
    },
    Check {
        name: "budget-is-the-packets",
        rule: "what a campaign has held, in transit and paid are the sums of its packets in those states",
        sql: "SELECT c.id AS id FROM campaign c LEFT JOIN (
                SELECT campaign_id,
                  SUM(CASE WHEN state IN ('QUEUED', 'SENDING', 'UNKNOWN', 'REVIEW') THEN amount_fen ELSE 0 END) AS held,
                  SUM(CASE WHEN state IN ('SENT', 'REFUNDING') THEN amount_fen ELSE 0 END) AS transit,
                  SUM(CASE WHEN state = 'RECEIVED' THEN amount_fen WHEN state = 'REFUNDED' THEN amount_fen - refunded_fen ELSE 0 END) AS paid
                FROM issuance GROUP BY campaign_id) i ON i.campaign_id = c.id
              WHERE c.debited_fen - c.credited_fen - c.transit_fen - c.paid_fen <> COALESCE(i.held, 0)
                 OR c.transit_fen <> COALESCE(i.transit, 0) OR c.paid_fen <> COALESCE(i.paid, 0)",
    },
    Check {
        name: "budget-not-overspent",
        rule: "no campaign has less than nothing available or held",
        sql: "SELECT id FROM campaign WHERE granted_fen - defunded_fen - debited_fen + credited_fen < 0
                 OR debited_fen - credited_fen - transit_fen - paid_fen < 0",
    },
    Check {
        name: "stock-is-the-packets",
        rule: "a campaign's issued count is its packets without the failed and cancelled ones",
        sql: "SELECT c.id AS id FROM campaign c LEFT JOIN (
                SELECT campaign_id, COUNT(*) AS counted FROM issuance
                WHERE state NOT IN ('FAILED', 'CANCELLED') GROUP BY campaign_id) i ON i.campaign_id = c.id
              WHERE c.issued_count <> COALESCE(i.counted, 0)",
    },
    Check {
        name: "one-live-attempt",
        rule: "a packet has at most one number that may still pay, and its numbers are counted without gaps",
        sql: "SELECT issuance_id AS id FROM attempt GROUP BY issuance_id
              HAVING SUM(CASE WHEN state NOT IN ('FAILED', 'REFUNDED') THEN 1 ELSE 0 END) > 1 OR MAX(attempt_no) <> COUNT(*)",
    },
    Check {
        name: "number-used-once",
        rule: "no merchant order number stands for two attempts",
        sql: "SELECT MIN(issuance_id) AS id FROM attempt GROUP BY mch_id, mch_billno HAVING COUNT(*) > 1",
    },
    Check {
        name: "packet-shows-its-attempt",
        rule: "a packet has the state and the number of its latest attempt, and as many attempts as it counts",
        sql: "SELECT i.id AS id FROM issuance i LEFT JOIN attempt a ON a.issuance_id = i.id AND a.attempt_no = i.attempt_count
              WHERE (i.attempt_count > 0 AND a.id IS NULL)
                 OR (i.state NOT IN ('QUEUED', 'CANCELLED') AND a.id IS NOT NULL AND (a.state <> i.state OR a.mch_billno <> i.mch_billno))
                 OR (a.id IS NULL AND i.state NOT IN ('QUEUED', 'CANCELLED', 'FAILED'))
                 OR EXISTS (SELECT 1 FROM attempt later WHERE later.issuance_id = i.id AND later.attempt_no > i.attempt_count)",
    },
    Check {
        name: "nothing-forgotten",
        rule: "what has not ended has a next look, and what has ended has none; a packet of an open platform ends when it is sent",
        sql: "SELECT i.id AS id FROM issuance i JOIN provider_account a ON a.id = i.account_id
              WHERE (i.state IN ('RECEIVED', 'REFUNDED', 'FAILED', 'CANCELLED') OR (i.state = 'SENT' AND a.protocol = 'open_platform'))
                  <> (i.due_time IS NULL) OR (i.job IS NULL) <> (i.due_time IS NULL)",
    },
    Check {
        name: "failed-only-by-proof",
        rule: "an attempt is FAILED because the provider's state says so, because a query confirmed the refusal of its only request, or because two people have closed its case",
        sql: "SELECT a.issuance_id AS id FROM attempt a WHERE a.state = 'FAILED'
              AND NOT EXISTS (SELECT 1 FROM provider_exchange e WHERE e.attempt_id = a.id AND e.outcome = 'FAILED')
              AND NOT EXISTS (SELECT 1 FROM approval p WHERE p.issuance_id = a.issuance_id AND p.rule = 'CLOSE_REVIEW' AND p.state = 'USED')
              AND NOT (a.send_count = 1 AND NOT a.doubtful AND a.refuse_time IS NOT NULL
                AND EXISTS (SELECT 1 FROM provider_exchange e WHERE e.attempt_id = a.id AND e.outcome = 'NOT_FOUND'))",
    },
    Check {
        name: "sent-only-by-proof",
        rule: "an attempt that counts as sent has an exchange in which the provider said so, or two people have closed its case",
        sql: "SELECT a.issuance_id AS id FROM attempt a WHERE a.state IN ('SENT', 'RECEIVED', 'REFUNDING', 'REFUNDED')
              AND NOT EXISTS (SELECT 1 FROM provider_exchange e WHERE e.attempt_id = a.id
                AND e.outcome IN ('ACCEPTED', 'SENT', 'RECEIVED', 'REFUNDING', 'REFUNDED'))
              AND NOT EXISTS (SELECT 1 FROM approval p WHERE p.issuance_id = a.issuance_id AND p.rule = 'CLOSE_REVIEW' AND p.state = 'USED')",
    },
    Check {
        name: "packet-history-unbroken",
        rule: "a packet's journal is numbered without gaps, as often as its version says, and each entry starts where the one before ended",
        sql: "SELECT i.id AS id FROM issuance i LEFT JOIN (
                SELECT aggregate_id, COUNT(*) AS entries, MAX(seq) AS last FROM journal
                WHERE aggregate = 'ISSUANCE' AND line = 0 GROUP BY aggregate_id) j ON j.aggregate_id = i.id
              WHERE COALESCE(j.entries, 0) <> i.version OR COALESCE(j.last, 0) <> i.version
              UNION SELECT b.aggregate_id AS id FROM journal b JOIN journal a
                ON a.aggregate = b.aggregate AND a.aggregate_id = b.aggregate_id AND a.seq = b.seq - 1
              WHERE b.aggregate = 'ISSUANCE' AND a.to_state <> b.from_state
              UNION SELECT i.id AS id FROM issuance i JOIN journal j
                ON j.aggregate = 'ISSUANCE' AND j.aggregate_id = i.id AND j.seq = i.version WHERE j.to_state <> i.state",
    },
    Check {
        name: "campaign-history-unbroken",
        rule: "a campaign's journal is numbered without gaps, as often as its version says",
        sql: "SELECT c.id AS id FROM campaign c LEFT JOIN (
                SELECT aggregate_id, COUNT(*) AS entries, MAX(seq) AS last FROM journal
                WHERE aggregate = 'CAMPAIGN' GROUP BY aggregate_id) j ON j.aggregate_id = c.id
              WHERE COALESCE(j.entries, 0) <> c.version OR COALESCE(j.last, 0) <> c.version",
    },
    Check {
        name: "legal-edges",
        rule: "no packet went a way that the state machine does not know",
        sql: "SELECT aggregate_id AS id FROM journal WHERE aggregate = 'ISSUANCE' AND kind NOT IN ('CONTRADICTION', 'REVIEW_CLOSED')
              AND COALESCE(from_state, '-') || '>' || to_state NOT IN (
                '->QUEUED', '->FAILED', 'QUEUED>SENDING', 'QUEUED>CANCELLED', 'FAILED>QUEUED', 'REFUNDED>QUEUED',
                'SENDING>UNKNOWN', 'SENDING>REVIEW', 'SENDING>SENT', 'SENDING>FAILED', 'UNKNOWN>SENDING',
                'UNKNOWN>SENT', 'UNKNOWN>RECEIVED', 'UNKNOWN>REFUNDING', 'UNKNOWN>REFUNDED', 'UNKNOWN>FAILED', 'UNKNOWN>REVIEW',
                'REVIEW>SENT', 'REVIEW>RECEIVED', 'REVIEW>REFUNDING', 'REVIEW>REFUNDED', 'REVIEW>FAILED',
                'SENT>RECEIVED', 'SENT>REFUNDING', 'SENT>REFUNDED', 'SENT>REVIEW', 'REFUNDING>REFUNDED', 'REFUNDING>REVIEW')",
    },
    Check {
        name: "tripped-is-held-back",
        rule: "a campaign whose money breaker has tripped issues and sends nothing",
        sql: "SELECT c.id AS id FROM campaign c JOIN money_breaker b ON b.scope = 'CAMPAIGN' AND b.subject = c.id
              WHERE b.trip_time IS NOT NULL AND c.state = 'ACTIVE'",
    },
    Check {
        name: "closed-by-two",
        rule: "a case was closed by hand to what a verdict can say, by a call of one person that another has approved",
        sql: "SELECT j.aggregate_id AS id FROM journal j WHERE j.aggregate = 'ISSUANCE' AND j.kind = 'REVIEW_CLOSED'
              AND (j.to_state NOT IN ('FAILED', 'RECEIVED', 'REFUNDED', 'SENT') OR NOT EXISTS (
                SELECT 1 FROM approval p JOIN app a ON a.id = p.app_id JOIN app d ON d.id = p.decided_by
                WHERE p.issuance_id = j.aggregate_id AND p.rule = 'CLOSE_REVIEW' AND p.state = 'USED'
                  AND a.kind = 'OPERATOR' AND d.kind = 'OPERATOR' AND p.decided_by <> p.app_id))
              UNION SELECT p.id AS id FROM approval p WHERE p.state = 'USED' AND NOT EXISTS (
                SELECT 1 FROM request r WHERE r.app_id = p.app_id AND r.request_id = p.request_id)",
    },
    Check {
        name: "batch-is-its-packets",
        rule: "a batch counts its packets, each state for itself, and all of those who were asked for",
        sql: "SELECT b.id AS id FROM issuance_batch b LEFT JOIN (
                SELECT batch_id, COUNT(*) AS packets,
                  SUM(CASE WHEN state = 'FAILED' AND attempt_count = 0 THEN 1 ELSE 0 END) AS refused,
                  SUM(CASE WHEN state = 'FAILED' AND attempt_count > 0 THEN 1 ELSE 0 END) AS failed,
                  SUM(CASE WHEN state = 'QUEUED' THEN 1 ELSE 0 END) AS queued,
                  SUM(CASE WHEN state = 'SENDING' THEN 1 ELSE 0 END) AS sending,
                  SUM(CASE WHEN state = 'UNKNOWN' THEN 1 ELSE 0 END) AS unsure,
                  SUM(CASE WHEN state = 'REVIEW' THEN 1 ELSE 0 END) AS review,
                  SUM(CASE WHEN state = 'SENT' THEN 1 ELSE 0 END) AS sent,
                  SUM(CASE WHEN state = 'RECEIVED' THEN 1 ELSE 0 END) AS received,
                  SUM(CASE WHEN state = 'REFUNDING' THEN 1 ELSE 0 END) AS refunding,
                  SUM(CASE WHEN state = 'REFUNDED' THEN 1 ELSE 0 END) AS refunded,
                  SUM(CASE WHEN state = 'CANCELLED' THEN 1 ELSE 0 END) AS cancelled
                FROM issuance WHERE batch_id IS NOT NULL GROUP BY batch_id) i ON i.batch_id = b.id
              WHERE b.requested_count <> COALESCE(i.packets, 0) OR b.refused_count <> COALESCE(i.refused, 0)
                 OR b.failed_count <> COALESCE(i.failed, 0) OR b.queued_count <> COALESCE(i.queued, 0)
                 OR b.sending_count <> COALESCE(i.sending, 0) OR b.unknown_count <> COALESCE(i.unsure, 0)
                 OR b.review_count <> COALESCE(i.review, 0) OR b.sent_count <> COALESCE(i.sent, 0)
                 OR b.received_count <> COALESCE(i.received, 0) OR b.refunding_count <> COALESCE(i.refunding, 0)
                 OR b.refunded_count <> COALESCE(i.refunded, 0) OR b.cancelled_count <> COALESCE(i.cancelled, 0)",
    },
    Check {
        name: "pot-is-the-packets",
        rule: "a share of a pot belongs to the packet that holds it, with its amount, and to no packet that was proven not to be paid",
        sql: "SELECT i.id AS id FROM issuance i LEFT JOIN campaign_share s ON s.campaign_id = i.campaign_id AND s.position = i.share_position
              WHERE i.share_position IS NOT NULL AND i.state NOT IN ('FAILED', 'CANCELLED')
                AND (s.issuance_id IS NULL OR s.issuance_id <> i.id OR s.amount_fen <> i.amount_fen)
              UNION SELECT s.issuance_id AS id FROM campaign_share s LEFT JOIN issuance i ON i.id = s.issuance_id
              WHERE s.issuance_id IS NOT NULL AND (i.id IS NULL OR i.share_position IS NULL
                OR i.share_position <> s.position OR i.state IN ('FAILED', 'CANCELLED'))
              UNION SELECT c.id AS id FROM campaign c LEFT JOIN (
                SELECT campaign_id, COUNT(*) AS shares, SUM(amount_fen) AS pot FROM campaign_share GROUP BY campaign_id) s ON s.campaign_id = c.id
              WHERE (c.state IN ('ACTIVE', 'PAUSED') OR s.shares > 0)
                AND (COALESCE(s.shares, 0) <> CASE WHEN c.pot_fen > 0 THEN c.stock_count ELSE 0 END OR COALESCE(s.pot, 0) <> COALESCE(c.pot_fen, 0))",
    },
    Check {
        name: "counted-while-it-may-pay",
        rule: "a packet counts against caps unless it has failed or was withdrawn",
        sql: "SELECT id FROM issuance WHERE (state IN ('FAILED', 'CANCELLED')) <> (counted_day IS NULL)",
    },
    Check {
        name: "caps-are-the-packets",
        rule: "what is used of a campaign's caps is the number and the sum of the packets that count",
        sql: "SELECT campaign_id AS id FROM (
                SELECT owner_id AS campaign_id, scope, subject, day, used_count AS packets, used_fen AS fen FROM cap_usage WHERE owner = 'CAMPAIGN'
                UNION ALL SELECT campaign_id, 'DAY', 0, counted_day, -1, -amount_fen FROM issuance WHERE counted_day IS NOT NULL
                UNION ALL SELECT campaign_id, 'BRANCH', shop_sub_id, 0, -1, -amount_fen FROM issuance WHERE counted_day IS NOT NULL
                UNION ALL SELECT i.campaign_id, 'RECIPIENT', i.recipient_id, 0, -1, -i.amount_fen
                  FROM issuance i JOIN campaign c ON c.id = i.campaign_id WHERE c.counts_recipients AND i.counted_day IS NOT NULL
                UNION ALL SELECT i.campaign_id, 'RECIPIENT_DAY', i.recipient_id, i.counted_day, -1, -i.amount_fen
                  FROM issuance i JOIN campaign c ON c.id = i.campaign_id WHERE c.counts_recipients AND i.counted_day IS NOT NULL
              ) u GROUP BY campaign_id, scope, subject, day HAVING SUM(packets) <> 0 OR SUM(fen) <> 0",
    },
    Check {
        name: "receipts-within-the-packet",
        rule: "what receivers took of a packet is no more than it held, and all that did not come back once it has ended",
        sql: "SELECT i.id AS id FROM issuance i LEFT JOIN (
                SELECT issuance_id, attempt_no, SUM(amount_fen) AS taken FROM issuance_receipt GROUP BY issuance_id, attempt_no
              ) r ON r.issuance_id = i.id AND r.attempt_no = i.attempt_count
              WHERE COALESCE(r.taken, 0) > i.amount_fen
                 OR (i.state = 'RECEIVED' AND i.received_fen <> i.amount_fen)
                 OR (i.state = 'REFUNDED' AND i.received_fen + i.refunded_fen <> i.amount_fen)",
    },
    Check {
        name: "request-has-its-effect",
        rule: "a request id that was used for a send has the batch or packet that it made",
        sql: "SELECT r.resource_id AS id FROM request r WHERE
                (r.method IN ('SendToUsers', 'SendToGroups') AND NOT EXISTS (SELECT 1 FROM issuance_batch b WHERE b.id = r.resource_id))
                OR (r.method IN ('SendRedPacket', 'ScanSend') AND NOT EXISTS (SELECT 1 FROM issuance i WHERE i.id = r.resource_id))
              UNION SELECT i.id AS id FROM issuance i WHERE NOT EXISTS (
                SELECT 1 FROM request r WHERE r.app_id = i.app_id AND r.request_id = i.request_id)",
    },
    Check {
        name: "one-tenant",
        rule: "a packet, its campaign and its batch belong to one shop",
        sql: "SELECT i.id AS id FROM issuance i JOIN campaign c ON c.id = i.campaign_id
              LEFT JOIN issuance_batch b ON b.id = i.batch_id
              WHERE c.shop_id <> i.shop_id OR (b.id IS NOT NULL AND (b.shop_id <> i.shop_id OR b.campaign_id <> i.campaign_id))",
    },
];

/// A number and where it stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// Whose it is.
    pub issuance: IssuanceId,
    /// How much.
    pub amount: Fen,
    /// Where its attempt stands.
    pub state: State,
    /// How much came back, where it is the packet's latest number and has ended so.
    pub refunded: Option<Fen>,
}

impl Store {
    /// Runs every check. Findings are empty when all is well.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn verify(&self) -> Result<Vec<Finding>> {
        if self.reader().get_database_backend() == DbBackend::Sqlite {
            // Readers never wait for the writer, nor he for them.
            return Ok(run_checks(self.reader()).await?);
        }
        self.write_or_try(End::RollBack, |tx| {
            Box::pin(async move {
                // A large database may take longer than a call may.
                tx.execute_unprepared("SET LOCAL statement_timeout = 0")
                    .await?;
                // Every check reads whole tables. Before the first ANALYZE the planner
                // takes them for small and would go through one for each row of another.
                tx.execute_unprepared("SET LOCAL enable_nestloop = off")
                    .await?;
                run_checks(tx).await
            })
        })
        .await
    }

    /// Every merchant order number of an account's merchant, for a comparison with
    /// a provider's books.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn numbers(&self, mch_id: &str) -> Result<BTreeMap<String, Number>> {
        let mut numbers = BTreeMap::new();
        let mut after = AttemptId(0);
        loop {
            type Row = (AttemptId, IssuanceId, String, State, i32, Fen, i32, Fen);
            let rows: Vec<Row> = attempt::Entity::find()
                .select_only()
                .columns([
                    attempt::Column::Id,
                    attempt::Column::IssuanceId,
                    attempt::Column::MchBillno,
                    attempt::Column::State,
                    attempt::Column::AttemptNo,
                ])
                .column(issuance::Column::AmountFen)
                .column(issuance::Column::AttemptCount)
                .column(issuance::Column::RefundedFen)
                .join(
                    JoinType::InnerJoin,
                    attempt::Entity::belongs_to(issuance::Entity)
                        .from(attempt::Column::IssuanceId)
                        .to(issuance::Column::Id)
                        .into(),
                )
                .filter(attempt::Column::MchId.eq(mch_id))
                .filter(attempt::Column::Id.gt(after))
                .order_by_asc(attempt::Column::Id)
                .limit(1_000)
                .into_tuple()
                .all(self.reader())
                .await
                .map_err(to_error)?;
            let Some(last) = rows.last() else {
                return Ok(numbers);
            };
            after = last.0;
            for (_, issuance, number, state, attempt_no, amount, attempt_count, refunded) in rows {
                let ended = state == State::Refunded && attempt_no == attempt_count;
                let number_of = Number {
                    issuance,
                    amount,
                    state,
                    refunded: (ended && refunded > Fen::ZERO).then_some(refunded),
                };
                numbers.insert(number, number_of);
            }
        }
    }
}

async fn run_checks(db: &impl ConnectionTrait) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    for check in checks() {
        let rows = db
            .query_all_raw(Statement::from_string(db.get_database_backend(), check.sql))
            .await?;
        let ids: Vec<i64> = rows
            .iter()
            .map(|row| row.try_get("", "id"))
            .collect::<Result<_, _>>()?;
        if !ids.is_empty() {
            let named = ids.iter().copied().take(NAMED_MAX).collect();
            findings.push(Finding {
                check: *check,
                count: ids.len(),
                ids: named,
            });
        }
    }
    Ok(findings)
}
