//! Codes that stand for vouchers: 15 characters of which nobody can guess the next,
//! and one that finds a slip of the finger before the database is asked.

/// Crockford's alphabet: without I, L, O and U, which are read as others.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a code, with the one that checks.
pub const CODE_LEN: usize = 16;

/// A code. It is money, so it is never printed: `Debug` hides it, and there is no
/// `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VoucherCode(String);

impl VoucherCode {
    /// A code from 15 random bytes, of which the lower five bits count: 75 bits.
    #[must_use]
    pub fn from_random(bytes: [u8; CODE_LEN - 1]) -> Self {
        let values: Vec<u8> = bytes.iter().map(|byte| byte % 32).collect();
        let all = values.iter().copied().chain([check(&values)]);
        Self(all.map(letter).collect())
    }

    /// What somebody has typed: blanks, hyphens and case do not matter, I and L are
    /// read as 1, O as 0.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        if raw.len() > 64 {
            return None;
        }
        let typed = raw.chars().filter(|c| !matches!(c, ' ' | '-'));
        let values: Vec<u8> = typed.map(value).collect::<Option<_>>()?;
        let (last, rest) = values.split_last()?;
        let fits = values.len() == CODE_LEN && *last == check(rest);
        fits.then(|| Self(values.iter().copied().map(letter).collect()))
    }

    /// The text, for its owner, for encryption and for finding it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for VoucherCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VoucherCode(…)")
    }
}

/// Weights are odd, so every single wrong character is found; neighbours have different
/// ones, so all swaps but those of values 16 apart are.
fn check(values: &[u8]) -> u8 {
    let weighted = values.iter().zip((1_u32..).step_by(2));
    let sum = weighted.fold(0_u32, |sum, (value, weight)| {
        sum.wrapping_add(u32::from(*value) * weight)
    });
    u8::try_from(sum % 32).unwrap_or(0)
}

fn letter(value: u8) -> char {
    ALPHABET
        .get(usize::from(value))
        .copied()
        .map_or('0', char::from)
}

fn value(typed: char) -> Option<u8> {
    let letter = match typed.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    };
    let at = ALPHABET
        .iter()
        .position(|known| char::from(*known) == letter)?;
    u8::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_round_trip_however_they_are_typed(bytes: [u8; CODE_LEN - 1]) {
            let code = VoucherCode::from_random(bytes);
            let typed = code.expose().to_lowercase();
            let (a, b) = typed.split_at(4);
            prop_assert_eq!(VoucherCode::parse(&format!("{a}-{b} ")), Some(code));
        }

        #[test]
        fn one_wrong_character_is_found(bytes: [u8; CODE_LEN - 1], at in 0..CODE_LEN, other in 1_u8..32) {
            let code = VoucherCode::from_random(bytes);
            let mut letters: Vec<char> = code.expose().chars().collect();
            let wrong = letter((value(letters[at]).unwrap() + other) % 32);
            letters[at] = wrong;
            prop_assert_eq!(VoucherCode::parse(&letters.iter().collect::<String>()), None);
        }
    }

    #[test]
    fn codes_are_not_printed_and_others_are_none() {
        let code = VoucherCode::from_random([7; CODE_LEN - 1]);
        assert_eq!(format!("{code:?}"), "VoucherCode(…)");
        for bad in [
            "",
            "0",
            &"0".repeat(17),
            "UUUUUUUUUUUUUUUU",
            "红包红包红包红包红包红包",
            &" ".repeat(80),
        ] {
            assert_eq!(VoucherCode::parse(bad), None, "{bad}");
        }
    }
}
