//! MD5 and its hexadecimal digits, for the old protocols that ask for it.

use md5::{Digest as _, Md5};

/// The digest of some parts, one after the other.
pub fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// The digits of some bytes, in lower case.
pub fn lower(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        hex.extend([digit(byte >> 4), digit(byte & 0x0f)]);
    }
    hex
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

/// Whether `hex`, in either case, is this digest.
///
/// The comparison takes the same time wherever the first difference is, so that an answer's
/// delay does not tell a forger how much of a guess was right.
pub fn is(hex: &str, digest: &[u8; 16]) -> bool {
    decode(hex).is_some_and(|given| same(&given, digest))
}

/// The 16 bytes of 32 digits of either case.
pub fn decode(hex: &str) -> Option<[u8; 16]> {
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
fn same(left: &[u8; 16], right: &[u8; 16]) -> bool {
    let difference = left
        .iter()
        .zip(right)
        .fold(0_u8, |found, (a, b)| std::hint::black_box(found | (a ^ b)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_either_case_are_the_same_bytes() {
        let abc = digest(&[b"a", b"bc"]);
        let hex = lower(&abc);
        assert_eq!(hex, "900150983cd24fb0d6963f7d28e17f72");
        assert!(is(&hex, &abc) && is(&hex.to_uppercase(), &abc));
        for bad in [
            "",
            "zz",
            "é",
            &hex[..31],
            &format!("{hex}0"),
            &"0".repeat(32),
        ] {
            assert!(!is(bad, &abc), "{bad}");
        }
    }
}
