//! Gifts.

use super::super::entity::{voucher, voucher_order};
use super::super::tx::Fault;
use super::super::usage::{Counted, Uses};
use super::access::May;
use super::desk::Happening;
use super::owner::nobody;
use super::unit::{Command, Ground, Ids, overflow, refused};
use super::{Gift, Owner, code_column};
use crate::clock;
use crate::domain::cap::{Owner as CapOwner, Scope, Used};
use crate::domain::id::{ProductId, RecipientId, VoucherId};
use crate::domain::ledger::Posting;
use crate::domain::state::Position;
use crate::domain::text::Code;
use crate::domain::voucher::{
    Kind, OrderKind, OrderState, Remote, Standing, VoucherCode, VoucherState, missing_product,
};
use crate::domain::{Error, Fen, Reason, Result, Timestamp};

impl Ground<'_> {
    /// Gives vouchers of one product, all or none.
    pub(super) async fn give(
        &mut self,
        command: &Command,
        ids: &Ids,
        product: &Code,
        gifts: &[Gift],
    ) -> Result<(), Fault> {
        let id = self.giveable(command, product)?;
        let single = command.call.method == "GiveVoucher";
        let faces = self.faces(id, gifts, single)?;
        let sum = Fen::checked_sum(faces.iter().copied()).ok_or_else(overflow)?;
        let count = i64::try_from(gifts.len()).unwrap_or(i64::MAX);
        let shelf = self.desk.shelf(id)?;
        let row = shelf.row.clone();
        let standing = Standing {
            available: shelf.available(),
            issued: row.issued_count.saturating_add(shelf.issued),
            ..row.standing()
        };
        let mut refusals: Vec<Error> = self
            .stopped
            .get(&command.shop)
            .map_or_else(Vec::new, |all| all.iter().map(Error::again).collect());
        refusals.extend(standing.closed());
        let window = row.validity()?.window(self.desk.now);
        if window.is_none() {
            let text = "the window of the product has ended; UpdateVoucherProduct can move it";
            let error = Error::new(Reason::ProductWindowEnded, text.to_owned());
            refusals.push(error.fact("product_id", id));
        }
        refusals.extend(standing.affords(sum, count));
        for gift in gifts {
            if let Some(owner @ Owner::Id(_)) = &gift.owner
                && self.desk.people.get(command.shop, owner).is_none()
            {
                refusals.push(nobody(owner));
            }
        }
        let home = row.home()?;
        let mobiles = match home {
            Some(_) => self.mobiles(command, gifts, single)?,
            None => Vec::new(),
        };
        let uses = self.uses(command, id, gifts, &faces, row.counts_recipients, ids)?;
        self.judge_caps(id, &uses, &mut refusals).await?;
        let (Some((start, end)), true) = (window, refusals.is_empty()) else {
            return Err(refused(refusals));
        };
        self.desk.counted.absorb(uses)?;
        self.desk.caps.insert(CapOwner::Product(id), row.caps()?);
        let now = self.desk.now;
        self.desk.order(voucher_order::Model {
            id: ids.order,
            shop_id: command.shop,
            app_id: command.call.app,
            app_order_id: command.number.clone(),
            kind: OrderKind::Give,
            state: OrderState::Given,
            associated_order_id: String::new(),
            remark: command.remark.clone(),
            amount_fen: sum,
            remote: row.account_id.map(|_| Remote::Pending),
            last_error: None,
            hold_until: None,
            undo_until: None,
            create_time: now,
            update_time: now,
        });
        let mut offered = ids.people.iter().copied().map(RecipientId);
        for (line, (gift, face)) in gifts.iter().zip(faces).enumerate() {
            let voucher = ids.vouchers.get(line).copied().map(VoucherId);
            let voucher = voucher.ok_or_else(|| Error::internal("no id was leased", "voucher"))?;
            let offer = if gift.owner.is_some() {
                offered.next()
            } else {
                None
            };
            let owner = match (&gift.owner, offer) {
                (Some(owner), Some(offer)) => Some(self.desk.people.get_or_make(
                    self.desk.store,
                    command.shop,
                    owner,
                    offer,
                    now,
                )?),
                _ => None,
            };
            let code = (row.kind == Kind::Code).then(|| VoucherCode::from_random(clock::random()));
            let (code_cipher, code_index) = match &code {
                Some(code) => {
                    let sealed = self
                        .desk
                        .store
                        .keys()
                        .seal(&code_column(command.shop), code.expose().as_bytes())?;
                    (
                        Some(sealed),
                        Some(self.desk.store.code_index(command.shop, code)),
                    )
                }
                None => (None, None),
            };
            let given = voucher::Model {
                id: voucher,
                shop_id: command.shop,
                product_id: id,
                recipient_id: owner,
                state: match row.account_id {
                    None => VoucherState::Issued,
                    Some(_) => VoucherState::Pending,
                },
                face_fen: face,
                balance_fen: face,
                start_time: start,
                end_time: end,
                code_cipher,
                code_index,
                remote_id: None,
                give_order_id: ids.order,
                give_line: i32::try_from(line).unwrap_or(i32::MAX),
                hold_order_id: None,
                redemption_count: 0,
                version: 1,
                create_time: now,
                update_time: now,
            };
            let happening = Happening {
                kind: match row.account_id {
                    None => "GIVEN",
                    Some(_) => "ACCEPTED",
                },
                posting: Posting::of_voucher(Position::Available, Position::Liability, face),
                order: Some(ids.order),
                reason: None,
                actor: &command.call.actor,
            };
            if let (Some(home), Some(mobile)) = (home.clone(), mobiles.get(line)) {
                self.ask_to_give(command, &given, home, mobile)?;
            }
            self.desk.give(given, happening)?;
        }
        let shelf = self.desk.shelf_mut(id)?;
        shelf.issued = shelf.issued.saturating_add(count);
        shelf.gives = true;
        Ok(())
    }

    /// The product of a gift, if the caller may give it.
    fn giveable(&self, command: &Command, code: &Code) -> Result<ProductId> {
        let key = (command.shop, code.clone());
        let id = self.codes.get(&key).copied();
        let id = id.ok_or_else(|| missing_product("product_code", code))?;
        let named: (&'static str, &dyn std::fmt::Display) = ("product_code", code);
        let grants = self.grants.get(&command.call.app);
        let grants = grants.ok_or_else(|| Error::internal("grants were not read", "give"))?;
        let row = &self.desk.shelf(id)?.row;
        command.access.must(row, grants, May::Give, named)?;
        Ok(id)
    }

    /// The face value of each gift. A `single` one is not named by its place.
    fn faces(&self, id: ProductId, gifts: &[Gift], single: bool) -> Result<Vec<Fen>> {
        let row = &self.desk.shelf(id)?.row;
        let (low, high) = (row.min_face_fen, row.max_face_fen);
        let path = |index: usize, field: &str| match single {
            true => field.to_owned(),
            false => format!("gifts[{index}].{field}"),
        };
        let mut faces = Vec::with_capacity(gifts.len());
        for (index, gift) in gifts.iter().enumerate() {
            if gift.owner.is_none() && row.kind == Kind::Account {
                let text = "required: a product of kind ACCOUNT is given to somebody".to_owned();
                return Err(Error::field(
                    path(index, "owner"),
                    Reason::FieldRequired,
                    text,
                ));
            }
            let face = match gift.face {
                None if low == high => low,
                None => {
                    let text = format!("required: {} to {} fen", low.0, high.0);
                    return Err(Error::field(
                        path(index, "face_fen"),
                        Reason::FieldRequired,
                        text,
                    ));
                }
                Some(face) if face < low || face > high => {
                    let text = format!("must be {} to {} fen for this product", low.0, high.0);
                    let path = path(index, "face_fen");
                    return Err(Error::field(path, Reason::AmountOutOfRange, text));
                }
                Some(face) => face,
            };
            faces.push(face);
        }
        Ok(faces)
    }

    /// What gifts count under. Somebody new is counted by the id that is offered for him.
    fn uses(
        &self,
        command: &Command,
        id: ProductId,
        gifts: &[Gift],
        faces: &[Fen],
        counts_people: bool,
        ids: &Ids,
    ) -> Result<Uses> {
        let mut uses = Uses::default();
        let mut offered = ids.people.iter().copied().map(RecipientId);
        let mut new: Vec<(&Owner, RecipientId)> = Vec::new();
        for (gift, face) in gifts.iter().zip(faces) {
            let offer = if gift.owner.is_some() {
                offered.next()
            } else {
                None
            };
            let person = gift
                .owner
                .as_ref()
                .filter(|_| counts_people)
                .and_then(|owner| {
                    let known = self.desk.people.get(command.shop, owner);
                    let named = new
                        .iter()
                        .find(|(other, _)| *other == owner)
                        .map(|(_, id)| *id);
                    known.or(named).or_else(|| {
                        new.extend(offer.map(|id| (owner, id)));
                        offer
                    })
                });
            uses.add(Counted {
                owner: CapOwner::Product(id),
                day: self.desk.now.beijing_day(),
                branch: None,
                recipient: person,
                amount: *face,
            })?;
        }
        Ok(uses)
    }

    async fn judge_caps(
        &self,
        id: ProductId,
        uses: &Uses,
        refusals: &mut Vec<Error>,
    ) -> Result<(), Fault> {
        let caps = self.desk.shelf(id)?.row.caps()?;
        for (key, more) in uses.iter() {
            if caps.of(key).is_none() {
                continue;
            }
            let used: Used = self.desk.tx.used(key).await?;
            let used = used.plus(self.desk.counted.get(key));
            let used = used.ok_or_else(|| Error::internal("a sum does not fit", "caps"))?;
            let refusal = caps.refusal(key, used, *more);
            let of_person = matches!(key.scope, Scope::Recipient | Scope::RecipientDay);
            refusals.extend(refusal.map(|error| match of_person {
                true => error.fact("recipient_id", key.subject),
                false => error,
            }));
        }
        Ok(())
    }
}

/// So many seconds after an instant.
pub(super) fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.plus(std::time::Duration::from_secs(seconds.unsigned_abs()))
}
