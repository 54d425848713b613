//! Names and texts that come from outside, each with its alphabet and bound.

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $check:expr),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType, Serialize, Deserialize)]
        pub struct $name(String);

        impl $name {
            /// The value, if it keeps the rule above.
            #[must_use]
            pub fn parse(raw: &str) -> Option<Self> {
                let check: fn(&str) -> bool = $check;
                check(raw).then(|| Self(raw.to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

names! {
    /// Names a call: 1 to 64 of `[A-Za-z0-9_.:-]`.
    RequestId: |s| within(s, 1, 64, is_name_byte),
    /// A code or name that an operator gives: 1 to 64 of `[A-Za-z0-9_.:-]`.
    Code: |s| within(s, 1, 64, is_name_byte),
    /// The caller's id for a person: 1 to 64 printable ASCII characters without blanks.
    Uid: |s| within(s, 1, 64, |b| b.is_ascii_graphic()),
    /// An appid: 1 to 32 of `[A-Za-z0-9_-]` (sendredpack: `wxappid`).
    Appid: |s| within(s, 1, 32, is_token_byte),
    /// A merchant id: 8 to 10 digits (sendredpack: `mch_id`). Where a protocol has apps instead
    /// of merchants it is an app's id: [`MchId::of_app`].
    MchId: |s| within(s, 8, 10, |b| b.is_ascii_digit()),
    /// The caller's number of a voucher order: 1 to 128 bytes, no blanks at its ends, no
    /// hidden characters (seed 002: `appOrderId`).
    OrderNo: |s| (1..=128).contains(&s.len()) && s.trim() == s && !has_hidden(s),
    /// A merchant order number: 28 of `[0-9A-Za-z]` (sendredpack: `mch_billno`).
    MchBillno: |s| within(s, 28, 28, |b| b.is_ascii_alphanumeric()),
}

impl RequestId {
    /// The name of a call that an order's number names: one namespace for both, so that
    /// the record of all writes has the orders too.
    #[must_use]
    pub fn of_order(number: &OrderNo) -> Self {
        Self(number.0.clone())
    }
}

impl MchId {
    /// An app's id at a voucher platform (seed 002: `appId`): 1 to 64 of `[A-Za-z0-9_.:-]`.
    #[must_use]
    pub fn of_app(raw: &str) -> Option<Self> {
        within(raw, 1, 64, is_name_byte).then(|| Self(raw.to_owned()))
    }
}

impl MchBillno {
    /// How long a number is.
    pub const LEN: usize = 28;

    /// A number that was just derived. Only [`super::number`] makes them.
    pub(super) fn derived(text: String) -> Self {
        Self(text)
    }
}

/// An openid: 1 to 32 of `[A-Za-z0-9_-]` (sendredpack: `re_openid`). It names a
/// person, so it is never printed: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Openid(String);

impl Openid {
    /// The openid, if it keeps the rule above.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        within(raw, 1, 32, is_token_byte).then(|| Self(raw.to_owned()))
    }

    /// The text, for the provider and for encryption.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with its middle hidden: `oUpF…x2c4`.
    #[must_use]
    pub fn masked(&self) -> String {
        mask(&self.0, 4, 4)
    }
}

impl std::fmt::Debug for Openid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Openid(…)")
    }
}

/// A Chinese mobile number: 11 digits, of which the first is 1 and the second 3 to 9. Never printed, like [`Openid`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mobile(String);

impl Mobile {
    /// The number; `+86` in front of 11 digits is taken off, nothing else.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let digits = raw.strip_prefix("+86").unwrap_or(raw);
        let second = digits.as_bytes().get(1).is_some_and(|b| *b >= b'3');
        Self::kept(digits).filter(|_| second)
    }

    /// A number that was kept: by builds that did not look at its second digit, too.
    #[must_use]
    pub fn kept(raw: &str) -> Option<Self> {
        let valid = within(raw, 11, 11, |b| b.is_ascii_digit()) && raw.starts_with('1');
        valid.then(|| Self(raw.to_owned()))
    }

    /// The text, for encryption.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its last four digits: what people remember of a number.
    #[must_use]
    pub fn last_four(&self) -> &str {
        self.0.get(7..).unwrap_or("")
    }

    /// The text with its middle hidden: `138****5678`.
    #[must_use]
    pub fn masked(&self) -> String {
        let head: String = self.0.chars().take(3).collect();
        let tail: String = self.0.chars().skip(7).collect();
        format!("{head}****{tail}")
    }
}

impl std::fmt::Debug for Mobile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mobile(…)")
    }
}

fn mask(text: &str, head: usize, tail: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= head + tail {
        return "…".to_owned();
    }
    let front: String = chars.iter().take(head).collect();
    let back: String = chars.iter().skip(chars.len() - tail).collect();
    format!("{front}…{back}")
}

