//! What owners confirm spends with: only keyed hashes are kept, wrong ones are counted
//! in a transaction of their own, so that a refused spend does not forget them.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Set};

use super::super::Store;
use super::super::entity::{code_guess, request, step_up_code, voucher, voucher_product};
use super::super::request::{Call, Claimed, Written};
use super::super::tx::{Fault, Tx};
use super::access::May;
use super::owner::{find, nobody};
use super::{Access, Owner};
use crate::clock;
use crate::domain::id::{AppId, ProductId, RecipientId, ShopId, VoucherId};
use crate::domain::text::RequestId;
use crate::domain::voucher::{ACCOUNT_CODE_TTL, LOCK, StepUp, Tries, VoucherCode, WRONG_MAX};
use crate::domain::{Error, Reason, Result, Timestamp};

/// Unknown voucher codes of one app in one shop until nothing is taken for a while.
const GUESSES_MAX: i32 = 20;

/// What a caller brings to confirm a spend.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who calls.
    pub app: AppId,
    /// In which shop.
    pub shop: ShopId,
    /// The name of the spend: one that was made is only read again.
    pub request: RequestId,
    /// Who asks, for what he may do with products.
    pub access: Access,
    /// The vouchers, as far as they are named by id or number.
    pub vouchers: Vec<VoucherId>,
    /// Whose vouchers they are.
    pub owner: Owner,
    /// Codes by their kind.
    pub codes: Vec<(StepUp, String)>,
}

/// What was confirmed.
#[derive(Clone, Debug, Default)]
pub struct Confirmed {
    /// By whom.
    pub person: Option<RecipientId>,
    /// By what.
    pub kinds: Vec<StepUp>,
    /// The one-time code that the spend uses up: whose, and its hash.
    pub consumes: Option<(RecipientId, Vec<u8>)>,
    /// What was brought: a platform where the vouchers live checks it itself.
    pub brought: Brought,
}

/// Codes by their kind, as they were brought. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Brought(pub Vec<(StepUp, String)>);

impl std::fmt::Debug for Brought {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Brought(…)")
    }
}

impl Store {
    fn step_up_hash(&self, of: (ShopId, RecipientId), kind: StepUp, code: &str) -> Vec<u8> {
        let column = format!("step up/{}/{}/{}", of.0, of.1, kind.name());
        self.keys().blind_index(&column, code)
    }

