use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value;

use super::ambiguity::is_ambiguous;
use super::*;

const VECTORS: &str = include_str!("../../../tests/golden/vectors/signatures.json");
const OPENSSL: &str = include_str!("../../../tests/golden/map/openssl.json");
const PUBLIC: &str = include_str!("../../../tests/golden/map/public.pem");
const CERTIFICATE: &str = include_str!("../../../tests/golden/map/certificate.pem");
const SHORT: &str = include_str!("../../../tests/golden/map/short.pem");

const ANY: Rules<'_> = Rules {
    covers_associated: false,
    order_id_prefix: None,
};
const AO: Rules<'_> = Rules {
    covers_associated: false,
    order_id_prefix: Some("AO"),
};
const REMARK: &str = "某某为用户赠送有油贷1000元红包";

fn give() -> Give<'static> {
    Give {
        mobile: "13912345678",
        sum_fen: 100_000,
        remark: REMARK,
        app_order_id: "123456789",
        product_code: "HONGBAO_YYD",
    }
}

fn spend(vouchers: &[String]) -> Spend<'_> {
    Spend {
        mobile: "13912345678",
        voucher_nos: vouchers,
        remark: "使用红包消费",
        app_order_id: "AO201412122344888444",
        associated_order_id: "AO201412122344888444",
        account_code: "231435",
        payment_code_md5: "",
        names_amounts: false,
    }
}

fn numbers() -> Vec<String> {
    ["RP20150404123456", "RP20150404123457"]
        .map(str::to_owned)
        .to_vec()
}

fn md5_of(operation: Operation<'_>, rules: &Rules<'_>) -> String {
    let texts = operation.texts();
    let fields = operation.fields(rules, &texts);
    md5(&fields.iter().map(Field::value).collect::<Vec<_>>())
}

fn in_doubt(operation: Operation<'_>, rules: &Rules<'_>) -> bool {
    let texts = operation.texts();
    is_ambiguous(&operation.fields(rules, &texts))
}

#[test]
fn foreign_vectors_agree() {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    for name in [
        "seed002_app_signature",
        "seed002_give_orderMD5",
        "seed002_tsig_plaintext",
    ] {
        let values = all[name]["values"].as_array().unwrap();
        let mut values: Vec<&str> = values.iter().map(|v| v.as_str().unwrap()).collect();
        for _ in 0..values.len() {
            values.rotate_left(1);
            assert_eq!(canonical(&values), all[name]["string"], "{name}");
        }
        if let Some(due) = all[name]["md5"].as_str() {
            assert_eq!(md5(&values), due, "{name}");
            assert!(is_md5(&values, &due.to_uppercase()), "{name}");
        }
    }
    let due = all["seed002_give_orderMD5"]["md5"].as_str().unwrap();
    assert_eq!(md5_of(Operation::Give(give()), &ANY), due);
}

#[test]
fn blanks_are_left_out_and_surrogates_sort_as_in_java() {
    assert_eq!(canonical(&["b", "", " \t", "a"]), "ab");
    // U+1F600 is the pair D83D DE00, before U+FF01; its bytes are the larger ones.
    assert_eq!(canonical(&["\u{ff01}", "\u{1f600}"]), "\u{1f600}\u{ff01}");
}

#[test]
fn what_openssl_signed_is_right_and_nothing_else() {
    let vector: Value = serde_json::from_str(OPENSSL).unwrap();
    let values = [
        "fc8044a7f0d3b083e1e25f78c61c13b7",
        "zjhtwallet",
        "20150504153001",
        "n0nce456",
    ];
    assert_eq!(canonical(&values), vector["message"]);
    let keys = [PUBLIC, CERTIFICATE].map(|pem| PublicKey::from_pem(pem).unwrap());
    assert_eq!(keys[0].to_pem().unwrap(), PUBLIC);
    assert_eq!(keys[1].to_pem().unwrap(), PUBLIC);
    let hashes = [
        ("sha1", Hash::Sha1),
        ("sha256", Hash::Sha256),
        ("md5", Hash::Md5),
    ];
    for (name, hash) in hashes {
        let mut signature = STANDARD.decode(vector[name].as_str().unwrap()).unwrap();
        assert!(is_rsa(&keys[0], hash, &values, &signature), "{name}");
        for (_, other) in hashes.into_iter().filter(|(_, other)| *other != hash) {
            assert!(!is_rsa(&keys[0], other, &values, &signature), "{name}");
        }
        assert!(!is_rsa(&keys[0], hash, &values[1..], &signature), "{name}");
        signature[100] ^= 1;
        assert!(!is_rsa(&keys[0], hash, &values, &signature), "{name}");
        assert!(!is_rsa(&keys[0], hash, &values, &[]), "{name}");
    }
    let broken = PUBLIC.replace("MII", "NII");
    for bad in ["", "x", SHORT, broken.as_str()] {
        assert!(PublicKey::from_pem(bad).is_none(), "{bad}");
    }
}

