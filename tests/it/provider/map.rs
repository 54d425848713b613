//! The voucher platform's door and the rules for doubt, against the simulator over real HTTP.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

use hongbao::clock;
use hongbao::domain::outcome::{Cause, RejectionKind};
use hongbao::domain::remote_voucher::{
    Baseline, Fate, Give, GiveOutcome, ListOutcome, NotSent, PageQuery, Pair, Patience, Proof,
    RemoteId, RemoteStatus, Review, Spend, StepUp, Turn, TurnFate, TurnOutcome, Undo,
};
use hongbao::domain::text::{MchId, Mobile};
use hongbao::domain::{Error, Fen, Reason, Timestamp};
use hongbao::provider::VoucherPlatform;
use hongbao::provider::map::{AppKey, MapCredential, MapPlatform, Options};
use hongbao::service::remote_voucher::{Doubt, Look, Pairs, Spent, Vouchers, lost};
use hongbao::signing::private::PrivateKey;
use hongbao::signing::rsa::{Hash, PublicKey};
use hongbao::simulator::{Config, MapCall, MapConfig, MapFault, MapFaults, Simulator, start};

use super::SHORT;

pub(crate) const PRIVATE: &str = include_str!("../../golden/map/private.pem");
const PUBLIC: &str = include_str!("../../golden/map/public.pem");
const PRODUCT: &str = "HONGBAO_YYD";
/// The simulator's codes of refusals from before anything happens.
const REFUSALS: [&str; 4] = ["24103", "24104", "24305", "24406"];
/// Doubt ends at once, so that tests need not wait.
const HASTY: Patience = Patience {
    quiet: Duration::ZERO,
    give_up: Duration::from_secs(3_600),
};

pub(crate) async fn platform(change: impl FnOnce(&mut MapConfig)) -> Simulator {
    // An hour a second.
    platform_at(3_600, change).await
}

async fn platform_at(time_scale: u32, change: impl FnOnce(&mut MapConfig)) -> Simulator {
    let mut map = MapConfig::from_seed(1);
    map.public_key = PublicKey::from_pem(PUBLIC);
    change(&mut map);
    let config = Config {
        time_scale,
        hold: Duration::from_secs(4),
        map: Some(map),
        ..Config::default()
    };
    start(config).await.unwrap()
}

pub(crate) fn credential(simulator: &Simulator) -> MapCredential {
    let map = simulator.map().unwrap();
    MapCredential {
        name: "oil".to_owned(),
        base_url: simulator.base_url(),
        app_id: MchId::of_app(&map.app_id).unwrap(),
        app_key: AppKey::parse(map.app_key.as_deref().unwrap()).unwrap(),
        sign_key: PrivateKey::from_pem(PRIVATE).unwrap(),
        options: Options {
            refusals: REFUSALS.map(str::to_owned).into(),
            ..Options::default()
        },
        client_identity: None,
        ca_pem: None,
    }
}

pub(crate) fn door(simulator: &Simulator) -> MapPlatform {
    MapPlatform::new(&credential(simulator), SHORT).unwrap()
}

fn id(raw: &str) -> RemoteId {
    RemoteId::parse(raw).unwrap()
}

fn mobile(n: u32) -> Mobile {
    Mobile::parse(&format!("139{n:08}")).unwrap()
}

fn order(n: u32) -> Give {
    Give {
        pair: Pair {
            mobile: mobile(n),
            product: id(PRODUCT),
        },
        sum: Fen(100_000),
        order: id(&format!("order-{n}")),
        remark: "某某为用户赠送有油贷1000元红包".to_owned(),
    }
}

fn strikes(simulator: &Simulator, call: MapCall, fault: MapFault) {
    simulator.set_map_faults(MapFaults::default().with_next(call, fault));
}

