//! Finding names by a part of them: by the pieces that were kept, then whole.

use sea_orm::sea_query::Query;
use sea_orm::{
    ActiveEnum as _, ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter,
    QuerySelect, Statement,
};

use super::Store;
use super::audience::{mobile_index, mobile_tail_index};
use super::entity::search_gram::{Column, Entity, Kind};
use super::entity::{campaign, recipient, recipient_group};
use super::tx::{Fault, Tx, to_error};
use crate::domain::id::{CampaignId, GroupId, RecipientId, ShopId};
use crate::domain::search::{Keyword, MATCHES_MAX, grams};
use crate::domain::text::Mobile;
use crate::domain::{Error, Reason, Result};

/// What is found by a name, and the name itself.
pub(super) struct Named<'a> {
    pub(super) shop: ShopId,
    pub(super) kind: Kind,
    pub(super) id: i64,
    pub(super) names: Vec<&'a str>,
}

impl Tx {
    /// Keeps the pieces of names of things that have none yet.
    pub(super) async fn name_all(&self, named: &[Named<'_>]) -> Result<(), Fault> {
        let rows: Vec<(i64, String, String, i64)> = named
            .iter()
            .flat_map(|thing| {
                let (shop, kind) = (thing.shop.0, thing.kind.to_value());
                let row = move |gram| (shop, kind.clone(), gram, thing.id);
                grams(&thing.names).into_iter().map(row)
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        // A dozen rows for each name: as one value they are ten times as fast as one by one.
        let rows = serde_json::to_string(&rows)
            .map_err(|e| Error::internal("pieces of names are no JSON", e))?;
        let backend = self.get_database_backend();
        let text = if backend == DbBackend::Postgres {
            "INSERT INTO search_gram (shop_id, kind, gram, ref_id) \
             SELECT (value->>0)::BIGINT, value->>1, value->>2, (value->>3)::BIGINT \
             FROM json_array_elements($1::JSON)"
        } else {
            "INSERT INTO search_gram (shop_id, kind, gram, ref_id) \
             SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each($1)"
        };
        self.execute_raw(Statement::from_sql_and_values(backend, text, [rows.into()]))
            .await?;
        Ok(())
    }

    /// Replaces the pieces of a name that has changed.
    pub(super) async fn rename(&self, thing: Named<'_>) -> Result<(), Fault> {
        self.unname(thing.shop, thing.kind, thing.id).await?;
        self.name_all(&[thing]).await
    }

    /// Takes the pieces of a name away.
    pub(super) async fn unname(&self, shop: ShopId, kind: Kind, id: i64) -> Result<(), Fault> {
        Entity::delete_many()
            .filter(Column::ShopId.eq(shop))
            .filter(Column::Kind.eq(kind))
            .filter(Column::RefId.eq(id))
            .exec(self)
            .await?;
        Ok(())
    }
}

impl Store {
    /// Recipients by nickname.
    ///
    /// # Errors
    /// KEYWORD_TOO_BROAD at `path`.
    pub(super) async fn people_named(
        &self,
        shop: ShopId,
        keyword: &Keyword,
        path: &str,
    ) -> Result<Vec<RecipientId>> {
        let ids = self
            .with_grams(shop, Kind::Recipient, keyword, path)
            .await?;
        let mut found = Vec::new();
        for chunk in ids.chunks(1_000) {
            let rows: Vec<(RecipientId, String)> = recipient::Entity::find()
                .select_only()
                .columns([recipient::Column::Id, recipient::Column::Nickname])
                .filter(recipient::Column::Id.is_in(chunk.iter().copied()))
                .into_tuple()
                .all(self.reader())
                .await
                .map_err(to_error)?;
            let fits = rows.into_iter().filter(|(_, name)| keyword.fits(name));
            found.extend(fits.map(|(id, _)| id));
        }
        Ok(found)
    }

    /// Recipients by nickname, or by their whole mobile number or its last four digits.
    ///
    /// # Errors
    /// KEYWORD_TOO_BROAD at `path`.
    pub(super) async fn people_known(
        &self,
        shop: ShopId,
        keyword: &Keyword,
        path: &str,
    ) -> Result<Vec<RecipientId>> {
        let mut found = self.people_named(shop, keyword, path).await?;
        let digits = keyword.as_str();
        let mut numbers = Condition::any();
        if let Some(mobile) = Mobile::parse(digits) {
            let index = mobile_index(self.keys(), shop, &mobile);
            numbers = numbers.add(recipient::Column::MobileIndex.eq(index));
        }
        if digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()) {
            let index = mobile_tail_index(self.keys(), shop, digits);
            numbers = numbers.add(recipient::Column::MobileTailIndex.eq(index));
        }
        if !numbers.is_empty() {
            let rows: Vec<RecipientId> = recipient::Entity::find()
                .select_only()
                .column(recipient::Column::Id)
                .filter(recipient::Column::ShopId.eq(shop))
                .filter(numbers)
                .limit(matches_limit())
                .into_tuple()
                .all(self.reader())
                .await
                .map_err(to_error)?;
            found.extend(rows);
            found.sort_unstable();
            found.dedup();
        }
        narrow(found, path)
    }

    /// Campaigns by code or act_name.
    ///
    /// # Errors
    /// KEYWORD_TOO_BROAD at `path`.
    pub(super) async fn campaigns_named(
        &self,
        shop: ShopId,
        keyword: &Keyword,
        path: &str,
    ) -> Result<Vec<CampaignId>> {
        let ids = self.with_grams(shop, Kind::Campaign, keyword, path).await?;
        let rows: Vec<(CampaignId, String, String)> = campaign::Entity::find()
            .select_only()
            .columns([
                campaign::Column::Id,
                campaign::Column::Code,
                campaign::Column::ActName,
            ])
            .filter(campaign::Column::Id.is_in(ids))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let fits = rows
            .into_iter()
            .filter(|(_, code, name)| keyword.fits(code) || keyword.fits(name));
        Ok(fits.map(|(id, _, _)| id).collect())
    }

    /// Groups by name.
    ///
    /// # Errors
    /// KEYWORD_TOO_BROAD at `path`.
    pub(super) async fn groups_named(
        &self,
        shop: ShopId,
        keyword: &Keyword,
        path: &str,
    ) -> Result<Vec<GroupId>> {
        let ids = self.with_grams(shop, Kind::Group, keyword, path).await?;
        let rows: Vec<(GroupId, String)> = recipient_group::Entity::find()
            .select_only()
            .columns([recipient_group::Column::Id, recipient_group::Column::Name])
            .filter(recipient_group::Column::ShopId.eq(shop))
            .filter(recipient_group::Column::Id.is_in(ids))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let fits = rows.into_iter().filter(|(_, name)| keyword.fits(name));
        Ok(fits.map(|(id, _)| id).collect())
    }

    /// What has all pieces of a keyword.
    async fn with_grams(
        &self,
        shop: ShopId,
        kind: Kind,
        keyword: &Keyword,
        path: &str,
    ) -> Result<Vec<i64>> {
        let of = |gram: &String| {
            Condition::all()
                .add(Column::ShopId.eq(shop))
                .add(Column::Kind.eq(kind))
                .add(Column::Gram.eq(gram.clone()))
        };
        let grams = keyword.grams();
        let mut grams = grams.iter();
        let Some(first) = grams.next() else {
            return Ok(Vec::new());
        };
        let mut query = Entity::find()
            .select_only()
            .column(Column::RefId)
            .filter(of(first));
        for gram in grams {
            let others = Query::select()
                .column(Column::RefId)
                .from(Entity)
                .cond_where(of(gram))
                .to_owned();
            query = query.filter(Column::RefId.in_subquery(others));
        }
        let ids = query
            .limit(matches_limit())
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        narrow(ids, path)
    }
}

fn matches_limit() -> u64 {
    u64::try_from(MATCHES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}

fn narrow<T>(found: Vec<T>, path: &str) -> Result<Vec<T>> {
    if found.len() <= MATCHES_MAX {
        return Ok(found);
    }
    let text = format!("fits more than {MATCHES_MAX}; say more of the name");
    Err(Error::field(path, Reason::KeywordTooBroad, text))
}
