//! Whose openid or mobile it is: somebody else's is refused; that of one who was
//! first seen by a scan or a gift, and has no uid yet, becomes the caller's.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::super::entity::search_gram::Kind;
use super::super::entity::{group_member, issuance, recipient, recipient_openid};
use super::super::tx::{Fault, Tx};
use super::Person;
use super::look::Look;
use crate::domain::id::{RecipientId, ShopId};

impl Tx {
    /// The row that a person has already: his own, or that of a nameless one whose
    /// openid or mobile he brings. Further nameless ones become part of it.
    pub(super) async fn adopt(
        &self,
        shop: ShopId,
        index: usize,
        person: &Person,
        look: &Look,
    ) -> Result<Option<recipient::Model>, Fault> {
        let mut own = look.known.get(&person.uid).cloned();
        let Some(nameless) = look.nameless.get(&index) else {
            return Ok(own);
        };
        for id in nameless {
            match &own {
                None => own = recipient::Entity::find_by_id(*id).one(self).await?,
                Some(own) => self.merge(shop, *id, own.id).await?,
            }
        }
        Ok(own)
    }

    /// One person, seen twice: what the nameless row has goes to the named one.
    async fn merge(&self, shop: ShopId, from: RecipientId, to: RecipientId) -> Result<(), Fault> {
        // Scans keep their numbers: those are of the openid, not of the row.
        issuance::Entity::update_many()
            .col_expr(issuance::Column::RecipientId, Expr::value(Some(to)))
            .filter(issuance::Column::RecipientId.eq(from))
            .exec(self)
            .await?;
        self.merge_vouchers(from, to).await?;
        self.merge_uses(from, to).await?;
        let groups = group_member::Entity::find()
            .filter(group_member::Column::RecipientId.eq(from))
            .all(self)
            .await?;
        group_member::Entity::delete_many()
            .filter(group_member::Column::RecipientId.eq(from))
            .exec(self)
            .await?;
        for group in groups {
            self.join(shop, group.group_id, &[to]).await?;
        }
        recipient_openid::Entity::delete_many()
            .filter(recipient_openid::Column::RecipientId.eq(from))
            .exec(self)
            .await?;
        self.unname(shop, Kind::Recipient, from.0).await?;
        recipient::Entity::delete_by_id(from).exec(self).await?;
        Ok(())
    }
}
