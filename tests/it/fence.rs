//! Workers that were frozen and come back. Their answers are evidence and are kept;
//! what moves a packet is only the answer to its latest claim; and an answer that
//! says that a closed number was paid after all stops everything about the packet.

use std::time::Duration;

use hongbao::domain::State;
use hongbao::domain::id::AccountId;
use hongbao::domain::outcome::{
    Cause, ProviderState, QueryOutcome, Rejection, RejectionKind, Report, SendOutcome,
};
use hongbao::domain::protocol::Protocol;
use hongbao::domain::schedule::Job;
use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::store::claim::Claimed;
use hongbao::store::settle::{Answer, Exchange, Settled, Settlement};

use crate::dispatching::resend;
use crate::sending::ready;
use crate::support::{Options, Raw, TestApp, TestDb, on_both};

const SHOP: i64 = 1;

on_both!(
    a_late_answer_is_kept_and_moves_nothing,
    a_failure_after_a_late_payment_is_not_believed,
    a_payment_after_a_failure_freezes,
    a_payment_after_a_failure_freezes_within_one_settling,
    a_late_payment_of_an_old_number_freezes_the_new_one,
    many_claimants_get_each_packet_once,
    a_frozen_sender_is_asked_about_not_repeated,
);

/// A server that sends nothing by itself, with one queued packet.
async fn one_queued(db: TestDb) -> (TestApp, i64) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaign = ready(&app, 10_000).await;
    let sent = app.client.send(SHOP, campaign, "oFrozen").await.unwrap();
    (app, sent.issuance_id)
}

/// Claims for a lease that is over at once.
pub async fn claim(app: &TestApp, job: Job) -> Vec<Claimed> {
    let account = app.store().account(AccountId(1)).await.unwrap().row;
    let claims = app
        .store()
        .claim(&account, job, 64, Duration::ZERO, Duration::from_secs(2))
        .await;
    claims.unwrap().packets
}

