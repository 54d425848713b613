//! What WeChat Pay's error codes prove, as data.
//!
//! A line is a claim about money, so it names its source; a code without a source has no line, and
//! what has no line proves nothing. `err_code_des` is for people and never looked at.
//! Sources are the ids of pages under pay.weixin.qq.com/doc/v2: 4011974053 `sendredpack`,
//! 4011983137 the same for partners, 4011983160 `gethbinfo`; "table" is the error table of
//! `sendredpack` as SDKs keep copies of it; "community" is developers.weixin.qq.com/community.

use Verdict::{Processing, Rejected, Unsure};

use crate::domain::outcome::RejectionKind::{
    self, Balance, Configuration, DailyLimit, Failed, NumberConflict, Refused, Throttled,
};

/// What a code proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The provider said no.
    Rejected(RejectionKind),
    /// The provider does not know.
    Unsure,
    /// The provider works on it.
    Processing,
    /// The provider knows no such number now; an answer to queries alone.
    NotFound,
}

/// The code, what it proves, and who says so.
const CODES: &[(&str, Verdict, &str)] = &[
    (
        "SYSTEMERROR",
        Unsure,
        "4011974053: the same number again, or ask",
    ),
    ("PROCESSING", Processing, "4011974053: ask after 20 minutes"),
    (
        "NOT_FOUND",
        Verdict::NotFound,
        "4011983160: may be processing still, or never stored",
    ),
    // About the order.
    ("PARAM_ERROR", Rejected(Refused), "4011974053"),
    (
        "OPENID_ERROR",
        Rejected(Refused),
        "table: the openid is not of this appid",
    ),
    (
        "NO_AUTH",
        Rejected(Refused),
        "table: risk control stopped it",
    ),
    (
        "MONEY_LIMIT",
        Rejected(Refused),
        "table: the amount is out of bounds",
    ),
    (
        "V2_ACCOUNT_SIMPLE_BAN",
        Rejected(Refused),
        "community: the recipient is not real-named",
    ),
    (
        "SEND_FAILED",
        Rejected(Failed),
        "table; newer wording asks for a query first",
    ),
    (
        "FATAL_ERROR",
        Rejected(NumberConflict),
        "table: other parameters than the original order",
    ),
    // About this exchange.
    (
        "FREQ_LIMIT",
        Rejected(Throttled),
        "table; community 00082029dd0e6828fdcd42e5156800",
    ),
    (
        "SENDNUM_LIMIT",
        Rejected(DailyLimit),
        "table: the recipient's count of the day",
    ),
    (
        "RCVDAMOUNT_LIMIT",
        Rejected(DailyLimit),
        "table: the recipient's amount of the day",
    ),
    (
        "SENDAMOUNT_LIMIT",
        Rejected(DailyLimit),
        "table: the merchant's amount of the day",
    ),
    ("NOTENOUGH", Rejected(Balance), "4011974053"),
    ("SIGN_ERROR", Rejected(Configuration), "table"),
    (
        "CA_ERROR",
        Rejected(Configuration),
        "table; wechatpay-php #40",
    ),
    ("XML_ERROR", Rejected(Configuration), "table"),
    (
        "ILLEGAL_APPID",
        Rejected(Configuration),
        "table: an app's appid",
    ),
    (
        "API_METHOD_CLOSED",
        Rejected(Configuration),
        "table: sending by API is switched off",
    ),
    ("MSGAPPID_ERROR", Rejected(Configuration), "4011983137"),
    ("ACCEPTMODE_ERROR", Rejected(Configuration), "4011983137"),
    (
        "PAYER_ACCOUNT_ABNORMAL",
        Rejected(Configuration),
        "community: the account is frozen",
    ),
    (
        "NO_COMPETENCE",
        Rejected(Configuration),
        "table of WeCom's red packets",
    ),
];

/// What a code proves, if it is listed.
pub(super) fn verdict(code: &str) -> Option<Verdict> {
    CODES
        .iter()
        .find(|(known, _, _)| *known == code)
        .map(|(_, verdict, _)| *verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_one_code_and_a_source() {
        for (index, (code, _, source)) in CODES.iter().enumerate() {
            assert!(!source.is_empty(), "{code}");
            let shaped = code
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b == b'_' || b == b'2');
            assert!(shaped, "{code}");
            assert!(
                CODES
                    .iter()
                    .skip(index + 1)
                    .all(|(other, _, _)| other != code),
                "{code}"
            );
        }
    }

    /// A code that moves to a kind that fails the order may pay twice: this list is a second
    /// pair of eyes, to be changed together with the source that says so.
    #[test]
    fn few_codes_speak_of_the_order() {
        let of_order = CODES.iter().filter(|(_, verdict, _)| {
            matches!(verdict, Rejected(Refused | Failed | NumberConflict))
        });
        let names: Vec<_> = of_order.map(|(code, _, _)| *code).collect();
        assert_eq!(
            names,
            [
                "PARAM_ERROR",
                "OPENID_ERROR",
                "NO_AUTH",
                "MONEY_LIMIT",
                "V2_ACCOUNT_SIMPLE_BAN",
                "SEND_FAILED",
                "FATAL_ERROR"
            ]
        );
    }

    #[test]
    fn what_is_not_listed_proves_nothing() {
        for code in [
            "",
            "0",
            "SUCCESS",
            "systemerror",
            "SYSTEMERROR ",
            "BIZ_SUSPENDED_X9",
        ] {
            assert_eq!(verdict(code), None, "{code}");
        }
    }
}