async fn all(door: &MapPlatform, n: u32) -> Vec<hongbao::domain::remote_voucher::RemoteVoucher> {
    let pairs = Pairs::default();
    let vouchers = Vouchers::new(door, &pairs, HASTY);
    match vouchers.query(&mobile(n), &[id(PRODUCT)]).await.fate {
        Look::Whole(vouchers) => vouchers,
        Look::Unclear(code) => panic!("{code}"),
    }
}

#[tokio::test]
async fn a_voucher_is_given_listed_spent_and_spent_anew_after_the_undo() {
    for (says_spent, order_for_each, hash) in [
        (false, false, Hash::Sha1),
        (true, true, Hash::Sha256),
        (true, false, Hash::Md5),
    ] {
        let simulator = platform(|map| {
            (map.says_spent, map.order_for_each, map.hash) = (says_spent, order_for_each, hash);
            map.signs_associated = order_for_each;
        })
        .await;
        let mut credential = credential(&simulator);
        (credential.options.hash, credential.options.signs_associated) = (hash, order_for_each);
        let door = MapPlatform::new(&credential, SHORT).unwrap();
        let said = door.give(&order(1)).await;
        let GiveOutcome::Given { voucher, order: no } = said.outcome else {
            panic!("{said:?}")
        };
        assert_eq!(
            (voucher.sum, voucher.status),
            (Fen(100_000), RemoteStatus::Usable)
        );
        assert!(no.is_some() && voucher.start.is_none());
        let midnight = Timestamp(simulator.books().now_ms() * 1_000).next_beijing_midnight();
        assert_eq!(
            voucher.end,
            Some(midnight.plus(Duration::from_secs(30 * 86_400)))
        );
        assert_eq!(all(&door, 1).await, std::slice::from_ref(&voucher));

        let spend = Spend {
            mobile: mobile(1),
            vouchers: vec![voucher.id.clone()],
            order: id("spend-1"),
            associated_order: None,
            remark: "使用红包消费".to_owned(),
            step_up: StepUp {
                account_code: Some("231435".to_owned()),
                payment_code_md5: None,
            },
        };
        for _ in 0..2 {
            let TurnOutcome::Done { orders } = door.spend(&spend).await.outcome else {
                panic!()
            };
            let spent = all(&door, 1).await.remove(0).status;
            let (word, named) = (RemoteStatus::Spent, RemoteStatus::Invalid);
            assert_eq!(spent, if says_spent { word } else { named });
            assert_eq!(orders[0].voucher.is_some(), order_for_each);
            let again = door.spend(&spend).await.outcome;
            assert!(
                matches!(&again, TurnOutcome::Rejected(no) if no.code == "24305"),
                "{again:?}"
            );
            let undo = Undo {
                orders: vec![orders[0].order.clone()],
            };
            let undone = door.undo(&undo).await.outcome;
            assert_eq!(undone, TurnOutcome::Done { orders: Vec::new() });
            let twice = door.undo(&undo).await.outcome;
            assert!(
                matches!(&twice, TurnOutcome::Rejected(no) if no.code == "24406"),
                "{twice:?}"
            );
        }
        let book = simulator.books().map();
        assert_eq!((book.spends, book.undos, book.double_gives), (2, 2, 0));
    }
}

