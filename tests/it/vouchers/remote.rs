//! Products whose vouchers live on a platform that somebody else runs: the real simulator over
//! real HTTP, on both databases. After each test the platform's books and ours agree.

use std::collections::BTreeMap;
use std::time::Duration;

use hongbao::domain::remote_voucher::{RemoteId, TurnOutcome, Undo};
use hongbao::domain::role::Role;
use hongbao::grpc::pb::{self, RemoteCallState as C, VoucherOrderState as O, VoucherState as V};
use hongbao::provider::VoucherPlatform as _;
use hongbao::simulator::{MapCall, MapFault, MapFaults};
use tonic::Status;

use super::{Scene, all_of, order_ref, owner};
use crate::people::{decide, waits_for};
use crate::provider::map::door;
use crate::support::{
    Client, Options, Raw, SHOP, TestApp, TestDb, fact, on_both, reason, violations,
};

on_both!(
    a_voucher_is_given_spent_undone_and_spent_again_on_the_platform,
    a_give_whose_answer_is_lost_is_given_once,
    a_give_that_never_arrived_gives_its_money_back,
    a_refusal_is_told_with_its_code,
    a_spend_whose_answer_is_lost_is_spent_once,
    twenty_gifts_to_one_person_are_told_apart,
    what_fits_no_story_is_ended_by_two_people,
    a_worker_that_died_before_or_after_the_request_gives_once,
    a_batch_is_given_one_by_one,
    a_stop_holds_what_has_not_left,
    a_stop_holds_also_what_was_claimed_before_it,
    an_answer_that_comes_late_is_believed_if_it_says_done,
    a_number_that_is_known_here_proves_nothing,
    what_a_platform_cannot_do_is_refused,
    orders_are_found_by_their_numbers,
);

const ANNA: &str = "13912345678";
const THERE: &str = "HONGBAO_YYD";

struct There {
    scene: Scene,
    account: i64,
    product: i64,
}

impl There {
    /// Six minutes a second: a list that lags is long enough behind to be seen.
    async fn open(db: TestDb) -> Self {
        Self::open_with(db, |_| {}).await
    }

