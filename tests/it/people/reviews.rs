//! The review queue: seen with its evidence, closed by two, never by one.

use hongbao::domain::role::Role;
use hongbao::grpc::pb::{self, IssuanceState as S, ReviewVerdict as V};
use tonic::Code;

use super::{decide, decision, waits_for};
use crate::doubt::app_at;
use crate::sending::ready;
use crate::support::{Client, Raw, SHOP, TestApp, TestDb, fact, on_both, reason};

on_both!(
    a_case_takes_two_people,
    a_case_can_turn_out_paid,
    what_was_failed_can_turn_out_paid,
    cases_come_in_pages,
    a_case_that_was_only_sent_is_asked_about_again,
    a_case_that_ends_by_itself_withdraws_what_was_proposed,
    a_case_that_the_provider_ends_says_so,
);

/// A packet whose provider first says that it paid and then that it failed.
async fn contradicted(app: &TestApp, campaign: i64, who: usize) -> pb::Issuance {
    let openid = format!("oSIM-FAILED_LATER-{who}");
    let sent = app.client.send(SHOP, campaign, &openid).await.unwrap();
    app.client
        .await_state(SHOP, sent.issuance_id, &[S::Review])
        .await
}

async fn cases(client: &Client) -> Vec<pb::ReviewCase> {
    let request = pb::ListReviewsRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    let listed = client.reviews().list_reviews(request).await.unwrap();
    listed.into_inner().cases
}

fn closing(client: &Client, issuance_id: i64, verdict: V) -> pb::CloseReviewRequest {
    pb::CloseReviewRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        issuance_id,
        verdict: verdict.into(),
        reason: "bill of 2026-11-25, no such line".into(),
        ..Default::default()
    }
}

