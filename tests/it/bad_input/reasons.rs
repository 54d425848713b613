//! The closed list of reasons: one in the contract and in the domain, and each of
//! them provoked by a test.

use std::collections::BTreeSet;

use hongbao::domain::Reason;
use hongbao::grpc::DESCRIPTOR;
use prost::Message as _;

/// Where tests provoke a reason: files in which it stands as a text.
const FILES: &[(&str, &str)] = &[
    ("bad_input.rs", include_str!("../bad_input.rs")),
    ("bad_input/admin.rs", include_str!("admin.rs")),
    ("bad_input/asks.rs", include_str!("asks.rs")),
    ("bad_input/audience.rs", include_str!("audience.rs")),
    ("bad_input/campaign.rs", include_str!("campaign.rs")),
    ("bad_input/events.rs", include_str!("events.rs")),
    ("bad_input/groups.rs", include_str!("groups.rs")),
    ("bad_input/import.rs", include_str!("import.rs")),
    ("bad_input/issuance.rs", include_str!("issuance.rs")),
    ("bad_input/kinds.rs", include_str!("kinds.rs")),
    ("bad_input/many.rs", include_str!("many.rs")),
    (
        "bad_input/open_platform.rs",
        include_str!("open_platform.rs"),
    ),
    ("bad_input/people.rs", include_str!("people.rs")),
    ("bad_input/platforms.rs", include_str!("platforms.rs")),
    ("bad_input/pots.rs", include_str!("pots.rs")),
    ("bad_input/scans.rs", include_str!("scans.rs")),
    ("bad_input/searches.rs", include_str!("searches.rs")),
    ("bad_input/shops.rs", include_str!("shops.rs")),
    ("bad_input/states.rs", include_str!("states.rs")),
    ("bad_input/vouchers.rs", include_str!("vouchers.rs")),
    (
        "bad_input/vouchers/confirms.rs",
        include_str!("vouchers/confirms.rs"),
    ),
    (
        "bad_input/vouchers/gifts.rs",
        include_str!("vouchers/gifts.rs"),
    ),
    (
        "bad_input/vouchers/hands.rs",
        include_str!("vouchers/hands.rs"),
    ),
    (
        "bad_input/vouchers/lists.rs",
        include_str!("vouchers/lists.rs"),
    ),
    (
        "bad_input/vouchers/spends.rs",
        include_str!("vouchers/spends.rs"),
    ),
    ("bad_input/wire.rs", include_str!("wire.rs")),
    ("permissions.rs", include_str!("../permissions.rs")),
    ("idempotency.rs", include_str!("../idempotency.rs")),
    (
        "idempotency/replays.rs",
        include_str!("../idempotency/replays.rs"),
    ),
    ("budget.rs", include_str!("../budget.rs")),
    ("packets/caps.rs", include_str!("../packets/caps.rs")),
    ("signing/calls.rs", include_str!("../signing/calls.rs")),
    ("signing/map.rs", include_str!("../signing/map.rs")),
    ("stops.rs", include_str!("../stops.rs")),
    ("people.rs", include_str!("../people.rs")),
    (
        "people/approvals.rs",
        include_str!("../people/approvals.rs"),
    ),
    ("people/reviews.rs", include_str!("../people/reviews.rs")),
    ("signing/orders.rs", include_str!("../signing/orders.rs")),
    ("surface/pages.rs", include_str!("../surface/pages.rs")),
    ("surface.rs", include_str!("../surface.rs")),
];

/// Reasons that no test here provokes, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "CONCURRENT_UPDATE",
        "a unit gives up after six lost races; src/store/tx.rs decides it",
    ),
    ("INTERNAL", "a bug; a test that sees one fails"),
    (
        "SERVER_OVERLOADED",
        "1,024 calls must wait for one transaction, which no test may force by chance",
    ),
];

#[test]
fn the_contract_and_the_domain_have_the_same_reasons() {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTOR).unwrap();
    let values = set
        .file
        .iter()
        .flat_map(|file| &file.enum_type)
        .find(|found| found.name() == "ErrorReason")
        .unwrap();
    let contract: Vec<String> = values
        .value
        .iter()
        .map(|value| value.name().trim_start_matches("ERROR_REASON_").to_owned())
        .filter(|name| name != "UNSPECIFIED")
        .collect();
    let domain: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(contract, domain);
}

#[test]
fn every_reason_is_provoked() {
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(name, _)| *name).collect();
    for reason in Reason::ALL {
        let text = format!("\"{}\"", reason.name());
        let found: Vec<&str> = FILES
            .iter()
            .filter(|(_, source)| source.contains(&text))
            .map(|(file, _)| *file)
            .collect();
        assert!(
            !found.is_empty() || elsewhere.contains(reason.name()),
            "{} is provoked nowhere",
            reason.name()
        );
    }
}