    async fn open_with(db: TestDb, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            time_scale: 360,
            provider_timeout_ms: 400,
            ..Options::default()
        };
        change(&mut options);
        let app = TestApp::start_with(db, options).await;
        let client = app.client.clone();
        client.make_shop(SHOP).await;
        let scene = Scene { app, client };
        let account = map_account(&scene).await;
        let product = scene
            .product_with("there", |new| {
                new.account_id = account;
                new.remote_product_code = THERE.into();
            })
            .await;
        Self {
            scene,
            account,
            product,
        }
    }

    fn strikes(&self, faults: &[(MapCall, MapFault)]) {
        let none = MapFaults::default();
        let faults = faults.iter().fold(none, |faults, (call, fault)| {
            faults.with_next(*call, *fault)
        });
        self.scene.app.simulator.set_map_faults(faults);
    }

    /// Gives, and waits for the platform.
    async fn give(&self, mobile: &str) -> pb::VoucherOrder {
        self.try_give(mobile).await.unwrap()
    }

    async fn try_give(&self, mobile: &str) -> Result<pb::VoucherOrder, Status> {
        let mut gift = self.scene.gift("there", mobile);
        gift.wait = true;
        self.scene.try_give(gift).await
    }

    /// Gives a voucher that can be spent: its id.
    async fn given(&self, mobile: &str) -> i64 {
        let order = self.give(mobile).await;
        assert_eq!(order.state(), O::Given, "{order:?}");
        let voucher = order.lines[0].voucher.clone().unwrap();
        assert_eq!(voucher.state(), V::Issued);
        voucher.voucher_id
    }

    async fn spend(&self, mobile: &str, ids: &[i64]) -> Result<pb::VoucherOrder, Status> {
        let uses = ids.iter().map(|id| all_of(*id)).collect();
        let mut spend = self.scene.spending(mobile, uses);
        spend.wait = true;
        self.scene.try_spend(spend).await
    }

    async fn undo(&self, order_id: i64) -> Result<pb::VoucherOrder, Status> {
        let undo = pb::UndoSpendRequest {
            shop_id: SHOP,
            request_id: self.scene.client.fresh(),
            order: order_ref(order_id),
            wait: true,
            ..Default::default()
        };
        let undone = self.scene.client.vouchers().undo_spend(undo).await?;
        Ok(undone.into_inner().order.unwrap())
    }

    /// A person at the platform undoes the spend of a voucher, behind our back.
    async fn undo_in_its_back_office(&self, id: i64) {
        let number = self.scene.voucher(id).await.voucher.unwrap();
        let books = self.scene.app.simulator.books().map();
        let mut vouchers = books.vouchers.iter();
        let there = vouchers.find(|v| v.voucher_id == number.remote_voucher_id);
        let order = there.unwrap().spent_by.clone().unwrap();
        let undo = Undo {
            orders: vec![RemoteId::parse(&order).unwrap()],
        };
        let done = door(&self.scene.app.simulator).undo(&undo).await;
        assert!(matches!(done.outcome, TurnOutcome::Done { .. }), "{done:?}");
    }

    async fn words(&self, order_id: i64) -> Vec<pb::VoucherExchange> {
        let list = pb::ListVoucherExchangesRequest {
            shop_id: SHOP,
            order: order_ref(order_id),
        };
        let mut vouchers = self.scene.client.vouchers();
        let found = vouchers.list_voucher_exchanges(list).await.unwrap();
        found.into_inner().exchanges
    }

    async fn order(&self, order_id: i64) -> pb::GetVoucherOrderResponse {
        let get = pb::GetVoucherOrderRequest {
            shop_id: SHOP,
            order: order_ref(order_id),
        };
        let mut vouchers = self.scene.client.vouchers();
        vouchers.get_voucher_order(get).await.unwrap().into_inner()
    }

    /// The order once it stands so.
    async fn reaches(&self, order_id: i64, state: O) -> pb::GetVoucherOrderResponse {
        for _ in 0..1_500 {
            let now = self.order(order_id).await;
            if now.order.as_ref().unwrap().state() == state {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", self.order(order_id).await)
    }

    /// The calls that the platform got.
    fn calls(&self, call: MapCall) -> u64 {
        let calls = self.scene.app.simulator.books().map().calls;
        calls.get(&call).copied().unwrap_or_default()
    }

    /// Every rule holds, nobody was given anything twice, and each voucher is the same here
    /// and there.
    async fn close(self) {
        let books = self.scene.app.simulator.books().map();
        let raw = self.scene.raw().await;
        let ours = raw
            .texts(
                "SELECT remote_id || ' ' || face_fen || ' ' || CASE WHEN state = 'SPENT' THEN 1 ELSE 0 END \
                 FROM voucher WHERE remote_id IS NOT NULL ORDER BY remote_id",
            )
            .await;
        let mut theirs: Vec<String> = books
            .vouchers
            .iter()
            .map(|voucher| {
                let spent = i32::from(voucher.spent_by.is_some());
                format!("{} {} {spent}", voucher.voucher_id, voucher.sum_fen)
            })
            .collect();
        theirs.sort();
        assert_eq!(ours, theirs);
        assert_eq!(books.double_gives, 0);
        raw.close().await;
        self.scene.close().await;
    }
}

/// An account of the platform.
pub async fn map_account(scene: &Scene) -> i64 {
    let new = pb::CreateProviderAccountRequest {
        request_id: scene.client.fresh(),
        protocol: "map".into(),
        mch_id: scene.app.simulator.map().unwrap().app_id.clone(),
        credential: "map".into(),
        shop_ids: vec![SHOP],
        ..Default::default()
    };
    let made = scene.client.admin().create_provider_account(new).await;
    made.unwrap().into_inner().account.unwrap().account_id
}

/// What happened to a voucher, in order.
async fn history(scene: &Scene, id: i64) -> Vec<String> {
    let found = scene.voucher(id).await;
    found.history.into_iter().map(|event| event.kind).collect()
}

async fn a_voucher_is_given_spent_undone_and_spent_again_on_the_platform(db: TestDb) {
    let there = There::open(db).await;
    let scene = &there.scene;
    let (first, second) = (there.given(ANNA).await, there.given(ANNA).await);
    assert_eq!(
        scene.money(there.product).await,
        (100_000_000 - 20_000, 20_000, 0)
    );
    let shown = scene.voucher(first).await.voucher.unwrap();
    let books = there.scene.app.simulator.books().map();
    assert_eq!(shown.remote_voucher_id, books.vouchers[0].voucher_id);
    let end = shown.end_time.unwrap();
    assert_eq!(
        end.seconds * 1_000,
        books.vouchers[0].end_ms,
        "as the platform has it"
    );

    let mut spend = scene.spending(ANNA, vec![all_of(first), all_of(second)]);
    spend.wait = true;
    spend.account_code = "231435".into();
    spend.associated_order_id = "oil-1".into();
    let spent = scene.try_spend(spend.clone()).await.unwrap();
    assert_eq!(spent.state(), O::Spent, "{spent:?}");
    assert!(spent.undo_until.is_some());
    assert_eq!(
        scene.money(there.product).await,
        (100_000_000 - 20_000, 0, 20_000)
    );
    // The same call again is the same order.
    let again = scene.client.vouchers().spend_vouchers(spend).await.unwrap();
    let again = again.into_inner();
    assert!(again.replayed);
    assert_eq!(again.order.unwrap().order_id, spent.order_id);
    assert_eq!(there.calls(MapCall::Spend), 1);

    let undone = there.undo(spent.order_id).await.unwrap();
    assert_eq!(undone.state(), O::Undone, "{undone:?}");
    assert_eq!(
        scene.money(there.product).await,
        (100_000_000 - 20_000, 20_000, 0)
    );
    let twice = there.undo(spent.order_id).await.unwrap_err();
    assert_eq!(reason(&twice), "ORDER_STATE");
    let anew = there.spend(ANNA, &[first]).await.unwrap();
    assert_eq!(anew.state(), O::Spent);
    assert_eq!(
        history(scene, first).await,
        [
            "ACCEPTED", "GIVEN", "RESERVED", "SPENT", "UNDONE", "RESERVED", "SPENT"
        ]
    );
    let seen = there.order(spent.order_id).await;
    let calls: Vec<(i32, C)> = seen
        .remote_calls
        .iter()
        .map(|call| (call.line, call.state()))
        .collect();
    assert_eq!(calls, [(0, C::Done), (1, C::Done)]);
    assert!(!seen.remote_calls[0].remote_order_ids.is_empty());
    let said: Vec<&str> = seen.remote_calls[0]
        .exchanges
        .iter()
        .map(|exchange| exchange.call.as_str())
        .collect();
    assert_eq!(said, ["query", "spend"]);
    // What confirmed it is forgotten.
    let raw = scene.raw().await;
    let kept = "SELECT COUNT(*) FROM remote_call WHERE codes_cipher IS NOT NULL";
    assert_eq!(raw.number(kept).await, 0);
    raw.close().await;
    there.close().await;
}

async fn a_give_whose_answer_is_lost_is_given_once(db: TestDb) {
    let there = There::open(db).await;
    for (nth, fault) in [
        MapFault::TimeoutAfter,
        MapFault::ResetAfter,
        MapFault::HalfBody,
        MapFault::Garbage,
        MapFault::Html502,
        MapFault::ErrorAfter,
        MapFault::TimeoutLate,
        MapFault::Lag,
        MapFault::NoId,
    ]
    .into_iter()
    .enumerate()
    {
        there.strikes(&[(MapCall::Give, fault)]);
        let order = there.give(&format!("139{nth:08}")).await;
        let now = there.reaches(order.order_id, O::Given).await;
        let voucher = now.order.unwrap().lines[0].voucher.clone().unwrap();
        assert_eq!(voucher.state(), V::Issued, "{fault:?}");
        assert!(!voucher.remote_voucher_id.is_empty(), "{fault:?}");
        assert_eq!(now.remote_calls[0].state(), C::Done, "{fault:?}");
        assert_eq!(
            there.calls(MapCall::Give),
            u64::try_from(nth).unwrap() + 1,
            "{fault:?}"
        );
    }
    assert_eq!(
        there.scene.money(there.product).await,
        (100_000_000 - 90_000, 90_000, 0)
    );
    there.close().await;
}

async fn a_give_that_never_arrived_gives_its_money_back(db: TestDb) {
    let there = There::open(db).await;
    there.strikes(&[(MapCall::Give, MapFault::TimeoutBefore)]);
    let gift = there.scene.gift("there", ANNA);
    let order = there.scene.try_give(gift).await.unwrap();
    assert_eq!(order.state(), O::Pending);
    assert_eq!(
        there.scene.money(there.product).await,
        (100_000_000 - 10_000, 10_000, 0)
    );
    let now = there.reaches(order.order_id, O::Failed).await;
    let order = now.order.unwrap();
    assert_eq!(order.last_error, "ABSENT");
    let voucher = order.lines[0].voucher.clone().unwrap();
    assert_eq!(voucher.state(), V::Voided);
    assert_eq!(
        history(&there.scene, voucher.voucher_id).await,
        ["ACCEPTED", "NOT_GIVEN"]
    );
    assert_eq!(there.scene.money(there.product).await, (100_000_000, 0, 0));
    assert_eq!(there.calls(MapCall::Give), 1, "it is not sent again");
    there.given(ANNA).await;
    there.close().await;
}

async fn a_refusal_is_told_with_its_code(db: TestDb) {
    let there = There::open(db).await;
    there.strikes(&[(MapCall::Give, MapFault::NoUser)]);
    let order = there.give(ANNA).await;
    let now = there.reaches(order.order_id, O::Failed).await;
    assert_eq!(now.order.unwrap().last_error, "24103");
    let call = &now.remote_calls[0];
    assert_eq!(call.answer, "24103");
    let outcomes: Vec<&str> = call
        .exchanges
        .iter()
        .map(|exchange| exchange.outcome.as_str())
        .collect();
    assert_eq!(outcomes[0], "LISTED_0", "{outcomes:?}");
    assert!(outcomes.contains(&"24103"), "{outcomes:?}");
    let words = there.words(order.order_id).await;
    assert_eq!(words.len(), call.exchanges.len());
    let give = words
        .iter()
        .find(|words| words.exchange.as_ref().unwrap().call == "give")
        .unwrap();
    assert!(give.request.contains(ANNA) && give.response.contains("24103"));
    // A code that the account does not list proves nothing; it is not forgotten.
    there.strikes(&[(MapCall::Give, MapFault::ErrorBefore)]);
    let order = there.give(ANNA).await;
    let now = there.reaches(order.order_id, O::Failed).await;
    assert_eq!(now.order.unwrap().last_error, "ABSENT");
    assert_eq!(now.remote_calls[0].answer, "10000");
    // Spent elsewhere: the list says so, and no spend is sent.
    let id = there.given(ANNA).await;
    there.scene.app.simulator.books();
    there.strikes(&[
        (MapCall::Query, MapFault::NothingFound),
        (MapCall::Query, MapFault::NothingFound),
    ]);
    let spent = there.spend(ANNA, &[id]).await.unwrap();
    assert_eq!(
        (spent.state(), spent.last_error.as_str()),
        (O::Failed, "UNFIT")
    );
    assert_eq!(there.calls(MapCall::Spend), 0);
    assert_eq!(there.scene.state(id).await, V::Issued, "let go of");
    let spent = there.spend(ANNA, &[id]).await.unwrap();
    assert_eq!(spent.state(), O::Spent);
    there.close().await;
}

async fn a_spend_whose_answer_is_lost_is_spent_once(db: TestDb) {
    let there = There::open(db).await;
    let faults = [
        (MapFault::TimeoutAfter, O::Spent),
        (MapFault::Garbage, O::Spent),
        (MapFault::ErrorAfter, O::Spent),
        (MapFault::TimeoutBefore, O::Failed),
        (MapFault::Reset, O::Failed),
    ];
    for (nth, (fault, end)) in faults.into_iter().enumerate() {
        let mobile = format!("138{nth:08}");
        let id = there.given(&mobile).await;
        there.strikes(&[(MapCall::Spend, fault)]);
        let order = there.spend(&mobile, &[id]).await.unwrap();
        let now = there.reaches(order.order_id, end).await;
        assert_eq!(
            there.calls(MapCall::Spend),
            u64::try_from(nth).unwrap() + 1,
            "{fault:?}"
        );
        let state = if end == O::Spent { V::Spent } else { V::Issued };
        assert_eq!(there.scene.state(id).await, state, "{fault:?}");
        if end == O::Spent {
            assert!(now.remote_calls[0].remote_order_ids.is_empty());
            // Its number was lost: whoever undoes it there tells so by the same call.
            let undo = there.undo(order.order_id).await.unwrap();
            assert_eq!(
                (undo.state(), undo.last_error.as_str()),
                (O::Spent, "NUMBER_LOST")
            );
            there.undo_in_its_back_office(id).await;
            let made = there.calls(MapCall::Undo);
            let undo = there.undo(order.order_id).await.unwrap();
            assert_eq!(undo.state(), O::Undone, "{undo:?}");
            assert_eq!(there.scene.state(id).await, V::Issued);
            assert_eq!(there.calls(MapCall::Undo), made, "only looked for");
        }
    }
    // An undo whose answer is lost, and one that never arrived.
    for (fault, end) in [
        (MapFault::TimeoutAfter, O::Undone),
        (MapFault::TimeoutBefore, O::Spent),
    ] {
        let id = there.given(ANNA).await;
        let spent = there.spend(ANNA, &[id]).await.unwrap();
        assert_eq!(spent.state(), O::Spent);
        there.strikes(&[(MapCall::Undo, fault)]);
        there.undo(spent.order_id).await.unwrap();
        there.reaches(spent.order_id, end).await;
    }
    there.close().await;
}

async fn twenty_gifts_to_one_person_are_told_apart(db: TestDb) {
    let there = There::open(db).await;
    // Some of the answers are lost.
    let odds = BTreeMap::from([(MapFault::TimeoutAfter, 300), (MapFault::Garbage, 200)]);
    let faults = MapFaults {
        odds: BTreeMap::from([(MapCall::Give, odds)]),
        ..MapFaults::default()
    };
    there.scene.app.simulator.set_map_faults(faults);
    let mut orders = Vec::new();
    for _ in 0..20 {
        let gift = there.scene.gift("there", ANNA);
        orders.push(there.scene.try_give(gift).await.unwrap().order_id);
    }
    let mut numbers = Vec::new();
    for order in orders {
        let now = there.reaches(order, O::Given).await;
        let voucher = now.order.unwrap().lines[0].voucher.clone().unwrap();
        numbers.push(voucher.remote_voucher_id);
    }
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 20);
    assert_eq!(there.calls(MapCall::Give), 20);
    there.close().await;
}