async fn claim_one(app: &TestApp, job: Job) -> Claimed {
    // The claim before has put it off until now, and now is over in a moment.
    for _ in 0..50 {
        if let Some(packet) = claim(app, job).await.pop() {
            return packet;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nothing to {}", job.name());
}

pub fn answer(packet: &Claimed, answer: Answer) -> Settlement {
    Settlement {
        issuance: packet.issuance.id,
        attempt: packet.attempt.id,
        fence: packet.issuance.fence,
        exchange: Exchange {
            call: "sendredpack",
            request: b"ours".to_vec(),
            response: Some(b"theirs".to_vec()),
            http_status: Some(200),
            duration_ms: 1,
        },
        answer,
        protocol: Protocol::WechatPayV2,
        confirm_refusals: true,
        random: 0,
    }
}

pub fn accepted() -> Answer {
    Answer::Send(SendOutcome::Accepted {
        provider_order_no: "theirs-1".into(),
        package: None,
    })
}

pub fn known(state: ProviderState) -> Answer {
    Answer::Query(QueryOutcome::Known(Report {
        state,
        provider_order_no: String::new(),
        reason: String::new(),
        received_at: None,
        refunded_at: None,
        refunded: None,
        receipts: Vec::new(),
        cost: None,
    }))
}

/// Everything that is queued goes out without an answer, and then the provider says
/// that it failed.
pub async fn fail_all(app: &TestApp) {
    loop {
        let claimed = claim(app, Job::Send).await;
        if claimed.is_empty() {
            return;
        }
        let said: [fn() -> Answer; 2] = [
            || Answer::Send(SendOutcome::Unknown(Cause::Timeout)),
            || known(ProviderState::Failed),
        ];
        for said in said {
            let answers = claimed.iter().map(|packet| answer(packet, said()));
            settle(app, answers.collect()).await;
        }
    }
}

async fn settle(app: &TestApp, settlements: Vec<Settlement>) -> Vec<Settled> {
    app.store().settle(settlements).await.unwrap()
}

async fn settle_one(app: &TestApp, packet: &Claimed, what: Answer) -> Settled {
    settle(app, vec![answer(packet, what)]).await.remove(0)
}

async fn seen(app: &TestApp, id: i64) -> pb::Issuance {
    app.client.get(SHOP, id).await.issuance.unwrap()
}

async fn assert_rules_hold(app: &TestApp) {
    let findings = app.store().verify().await.unwrap();
    assert!(findings.is_empty(), "{findings:?}");
}

async fn late_rows(app: &TestApp) -> Vec<String> {
    let raw = Raw::open(&app.db).await;
    raw.texts("SELECT outcome FROM provider_exchange WHERE late ORDER BY id")
        .await
}

async fn a_late_answer_is_kept_and_moves_nothing(db: TestDb) {
    let (app, id) = one_queued(db).await;
    let frozen = claim_one(&app, Job::Send).await;
    let next = claim_one(&app, Job::Query).await;
    assert_eq!(next.attempt.mch_billno, frozen.attempt.mch_billno);
    assert_eq!(next.issuance.fence, frozen.issuance.fence + 1);
    assert_eq!(seen(&app, id).await.state(), S::Unknown);

    let late = settle_one(&app, &frozen, accepted()).await;
    assert!(late.late && !late.contradiction);
    assert_eq!(late.to, State::Unknown);
    let still = seen(&app, id).await;
    assert!(still.state() == S::Unknown && !still.frozen);
    assert_eq!(late_rows(&app).await, ["ACCEPTED"]);
    assert_rules_hold(&app).await;

    let moved = settle_one(&app, &next, known(ProviderState::Sent)).await;
    assert_eq!((moved.late, moved.to), (false, State::Sent));
    assert_rules_hold(&app).await;
    app.stop().await;
}

async fn a_failure_after_a_late_payment_is_not_believed(db: TestDb) {
    let (app, id) = one_queued(db).await;
    let frozen = claim_one(&app, Job::Send).await;
    let next = claim_one(&app, Job::Query).await;
    let late = settle_one(&app, &frozen, accepted()).await;
    assert!(late.late && !late.contradiction);
    // In time, "paid" and then "failed" needs a person; so it does when late.
    let after = settle_one(&app, &next, known(ProviderState::Failed)).await;
    assert!(after.contradiction, "{after:?}");
    let stopped = seen(&app, id).await;
    assert!(
        stopped.state() == S::Review && stopped.frozen,
        "{stopped:?}"
    );
    assert_eq!(resend(&app, id).await, "ISSUANCE_FROZEN");
    assert_rules_hold(&app).await;
    app.stop().await;
}

async fn a_payment_after_a_failure_freezes(db: TestDb) {
    let (app, id) = one_queued(db).await;
    let frozen = claim_one(&app, Job::Send).await;
    let next = claim_one(&app, Job::Query).await;
    settle_one(&app, &next, known(ProviderState::Failed)).await;
    assert_eq!(seen(&app, id).await.state(), S::Failed);
    let late = settle_one(&app, &frozen, accepted()).await;
    assert!(late.late && late.contradiction);
    let stopped = seen(&app, id).await;
    assert!(stopped.state() == S::Failed && stopped.frozen);
    assert_eq!(resend(&app, id).await, "ISSUANCE_FROZEN");
    assert_eq!(late_rows(&app).await, ["ACCEPTED"]);
    assert_rules_hold(&app).await;
    app.stop().await;
}

async fn a_payment_after_a_failure_freezes_within_one_settling(db: TestDb) {
    let (app, id) = one_queued(db).await;
    let frozen = claim_one(&app, Job::Send).await;
    let next = claim_one(&app, Job::Query).await;
    // Both answers wait when the next transaction begins.
    let both = vec![
        answer(&next, known(ProviderState::Failed)),
        answer(&frozen, accepted()),
    ];
    settle(&app, both).await;
    let stopped = seen(&app, id).await;
    assert!(
        stopped.state() == S::Failed && stopped.frozen,
        "{stopped:?}"
    );
    assert_eq!(resend(&app, id).await, "ISSUANCE_FROZEN");
    assert_rules_hold(&app).await;
    app.stop().await;
}

async fn a_late_payment_of_an_old_number_freezes_the_new_one(db: TestDb) {
    let (app, id) = one_queued(db).await;
    let frozen = claim_one(&app, Job::Send).await;
    let next = claim_one(&app, Job::Query).await;
    settle_one(&app, &next, known(ProviderState::Failed)).await;
    let again = pb::ResendRequest {
        shop_id: SHOP,
        request_id: "again".into(),
        issuance_id: id,
        ..Default::default()
    };
    app.client.issuances().resend(again).await.unwrap();
    let second = claim_one(&app, Job::Send).await;
    assert_ne!(second.attempt.mch_billno, frozen.attempt.mch_billno);
    let both = vec![
        answer(&second, Answer::Send(SendOutcome::Unknown(Cause::Timeout))),
        answer(&frozen, accepted()),
    ];
    let done = settle(&app, both).await;
    assert!(done[1].late && done[1].contradiction);
    assert!(seen(&app, id).await.frozen);
    assert_rules_hold(&app).await;
    // The second number is still followed, and a failure of it is not believed.
    let third = claim_one_after(&app, Job::Query).await;
    settle_one(&app, &third, known(ProviderState::Failed)).await;
    assert_ne!(seen(&app, id).await.state(), S::Failed);
    assert_rules_hold(&app).await;
    app.stop().await;
}

/// Claims what is due in some minutes of fast time.
async fn claim_one_after(app: &TestApp, job: Job) -> Claimed {
    tokio::time::sleep(Duration::from_millis(200)).await;
    claim_one(app, job).await
}

async fn many_claimants_get_each_packet_once(db: TestDb) {
    let (app, _) = one_queued(db).await;
    let campaign = 1.max(seen(&app, 1).await.campaign_id);
    for n in 0..59 {
        let openid = format!("oMany{n}");
        app.client.send(SHOP, campaign, &openid).await.unwrap();
    }
    let account = app.store().account(AccountId(1)).await.unwrap().row;
    let mut claimants = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, account) = (app.store().clone(), account.clone());
        claimants.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let lease = Duration::from_secs(3_600 * 24);
                let claims = store
                    .claim(&account, Job::Send, 3, lease, lease)
                    .await
                    .unwrap();
                if claims.packets.is_empty() {
                    return mine;
                }
                mine.extend(claims.packets.iter().map(|packet| packet.issuance.id));
            }
        });
    }
    let mut all = Vec::new();
    while let Some(mine) = claimants.join_next().await {
        all.extend(mine.unwrap());
    }
    let unique: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), unique.len()), (60, 60));
    assert_rules_hold(&app).await;
    app.stop().await;
}

