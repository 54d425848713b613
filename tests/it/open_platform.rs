//! Red packets through an open platform (seed 003), from a caller's order to the platform's books.

mod callbacks;
mod many;

use hongbao::domain::Timestamp;
use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::simulator::{FaultTable, OpenConfig, OpenFault, OpenFaults, OpenTime};

use crate::support::receiver::{Receiver, ok};
use crate::support::{Options, SHOP, TestApp, TestDb, on_both, reason, texts, violations};

on_both!(
    an_order_is_taken_paid_and_ends_when_it_is_sent,
    an_order_is_named_by_its_callers_number_and_its_campaign_by_code,
    what_it_costs_is_kept_apart_from_its_face,
    a_price_outside_the_contract_goes_to_a_person,
    a_refusal_fails_and_may_be_sent_again,
    what_says_something_of_the_merchant_holds_the_account_back,
    an_order_calls_back_where_it_wants,
    what_such_an_account_cannot_have_is_refused,
);

/// The platform with clocks that both sides read.
pub fn platform(faults: OpenFaults) -> OpenConfig {
    OpenConfig {
        timestamps: OpenTime::Real,
        faults,
        ..OpenConfig::from_seed(1)
    }
}

pub async fn start(db: TestDb, open: OpenConfig) -> TestApp {
    let options = Options {
        open: Some(Box::new(open)),
        ..Options::default()
    };
    TestApp::start_with(db, options).await
}

/// A shop with an account at the platform.
pub async fn account(app: &TestApp) -> i64 {
    app.client.make_shop(SHOP).await;
    let mut admin = app.client.admin();
    let made = admin.create_provider_account(new_account(app)).await;
    made.unwrap().into_inner().account.unwrap().account_id
}

/// A packet that was asked for.
async fn ordered(
    app: &TestApp,
    order: pb::SendRedPacketRequest,
) -> Result<pb::Issuance, tonic::Status> {
    let sent = app.client.issuances().send_red_packet(order).await?;
    Ok(sent.into_inner().issuance.unwrap())
}

fn new_account(app: &TestApp) -> pb::CreateProviderAccountRequest {
    let open = app.simulator.open().unwrap();
    pb::CreateProviderAccountRequest {
        request_id: app.client.fresh(),
        protocol: "open_platform".into(),
        mch_id: open.merchant_id.clone(),
        credential: "open".into(),
        appids: vec![open.appids[0].clone()],
        shop_ids: vec![SHOP],
        sends_per_second: 5_000,
        queries_per_second: 5_000,
        openid_day_count: Some(0),
        openid_day_fen: Some(0),
        day_fen: Some(0),
        ..Default::default()
    }
}

/// A campaign of packets of 1.01 yuan at the platform's template.
pub async fn campaign(app: &TestApp, template: &str) -> i64 {
    let account = account(app).await;
    let mut draft = app.client.draft(SHOP, account, "spring");
    let amount = draft.amount.as_mut().unwrap();
    (amount.min_fen, amount.max_fen) = (101, 101);
    draft.template_id = template.to_owned();
    draft.settlement_bp = 9_900;
    app.client.make_campaign(draft, 10_000_000).await
}