async fn a_case_takes_two_people(db: TestDb) {
    let app = app_at(db, 20_000).await;
    let campaign = ready(&app, 1_000).await;
    let ann = app.person("ann", &[Role::Reviewer, Role::Approver]).await;
    let bob = app.person("bob", &[Role::Approver]).await;
    let doubtful = contradicted(&app, campaign, 1).await;
    let id = doubtful.issuance_id;
    let listed = cases(&ann).await;
    assert_eq!(listed.len(), 1);
    let case = &listed[0];
    assert_eq!(case.cause, "CONTRADICTION");
    assert_eq!(case.issuance.as_ref().unwrap().issuance_id, id);
    assert_eq!(case.attempts.len(), 1);
    let said: Vec<&str> = case.evidence.iter().map(|e| e.outcome.as_str()).collect();
    assert_eq!(said.first(), Some(&"ACCEPTED"), "{said:?}");
    assert_eq!(said.last(), Some(&"FAILED"), "{said:?}");
    assert!(case.pending.is_none());

    // A system decides nothing, whatever it may do.
    let by_app = closing(&app.client, id, V::NotPaid);
    let status = app.client.reviews().close_review(by_app).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::PermissionDenied, "OPERATOR_REQUIRED")
    );
    let mut tried = closing(&ann, id, V::NotPaid);
    tried.validate_only = true;
    let raw = Raw::open(&app.db).await;
    let before = raw.counts().await;
    let status = ann.reviews().close_review(tried).await.unwrap_err();
    assert_eq!(reason(&status), "APPROVAL_REQUIRED");
    assert_eq!(raw.counts().await, before, "a trial asks nobody");

    let request = closing(&ann, id, V::NotPaid);
    let status = ann
        .reviews()
        .close_review(request.clone())
        .await
        .unwrap_err();
    let approval = waits_for(&status);
    let again = ann
        .reviews()
        .close_review(request.clone())
        .await
        .unwrap_err();
    assert_eq!(waits_for(&again), approval, "one call, one approval");
    assert!(status.message().contains("no such line"), "{status:?}");
    let pending = cases(&bob).await[0].pending.clone().unwrap();
    assert_eq!(
        (pending.approval_id, pending.actor.as_str()),
        (approval, "operator:ann")
    );
    assert_eq!(pending.rule(), pb::ApprovalRule::CloseReview);

    // One person stays one person, with however many keys.
    let ann_again = app.further_key("ann").await;
    for key in [&ann, &ann_again] {
        let status = decide(key, approval, true).await.unwrap_err();
        assert_eq!(reason(&status), "SECOND_APPROVER_REQUIRED");
    }
    let status = decide(&app.client, approval, true).await.unwrap_err();
    assert_eq!(reason(&status), "OPERATOR_REQUIRED");
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!((budget.held_fen, budget.available_fen), (100, 900));

    let yes = decision(&bob, approval, true);
    let trial = pb::DecideApprovalRequest {
        validate_only: true,
        ..yes.clone()
    };
    let before = raw.counts().await;
    let tried = bob.reviews().decide_approval(trial).await.unwrap();
    assert_eq!(raw.counts().await, before);
    let promised = tried.into_inner().approval.unwrap();
    let done = bob.reviews().decide_approval(yes.clone()).await.unwrap();
    let done = done.into_inner();
    let shown = done.approval.unwrap();
    assert_eq!((shown.state(), promised.state()), {
        use pb::ApprovalState::Approved;
        (Approved, Approved)
    });
    assert_eq!(shown.decider, "operator:bob");
    let replayed = bob.reviews().decide_approval(yes.clone()).await.unwrap();
    assert!(!done.replayed && replayed.into_inner().replayed);
    let mut other = yes.clone();
    other.approve = false;
    let status = bob.reviews().decide_approval(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    let status = decide(&bob, approval, false).await.unwrap_err();
    assert_eq!(reason(&status), "APPROVAL_DECIDED");

    // What was approved is this call, and no other one.
    let mut other = request.clone();
    other.verdict = V::Paid.into();
    let status = ann.reviews().close_review(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    let closed = ann.reviews().close_review(request.clone()).await.unwrap();
    let closed = closed.into_inner();
    assert_eq!(closed.approval.unwrap().state(), pb::ApprovalState::Used);
    let packet = closed.issuance.unwrap();
    assert_eq!((packet.state(), packet.frozen), (S::Failed, false));
    let replayed = ann.reviews().close_review(request).await.unwrap();
    assert!(replayed.into_inner().replayed);
    let status = ann
        .reviews()
        .close_review(closing(&ann, id, V::Paid))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "NOT_IN_REVIEW");
    assert_eq!(fact(&status, "ended_as"), "FAILED");
    assert_eq!(fact(&status, "ended_by"), "operator:ann");
    assert!(cases(&ann).await.is_empty());
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!((budget.held_fen, budget.available_fen), (0, 1_000));
    let history = app.client.get(SHOP, id).await.history;
    let last = history.last().unwrap();
    assert_eq!(
        (last.kind.as_str(), last.actor.as_str()),
        ("REVIEW_CLOSED", "operator:ann")
    );
    assert!(last.reason.contains("no such line") && last.reason.contains("operator:bob"));
    app.assert_sound().await;
    // It is proven now not to have been paid, by people, and can be sent again.
    let resend = pb::ResendRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        issuance_id: id,
        ..Default::default()
    };
    app.client.issuances().resend(resend).await.unwrap();
    raw.close().await;
    app.stop().await;
}

async fn close(app: &TestApp, ann: &Client, bob: &Client, id: i64, verdict: V) -> pb::Issuance {
    let request = closing(ann, id, verdict);
    let status = ann
        .reviews()
        .close_review(request.clone())
        .await
        .unwrap_err();
    decide(bob, waits_for(&status), true).await.unwrap();
    let closed = ann.reviews().close_review(request).await.unwrap();
    let findings = app.store().verify().await.unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    closed.into_inner().issuance.unwrap()
}

