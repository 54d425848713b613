use proptest::prelude::*;

use super::*;

fn rejected(kind: RejectionKind, status: i64) -> Rejection {
    Rejection {
        kind,
        code: format!("STATUS_{status}"),
    }
}

/// Written out once more, apart from the table: a status that moves to a kind that fails the
/// order may pay twice.
#[test]
fn every_status_of_an_order() {
    let unsure = |status| SendOutcome::Unknown(Cause::ProviderUnsure(format!("STATUS_{status}")));
    for status in [1, 5, 6, 8, 98, 99] {
        assert_eq!(after_order(status), unsure(status));
    }
    for (status, kind) in [
        (2, RejectionKind::Configuration),
        (4, RejectionKind::Configuration),
        (10, RejectionKind::Configuration),
        (9, RejectionKind::Balance),
        (11, RejectionKind::Balance),
        (3, RejectionKind::Refused),
        (7, RejectionKind::Refused),
    ] {
        let outcome = SendOutcome::Rejected(rejected(kind, status));
        assert_eq!(after_order(status), outcome);
    }
    let taken = SendOutcome::Taken {
        provider_order_no: String::new(),
        cost: None,
    };
    assert_eq!(after_order(0), taken);
    let unlisted = |word: &str| SendOutcome::Unknown(Cause::UnlistedCode(word.to_owned()));
    for status in [12, 97, 100, 200, 383, 9_999] {
        assert_eq!(after_order(status), unlisted(&format!("STATUS_{status}")));
    }
    for status in [-1, 10_000, i64::MIN, i64::MAX] {
        assert_eq!(after_order(status), unlisted("STATUS_OTHER"));
    }
}

#[test]
fn every_status_of_a_question() {
    assert_eq!(after_question(7), QueryOutcome::NotFound);
    for status in [1, 5, 6, 8, 98, 99] {
        let cause = Cause::ProviderUnsure(format!("STATUS_{status}"));
        assert_eq!(after_question(status), QueryOutcome::Unknown(cause));
    }
    for (status, kind) in [
        (2, RejectionKind::Configuration),
        (3, RejectionKind::Refused),
        (4, RejectionKind::Configuration),
        (9, RejectionKind::Balance),
        (10, RejectionKind::Configuration),
        (11, RejectionKind::Balance),
    ] {
        let outcome = QueryOutcome::Rejected(rejected(kind, status));
        assert_eq!(after_question(status), outcome);
    }
    let bare = QueryOutcome::Unknown(Cause::Unparsable);
    assert_eq!(after_question(0), bare);
    let unlisted = Cause::UnlistedCode("STATUS_383".to_owned());
    assert_eq!(after_question(383), QueryOutcome::Unknown(unlisted));
}

/// Only these speak of the order itself; all the rest keeps it open.
#[test]
fn few_statuses_speak_of_the_order() {
    let of_order: Vec<i64> = (-1_000..1_000)
        .filter(|status| match after_order(*status) {
            SendOutcome::Rejected(rejection) => {
                rejection.kind.scope() == super::super::outcome::Scope::Order
            }
            SendOutcome::Accepted { .. } | SendOutcome::Mismatch { .. } => true,
            SendOutcome::Taken { .. } | SendOutcome::Unknown(_) => false,
        })
        .collect();
    assert_eq!(of_order, [3, 7]);
}

#[test]
fn every_line_has_one_status_and_a_source() {
    for (index, (status, _, source)) in STATUSES.iter().enumerate() {
        assert!(source.starts_with("S: "), "{status}");
        let mut later = STATUSES.iter().skip(index + 1);
        assert!(later.all(|(other, _, _)| other > status), "{status}");
    }
}

#[test]
fn every_state() {
    let states: Vec<_> = (-1..=6).map(state).collect();
    assert_eq!(
        states,
        [
            None,
            Some(ProviderState::Sending),
            Some(ProviderState::Sending),
            Some(ProviderState::Sent),
            Some(ProviderState::Failed),
            Some(ProviderState::Failed),
            None,
            None,
        ]
    );
}

