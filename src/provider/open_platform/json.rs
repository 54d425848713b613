//! Reading JSON whose numbers are money: each is kept as the digits that came, never as a float.
//!
//! A member that stands twice is refused: two readers would take two different ones for the
//! answer. What nobody asks for is skipped unread.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::Fen;
use crate::domain::open_platform::{fen, price};

/// Many times what a reply has.
const MAX_BODY: usize = 64 * 1024;
/// Names are compared each with each; no reply has as many.
const MAX_MEMBERS: usize = 64;
/// Longer than any word that is looked at.
const MAX_WORD: usize = 256;

/// The members of an object, each as it was written.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(String, &'a RawValue)>);

/// A member cannot be what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strange;

impl<'a> Members<'a> {
    /// The object of a message of at most 64 KiB.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        if body.len() > MAX_BODY {
            return None;
        }
        serde_json::from_str(std::str::from_utf8(body).ok()?).ok()
    }

    /// A member as it was written; one that is null counts as absent.
    fn raw(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.get())
            .filter(|json| *json != "null")
    }

    /// An object; what is none counts as absent, for refusals come with all sorts of nothing.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Strange> {
        match self.raw(name).filter(|json| json.starts_with('{')) {
            Some(json) => serde_json::from_str(json).map(Some).map_err(|_| Strange),
            None => Ok(None),
        }
    }

    /// A text of up to 256 bytes, or a number as its digits; one that is empty counts as absent.
    pub(super) fn word(&self, name: &str) -> Result<Option<String>, Strange> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        let word = match raw.as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw).map_err(|_| Strange)?,
            Some(b'-' | b'0'..=b'9') => raw.to_owned(),
            _ => return Err(Strange),
        };
        if word.len() > MAX_WORD {
            return Err(Strange);
        }
        Ok(Some(word).filter(|word: &String| !word.is_empty()))
    }

    /// A whole number, also as a text: `0`, `"0"`, `-1`.
    pub(super) fn whole(&self, name: &str) -> Result<Option<i64>, Strange> {
        self.word(name)?.map_or(Ok(None), |word| {
            let digits = word.strip_prefix('-').unwrap_or(&word);
            let plain = digits.bytes().all(|b| b.is_ascii_digit());
            word.parse().ok().filter(|_| plain).map(Some).ok_or(Strange)
        })
    }

    /// An amount of yuan, also as a text.
    pub(super) fn yuan(&self, name: &str) -> Result<Option<Fen>, Strange> {
        self.word(name)?
            .map_or(Ok(None), |word| fen(&word).map(Some).ok_or(Strange))
    }

    /// A price in yuan, also as a text.
    pub(super) fn price(&self, name: &str) -> Result<Option<Fen>, Strange> {
        self.word(name)?
            .map_or(Ok(None), |word| price(&word).map(Some).ok_or(Strange))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object without a repeated member")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(String, &RawValue)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a repeated member"));
            }
            members.push((name, value));
            if members.len() > MAX_MEMBERS {
                return Err(A::Error::custom("too many members"));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> Option<Members<'_>> {
        Members::read(body.as_bytes())
    }

    #[test]
    fn numbers_keep_their_digits() {
        let body = r#"{"a":1.10,"b":"1.10","c":1e2,"d":null,"e":true,"f":"","g":175,"h":-1,"i":[1],
            "j":0.30000000000000004,"k":99999999999999999999999,"l":{"a":2.00},"m":"0","n":"x"}"#;
        let members = read(body).unwrap();
        for (name, amount) in [("a", 110), ("b", 110), ("g", 17_500), ("m", 0)] {
            assert_eq!(members.yuan(name), Ok(Some(Fen(amount))), "{name}");
        }
        for absent in ["d", "f", "nowhere"] {
            assert_eq!(members.yuan(absent), Ok(None), "{absent}");
            assert_eq!(members.word(absent), Ok(None), "{absent}");
            assert_eq!(members.whole(absent), Ok(None), "{absent}");
        }
        for strange in ["c", "e", "h", "i", "j", "k", "l", "n"] {
            assert_eq!(members.yuan(strange), Err(Strange), "{strange}");
        }
        for (name, whole) in [("g", 175), ("h", -1), ("m", 0)] {
            assert_eq!(members.whole(name), Ok(Some(whole)), "{name}");
        }
        for strange in ["a", "b", "c", "e", "i", "j", "k", "l", "n"] {
            assert_eq!(members.whole(strange), Err(Strange), "{strange}");
        }
        let inner = members.object("l").unwrap().unwrap();
        assert_eq!(inner.yuan("a"), Ok(Some(Fen(200))));
        for no in ["a", "b", "d", "i", "nowhere"] {
            assert!(matches!(members.object(no), Ok(None)), "{no}");
        }
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let many: String = (0..80).map(|n| format!(",\"{n}\":1")).collect();
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BODY));
        for body in [
            "",
            "null",
            "[1]",
            "{",
            "{\"a\":1",
            "<html></html>",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":1,}"#,
            r#"{"a":1}{"b":2}"#,
            r#"{"a":NaN}"#,
            r#"{"a":01}"#,
            r#"{"a":.5}"#,
            r#"{"a":+1}"#,
            &format!("{{\"z\":1{many}}}"),
            &large,
        ] {
            let short: String = body.chars().take(40).collect();
            assert!(read(body).is_none(), "{short}");
        }
        assert!(Members::read(b"{\"a\":\"\xff\"}").is_none());
        // Within what is asked for it counts, too; what is skipped may be anything.
        let nested = read(r#"{"data":{"a":1,"a":2},"other":{"a":1,"a":2}}"#).unwrap();
        assert!(matches!(nested.object("data"), Err(Strange)));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_WORD + 1));
        assert_eq!(read(&long).unwrap().word("a"), Err(Strange));
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(read(&deep).unwrap().word("a"), Err(Strange));
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(noise in any::<Vec<u8>>(), inner in "[{}\\[\\],:\"a1.e \\\\]{0,60}") {
            let _ = Members::read(&noise);
            if let Some(members) = read(&inner) {
                let _ = (members.word("a"), members.whole("a"), members.yuan("a"));
            }
        }
    }
}