async fn what_fits_no_story_is_ended_by_two_people(db: TestDb) {
    let there = There::open(db).await;
    let scene = &there.scene;
    let ann = scene
        .app
        .person("ann", &[Role::Reviewer, Role::Approver])
        .await;
    let bob = scene.app.person("bob", &[Role::Approver]).await;
    there.strikes(&[(MapCall::Give, MapFault::WrongSum)]);
    let order = there.give(ANNA).await;
    let now = there.reaches(order.order_id, O::Review).await;
    assert_eq!(now.remote_calls[0].state(), C::Review);
    assert_eq!(now.remote_calls[0].last_error, "MISMATCH");
    // The next gift to the same person waits for them.
    let next = there.give(ANNA).await;
    assert_eq!(next.state(), O::Pending);
    let waits = there.order(next.order_id).await;
    assert_eq!(waits.remote_calls[0].last_error, "PAIR_IN_REVIEW");
    assert_eq!(there.calls(MapCall::Give), 1);

    let number = scene.app.simulator.books().map().vouchers[0]
        .voucher_id
        .clone();
    let closing = |client: &Client| pb::CloseVoucherReviewRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        order_id: order.order_id,
        verdict: pb::RemoteVerdict::Done.into(),
        remote_voucher_id: number.clone(),
        reason: "seen in the platform's back office".into(),
        ..Default::default()
    };
    let close = async |client: &Client, request: pb::CloseVoucherReviewRequest| {
        let done = client.vouchers().close_voucher_review(request).await?;
        Ok::<_, Status>(done.into_inner())
    };
    let app = closing(&scene.client);
    let refused = close(&scene.client, app).await.unwrap_err();
    assert_eq!(reason(&refused), "OPERATOR_REQUIRED");
    let mut nameless = closing(&ann);
    nameless.remote_voucher_id.clear();
    let refused = close(&ann, nameless).await.unwrap_err();
    let field = ("remote_voucher_id".to_owned(), "FIELD_REQUIRED".to_owned());
    assert!(violations(&refused).contains(&field), "{refused:?}");
    let mut other = closing(&ann);
    other.line = 7;
    let refused = close(&ann, other).await.unwrap_err();
    assert!(violations(&refused).contains(&("line".to_owned(), "ID_INVALID".to_owned())));

    let raw = scene.raw().await;
    let before = raw.counts().await;
    let mut tried = closing(&ann);
    tried.validate_only = true;
    let refused = close(&ann, tried).await.unwrap_err();
    assert_eq!(reason(&refused), "APPROVAL_REQUIRED");
    assert_eq!(raw.counts().await, before, "it was only tried");
    raw.close().await;
    let request = closing(&ann);
    let id = waits_for(&close(&ann, request.clone()).await.unwrap_err());
    decide(&bob, id, true).await.unwrap();
    let done = close(&ann, request.clone()).await.unwrap();
    assert_eq!(done.order.unwrap().state(), O::Given);
    assert!(close(&ann, request).await.unwrap().replayed);
    let late = close(&ann, closing(&ann)).await.unwrap_err();
    assert_eq!(reason(&late), "NOT_IN_REVIEW");
    let seen = there.reaches(next.order_id, O::Given).await;
    assert_eq!(seen.remote_calls[0].state(), C::Done);
    there.close().await;
}

