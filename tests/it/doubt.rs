//! What the dispatcher does with answers that refuse, doubt, lie, contradict each
//! other or come late. Whatever is said, a packet keeps its number until its end is
//! proven, and what cannot be proven needs a person.

use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::simulator::Payment;

use crate::dispatching::{issued, resend};
use crate::sending::ready;
use crate::support::{Options, TestApp, TestDb, on_both};

const SHOP: i64 = 1;

on_both!(
    a_refused_person_fails_after_a_question,
    an_unconfirmed_refusal_needs_a_person,
    a_failure_gives_back,
    a_contradiction_needs_a_person,
    a_lying_echo_needs_a_person,
    a_number_that_is_not_found_stays_the_number,
    what_hangs_for_a_day_fails_by_proof,
    a_daily_limit_waits_for_midnight,
);

pub async fn app_at(db: TestDb, time_scale: u32) -> TestApp {
    let options = Options {
        time_scale,
        ..Options::default()
    };
    TestApp::start_with(db, options).await
}

/// What the provider paid under the number of a packet.
pub fn payment(app: &TestApp, issuance: &pb::Issuance) -> Option<Payment> {
    let payments = app.simulator.books().payments();
    payments
        .into_iter()
        .find(|p| p.mch_billno == issuance.mch_billno)
}

async fn a_refused_person_fails_after_a_question(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 1_000).await;
    for fault in ["OPENID_ERROR", "V2_ACCOUNT_SIMPLE_BAN", "PARAM_ERROR"] {
        let openid = format!("oSIM-{fault}-1");
        let sent = app.client.send(SHOP, campaign, &openid);
        let id = sent.await.unwrap().issuance_id;
        let failed = app
            .client
            .await_state(SHOP, id, &[S::Failed, S::Review])
            .await;
        assert_eq!(failed.state(), S::Failed, "{fault}");
        assert_eq!(failed.last_error, fault);
        let seen = app.client.get(SHOP, id).await;
        let attempt = seen.attempts.last().unwrap();
        assert!(attempt.send_count == 1 && attempt.query_count >= 1);
        // WeChat Pay asks for 20 minutes before an answer counts.
        let waited = seconds(failed.update_time) - seconds(failed.create_time);
        assert!(waited >= 20 * 60, "{fault}: failed after {waited} s");
    }
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!(budget.available_fen, 1_000);
    app.assert_sound().await;
    app.stop().await;
}

fn seconds(time: Option<prost_types::Timestamp>) -> i64 {
    time.unwrap().seconds
}

async fn an_unconfirmed_refusal_needs_a_person(db: TestDb) {
    let app = app_at(db, 50_000).await;
    let campaign = ready(&app, 1_000).await;
    let change = pb::UpdateProviderAccountRequest {
        request_id: "cautious".into(),
        account_id: 1,
        confirm_refusals: Some(false),
        ..Default::default()
    };
    let mut admin = app.client.admin();
    admin.update_provider_account(change).await.unwrap();
    let sent = app.client.send(SHOP, campaign, "oSIM-OPENID_ERROR-1").await;
    let id = sent.unwrap().issuance_id;
    let doubted = app
        .client
        .await_state(SHOP, id, &[S::Failed, S::Review])
        .await;
    assert_eq!(doubted.state(), S::Review, "{doubted:?}");
    let waited = seconds(doubted.update_time) - seconds(doubted.create_time);
    assert!(waited >= 72 * 3_600, "after {waited} s");
    assert_eq!(resend(&app, id).await, "OUTCOME_UNKNOWN");
    assert_eq!(app.client.budget(SHOP, campaign).await.held_fen, 100);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_failure_gives_back(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 1_000).await;
    let sent = app.client.send(SHOP, campaign, "oSIM-PROCESSING_FAILED-1");
    let id = sent.await.unwrap().issuance_id;
    app.client.await_state(SHOP, id, &[S::Unknown]).await;
    assert_eq!(resend(&app, id).await, "OUTCOME_UNKNOWN");
    assert_eq!(app.client.budget(SHOP, campaign).await.held_fen, 100);
    let failed = app.client.await_state(SHOP, id, &[S::Failed]).await;
    assert!(!failed.frozen);
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!((budget.available_fen, budget.held_fen), (1_000, 0));
    assert_eq!(issued(&app, campaign).await, 0);
    assert!(payment(&app, &failed).is_none());
    app.assert_sound().await;
    app.stop().await;
}

