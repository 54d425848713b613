//! One effect for one request id.
//!
//! A write claims its request id in the transaction that has its effect. A
//! duplicate that runs at the same time waits on the unique index, then finds the
//! winner's row. A refused call leaves no row, so the same id may succeed later.
//! Rows are kept for ever: a key that expires turns a slow retry into a second
//! payment.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

use super::entity::request;
use super::tx::{Fault, Tx};
use crate::domain::id::{AppId, ShopId};
use crate::domain::text::RequestId;
use crate::domain::{Error, Reason};

/// Who calls what, under which name.
#[derive(Clone, Debug)]
pub struct Call {
    /// The app.
    pub app: AppId,
    /// Its name, for the journal.
    pub actor: String,
    /// The name of the call.
    pub request: RequestId,
    /// The field that brought it.
    pub named_by: &'static str,
    /// The method, e.g. "SendToUsers".
    pub method: &'static str,
    /// The shop; none for platform-level calls.
    pub shop: Option<ShopId>,
    /// SHA-256 of the body.
    pub fingerprint: [u8; 32],
    /// Whether it is only to be tried.
    pub validate_only: bool,
}

impl Call {
    /// How the unit of this call ends.
    #[must_use]
    pub fn end(&self) -> super::tx::End {
        if self.validate_only {
            super::tx::End::RollBack
        } else {
            super::tx::End::Commit
        }
    }
}

/// A write's result and whether it is an earlier call's.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// What was made or changed, as it is now.
    pub row: T,
    /// Whether an earlier call had done it.
    pub replayed: bool,
}

/// Whether a call is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is; its effect is to be had now.
    New,
    /// It had its effect before.
    Replay {
        /// What it made or changed.
        resource: i64,
        /// What else it answered.
        reply: Option<String>,
    },
}

impl Tx {
    /// Claims the request id of a call for a resource.
    ///
    /// # Errors
    /// REQUEST_ID_REUSED: the id stands for another method, shop or body.
    pub(super) async fn claim_request(
        &self,
        call: &Call,
        resource: i64,
        reply: Option<String>,
    ) -> Result<Claimed, Fault> {
        let row = request::ActiveModel {
            app_id: Set(call.app),
            request_id: Set(call.request.clone()),
            method: Set(call.method.to_owned()),
            shop_id: Set(call.shop),
            fingerprint: Set(call.fingerprint.to_vec()),
            resource_id: Set(resource),
            reply: Set(reply),
            actor: Set(call.actor.clone()),
            create_time: Set(self.now()),
        };
        let keep = OnConflict::columns([request::Column::AppId, request::Column::RequestId])
            .do_nothing()
            .to_owned();
        if request::Entity::insert(row)
            .on_conflict(keep)
            .exec_without_returning(self)
            .await?
            == 1
        {
            return Ok(Claimed::New);
        }
        let key = (call.app, call.request.clone());
        let Some(kept) = request::Entity::find_by_id(key).one(self).await? else {
            return Err(Error::new(
                Reason::ConcurrentUpdate,
                "the same call is being withdrawn; repeat it".to_owned(),
            )
            .into());
        };
        if kept.method == call.method
            && kept.shop_id == call.shop
            && kept.fingerprint == call.fingerprint
        {
            return Ok(Claimed::Replay {
                resource: kept.resource_id,
                reply: kept.reply,
            });
        }
        Err(Error::new(
            Reason::RequestIdReused,
            format!(
                "this {} already names a {} call with other contents; use a new one",
                call.named_by, kept.method
            ),
        )
        .fact(call.named_by, &call.request)
        .fact("method", kept.method)
        .into())
    }

    /// Lets a claimed request id stand for something that was there already.
    pub(super) async fn repoint_request(&self, call: &Call, resource: i64) -> Result<(), Fault> {
        request::Entity::update_many()
            .col_expr(request::Column::ResourceId, Expr::value(resource))
            .filter(request::Column::AppId.eq(call.app))
            .filter(request::Column::RequestId.eq(call.request.clone()))
            .exec(self)
            .await?;
        Ok(())
    }

    /// Completes what a replay of the call will answer.
    pub(super) async fn keep_reply(&self, call: &Call, reply: Option<String>) -> Result<(), Fault> {
        request::Entity::update_many()
            .col_expr(request::Column::Reply, Expr::value(reply))
            .filter(request::Column::AppId.eq(call.app))
            .filter(request::Column::RequestId.eq(call.request.clone()))
            .exec(self)
            .await?;
        Ok(())
    }

    /// Gives a claimed request id back: the call was refused within a unit that
    /// goes on for others.
    pub(super) async fn release_request(&self, call: &Call) -> Result<(), Fault> {
        request::Entity::delete_by_id((call.app, call.request.clone()))
            .exec(self)
            .await?;
        Ok(())
    }
}
