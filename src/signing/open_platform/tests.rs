use serde_json::Value;
use sha2::Digest as _;

use super::*;

/// Computed by others: see `signed_by` in the second.
const VECTORS: &str = include_str!("../../../tests/golden/vectors/signatures.json");
const OPENSSL: &str = include_str!("../../../tests/golden/open_platform/openssl.json");

const KEY: &str = include_str!("../../../tests/golden/map/private.pem");
const PUBLIC: &str = include_str!("../../../tests/golden/map/public.pem");
const SECRET: &str = "sk_test_0123456789";

const BODY: &str = r#"{"businessId":"754ea3e3a699404f9b82e8f881107f19","merchantId":"eb1bb305ca3940f8adf1d4e964555699"}"#;

const HEAD: Head<'static> = Head {
    business_id: "754ea3e3a699404f9b82e8f881107f19",
    nonce: "24bc2c17-0fef-440e-ba32-385c47c6cfa4",
    sign_type: "MD5",
    timestamp: "1628772138668",
};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn utf8(head: &Head<'_>, body: &str) -> String {
    String::from_utf8(head.text(body.as_bytes())).unwrap()
}

#[test]
fn the_md5_vector_agrees() {
    let vector = &json(VECTORS)["seed003_md5"];
    let text = utf8(&HEAD, BODY);
    assert_eq!(vector["string"], format!("{text}{SECRET}"));
    let sign = md5_sign(&HEAD, BODY.as_bytes(), SECRET);
    assert_eq!(vector["md5_upper"], sign);
    for case in [&sign, &sign.to_lowercase()] {
        assert!(md5_verify(&HEAD, BODY.as_bytes(), SECRET, case), "{case}");
    }
}

#[test]
fn the_rsa_vectors_agree() {
    let head = Head {
        sign_type: "SHA256-RSA",
        ..HEAD
    };
    let (message, openssl) = (&json(VECTORS)["seed003_rsa_message"], json(OPENSSL));
    let text = utf8(&head, BODY);
    assert_eq!(message["string"], text);
    let sha256 = md5_hex::lower(&sha2::Sha256::digest(&text));
    assert_eq!(message["sha256_hex"], sha256);

    let (key, public) = (
        PrivateKey::from_pem(KEY).unwrap(),
        PublicKey::from_pem(PUBLIC).unwrap(),
    );
    let sign = rsa_sign(&head, BODY.as_bytes(), &key).unwrap();
    assert_eq!(openssl["whole"]["text"], text);
    assert_eq!(openssl["whole"]["sha256_rsa"], sign);
    assert!(rsa_verify(&head, BODY.as_bytes(), &public, &sign));
    // Unlike hexadecimal, Base64 in another case is other bytes.
    for bad in [&sign.to_lowercase(), "", "!", &sign[4..]] {
        assert!(!rsa_verify(&head, BODY.as_bytes(), &public, bad), "{bad}");
    }
}

#[test]
fn a_header_that_is_not_sent_is_not_signed() {
    let vector = &json(OPENSSL)["without_sign_type"];
    let body = r#"{"bizCode":"B1","说明":"恭喜发财"}"#;
    let head = Head {
        nonce: "n-1",
        sign_type: "",
        ..HEAD
    };
    assert_eq!(vector["text"], utf8(&head, body));
    assert_eq!(vector["md5"], md5_sign(&head, body.as_bytes(), SECRET));
    let public = PublicKey::from_pem(PUBLIC).unwrap();
    let sign = vector["sha256_rsa"].as_str().unwrap();
    assert!(rsa_verify(&head, body.as_bytes(), &public, sign));

    let nothing = Head {
        business_id: "",
        nonce: "",
        sign_type: "",
        timestamp: "",
    };
    assert_eq!(utf8(&nothing, "{}"), "{}");
}

#[test]
fn each_header_and_each_byte_of_the_body_is_signed() {
    let sign = md5_sign(&HEAD, BODY.as_bytes(), SECRET);
    let public = PublicKey::from_pem(PUBLIC).unwrap();
    let key = PrivateKey::from_pem(KEY).unwrap();
    let rsa = rsa_sign(&HEAD, BODY.as_bytes(), &key).unwrap();
    let others = [
        Head {
            business_id: "b",
            ..HEAD
        },
        Head { nonce: "n", ..HEAD },
        Head {
            sign_type: "",
            ..HEAD
        },
        Head {
            timestamp: "1628772138669",
            ..HEAD
        },
    ];
    for head in &others {
        assert!(
            !md5_verify(head, BODY.as_bytes(), SECRET, &sign),
            "{head:?}"
        );
        assert!(
            !rsa_verify(head, BODY.as_bytes(), &public, &rsa),
            "{head:?}"
        );
    }
    let spaced = BODY.replace(':', ": ");
    assert!(!md5_verify(&HEAD, spaced.as_bytes(), SECRET, &sign));
    assert!(!rsa_verify(&HEAD, spaced.as_bytes(), &public, &rsa));
    assert!(!md5_verify(&HEAD, BODY.as_bytes(), "another", &sign));
}

#[test]
fn a_sign_type_is_spelled_in_one_way() {
    for kind in SignType::ALL {
        assert_eq!(SignType::parse(kind.name()), Some(kind));
    }
    for bad in [
        "",
        "md5",
        "Md5",
        "MD5 ",
        "SHA256",
        "sha256-rsa",
        "RSA",
        "NONE",
    ] {
        assert_eq!(SignType::parse(bad), None, "{bad}");
    }
}

/// Both pairs have the same text and so the same signature; only one of each is sound.
#[test]
fn a_text_stands_for_one_sound_message() {
    let hidden = Head {
        nonce: "n&signType=MD5",
        sign_type: "",
        ..HEAD
    };
    let shown = Head { nonce: "n", ..HEAD };
    assert_eq!(utf8(&hidden, BODY), utf8(&shown, BODY));
    assert!(!hidden.is_sound() && shown.is_sound());

    let short = Head {
        timestamp: "162877213866",
        ..HEAD
    };
    assert_eq!(utf8(&short, "8{}"), utf8(&HEAD, "{}"));
    assert!(!short.is_sound());
}

#[test]
fn odd_headers_are_not_sound() {
    let long = "x".repeat(MAX_VALUE + 1);
    for head in [
        Head {
            business_id: "",
            ..HEAD
        },
        Head { nonce: "", ..HEAD },
        Head {
            nonce: &long,
            ..HEAD
        },
        Head {
            nonce: "a b",
            ..HEAD
        },
        Head {
            nonce: "恭喜",
            ..HEAD
        },
        Head {
            sign_type: "md5",
            ..HEAD
        },
        Head {
            timestamp: "",
            ..HEAD
        },
        Head {
            timestamp: "1628772138",
            ..HEAD
        },
        Head {
            timestamp: "-162877213866",
            ..HEAD
        },
        Head {
            timestamp: "１６２８",
            ..HEAD
        },
    ] {
        assert!(!head.is_sound(), "{head:?}");
    }
}
