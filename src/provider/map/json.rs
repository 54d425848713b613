//! Reading replies that are nearly JSON, and refusing those that could mean two things.
//!
//! The seed's own sample has a comma after the last member, numbers may come as texts, and a
//! byte order mark is no rarity. All of that is read. A member that stands twice is not: two
//! readers would take two different ones for the answer.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Longer than any word of a reply that is looked at.
const MAX_WORD: usize = 256;

/// A value of a reply.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Nothing,
    /// A boolean or a fraction: nothing of the protocol.
    Strange,
    Whole(i64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The object of a reply.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let read = match serde_json::from_str(text) {
            Ok(read) => read,
            Err(_) => serde_json::from_str(&without_last_commas(text)).ok()?,
        };
        matches!(read, Self::Object(_)).then_some(read)
    }

    /// A member of an object; one that is null counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let found = members.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value)
            .filter(|value| **value != Self::Nothing)
    }

    /// A text or a whole number as a word; an empty one counts as absent.
    pub(super) fn word(&self, name: &str) -> Option<String> {
        let word = match self.get(name)? {
            Self::Text(text) => text.trim().to_owned(),
            Self::Whole(number) => number.to_string(),
            Self::Nothing | Self::Strange | Self::List(_) | Self::Object(_) => return None,
        };
        (1..=MAX_WORD).contains(&word.len()).then_some(word)
    }

    /// A whole number, however it is written: `100`, `"100"`.
    pub(super) fn whole(&self, name: &str) -> Option<i64> {
        let word = self.word(name)?;
        word.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| word.parse().ok())?
    }

    /// The members of a list.
    pub(super) fn list(&self, name: &str) -> Option<&[Self]> {
        match self.get(name)? {
            Self::List(list) => Some(list),
            Self::Nothing | Self::Strange | Self::Whole(_) | Self::Text(_) | Self::Object(_) => {
                None
            }
        }
    }
}

/// The text without commas that stand before a closing bracket, outside of strings.
fn without_last_commas(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    // Blanks and at most one comma that may turn out to be the last.
    let mut held = String::new();
    for c in text.chars() {
        if in_string {
            kept.push(c);
            (in_string, escaped) = match c {
                _ if escaped => (true, false),
                '\\' => (true, true),
                '"' => (false, false),
                _ => (true, false),
            };
            continue;
        }
        let waits = c == ',' && !held.contains(',');
        if waits || (c.is_whitespace() && !held.is_empty()) {
            held.push(c);
            continue;
        }
        if !matches!(c, '}' | ']') {
            kept.push_str(&held);
        }
        held.clear();
        kept.push(c);
        in_string = c == '"';
    }
    kept + &held
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without a repeated member")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Strange)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Strange)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(i64::try_from(number).map_or(Json::Strange, Json::Whole))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a repeated member"));
            }
            members.push((name, value));
            // Names are compared each with each; no reply has as many.
            if members.len() > 64 {
                return Err(A::Error::custom("too many members"));
            }
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_nearly_json_is_read() {
        for body in [
            r#"{"errcode":10000,"errmsg":"x",}"#,
            "\u{feff}{\"errcode\":\"10000\",\n\"errmsg\":\"x\" ,\n}\n",
            r#" {"errcode":10000, "errmsg":"x", "list":[1,2,]} "#,
        ] {
            let read = Json::read(body.as_bytes()).unwrap();
            assert_eq!(read.word("errcode").as_deref(), Some("10000"), "{body}");
            assert_eq!(read.whole("errcode"), Some(10_000), "{body}");
            assert_eq!(read.word("errmsg").as_deref(), Some("x"), "{body}");
        }
        let kept = Json::read(br#"{"a":"1,}","b":"\",]",}"#).unwrap();
        assert_eq!(kept.word("a").as_deref(), Some("1,}"));
        assert_eq!(kept.word("b").as_deref(), Some("\",]"));
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let deep = "[".repeat(10_000);
        let members: String = (0..80).map(|n| format!("\"{n}\":1,")).collect();
        for body in [
            "",
            "null",
            "[1]",
            "{",
            r#"{"errcode":0,"errcode":1}"#,
            r#"{"order":{"sum":1,"sum":2}}"#,
            r#"{"a":1,,}"#,
            r#"{"a":1}{"a":2}"#,
            "<html></html>",
            &deep,
            &format!("{{{members}}}"),
        ] {
            let short: String = body.chars().take(40).collect();
            assert_eq!(Json::read(body.as_bytes()), None, "{short}");
        }
        assert_eq!(Json::read(&[b'{', 0xff, b'}']), None);
    }

    #[test]
    fn numbers_are_whole_or_nothing() {
        let read = Json::read(
            br#"{"a":1.0,"b":"1.0","c":-1,"d":"","e":true,"f":null,"g":"1e3","h":99999999999999999999,"i":"0100"}"#,
        )
        .unwrap();
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "nowhere"] {
            assert_eq!(read.whole(name), None, "{name}");
        }
        assert_eq!(read.whole("i"), Some(100));
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(noise in any::<Vec<u8>>(), inner in "[{}\\[\\],:\"a1 \\\\]{0,60}") {
            let _ = Json::read(&noise);
            let _ = Json::read(inner.as_bytes());
        }

        /// What is JSON already is not changed by looking for commas.
        #[test]
        fn json_is_left_as_it_is(texts in proptest::collection::vec(any::<String>(), 0..6)) {
            let json = serde_json::to_string(&texts).unwrap();
            prop_assert_eq!(without_last_commas(&json), json);
        }
    }
}
