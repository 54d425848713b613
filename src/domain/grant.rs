//! Who acts, and what he may do where.
//!
//! A principal is resolved once, at the edge, whatever kind of credential was
//! shown; inside, only its grants count. A shop that no grant covers reads exactly
//! like one that does not exist, so ids of others cannot be probed.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use super::error::{Error, Reason, Result};
use super::id::{AppId, ShopId};
use super::missing;

/// What a caller may do; the contract's `Permission`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Permission {
    /// Read campaigns.
    CampaignRead,
    /// Change campaigns.
    CampaignWrite,
    /// Move money of campaigns.
    CampaignFund,
    /// Read issuances.
    IssuanceRead,
    /// Send packets.
    IssuanceSend,
    /// Read recipients.
    AudienceRead,
    /// Change recipients.
    AudienceWrite,
    /// Administer shops.
    ShopAdmin,
    /// Administer provider accounts.
    AccountAdmin,
    /// Administer apps.
    AppAdmin,
    /// See openids, mobile numbers and risk_info unmasked.
    PiiRead,
    /// Read what was said to and by providers.
    ExchangeRead,
    /// Stop everything, an account or a shop, and let it go on.
    StopAdmin,
    /// Read what is in review, and propose how to close it.
    Review,
    /// Agree, as a second person, to what another principal wants to do.
    Approve,
    /// See the overview of the installation, and the record of every write.
    PlatformRead,
    /// Read voucher products, vouchers and orders.
    VoucherRead,
    /// Give vouchers, and make the codes that their owners confirm a spend with.
    VoucherGive,
    /// Spend vouchers, reserve and release them, and undo what was spent.
    VoucherSpend,
    /// Create and change voucher products and who may use them; void, freeze and extend vouchers.
    VoucherAdmin,
    /// Move money into and out of a voucher product's budget.
    VoucherFund,
    /// Ask the provider live about one packet.
    IssuanceAsk,
    /// Read and watch what happened, and see webhook endpoints and their deliveries.
    EventRead,
    /// Create and change webhook endpoints, and deliver again.
    WebhookAdmin,
}

impl Permission {
    /// Every permission with its name in the contract, without prefix.
    pub const ALL: [(&'static str, Self); 24] = [
        ("CAMPAIGN_READ", Self::CampaignRead),
        ("CAMPAIGN_WRITE", Self::CampaignWrite),
        ("CAMPAIGN_FUND", Self::CampaignFund),
        ("ISSUANCE_READ", Self::IssuanceRead),
        ("ISSUANCE_SEND", Self::IssuanceSend),
        ("AUDIENCE_READ", Self::AudienceRead),
        ("AUDIENCE_WRITE", Self::AudienceWrite),
        ("SHOP_ADMIN", Self::ShopAdmin),
        ("ACCOUNT_ADMIN", Self::AccountAdmin),
        ("APP_ADMIN", Self::AppAdmin),
        ("PII_READ", Self::PiiRead),
        ("EXCHANGE_READ", Self::ExchangeRead),
        ("STOP_ADMIN", Self::StopAdmin),
        ("REVIEW", Self::Review),
        ("APPROVE", Self::Approve),
        ("PLATFORM_READ", Self::PlatformRead),
        ("VOUCHER_READ", Self::VoucherRead),
        ("VOUCHER_GIVE", Self::VoucherGive),
        ("VOUCHER_SPEND", Self::VoucherSpend),
        ("VOUCHER_ADMIN", Self::VoucherAdmin),
        ("VOUCHER_FUND", Self::VoucherFund),
        ("ISSUANCE_ASK", Self::IssuanceAsk),
        ("EVENT_READ", Self::EventRead),
        ("WEBHOOK_ADMIN", Self::WebhookAdmin),
    ];

    /// The permission of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, permission)| *permission)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, p)| *p == self)
            .map_or("", |(name, _)| name)
    }

    /// Whether it speaks of the platform rather than of one shop.
    #[must_use]
    pub fn is_platform(self) -> bool {
        match self {
            Self::ShopAdmin
            | Self::AccountAdmin
            | Self::AppAdmin
            | Self::StopAdmin
            | Self::PlatformRead => true,
            Self::CampaignRead
            | Self::CampaignWrite
            | Self::CampaignFund
            | Self::IssuanceRead
            | Self::IssuanceSend
            | Self::AudienceRead
            | Self::AudienceWrite
            | Self::PiiRead
            | Self::ExchangeRead
            | Self::Review
            | Self::VoucherRead
            | Self::VoucherGive
            | Self::VoucherSpend
            | Self::VoucherAdmin
            | Self::VoucherFund
            | Self::IssuanceAsk
            | Self::EventRead
            | Self::WebhookAdmin
            | Self::Approve => false,
        }
    }
}

/// What kind of caller it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum PrincipalKind {
    /// A calling system.
    App,
    /// A person.
    Operator,
}

/// Permissions over shops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What.
    pub permissions: Vec<Permission>,
    /// Where.
    pub shops: Shops,
}

/// Which shops a grant covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shops {
    /// All, present and future.
    All,
    /// These.
    Only(Vec<ShopId>),
}

