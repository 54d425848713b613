//! Merchant order numbers.
//!
//! A number is the merchant id (where the protocol wants it there) and a keyed hash of what the
//! caller named,
//! so it can be computed again from the request alone. A database that loses its
//! last commits and sees the client's retry mints the same number, and the
//! provider, which pays a number once, pays once. A random or serial number would
//! pay twice there. For the same reason the key is never rotated in place.

use ring::hmac;

use super::id::{AppId, ShopId};
use super::protocol::Protocol;
use super::text::{MchBillno, MchId};

/// What a number and an amount are derived from: things that the caller named,
/// never a position in a list or the id of a row.
#[derive(Clone, Copy, Debug)]
pub struct Seed<'a> {
    /// The tenant.
    pub shop: ShopId,
    /// Who asked; request ids are unique per app.
    pub app: AppId,
    /// The request id of the call that made the issuance.
    pub request: &'a str,
    /// The recipient as the caller named him: a uid, or appid and openid.
    pub item: &'a str,
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The number of one attempt: 28 characters of `[0-9A-Za-z]`, the protocol's prefix and then at
/// least 18 from the hash (107 bits).
#[must_use]
pub fn mch_billno(
    key: &hmac::Key,
    protocol: Protocol,
    mch_id: &MchId,
    seed: &Seed<'_>,
    attempt_no: i32,
) -> MchBillno {
    let hash = tag(key, "mch_billno", seed, Some(attempt_no));
    let mut wide = hash
        .as_ref()
        .iter()
        .take(16)
        .fold(0_u128, |acc, byte| (acc << 8) | u128::from(*byte));
    let mut text = protocol.number_prefix(mch_id).to_owned();
    while text.len() < MchBillno::LEN {
        let digit = usize::try_from(wide % 62).unwrap_or(0);
        text.push(BASE62.get(digit).copied().map_or('0', char::from));
        wide /= 62;
    }
    MchBillno::derived(text)
}

/// What orders items where their places must not matter.
#[must_use]
pub fn order_key(key: &hmac::Key, seed: &Seed<'_>) -> [u8; 16] {
    let hash = tag(key, "order", seed, None);
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(hash.as_ref())
        .for_each(|(to, from)| *to = *from);
    bytes
}

/// A place among `places`, for looking where something is free.
#[must_use]
pub fn place_of(key: &hmac::Key, seed: &Seed<'_>, places: i64) -> i64 {
    let wide = order_key(key, seed)
        .iter()
        .fold(0_u128, |acc, byte| (acc << 8) | u128::from(*byte));
    let places = u128::try_from(places.max(1)).unwrap_or(1);
    i64::try_from(wide % places).unwrap_or(0)
}

/// A keyed hash over length-prefixed parts, so that no two requests share one.
pub(super) fn tag(
    key: &hmac::Key,
    purpose: &str,
    seed: &Seed<'_>,
    attempt_no: Option<i32>,
) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    let mut part = |bytes: &[u8]| {
        context.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(bytes);
    };
    part(purpose.as_bytes());
    part(&seed.shop.0.to_be_bytes());
    part(&seed.app.0.to_be_bytes());
    part(seed.request.as_bytes());
    part(seed.item.as_bytes());
    if let Some(number) = attempt_no {
        part(&number.to_be_bytes());
    }
    context.sign()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const PROTOCOL: Protocol = Protocol::WechatPayV2;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[7; 32])
    }

    fn mch() -> MchId {
        MchId::parse("1230000109").unwrap()
    }

    #[test]
    fn is_pinned_for_ever() {
        // If this changes, a retry after a failover pays twice. It must not change.
        let seed = Seed {
            shop: ShopId(1),
            app: AppId(2),
            request: "order-1",
            item: "u:42",
        };
        assert_eq!(
            mch_billno(&key(), PROTOCOL, &mch(), &seed, 1).as_str(),
            "12300001099U2vGfNNq12eOWIujr"
        );
    }

    #[test]
    fn a_long_merchant_leaves_the_number_to_the_hash() {
        let merchant = MchId::of_app("eb1bb305ca3940f8adf1d4e964555699").unwrap();
        let number = |request| {
            let seed = Seed {
                shop: ShopId(1),
                app: AppId(2),
                request,
                item: "u:42",
            };
            let number = mch_billno(&key(), Protocol::OpenPlatform, &merchant, &seed, 1);
            number.as_str().to_owned()
        };
        assert_ne!(number("order-1"), number("order-2"));
        // Pinned for ever, too.
        assert_eq!(number("order-1"), "9U2vGfNNq12eOWIujrmVK3000000");
    }

    #[test]
    fn every_part_matters() {
        let base = Seed {
            shop: ShopId(1),
            app: AppId(2),
            request: "r1",
            item: "u:1",
        };
        let others = [
            base,
            Seed {
                shop: ShopId(2),
                ..base
            },
            Seed {
                app: AppId(1),
                ..base
            },
            Seed {
                request: "r1u",
                item: ":1",
                ..base
            },
            Seed {
                item: "u:2",
                ..base
            },
        ];
        let mut seen: HashSet<String> = others
            .iter()
            .map(|seed| {
                mch_billno(&key(), PROTOCOL, &mch(), seed, 1)
                    .as_str()
                    .to_owned()
            })
            .collect();
        seen.insert(
            mch_billno(&key(), PROTOCOL, &mch(), &base, 2)
                .as_str()
                .to_owned(),
        );
        assert_eq!(seen.len(), 6);
    }

    proptest! {
        #[test]
        fn has_the_providers_form(shop in 1_i64.., request in "[A-Za-z0-9_.:-]{1,64}", item in ".{1,40}", attempt in 1_i32..9) {
            let seed = Seed { shop: ShopId(shop), app: AppId(1), request: &request, item: &item };
            let number = mch_billno(&key(), PROTOCOL, &mch(), &seed, attempt);
            prop_assert_eq!(number.as_str().len(), 28);
            prop_assert!(number.as_str().starts_with("1230000109"));
            prop_assert!(number.as_str().bytes().all(|b| b.is_ascii_alphanumeric()));
        }
    }
}