async fn an_order_is_taken_paid_and_ends_when_it_is_sent(db: TestDb) {
    let app = start(db, platform(OpenFaults::default())).await;
    let campaign = campaign(&app, "").await;
    let mut order = app.client.send_request(SHOP, campaign, "oAlice");
    (order.mobile, order.wait) = ("13912345678".into(), true);
    let sent = app.client.issuances().send_red_packet(order).await.unwrap();
    let packet = sent.into_inner().issuance.unwrap();
    let packet = app
        .client
        .await_state(SHOP, packet.issuance_id, &[S::Sent])
        .await;
    // The number is the hash alone: the merchant's id is longer than a number.
    assert_eq!(packet.mch_billno.len(), 28);
    let merchant = &app.simulator.open().unwrap().merchant_id;
    assert!(!packet.mch_billno.starts_with(&merchant[..4]));
    let seen = app.client.get(SHOP, packet.issuance_id).await;
    let attempt = &seen.attempts[0];
    assert!(attempt.take_time.is_some() && !attempt.provider_order_no.is_empty());
    assert_eq!((attempt.send_count, attempt.cost_fen), (1, Some(101)));
    // Nobody will say more of it, so nobody asks.
    assert!(attempt.next_time.is_none());
    let states: Vec<S> = seen.history.iter().map(|entry| entry.to_state()).collect();
    assert_eq!(states, [S::Queued, S::Sending, S::Sent]);
    let refresh = pb::RefreshStatusRequest {
        shop_id: SHOP,
        issuance_ids: vec![packet.issuance_id],
    };
    let refreshed = app.client.issuances().refresh_status(refresh).await;
    let refreshed = refreshed.unwrap().into_inner();
    assert_eq!(refreshed.results[0].outcome(), pb::RefreshOutcome::Final);
    let told = words(&app, packet.issuance_id).await;
    assert!(told[0].request.contains(r#""mobile":"13912345678""#));
    assert!(told[0].request.contains(r#""spec":1.01,"#), "{told:?}");
    assert!(told[0].request.contains(r#""templateId":"1001""#));
    assert_eq!(told[0].outcome, "TAKEN");
    assert_eq!(told.last().unwrap().outcome, "SENT");
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!((budget.transit_fen, budget.held_fen), (101, 0));
    app.assert_sound().await;
    app.stop().await;
}

/// What was said about a packet, first to last.
async fn words(app: &TestApp, issuance_id: i64) -> Vec<pb::ProviderExchange> {
    let list = pb::ListProviderExchangesRequest {
        shop_id: SHOP,
        issuance_id,
    };
    let told = app.client.issuances().list_provider_exchanges(list).await;
    told.unwrap().into_inner().exchanges
}

async fn an_order_is_named_by_its_callers_number_and_its_campaign_by_code(db: TestDb) {
    use pb::get_issuance_request::Ref;
    let app = start(db, platform(OpenFaults::default())).await;
    campaign(&app, "1001").await;
    let mut order = app.client.send_request(SHOP, 0, "oAlice");
    order.campaign_code = "spring".into();
    let made = ordered(&app, order.clone()).await.unwrap();
    assert_eq!(made.request_id, order.request_id);
    app.client
        .await_state(SHOP, made.issuance_id, &[S::Sent])
        .await;
    let by = |named| pb::GetIssuanceRequest {
        shop_id: SHOP,
        r#ref: Some(named),
        ..Default::default()
    };
    let mut issuances = app.client.issuances();
    for named in [
        Ref::BizCode(order.request_id.clone()),
        Ref::MchBillno(made.mch_billno.clone()),
    ] {
        let found = issuances.get_issuance(by(named)).await.unwrap();
        let found = found.into_inner().issuance.unwrap();
        assert_eq!(found.issuance_id, made.issuance_id);
    }
    let ask = pb::QueryProviderStatusRequest {
        shop_id: SHOP,
        r#ref: Some(pb::query_provider_status_request::Ref::BizCode(
            order.request_id.clone(),
        )),
        ..Default::default()
    };
    let told = issuances.query_provider_status(ask).await.unwrap();
    let told = told.into_inner();
    let status = told.status.unwrap();
    assert_eq!((&*told.outcome, &*status.status), ("SENT", "2"));
    assert_eq!(status.mch_billno, made.mch_billno);
    // Another app's number is not this one's.
    let unknown = issuances.get_issuance(by(Ref::BizCode("nobody-1".into())));
    assert_eq!(reason(&unknown.await.unwrap_err()), "ISSUANCE_NOT_FOUND");
    let mut both = app.client.send_request(SHOP, 1, "oBob");
    both.campaign_code = "spring".into();
    let refused = issuances.send_red_packet(both).await.unwrap_err();
    assert_eq!(
        violations(&refused),
        [("campaign_code".to_owned(), "FIELD_NOT_ALLOWED".to_owned())]
    );
    let mut none = app.client.send_request(SHOP, 0, "oBob");
    none.campaign_code = "autumn".into();
    let refused = issuances.send_red_packet(none).await.unwrap_err();
    assert_eq!(reason(&refused), "CAMPAIGN_NOT_FOUND");
    app.stop().await;
}

async fn what_it_costs_is_kept_apart_from_its_face(db: TestDb) {
    let app = start(db, platform(OpenFaults::default())).await;
    // 98.5 % of 1.01 yuan: 0.99485, so one whole yuan.
    let campaign = campaign(&app, "1002").await;
    for n in 0..3 {
        let packet = app.client.send(SHOP, campaign, &format!("o{n}")).await;
        let packet = packet.unwrap();
        // 99 % of 1.01 yuan is what the campaign tells its callers.
        assert_eq!((packet.amount_fen, packet.settlement_price_fen), (101, 100));
        app.client
            .await_state(SHOP, packet.issuance_id, &[S::Sent])
            .await;
        let seen = app.client.get(SHOP, packet.issuance_id).await;
        assert_eq!(seen.attempts[0].cost_fen, Some(100));
        let money: Vec<_> = seen
            .history
            .iter()
            .filter(|entry| entry.to_state() == S::Sent)
            .map(|e| (&*e.debit_account, &*e.credit_account, e.amount_fen))
            .collect();
        assert_eq!(
            money,
            [("HELD", "TRANSIT", 101), ("DISCOUNT", "MERCHANT", 1)]
        );
    }
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!(
        (budget.transit_fen, budget.discount_fen, budget.fee_fen),
        (303, 3, 0)
    );
    app.assert_sound().await;
    app.stop().await;
}

async fn a_price_outside_the_contract_goes_to_a_person(db: TestDb) {
    let app = start(db, platform(OpenFaults::default())).await;
    let campaign = campaign(&app, "").await;
    let packet = app.client.send(SHOP, campaign, "oSIM-WRONG_PRICE-1").await;
    let packet = app
        .client
        .await_state(SHOP, packet.unwrap().issuance_id, &[S::Review])
        .await;
    assert_eq!(packet.last_error, "MISMATCH_SETTLEMENTPRICE");
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!(budget.held_fen, 101, "the money stays promised");
    assert_eq!(app.simulator.books().open_book().double_payments, 0);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_refusal_fails_and_may_be_sent_again(db: TestDb) {
    let app = start(db, platform(OpenFaults::default())).await;
    let campaign = campaign(&app, "").await;
    let refused = app
        .client
        .send(SHOP, campaign, "oSIM-BAD_PARAMETER-1")
        .await;
    let refused = refused.unwrap();
    let failed = app
        .client
        .await_state(SHOP, refused.issuance_id, &[S::Failed])
        .await;
    assert_eq!(failed.last_error, "STATUS_3");
    let late = app.client.send(SHOP, campaign, "oSIM-LATE_FAILURE-1").await;
    let late = late.unwrap();
    app.client
        .await_state(SHOP, late.issuance_id, &[S::Failed])
        .await;
    let resend = pb::ResendRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        issuance_id: late.issuance_id,
        ..Default::default()
    };
    app.client.issuances().resend(resend).await.unwrap();
    // A new number, which fails as well: the openid asks for it.
    for _ in 0..400 {
        let seen = app.client.get(SHOP, late.issuance_id).await;
        let numbers: Vec<&str> = seen.attempts.iter().map(|a| &*a.mch_billno).collect();
        if seen.issuance.unwrap().state() == S::Failed && numbers.len() == 2 {
            assert_ne!(numbers[0], numbers[1]);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(app.simulator.books().open_book().payments, 0);
    app.assert_sound().await;
    app.stop().await;
}

async fn what_says_something_of_the_merchant_holds_the_account_back(db: TestDb) {
    let open = OpenConfig {
        opening_balance_fen: 150,
        ..platform(OpenFaults::default())
    };
    let app = start(db, open).await;
    let campaign = campaign(&app, "").await;
    let first = app.client.send(SHOP, campaign, "oFirst").await.unwrap();
    app.client
        .await_state(SHOP, first.issuance_id, &[S::Sent])
        .await;
    let second = app.client.send(SHOP, campaign, "oSecond").await.unwrap();
    let get = pb::GetProviderAccountRequest { account_id: 1 };
    let mut code = String::new();
    for _ in 0..400 {
        let account = app.client.admin().get_provider_account(get).await.unwrap();
        let breaker = account.into_inner().account.unwrap().breaker.unwrap();
        code = breaker.code;
        if breaker.open {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(code, "STATUS_9");
    let fund = app.simulator.admin_url() + "/_sim/open/balance";
    let client = reqwest::Client::builder().build().unwrap();
    let funded = client
        .post(fund)
        .header("content-type", "application/json")
        .body(r#"{"add_fen":100000}"#)
        .send();
    assert!(funded.await.unwrap().status().is_success());
    let sent = app
        .client
        .await_state(SHOP, second.issuance_id, &[S::Sent])
        .await;
    assert_eq!(sent.attempt_count, 1, "the same number went out again");
    app.assert_sound().await;
    app.stop().await;
}

async fn an_order_calls_back_where_it_wants(db: TestDb) {
    let app = start(db, platform(OpenFaults::default())).await;
    let campaign = campaign(&app, "1002").await;
    let order = |openid: &str, url: &str| {
        let mut order = app.client.send_request(SHOP, campaign, openid);
        order.callback_url = url.to_owned();
        order
    };
    // A price below its face has a line of its own in the journal, and no report.
    let own = Receiver::start(|_| (200, "SUCCESS", 0)).await;
    let unsigned = ordered(&app, order("o0", &own.url())).await;
    assert_eq!(
        violations(&unsigned.unwrap_err()),
        [("callback_url".to_owned(), "FIELD_NOT_ALLOWED".to_owned())]
    );
    let shared = Receiver::start(ok).await;
    let new = pb::CreateWebhookEndpointRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        url: shared.url(),
        style: pb::WebhookStyle::OpenPlatform.into(),
        order_callbacks: true,
        ..Default::default()
    };
    let made = app.client.events().create_webhook_endpoint(new).await;
    let made = made.unwrap().into_inner();
    let endpoint_id = made.endpoint.unwrap().endpoint_id;
    let shown = own.url();
    let trial = pb::SendRedPacketRequest {
        validate_only: true,
        mobile: "13912345678".into(),
        ..order("o1", &shown)
    };
    let tried = ordered(&app, trial).await.unwrap();
    assert_eq!(tried.issuance_id, 0);
    assert!(!tried.obfuscated_callback_url.is_empty());
    let packet = ordered(&app, order("o1", &shown)).await.unwrap();
    assert_eq!(
        packet.obfuscated_callback_url,
        shown.split('?').next().unwrap()
    );
    let told = own.posted(1).await.remove(0);
    assert_eq!(told.json()["bizCode"], packet.request_id.as_str());
    assert_eq!(told.json()["status"], 2);
    assert!(shared.posts().is_empty(), "it went to one place alone");
    // One that answers nothing says nothing of the endpoint.
    let gone = Receiver::start(|_| (410, "", 0)).await;
    ordered(&app, order("o2", &gone.url())).await.unwrap();
    gone.posted(2).await;
    let get = pb::GetWebhookEndpointRequest {
        shop_id: SHOP,
        endpoint_id,
    };
    let endpoint = app.client.events().get_webhook_endpoint(get).await.unwrap();
    let endpoint = endpoint.into_inner().endpoint.unwrap();
    assert_eq!(endpoint.state(), pb::WebhookEndpointState::Active);
    assert_eq!(endpoint.failure_count, 0);
    // Without a URL of its own it is told to the endpoint's.
    let plain = app.client.send(SHOP, campaign, "o3").await.unwrap();
    let told = shared.posted(1).await.remove(0);
    assert_eq!(told.json()["bizCode"], plain.request_id.as_str());
    assert_eq!(own.posts().len(), 1, "an order is reported once");
    let list = pb::ListWebhookDeliveriesRequest {
        shop_id: SHOP,
        endpoint_id,
        states: vec![pb::WebhookDeliveryState::Delivered.into()],
        ..Default::default()
    };
    let listed = app.client.events().list_webhook_deliveries(list).await;
    let first = listed.unwrap().into_inner().deliveries;
    let first = first.iter().find(|d| d.subject_id == packet.issuance_id);
    assert_eq!(first.unwrap().request_id, packet.request_id);
    let inside = ordered(&app, order("o4", "http://10.0.0.1/x")).await;
    assert_eq!(
        violations(&inside.unwrap_err()),
        [("callback_url".to_owned(), "RECEIVER_URL_INVALID".to_owned())]
    );
    app.stop().await;
}

async fn what_such_an_account_cannot_have_is_refused(db: TestDb) {
    let app = start(db, platform(OpenFaults::default())).await;
    app.client.make_shop(SHOP).await;
    let mut able = new_account(&app);
    able.capabilities = vec![pb::ProviderCapability::MiniProgram.into()];
    let refused = app.client.admin().create_provider_account(able).await;
    assert_eq!(
        violations(&refused.unwrap_err()),
        [("capabilities".to_owned(), "FIELD_NOT_ALLOWED".to_owned())]
    );
    let made = app
        .client
        .admin()
        .create_provider_account(new_account(&app))
        .await;
    let account_id = made.unwrap().into_inner().account.unwrap().account_id;
    let add = pb::UpdateProviderAccountRequest {
        request_id: app.client.fresh(),
        account_id,
        add_capabilities: vec![pb::ProviderCapability::Fission.into()],
        ..Default::default()
    };
    let refused = app.client.admin().update_provider_account(add).await;
    assert_eq!(
        violations(&refused.unwrap_err()),
        [(
            "add_capabilities".to_owned(),
            "FIELD_NOT_ALLOWED".to_owned()
        )]
    );
    // A template and a mobile number belong to such accounts, and to no others.
    let merchant = app.simulator.merchant();
    let other = app
        .client
        .make_account(&merchant.mch_id, merchant.appid(), &[SHOP]);
    let mut draft = app.client.draft(SHOP, other.await, "other");
    draft.template_id = "1001".into();
    let refused = app.client.campaigns().create_campaign(draft.clone()).await;
    assert_eq!(
        violations(&refused.unwrap_err()),
        [("template_id".to_owned(), "FIELD_NOT_ALLOWED".to_owned())]
    );
    draft.template_id.clear();
    draft.request_id = app.client.fresh();
    let campaign = app.client.make_campaign(draft, 1_000).await;
    let mut order = app.client.send_request(SHOP, campaign, "oAlice");
    order.mobile = "13912345678".into();
    let refused = app.client.issuances().send_red_packet(order).await;
    assert_eq!(
        violations(&refused.unwrap_err()),
        [("mobile".to_owned(), "FIELD_NOT_ALLOWED".to_owned())]
    );
    // A large amount needs no scene, for no scene is told there.
    let mut draft = app.client.draft(SHOP, account_id, "large");
    draft.texts = Some(texts());
    let amount = draft.amount.as_mut().unwrap();
    (amount.min_fen, amount.max_fen) = (20_001, 20_001);
    let refused = app.client.campaigns().create_campaign(draft).await;
    assert_eq!(
        violations(&refused.unwrap_err()),
        [(
            "amount.min_fen".to_owned(),
            "AMOUNT_OUT_OF_RANGE".to_owned()
        )],
        "the account's own bounds hold all the same"
    );
    app.stop().await;
}

/// Right now, in the milliseconds of the protocol.
fn millis() -> i64 {
    let Timestamp(micros) = hongbao::clock::wall();
    micros / 1_000
}

/// Faults that strike sends by chance.
fn by_chance(faults: &[(OpenFault, u16)]) -> OpenFaults {
    faults
        .iter()
        .fold(FaultTable::default(), |table, (fault, per_mille)| {
            table.with_send(*fault, *per_mille)
        })
}
