//! The signatures of seed 002 (MAP, 营销账户平台).
//!
//! The values that are not blank are sorted by their UTF-16 code units, as Java sorts strings,
//! and joined without anything between. So the text does not say which value is which: what
//! else it could mean is for [`ambiguity`] to find out.

pub mod ambiguity;

use std::cmp::Ordering;

use super::md5_hex;
use super::rsa::{Hash, PublicKey};
use ambiguity::{Field, Format};

/// What is signed over some values.
pub fn canonical(values: &[&str]) -> String {
    let mut kept: Vec<&str> = values
        .iter()
        .copied()
        .filter(|value| !is_blank(value))
        .collect();
    kept.sort_by(|left, right| in_java_order(left, right));
    kept.concat()
}

/// The MD5 of what is signed, as 32 lower-case hexadecimal digits.
pub fn md5(values: &[&str]) -> String {
    md5_hex::lower(&digest(values))
}

/// Whether `hex`, in either case, is the MD5 of what is signed; in constant time.
pub fn is_md5(values: &[&str], hex: &str) -> bool {
    md5_hex::is(hex, &digest(values))
}

fn digest(values: &[&str]) -> [u8; 16] {
    md5_hex::digest(&[canonical(values).as_bytes()])
}

/// Whether `signature` is the private key's over some values.
pub fn is_rsa(key: &PublicKey, hash: Hash, values: &[&str], signature: &[u8]) -> bool {
    key.verify(hash, canonical(values).as_bytes(), signature)
}

fn is_blank(value: &str) -> bool {
    value.trim().is_empty()
}

/// Differs from the order of bytes only beyond U+FFFF, where a pair of surrogates sorts before
/// U+E000.
fn in_java_order(left: &str, right: &str) -> Ordering {
    left.encode_utf16().cmp(right.encode_utf16())
}

/// The parts of a gift, each as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Give<'a> {
    /// Who gets it: 11 digits (mobileNum).
    pub mobile: &'a str,
    /// How much, in fen (sum).
    pub sum_fen: i64,
    /// Why (remark).
    pub remark: &'a str,
    /// The caller's number (appOrderId).
    pub app_order_id: &'a str,
    /// The code of the product (redPaperProductId).
    pub product_code: &'a str,
}

/// The parts of a spend, each as it was sent; what is absent is empty.
#[derive(Clone, Copy, Debug)]
pub struct Spend<'a> {
    /// Whose they are: 11 digits (mobileNum).
    pub mobile: &'a str,
    /// The numbers of the vouchers, in the order of the call (redPaperId, joined by `|`).
    pub voucher_nos: &'a [String],
    /// Why (remark).
    pub remark: &'a str,
    /// The caller's number (appOrderId).
    pub app_order_id: &'a str,
    /// The order that is paid for (associatedOrderId).
    pub associated_order_id: &'a str,
    /// What the owner confirms with (accountCode).
    pub account_code: &'a str,
    /// The digest of the owner's password (paymentCodeMD5).
    pub payment_code_md5: &'a str,
}

/// What an order does.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// A gift.
    Give(Give<'a>),
    /// A spend.
    Spend(Spend<'a>),
}

/// What an app's orders are signed over and look like.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Whether the associated order is signed too.
    pub covers_associated: bool,
    /// Where it is not empty, an app's order number is this and then digits.
    pub order_id_prefix: &'a str,
}

impl Operation<'_> {
    /// The values of orderMD5 with what they must look like. `texts` holds what had to be
    /// written out: see [`Operation::texts`].
    pub fn fields<'a>(&'a self, rules: &Rules<'a>, texts: &'a Texts) -> Vec<Field<'a>> {
        let order = Format::OrderId(rules.order_id_prefix);
        match self {
            Self::Give(give) => vec![
                Field::due(give.mobile, Format::Mobile),
                Field::due(&texts.0, Format::Sum),
                Field::due(give.remark, Format::Remark),
                Field::due(give.app_order_id, order),
                Field::due(give.product_code, Format::Product),
            ],
            Self::Spend(spend) => {
                let mut fields = vec![
                    Field::due(spend.mobile, Format::Mobile),
                    Field::due(&texts.0, Format::Vouchers),
                    Field::due(spend.remark, Format::Remark),
                    Field::due(spend.app_order_id, order),
                    Field::free(spend.account_code, Format::AccountCode),
                    Field::free(spend.payment_code_md5, Format::Md5),
                ];
                if rules.covers_associated {
                    let any = Format::OrderId("");
                    fields.push(Field::free(spend.associated_order_id, any));
                }
                fields
            }
        }
    }

    /// The amount or the list of vouchers, as text.
    pub fn texts(&self) -> Texts {
        Texts(match self {
            Self::Give(give) => give.sum_fen.to_string(),
            Self::Spend(spend) => spend.voucher_nos.join("|"),
        })
    }

    /// Everything that the call says, signed or not, without a doubt about what is what: for
    /// telling the very same call from another.
    pub fn whole(&self) -> Vec<&str> {
        match self {
            Self::Give(give) => vec![
                "GIVE",
                give.mobile,
                give.remark,
                give.app_order_id,
                give.product_code,
            ],
            Self::Spend(spend) => vec![
                "SPEND",
                spend.mobile,
                spend.remark,
                spend.app_order_id,
                spend.associated_order_id,
                spend.account_code,
                spend.payment_code_md5,
            ],
        }
    }
}

/// Texts that an operation had to write out.
#[derive(Clone, Debug)]
pub struct Texts(String);

impl Texts {
    /// The amount or the list of vouchers.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
