//! Chance that can be repeated: every draw is a hash of the seed and of what is drawn for.
//!
//! A generator with a state would make one packet's fate depend on the order in which requests
//! arrive, and two runs of one seed would then differ. A hash of the name cannot.

use sha2::{Digest, Sha256};

/// A number that depends on the seed and the parts only.
pub(super) fn draw(seed: u64, parts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest
        .first_chunk::<8>()
        .map_or(0, |head| u64::from_be_bytes(*head))
}

/// A whole number in `0..bound` (0 for a bound of 0).
pub(super) fn below(bound: u64, seed: u64, parts: &[&str]) -> u64 {
    draw(seed, parts).checked_rem(bound).unwrap_or(0)
}

/// A whole number in `from..to` (`from` if that is empty).
pub(super) fn between(from: i64, to: i64, seed: u64, parts: &[&str]) -> i64 {
    let width = u64::try_from(to.saturating_sub(from)).unwrap_or(0);
    let offset = i64::try_from(below(width, seed, parts)).unwrap_or(0);
    from.saturating_add(offset)
}

/// The first 16 hexadecimal digits of SHA-256: enough to tell openids apart, too little to be one.
pub(super) fn short_hash(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let head = digest
        .first_chunk::<8>()
        .map_or(0, |head| u64::from_be_bytes(*head));
    format!("{head:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_name_same_draw() {
        assert_eq!(draw(1, &["a", "b"]), draw(1, &["a", "b"]));
        assert_ne!(draw(1, &["a", "b"]), draw(1, &["ab", ""]));
        assert_ne!(draw(1, &["a"]), draw(2, &["a"]));
    }

    #[test]
    fn draws_stay_between_their_limits() {
        for n in 0..500 {
            let drawn = between(10, 20, 7, &[&n.to_string()]);
            assert!((10..20).contains(&drawn), "{drawn}");
        }
        assert_eq!(between(10, 10, 7, &["x"]), 10);
    }

    #[test]
    fn hash_is_sha_256() {
        assert_eq!(short_hash("abc"), "ba7816bf8f01cfea");
    }
}
