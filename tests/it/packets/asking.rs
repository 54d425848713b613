//! Asking the provider because somebody wants to know.

use std::collections::VecDeque;
use std::time::Duration;

use hongbao::grpc::pb::{self, IssuanceState as S, RefreshOutcome as R};
use hongbao::simulator::{Fault, FaultTable};
use tonic::Status;

use super::{PAID, exchanges, stage};
use crate::dispatching::pause;
use crate::support::{Client, Options, SHOP, TestApp, TestDb, on_both, reason, violations};

on_both!(
    a_refresh_tells_of_each,
    a_refresh_that_gets_no_answer_says_so,
    a_live_question_tells_all,
);

/// Time that stands almost still: nothing is asked before somebody wants to know.
async fn slow(db: TestDb) -> (TestApp, i64) {
    let options = Options {
        time_scale: 1,
        ..Options::default()
    };
    stage(db, options).await
}

fn to_refresh(ids: &[i64]) -> pb::RefreshStatusRequest {
    pb::RefreshStatusRequest {
        shop_id: SHOP,
        issuance_ids: ids.to_vec(),
    }
}

fn next_query(fault: Fault) -> FaultTable {
    FaultTable {
        next_query: Some(VecDeque::from([fault])),
        ..FaultTable::default()
    }
}