async fn a_case_can_turn_out_paid(db: TestDb) {
    let app = app_at(db, 20_000).await;
    let campaign = ready(&app, 1_000).await;
    let ann = app.person("ann", &[Role::Reviewer]).await;
    let bob = app.person("bob", &[Role::Approver]).await;
    for (n, verdict, state) in [(1, V::Paid, S::Received), (2, V::Refunded, S::Refunded)] {
        let doubtful = contradicted(&app, campaign, n).await;
        let closed = close(&app, &ann, &bob, doubtful.issuance_id, verdict).await;
        assert_eq!((closed.state(), closed.frozen), (state, false));
    }
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!(
        (budget.held_fen, budget.paid_fen, budget.available_fen),
        (0, 100, 900)
    );
    app.stop().await;
}

/// A packet that was failed by hand, and whose provider then says that it paid.
async fn what_was_failed_can_turn_out_paid(db: TestDb) {
    let app = app_at(db, 20_000).await;
    let campaign = ready(&app, 100).await;
    let ann = app.person("ann", &[Role::Reviewer]).await;
    let bob = app.person("bob", &[Role::Approver]).await;
    let doubtful = contradicted(&app, campaign, 1).await;
    let id = doubtful.issuance_id;
    let closed = close(&app, &ann, &bob, id, V::NotPaid).await;
    assert_eq!(closed.state(), S::Failed);
    let raw = Raw::open(&app.db).await;
    // As a late answer leaves it: see `fence.rs`.
    raw.execute(&format!(
        "UPDATE issuance SET frozen = TRUE, version = version + 1 WHERE id = {id}"
    ))
    .await;
    raw.execute(&format!(
        "INSERT INTO journal (aggregate, aggregate_id, seq, line, shop_id, campaign_id, kind, from_state, to_state, actor, create_time)
         SELECT 'ISSUANCE', id, version, 0, shop_id, campaign_id, 'CONTRADICTION', 'FAILED', 'FAILED', 'dispatcher', update_time
         FROM issuance WHERE id = {id}"
    ))
    .await;
    // Its money has gone elsewhere meanwhile.
    app.client.send(SHOP, campaign, "oOther").await.unwrap();
    let request = closing(&ann, id, V::Paid);
    let status = ann
        .reviews()
        .close_review(request.clone())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "BUDGET_EXHAUSTED");
    assert_eq!(fact(&status, "required_fen"), "100");
    app.client.fund(SHOP, campaign, 100).await;
    let closed = close(&app, &ann, &bob, id, V::Paid).await;
    assert_eq!((closed.state(), closed.frozen), (S::Received, false));
    assert!(cases(&ann).await.is_empty());
    raw.close().await;
    app.stop().await;
}