#[test]
fn the_samples_of_the_seed_mean_one_thing() {
    let digits = Rules {
        order_id_prefix: Some(""),
        ..ANY
    };
    for (app_order_id, rules) in [("88000000000000000001", &digits), ("AO123456789", &AO)] {
        let give = Give {
            app_order_id,
            ..give()
        };
        assert!(!in_doubt(Operation::Give(give), rules), "{app_order_id}");
        assert!(in_doubt(Operation::Give(give), &ANY), "{app_order_id}");
    }
    let vouchers = numbers();
    assert!(!in_doubt(Operation::Spend(spend(&vouchers)), &AO));
    let covered = Rules {
        covers_associated: true,
        ..AO
    };
    assert!(!in_doubt(Operation::Spend(spend(&vouchers)), &covered));
}

/// The forgeries of docs/signatures.md: each has the digest of the order that was signed.
#[test]
fn every_known_forgery_is_in_doubt() {
    // sum and remark.
    let signed = Give {
        remark: "1",
        ..give()
    };
    let forged = Give {
        sum_fen: 1,
        remark: "100000",
        ..give()
    };
    let digest = |give| md5_of(Operation::Give(give), &ANY);
    assert_eq!(digest(signed), digest(forged));
    assert!(in_doubt(Operation::Give(signed), &ANY) && in_doubt(Operation::Give(forged), &ANY));
    // The seed's own sample: 1,000 yuan with the number 123456789 become 1,234,567.89 yuan.
    let forged = Give {
        sum_fen: 123_456_789,
        app_order_id: "100000",
        ..give()
    };
    assert_eq!(digest(give()), digest(forged));
    assert!(in_doubt(Operation::Give(give()), &ANY));
    // Digits in which somebody else's mobile number stands.
    let signed = Give {
        app_order_id: "20150504153000123456",
        ..give()
    };
    let forged = Give {
        sum_fen: 6,
        mobile: "15300012345",
        app_order_id: "1000001391234567820150504",
        ..give()
    };
    assert_eq!(digest(signed), digest(forged));
    assert!(in_doubt(Operation::Give(signed), &ANY));
    // A boundary: 1,000.00 yuan become 1,000,001.23.
    let signed = Give {
        app_order_id: "123456",
        ..give()
    };
    let forged = Give {
        sum_fen: 100_000_123,
        app_order_id: "456",
        ..give()
    };
    assert_ne!(digest(signed), digest(forged));
    let signed = Give {
        app_order_id: "123",
        ..give()
    };
    assert!(in_doubt(Operation::Give(signed), &ANY));
    // Two numbers of 11 digits.
    let signed = Give {
        app_order_id: "13800138000",
        ..give()
    };
    let forged = Give {
        mobile: "13800138000",
        app_order_id: "13912345678",
        ..give()
    };
    assert_eq!(digest(signed), digest(forged));
    assert!(in_doubt(Operation::Give(signed), &ANY));
    // An order number that takes letters from a product's code.
    let signed = Give {
        app_order_id: "AO1",
        ..give()
    };
    let forged = Give {
        app_order_id: "AO1HONG",
        product_code: "BAO_YYD",
        ..give()
    };
    assert_eq!(digest(signed), digest(forged));
    assert!(in_doubt(Operation::Give(signed), &ANY));
    assert!(!in_doubt(Operation::Give(signed), &AO));
    // Another voucher, by the remark.
    let (one, two) = ([numbers()[0].clone()], [numbers()[1].clone()]);
    let signed = Spend {
        remark: &two[0],
        ..spend(&one)
    };
    let forged = Spend {
        remark: &one[0],
        ..spend(&two)
    };
    let digest = |spend| md5_of(Operation::Spend(spend), &AO);
    assert_eq!(digest(signed), digest(forged));
    assert!(in_doubt(Operation::Spend(signed), &AO));
    // A code that the owner never gave.
    let vouchers = numbers();
    let signed = Spend {
        app_order_id: "2014121223",
        account_code: "",
        ..spend(&vouchers)
    };
    let forged = Spend {
        app_order_id: "201412",
        account_code: "1223",
        ..spend(&vouchers)
    };
    let digest = |spend| md5_of(Operation::Spend(spend), &ANY);
    assert_ne!(digest(signed), digest(forged));
    // The order that is paid for, where it is signed too.
    let covered = Rules {
        covers_associated: true,
        ..AO
    };
    let swapped = Spend {
        associated_order_id: "AO2",
        ..spend(&vouchers)
    };
    assert!(in_doubt(Operation::Spend(swapped), &covered));
}