/// Takes a call in hand as a worker would that dies then; whether its request had left.
async fn dies(there: &There, order: i64, left: bool) {
    let raw = Raw::open(&there.scene.app.db).await;
    let sent = if left {
        "sent_time = create_time, ended_time = create_time, baseline = '[]', last_error = 'PAIR_BUSY',"
    } else {
        ""
    };
    let taken = raw
        .execute(&format!(
            "UPDATE remote_call SET state = 'SENDING', {sent} fence = 1 WHERE order_id = {order} AND state = 'QUEUED'"
        ))
        .await;
    assert_eq!(taken, 1);
    raw.close().await;
}

async fn a_worker_that_died_before_or_after_the_request_gives_once(db: TestDb) {
    // Nobody works yet: what is accepted waits.
    let there = There::open_with(db, |options| options.dispatcher = false).await;
    let mut orders = Vec::new();
    for mobile in ["13900000001", "13900000002"] {
        let gift = there.scene.gift("there", mobile);
        orders.push(there.scene.try_give(gift).await.unwrap().order_id);
    }
    dies(&there, orders[0], false).await;
    dies(&there, orders[1], true).await;
    let There {
        scene,
        account,
        product,
    } = there;
    let app = scene
        .app
        .restart(|config| config.dispatcher.enabled = true)
        .await;
    let client = app.client.clone();
    let there = There {
        scene: Scene { app, client },
        account,
        product,
    };
    // Nothing had left: it is given now.
    there.reaches(orders[0], O::Given).await;
    // It may have left: it is only looked for, and in the end it is not there. What it had
    // waited for before says nothing any more.
    let raw = there.scene.raw().await;
    call_is(
        &raw,
        orders[1],
        "state = 'UNKNOWN' AND last_error = 'LEASE_LOST'",
    )
    .await;
    raw.close().await;
    let ended = there.reaches(orders[1], O::Failed).await;
    assert_eq!(ended.order.unwrap().last_error, "ABSENT");
    assert_eq!(there.calls(MapCall::Give), 1);
    there.close().await;
}

