//! What open platforms report by themselves.
//!
//! A report is kept once, however often it comes, and proves nothing: the most it does is to have
//! the order asked about now. Only one thing it does at once, since that spends no money: a packet
//! that has ended unpaid here and is said to be paid there is frozen, until a person has looked.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel as _, QueryFilter,
    QuerySelect,
};
use sha2::{Digest as _, Sha256};

use super::Store;
use super::entity::provider_callback::{Column, Effect, Entity, Model};
use super::entity::{attempt, issuance, provider_account};
use super::page::{Page, page_query};
use super::tx::{Fault, Tx, to_error};
use crate::domain::id::CallbackId;
use crate::domain::machine::{self, Resolution};
use crate::domain::outcome::ProviderState;
use crate::domain::protocol::Protocol;
use crate::domain::schedule::Job;
use crate::domain::text::{Code, MchBillno};
use crate::domain::{Result, State, Timestamp};

/// A report whose signature is right.
#[derive(Clone)]
pub struct Report {
    /// The credential that it came for.
    pub credential: Code,
    /// The platform's number.
    pub order_code: String,
    /// The merchant's number: ours, or a stranger's.
    pub biz_code: String,
    /// The state that it names.
    pub said: Option<ProviderState>,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// Its body, byte for byte.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Report {
    /// Without the body: the pages do not say what is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Report({} {:?})", self.biz_code, self.said)
    }
}

/// What a report did, and whether it had come before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it did when it first came.
    pub effect: Effect,
    /// Whether that was before.
    pub repeated: bool,
}

impl Store {
    /// Keeps a report, and has its order asked about if it may be news.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE; nothing is kept then.
    pub async fn keep_report(&self, report: Report) -> Result<Kept> {
        let id = CallbackId(self.id("provider_callback").await?);
        let store = self.clone();
        self.write(move |tx| {
            let (store, report) = (store.clone(), report.clone());
            Box::pin(async move { tx.keep_report(&store, id, &report).await })
        })
        .await
    }

    /// A page of reports for a credential, newest first; of unknown orders alone, if wanted.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn reports(
        &self,
        credential: &Code,
        quarantined: bool,
        page: Page,
    ) -> Result<Vec<Model>> {
        let mut query = Entity::find().filter(Column::Credential.eq(credential.clone()));
        if quarantined {
            query = query.filter(Column::AttemptId.is_null());
        }
        page_query(query, Column::Id, page)
            .all(self.reader())
            .await
            .map_err(to_error)
    }
}

impl Tx {
    async fn keep_report(
        &self,
        store: &Store,
        id: CallbackId,
        report: &Report,
    ) -> Result<Kept, Fault> {
        let digest = Sha256::digest(&report.body).to_vec();
        if let Some(before) = self.count_report(&report.credential, &digest).await? {
            return Ok(Kept {
                effect: before.effect,
                repeated: true,
            });
        }
        let attempt = self.attempt_of(report).await?;
        let effect = match &attempt {
            None => Effect::Quarantined,
            Some(attempt) => self.heed(attempt, report.said).await?,
        };
        let column = format!("callback/{id}");
        let row = Model {
            id,
            credential: report.credential.clone(),
            digest,
            order_code: report.order_code.clone(),
            biz_code: report.biz_code.clone(),
            said: report.said.map(|state| format!("{state:?}").to_uppercase()),
            attempt_id: attempt.map(|attempt| attempt.id),
            effect,
            body_cipher: store.keys().seal(&column, &report.body)?,
            come_count: 1,
            sign_time: report.signed_at,
            create_time: self.now(),
            update_time: self.now(),
        };
        Entity::insert(row.into_active_model().reset_all())
            .exec_without_returning(self)
            .await
            .map_err(|error| match super::tx::is_duplicate(&error) {
                // Two of one report at one instant: the later one counts the earlier.
                true => Fault::Again,
                false => error.into(),
            })?;
        Ok(Kept {
            effect,
            repeated: false,
        })
    }

    /// The report that came before, counted once more.
    async fn count_report(&self, credential: &Code, digest: &[u8]) -> Result<Option<Model>, Fault> {
        let found = Entity::find()
            .filter(Column::Credential.eq(credential.clone()))
            .filter(Column::Digest.eq(digest.to_vec()))
            .one(self)
            .await?;
        if let Some(row) = &found {
            Entity::update_many()
                .col_expr(Column::ComeCount, Expr::col(Column::ComeCount).add(1))
                .col_expr(Column::UpdateTime, Expr::value(self.now()))
                .filter(Column::Id.eq(row.id))
                .exec(self)
                .await?;
        }
        Ok(found)
    }

    /// The attempt of the number, if an account of this credential made it.
    async fn attempt_of(&self, report: &Report) -> Result<Option<attempt::Model>, Fault> {
        let Some(number) = MchBillno::parse(&report.biz_code) else {
            return Ok(None);
        };
        let found = attempt::Entity::find()
            .filter(attempt::Column::MchBillno.eq(number))
            .one(self)
            .await?;
        let Some(attempt) = found else {
            return Ok(None);
        };
        let account = provider_account::Entity::find_by_id(attempt.account_id)
            .one(self)
            .await?;
        let ours = account.is_some_and(|account| {
            account.credential == report.credential
                && account.protocol == Protocol::OpenPlatform.name()
        });
        Ok(ours.then_some(attempt))
    }

    /// Has the provider asked about the number, unless the report is no news.
    async fn heed(
        &self,
        attempt: &attempt::Model,
        said: Option<ProviderState>,
    ) -> Result<Effect, Fault> {
        let row = issuance::Entity::find_by_id(attempt.issuance_id)
            .lock_exclusive()
            .one(self)
            .await?;
        // Read again, now that nobody changes it.
        let attempt = attempt::Entity::find_by_id(attempt.id).one(self).await?;
        let (Some(mut row), Some(attempt)) = (row, attempt) else {
            return Ok(Effect::Known);
        };
        let resolved =
            said.map(|said| machine::resolve(Protocol::OpenPlatform, said, attempt.state));
        if attempt.live_key.is_none() {
            if resolved != Some(Resolution::Contradiction) {
                return Ok(Effect::Known);
            }
            if !row.frozen {
                let entry = self.freeze(&mut row).await?;
                self.append(vec![entry]).await?;
            }
            return Ok(Effect::Contradiction);
        }
        let job = match row.state {
            // Its own answer is under way.
            State::Sending if attempt.take_time.is_none() => return Ok(Effect::Known),
            State::Sending | State::Unknown | State::Review => Job::Query,
            // Whether it is still so is asked only if the report says otherwise.
            State::Sent if resolved == Some(Resolution::Contradiction) => Job::Sync,
            State::Sent
            | State::Queued
            | State::Received
            | State::Refunding
            | State::Refunded
            | State::Failed
            | State::Cancelled => return Ok(Effect::Known),
        };
        issuance::Entity::update_many()
            .col_expr(issuance::Column::Job, Expr::value(Some(job)))
            .col_expr(issuance::Column::DueTime, Expr::value(Some(self.now())))
            .filter(issuance::Column::Id.eq(row.id))
            .exec(self)
            .await?;
        Ok(Effect::Asked)
    }
}
