//! What looks and answers prove, row by row, and that no order of events gives twice.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::outcome::RejectionKind;

const OURS: Fen = Fen(100_000);
const NOW: Timestamp = Timestamp(1_000_000_000_000_000);
const PATIENCE: Patience = Patience {
    quiet: Duration::from_secs(600),
    give_up: Duration::from_secs(86_400),
};

fn id(raw: &str) -> RemoteId {
    RemoteId::parse(raw).unwrap()
}

/// `"a:100 b:20"`.
fn list(text: &str) -> Baseline {
    let held = text.split_whitespace().map(|word| {
        let (name, sum) = word.split_once(':').unwrap();
        Held {
            id: id(name),
            sum: Fen(sum.parse().unwrap()),
        }
    });
    held.collect()
}

fn voucher(name: &str, status: RemoteStatus) -> RemoteVoucher {
    RemoteVoucher {
        id: id(name),
        product: id("P"),
        sum: OURS,
        start: None,
        end: Some(NOW.plus(Duration::from_secs(60))),
        status,
    }
}

fn given(name: &str) -> GiveOutcome {
    GiveOutcome::Given {
        voucher: voucher(name, RemoteStatus::Usable),
        order: Some(id("order")),
    }
}

fn rejected(kind: RejectionKind) -> Rejection {
    Rejection {
        kind,
        code: "NO".to_owned(),
    }
}

fn timeout() -> GiveOutcome {
    GiveOutcome::Unknown(Cause::Timeout)
}

fn refused() -> GiveOutcome {
    GiveOutcome::Rejected(rejected(RejectionKind::Refused))
}

fn sent(name: &str) -> Fate {
    Fate::Sent {
        voucher: id(name),
        order: None,
        proof: Proof::Found,
    }
}

fn open(code: &str) -> Fate {
    Fate::StillUnknown {
        code: code.to_owned(),
    }
}

#[test]
fn every_case_has_its_fate() {
    use Review::{
        KnownVoucher, Mismatch, NeverClear, OtherVoucher, RefusedYetThere, SeveralVouchers,
        VouchersGone,
    };
    let told = Fate::Sent {
        voucher: id("n"),
        order: Some(id("order")),
        proof: Proof::Told,
    };
    let unsent = GiveOutcome::Rejected(rejected(RejectionKind::NotSent));
    let other = GiveOutcome::Mismatch { field: "sum" };
    let no = |why: NotSent| Fate::NotSent(why);
    let (at_once, quiet, late) = (Duration::ZERO, PATIENCE.quiet, PATIENCE.give_up);
    let before = "a:100000 b:20";
    let with = |more: &str| format!("{before} {more}");
    let (same, ours, theirs) = (before.to_owned(), with("n:100000"), with("n:1"));
    let (two, both) = (with("n:100000 m:100000"), with("n:100000 m:1"));
    let (again, renamed) = (with("a:100000"), with("b:100000"));
    let (gone, swapped) = ("b:20".to_owned(), "b:20 n:100000".to_owned());
    let refusal = NotSent::Refused("NO".to_owned());
    let rows: [(&str, GiveOutcome, Option<&String>, Duration, Fate); 24] = [
        ("told", given("n"), None, at_once, told),
        (
            "told what was there",
            given("a"),
            None,
            at_once,
            Fate::Review(KnownVoucher),
        ),
        (
            "nothing left",
            unsent,
            None,
            at_once,
            no(NotSent::Unsent("NO".to_owned())),
        ),
        (
            "told otherwise",
            other,
            Some(&ours),
            late,
            Fate::Review(Mismatch("sum")),
        ),
        ("no look yet", timeout(), None, at_once, open("TIMEOUT")),
        ("no look for long", timeout(), None, quiet, open("TIMEOUT")),
        (
            "no look ever",
            timeout(),
            None,
            late,
            Fate::Review(NeverClear),
        ),
        ("found", timeout(), Some(&ours), at_once, sent("n")),
        ("found late", timeout(), Some(&ours), late, sent("n")),
        (
            "nothing new at once",
            timeout(),
            Some(&same),
            at_once,
            open("TIMEOUT"),
        ),
        (
            "nothing new in quiet",
            timeout(),
            Some(&same),
            quiet,
            no(NotSent::Absent),
        ),
        (
            "another sum",
            timeout(),
            Some(&theirs),
            at_once,
            Fate::Review(OtherVoucher),
        ),
        (
            "two of ours",
            timeout(),
            Some(&two),
            at_once,
            Fate::Review(SeveralVouchers),
        ),
        (
            "ours and another",
            timeout(),
            Some(&both),
            at_once,
            Fate::Review(SeveralVouchers),
        ),
        (
            "one that was there, twice",
            timeout(),
            Some(&again),
            at_once,
            Fate::Review(KnownVoucher),
        ),
        (
            "one that was there, otherwise",
            timeout(),
            Some(&renamed),
            at_once,
            Fate::Review(KnownVoucher),
        ),
        (
            "one is gone",
            timeout(),
            Some(&gone),
            quiet,
            open("TIMEOUT"),
        ),
        (
            "one is gone for good",
            timeout(),
            Some(&gone),
            late,
            Fate::Review(VouchersGone),
        ),
        (
            "one is gone, one is new",
            timeout(),
            Some(&swapped),
            at_once,
            Fate::Review(VouchersGone),
        ),
        ("refused, no look", refused(), None, quiet, open("NO")),
        (
            "refused, and the list agrees",
            refused(),
            Some(&same),
            at_once,
            no(refusal),
        ),
        (
            "refused, yet there",
            refused(),
            Some(&ours),
            at_once,
            Fate::Review(RefusedYetThere),
        ),
        (
            "refused, one is gone",
            refused(),
            Some(&gone),
            at_once,
            open("NO"),
        ),
        (
            "refused, never looked",
            refused(),
            None,
            late,
            Fate::Review(NeverClear),
        ),
    ];
    for (row, answer, after, age, fate) in rows {
        let after = after.map(|after| list(after));
        let is = resolve_give(OURS, &list(before), &answer, after.as_ref(), age, &PATIENCE);
        assert_eq!(is, fate, "{row}");
    }
}