async fn a_batch_is_given_one_by_one(db: TestDb) {
    let there = There::open(db).await;
    there.strikes(&[
        (MapCall::Give, MapFault::NoUser),
        (MapCall::Give, MapFault::TimeoutAfter),
    ]);
    let gifts = ["13900000001", "13900000002", "13900000003"];
    let batch = pb::BatchGiveVouchersRequest {
        shop_id: SHOP,
        app_order_id: there.scene.client.fresh(),
        product_code: "there".into(),
        gifts: gifts
            .iter()
            .map(|mobile| pb::VoucherGift {
                owner: owner(mobile),
                face_fen: 0,
            })
            .collect(),
        wait: true,
        ..Default::default()
    };
    let mut vouchers = there.scene.client.vouchers();
    let made = vouchers.batch_give_vouchers(batch).await.unwrap();
    let order = made.into_inner().order.unwrap();
    let now = there.reaches(order.order_id, O::Given).await.order.unwrap();
    let mut states: Vec<V> = now
        .lines
        .iter()
        .map(|line| line.voucher.as_ref().unwrap().state())
        .collect();
    states.sort_by_key(|state| i32::from(*state));
    assert_eq!(states, [V::Issued, V::Issued, V::Voided]);
    assert_eq!(
        there.scene.money(there.product).await,
        (100_000_000 - 20_000, 20_000, 0)
    );
    there.close().await;
}

