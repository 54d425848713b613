//! What a caller may do with a product: all, if he is its owner or a person; else
//! what was granted. One that he may not see reads like one that is not there.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::super::entity::{voucher_product, voucher_product_grant};
use super::Access;
use crate::domain::id::ProductId;
use crate::domain::voucher::missing_product;
use crate::domain::{Error, Reason, Result};

/// What a caller wants with a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    See,
    Give,
    Spend,
    Own,
}

impl May {
    fn name(self) -> &'static str {
        match self {
            Self::See => "see",
            Self::Give => "give",
            Self::Spend => "spend",
            Self::Own => "own",
        }
    }
}

/// The grants of one app, by product.
#[derive(Debug, Default)]
pub(super) struct Grants(BTreeMap<ProductId, voucher_product_grant::Model>);

impl Access {
    /// The grants of the caller on some products.
    pub(super) async fn grants(
        self,
        db: &impl ConnectionTrait,
        products: impl IntoIterator<Item = ProductId>,
    ) -> Result<Grants, DbErr> {
        if self.is_person {
            return Ok(Grants::default());
        }
        use voucher_product_grant::Column;
        let rows = voucher_product_grant::Entity::find()
            .filter(Column::AppId.eq(self.app))
            .filter(Column::ProductId.is_in(products))
            .all(db)
            .await?;
        Ok(Grants(
            rows.into_iter().map(|row| (row.product_id, row)).collect(),
        ))
    }

    /// Those of some products that the caller may see.
    pub(in crate::store) async fn sees(
        self,
        db: &impl ConnectionTrait,
        rows: Vec<voucher_product::Model>,
    ) -> Result<Vec<voucher_product::Model>, DbErr> {
        let grants = self.grants(db, rows.iter().map(|row| row.id)).await?;
        let seen = rows
            .into_iter()
            .filter(|row| self.may(row, &grants, May::See));
        Ok(seen.collect())
    }

    /// Whether he may do this.
    pub(super) fn may(self, row: &voucher_product::Model, grants: &Grants, may: May) -> bool {
        if self.is_person || row.owner_app_id == Some(self.app) {
            return true;
        }
        let grant = grants.0.get(&row.id);
        grant.is_some_and(|grant| match may {
            May::See => grant.may_see || grant.may_give || grant.may_spend,
            May::Give => grant.may_give,
            May::Spend => grant.may_spend,
            May::Own => false,
        })
    }

    /// That he may do this with a product, by the name that he gave it.
    ///
    /// # Errors
    /// PRODUCT_NOT_FOUND, also where he may not see it; PRODUCT_NOT_ALLOWED.
    pub(super) fn must(
        self,
        row: &voucher_product::Model,
        grants: &Grants,
        may: May,
        named: (&'static str, &dyn std::fmt::Display),
    ) -> Result<()> {
        if !self.may(row, grants, May::See) {
            return Err(missing_product(named.0, named.1));
        }
        if self.may(row, grants, may) {
            return Ok(());
        }
        Err(not_allowed(row.id, may))
    }
}

/// The refusal of what was not granted.
pub(super) fn not_allowed(id: ProductId, may: May) -> Error {
    let text = match may {
        May::Own => "only the product's owner, or a person, may change it".to_owned(),
        May::See | May::Give | May::Spend => format!(
            "this app may not {} this product; its owner can let it (SetVoucherProductGrants)",
            may.name()
        ),
    };
    Error::new(Reason::ProductNotAllowed, text)
        .fact("product_id", id)
        .fact("may", may.name())
}
