//! What apps sign their calls with, and the nonces that they have used.
//!
//! Signed times are compared with the database's own time, which no scale makes faster: those
//! who sign live by real clocks.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder,
    QuerySelect, Set,
};

use super::entity::{app, app_signing, signing_nonce};
use super::request::{Call, Claimed, Written};
use super::tx::{End, Fault, Tx, to_error};
use super::{Store, database_now};
use crate::domain::grant::PrincipalKind;
use crate::domain::id::{AppId, ShopId};
use crate::domain::signing::{self, MapHash, NONCE_KEPT, Required};
use crate::domain::{Error, Reason, Result, Timestamp, missing};

/// What an app is to sign with from now on.
#[derive(Clone)]
pub struct NewSigning {
    /// Whether calls may be signed by HMAC-SHA256.
    pub accepts_hmac: bool,
    /// Whether calls may be signed by RSA over SHA-256.
    pub accepts_rsa: bool,
    /// Whether orders may be signed as seed 002 has it.
    pub accepts_map: bool,
    /// Which calls must be signed.
    pub required: Required,
    /// The shared key; none: the one that is there.
    pub app_key: Option<String>,
    /// The public key, as PEM; none: the one that is there.
    pub public_key: Option<String>,
    /// What seed 002's signatures are hashed with.
    pub map_hash: MapHash,
    /// Whether seed 002's orderMD5 covers the associated order.
    pub map_covers_associated: bool,
    /// What all order numbers of the app begin with, before digits; none: they may be anything.
    pub order_id_prefix: Option<String>,
    /// How far a signed time may be from ours, in seconds.
    pub window_seconds: i32,
}

impl std::fmt::Debug for NewSigning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewSigning(…)")
    }
}

/// What an app signs with, its shared key in the clear.
#[derive(Clone)]
pub struct Signing {
    /// The app's name, which seed 002 calls appId.
    pub app_name: String,
    /// The shop that the app means when it names none.
    pub default_shop: Option<ShopId>,
    /// The row.
    pub row: app_signing::Model,
    /// The shared key.
    pub app_key: Option<String>,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing")
            .field("app_id", &self.row.app_id)
            .finish_non_exhaustive()
    }
}

/// Nonces that one statement deletes at most, so that it is short.
const PURGED_AT_ONCE: u64 = 1_000;

