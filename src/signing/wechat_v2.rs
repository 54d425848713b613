//! The MD5 signature of WeChat Pay V2: sorted `k=v` pairs, then `&key=` and the API key.
//!
//! Values enter as raw UTF-8, neither URL-encoded nor XML-escaped. A value that is empty is left
//! out; a value of `0` is not (one well-known SDK drops it, and its signatures then differ).
//! Red-packet endpoints know MD5 only; `sign_type` is not a parameter there.

use super::md5_hex;

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
    let mut hex = md5_hex::lower(&md5_digest(params, key));
    hex.make_ascii_uppercase();
    hex
}

/// Whether `sign` is the signature of `params`, compared in constant time. Hexadecimal of either
/// case is the same bytes.
pub fn verify(params: &[(&str, &str)], key: &str, sign: &str) -> bool {
    md5_hex::is(sign, &md5_digest(params, key))
}

fn md5_digest(params: &[(&str, &str)], key: &str) -> [u8; 16] {
    md5_hex::digest(&[canonical(params).as_bytes(), b"&key=", key.as_bytes()])
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