#[test]
fn yuan_are_written_without_zeros_at_the_end() {
    for (amount, text) in [
        (17_500, "175"),
        (150, "1.5"),
        (1, "0.01"),
        (10, "0.1"),
        (101, "1.01"),
        (100, "1"),
        (0, "0"),
        (-105, "-1.05"),
        (i64::MAX, "92233720368547758.07"),
    ] {
        assert_eq!(yuan(Fen(amount)), text);
    }
}

#[test]
fn yuan_are_read_exactly_or_not_at_all() {
    for (text, amount) in [
        ("637", 63_700),
        ("175.00", 17_500),
        ("1.5", 150),
        ("0.01", 1),
        ("0", 0),
        ("0.0", 0),
        ("1.2300", 123),
        ("9999999999999.99", 999_999_999_999_999),
    ] {
        assert_eq!(fen(text), Some(Fen(amount)), "{text}");
    }
    for bad in [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "-0",
        "+1",
        "1.005",
        "0.001",
        "1.0000000000001",
        "1e2",
        "1E2",
        "1.5e1",
        "NaN",
        "Infinity",
        "0x10",
        "01",
        "1,00",
        "1.0.0",
        "１.00",
        " 1",
        "1 ",
        "0.30000000000000004",
        "10000000000000",
        "99999999999999999999999999",
    ] {
        assert_eq!(fen(bad), None, "{bad}");
    }
}

#[test]
fn a_price_ends_at_the_next_fen() {
    for (text, amount) in [
        ("0.99485", 100),
        ("1.01", 101),
        ("1.010", 101),
        ("1.010000000001", 102),
        ("0.000000000001", 1),
        ("0", 0),
    ] {
        assert_eq!(price(text), Some(Fen(amount)), "{text}");
    }
    for bad in ["-1", "1e2", "1.0000000000001", "", "NaN"] {
        assert_eq!(price(bad), None, "{bad}");
    }
}

#[test]
fn a_price_is_held_to_the_contract() {
    assert!(PriceRule::FACE.allows(Fen(100), Fen(100)));
    assert!(!PriceRule::FACE.allows(Fen(100), Fen(101)));
    assert!(!PriceRule::FACE.allows(Fen(100), Fen(99)));
    // 1.5 % less, in whole fen up or down.
    let rule = PriceRule::new(9_850, 9_850).unwrap();
    for (price, fits) in [(98, false), (99, true), (100, true), (101, false)] {
        assert_eq!(rule.allows(Fen(101), Fen(price)), fits, "{price}");
    }
    let much = Fen(1_000_000_000_000_000_000);
    assert!(rule.allows(much, Fen(985_000_000_000_000_000)));
    for (min, max) in [(-1, 0), (2, 1), (0, 20_001)] {
        assert_eq!(PriceRule::new(min, max), None);
    }
}

#[test]
fn numbers_have_bounds() {
    let number = MchBillno::parse("1000009820250122000000000001").unwrap();
    let code = BizCode::from(&number);
    assert_eq!(BizCode::parse(code.as_str()), Some(code));
    for bad in ["", "a b", "a\n", "单号", "a&b", &"x".repeat(65)] {
        assert_eq!(BizCode::parse(bad), None, "{bad:?}");
    }
    assert!(OrderCode::parse(&"9".repeat(64)).is_some());
    for bad in ["", "a b", "单号", &"9".repeat(65)] {
        assert_eq!(OrderCode::parse(bad), None, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(amount in 0_i64..1_000_000_000_000_000) {
        prop_assert_eq!(fen(&yuan(Fen(amount))), Some(Fen(amount)));
    }

    #[test]
    fn noise_is_no_amount_of_another_kind(text in "[0-9eE.+-]{0,20}") {
        if let Some(amount) = fen(&text) {
            // Only zeros can be lost on the way.
            let again = yuan(amount);
            let kept = text.strip_prefix(&again);
            prop_assert!(kept.is_some_and(|rest| rest.chars().all(|c| matches!(c, '0' | '.'))));
        }
    }
}
