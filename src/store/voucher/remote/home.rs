//! Where vouchers live.

use std::collections::BTreeSet;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait as _};

use super::super::super::Store;
use super::super::super::entity::{account_shop, provider_account, voucher, voucher_product};
use super::super::super::tx::{Fault, Tx, to_error};
use super::super::spend::Taken;
use super::super::unit::Ground;
use crate::domain::id::{AccountId, ShopId, VoucherId};
use crate::domain::protocol::Protocol;
use crate::domain::{Error, Reason, Result, account, missing};

impl Store {
    /// Whether some of these vouchers live on a platform.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn live_elsewhere(&self, shop: ShopId, vouchers: &[VoucherId]) -> Result<bool> {
        let products = voucher::Entity::find()
            .select_only()
            .column(voucher::Column::ProductId)
            .filter(voucher::Column::ShopId.eq(shop))
            .filter(voucher::Column::Id.is_in(vouchers.iter().copied()))
            .into_query();
        let found = voucher_product::Entity::find()
            .filter(voucher_product::Column::Id.in_subquery(products))
            .filter(voucher_product::Column::AccountId.is_not_null())
            .one(self.reader())
            .await
            .map_err(to_error)?;
        Ok(found.is_some())
    }
}

impl Tx {
    /// An account of this shop that gives vouchers.
    pub(in crate::store::voucher) async fn known_platform(
        &self,
        shop: ShopId,
        id: AccountId,
    ) -> Result<(), Fault> {
        let granted = account_shop::Entity::find_by_id((id, shop))
            .one(self)
            .await?;
        let row = provider_account::Entity::find_by_id(id).one(self).await?;
        let (Some(_), Some(row)) = (granted, row) else {
            return Err(missing::account(id).into());
        };
        Ok(account::gives_vouchers(id, Protocol::parse(&row.protocol))?)
    }
}

impl Ground<'_> {
    /// The platform where all vouchers of an order live; none: here.
    pub(in crate::store::voucher) fn home_of(
        &self,
        taken: &[Taken],
        holds: bool,
    ) -> Result<Option<AccountId>> {
        let mut homes = BTreeSet::new();
        for one in taken {
            homes.insert(self.desk.shelf(one.product)?.row.account_id);
        }
        let only = match (homes.pop_first(), homes.is_empty()) {
            (Some(home), true) => home,
            (None, _) => None,
            (Some(_), false) => {
                let text = "these vouchers live in different places; spend those of each platform, and those that live here, by an order of their own";
                return Err(refused(text));
            }
        };
        if only.is_some() && holds {
            let text = "a platform knows no holds; SpendVouchers spends vouchers that live there";
            return Err(refused(text));
        }
        Ok(only)
    }
}

fn refused(text: &str) -> Error {
    Error::field("uses", Reason::FieldNotAllowed, text.to_owned())
}