async fn a_contradiction_needs_a_person(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 1_000).await;
    let sent = app.client.send(SHOP, campaign, "oSIM-FAILED_LATER-1").await;
    let id = sent.unwrap().issuance_id;
    let ended = app
        .client
        .await_state(SHOP, id, &[S::Review, S::Failed])
        .await;
    assert!(ended.state() == S::Review && ended.frozen, "{ended:?}");
    assert_eq!(ended.last_error, "CONTRADICTION");
    assert_eq!(resend(&app, id).await, "ISSUANCE_FROZEN");
    // The money stays held: nobody knows where it is.
    assert_eq!(app.client.budget(SHOP, campaign).await.held_fen, 100);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_lying_echo_needs_a_person(db: TestDb) {
    let app = app_at(db, 20_000).await;
    let campaign = ready(&app, 1_000).await;
    let mut doubted = Vec::new();
    for field in ["AMOUNT", "BILLNO", "OPENID"] {
        let openid = format!("oSIM-WRONG_{field}-1");
        let sent = app.client.send(SHOP, campaign, &openid).await.unwrap();
        doubted.push((field, sent.issuance_id));
    }
    for (field, id) in &doubted {
        let seen = app.client.await_state(SHOP, *id, &[S::Review]).await;
        assert!(
            seen.last_error.contains("MISMATCH") && seen.last_error.contains(field),
            "{seen:?}"
        );
        assert_eq!(resend(&app, *id).await, "OUTCOME_UNKNOWN");
    }
    // The provider's state is believed in the end, and there is one payment.
    for (_, id) in doubted {
        let ended = app.client.await_state(SHOP, id, &[S::Received]).await;
        assert_eq!(ended.attempt_count, 1);
        assert_eq!(payment(&app, &ended).unwrap().times_paid, 1);
    }
    app.assert_sound().await;
    app.stop().await;
}

async fn a_number_that_is_not_found_stays_the_number(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 1_000).await;
    // Paid, but for minutes no question finds it; and the answer was lost as well.
    for openid in ["oSIM-NOT_FOUND_LAG-1", "oSIM3-TIMEOUT_BEFORE-1"] {
        let sent = app.client.send(SHOP, campaign, openid).await.unwrap();
        let ended = app
            .client
            .await_state(SHOP, sent.issuance_id, &[S::Received, S::Failed])
            .await;
        assert_eq!(ended.state(), S::Received, "{openid}");
        assert_eq!(ended.mch_billno, sent.mch_billno, "{openid}");
        assert_eq!(ended.attempt_count, 1, "{openid}");
        assert_eq!(payment(&app, &ended).unwrap().times_paid, 1);
    }
    app.assert_sound().await;
    app.stop().await;
}

async fn what_hangs_for_a_day_fails_by_proof(db: TestDb) {
    let app = app_at(db, 30_000).await;
    let campaign = ready(&app, 1_000).await;
    for openid in ["oSIM-SENDING_REASON-1", "oSIM-LIMIT_STORED-1"] {
        let sent = app.client.send(SHOP, campaign, openid).await.unwrap();
        let ended = app
            .client
            .await_state(SHOP, sent.issuance_id, &[S::Received, S::Failed, S::Review])
            .await;
        assert_eq!(ended.state(), S::Failed, "{openid}: {ended:?}");
        assert_eq!(ended.attempt_count, 1);
        assert!(payment(&app, &ended).is_none());
        let waited = seconds(ended.update_time) - seconds(ended.create_time);
        assert!(waited >= 24 * 3_600, "{openid}: after {waited} s");
    }
    assert_eq!(app.client.budget(SHOP, campaign).await.available_fen, 1_000);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_daily_limit_waits_for_midnight(db: TestDb) {
    let app = app_at(db, 20_000).await;
    let campaign = ready(&app, 1_000).await;
    let sent = app.client.send(SHOP, campaign, "oSIM1-SENDNUM_LIMIT-1");
    let sent = sent.await.unwrap();
    let ended = app
        .client
        .await_state(SHOP, sent.issuance_id, &[S::Received, S::Failed, S::Review])
        .await;
    assert_eq!(ended.state(), S::Received);
    assert_eq!(ended.mch_billno, sent.mch_billno);
    let paid = payment(&app, &ended).unwrap();
    assert_eq!(paid.sends, 2, "no request before the limit opens");
    const DAY: i64 = 24 * 3_600;
    let beijing = |seconds: i64| (seconds + 8 * 3_600).div_euclid(DAY);
    let (asked, sent) = (seconds(sent.create_time), seconds(ended.send_time));
    assert!(beijing(sent) > beijing(asked), "the same day");
    let late = (sent + 8 * 3_600).rem_euclid(DAY);
    // 200 ms here are more than an hour there.
    assert!(late < 4 * 3_600, "{late} s after midnight");
    app.assert_sound().await;
    app.stop().await;
}
