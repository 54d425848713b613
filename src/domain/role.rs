//! What an operator's roles allow. A person holds roles, a calling system grants.

use serde::{Deserialize, Serialize};

use super::grant::Permission;

/// What a person is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Looks on.
    Viewer,
    /// Runs campaigns: makes and funds them, sends, stops.
    Operator,
    /// Works on what is in doubt, with its evidence.
    Reviewer,
    /// Agrees as the second person.
    Approver,
    /// Sets up shops, accounts and apps.
    Administrator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Operator,
        Self::Reviewer,
        Self::Approver,
        Self::Administrator,
    ];

    /// Its name, as in rows and at the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "VIEWER",
            Self::Operator => "OPERATOR",
            Self::Reviewer => "REVIEWER",
            Self::Approver => "APPROVER",
            Self::Administrator => "ADMINISTRATOR",
        }
    }

    /// The role of a name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let same = |role: &Self| role.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(same)
    }

    /// What it may do.
    #[must_use]
    pub fn permissions(self) -> &'static [Permission] {
        use Permission as P;
        match self {
            Self::Viewer => &[
                P::CampaignRead,
                P::IssuanceRead,
                P::AudienceRead,
                P::VoucherRead,
                P::EventRead,
                P::PlatformRead,
            ],
            Self::Operator => &[
                P::CampaignRead,
                P::CampaignWrite,
                P::CampaignFund,
                P::IssuanceRead,
                P::IssuanceSend,
                P::IssuanceAsk,
                P::AudienceRead,
                P::AudienceWrite,
                P::VoucherRead,
                P::VoucherGive,
                P::VoucherSpend,
                P::VoucherAdmin,
                P::VoucherFund,
                P::EventRead,
                P::WebhookAdmin,
                P::StopAdmin,
                P::PlatformRead,
            ],
            Self::Reviewer => &[
                P::CampaignRead,
                P::IssuanceRead,
                P::IssuanceAsk,
                P::AudienceRead,
                P::VoucherRead,
                P::ExchangeRead,
                P::EventRead,
                P::Review,
                P::PlatformRead,
            ],
            Self::Approver => &[
                P::CampaignRead,
                P::IssuanceRead,
                P::IssuanceAsk,
                P::AudienceRead,
                P::VoucherRead,
                P::ExchangeRead,
                P::EventRead,
                P::Review,
                P::Approve,
                P::StopAdmin,
                P::PlatformRead,
            ],
            Self::Administrator => &[
                P::ShopAdmin,
                P::AccountAdmin,
                P::AppAdmin,
                P::StopAdmin,
                P::PlatformRead,
            ],
        }
    }

    /// What several roles may do together, each permission once.
    #[must_use]
    pub fn union(roles: &[Self]) -> Vec<Permission> {
        let held = |permission: &Permission| {
            roles
                .iter()
                .any(|role| role.permissions().contains(permission))
        };
        let every = Permission::ALL.iter().map(|(_, permission)| *permission);
        every.filter(held).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.name()), Some(role));
            assert_eq!(Role::parse(&role.name().to_lowercase()), Some(role));
        }
        assert_eq!(Role::parse("ROOT"), None);
    }

    #[test]
    fn who_sends_does_not_approve() {
        for role in Role::ALL {
            let permissions = role.permissions();
            assert!(
                !(permissions.contains(&Permission::Approve)
                    && permissions.contains(&Permission::IssuanceSend)),
                "{role:?}"
            );
        }
    }

    #[test]
    fn who_decides_a_case_can_ask_the_provider_about_it() {
        for role in [Role::Operator, Role::Reviewer, Role::Approver] {
            let permissions = role.permissions();
            assert!(permissions.contains(&Permission::IssuanceAsk), "{role:?}");
        }
        for role in [Role::Viewer, Role::Administrator] {
            let permissions = role.permissions();
            assert!(!permissions.contains(&Permission::IssuanceAsk), "{role:?}");
        }
    }

    #[test]
    fn roles_add_up() {
        let both = Role::union(&[Role::Viewer, Role::Approver]);
        assert!(both.contains(&Permission::Approve));
        let once = both.iter().filter(|p| **p == Permission::CampaignRead);
        assert_eq!(once.count(), 1);
        assert!(Role::union(&[]).is_empty());
    }
}
