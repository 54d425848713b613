//! Ids: positive 64-bit integers, one type for each kind of thing, so that a
//! campaign is never looked up by the id of a shop.

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType, Serialize, Deserialize)]
        pub struct $name(pub i64);

        impl $name {
            /// The id, if it is positive.
            #[must_use]
            pub fn parse(raw: i64) -> Option<Self> {
                (raw > 0).then_some(Self(raw))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )+};
}

ids! {
    /// A tenant.
    ShopId,
    /// A calling system.
    AppId,
    /// A merchant account at a provider.
    AccountId,
    /// A campaign.
    CampaignId,
    /// Somebody who can get a packet.
    RecipientId,
    /// A group of recipients (seed 000: wx_group_id).
    GroupId,
    /// A branch of a shop (seed 000: shop_sub_id); 0 is the head office.
    BranchId,
    /// One send to many.
    BatchId,
    /// One packet for one recipient.
    IssuanceId,
    /// One merchant order number for one issuance.
    AttemptId,
    /// One request and its answer.
    ExchangeId,
    /// A call that waits for a second person.
    ApprovalId,
    /// A voucher product.
    ProductId,
    /// A voucher.
    VoucherId,
    /// A gift or a spend of vouchers.
    OrderId,
    /// Where an app is told what happened.
    EndpointId,
    /// What a provider reported by itself.
    CallbackId,
}