impl Store {
    /// Says what an app signs with. A key that no scheme needs any more is erased.
    ///
    /// # Errors
    /// APP_NOT_FOUND; a field error where a scheme lacks its key.
    pub async fn set_signing(
        &self,
        call: Call,
        id: AppId,
        new: NewSigning,
    ) -> Result<Written<app_signing::Model>> {
        let end = call.end();
        let sealed = match &new.app_key {
            Some(key) => Some(self.keys().seal(&column(id), key.as_bytes())?),
            None => None,
        };
        self.write_or_try(end, move |tx| {
            let (call, new, sealed) = (call.clone(), new.clone(), sealed.clone());
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                let before = tx.lock_signing(id).await?;
                if !replayed {
                    let actor = call.actor.clone();
                    tx.write_signing(id, actor, new, sealed, before).await?;
                }
                let row = app_signing::Entity::find_by_id(id).one(tx).await?;
                let row = row.ok_or_else(|| Error::internal("a row is gone", "app_signing"))?;
                Ok(Written { row, replayed })
            })
        })
        .await
    }

    /// What an app signs with; nothing if it signs nothing.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE; INTERNAL: the key does not decrypt.
    pub async fn signing(&self, id: AppId) -> Result<Option<Signing>> {
        let found = app_signing::Entity::find_by_id(id)
            .one(self.reader())
            .await
            .map_err(to_error)?;
        let Some(row) = found else { return Ok(None) };
        let app = app::Entity::find_by_id(id)
            .one(self.reader())
            .await
            .map_err(to_error)?
            .ok_or_else(|| missing::app(id))?;
        let app_key = match &row.app_key {
            Some(sealed) => Some(self.keys().open_text(&column(id), sealed)?),
            None => None,
        };
        Ok(Some(Signing {
            app_name: app.name.to_string(),
            default_shop: app.default_shop_id,
            row,
            app_key,
        }))
    }

    /// The row of what an app signs with, for whoever administers it.
    ///
    /// # Errors
    /// APP_NOT_FOUND.
    pub async fn signing_row(&self, id: AppId) -> Result<Option<app_signing::Model>> {
        let found = app::Entity::find_by_id(id).one(self.reader()).await;
        found.map_err(to_error)?.ok_or_else(|| missing::app(id))?;
        app_signing::Entity::find_by_id(id)
            .one(self.reader())
            .await
            .map_err(to_error)
    }

    /// What stands for a secret where repeats of a call are told from others: without our
    /// keys it cannot be guessed from. Empty stays empty.
    #[must_use]
    pub fn fingerprint_secret(&self, secret: &str) -> String {
        if secret.is_empty() {
            return String::new();
        }
        let index = self.keys().blind_index("request.secret", secret);
        index.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The database's own time, which no scale makes faster.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn real_now(&self) -> Result<Timestamp> {
        database_now(self.reader()).await.map_err(to_error)
    }

    /// Claims nonces for a call, all of them or none. The very same call may claim them again.
    ///
    /// # Errors
    /// NONCE_REPLAYED: another call of the app has one of them.
    pub async fn claim_nonces(
        &self,
        app: AppId,
        nonces: Vec<String>,
        call_hash: [u8; 32],
        end: End,
    ) -> Result<()> {
        self.write_or_try(end, move |tx| {
            // In one order everywhere, so that two calls do not wait for each other.
            let mut nonces = nonces.clone();
            nonces.sort();
            Box::pin(async move {
                for nonce in nonces {
                    tx.claim_nonce(app, nonce, call_hash).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Deletes nonces of signatures that are too old to be taken anyway; says how many.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn purge_nonces(&self) -> Result<u64> {
        self.write(|tx| {
            Box::pin(async move {
                let kept = i64::try_from(NONCE_KEPT.as_micros()).unwrap_or(i64::MAX);
                let before = Timestamp(tx.real().0.saturating_sub(kept));
                let old = signing_nonce::Entity::find()
                    .filter(signing_nonce::Column::SeenTime.lt(before))
                    .order_by_asc(signing_nonce::Column::SeenTime)
                    .limit(PURGED_AT_ONCE)
                    .all(tx)
                    .await?;
                let mut deleted = 0;
                for row in old {
                    let key = (row.app_id, row.nonce);
                    let done = signing_nonce::Entity::delete_by_id(key).exec(tx).await?;
                    deleted += done.rows_affected;
                }
                Ok(deleted)
            })
        })
        .await
    }
}

impl Tx {
    /// What an app signs with so far; the app's row is locked, since there may be no other.
    async fn lock_signing(&self, id: AppId) -> Result<Option<app_signing::Model>, Fault> {
        let app = app::Entity::find_by_id(id)
            .lock_exclusive()
            .one(self)
            .await?
            .ok_or_else(|| missing::app(id))?;
        if app.kind == PrincipalKind::Operator {
            let text = "an operator is a person, whose tools do not sign; this is for systems";
            let error = Error::field("app_id", Reason::FieldNotAllowed, text.to_owned());
            return Err(error.into());
        }
        Ok(app_signing::Entity::find_by_id(id).one(self).await?)
    }

    async fn write_signing(
        &self,
        id: AppId,
        actor: String,
        new: NewSigning,
        sealed: Option<Vec<u8>>,
        before: Option<app_signing::Model>,
    ) -> Result<(), Fault> {
        let create_time = before.as_ref().map_or(self.now(), |row| row.create_time);
        let (kept_key, kept_pem) = before.map_or((None, None), |row| (row.app_key, row.public_key));
        let needs_key = new.accepts_hmac || new.accepts_map;
        let needs_pem = new.accepts_rsa || new.accepts_map;
        let app_key = sealed.or(kept_key).filter(|_| needs_key);
        let public_key = new.public_key.or(kept_pem).filter(|_| needs_pem);
        for (path, lacks) in [
            ("app_key", needs_key && app_key.is_none()),
            ("public_key_pem", needs_pem && public_key.is_none()),
        ] {
            if lacks {
                let text = "required: a scheme needs it, and none is there yet".to_owned();
                return Err(Error::field(path, Reason::FieldRequired, text).into());
            }
        }
        let row = app_signing::Model {
            app_id: id,
            accepts_hmac: new.accepts_hmac,
            accepts_rsa: new.accepts_rsa,
            accepts_map: new.accepts_map,
            required: new.required,
            app_key,
            public_key,
            map_hash: new.map_hash,
            map_covers_associated: new.map_covers_associated,
            order_id_prefix: new.order_id_prefix,
            window_seconds: new.window_seconds,
            actor,
            create_time,
            update_time: self.now(),
        };
        // Replaced as a whole; the app's row is locked.
        app_signing::Entity::delete_by_id(id).exec(self).await?;
        let row = row.into_active_model().reset_all();
        app_signing::Entity::insert(row)
            .exec_without_returning(self)
            .await?;
        Ok(())
    }

    /// Claims a nonce. A call that claims it at the same time waits on the unique index.
    async fn claim_nonce(&self, app: AppId, nonce: String, hash: [u8; 32]) -> Result<(), Fault> {
        let key = (app, nonce.clone());
        let row = signing_nonce::ActiveModel {
            app_id: Set(app),
            nonce: Set(nonce),
            call_hash: Set(hash.to_vec()),
            seen_time: Set(self.real()),
        };
        let columns = [signing_nonce::Column::AppId, signing_nonce::Column::Nonce];
        let keep = OnConflict::columns(columns).do_nothing().to_owned();
        let inserted = signing_nonce::Entity::insert(row)
            .on_conflict(keep)
            .exec_without_returning(self)
            .await?;
        if inserted == 1 {
            return Ok(());
        }
        match signing_nonce::Entity::find_by_id(key).one(self).await? {
            Some(kept) if kept.call_hash == hash => Ok(()),
            Some(_) => Err(signing::replayed().into()),
            None => Err(Fault::Again),
        }
    }
}

/// What the sealed key is tied to.
fn column(id: AppId) -> String {
    format!("app_signing.app_key/{id}")
}