    /// A keyed stand-in for a password, for comparing calls: their fingerprints are kept for
    /// ever, and have no key of their own.
    #[must_use]
    pub fn stand_in(&self, password: &str) -> String {
        let hash = self.keys().blind_index("payment code of a call", password);
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Makes an account code for an owner. A replay has no digits.
    ///
    /// # Errors
    /// RECIPIENT_NOT_FOUND.
    pub async fn create_account_code(
        &self,
        call: Call,
        shop: ShopId,
        owner: Owner,
    ) -> Result<Written<(Option<String>, Timestamp)>> {
        let digits = format!("{:06}", clock::random_u64() % 1_000_000);
        let (end, store) = (call.end(), self.clone());
        self.write_or_try(end, move |tx| {
            let (call, store, owner, digits) =
                (call.clone(), store.clone(), owner.clone(), digits.clone());
            Box::pin(async move {
                let person = tx.owner(&store, shop, &owner).await?;
                let expire = tx.now().plus(ACCOUNT_CODE_TTL);
                let reply = Some(expire.0.to_string());
                if let Claimed::Replay { reply, .. } =
                    tx.claim_request(&call, person.0, reply).await?
                {
                    let kept = reply.and_then(|text| text.parse().ok()).map(Timestamp);
                    let row = (None, kept.unwrap_or(expire));
                    return Ok(Written {
                        row,
                        replayed: true,
                    });
                }
                let hash = store.step_up_hash((shop, person), StepUp::AccountCode, &digits);
                tx.put_code(person, StepUp::AccountCode, Some(hash), Some(expire), false)
                    .await?;
                // The digits of a trial are nobody's.
                let shown = Some(digits).filter(|_| !call.validate_only);
                Ok(Written {
                    row: (shown, expire),
                    replayed: false,
                })
            })
        })
        .await
    }

    /// Sets an owner's payment code, or takes it away. True if he has one now.
    ///
    /// # Errors
    /// RECIPIENT_NOT_FOUND.
    pub async fn set_payment_code(
        &self,
        call: Call,
        shop: ShopId,
        owner: Owner,
        code: Option<String>,
    ) -> Result<Written<bool>> {
        let (end, store) = (call.end(), self.clone());
        self.write_or_try(end, move |tx| {
            let (call, store, owner, code) =
                (call.clone(), store.clone(), owner.clone(), code.clone());
            Box::pin(async move {
                let person = tx.owner(&store, shop, &owner).await?;
                let replayed = tx.claim_request(&call, person.0, None).await? != Claimed::New;
                if !replayed {
                    let hash = code
                        .as_ref()
                        .map(|code| store.step_up_hash((shop, person), StepUp::PaymentCode, code));
                    tx.put_code(person, StepUp::PaymentCode, hash, None, true)
                        .await?;
                }
                let kept = step_up_code::Entity::find_by_id((person, StepUp::PaymentCode));
                let kept = kept.one(tx).await?;
                Ok(Written {
                    row: kept.is_some_and(|row| row.hash.is_some()),
                    replayed,
                })
            })
        })
        .await
    }

    /// Holds what a caller brings against what is kept, and counts what is wrong. A
    /// spend that was made before is not checked again: it is only read.
    ///
    /// # Errors
    /// STEP_UP_WRONG, STEP_UP_LOCKED.
    pub async fn check_step_up(&self, claim: Claim) -> Result<Confirmed> {
        let store = self.clone();
        let done = self.write(move |tx| {
            let (store, claim) = (store.clone(), claim.clone());
            Box::pin(async move { tx.check_step_up(&store, &claim).await })
        });
        done.await?
    }

    /// Counts voucher codes that are none, before a spend that brings some.
    ///
    /// # Errors
    /// CODE_LOCKED.
    pub async fn count_guesses(
        &self,
        (app, shop): (AppId, ShopId),
        request: RequestId,
        codes: Vec<VoucherCode>,
    ) -> Result<()> {
        let indexes: Vec<Vec<u8>> = codes
            .iter()
            .map(|code| self.code_index(shop, code))
            .collect();
        let done = self.write(move |tx| {
            let (indexes, request) = (indexes.clone(), request.clone());
            Box::pin(async move {
                // A spend that was made is only read again.
                match tx.was_made(app, &request).await? {
                    true => Ok(Ok(())),
                    false => tx.count_guesses(app, shop, indexes).await,
                }
            })
        });
        done.await?
    }
}

impl Tx {
    async fn owner(
        &self,
        store: &Store,
        shop: ShopId,
        owner: &Owner,
    ) -> Result<RecipientId, Fault> {
        let key = (shop, owner.clone());
        let found = find(self, store, std::slice::from_ref(&key), true).await?;
        let row = found.get(&key).ok_or_else(|| nobody(owner))?;
        Ok(row.id)
    }

    /// Writes a code. A lock stays unless it is lifted.
    async fn put_code(
        &self,
        person: RecipientId,
        kind: StepUp,
        hash: Option<Vec<u8>>,
        expire: Option<Timestamp>,
        lifts: bool,
    ) -> Result<(), Fault> {
        use step_up_code::Column;
        let row = step_up_code::ActiveModel {
            recipient_id: Set(person),
            kind: Set(kind),
            hash: Set(hash),
            expire_time: Set(expire),
            wrong_count: Set(0),
            locked_until: Set(None),
            update_time: Set(self.now()),
        };
        let mut replaced = vec![Column::Hash, Column::ExpireTime, Column::UpdateTime];
        if lifts {
            replaced.extend([Column::WrongCount, Column::LockedUntil]);
        }
        let replace = OnConflict::columns([Column::RecipientId, Column::Kind])
            .update_columns(replaced)
            .to_owned();
        step_up_code::Entity::insert(row)
            .on_conflict(replace)
            .exec_without_returning(self)
            .await?;
        Ok(())
    }