async fn a_stop_holds_what_has_not_left(db: TestDb) {
    let there = There::open_with(db, |options| options.dispatcher = false).await;
    let gift = there.scene.gift("there", ANNA);
    let order = there.scene.try_give(gift).await.unwrap().order_id;
    let stop = pb::StopAllRequest {
        request_id: there.scene.client.fresh(),
        scope: scope(there.account),
        reason: "the platform gives twice".into(),
        ..Default::default()
    };
    there.scene.client.admin().stop_all(stop).await.unwrap();
    let There {
        scene,
        account,
        product,
    } = there;
    let app = scene
        .app
        .restart(|config| config.dispatcher.enabled = true)
        .await;
    let client = app.client.clone();
    let there = There {
        scene: Scene { app, client },
        account,
        product,
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let held = there.order(order).await;
    assert_eq!(held.order.unwrap().state(), O::Pending);
    assert_eq!(held.remote_calls[0].state(), C::Queued);
    assert_eq!(there.calls(MapCall::Give), 0);
    let ann = there.scene.app.person("ann", &[Role::Administrator]).await;
    let resume = pb::ResumeAllRequest {
        request_id: ann.fresh(),
        scope: scope(there.account),
        reason: "mended".into(),
        ..Default::default()
    };
    ann.admin().resume_all(resume).await.unwrap();
    there.reaches(order, O::Given).await;
    there.close().await;
}

/// The row of an order's only call, once it is so.
async fn call_is(raw: &Raw, order: i64, what: &str) {
    let sql = format!("SELECT COUNT(*) FROM remote_call WHERE order_id = {order} AND {what}");
    for _ in 0..1_000 {
        if raw.number(&sql).await == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never {what}");
}

fn scope(account: i64) -> Option<pb::StopScope> {
    Some(pb::StopScope {
        scope: Some(pb::stop_scope::Scope::AccountId(account)),
    })
}

async fn a_stop_holds_also_what_was_claimed_before_it(db: TestDb) {
    let there = There::open(db).await;
    let raw = there.scene.raw().await;
    // The first look takes its time; the stop comes before the request.
    there.strikes(&[(MapCall::Query, MapFault::Slow)]);
    let gift = there.scene.gift("there", ANNA);
    let order = there.scene.try_give(gift).await.unwrap().order_id;
    call_is(&raw, order, "state = 'SENDING' AND sent_time IS NULL").await;
    let stop = pb::StopAllRequest {
        request_id: there.scene.client.fresh(),
        scope: scope(there.account),
        reason: "the platform gives twice".into(),
        ..Default::default()
    };
    there.scene.client.admin().stop_all(stop).await.unwrap();
    call_is(
        &raw,
        order,
        "state = 'QUEUED' AND last_error = 'STOPPED' AND tries = 0",
    )
    .await;
    assert_eq!(there.calls(MapCall::Give), 0);
    let ann = there.scene.app.person("ann", &[Role::Administrator]).await;
    let resume = pb::ResumeAllRequest {
        request_id: ann.fresh(),
        scope: scope(there.account),
        reason: "mended".into(),
        ..Default::default()
    };
    ann.admin().resume_all(resume).await.unwrap();
    there.reaches(order, O::Given).await;
    assert_eq!(there.calls(MapCall::Give), 1);
    raw.close().await;
    there.close().await;
}

async fn an_answer_that_comes_late_is_believed_if_it_says_done(db: TestDb) {
    let there = There::open(db).await;
    let raw = there.scene.raw().await;
    there.strikes(&[(MapCall::Give, MapFault::Slow)]);
    let gift = there.scene.gift("there", ANNA);
    let order = there.scene.try_give(gift).await.unwrap().order_id;
    call_is(&raw, order, "sent_time IS NOT NULL").await;
    // Another one has it in hand, and will look in a day.
    let taken = format!(
        "UPDATE remote_call SET state = 'UNKNOWN', fence = fence + 1, due_time = due_time + 86400000000 WHERE order_id = {order} AND state = 'SENDING'"
    );
    assert_eq!(raw.execute(&taken).await, 1);
    let now = there.reaches(order, O::Given).await;
    assert_eq!(now.remote_calls[0].state(), C::Done);
    assert!(!now.remote_calls[0].remote_order_ids.is_empty());
    raw.close().await;
    there.close().await;
}

async fn a_number_that_is_known_here_proves_nothing(db: TestDb) {
    let there = There::open(db).await;
    let first = there.given(ANNA).await;
    let raw = there.scene.raw().await;
    let rename = async |to: &str| {
        let sql = format!("UPDATE voucher SET remote_id = '{to}' WHERE id = {first}");
        assert_eq!(raw.execute(&sql).await, 1);
    };
    // Somebody has closed a case with a wrong number, which the platform gives now.
    rename("RP00000000000002").await;
    let order = there.give("13800000001").await;
    let now = there.reaches(order.order_id, O::Review).await;
    assert_eq!(now.remote_calls[0].last_error, "KNOWN_VOUCHER");
    assert!(
        !now.remote_calls[0].exchanges.is_empty(),
        "the evidence is kept"
    );
    let ann = there.scene.app.person("ann", &[Role::Reviewer]).await;
    let bob = there.scene.app.person("bob", &[Role::Approver]).await;
    let closing = pb::CloseVoucherReviewRequest {
        shop_id: SHOP,
        request_id: "end".into(),
        order_id: order.order_id,
        verdict: pb::RemoteVerdict::Done.into(),
        remote_voucher_id: "RP00000000000002".into(),
        reason: "seen there".into(),
        ..Default::default()
    };
    let close = async || {
        let mut vouchers = ann.vouchers();
        vouchers.close_voucher_review(closing.clone()).await
    };
    let refused = close().await.unwrap_err();
    let field = ("remote_voucher_id".to_owned(), "ID_INVALID".to_owned());
    assert!(violations(&refused).contains(&field), "{refused:?}");
    rename("RP00000000000001").await;
    let id = waits_for(&close().await.unwrap_err());
    decide(&bob, id, true).await.unwrap();
    let done = close().await.unwrap().into_inner();
    assert_eq!(done.order.unwrap().state(), O::Given);
    raw.close().await;
    there.close().await;
}

async fn what_a_platform_cannot_do_is_refused(db: TestDb) {
    let there = There::open(db).await;
    let scene = &there.scene;
    let (id, here) = (there.given(ANNA).await, {
        scene.product("here").await;
        scene.give("here", ANNA).await.voucher_id
    });
    let raw = scene.raw().await;
    let before = raw.counts().await;
    let field = |status: &Status, field: &str, cause: &str| {
        let wanted = (field.to_owned(), cause.to_owned());
        assert!(violations(status).contains(&wanted), "{status:?}");
    };
    // Holds, mixed orders, hands.
    let hold = pb::ReserveVouchersRequest {
        shop_id: SHOP,
        app_order_id: scene.client.fresh(),
        owner: owner(ANNA),
        uses: vec![all_of(id)],
        ..Default::default()
    };
    let refused = scene.client.vouchers().reserve_vouchers(hold).await;
    field(&refused.unwrap_err(), "uses", "FIELD_NOT_ALLOWED");
    let refused = there.spend(ANNA, &[id, here]).await.unwrap_err();
    field(&refused, "uses", "FIELD_NOT_ALLOWED");
    let void = pb::VoidVouchersRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        voucher_ids: vec![id],
        reason: "by mistake".into(),
        ..Default::default()
    };
    let refused = scene
        .client
        .vouchers()
        .void_vouchers(void)
        .await
        .unwrap_err();
    assert_eq!(
        super::causes(&refused),
        [format!(
            "VOUCHER_NOT_USABLE cause=REMOTE voucher={id} voucher_id={id} state=ISSUED"
        )]
    );
    let mut blanks = scene.spending(ANNA, vec![all_of(id)]);
    blanks.associated_order_id = "订单 1".into();
    let refused = scene.try_spend(blanks).await.unwrap_err();
    field(&refused, "associated_order_id", "ID_INVALID");
    // Nobody without a number.
    let mut gift = scene.gift("there", ANNA);
    gift.owner = super::by_uid("somebody");
    field(
        &scene.try_give(gift).await.unwrap_err(),
        "owner",
        "FIELD_REQUIRED",
    );
    // Products that do not fit.
    let create = async |change: &dyn Fn(&mut pb::CreateVoucherProductRequest)| {
        let mut new = pb::CreateVoucherProductRequest {
            shop_id: SHOP,
            request_id: scene.client.fresh(),
            code: "other".into(),
            name: "红包".into(),
            min_face_fen: 100,
            validity: super::days(30),
            account_id: there.account,
            remote_product_code: THERE.into(),
            ..Default::default()
        };
        change(&mut new);
        let made = scene.client.vouchers().create_voucher_product(new).await;
        made.unwrap_err()
    };
    let not_allowed = |status: &Status, name: &str| field(status, name, "FIELD_NOT_ALLOWED");
    not_allowed(
        &create(&|new| new.kind = pb::VoucherKind::Code.into()).await,
        "kind",
    );
    not_allowed(&create(&|new| new.partial = true).await, "partial");
    not_allowed(
        &create(&|new| new.step_up = pb::StepUp::AccountCode.into()).await,
        "step_up",
    );
    not_allowed(
        &create(&|new| new.account_id = 0).await,
        "remote_product_code",
    );
    let status = create(&|new| new.remote_product_code = "A B".into()).await;
    field(&status, "remote_product_code", "ID_INVALID");
    let status = create(&|new| new.account_id = 999).await;
    assert_eq!(reason(&status), "ACCOUNT_NOT_FOUND");
    let merchant = scene.app.simulator.merchant().mch_id.clone();
    let pays = scene
        .client
        .make_account(&merchant, &scene.app.appid(), &[SHOP])
        .await;
    let after_account = raw.counts().await;
    let status = create(&|new| new.account_id = pays).await;
    assert_eq!(reason(&status), "PROVIDER_CAPABILITY");
    assert_eq!(fact(&status, "capability"), "VOUCHER");
    assert_eq!(raw.counts().await, after_account);
    let (was, is) = (before, after_account);
    for table in [
        "voucher",
        "voucher_order",
        "remote_call",
        "voucher_product",
        "recipient",
    ] {
        assert_eq!(was.get(table), is.get(table), "{table}");
    }
    raw.close().await;
    there.close().await;
}

async fn orders_are_found_by_their_numbers(db: TestDb) {
    let there = There::open(db).await;
    let scene = &there.scene;
    let id = there.given(ANNA).await;
    let mut spend = scene.spending(ANNA, vec![all_of(id)]);
    spend.wait = true;
    spend.associated_order_id = "oil-1".into();
    let spent = scene.try_spend(spend.clone()).await.unwrap();
    let ann = scene.app.person("ann", &[Role::Viewer]).await;
    let list = async |client: &Client, change: &dyn Fn(&mut pb::ListVoucherOrdersRequest)| {
        let mut list = pb::ListVoucherOrdersRequest {
            shop_id: SHOP,
            ..Default::default()
        };
        change(&mut list);
        let found = client.vouchers().list_voucher_orders(list).await.unwrap();
        found.into_inner()
    };
    let ids = |found: &pb::ListVoucherOrdersResponse| {
        let ids = found.orders.iter().map(|order| order.order_id);
        ids.collect::<Vec<_>>()
    };
    let all = list(&ann, &|_| {}).await;
    assert_eq!(all.orders.len(), 2);
    assert_eq!(all.orders[0].order_id, spent.order_id, "newest first");
    assert_eq!(all.orders[0].lines.len(), 1);
    for client in [&ann, &scene.client] {
        let found = list(client, &|list| {
            list.app_order_id.clone_from(&spend.app_order_id)
        })
        .await;
        assert_eq!(ids(&found), [spent.order_id]);
        let found = list(client, &|list| list.associated_order_id = "oil-1".into()).await;
        assert_eq!(ids(&found), [spent.order_id]);
        let found = list(client, &|list| list.states = vec![O::Spent.into()]).await;
        assert_eq!(ids(&found), [spent.order_id]);
        let open = |list: &mut pb::ListVoucherOrdersRequest| {
            list.states = vec![O::Pending.into(), O::Review.into(), O::Failed.into()];
        };
        assert!(list(client, &open).await.orders.is_empty());
    }
    let first = list(&ann, &|list| list.page_size = 1).await;
    assert_eq!(ids(&first), [spent.order_id]);
    let token = first.next_page_token;
    let next = |list: &mut pb::ListVoucherOrdersRequest| {
        list.page_size = 1;
        list.page_token.clone_from(&token);
    };
    assert_eq!(list(&ann, &next).await.orders.len(), 1);
    there.close().await;
}
