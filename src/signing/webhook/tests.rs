//! Foreign vectors, and what a forger might try.

use super::*;

const SPEC_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SPEC_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SPEC_TIME: i64 = 1_614_265_330;
const SPEC_BODY: &[u8] = br#"{"test": 2432232314}"#;
const SPEC_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secret(text: &str) -> Secret {
    Secret::parse(text).unwrap()
}

fn spec_headers() -> Headers<'static> {
    Headers {
        id: SPEC_ID,
        timestamp: "1614265330",
        signature: SPEC_SIGNATURE,
    }
}

fn said(headers: Headers<'_>, body: &[u8], now: i64) -> Result<(), Refused> {
    verify(&secret(SPEC_SECRET), headers, body, now, TOLERANCE)
}

/// The vector of the specification's own libraries, and it again from Python's hmac.
#[test]
fn the_vector_of_the_specification() {
    let id = MessageId::parse(SPEC_ID).unwrap();
    let signature = sign(&secret(SPEC_SECRET), None, &id, SPEC_TIME, SPEC_BODY);
    assert_eq!(signature, SPEC_SIGNATURE);
    assert_eq!(said(spec_headers(), SPEC_BODY, SPEC_TIME), Ok(()));
}

/// Computed with Python's hmac and base64.
#[test]
fn vectors_of_python() {
    let newest = Secret::of_random(std::array::from_fn(|i| u8::try_from(i).unwrap()));
    let text = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    assert_eq!(newest.expose(), text);
    let id = MessageId::parse("evt_7").unwrap();
    let time = 1_795_320_000;
    let body = r#"{"event_id":"evt_7","state":"RECEIVED","wishing":"恭喜发财"}"#.as_bytes();
    let both = "v1,ffQl8tTtKdnVwIZ369hF1SfI7MIFOmfuxUjQi5PXDvM= \
                v1,NQRdl9ia27IDh2BQ2TijKQYs0s4qbrTZl3EZ5dxnMqk=";
    let older = secret(SPEC_SECRET);
    assert_eq!(sign(&newest, Some(&older), &id, time, body), both);
    let headers = Headers {
        id: "evt_7",
        timestamp: "1795320000",
        signature: both,
    };
    for known in [&newest, &older] {
        assert_eq!(verify(known, headers, body, time, TOLERANCE), Ok(()));
    }
    let other = Secret::of_random([1; 32]);
    assert_eq!(
        verify(&other, headers, body, time, TOLERANCE),
        Err(Refused::Signature)
    );
    let longest = Secret::from_bytes(&[0xff; 64]).unwrap();
    let empty = "v1,cOZnj81gH/8IpkKLziFL705sjPgK2l8Ah4Z+ApavoKE=";
    assert_eq!(sign(&longest, None, &id, time, b""), empty);
}

#[test]
fn what_was_changed_on_its_way_is_refused() {
    let good = spec_headers();
    let bad = |headers| said(headers, SPEC_BODY, SPEC_TIME);
    assert_eq!(
        said(good, br#"{"test": 2432232315}"#, SPEC_TIME),
        Err(Refused::Signature)
    );
    assert_eq!(said(good, b"", SPEC_TIME), Err(Refused::Signature));
    assert_eq!(
        bad(Headers {
            id: "msg_x",
            ..good
        }),
        Err(Refused::Signature)
    );
    assert_eq!(bad(Headers { id: "", ..good }), Err(Refused::Id));
    let later = Headers {
        timestamp: "1614265331",
        ..good
    };
    assert_eq!(bad(later), Err(Refused::Signature));
    for timestamp in [
        "",
        "+1614265330",
        "-1",
        "1614265330.0",
        " 1614265330",
        "now",
    ] {
        assert_eq!(
            bad(Headers { timestamp, ..good }),
            Err(Refused::Timestamp),
            "{timestamp}"
        );
    }
    for signature in [
        "",
        " ",
        "v1,",
        "v1",
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=",
        "v1,g0hM9SsE",
        "v1,!",
    ] {
        assert_eq!(
            bad(Headers { signature, ..good }),
            Err(Refused::Signature),
            "{signature}"
        );
    }
}

/// The dot in an id would make `a` and `5.6` of `a.5` and `6`.
#[test]
fn the_parts_cannot_be_shifted() {
    for id in ["a.5", "", "a b", "ä", &"a".repeat(65)] {
        assert!(MessageId::parse(id).is_none(), "{id}");
        let headers = Headers {
            id,
            ..spec_headers()
        };
        assert_eq!(
            said(headers, SPEC_BODY, SPEC_TIME),
            Err(Refused::Id),
            "{id}"
        );
    }
}

#[test]
fn messages_of_another_time_are_refused() {
    for (now, fresh) in [
        (SPEC_TIME - 300, true),
        (SPEC_TIME + 300, true),
        (SPEC_TIME - 301, false),
        (SPEC_TIME + 301, false),
        (i64::MIN, false),
        (i64::MAX, false),
    ] {
        let expected = if fresh { Ok(()) } else { Err(Refused::Stale) };
        assert_eq!(said(spec_headers(), SPEC_BODY, now), expected, "{now}");
    }
}

#[test]
fn signatures_of_other_kinds_are_passed_over_but_not_without_end() {
    let good = spec_headers();
    let (few, many) = ("v1a,AAAA ".repeat(7), "v1a,AAAA ".repeat(8));
    for (before, expected) in [(few, Ok(())), (many, Err(Refused::Signature))] {
        let signature = format!("{before}{SPEC_SIGNATURE}");
        let headers = Headers {
            signature: &signature,
            ..good
        };
        assert_eq!(said(headers, SPEC_BODY, SPEC_TIME), expected);
    }
}

#[test]
fn secrets_have_a_form_and_are_not_printed() {
    let of = |length: usize| format!("whsec_{}", STANDARD.encode(vec![7; length]));
    for length in [24, 32, 64] {
        let secret = secret(&of(length));
        assert_eq!(secret.expose(), of(length));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
    for bad in [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa_-",
        &of(23),
        &of(65),
    ] {
        assert!(Secret::parse(bad).is_none(), "{bad}");
    }
    assert!(Secret::from_bytes(&[0; 23]).is_none() && Secret::from_bytes(&[0; 65]).is_none());
}