    /// Whether a call of this name has had its effect.
    async fn was_made(&self, app: AppId, request: &RequestId) -> Result<bool, Fault> {
        let row = request::Entity::find_by_id((app, request.clone()));
        Ok(row.one(self).await?.is_some())
    }

    /// Whether one of the vouchers is the person's, and of a product that the caller may
    /// spend. Otherwise no code is looked at: it would tell who is known, and lock him out.
    async fn may_ask(&self, claim: &Claim, person: RecipientId) -> Result<bool, Fault> {
        let rows = voucher::Entity::find()
            .filter(voucher::Column::Id.is_in(claim.vouchers.iter().copied()))
            .filter(voucher::Column::RecipientId.eq(person))
            .all(self)
            .await?;
        let products: BTreeSet<ProductId> = rows.iter().map(|row| row.product_id).collect();
        let products = voucher_product::Entity::find()
            .filter(voucher_product::Column::Id.is_in(products))
            .all(self)
            .await?;
        let ids = products.iter().map(|row| row.id);
        let grants = claim.access.grants(self, ids).await?;
        Ok(products
            .iter()
            .any(|row| claim.access.may(row, &grants, May::Spend)))
    }

    async fn check_step_up(
        &self,
        store: &Store,
        claim: &Claim,
    ) -> Result<Result<Confirmed>, Fault> {
        if self.was_made(claim.app, &claim.request).await? {
            return Ok(Ok(Confirmed::default()));
        }
        let key = (claim.shop, claim.owner.clone());
        let found = find(self, store, std::slice::from_ref(&key), true).await?;
        let Some(person) = found.get(&key).map(|row| row.id) else {
            // Whose vouchers are asked for has none; the spend says so.
            return Ok(Ok(Confirmed::default()));
        };
        if !self.may_ask(claim, person).await? {
            return Ok(Ok(Confirmed::default()));
        }
        let mut confirmed = Confirmed {
            person: Some(person),
            ..Confirmed::default()
        };
        for (kind, code) in &claim.codes {
            let hash = store.step_up_hash((claim.shop, person), *kind, code);
            if let Err(error) = self.check_code(store, person, *kind, &hash).await? {
                return Ok(Err(error));
            }
            confirmed.kinds.push(*kind);
            if *kind == StepUp::AccountCode {
                confirmed.consumes = Some((person, hash));
            }
        }
        Ok(Ok(confirmed))
    }

    /// A row to count in, so that there is something to lock; what is there stays.
    async fn begin_counting(&self, person: RecipientId, kind: StepUp) -> Result<(), Fault> {
        use step_up_code::Column;
        let row = step_up_code::ActiveModel {
            recipient_id: Set(person),
            kind: Set(kind),
            hash: Set(None),
            expire_time: Set(None),
            wrong_count: Set(0),
            locked_until: Set(None),
            update_time: Set(self.now()),
        };
        let keep = OnConflict::columns([Column::RecipientId, Column::Kind])
            .do_nothing()
            .to_owned();
        step_up_code::Entity::insert(row)
            .on_conflict(keep)
            .exec_without_returning(self)
            .await?;
        Ok(())
    }

