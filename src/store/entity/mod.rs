//! The rows. Their fields are domain types, so a row that was read has been
//! checked; there is no third copy of a resource between a row and the contract.

pub mod account_pace;
pub mod account_shop;
pub mod api_key;
pub mod app;
pub mod app_signing;
pub mod approval;
pub mod attempt;
pub mod campaign;
pub mod campaign_revision;
pub mod campaign_share;
pub mod cap_usage;
pub mod code_guess;
pub mod event_head;
pub mod event_sink;
pub mod group_member;
pub mod id_block;
pub mod issuance;
pub mod issuance_batch;
pub mod issuance_receipt;
pub mod journal;
pub mod money_breaker;
pub mod provider_account;
pub mod provider_callback;
pub mod provider_exchange;
pub mod quota_usage;
pub mod recipient;
pub mod recipient_group;
pub mod recipient_openid;
pub mod remote_call;
pub mod remote_exchange;
pub mod request;
pub mod search_gram;
pub mod setting;
pub mod shop;
pub mod shop_branch;
pub mod shop_gateway;
pub mod signing_nonce;
pub mod step_up_code;
pub mod stop;
pub mod voucher;
pub mod voucher_order;
pub mod voucher_product;
pub mod voucher_product_grant;
pub mod voucher_redemption;
pub mod webhook_delivery;
pub mod webhook_endpoint;

/// Text keys cannot be counted up by the database; sea-orm wants to hear it from
/// the type of every key.
macro_rules! never_counted {
    ($($key:ty),+) => {$(
        impl sea_orm::TryFromU64 for $key {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($key)))
            }
        }
    )+};
}

never_counted!(crate::domain::text::Appid, crate::domain::text::RequestId);