#[test]
fn what_keeps_no_format_is_in_doubt() {
    let bad = [
        Give {
            mobile: "+8613912345678",
            ..give()
        },
        Give {
            mobile: "12912345678",
            ..give()
        },
        Give {
            sum_fen: 0,
            ..give()
        },
        Give {
            sum_fen: -1,
            ..give()
        },
        Give {
            sum_fen: 1_000_000_000,
            ..give()
        },
        Give {
            remark: "gift",
            ..give()
        },
        Give {
            remark: "",
            ..give()
        },
        Give {
            remark: "红\u{1f9e7}包",
            ..give()
        },
        Give {
            app_order_id: "",
            ..give()
        },
        Give {
            app_order_id: "订单",
            ..give()
        },
        Give {
            product_code: "1HONGBAO",
            ..give()
        },
    ];
    for give in bad {
        assert!(in_doubt(Operation::Give(give), &ANY), "{give:?}");
    }
    let vouchers = numbers();
    for bad in [
        Spend {
            account_code: "12a4",
            ..spend(&vouchers)
        },
        Spend {
            payment_code_md5: "w344dioeorreeoocWRT",
            ..spend(&vouchers)
        },
        spend(&[]),
        spend(&["1234123412341234".to_owned()]),
        spend(&vec![numbers()[0].clone(); 51]),
    ] {
        assert!(in_doubt(Operation::Spend(bad), &AO), "{bad:?}");
    }
}

#[test]
fn a_search_that_does_not_end_is_in_doubt() {
    let any = |_: &str| true;
    let long = "a".repeat(400);
    let fields: Vec<Field<'_>> = (0..8)
        .map(|_| Field::due(&long, Format::Rule(1, 400, &any)))
        .collect();
    assert!(is_ambiguous(&fields));
}

/// Cuts the text anew in every way, without any of the search's short cuts.
fn slow(fields: &[Field<'_>], formats: &[Format<'_>]) -> bool {
    fn cut<'t>(
        rest: &'t str,
        formats: &[Format<'_>],
        given: &mut Vec<Option<&'t str>>,
        found: &mut Vec<Vec<Option<&'t str>>>,
    ) {
        if rest.is_empty() {
            found.push(given.clone());
            return;
        }
        for index in 0..formats.len() {
            for end in 1..=rest.len() {
                if given[index].is_none()
                    && rest.is_char_boundary(end)
                    && formats[index].takes(&rest[..end])
                {
                    given[index] = Some(&rest[..end]);
                    cut(&rest[end..], formats, given, found);
                    given[index] = None;
                }
            }
        }
    }
    let values: Vec<&str> = fields.iter().map(Field::value).collect();
    let text = canonical(&values);
    let mut found = Vec::new();
    cut(&text, formats, &mut vec![None; fields.len()], &mut found);
    found.into_iter().any(|given| {
        let other: Vec<&str> = given.iter().map(|g| g.unwrap_or_default()).collect();
        given.iter().all(Option::is_some) && canonical(&other) == text && other != values
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_search_finds_what_a_slow_one_finds(
        sum in 1_i64..2_000,
        order in "[0-2]{1,4}|A[0-1]{1,2}",
        product in "[AB][AB0]{0,2}",
    ) {
        let sum = sum.to_string();
        let formats = [Format::Sum, Format::OrderId(None), Format::Product];
        let values = [sum.as_str(), &order, &product];
        let fields: Vec<Field<'_>> = values.iter().zip(formats).map(|(v, f)| Field::due(v, f)).collect();
        prop_assert_eq!(is_ambiguous(&fields), slow(&fields, &formats));
    }

    /// Whatever two orders differ in: if they have one digest, neither is taken.
    #[test]
    fn no_two_orders_of_one_digest_are_both_taken(
        sum in 1_i64..2_000, order in "[0-2]{1,4}", cut in 1_usize..8,
    ) {
        let one = Give { sum_fen: sum, app_order_id: &order, ..give() };
        let joined = format!("{sum}{order}");
        let (head, tail) = joined.split_at(cut.min(joined.len() - 1));
        let other = Give { sum_fen: head.parse().unwrap(), app_order_id: tail, ..give() };
        let (left, right) = (Operation::Give(one), Operation::Give(other));
        let same = (one.sum_fen, one.app_order_id) == (other.sum_fen, other.app_order_id);
        if !same && md5_of(left, &ANY) == md5_of(right, &ANY) {
            prop_assert!(in_doubt(left, &ANY));
            prop_assert!(in_doubt(right, &ANY));
        }
    }
}
