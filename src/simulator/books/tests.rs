//! Invariants of the books under random histories of sends, queries, faults, restarts and time.

use proptest::prelude::*;

use super::super::chaos::Call;
use super::super::clock::HOUR_MS;
use super::super::fault::{Fault, Keep};
use super::super::plan::{self, Odds};
use super::super::share;
use super::*;

const OPENING_FEN: i64 = 2_000;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Act {
    Send {
        number: u8,
        openid: u8,
        fault: Option<u8>,
    },
    Query {
        number: u8,
    },
    Pass {
        hours: i64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..6_u8, 0..2_u8, proptest::option::of(0..60_u8))
            .prop_map(|(number, openid, fault)| Act::Send { number, openid, fault }),
        1 => (0..6_u8).prop_map(|number| Act::Query { number }),
        2 => (0..40_i64).prop_map(|hours| Act::Pass { hours }),
    ]
}

/// Plays a history onto a ledger by hand, keeping every line.
#[derive(Debug, Default)]
struct Play {
    ledger: Ledger,
    now_ms: i64,
    lines: Vec<u8>,
}

impl Play {
    fn change(&mut self, decide: impl FnOnce(&mut Change<'_>)) {
        let mut change = Change {
            ledger: &mut self.ledger,
            now_ms: self.now_ms,
            lines: Vec::new(),
        };
        change.settle();
        decide(&mut change);
        self.lines.append(&mut change.lines);
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Pass { hours } => {
                self.now_ms += hours * HOUR_MS;
                self.change(|_| ());
            }
            Act::Query { number } => self.change(|change| seen(change, Call::Query, *number)),
            Act::Send {
                number,
                openid,
                fault,
            } => self.change(|change| {
                seen(change, Call::Send, *number);
                let fault = fault.and_then(|n| Fault::all().nth(usize::from(n)));
                let keep = fault.and_then(Fault::spec).map_or(Keep::Normal, |s| s.keep);
                store(change, *number, *openid, keep);
            }),
        }
    }

    /// Money is nowhere but on the balance and in packets that are out.
    fn check(&self) {
        let totals = self.ledger.totals();
        let payments = self.ledger.payments();
        let out: i64 = payments
            .iter()
            .map(|payment| payment.amount_fen - payment.returned_fen)
            .sum();
        assert_eq!(totals.balance_fen + out, OPENING_FEN);
        assert_eq!(out, totals.paid_fen - totals.returned_fen);
        let back = |payment: &Payment| payment.state == State::Refund;
        assert!(payments.iter().all(|p| back(p) == (p.returned_fen > 0)));
        assert!(totals.held_fen >= 0 && totals.held_fen <= totals.balance_fen);
        assert!(payments.iter().all(|payment| payment.times_paid == 1));
        assert_eq!(totals.double_payments, 0, "every number has its own remark");
    }
}

fn seen(change: &mut Change<'_>, call: Call, number: u8) {
    let at_ms = change.now_ms;
    change.record(Entry::Seen {
        call,
        mch_billno: number.to_string(),
        nth: 0,
        fault: None,
        at_ms,
    });
}

/// What the engine does with a new order, without the protocol around it. Odd numbers are groups.
fn store(change: &mut Change<'_>, number: u8, openid: u8, keep: Keep) {
    let mch_billno = number.to_string();
    let amount_fen = 100 + i64::from(number);
    let odds = Odds {
        seed: 5,
        taken_per_mille: 500,
    };
    let people = if number % 2 == 1 { 3 } else { 0 };
    let shares = share::split(odds.seed, &mch_billno, amount_fen, people);
    let plan = plan::plan(keep, change.now_ms, &mch_billno, shares.len(), odds);
    let known = change.ledger.order(&mch_billno).is_some();
    let Some(plan) = plan.filter(|_| !known && change.ledger.available_fen() >= amount_fen) else {
        return;
    };
    change.record(Entry::Accepted(Box::new(Accepted {
        mch_id: "m".to_owned(),
        remark: mch_billno.clone(),
        mch_billno,
        openid_hash: openid.to_string(),
        amount_fen,
        act_name: String::new(),
        wishing: String::new(),
        fingerprint: String::new(),
        send_listid: String::new(),
        at_ms: change.now_ms,
        visible_at_ms: plan.visible_at_ms,
        processing: plan.processing,
        reason: plan.reason,
        shares,
        package: None,
        plan: plan.steps,
    })));
    change.settle();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn books_balance_at_every_instant_and_replay_to_the_same(
        acts in proptest::collection::vec(act(), 1..60),
    ) {
        let mut play = Play::default();
        play.change(|change| change.record(Entry::Funded { amount_fen: OPENING_FEN, at_ms: 0 }));
        for act in &acts {
            play.act(act);
            play.check();
        }
        let mut replayed = Play { now_ms: play.now_ms, ..Play::default() };
        for line in play.lines.split_inclusive(|byte| *byte == b'\n') {
            replayed.ledger.apply(serde_json::from_slice(line).unwrap());
        }
        prop_assert_eq!(replayed.ledger.totals(), play.ledger.totals());
        prop_assert_eq!(replayed.ledger.payments(), play.ledger.payments());
        // And both go the same way from here.
        for act in [Act::Pass { hours: 30 }, Act::Send { number: 0, openid: 0, fault: None }] {
            play.act(&act);
            replayed.act(&act);
        }
        prop_assert_eq!(replayed.ledger.totals(), play.ledger.totals());
        play.act(&Act::Pass { hours: 60 });
        prop_assert_eq!(play.ledger.totals().held_fen, 0, "every order ends");
    }
}
