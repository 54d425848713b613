//! Whether the text that was signed could mean something else.
//!
//! Values joined without names and separators can be cut anew: `sum` 1000 and an order number
//! 00 are also `sum` 100 and 000. A forger who sees one signed order may send another with the
//! same digest. So every field has a strict format, and a text is ambiguous if any other
//! cutting of it gives values that all keep theirs, in the order in which they would have
//! been sorted. The search is bounded; what it cannot finish counts as ambiguous.

use super::{in_java_order, is_blank};

/// Pieces that are tried at most.
const STEPS_MAX: u32 = 200_000;
/// Bytes of an order number, and of a remark, at most.
const ORDER_ID_MAX: usize = 128;
const REMARK_MAX: usize = 255;

/// What a field must look like.
#[derive(Clone, Copy)]
pub enum Format<'a> {
    /// Just this value: it is known, whatever the text says.
    Exactly(&'a str),
    /// 11 digits, the first 1 and the second 3 to 9.
    Mobile,
    /// 1 to 999999999 without leading zeros.
    Sum,
    /// A prefix and then digits; or, without prefix, of `[A-Za-z0-9_.:-]`. At most 128.
    OrderId(&'a str),
    /// A letter and then `[A-Za-z0-9_.:-]`, at most 64.
    Product,
    /// Numbers of vouchers, each RP and 9 to 27 digits, with `|` between, at most 50.
    Vouchers,
    /// Begins beyond ASCII; no controls, nothing beyond U+FFFF; at most 255 bytes.
    Remark,
    /// 4 to 8 digits.
    AccountCode,
    /// 32 hexadecimal digits.
    Md5,
    /// From so many to so many bytes that keep a rule.
    Rule(usize, usize, &'a dyn Fn(&str) -> bool),
}

impl std::fmt::Debug for Format<'_> {
    /// Without the value, which may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (min, max) = self.lengths();
        write!(f, "Format({min}..={max})")
    }
}

impl Format<'_> {
    /// Bytes, at least and at most.
    fn lengths(&self) -> (usize, usize) {
        match self {
            Self::Exactly(value) => (value.len(), value.len()),
            Self::Mobile => (11, 11),
            Self::Sum => (1, 9),
            Self::OrderId(prefix) => (prefix.len() + 1, ORDER_ID_MAX),
            Self::Product => (1, 64),
            Self::Vouchers => (11, 50 * 30),
            Self::Remark => (2, REMARK_MAX),
            Self::AccountCode => (4, 8),
            Self::Md5 => (32, 32),
            Self::Rule(min, max, _) => (*min, *max),
        }
    }

    /// Whether a value keeps the format.
    pub fn takes(&self, value: &str) -> bool {
        let (min, max) = self.lengths();
        if value.len() < min || value.len() > max {
            return false;
        }
        match self {
            Self::Exactly(only) => value == *only,
            Self::Mobile => is_mobile(value),
            Self::Sum => is_digits(value) && !value.starts_with('0'),
            Self::OrderId("") => value.bytes().all(is_name_byte),
            Self::OrderId(prefix) => value.strip_prefix(prefix).is_some_and(is_digits),
            Self::Product => {
                value.starts_with(|c: char| c.is_ascii_alphabetic())
                    && value.bytes().all(is_name_byte)
            }
            Self::Vouchers => value.split('|').count() <= 50 && value.split('|').all(is_voucher),
            Self::Remark => is_remark(value),
            Self::AccountCode => is_digits(value),
            Self::Md5 => value.bytes().all(|b| b.is_ascii_hexdigit()),
            Self::Rule(_, _, rule) => rule(value),
        }
    }
}

fn is_digits(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte)
}

fn is_mobile(value: &str) -> bool {
    let second = value.strip_prefix('1').and_then(|rest| rest.bytes().next());
    is_digits(value) && second.is_some_and(|digit| (b'3'..=b'9').contains(&digit))
}

