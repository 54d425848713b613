//! Finding names by a part of them.
//!
//! A name is kept as its one- and two-character pieces. A keyword of one character
//! is looked up as it is; a longer one by all of its pairs, and what has all of them
//! is compared whole, for pairs can stand apart.

use std::collections::BTreeSet;

/// A part of a name: 1 to 30 characters, compared in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyword(String);

/// Characters of a keyword at most (seed 000: String(30)).
pub const KEYWORD_MAX: usize = 30;
/// What a keyword may fit at most; more is refused as too broad.
pub const MATCHES_MAX: usize = 10_000;

impl Keyword {
    /// The keyword, if it has 1 to 30 characters.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        (1..=KEYWORD_MAX)
            .contains(&raw.chars().count())
            .then(|| Self(fold(raw)))
    }

    /// What every match has.
    #[must_use]
    pub fn grams(&self) -> BTreeSet<String> {
        let chars: Vec<char> = self.0.chars().collect();
        if chars.len() < 2 {
            return BTreeSet::from([self.0.clone()]);
        }
        chars.windows(2).map(|pair| pair.iter().collect()).collect()
    }

    /// Whether a name contains it.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        fold(name).contains(&self.0)
    }

    /// The text in lower case: digits may be a mobile number or its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The pieces that a name is found by.
#[must_use]
pub fn grams(names: &[&str]) -> BTreeSet<String> {
    let mut grams = BTreeSet::new();
    for name in names {
        let chars: Vec<char> = fold(name).chars().collect();
        grams.extend(chars.iter().map(char::to_string));
        grams.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>()));
    }
    grams
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_characters() {
        assert!(Keyword::parse(&"红".repeat(30)).is_some());
        assert!(Keyword::parse(&"红".repeat(31)).is_none());
        assert!(Keyword::parse("").is_none());
    }

    #[test]
    fn signs_of_other_languages_mean_themselves() {
        let keyword = Keyword::parse("50%_\\'").unwrap();
        assert!(keyword.fits("about 50%_\\' off"));
        assert!(!keyword.fits("about 50x_\\' off"));
    }

    proptest! {
        #[test]
        fn whatever_contains_it_has_its_grams(before in ".{0,8}", word in ".{1,8}", after in ".{0,8}") {
            let Some(keyword) = Keyword::parse(&word) else { return Ok(()) };
            let name = format!("{before}{word}{after}");
            // Lower case can depend on neighbours (a final sigma): then it is another word.
            prop_assume!(keyword.fits(&name));
            prop_assert!(keyword.grams().is_subset(&grams(&[&name])));
        }
    }
}