async fn a_refresh_tells_of_each(db: TestDb) {
    let (app, account) = slow(db).await;
    let client = &app.client;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 10_000)
        .await;
    let taken = client
        .send(SHOP, campaign, "oSIM-RECEIVED-1")
        .await
        .unwrap()
        .issuance_id;
    let still = client
        .send(SHOP, campaign, "oStill")
        .await
        .unwrap()
        .issuance_id;
    let doubted = client
        .send(SHOP, campaign, "oSIM-HTML_502-1")
        .await
        .unwrap()
        .issuance_id;
    client.await_state(SHOP, taken, &[S::Sent]).await;
    client.await_state(SHOP, still, &[S::Sent]).await;
    client.await_state(SHOP, doubted, &[S::Unknown]).await;
    // One that has ended: refused alone.
    let request = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id: campaign,
        uids: vec!["nobody".into()],
        source: pb::IssuanceSource::Manual.into(),
        ..Default::default()
    };
    let refused = client
        .issuances()
        .send_to_users(request)
        .await
        .unwrap()
        .into_inner();
    let failed = refused.refused[0].issuance_id;
    // One that waits, for its account can pay nothing; and one of another shop.
    client.make_shop(2).await;
    let share = pb::UpdateProviderAccountRequest {
        request_id: client.fresh(),
        account_id: account,
        add_shop_ids: vec![2],
        ..Default::default()
    };
    client.admin().update_provider_account(share).await.unwrap();
    let other = client
        .make_campaign(client.draft(2, account, "other"), 1_000)
        .await;
    let foreign = client.send(2, other, "oForeign").await.unwrap().issuance_id;
    let app = app
        .restart(|config| config.dispatcher.enabled = false)
        .await;
    let held = app
        .client
        .make_campaign(app.client.draft(SHOP, account, "held"), 1_000)
        .await;
    let queued = app
        .client
        .send(SHOP, held, "oQueued")
        .await
        .unwrap()
        .issuance_id;
    pause(&app, held).await;
    let app = app.restart(|config| config.dispatcher.enabled = true).await;
    let client = &app.client;

    let ids = [taken, queued, 987_654, still, failed, doubted, foreign];
    let done = client
        .issuances()
        .refresh_status(to_refresh(&ids))
        .await
        .unwrap()
        .into_inner();
    let got: Vec<_> = done
        .results
        .iter()
        .map(|r| (r.issuance_id, r.outcome(), r.state()))
        .collect();
    assert_eq!(
        got[..5],
        [
            (taken, R::Refreshed, S::Received),
            (queued, R::NotSent, S::Queued),
            (987_654, R::NotFound, S::Unspecified),
            (still, R::Refreshed, S::Sent),
            (failed, R::Final, S::Failed),
        ]
    );
    // What was in doubt stands where the provider says that it does.
    let said = exchanges(client, doubted).await;
    let last = said.last().unwrap();
    assert_eq!(last.call, "gethbinfo");
    let due = match last.outcome.as_str() {
        "SENDING" => S::Unknown,
        "SENT" => S::Sent,
        other => panic!("{other}"),
    };
    assert_eq!(got[5], (doubted, R::Refreshed, due));
    assert_eq!(
        got[6],
        (foreign, R::NotFound, S::Unspecified),
        "another shop's is not there"
    );
    assert_eq!(done.results[4].last_error, "RECIPIENT_NOT_FOUND");
    assert_eq!((done.requested_count, done.refreshed_count), (7, 4));
    // It has ended; there is nothing to ask any more.
    let queries = app.simulator.books().totals().queries;
    let done = client
        .issuances()
        .refresh_status(to_refresh(&[taken]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(done.results[0].outcome(), R::Final);
    assert_eq!(app.simulator.books().totals().queries, queries);
    let twice = client
        .issuances()
        .refresh_status(to_refresh(&[still, still]))
        .await
        .unwrap_err();
    assert_eq!(
        violations(&twice),
        [("issuance_ids[1]".into(), "DUPLICATE_ITEM".into())]
    );
    app.assert_sound().await;
    app.stop().await;
}

async fn a_refresh_that_gets_no_answer_says_so(db: TestDb) {
    let options = Options {
        time_scale: 1,
        provider_timeout_ms: 4_000,
        ..Options::default()
    };
    let (app, account) = stage(db, options).await;
    let client = &app.client;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 1_000)
        .await;
    let id = client
        .send(SHOP, campaign, "oAlice")
        .await
        .unwrap()
        .issuance_id;
    client.await_state(SHOP, id, &[S::Sent]).await;
    app.simulator
        .set_faults(next_query(Fault::TimeoutBefore))
        .unwrap();
    let mut request = tonic::Request::new(to_refresh(&[id]));
    request.set_timeout(Duration::from_millis(1_500));
    let done = client
        .issuances()
        .refresh_status(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(done.results[0].outcome(), R::Pending);
    assert_eq!((done.requested_count, done.refreshed_count), (1, 0));
    assert_eq!(done.results[0].state(), S::Sent, "silence moves nothing");
    app.assert_sound().await;
    app.stop().await;
}

pub(super) fn by_id(id: i64) -> pb::QueryProviderStatusRequest {
    pb::QueryProviderStatusRequest {
        shop_id: SHOP,
        r#ref: Some(pb::query_provider_status_request::Ref::IssuanceId(id)),
        ..Default::default()
    }
}

pub(super) fn by_number(number: &str) -> pb::QueryProviderStatusRequest {
    let by = pb::query_provider_status_request::Ref::MchBillno(number.to_owned());
    pb::QueryProviderStatusRequest {
        r#ref: Some(by),
        ..by_id(1)
    }
}

pub(super) async fn ask(
    client: &Client,
    request: pb::QueryProviderStatusRequest,
) -> Result<pb::QueryProviderStatusResponse, Status> {
    Ok(client
        .issuances()
        .query_provider_status(request)
        .await?
        .into_inner())
}

async fn a_live_question_tells_all(db: TestDb) {
    let (app, account) = slow(db).await;
    let client = &app.client;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 1_000)
        .await;
    let id = client
        .send(SHOP, campaign, "oSIM-RECEIVED-1")
        .await
        .unwrap()
        .issuance_id;
    let sent = client.await_state(SHOP, id, &[S::Sent]).await;
    let told = ask(client, by_number(&sent.mch_billno)).await.unwrap();
    assert_eq!(told.outcome, "RECEIVED");
    let s = told.status.unwrap();
    // Every field of seed 001's getRedPackStatus, and those of gethbinfo beside it.
    assert_eq!(
        (s.return_code.as_str(), s.result_code.as_str()),
        ("SUCCESS", "SUCCESS")
    );
    assert_eq!(
        (s.return_msg.as_str(), s.err_code.as_str()),
        ("OK", "SUCCESS")
    );
    assert_eq!(s.err_code_des, "OK");
    assert_eq!(s.mch_billno, sent.mch_billno);
    assert_eq!(s.mch_id, app.simulator.merchant().mch_id);
    assert_eq!(s.detail_id, sent.provider_order_no);
    assert_eq!(
        (s.status.as_str(), s.send_type.as_str(), s.hb_type.as_str()),
        ("RECEIVED", "API", "NORMAL")
    );
    assert_eq!((s.total_num, s.total_amount_fen), (1, 100));
    assert_eq!(s.send_time.len(), "2016-08-08 21:49:22".len());
    assert_eq!(
        (
            s.refund_time.as_str(),
            s.refund_amount_fen,
            s.reason.as_str()
        ),
        ("", 0, "")
    );
    let texts = sent.texts.clone().unwrap();
    assert_eq!(
        (s.wishing, s.remark, s.act_name),
        (texts.wishing, texts.remark, texts.act_name)
    );
    assert_eq!((s.hblist.len(), s.hblist[0].amount_fen), (1, 100));
    assert_eq!(s.hblist[0].openid, "");
    assert_eq!(s.hblist[0].obfuscated_openid, sent.obfuscated_openid);
    assert_eq!(s.hblist[0].rcv_time.len(), 19);
    // The answer is kept as evidence, and since it is news the packet is looked at.
    client.await_state(SHOP, id, &[S::Received]).await;
    let kept = exchanges(client, id).await;
    let late: Vec<_> = kept.iter().filter(|x| x.late).collect();
    assert_eq!(late.len(), 1);
    assert_eq!(
        (late[0].call.as_str(), late[0].outcome.as_str()),
        ("gethbinfo", "RECEIVED")
    );
    assert!(late[0].response.contains("RECEIVED") && late[0].mch_billno == sent.mch_billno);
    assert!(kept.is_sorted_by_key(|x| x.exchange_id));
    let open = pb::QueryProviderStatusRequest {
        unmask: true,
        ..by_id(id)
    };
    let told = ask(client, open).await.unwrap();
    assert_eq!(told.state(), S::Received);
    assert_eq!(told.status.unwrap().hblist[0].openid, "oSIM-RECEIVED-1");

    // An answer that cannot be read, and one that there is no order.
    app.simulator
        .set_faults(next_query(Fault::Garbage))
        .unwrap();
    let lost = ask(client, by_id(id)).await.unwrap_err();
    assert_eq!(
        (lost.code(), reason(&lost)),
        (tonic::Code::Unavailable, "PROVIDER_UNREACHABLE".into())
    );
    let kept = exchanges(client, id).await.len();
    ask(client, by_id(id)).await.unwrap();
    assert_eq!(exchanges(client, id).await.len(), kept + 1);
    let hidden = client
        .send(SHOP, campaign, "oSIM-NOT_FOUND_LAG-1")
        .await
        .unwrap()
        .issuance_id;
    client.await_state(SHOP, hidden, &[S::Sent]).await;
    let told = ask(client, by_id(hidden)).await.unwrap();
    let said = told.status.unwrap();
    assert_eq!(
        (told.outcome.as_str(), said.err_code.as_str()),
        ("NOT_FOUND", "NOT_FOUND")
    );
    assert_eq!(said.result_code, "FAIL");
    let seen = client.get(SHOP, hidden).await.issuance.unwrap();
    assert!(
        PAID.contains(&seen.state()),
        "not found proves nothing: {seen:?}"
    );

    // Exactly one of the two, and something that was sent.
    let neither = pb::QueryProviderStatusRequest {
        r#ref: None,
        ..by_id(id)
    };
    let refused = ask(client, neither).await.unwrap_err();
    assert_eq!(violations(&refused)[0].1, "FIELD_REQUIRED");
    let missing = ask(client, by_number(&"7".repeat(28))).await.unwrap_err();
    assert_eq!(reason(&missing), "ISSUANCE_NOT_FOUND");
    let app = app
        .restart(|config| config.dispatcher.enabled = false)
        .await;
    let queued = app.client.send(SHOP, campaign, "oQueued").await.unwrap();
    let refused = ask(&app.client, by_id(queued.issuance_id))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "ISSUANCE_NOT_SENT");
    app.assert_sound().await;
    app.stop().await;
}
