//! The MD5 signature of WeChat Pay V2: sorted `k=v` pairs, then `&key=` and the API key.
//!
//! Values enter as raw UTF-8, neither URL-encoded nor XML-escaped. A value that is empty is left
//! out; a value of `0` is not (one well-known SDK drops it, and its signatures then differ).
//! Red-packet endpoints know MD5 only; `sign_type` is not a parameter there.

use md5::{Digest, Md5};

/// What a V2 message is signed over, before the key: every parameter except `sign` and except
/// empty values, sorted by the bytes of its name, joined as `k=v&k=v`.
pub fn canonical(params: &[(&str, &str)]) -> String {
    let mut kept: Vec<(&str, &str)> = params
        .iter()
        .copied()
        .filter(|(name, value)| *name != "sign" && !value.is_empty())
        .collect();
    kept.sort_unstable();
    let mut text = String::with_capacity(256);
    for (name, value) in kept {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}

/// The value of `sign`: 32 upper-case hexadecimal digits.
pub fn md5_sign(params: &[(&str, &str)], key: &str) -> String {
    let mut hex = String::with_capacity(32);
    for byte in md5_digest(params, key) {
        hex.push(hex_digit(byte >> 4));
        hex.push(hex_digit(byte & 0x0f));
    }
    hex
}

/// Whether `sign` is the signature of `params`. Hexadecimal of either case is the same bytes.
///
/// The comparison takes the same time wherever the first difference is, so that an answer's
/// delay does not tell a forger how much of a guess was right.
pub fn verify(params: &[(&str, &str)], key: &str, sign: &str) -> bool {
    let Some(given) = decode_md5(sign) else {
        return false;
    };
    same_bytes(&given, &md5_digest(params, key))
}

fn md5_digest(params: &[(&str, &str)], key: &str) -> [u8; 16] {
    let mut hash = Md5::new();
    hash.update(canonical(params));
    hash.update("&key=");
    hash.update(key);
    hash.finalize().into()
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16)
        .unwrap_or('0')
        .to_ascii_uppercase()
}

fn decode_md5(hex: &str) -> Option<[u8; 16]> {
    let mut bytes = [0_u8; 16];
    if hex.len() != 32 {
        return None;
    }
    let mut digits = hex.chars();
    for byte in &mut bytes {
        let high = digits.next()?.to_digit(16)?;
        let low = digits.next()?.to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// Folds every difference before it looks at any of them; `black_box` keeps the optimiser from
/// turning the fold into an early return.
fn same_bytes(left: &[u8; 16], right: &[u8; 16]) -> bool {
    let difference = left
        .iter()
        .zip(right)
        .fold(0_u8, |found, (a, b)| std::hint::black_box(found | (a ^ b)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const VECTORS: &str = include_str!("../../tests/golden/vectors/signatures.json");

    type Vector = (String, Vec<(String, String)>, Value);

    /// Every entry that has `params` is a V2 vector; the others belong to seeds 002 and 003.
    fn vectors() -> Vec<Vector> {
        let all: serde_json::Map<String, Value> = serde_json::from_str(VECTORS).unwrap();
        all.into_iter()
            .filter(|(_, vector)| vector.get("params").is_some())
            .map(|(name, vector)| {
                let params = vector["params"].as_object().unwrap();
                let params = params
                    .iter()
                    .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
                    .collect();
                (name, params, vector)
            })
            .collect()
    }

    fn borrowed(params: &[(String, String)]) -> Vec<(&str, &str)> {
        params
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect()
    }

    #[test]
    fn foreign_vectors_agree() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 9);
        for (name, params, vector) in vectors {
            let key = vector["key"].as_str().unwrap();
            let params = borrowed(&params);
            assert_eq!(
                format!("{}&key={key}", canonical(&params)),
                vector["string_to_sign"].as_str().unwrap(),
                "{name}"
            );
            let sign = md5_sign(&params, key);
            assert_eq!(sign, vector["md5"].as_str().unwrap(), "{name}");
            assert!(verify(&params, key, &sign), "{name}");
            assert!(verify(&params, key, &sign.to_lowercase()), "{name}");
        }
    }

    #[test]
    fn order_of_arrival_does_not_matter() {
        assert_eq!(
            canonical(&[("b", "2"), ("a", "1"), ("B", "0")]),
            "B=0&a=1&b=2"
        );
    }

    #[test]
    fn a_zero_is_signed_and_an_empty_value_is_not() {
        assert_eq!(canonical(&[("a", "0"), ("b", ""), ("sign", "X")]), "a=0");
    }

    #[test]
    fn anything_else_is_refused() {
        let params = [("a", "1"), ("c", "3")];
        let good = md5_sign(&params, "k");
        let longer = format!("{good}0");
        for sign in ["", "zz", "é", "0".repeat(32).as_str(), &good[..31], &longer] {
            assert!(!verify(&params, "k", sign), "{sign}");
        }
        assert!(!verify(&params, "K", &good));
        assert!(!verify(&[("a", "1"), ("c", "4")], "k", &good));
    }
}
