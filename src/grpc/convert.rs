//! Enums and times between the contract and the domain, both ways, every value by name.

use prost_types::Timestamp as PbTimestamp;

use super::pb;
use crate::domain::amount::AmountType;
use crate::domain::approval::{Rule, Stage};
use crate::domain::campaign::{CampaignKind, CampaignState};
use crate::domain::cap::Scope;
use crate::domain::event::Aggregate;
use crate::domain::grant::{Permission, PrincipalKind};
use crate::domain::packet::{Capability, GatewayType, Kind};
use crate::domain::review::Verdict;
use crate::domain::role::Role;
use crate::domain::signing::{MapHash, Required};
use crate::domain::source::Source;
use crate::domain::voucher::{
    CallKind, CallState, Kind as VoucherKind, OrderKind, OrderShown, Shown, StepUp,
    Verdict as RemoteVerdict,
};
use crate::domain::webhook::{DeliveryState, EndpointState, Style};
use crate::domain::{State, Timestamp};
use crate::store::list::Order;
use crate::store::voucher::ValidityFilter;

/// A time on the wire.
#[must_use]
pub fn time(at: Timestamp) -> Option<PbTimestamp> {
    let (seconds, nanos) = at.to_parts();
    Some(PbTimestamp { seconds, nanos })
}

/// A time on the wire that may be absent.
#[must_use]
pub fn optional_time(at: Option<Timestamp>) -> Option<PbTimestamp> {
    at.and_then(time)
}

/// Writes an enum's two directions from one list, so that they cannot disagree.
macro_rules! enum_pair {
    ($to:ident, $from:ident, $domain:ident, $pb:ident, { $($value:ident),+ $(,)? }) => {
        /// The value on the wire.
        #[must_use]
        pub fn $to(value: $domain) -> i32 {
            match value { $($domain::$value => pb::$pb::$value.into(),)+ }
        }

        /// The value of the wire; nothing if it is unspecified or unknown.
        #[must_use]
        pub fn $from(raw: i32) -> Option<$domain> {
            match pb::$pb::try_from(raw).ok()? {
                pb::$pb::Unspecified => None,
                $(pb::$pb::$value => Some($domain::$value),)+
            }
        }
    };
}

enum_pair!(state, parse_state, State, IssuanceState, {
    Queued, Sending, Unknown, Review, Sent, Received, Refunding, Refunded, Failed, Cancelled,
});
enum_pair!(source, parse_source, Source, IssuanceSource, { Scan, Manual, Lottery, ConsumptionGift, Game, Open });
enum_pair!(campaign_state, parse_campaign_state, CampaignState, CampaignState, { Draft, Active, Paused, Ended });
enum_pair!(campaign_kind, parse_campaign_kind, CampaignKind, CampaignKind, { Named, Direct });
enum_pair!(amount_type, parse_amount_type, AmountType, AmountType, { Fixed, Random, CallerSet, Split });
enum_pair!(kind, parse_kind, Kind, RedPacketKind, { Normal, Fission, MiniProgram });
enum_pair!(gateway, parse_gateway, GatewayType, GatewayType, {
    WeixinTenpay, WeixinTenpayJs, WeixinTenpayNative, WeixinTenpayApp, WeixinTenpayWap,
});
enum_pair!(capability, parse_capability, Capability, ProviderCapability, { Fission, MiniProgram });
enum_pair!(cap_scope, parse_cap_scope, Scope, CapScope, { Day, Branch, Recipient, RecipientDay });
enum_pair!(order, parse_order, Order, IssuanceOrder, { NewestFirst, OldestFirst, LargestFirst, SmallestFirst });
enum_pair!(principal_kind, parse_principal_kind, PrincipalKind, PrincipalKind, { App, Operator });
enum_pair!(role, parse_role, Role, Role, { Viewer, Operator, Reviewer, Approver, Administrator });
enum_pair!(verdict, parse_verdict, Verdict, ReviewVerdict, { NotPaid, Paid, Refunded, Sent });
enum_pair!(approval_rule, parse_approval_rule, Rule, ApprovalRule, {
    SendAbove, FundAbove, LoosenBound, CloseReview, BreakerTripped,
});
enum_pair!(approval_state, parse_approval_state, Stage, ApprovalState, { Pending, Approved, Rejected, Used, Withdrawn });
enum_pair!(signing_required, parse_signing_required, Required, SigningRequired, { Nothing, Vouchers, Everything });
enum_pair!(map_hash, parse_map_hash, MapHash, MapHash, { Sha1, Sha256, Md5 });
enum_pair!(permission, parse_permission, Permission, Permission, {
    CampaignRead, CampaignWrite, CampaignFund, IssuanceRead, IssuanceSend, AudienceRead, AudienceWrite,
    ShopAdmin, AccountAdmin, AppAdmin, PiiRead, ExchangeRead, StopAdmin, Review, Approve, PlatformRead,
    VoucherRead, VoucherGive, VoucherSpend, VoucherAdmin, VoucherFund, EventRead, WebhookAdmin,
    IssuanceAsk,
});
enum_pair!(event_subject, parse_event_subject, Aggregate, EventSubject, { Issuance, Campaign, Product, Voucher, Endpoint });
enum_pair!(webhook_style, parse_webhook_style, Style, WebhookStyle, { Standard, OpenPlatform });
enum_pair!(endpoint_state, parse_endpoint_state, EndpointState, WebhookEndpointState, { Active, Paused, Disabled });
enum_pair!(delivery_state, parse_delivery_state, DeliveryState, WebhookDeliveryState, { Pending, Delivered, Dead });
enum_pair!(voucher_kind, parse_voucher_kind, VoucherKind, VoucherKind, { Account, Code });
enum_pair!(product_state, parse_product_state, CampaignState, VoucherProductState, { Draft, Active, Paused, Ended });
enum_pair!(voucher_state, parse_voucher_state, Shown, VoucherState, {
    NotStarted, Issued, Reserved, Spent, Frozen, Voided, Expired, Pending,
});
enum_pair!(step_up, parse_step_up, StepUp, StepUp, { None, AccountCode, PaymentCode });
enum_pair!(validity, parse_validity, ValidityFilter, VoucherValidityFilter, { Valid, NotValid, All });
enum_pair!(order_kind, parse_order_kind, OrderKind, VoucherOrderKind, { Give, Spend });
enum_pair!(order_state, parse_order_state, OrderShown, VoucherOrderState, {
    Given, Reserved, Spent, Released, Undone, Pending, Review, Failed,
});
enum_pair!(remote_kind, parse_remote_kind, CallKind, RemoteCallKind, { Give, Spend, Undo });
enum_pair!(remote_state, parse_remote_state, CallState, RemoteCallState, {
    Queued, Sending, Unknown, Review, Done, Failed,
});
enum_pair!(remote_verdict, parse_remote_verdict, RemoteVerdict, RemoteVerdict, { Done, NotDone });