async fn cases_come_in_pages(db: TestDb) {
    let app = app_at(db, 20_000).await;
    let campaign = ready(&app, 1_000).await;
    let ann = app.person("ann", &[Role::Reviewer]).await;
    let mut made = Vec::new();
    for n in 1..=3 {
        made.push(contradicted(&app, campaign, n).await.issuance_id);
    }
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListReviewsRequest {
            shop_id: SHOP,
            page_size: 2,
            page_token,
        };
        let page = ann.reviews().list_reviews(request).await.unwrap();
        let page = page.into_inner();
        let ids = page.cases.iter().map(|c| c.issuance.as_ref().unwrap());
        found.extend(ids.map(|issuance| issuance.issuance_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, made, "oldest first, each once");
    app.stop().await;
}

/// A packet whose provider has echoed another amount. It is asked about once a day.
async fn mismatched(app: &TestApp, campaign: i64) -> i64 {
    let sent = app.client.send(SHOP, campaign, "oSIM-WRONG_AMOUNT-1").await;
    let id = sent.unwrap().issuance_id;
    app.client.await_state(SHOP, id, &[S::Review]).await;
    id
}

async fn a_case_that_was_only_sent_is_asked_about_again(db: TestDb) {
    let app = app_at(db, 1_000).await;
    let campaign = ready(&app, 1_000).await;
    let ann = app.person("ann", &[Role::Reviewer]).await;
    let bob = app.person("bob", &[Role::Approver]).await;
    let id = mismatched(&app, campaign).await;
    let closed = close(&app, &ann, &bob, id, V::Sent).await;
    assert_eq!((closed.state(), closed.frozen), (S::Sent, false));
    let raw = Raw::open(&app.db).await;
    let query = format!(
        "SELECT COUNT(*) FROM attempt WHERE issuance_id = {id} AND accept_time IS NOT NULL"
    );
    assert_eq!(raw.number(&query).await, 1, "that it was sent is known");
    raw.close().await;
    assert_eq!(app.client.budget(SHOP, campaign).await.transit_fen, 100);
    // From here on the provider's word counts again.
    app.client.await_state(SHOP, id, &[S::Received]).await;
    app.assert_sound().await;
    app.stop().await;
}

async fn a_case_that_ends_by_itself_withdraws_what_was_proposed(db: TestDb) {
    let app = app_at(db, 1_000).await;
    let campaign = ready(&app, 1_000).await;
    let ann = app.person("ann", &[Role::Reviewer]).await;
    let bob = app.person("bob", &[Role::Approver]).await;
    let id = mismatched(&app, campaign).await;
    let mut proposed = Vec::new();
    for verdict in [V::NotPaid, V::Paid] {
        let request = closing(&ann, id, verdict);
        let status = ann.reviews().close_review(request.clone()).await;
        proposed.push((waits_for(&status.unwrap_err()), request));
    }
    decide(&bob, proposed[1].0, true).await.unwrap();
    let refresh = pb::RefreshStatusRequest {
        shop_id: SHOP,
        issuance_ids: vec![id],
    };
    app.client
        .issuances()
        .refresh_status(refresh)
        .await
        .unwrap();
    app.client
        .await_state(SHOP, id, &[S::Sent, S::Received])
        .await;
    let listed = pb::ListApprovalsRequest {
        shop_id: SHOP,
        state: pb::ApprovalState::Withdrawn.into(),
        ..Default::default()
    };
    let listed = bob.reviews().list_approvals(listed).await.unwrap();
    assert_eq!(listed.into_inner().approvals.len(), 2);
    for (approval, request) in proposed {
        let status = decide(&bob, approval, true).await.unwrap_err();
        assert_eq!(reason(&status), "APPROVAL_DECIDED");
        assert_eq!(fact(&status, "state"), "WITHDRAWN");
        let status = ann.reviews().close_review(request).await.unwrap_err();
        assert_eq!(reason(&status), "NOT_IN_REVIEW");
    }
    app.assert_sound().await;
    app.stop().await;
}

async fn a_case_that_the_provider_ends_says_so(db: TestDb) {
    let app = app_at(db, 1_000).await;
    let campaign = ready(&app, 1_000).await;
    let ann = app.person("ann", &[Role::Reviewer]).await;
    let id = mismatched(&app, campaign).await;
    use pb::query_provider_status_request::Ref;
    let request = pb::QueryProviderStatusRequest {
        shop_id: SHOP,
        r#ref: Some(Ref::IssuanceId(id)),
        ..Default::default()
    };
    // A reviewer asks, and hears where the packet stands by then.
    let told = ann.issuances().query_provider_status(request).await;
    let told = told.unwrap().into_inner();
    assert_ne!(told.state(), S::Review, "{told:?}");
    let history = app.client.get(SHOP, id).await.history;
    let end = history.iter().find(|e| e.from_state() == S::Review);
    let end = end.unwrap();
    assert!(end.reason.starts_with("PROVIDER_SAID: "), "{end:?}");
    assert!(end.reason.contains("(gethbinfo)"), "{end:?}");
    let late = closing(&ann, id, V::Paid);
    let status = ann.reviews().close_review(late).await.unwrap_err();
    assert_eq!(reason(&status), "NOT_IN_REVIEW");
    assert_eq!(
        fact(&status, "ended_as"),
        end.to_state().as_str_name()["ISSUANCE_STATE_".len()..]
    );
    assert_eq!(fact(&status, "ended_by"), "dispatcher");
    assert!(fact(&status, "ended_at").ends_with('Z'));
    app.stop().await;
}