fn is_voucher(value: &str) -> bool {
    let digits = value.strip_prefix("RP");
    digits.is_some_and(|digits| is_digits(digits) && (9..=27).contains(&digits.len()))
}

/// What begins beyond ASCII sorts after all other fields, and ends them.
fn is_remark(value: &str) -> bool {
    let plain = |c: char| !c.is_control() && u32::from(c) <= 0xffff;
    value.starts_with(|c: char| !c.is_ascii()) && value.chars().all(plain)
}

/// A value, and what it must look like.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    value: &'a str,
    format: Format<'a>,
    optional: bool,
}

impl<'a> Field<'a> {
    /// A field that must be there.
    pub fn due(value: &'a str, format: Format<'a>) -> Self {
        Self {
            value,
            format,
            optional: false,
        }
    }

    /// A field that may be absent: blank.
    pub fn free(value: &'a str, format: Format<'a>) -> Self {
        Self {
            optional: true,
            ..Self::due(value, format)
        }
    }

    /// The value.
    pub fn value(&self) -> &'a str {
        self.value
    }

    /// The value, if it is not blank.
    fn present(&self) -> Option<&'a str> {
        Some(self.value).filter(|value| !is_blank(value))
    }

    fn is_sound(&self) -> bool {
        match self.present() {
            Some(value) => self.format.takes(value),
            None => self.optional,
        }
    }
}

/// Whether other values of these formats have the same text, or these do not keep them.
pub fn is_ambiguous(fields: &[Field<'_>]) -> bool {
    if !fields.iter().all(Field::is_sound) {
        return true;
    }
    let values: Vec<&str> = fields.iter().map(Field::value).collect();
    let text = super::canonical(&values);
    let mut search = Search {
        fields,
        given: vec![None; fields.len()],
        steps_left: STEPS_MAX,
    };
    search.finds_another(&text, "")
}

struct Search<'f, 't> {
    fields: &'f [Field<'f>],
    /// What each field would be.
    given: Vec<Option<&'t str>>,
    steps_left: u32,
}

impl<'t> Search<'_, 't> {
    /// Whether the rest of the text can be cut, after the piece `last`, into something else.
    /// True also when the steps have run out.
    fn finds_another(&mut self, rest: &'t str, last: &str) -> bool {
        if !self.can_hold(rest.len()) {
            return false;
        }
        if rest.is_empty() {
            let mut pairs = self.fields.iter().zip(&self.given);
            return pairs.any(|(field, given)| field.present() != *given);
        }
        for (index, field) in self.fields.iter().enumerate() {
            if self.given.get(index).is_none_or(Option::is_some) {
                continue;
            }
            let (min, max) = field.format.lengths();
            for length in min..=max.min(rest.len()) {
                let Some(left) = self.steps_left.checked_sub(1) else {
                    return true;
                };
                self.steps_left = left;
                let Some((piece, after)) = rest.split_at_checked(length) else {
                    continue;
                };
                if in_java_order(last, piece).is_gt() || !field.format.takes(piece) {
                    continue;
                }
                self.give(index, Some(piece));
                if self.finds_another(after, piece) {
                    return true;
                }
                self.give(index, None);
            }
        }
        false
    }

    fn give(&mut self, index: usize, piece: Option<&'t str>) {
        if let Some(given) = self.given.get_mut(index) {
            *given = piece;
        }
    }

    /// Whether so many bytes fit into the fields that have nothing yet.
    fn can_hold(&self, bytes: usize) -> bool {
        let open = self.fields.iter().zip(&self.given);
        let open = open.filter(|(_, given)| given.is_none());
        let (mut least, mut most) = (0_usize, 0_usize);
        for (field, _) in open {
            let (min, max) = field.format.lengths();
            least += if field.optional { 0 } else { min };
            most += max;
        }
        (least..=most).contains(&bytes)
    }
}