#[test]
fn a_baseline_is_kept_and_read_back() {
    let before = list("b:20 a:100000 a:100000");
    let kept = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<Baseline>(&kept).unwrap(), before);
    assert!(serde_json::from_str::<Baseline>(r#"[{"id":"a|b","sum":1}]"#).is_err());
}

#[test]
fn names_cannot_be_two_and_secrets_are_not_printed() {
    for bad in ["", "a|b", "a b", "红", "a\n", &"x".repeat(129)] {
        assert!(RemoteId::parse(bad).is_none(), "{bad}");
    }
    let step_up = StepUp {
        account_code: Some("231435".to_owned()),
        payment_code_md5: Some("w344".to_owned()),
    };
    let pair = Pair {
        mobile: Mobile::parse("13912345678").unwrap(),
        product: id("P"),
    };
    let printed = format!("{step_up:?} {pair:?}");
    assert!(
        !printed.contains("231435") && !printed.contains("139"),
        "{printed}"
    );
}

#[test]
fn a_turn_is_all_or_nothing_or_a_persons_business() {
    use RemoteStatus::{Invalid, Other, Spent, Usable};
    let ids = [id("a"), id("b")];
    let unknown = || TurnOutcome::Unknown(Cause::Timeout);
    let no = || TurnOutcome::Rejected(rejected(RejectionKind::Refused));
    let done = TurnFate::Done { orders: Vec::new() };
    let still = TurnFate::StillUnknown {
        code: "TIMEOUT".to_owned(),
    };
    let absent = TurnFate::NotDone(NotSent::Absent);
    let refusal = TurnFate::NotDone(NotSent::Refused("NO".to_owned()));
    let never = TurnFate::Review(Review::NeverClear);
    let (at_once, quiet, late) = (Duration::ZERO, PATIENCE.quiet, PATIENCE.give_up);
    let rows = [
        (
            Turn::Spend,
            unknown(),
            [Spent, Invalid],
            at_once,
            done.clone(),
        ),
        (
            Turn::Spend,
            unknown(),
            [Usable, Usable],
            at_once,
            still.clone(),
        ),
        (
            Turn::Spend,
            unknown(),
            [Usable, Usable],
            quiet,
            absent.clone(),
        ),
        (
            Turn::Spend,
            unknown(),
            [Usable, Spent],
            at_once,
            TurnFate::Review(Review::Partly),
        ),
        (Turn::Spend, unknown(), [Spent, Other], quiet, still.clone()),
        (Turn::Spend, unknown(), [Spent, Other], late, never.clone()),
        (
            Turn::Spend,
            no(),
            [Usable, Usable],
            at_once,
            refusal.clone(),
        ),
        (
            Turn::Spend,
            no(),
            [Spent, Spent],
            at_once,
            TurnFate::Review(Review::RefusedYetThere),
        ),
        (Turn::Undo, unknown(), [Usable, Usable], at_once, done),
        (Turn::Undo, unknown(), [Spent, Invalid], at_once, still),
        (Turn::Undo, unknown(), [Spent, Invalid], quiet, absent),
        (
            Turn::Undo,
            unknown(),
            [Usable, Spent],
            quiet,
            TurnFate::Review(Review::Partly),
        ),
        (Turn::Undo, no(), [Spent, Spent], at_once, refusal),
    ];
    for (turn, answer, statuses, age, fate) in rows {
        let after = [voucher("a", statuses[0]), voucher("b", statuses[1])];
        let is = resolve_turn(turn, &ids, &answer, Some(&after), NOW, age, &PATIENCE);
        assert_eq!(is, fate, "{turn:?} {statuses:?} {age:?}");
    }
    // Expired vouchers are called invalid as well, so that proves nothing; nor does one that
    // is not listed, or twice.
    let mut expired = voucher("a", Invalid);
    expired.end = Some(NOW);
    let b = || voucher("b", Spent);
    for after in [
        vec![expired, b()],
        vec![b()],
        vec![voucher("a", Spent), voucher("a", Usable), b()],
    ] {
        let is = resolve_turn(
            Turn::Spend,
            &ids,
            &unknown(),
            Some(&after),
            NOW,
            late,
            &PATIENCE,
        );
        assert_eq!(is, never, "{after:?}");
    }
    let blind = resolve_turn(Turn::Spend, &ids, &unknown(), None, NOW, late, &PATIENCE);
    assert_eq!(blind, never);
}

#[test]
fn what_cannot_be_turned_is_not_asked_for() {
    use RemoteStatus::{Invalid, Spent, Usable};
    let listed = [
        voucher("a", Usable),
        voucher("b", Spent),
        voucher("c", Invalid),
    ];
    let ids = [id("a"), id("b"), id("c"), id("d")];
    assert_eq!(
        unfit(Turn::Spend, &ids, &listed),
        [id("b"), id("c"), id("d")]
    );
    assert_eq!(unfit(Turn::Undo, &ids, &listed), [id("a"), id("d")]);
}

/// What may happen between the two looks.
#[derive(Clone, Copy, Debug)]
struct World {
    /// Whether the platform took our request, at whatever time.
    taken: bool,
    /// Whether it took it only after the look.
    in_flight: bool,
    /// How many vouchers of our sum others gave meanwhile.
    ours_of_others: u8,
    /// How many of other sums.
    others: u8,
    /// How many of the old ones are no longer listed.
    forgotten: u8,
}

prop_compose! {
    fn world()(taken: bool, in_flight: bool, ours_of_others in 0_u8..2, others in 0_u8..2, forgotten in 0_u8..2) -> World {
        World { taken, in_flight: in_flight && taken, ours_of_others, others, forgotten }
    }
}

fn answers() -> impl Strategy<Value = GiveOutcome> {
    prop_oneof![
        Just(timeout()),
        Just(GiveOutcome::Unknown(Cause::Unparsable)),
        Just(refused()),
        Just(GiveOutcome::Mismatch { field: "sum" }),
    ]
}

proptest! {
    /// While nobody else gives to the pair and no request is in flight, every fate is true,
    /// and what the platform took is never called not sent.
    #[test]
    fn a_fate_is_true(world in world(), old in 0_u8..4, answer in answers(), age in 0_u64..100_000, blind: bool) {
        let names = |prefix: &str, count: u8, sum: i64| -> Vec<Held> {
            (0..count).map(|n| Held { id: id(&format!("{prefix}{n}")), sum: Fen(sum) }).collect()
        };
        let age = Duration::from_secs(age);
        let before = names("old", old, 7);
        let mut after = before.clone();
        after.drain(..usize::from(world.forgotten.min(old)));
        after.extend(names("theirs", world.ours_of_others, OURS.0));
        after.extend(names("other", world.others, 3));
        if world.taken && !world.in_flight {
            after.extend(names("ours", 1, OURS.0));
        }
        let (before, after) = (Baseline::from_iter(before), Baseline::from_iter(after));
        let after = (!blind).then_some(&after);
        let fate = resolve_give(OURS, &before, &answer, after, age, &PATIENCE);
        let alone = world.ours_of_others == 0 && world.others == 0;
        match fate {
            Fate::Sent { voucher, proof, .. } => {
                prop_assert_eq!(proof, Proof::Found);
                prop_assert_eq!(voucher.as_str().starts_with("ours"), world.ours_of_others == 0);
                prop_assert!(world.forgotten.min(old) == 0);
            }
            // A request in flight may be believed absent only when the platform was quiet.
            Fate::NotSent(NotSent::Absent) => {
                prop_assert!(age >= PATIENCE.quiet && alone);
                prop_assert!(!world.taken || world.in_flight);
            }
            Fate::NotSent(NotSent::Refused(_)) => prop_assert!(!world.taken || world.in_flight),
            Fate::NotSent(why) => prop_assert!(false, "{why:?}"),
            Fate::StillUnknown { .. } => prop_assert!(age < PATIENCE.give_up),
            Fate::Review(_) => {}
        }
    }

    /// The longer one waits with the same list, the more is known: what has ended stays.
    #[test]
    fn an_end_stays(answer in answers(), fresh in 0_u8..3, first in 0_u64..100_000, more in 0_u64..100_000) {
        let before = list("a:1");
        let held = (0..fresh).map(|n| Held { id: id(&format!("n{n}")), sum: OURS });
        let after: Baseline = held.chain([Held { id: id("a"), sum: Fen(1) }]).collect();
        let at = |age| resolve_give(OURS, &before, &answer, Some(&after), Duration::from_secs(age), &PATIENCE);
        let then = at(first);
        if !matches!(then, Fate::StillUnknown { .. }) {
            prop_assert_eq!(at(first + more), then);
        }
    }
}
