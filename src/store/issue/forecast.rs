//! What a trial is told of the time that its packets will take.

use std::collections::HashMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect};

use super::super::entity::{issuance, provider_account};
use super::super::tx::Fault;
use super::{Command, Prepared, Unit};
use crate::domain::cap::Used;
use crate::domain::forecast::{Forecast, Outlook, Wish};
use crate::domain::schedule::Job;
use crate::domain::text::Appid;
use crate::domain::{Error, Fen, Result, quota};

impl Unit<'_> {
    /// When the last packet of a command goes out, if nothing else comes in between.
    pub(super) async fn forecast(
        &self,
        command: &Command,
        payer: &provider_account::Model,
        prepared: &Prepared,
    ) -> Result<Forecast, Fault> {
        let now = self.tx.now();
        let clock = self.store.clock();
        let mut waiting = self.queued(payer).await?;
        let mut pending: HashMap<Vec<u8>, Used> = HashMap::new();
        let mut ciphers: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for (cipher, index, amount) in wanted(prepared) {
            let sum = pending.entry(index.clone()).or_default();
            *sum = plus(*sum, Used::one(amount))?;
            ciphers.entry(index).or_insert(cipher);
        }
        let day = now.beijing_day();
        let quota = payer.quota();
        let indexes: HashMap<Vec<u8>, Vec<u8>> = match quota.counts_openids() {
            true => self.quota_indexes(command, appid(prepared), &ciphers)?,
            false => HashMap::new(),
        };
        let used = self
            .tx
            .quota_used(payer.id, &(day..=day), indexes.values().collect())
            .await?;
        let mut people = Vec::with_capacity(pending.len());
        for (index, mut wish) in pending {
            if let Some(before) = waiting.remove(&(command.shop.0, index.clone())) {
                wish = plus(wish, before)?;
            }
            let of_today = indexes
                .get(&index)
                .and_then(|i| used.get(&(day, i.clone())));
            people.push(Wish {
                used: of_today.copied().unwrap_or_default(),
                pending: wish,
            });
        }
        let ahead = waiting.into_values().try_fold(Used::default(), plus)?;
        let account_used = used.get(&(day, Vec::new())).copied().unwrap_or_default();
        let outlook = Outlook {
            now,
            guard: quota::guard(clock.scale()),
            interval: clock.stretched(quota::interval(payer.sends_per_second)),
            quota,
            account_used,
            ahead,
            people,
        };
        Ok(outlook.forecast())
    }

    /// What is queued of an account, by shop and openid.
    async fn queued(
        &self,
        payer: &provider_account::Model,
    ) -> Result<HashMap<(i64, Vec<u8>), Used>, Fault> {
        use issuance::Column;
        let rows: Vec<(i64, Vec<u8>, i64, i64)> = issuance::Entity::find()
            .select_only()
            .column(Column::ShopId)
            .column(Column::OpenidIndex)
            .column_as(Expr::col(Column::Id).count(), "packets")
            .column_as(Expr::cust("CAST(SUM(amount_fen) AS BIGINT)"), "fen")
            .filter(Column::AccountId.eq(payer.id))
            .filter(Column::Job.eq(Job::Send))
            .filter(Column::DueTime.is_not_null())
            .filter(Column::OpenidIndex.is_not_null())
            .group_by(Column::ShopId)
            .group_by(Column::OpenidIndex)
            .into_tuple()
            .all(self.tx)
            .await?;
        let used = |count, fen| Used {
            count,
            sum: Fen(fen),
        };
        let rows = rows.into_iter();
        Ok(rows
            .map(|(shop, index, count, fen)| ((shop, index), used(count, fen)))
            .collect())
    }

    /// Openids as the quota counts them, by their index in the shop.
    fn quota_indexes(
        &self,
        command: &Command,
        appid: Option<Appid>,
        ciphers: &HashMap<Vec<u8>, Vec<u8>>,
    ) -> Result<HashMap<Vec<u8>, Vec<u8>>> {
        let Some(appid) = appid else {
            return Ok(HashMap::new());
        };
        let named = ciphers.iter().map(|(index, cipher)| {
            let counted =
                super::super::quota::openid_index(self.store, command.shop, &appid, cipher)?;
            Ok((index.clone(), counted))
        });
        named.collect()
    }
}

fn plus(one: Used, other: Used) -> Result<Used> {
    one.plus(other)
        .ok_or_else(|| Error::internal("a sum does not fit", "forecast"))
}

/// Whom a command's packets are for (ciphertext and index of his openid), and how much each holds.
fn wanted(prepared: &Prepared) -> Vec<(Vec<u8>, Vec<u8>, Fen)> {
    match prepared {
        Prepared::Many(many) => {
            let held = many.held();
            held.filter_map(|(person, amount)| {
                let (cipher, index) = person.openid.clone()?;
                Some((cipher, index, amount))
            })
            .collect()
        }
        Prepared::One { packet, .. } => {
            let openid = packet
                .openid_cipher
                .clone()
                .zip(packet.openid_index.clone());
            let openid = openid.map(|(cipher, index)| (cipher, index, packet.amount_fen));
            openid.into_iter().collect()
        }
        Prepared::Known(_) => Vec::new(),
    }
}

fn appid(prepared: &Prepared) -> Option<Appid> {
    match prepared {
        Prepared::Many(many) => Some(many.ground.appid.clone()),
        Prepared::One { packet, .. } => Some(packet.appid.clone()),
        Prepared::Known(_) => None,
    }
}