    async fn check_code(
        &self,
        store: &Store,
        person: RecipientId,
        kind: StepUp,
        hash: &[u8],
    ) -> Result<Result<()>, Fault> {
        use step_up_code::Column;
        self.begin_counting(person, kind).await?;
        let query = step_up_code::Entity::find_by_id((person, kind)).lock_exclusive();
        let row = query.one(self).await?;
        let now = self.clock(store).await?;
        let tries = row
            .as_ref()
            .map(step_up_code::Model::tries)
            .unwrap_or_default();
        if let Err(locked) = tries.heard(now) {
            return Ok(Err(locked_out(kind, locked.0)));
        }
        let right = row.as_ref().is_some_and(|row| {
            let fresh = row.expire_time.is_none_or(|end| now < end);
            fresh && row.hash.as_deref() == Some(hash)
        });
        let after = match right {
            true => Tries::default(),
            false => tries.after_wrong(now, WRONG_MAX),
        };
        if after != tries {
            step_up_code::Entity::update_many()
                .col_expr(Column::WrongCount, Expr::value(after.wrong))
                .col_expr(Column::LockedUntil, Expr::value(after.locked_until))
                .filter(Column::RecipientId.eq(person))
                .filter(Column::Kind.eq(kind))
                .exec(self)
                .await?;
        }
        if right {
            return Ok(Ok(()));
        }
        let left = after.left(WRONG_MAX);
        let text = format!("the owner's code is wrong or has expired; {left} more may be wrong");
        Ok(Err(Error::new(Reason::StepUpWrong, text)
            .fact("step_up", kind.name())
            .fact("attempts_left", left)))
    }

    async fn count_guesses(
        &self,
        app: AppId,
        shop: ShopId,
        indexes: Vec<Vec<u8>>,
    ) -> Result<Result<()>, Fault> {
        use code_guess::Column;
        let now = self.now();
        let query = code_guess::Entity::find_by_id((app, shop)).lock_exclusive();
        let row = query.one(self).await?;
        let tries = row.as_ref().map_or_else(Tries::default, |row| Tries {
            wrong: row.wrong_count,
            locked_until: row.locked_until,
        });
        if let Err(locked) = tries.heard(now) {
            let text = "this app has tried too many voucher codes that are none; wait".to_owned();
            let error = Error::new(Reason::CodeLocked, text);
            return Ok(Err(error.fact("locked_until", locked.0)));
        }
        let known: Vec<Option<Vec<u8>>> = voucher::Entity::find()
            .select_only()
            .column(voucher::Column::CodeIndex)
            .filter(voucher::Column::ShopId.eq(shop))
            .filter(voucher::Column::CodeIndex.is_in(indexes.iter().cloned()))
            .into_tuple()
            .all(self)
            .await?;
        let wrong = indexes
            .iter()
            .filter(|index| !known.iter().any(|k| k.as_ref() == Some(index)));
        let wrong = wrong.count();
        if wrong == 0 {
            return Ok(Ok(()));
        }
        let since = row
            .as_ref()
            .map(|row| row.since)
            .filter(|since| now < since.plus(LOCK));
        let before = if since.is_some() {
            tries
        } else {
            Tries::default()
        };
        let after = before.after_wrongs(wrong, now, GUESSES_MAX);
        let row = code_guess::ActiveModel {
            app_id: Set(app),
            shop_id: Set(shop),
            wrong_count: Set(after.wrong),
            since: Set(since.unwrap_or(now)),
            locked_until: Set(after.locked_until),
        };
        let replace = OnConflict::columns([Column::AppId, Column::ShopId])
            .update_columns([Column::WrongCount, Column::Since, Column::LockedUntil])
            .to_owned();
        code_guess::Entity::insert(row)
            .on_conflict(replace)
            .exec_without_returning(self)
            .await?;
        Ok(Ok(()))
    }
}

fn locked_out(kind: StepUp, until: Timestamp) -> Error {
    let text = "too many wrong codes of this owner; wait until locked_until".to_owned();
    Error::new(Reason::StepUpLocked, text)
        .fact("step_up", kind.name())
        .fact("locked_until", until)
}