async fn a_frozen_sender_is_asked_about_not_repeated(db: TestDb) {
    let (app, id) = one_queued(db).await;
    let frozen = claim_one(&app, Job::Send).await;
    assert!(
        claim(&app, Job::Send).await.is_empty(),
        "the next job is a question"
    );
    let next = claim_one(&app, Job::Query).await;
    // A refusal of the only request that is known is no proof: its sender's answer is lost.
    settle_one(&app, &next, Answer::Query(QueryOutcome::NotFound)).await;
    let refused = Rejection {
        kind: RejectionKind::Refused,
        code: "OPENID_ERROR".into(),
    };
    let late = settle_one(&app, &frozen, Answer::Send(SendOutcome::Rejected(refused))).await;
    assert!(late.late);
    for _ in 0..3 {
        let packet = claim_one_after(&app, Job::Query).await;
        let done = settle_one(&app, &packet, Answer::Query(QueryOutcome::NotFound)).await;
        assert_eq!(done.to, State::Unknown);
        if seen(&app, id).await.state() == S::Unknown
            && let Some(again) = claim(&app, Job::Send).await.pop()
        {
            assert_eq!(again.attempt.mch_billno, frozen.attempt.mch_billno);
            break;
        }
    }
    assert_rules_hold(&app).await;
    app.stop().await;
}