/// What the recipient reads. WeChat Pay counts these in UTF-8 bytes and wants them
/// shorter than the printed bound (merchants' reports; the page names no unit), so
/// each bound here is one below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// Who sends.
    pub send_name: String,
    /// The activity.
    pub act_name: String,
    /// The wish.
    pub wishing: String,
    /// The remark.
    pub remark: String,
    /// The scene, if any.
    pub scene_id: Option<Scene>,
}

/// A text field of [`Texts`]: its name and the bytes it may have.
pub const TEXT_BOUNDS: [(&str, usize); 4] = [
    ("send_name", 31),
    ("act_name", 31),
    ("wishing", 127),
    ("remark", 255),
];

/// A WeChat Pay scene, needed outside 1 to 200 yuan (sendredpack: `scene_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Scene {
    /// Sales promotion.
    #[serde(rename = "PRODUCT_1")]
    SalesPromotion,
    /// Lucky draw.
    #[serde(rename = "PRODUCT_2")]
    LuckyDraw,
    /// Redeeming virtual goods.
    #[serde(rename = "PRODUCT_3")]
    VirtualGoods,
    /// Benefit within the company.
    #[serde(rename = "PRODUCT_4")]
    StaffBenefit,
    /// Sharing profit with a channel.
    #[serde(rename = "PRODUCT_5")]
    ChannelShare,
    /// Insurance rebate.
    #[serde(rename = "PRODUCT_6")]
    InsuranceRebate,
    /// Lottery payout.
    #[serde(rename = "PRODUCT_7")]
    LotteryPayout,
    /// Tax scratch prize.
    #[serde(rename = "PRODUCT_8")]
    TaxPrize,
}

const SCENES: [(&str, Scene); 8] = [
    ("PRODUCT_1", Scene::SalesPromotion),
    ("PRODUCT_2", Scene::LuckyDraw),
    ("PRODUCT_3", Scene::VirtualGoods),
    ("PRODUCT_4", Scene::StaffBenefit),
    ("PRODUCT_5", Scene::ChannelShare),
    ("PRODUCT_6", Scene::InsuranceRebate),
    ("PRODUCT_7", Scene::LotteryPayout),
    ("PRODUCT_8", Scene::TaxPrize),
];

impl Scene {
    /// The scene of a code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        SCENES
            .iter()
            .find(|(name, _)| *name == code)
            .map(|(_, scene)| *scene)
    }

    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        SCENES
            .iter()
            .find(|(_, scene)| *scene == self)
            .map_or("", |(name, _)| name)
    }
}

/// Whether a text has a character that a reader would not see: controls, and the
/// marks that turn the direction of writing or join what follows unseen.
#[must_use]
pub fn has_hidden(text: &str) -> bool {
    text.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
    })
}

fn within(text: &str, min: usize, max: usize, allowed: fn(u8) -> bool) -> bool {
    (min..=max).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-')
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_not_printed() {
        let openid = Openid::parse("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o").unwrap();
        assert_eq!(format!("{openid:?}"), "Openid(…)");
        assert_eq!(openid.masked(), "oUpF…eS6o");
        let mobile = Mobile::parse("+8613812345678").unwrap();
        assert_eq!(format!("{mobile:?}"), "Mobile(…)");
        assert_eq!(mobile.masked(), "138****5678");
    }

    #[test]
    fn mobiles_are_eleven_ascii_digits() {
        for bad in [
            "１３９１２３４５６７８",
            "1391234567",
            "139123456789",
            "23912345678",
            "12345678901",
            "+8713912345678",
            "1391234567a",
        ] {
            assert!(Mobile::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn request_ids_have_bounds() {
        for bad in ["", " a", "a b", "a\0", "ä", &"x".repeat(65)] {
            assert!(RequestId::parse(bad).is_none(), "{bad:?}");
        }
        assert!(RequestId::parse(&"x".repeat(64)).is_some());
    }

    #[test]
    fn order_numbers_have_bounds() {
        for bad in [
            "",
            " a",
            "a ",
            "a\0",
            "a\nb",
            "a\u{200B}b",
            &"x".repeat(129),
        ] {
            assert!(OrderNo::parse(bad).is_none(), "{bad:?}");
        }
        for good in ["AO201412122344888444", "单号 7", &"x".repeat(128)] {
            let number = OrderNo::parse(good).unwrap();
            assert_eq!(RequestId::of_order(&number).as_str(), good);
        }
    }

    #[test]
    fn hidden_characters_are_seen() {
        for bad in ["a\nb", "a\u{202E}b", "a\u{200D}b", "\u{FEFF}a", "a\0"] {
            assert!(has_hidden(bad), "{bad:?}");
        }
        assert!(!has_hidden("恭喜发财 🧧"));
    }

    #[test]
    fn scenes_round_trip() {
        for (code, scene) in SCENES {
            assert_eq!(Scene::parse(code), Some(scene));
            assert_eq!(scene.code(), code);
        }
        assert_eq!(Scene::parse("PRODUCT_9"), None);
    }
}
