//! Invariants of the platform's books under random histories of orders, callbacks, time and
//! restarts.

use proptest::prelude::*;

use super::super::clock::MINUTE_MS;
use super::book::Key;
use super::line::Accepted;
use super::plan::fate;
use super::*;

const FUNDS: i64 = 20_000_000;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Act {
    Store {
        number: u8,
        fault: Option<u8>,
    },
    /// Tries what is due, and gets these answers.
    Carry {
        said: Vec<bool>,
    },
    Pass {
        minutes: i64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..9_u8, proptest::option::of(0..50_u8))
            .prop_map(|(number, fault)| Act::Store { number, fault }),
        2 => proptest::collection::vec(any::<bool>(), 1..4).prop_map(|said| Act::Carry { said }),
        3 => (0..400_i64).prop_map(|minutes| Act::Pass { minutes }),
    ]
}

/// Plays a history by hand, keeping every line.
#[derive(Debug, Default)]
struct Play {
    shelf: Shelf,
    now_ms: i64,
    lines: Vec<String>,
}

impl Play {
    fn record(&mut self, line: Line) {
        self.lines.push(serde_json::to_string(&line).unwrap());
        self.shelf.apply(line);
    }

    fn settle(&mut self) {
        while let Some(line) = self.shelf.next_due(self.now_ms) {
            self.record(line);
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Pass { minutes } => self.now_ms += minutes * MINUTE_MS,
            Act::Store { number, fault } => self.store(*number, *fault),
            Act::Carry { said } => {
                let due: Vec<Key> = self.shelf.calls_due(self.now_ms).collect();
                for ((biz_code, callback), said) in due.into_iter().zip(said) {
                    let line = Line::Tried {
                        biz_code,
                        callback,
                        answer: said.to_string(),
                        acknowledged: *said,
                        at_ms: self.now_ms,
                    };
                    self.record(line);
                }
            }
        }
        self.settle();
    }

    /// What the platform does with a new order, without the protocol around it.
    fn store(&mut self, number: u8, fault: Option<u8>) {
        let (biz_code, price) = (number.to_string(), 1_000_000 + i64::from(number));
        let fault = fault.and_then(|n| OpenFault::all().nth(usize::from(n)));
        let (keep, calls, _) = effect(fault);
        let known = self.shelf.order(&biz_code).is_some();
        let Some(fate) = fate(keep, calls, self.now_ms)
            .filter(|_| !known && self.shelf.available_micro_yuan() >= price)
        else {
            return;
        };
        self.record(Line::Stored(Box::new(Accepted {
            merchant_id: "m".to_owned(),
            order_code: format!("P{biz_code}"),
            openid_hash: biz_code.clone(),
            biz_code,
            template_id: "1001".to_owned(),
            face_fen: 100,
            price_micro_yuan: price,
            // Every third order is reported to nobody.
            callback_url: (!number.is_multiple_of(3)).then(|| "http://localhost/".to_owned()),
            at_ms: self.now_ms,
            visible_at_ms: fate.visible_at_ms,
            plan: fate.steps,
            callbacks: fate.callbacks,
        })));
    }

    /// Money is on the balance or was paid; callbacks are pending, or ended one way.
    fn check(&self) {
        let book = self.shelf.book();
        let orders = self.shelf.orders();
        let sum = |wanted: fn(OpenStatus) -> bool| -> i64 {
            let of = orders.iter().filter(|order| wanted(order.status));
            of.map(|order| order.price_micro_yuan).sum()
        };
        let paid = sum(|status| status == OpenStatus::Success);
        assert_eq!(book.balance_micro_yuan + paid, FUNDS);
        assert_eq!(book.held_micro_yuan, sum(|status| !status.is_final()));
        assert!(book.held_micro_yuan <= book.balance_micro_yuan);
        assert_eq!(
            book.double_payments, 0,
            "every order has a person of its own"
        );
        assert!(
            orders
                .iter()
                .all(|o| u32::from(o.status == OpenStatus::Success) == o.times_paid)
        );
        let callbacks = || orders.iter().flat_map(|order| &order.callbacks);
        let count = |wanted: fn(&OpenCallback) -> bool| {
            u64::try_from(callbacks().filter(|callback| wanted(callback)).count()).unwrap()
        };
        let sums = &book.callbacks;
        assert_eq!(
            sums.pending,
            count(|callback| callback.next_at_ms.is_some())
        );
        assert_eq!(sums.acknowledged, count(|callback| callback.acknowledged));
        let over = |c: &OpenCallback| c.tries > 0 && !c.acknowledged && c.next_at_ms.is_none();
        assert_eq!(sums.given_up, count(over));
        assert!(callbacks().all(|callback| callback.tries <= 10));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn books_add_up_at_every_instant_and_replay_to_the_same(
        acts in proptest::collection::vec(act(), 1..60),
    ) {
        let mut play = Play::default();
        play.record(Line::Funded { micro_yuan: FUNDS, at_ms: 0 });
        for act in &acts {
            play.act(act);
            play.check();
        }
        let mut replayed = Play { now_ms: play.now_ms, ..Play::default() };
        for line in &play.lines {
            replayed.shelf.apply(serde_json::from_str(line).unwrap());
        }
        prop_assert_eq!(replayed.shelf.orders(), play.shelf.orders());
        prop_assert_eq!(replayed.shelf.book(), play.shelf.book());
        // And both go the same way from here, to the end of everything.
        for _ in 0..12 {
            for play in [&mut play, &mut replayed] {
                play.act(&Act::Pass { minutes: 50 * 60 });
                play.act(&Act::Carry { said: vec![false; 40] });
                play.check();
            }
        }
        prop_assert_eq!(replayed.shelf.orders(), play.shelf.orders());
        prop_assert_eq!(play.shelf.book().held_micro_yuan, 0, "every order ends");
        prop_assert_eq!(play.shelf.book().callbacks.pending, 0, "every callback ends");
    }
}

#[test]
fn a_nonce_is_new_once_and_forgotten_when_its_request_is_too_old() {
    let mut nonces = Nonces::default();
    assert!(nonces.is_new("a", 0, 100));
    assert!(!nonces.is_new("a", 200, 100));
    assert!(nonces.is_new("b", 200, 100));
    assert!(nonces.is_new("a", 201, 100));
    assert!(!nonces.is_new("b", 400, 100));
    assert_eq!(nonces.known.len(), nonces.by_time.len());
}