impl Grant {
    fn covers(&self, permission: Permission, shop: ShopId) -> bool {
        self.permissions.contains(&permission)
            && match &self.shops {
                Shops::All => true,
                Shops::Only(shops) => shops.contains(&shop) && !permission.is_platform(),
            }
    }

    fn holds(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
            && (self.shops == Shops::All || !permission.is_platform())
    }
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its id.
    pub app: AppId,
    /// A calling system or a person.
    pub kind: PrincipalKind,
    /// Its name, for logs.
    pub name: String,
    /// The shop that it means when it names none.
    pub default_shop: Option<ShopId>,
    /// What it may do.
    pub grants: Vec<Grant>,
}

impl Principal {
    /// Who acted, as the journal and the record of writes name it.
    #[must_use]
    pub fn actor(&self) -> String {
        match self.kind {
            PrincipalKind::App => format!("app:{}", self.name),
            PrincipalKind::Operator => format!("operator:{}", self.name),
        }
    }

    /// That it is a person: what takes two, takes two people.
    ///
    /// # Errors
    /// OPERATOR_REQUIRED.
    pub fn must_be_person(&self) -> Result<()> {
        match self.kind {
            PrincipalKind::Operator => Ok(()),
            PrincipalKind::App => {
                let text = "only a person may do this; call with the key of an operator (`hongbao operator create`)";
                Err(Error::new(Reason::OperatorRequired, text.to_owned()).fact("app_id", self.app))
            }
        }
    }

    /// Whether some grant holds the permission at all.
    ///
    /// # Errors
    /// PERMISSION_MISSING.
    pub fn holds(&self, permission: Permission) -> Result<()> {
        if self.grants.iter().any(|grant| grant.holds(permission)) {
            return Ok(());
        }
        let name = permission.name();
        let text = match self.kind {
            PrincipalKind::App => format!(
                "this app holds no grant with {name}; whoever administers apps can make one that does (CreateApp)"
            ),
            PrincipalKind::Operator => format!(
                "none of this person's roles has {name}; `hongbao operator create` makes people with other roles"
            ),
        };
        Err(Error::new(Reason::PermissionMissing, text).fact("permission", name))
    }

    /// Whether some grant covers a shop with a permission beside the one that its
    /// call asks for anyway.
    ///
    /// # Errors
    /// PERMISSION_MISSING.
    pub fn holds_in(&self, permission: Permission, shop: ShopId) -> Result<()> {
        self.holds(permission)?;
        if self.grants.iter().any(|g| g.covers(permission, shop)) {
            return Ok(());
        }
        let text = format!(
            "the caller does not hold {} in this shop",
            permission.name()
        );
        Err(Error::new(Reason::PermissionMissing, text).fact("permission", permission.name()))
    }

    /// Whether some grant covers all shops with a permission.
    #[must_use]
    pub fn holds_everywhere(&self, permission: Permission) -> bool {
        let wide = |grant: &Grant| grant.shops == Shops::All && grant.holds(permission);
        self.grants.iter().any(wide)
    }

    /// The shop that a request means, if the principal may do this there.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, also for a shop that exists and is another's.
    pub fn shop(&self, permission: Permission, named: Option<ShopId>) -> Result<ShopId> {
        let Some(shop) = named.or(self.default_shop) else {
            return Err(Error::field(
                "shop_id",
                Reason::FieldRequired,
                "this app has no default shop; name one".to_owned(),
            ));
        };
        if self
            .grants
            .iter()
            .any(|grant| grant.covers(permission, shop))
        {
            Ok(shop)
        } else {
            Err(missing::shop(shop))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(permissions: &[Permission], shops: Shops) -> Principal {
        Principal {
            app: AppId(1),
            kind: PrincipalKind::App,
            name: "test".to_owned(),
            default_shop: None,
            grants: vec![Grant {
                permissions: permissions.to_vec(),
                shops,
            }],
        }
    }

    #[test]
    fn a_platform_permission_needs_all_shops() {
        let narrow = principal(&[Permission::ShopAdmin], Shops::Only(vec![ShopId(1)]));
        assert!(narrow.holds(Permission::ShopAdmin).is_err());
        let wide = principal(&[Permission::ShopAdmin], Shops::All);
        assert!(wide.holds(Permission::ShopAdmin).is_ok());
    }

    #[test]
    fn a_grant_in_one_shop_says_nothing_about_another() {
        let mut two = principal(&[Permission::IssuanceSend], Shops::Only(vec![ShopId(1)]));
        two.grants.push(Grant {
            permissions: vec![Permission::IssuanceRead],
            shops: Shops::Only(vec![ShopId(2)]),
        });
        assert!(two.shop(Permission::IssuanceSend, Some(ShopId(1))).is_ok());
        assert!(two.shop(Permission::IssuanceSend, Some(ShopId(2))).is_err());
        assert!(two.shop(Permission::IssuanceRead, Some(ShopId(1))).is_err());
    }

    #[test]
    fn names_round_trip() {
        for (name, permission) in Permission::ALL {
            assert_eq!(Permission::parse(name), Some(permission));
            assert_eq!(permission.name(), name);
        }
    }
}
