//! Reading callbacks. Nothing of the body is parsed before it is known who wrote it, and when.
//!
//! The pages list two fields and the retries, not whether a retry is signed anew. It need not
//! matter: a callback only makes us ask, and we ask by ourselves as well.

use std::time::Duration;

use super::OpenPlatformCodec;
use super::json::Members;
use crate::domain::Timestamp;
use crate::domain::open_platform::{BizCode, OrderCode, state};
use crate::domain::outcome::ProviderState;
use crate::signing::open_platform::{Head, SignType};

/// How far a callback's timestamp may be from now, before and after.
pub const WINDOW: Duration = Duration::from_secs(300);
/// Many times what a callback has.
const MAX_BODY: usize = 64 * 1024;

/// The signed headers of a callback; whatever is absent is none. The listener must refuse one
/// that stands twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallbackHead<'a> {
    /// For whom (`businessId`).
    pub business_id: Option<&'a str>,
    /// `nonce`.
    pub nonce: Option<&'a str>,
    /// Milliseconds since 1970 (`timestamp`).
    pub timestamp: Option<&'a str>,
    /// `sign`.
    pub sign: Option<&'a str>,
    /// `signType`; no page lists it here.
    pub sign_type: Option<&'a str>,
}

/// What the platform reports: a reason to ask about an order, and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The platform's number.
    pub order_code: OrderCode,
    /// Ours, or a stranger's: any order of the merchant is reported.
    pub biz_code: BizCode,
    /// The state, if it is there and listed. Never proof: the pages do not name the field.
    pub state: Option<ProviderState>,
    /// When it was signed, for telling the older of two.
    pub signed_at: Timestamp,
}

/// Why a callback is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The account has no key for callbacks.
    #[error("no key for callbacks is configured")]
    NoKey,
    /// A header is missing or odd, or the body is too large or no object: it could stand for
    /// something else than it says.
    #[error("a header or the body is not of the protocol")]
    Unsound,
    /// It names a way to sign that is unknown, or not the account's.
    #[error("signType is not the account's")]
    SignType,
    /// It is for another business, or signed by somebody else.
    #[error("the signature is wrong")]
    Signature,
    /// It was signed too long ago, or will be.
    #[error("the timestamp is too far from now")]
    Stale,
    /// The platform signed something that names no order.
    #[error("the body names no order")]
    Unparsable,
}

impl Distrust {
    /// A short stable word for metrics and logs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoKey => "NO_KEY",
            Self::Unsound => "UNSOUND",
            Self::SignType => "BAD_SIGN_TYPE",
            Self::Signature => "BAD_SIGNATURE",
            Self::Stale => "TIMESTAMP_SKEW",
            Self::Unparsable => "UNPARSABLE",
        }
    }
}

pub(super) fn read(
    codec: &OpenPlatformCodec,
    head: &CallbackHead<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<Callback, Distrust> {
    let signed_at = signed_at(codec, head, body)?;
    let apart = now.since(signed_at).max(signed_at.since(now));
    if apart > WINDOW {
        return Err(Distrust::Stale);
    }
    let members = Members::read(body).ok_or(Distrust::Unparsable)?;
    let word = |name: &str| members.word(name).ok().flatten();
    let order_code = word("orderCode").as_deref().and_then(OrderCode::parse);
    let biz_code = word("bizCode").as_deref().and_then(BizCode::parse);
    Ok(Callback {
        order_code: order_code.ok_or(Distrust::Unparsable)?,
        biz_code: biz_code.ok_or(Distrust::Unparsable)?,
        state: members.whole("status").ok().flatten().and_then(state),
        signed_at,
    })
}

/// When the platform signed this, if it did.
fn signed_at(
    codec: &OpenPlatformCodec,
    head: &CallbackHead<'_>,
    body: &[u8],
) -> Result<Timestamp, Distrust> {
    let key = codec.callback_key.as_ref().ok_or(Distrust::NoKey)?;
    let signed = Head {
        business_id: head.business_id.unwrap_or(""),
        nonce: head.nonce.unwrap_or(""),
        sign_type: head.sign_type.unwrap_or(""),
        timestamp: head.timestamp.unwrap_or(""),
    };
    // Before the rest, for an operator is helped by knowing that it is only this.
    let named = signed.sign_type;
    if !named.is_empty() && SignType::parse(named) != Some(key.sign_type()) {
        return Err(Distrust::SignType);
    }
    let sound = signed.is_sound() && body.first() == Some(&b'{') && body.len() <= MAX_BODY;
    let sign = head.sign.filter(|_| sound).ok_or(Distrust::Unsound)?;
    let ours = signed.business_id == codec.business_id.as_str();
    if !ours || !key.verifies(&signed, body, sign) {
        return Err(Distrust::Signature);
    }
    // Thirteen digits, so this fits.
    let milliseconds: i64 = signed.timestamp.parse().map_err(|_| Distrust::Unsound)?;
    Ok(Timestamp(milliseconds.saturating_mul(1_000)))
}