#[tokio::test]
async fn what_is_not_ours_or_not_signed_is_refused_there() {
    let simulator = platform(|_| ()).await;
    let good = credential(&simulator);
    let mut wrong_app = good.clone();
    wrong_app.app_id = MchId::of_app("another").unwrap();
    let mut wrong_key = good.clone();
    wrong_key.app_key = AppKey::parse("guessed").unwrap();
    let mut wrong_hash = good.clone();
    wrong_hash.options.hash = Hash::Sha256;
    for credential in [wrong_app, wrong_key, wrong_hash] {
        let door = MapPlatform::new(&credential, SHORT).unwrap();
        let said = door.give(&order(1)).await;
        // Its code is listed nowhere, so it proves nothing; nothing was given all the same.
        let unlisted = GiveOutcome::Unknown(Cause::UnlistedCode("24102".to_owned()));
        assert_eq!(said.outcome, unlisted);
        let printed = format!("{said:?} {door:?} {credential:?} {:?}", order(1));
        for secret in ["guessed", "139000", "BEGIN", good_key(&simulator)] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
    assert_eq!(simulator.books().map().vouchers, []);
    // Where a prefix leads elsewhere there is no platform: nothing is proven.
    let mut elsewhere = good.clone();
    elsewhere.options.prefixes.give = "/nowhere".to_owned();
    let door = MapPlatform::new(&elsewhere, SHORT).unwrap();
    let said = door.give(&order(1)).await.outcome;
    assert_eq!(said, GiveOutcome::Unknown(Cause::HttpStatus(404)));
    elsewhere.options.prefixes.give = "nowhere?".to_owned();
    assert!(MapPlatform::new(&elsewhere, SHORT).is_err());
}

fn good_key(simulator: &Simulator) -> &str {
    simulator.map().unwrap().app_key.as_deref().unwrap()
}

/// What the first answer to a give proves.
fn first(fault: MapFault) -> Option<GiveOutcome> {
    let unknown = |cause| Some(GiveOutcome::Unknown(cause));
    match fault {
        MapFault::ErrorBefore | MapFault::ErrorAfter => {
            unknown(Cause::ProviderUnsure("10000".to_owned()))
        }
        MapFault::TimeoutBefore
        | MapFault::TimeoutAfter
        | MapFault::TimeoutLate
        | MapFault::TimeoutTwice => unknown(Cause::Timeout),
        MapFault::Reset | MapFault::ResetAfter | MapFault::HalfBody => {
            unknown(Cause::ConnectionLost)
        }
        MapFault::Html502 => unknown(Cause::HttpStatus(502)),
        MapFault::Garbage | MapFault::HugeBody | MapFault::NoId => unknown(Cause::Unparsable),
        MapFault::UnknownCode => unknown(Cause::UnlistedCode("24199".to_owned())),
        MapFault::NoUser => Some(GiveOutcome::Rejected(hongbao::domain::outcome::Rejection {
            kind: RejectionKind::Refused,
            code: "24103".to_owned(),
        })),
        MapFault::WrongSum => Some(GiveOutcome::Mismatch { field: "sum" }),
        MapFault::Sloppy | MapFault::Lag | MapFault::Slow => None,
        MapFault::NothingFound | MapFault::WrongTotal => None,
    }
}

const GIVE_FAULTS: [(MapFault, Expected); 18] = [
    (MapFault::ErrorBefore, Expected::Absent),
    (MapFault::ErrorAfter, Expected::Found),
    (MapFault::TimeoutBefore, Expected::Absent),
    (MapFault::TimeoutAfter, Expected::Found),
    (
        MapFault::TimeoutTwice,
        Expected::Review(Review::SeveralVouchers),
    ),
    (MapFault::Reset, Expected::Absent),
    (MapFault::ResetAfter, Expected::Found),
    (MapFault::HalfBody, Expected::Found),
    (MapFault::Html502, Expected::Found),
    (MapFault::Garbage, Expected::Found),
    (MapFault::HugeBody, Expected::Found),
    (MapFault::UnknownCode, Expected::Found),
    (MapFault::NoUser, Expected::Refused),
    (
        MapFault::WrongSum,
        Expected::Review(Review::Mismatch("sum")),
    ),
    (MapFault::NoId, Expected::Found),
    (MapFault::Sloppy, Expected::Told),
    (MapFault::Lag, Expected::Told),
    (MapFault::Slow, Expected::Told),
];

#[derive(Clone, Copy)]
enum Expected {
    Told,
    Found,
    Absent,
    Refused,
    Review(Review),
}

/// Every way of failing, one after the other, to people who have a voucher already: each
/// ends as the platform's own books say, and none is given twice by us.
#[tokio::test]
async fn a_give_is_made_once_and_its_doubt_is_resolved_by_looking() {
    let simulator = platform(|_| ()).await;
    let (door, pairs) = (door(&simulator), Pairs::default());
    let vouchers = Vouchers::new(&door, &pairs, HASTY);
    for (n, (fault, expected)) in (100..).zip(GIVE_FAULTS) {
        let old = Give {
            order: id(&format!("old-{n}")),
            ..order(n)
        };
        assert!(matches!(
            door.give(&old).await.outcome,
            GiveOutcome::Given { .. }
        ));
        strikes(&simulator, MapCall::Give, fault);
        let kept = Mutex::new(None);
        let told = vouchers
            .give(&order(n), async |before: Baseline| {
                *kept.lock().unwrap() = Some(before);
                Ok(())
            })
            .await
            .unwrap();
        assert!(kept.lock().unwrap().is_some(), "{fault:?}");
        let gives = told.spoken.iter().filter(|said| said.call == "give");
        assert_eq!(gives.count(), 1, "{fault:?}");
        let book = simulator.books().map();
        let mine = book
            .vouchers
            .iter()
            .filter(|v| v.app_order_id == format!("order-{n}"));
        let mine: Vec<_> = mine.map(|v| v.voucher_id.clone()).collect();
        match (expected, &told.fate) {
            (Expected::Told, Fate::Sent { voucher, proof, .. }) => {
                assert_eq!(
                    (*proof, voucher.as_str()),
                    (Proof::Told, &*mine[0]),
                    "{fault:?}"
                );
            }
            (Expected::Found, Fate::Sent { voucher, proof, .. }) => {
                assert_eq!(
                    (*proof, voucher.as_str()),
                    (Proof::Found, &*mine[0]),
                    "{fault:?}"
                );
            }
            (Expected::Absent, Fate::NotSent(NotSent::Absent)) => assert!(mine.is_empty()),
            (Expected::Refused, Fate::NotSent(NotSent::Refused(code))) => {
                assert_eq!(code, "24103");
                assert!(mine.is_empty());
            }
            (Expected::Review(why), Fate::Review(is)) => assert_eq!(why, *is, "{fault:?}"),
            (_, fate) => panic!("{fault:?}: {fate:?}"),
        }
        let printed = format!("{told:?}");
        assert!(!printed.contains("139000"), "{printed}");
    }
    // The one that is there twice was given twice by the platform, on one request of ours.
    assert_eq!(simulator.books().map().double_gives, 1);
}

#[tokio::test]
async fn the_first_answer_proves_no_more_than_it_says() {
    let simulator = platform(|_| ()).await;
    let door = door(&simulator);
    for (n, (fault, _)) in (200..).zip(GIVE_FAULTS) {
        strikes(&simulator, MapCall::Give, fault);
        let said = door.give(&order(n)).await;
        match first(fault) {
            Some(outcome) => assert_eq!(said.outcome, outcome, "{fault:?}"),
            None => assert!(
                matches!(said.outcome, GiveOutcome::Given { .. }),
                "{fault:?}"
            ),
        }
    }
}

/// The request is still under way when somebody looks: nothing new is not yet a no.
#[tokio::test]
async fn a_give_in_flight_is_not_called_absent_too_early() {
    // The effect is seen about a second after the time-out.
    let simulator = platform_at(150, |_| ()).await;
    let (door, pairs) = (door(&simulator), Pairs::default());
    let patience = Patience {
        quiet: Duration::from_secs(600),
        ..HASTY
    };
    let vouchers = Vouchers::new(&door, &pairs, patience);
    let give = order(1);
    strikes(&simulator, MapCall::Give, MapFault::TimeoutLate);
    let kept = Mutex::new(Baseline::default());
    let keep = async |list: Baseline| {
        *kept.lock().unwrap() = list;
        Ok(())
    };
    let told = vouchers.give(&give, keep).await.unwrap();
    let code = "TIMEOUT".to_owned();
    assert_eq!(told.fate, Fate::StillUnknown { code });
    let (before, answer) = (
        kept.into_inner().unwrap(),
        GiveOutcome::Unknown(Cause::Timeout),
    );
    let fate = loop {
        let doubt = Doubt {
            give: &give,
            before: &before,
            answer: &answer,
            age: Duration::from_secs(1),
        };
        let fate = vouchers.look_again(&doubt).await.fate;
        if !matches!(fate, Fate::StillUnknown { .. }) {
            break fate;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(
        matches!(
            fate,
            Fate::Sent {
                proof: Proof::Found,
                ..
            }
        ),
        "{fate:?}"
    );
    // Somebody else's process lost its answer before any byte was seen.
    let (other, gone) = (order(2), lost());
    let doubt = |age| Doubt {
        give: &other,
        before: &before,
        answer: &gone,
        age,
    };
    let early = vouchers
        .look_again(&doubt(Duration::from_secs(599)))
        .await
        .fate;
    let code = "LEASE_LOST".to_owned();
    assert_eq!(early, Fate::StillUnknown { code });
    let late = vouchers
        .look_again(&doubt(Duration::from_secs(600)))
        .await
        .fate;
    assert_eq!(late, Fate::NotSent(NotSent::Absent));
}

#[tokio::test]
async fn nothing_is_sent_without_a_baseline_or_beside_another_give() {
    let simulator = platform(|_| ()).await;
    let (door, pairs) = (door(&simulator), Pairs::default());
    let vouchers = Vouchers::new(&door, &pairs, HASTY);
    let keep = async |_: Baseline| Ok(());
    for fault in [
        MapFault::TimeoutBefore,
        MapFault::Html502,
        MapFault::Garbage,
        MapFault::ErrorBefore,
    ] {
        strikes(&simulator, MapCall::Query, fault);
        let told = vouchers.give(&order(1), keep).await.unwrap();
        assert!(
            matches!(told.fate, Fate::NotSent(NotSent::Unsent(_))),
            "{fault:?} {told:?}"
        );
    }
    let lost = vouchers
        .give(&order(1), async |_: Baseline| {
            Err(Error::new(Reason::DatabaseUnavailable, "gone".to_owned()))
        })
        .await;
    assert_eq!(lost.unwrap_err().reason, Reason::DatabaseUnavailable);
    let busy = pairs.enter(&order(1).pair).unwrap();
    let told = vouchers.give(&order(1), keep).await.unwrap();
    let why = NotSent::Unsent("PAIR_BUSY".to_owned());
    assert_eq!(told.fate, Fate::NotSent(why));
    assert_eq!(simulator.books().map().calls.get(&MapCall::Give), None);
    drop(busy);
    let told = vouchers.give(&order(1), keep).await.unwrap();
    assert!(matches!(
        told.fate,
        Fate::Sent {
            proof: Proof::Told,
            ..
        }
    ));
}

#[tokio::test]
async fn a_list_is_whole_or_nothing() {
    let simulator = platform(|map| map.page_max = 7).await;
    let door = door(&simulator);
    for n in 0..30 {
        let give = Give {
            order: id(&format!("o{n}")),
            sum: Fen(i64::from(n) + 1),
            ..order(1)
        };
        door.give(&give).await;
    }
    let whole = all(&door, 1).await;
    assert_eq!(whole.len(), 30);
    assert_eq!(whole.iter().map(|v| v.sum.0).sum::<i64>(), 465);
    // Nobody's list is empty, and the seed says so with an error.
    assert_eq!(all(&door, 2).await, []);
    let pairs = Pairs::default();
    let vouchers = Vouchers::new(&door, &pairs, HASTY);
    for (faults, code) in [
        (&[MapFault::WrongTotal][..], "LIST_CHANGED"),
        (&[MapFault::WrongTotal; 6], "LIST_TOO_SHORT"),
        (&[MapFault::Slow, MapFault::TimeoutBefore], "TIMEOUT"),
        (&[MapFault::Slow, MapFault::NothingFound], "10000"),
        (&[MapFault::NothingFound], "LIST_CHANGED"),
        (&[MapFault::HalfBody], "CONNECTION_LOST"),
        (&[MapFault::UnknownCode], "24299"),
    ] {
        let mut queue = MapFaults::default();
        for fault in faults {
            queue = queue.with_next(MapCall::Query, *fault);
        }
        simulator.set_map_faults(queue);
        let told = vouchers.query(&mobile(1), &[id(PRODUCT)]).await;
        assert_eq!(told.fate, Look::Unclear(code.to_owned()), "{faults:?}");
    }
    simulator.set_map_faults(MapFaults::default().with_next(MapCall::Query, MapFault::Sloppy));
    assert_eq!(all(&door, 1).await, whole);
}

#[tokio::test]
async fn spends_and_undos_in_doubt_are_resolved_by_looking() {
    let simulator = platform(|_| ()).await;
    let (door, pairs) = (door(&simulator), Pairs::default());
    let vouchers = Vouchers::new(&door, &pairs, HASTY);
    let (products, now) = ([id(PRODUCT)], clock::wall());
    let mut ids = Vec::new();
    for n in 0..2 {
        let give = Give {
            order: id(&format!("o{n}")),
            ..order(1)
        };
        let GiveOutcome::Given { voucher, .. } = door.give(&give).await.outcome else {
            panic!()
        };
        ids.push(voucher.id);
    }
    let spend = Spend {
        mobile: mobile(1),
        vouchers: ids.clone(),
        order: id("spend"),
        associated_order: Some(id("cart")),
        remark: "使用红包消费".to_owned(),
        step_up: StepUp::default(),
    };
    let keep = async || Ok(());
    let spent = Spent {
        mobile: &spend.mobile,
        products: &products,
        vouchers: &ids,
    };
    strikes(&simulator, MapCall::Spend, MapFault::TimeoutBefore);
    let told = vouchers.spend(&spend, &products, now, keep).await.unwrap();
    assert_eq!(told.fate, TurnFate::NotDone(NotSent::Absent));
    strikes(&simulator, MapCall::Spend, MapFault::ErrorAfter);
    let told = vouchers.spend(&spend, &products, now, keep).await.unwrap();
    assert_eq!(told.fate, TurnFate::Done { orders: Vec::new() });
    // What is spent is not asked for again.
    let asked = |simulator: &Simulator| simulator.books().map().calls[&MapCall::Spend];
    let before = asked(&simulator);
    let told = vouchers.spend(&spend, &products, now, keep).await.unwrap();
    assert_eq!(told.fate, TurnFate::NotDone(NotSent::Unfit));
    assert_eq!(asked(&simulator), before);

    let number = simulator.books().map().vouchers[0]
        .spent_by
        .clone()
        .unwrap();
    let undo = Undo {
        orders: vec![id(&number)],
    };
    strikes(&simulator, MapCall::Undo, MapFault::ResetAfter);
    let told = vouchers.undo(&undo, &spent, now, keep).await.unwrap();
    assert_eq!(told.fate, TurnFate::Done { orders: Vec::new() });
    let lost = TurnOutcome::Unknown(Cause::LeaseLost);
    let again = vouchers.look_again_at(Turn::Undo, &spent, &lost, now, Duration::ZERO);
    assert_eq!(again.await.fate, TurnFate::Done { orders: Vec::new() });
    assert_eq!(simulator.books().map().spends, 1);
}

/// A server that answers everything with one body.
fn canned(body: String) -> MapPlatform {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut read) = (stream.unwrap(), Vec::new());
            let mut buffer = [0; 4096];
            while !read.ends_with(b"}}") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => read.extend_from_slice(&buffer[..n]),
                }
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let _gone = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    let credential = MapCredential {
        name: "canned".to_owned(),
        base_url,
        app_id: MchId::of_app("zjhtwallet").unwrap(),
        app_key: AppKey::parse("secretAppKey").unwrap(),
        sign_key: PrivateKey::from_pem(PRIVATE).unwrap(),
        options: Options::default(),
        client_identity: None,
        ca_pem: None,
    };
    MapPlatform::new(&credential, SHORT).unwrap()
}

/// Replies that were made for another's request, or by nobody's platform.
#[tokio::test]
async fn forged_replies_are_not_believed() {
    let order = |more: &str| {
        format!(
            r#"{{"errcode":0,"order":{{"redPaperProductId":"HONGBAO_YYD","redPaperId":"RP1","sum":100000{more}}}}}"#
        )
    };
    let unknown = |cause| GiveOutcome::Unknown(cause);
    let differs = |field| GiveOutcome::Mismatch { field };
    for (body, outcome) in [
        (order(r#","mobileNum":"13800000000""#), differs("mobileNum")),
        (order(r#","appOrderId":"another""#), differs("appOrderId")),
        (
            order("").replace("YYD", "OTHER"),
            differs("redPaperProductId"),
        ),
        (
            order("").replace("100000", "1000.00"),
            unknown(Cause::Unparsable),
        ),
        (order(r#","sum":1"#), unknown(Cause::Unparsable)),
        (
            order("").replace("RP1", "RP1|RP2"),
            unknown(Cause::Unparsable),
        ),
        (
            order("").replace(":0,", ":\"OK\","),
            unknown(Cause::UnlistedCode("OK".to_owned())),
        ),
        (
            r#"{"errcode":"139 0000 0000"}"#.to_owned(),
            unknown(Cause::UnlistedCode("MALFORMED_CODE".to_owned())),
        ),
        (
            r#"{"errmsg":"赠送红包成功"}"#.to_owned(),
            unknown(Cause::Unparsable),
        ),
        (
            r#"{"errcode":0,"errmsg":"赠送红包成功"}"#.to_owned(),
            unknown(Cause::Unparsable),
        ),
        ("OK".to_owned(), unknown(Cause::Unparsable)),
    ] {
        let door = canned(body.clone());
        assert_eq!(door.give(&self::order(1)).await.outcome, outcome, "{body}");
    }
    let query = PageQuery {
        mobile: mobile(1),
        products: vec![id(PRODUCT)],
        page: 1,
        size: 10,
    };
    let list = |entry: &str| format!(r#"{{"pageIndex":1,"total":1,"list":[{entry}]}}"#);
    for (body, field) in [
        (
            list(r#"{"redPaperProductId":"OTHER","redPaperId":"RP1","sum":1}"#),
            Some("redPaperProductId"),
        ),
        (
            list(
                r#"{"redPaperProductId":"HONGBAO_YYD","redPaperId":"RP1","sum":1,"mobileNum":"13800000000"}"#,
            ),
            Some("mobileNum"),
        ),
        (list("").replace(":1,\"t", ":2,\"t"), Some("pageIndex")),
        (
            list(r#"{"redPaperProductId":"HONGBAO_YYD","redPaperId":"RP1"}"#),
            None,
        ),
        (r#"{"pageIndex":1,"list":[]}"#.to_owned(), None),
        (r#"{"pageIndex":1,"total":1}"#.to_owned(), None),
    ] {
        let is = canned(body.clone()).list(&query).await.outcome;
        let want = match field {
            Some(field) => ListOutcome::Mismatch { field },
            None => ListOutcome::Unknown(Cause::Unparsable),
        };
        assert_eq!(is, want, "{body}");
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_given() {
    let simulator = platform(|_| ()).await;
    let door = door(&simulator);
    simulator.shutdown().await;
    let said = door.give(&order(1)).await;
    let GiveOutcome::Rejected(no) = said.outcome else {
        panic!("{said:?}")
    };
    assert_eq!(
        (no.kind, &*no.code),
        (RejectionKind::NotSent, "CONNECT_FAILED")
    );
}
