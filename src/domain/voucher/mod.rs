//! Vouchers (seed 002): their states, where their money is in each, and what may be
//! done to one.
//!
//! Whether a voucher is valid is a question of time, asked at the instant of the
//! spend. That its row says so too, after its end, is only housekeeping: nothing
//! depends on when that happens.

use sea_orm::{DeriveActiveEnum, EnumIter};

use super::id::VoucherId;
use super::state::Position;
use super::time::Timestamp;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $value:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
        #[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name { $($(#[$of])* $value),+ }

        impl $name {
            /// The name, as in rows and the contract.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$value => $text),+ }
            }
        }
    };
}

mod code;
mod judge;
mod product;
mod remote;
mod step_up;

pub use code::{CODE_LEN, VoucherCode};
pub use judge::{Cause, Slip, judge, unusable};
pub use product::{
    DAYS_MAX, FACE_MAX, PER_ORDER_MAX, Standing, UNDO_MAX, Validity, missing_product,
};
pub use remote::{
    CallKind, CallState, OrderShown, Remote, TRIES_MAX, Verdict, look_after, try_after,
};
pub use step_up::{ACCOUNT_CODE_TTL, LOCK, Locked, StepUp, Tries, WRONG_MAX};

named! {
    /// How a voucher is held.
    Kind {
        /// In a person's account.
        Account = "ACCOUNT",
        /// By whoever has its code.
        Code = "CODE",
    }
}

named! {
    /// Where a voucher stands, as its row says.
    VoucherState {
        /// Given; it can be spent while it is valid.
        Issued = "ISSUED",
        /// Held for an order.
        Reserved = "RESERVED",
        /// All of it is spent.
        Spent = "SPENT",
        /// Somebody has frozen it.
        Frozen = "FROZEN",
        /// Void for ever.
        Voided = "VOIDED",
        /// Its validity has ended, and what was left went back.
        Expired = "EXPIRED",
        /// The platform of its product is asked to give it.
        Pending = "PENDING",
    }
}

named! {
    /// What an order does.
    OrderKind {
        /// Gives vouchers.
        Give = "GIVE",
        /// Holds or spends vouchers.
        Spend = "SPEND",
    }
}

named! {
    /// Where an order stands.
    OrderState {
        /// A gift was made.
        Given = "GIVEN",
        /// Vouchers are held.
        Reserved = "RESERVED",
        /// They are spent.
        Spent = "SPENT",
        /// They were let go of.
        Released = "RELEASED",
        /// The spend was taken back.
        Undone = "UNDONE",
    }
}

impl VoucherState {
    /// Where what is on a voucher lies. What was spent of it lies in REDEEMED whatever
    /// its state.
    #[must_use]
    pub fn position(self) -> Position {
        match self {
            Self::Pending | Self::Issued | Self::Reserved | Self::Frozen => Position::Liability,
            Self::Spent => Position::Redeemed,
            Self::Voided | Self::Expired => Position::Available,
        }
    }
}

/// Where a voucher stands at an instant, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Given; its validity has not begun.
    NotStarted,
    /// Can be spent.
    Issued,
    /// Held for an order.
    Reserved,
    /// All of it is spent.
    Spent,
    /// Frozen.
    Frozen,
    /// Void.
    Voided,
    /// Its validity has ended.
    Expired,
    /// Being given on the platform of its product.
    Pending,
}

impl Shown {
    /// What a row means at an instant.
    #[must_use]
    pub fn at(
        state: VoucherState,
        start: Option<Timestamp>,
        end: Timestamp,
        now: Timestamp,
    ) -> Self {
        match state {
            VoucherState::Spent => Self::Spent,
            VoucherState::Voided => Self::Voided,
            VoucherState::Expired => Self::Expired,
            VoucherState::Reserved => Self::Reserved,
            VoucherState::Pending => Self::Pending,
            VoucherState::Issued | VoucherState::Frozen if now >= end => Self::Expired,
            VoucherState::Frozen => Self::Frozen,
            VoucherState::Issued if start.is_some_and(|start| now < start) => Self::NotStarted,
            VoucherState::Issued => Self::Issued,
        }
    }

    /// The same in seed 002's words.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Pending | Self::NotStarted | Self::Issued | Self::Reserved => "正常",
            Self::Spent => "已消费",
            Self::Frozen | Self::Voided | Self::Expired => "无效",
        }
    }

    /// The name, as in the contract without prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "NOT_STARTED",
            Self::Issued => VoucherState::Issued.name(),
            Self::Reserved => VoucherState::Reserved.name(),
            Self::Spent => VoucherState::Spent.name(),
            Self::Frozen => VoucherState::Frozen.name(),
            Self::Voided => VoucherState::Voided.name(),
            Self::Expired => VoucherState::Expired.name(),
            Self::Pending => VoucherState::Pending.name(),
        }
    }
}

/// The number that people read: the day of the gift in Beijing, and the id in six digits or
/// more (seed 002: `redPaperId`).
#[must_use]
pub fn voucher_no(id: VoucherId, given: Timestamp) -> String {
    format!("RP{}{:06}", given.beijing_date(), id.0)
}

/// The id that a number stands for; whether the day is the voucher's is for its row to say.
#[must_use]
pub fn parse_voucher_no(text: &str) -> Option<VoucherId> {
    let digits = text.strip_prefix("RP")?;
    let (day, id) = digits.split_at_checked(8)?;
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let whole = id.len() == 6 || (id.len() > 6 && !id.starts_with('0'));
    let plain = all_digits(day) && all_digits(id) && whole;
    plain
        .then(|| id.parse().ok())
        .flatten()
        .and_then(VoucherId::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        let given = Timestamp::parse_beijing("2015-04-04 00:00:00").unwrap();
        let number = voucher_no(VoucherId(123_456), given);
        assert_eq!(number, "RP20150404123456");
        assert_eq!(voucher_no(VoucherId(7), given), "RP20150404000007");
        for id in [1, 7, 999_999, 1_000_000, i64::MAX] {
            assert_eq!(
                parse_voucher_no(&voucher_no(VoucherId(id), given)),
                Some(VoucherId(id))
            );
        }
        assert_eq!(parse_voucher_no(&number), Some(VoucherId(123_456)));
        for bad in [
            "",
            "RP",
            "RP20150404",
            "RP20150404000000",
            "RP20150404012345678",
            "RP20150404123",
            "RP2015040412a",
            "rp201504041",
            "RP20150404-1",
            "RP2015040499999999999999999999",
        ] {
            assert_eq!(parse_voucher_no(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_shown_depends_on_the_instant() {
        use VoucherState as S;
        let (start, end) = (Some(Timestamp(100)), Timestamp(200));
        let at = |state, now| Shown::at(state, start, end, Timestamp(now));
        assert_eq!(at(S::Issued, 99), Shown::NotStarted);
        assert_eq!(at(S::Issued, 100), Shown::Issued);
        assert_eq!(at(S::Issued, 199), Shown::Issued);
        assert_eq!(at(S::Issued, 200), Shown::Expired);
        assert_eq!(at(S::Frozen, 199), Shown::Frozen);
        assert_eq!(at(S::Frozen, 200), Shown::Expired);
        assert_eq!(
            at(S::Reserved, 300),
            Shown::Reserved,
            "its order may still spend it"
        );
        assert_eq!(at(S::Spent, 300).status(), "已消费");
        assert_eq!(at(S::Voided, 150).status(), "无效");
    }
}
