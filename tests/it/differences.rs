//! What the comparison with a provider's books must see: everything that would mean
//! that money went out twice, or went where we do not know.

use std::collections::BTreeMap;

use hongbao::cli::verify::differences;
use hongbao::domain::id::IssuanceId;
use hongbao::domain::{Fen, State};
use hongbao::simulator::{Payment, State as Theirs};
use hongbao::store::verify::Number;

/// A number of ours.
fn ours(number: &str, issuance: i64, state: State) -> (String, Number) {
    let number_here = Number {
        issuance: IssuanceId(issuance),
        amount: Fen(100),
        state,
        refunded: None,
    };
    (number.to_owned(), number_here)
}

/// A payment of theirs.
fn paid(number: &str, state: Theirs) -> Payment {
    Payment {
        mch_id: "1900000109".into(),
        mch_billno: number.into(),
        openid_hash: String::new(),
        amount_fen: 100,
        state,
        remark: String::new(),
        paid_at_ms: 1,
        times_paid: 1,
        sends: 1,
        queries: 0,
        returned_fen: if state == Theirs::Refund { 100 } else { 0 },
    }
}

/// The one difference.
fn only(ours: &[(String, Number)], theirs: &[Payment]) -> String {
    let ours: BTreeMap<String, Number> = ours.iter().cloned().collect();
    let found = differences(&ours, theirs);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

fn none(ours: &[(String, Number)], theirs: &[Payment]) {
    let ours: BTreeMap<String, Number> = ours.iter().cloned().collect();
    assert_eq!(differences(&ours, theirs), Vec::<String>::new());
}

#[test]
fn a_number_paid_twice() {
    let twice = Payment {
        times_paid: 2,
        ..paid("n", Theirs::Received)
    };
    let line = only(&[ours("n", 1, State::Received)], &[twice]);
    assert!(line.contains("paid 2 times"), "{line}");
}

#[test]
fn a_payment_that_nobody_here_knows() {
    let line = only(&[], &[paid("n", Theirs::Sent)]);
    assert!(line.contains("unknown here"), "{line}");
}

#[test]
fn another_amount() {
    let much = Payment {
        amount_fen: 101,
        ..paid("n", Theirs::Received)
    };
    let line = only(&[ours("n", 1, State::Received)], &[much]);
    assert!(line.contains("101") && line.contains("100"), "{line}");
}

#[test]
fn sent_here_and_never_paid() {
    for state in [
        State::Sent,
        State::Received,
        State::Refunding,
        State::Refunded,
    ] {
        let line = only(&[ours("n", 1, state)], &[]);
        assert!(line.contains("never paid"), "{line}");
    }
}

#[test]
fn one_packet_out_under_two_numbers() {
    let both = [ours("a", 1, State::Failed), ours("b", 1, State::Received)];
    let theirs = [paid("a", Theirs::Sent), paid("b", Theirs::Received)];
    let ours: BTreeMap<String, Number> = both.into_iter().collect();
    let found = differences(&ours, &theirs);
    assert!(
        found.iter().any(|line| line.contains("out 2 times")),
        "{found:?}"
    );
}

#[test]
fn a_packet_that_came_back_may_go_out_again() {
    none(
        &[ours("a", 1, State::Refunded), ours("b", 1, State::Received)],
        &[paid("a", Theirs::Refund), paid("b", Theirs::Received)],
    );
}

#[test]
fn a_packet_of_which_a_part_is_out_may_not() {
    let part = Payment {
        returned_fen: 40,
        ..paid("a", Theirs::Refund)
    };
    let line = only(
        &[ours("a", 1, State::Refunded), ours("b", 1, State::Received)],
        &[part, paid("b", Theirs::Received)],
    );
    assert!(line.contains("out 2 times"), "{line}");
}

#[test]
fn another_amount_came_back() {
    let (number, here) = ours("n", 1, State::Refunded);
    let here = Number {
        refunded: Some(Fen(60)),
        ..here
    };
    let line = only(&[(number, here)], &[paid("n", Theirs::Refund)]);
    assert!(line.contains("100 fen of n came back"), "{line}");
}

#[test]
fn contrary_ends() {
    for (theirs, here) in [
        (Theirs::Sending, State::Failed),
        (Theirs::Sending, State::Received),
        (Theirs::Received, State::Failed),
        (Theirs::Received, State::Refunding),
        (Theirs::Received, State::Refunded),
        (Theirs::Sent, State::Failed),
        (Theirs::Sent, State::Refunded),
        (Theirs::Sent, State::Received),
        (Theirs::RfundIng, State::Received),
        (Theirs::RfundIng, State::Refunded),
        (Theirs::RfundIng, State::Failed),
        (Theirs::Refund, State::Received),
        (Theirs::Refund, State::Failed),
    ] {
        let line = only(&[ours("n", 1, here)], &[paid("n", theirs)]);
        assert!(line.contains(here.name()), "{line}");
    }
}

#[test]
fn ours_may_lag_behind() {
    for (theirs, here) in [
        (Theirs::Sending, State::Sent),
        (Theirs::Sent, State::Unknown),
        (Theirs::Sent, State::Sending),
        (Theirs::Received, State::Sent),
        (Theirs::Received, State::Review),
        (Theirs::RfundIng, State::Sent),
        (Theirs::Refund, State::Refunding),
        (Theirs::Refund, State::Unknown),
    ] {
        none(&[ours("n", 1, here)], &[paid("n", theirs)]);
    }
    none(&[ours("n", 1, State::Failed)], &[]);
    none(&[ours("n", 1, State::Unknown)], &[]);
}
