//! Spends and reservations.

use std::collections::{BTreeMap, BTreeSet};

use super::super::entity::{voucher, voucher_order, voucher_product, voucher_redemption};
use super::super::tx::Fault;
use super::access::{Grants, May, not_allowed};
use super::desk::Happening;
use super::give::later;
use super::unit::{Command, Ground, Ids, Wanted, in_the_way, overflow, refused};
use super::{ByVoucher, Use};
use crate::domain::id::{ProductId, RecipientId, VoucherId};
use crate::domain::ledger::Posting;
use crate::domain::state::Position;
use crate::domain::voucher::{
    Cause, Kind, OrderKind, OrderState, Remote, Slip, StepUp, VoucherState, judge, unusable,
    voucher_no,
};
use crate::domain::{Error, Fen, Reason, Result};

/// A voucher of an order, judged.
pub(super) struct Taken {
    pub(super) id: VoucherId,
    pub(super) product: ProductId,
    amount: Fen,
}

impl Ground<'_> {
    /// Spends or holds vouchers, all or none.
    pub(super) fn spend(&mut self, command: &Command, ids: &Ids) -> Result<(), Fault> {
        let Wanted::Spend {
            owner,
            uses,
            associated,
            hold,
            confirmed,
        } = &command.wanted
        else {
            return Err(Error::internal("not a spend", "voucher").into());
        };
        if let Some(refusals) = self
            .stopped
            .get(&command.shop)
            .filter(|all| !all.is_empty())
        {
            return Err(refused(refusals.iter().map(Error::again).collect()));
        }
        let person = owner
            .as_ref()
            .and_then(|owner| self.desk.people.get(command.shop, owner));
        let stranger = owner.is_some() && person.is_none();
        let taken = self.judge_uses(command, uses, person, stranger)?;
        // Who has confirmed may have turned out to be somebody else meanwhile.
        let kinds = match confirmed.person == person {
            true => confirmed.kinds.as_slice(),
            false => &[],
        };
        self.judge_products(command, &taken, kinds)?;
        let home = self.home_of(&taken, hold.is_some())?;
        let sum = Fen::checked_sum(taken.iter().map(|one| one.amount)).ok_or_else(overflow)?;
        let now = self.desk.now;
        let window = self.undo_window(&taken)?;
        // Nothing is put down before all that may refuse has been asked.
        let call = match home {
            Some(account) => {
                let whose = (account, person);
                Some(self.call_to_spend(command, ids.order, whose, &taken)?)
            }
            None => None,
        };
        if let Some(code) = &confirmed.consumes {
            if !self.one_time.contains(code) || self.consumed.contains(code) {
                let text =
                    "the account code was used up meanwhile; CreateAccountCode makes a new one";
                let error = Error::new(Reason::StepUpWrong, text.to_owned());
                return Err(error.fact("step_up", StepUp::AccountCode.name()).into());
            }
            self.consumed.insert(code.clone());
        }
        // What lives elsewhere is held here until it is spent there.
        let holds = hold.is_some() || home.is_some();
        self.desk.order(voucher_order::Model {
            id: ids.order,
            shop_id: command.shop,
            app_id: command.call.app,
            app_order_id: command.number.clone(),
            kind: OrderKind::Spend,
            state: if holds {
                OrderState::Reserved
            } else {
                OrderState::Spent
            },
            associated_order_id: associated.clone(),
            remark: command.remark.clone(),
            amount_fen: sum,
            remote: home.map(|_| Remote::Pending),
            last_error: None,
            hold_until: hold.map(|seconds| later(now, seconds)),
            undo_until: (!holds).then(|| later(now, window)),
            create_time: now,
            update_time: now,
        });
        for (line, one) in taken.iter().enumerate() {
            self.take(command, ids, line, one, holds)?;
        }
        if let Some(call) = call {
            self.desk.ask(call);
        }
        Ok(())
    }

    /// Holds each voucher against the clock and the caller; all that are in the way are
    /// named.
    fn judge_uses(
        &self,
        command: &Command,
        uses: &[Use],
        person: Option<RecipientId>,
        stranger: bool,
    ) -> Result<Vec<Taken>, Fault> {
        let (mut taken, mut refusals, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        let grants = self.grants.get(&command.call.app);
        for (index, used) in uses.iter().enumerate() {
            let (name, id) = self.named(command, used);
            let found = id.and_then(|id| self.desk.voucher(id));
            let found = found.filter(|row| {
                row.shop_id == command.shop
                    && !stranger
                    && self.is_his(row, used, person).unwrap_or(false)
                    && self.is_seen(command, row, grants).unwrap_or(false)
            });
            let Some(row) = found else {
                refusals.push(unusable(&name, None, Cause::NotFound));
                continue;
            };
            if !seen.insert(row.id) {
                let text = "stands more than once in this order".to_owned();
                let path = format!("uses[{index}]");
                return Err(Error::field(path, Reason::DuplicateItem, text).into());
            }
            let product = &self.desk.shelf(row.product_id)?.row;
            let slip = Slip {
                state: row.state,
                start: row.start_time,
                end: row.end_time,
                balance: row.balance_fen,
                partial: product.partial,
            };
            match judge(&slip, used.amount, self.desk.now) {
                Ok(amount) => taken.push(Taken {
                    id: row.id,
                    product: product.id,
                    amount,
                }),
                Err(cause) => refusals.push(in_the_way(&name, row, cause)),
            }
        }
        if refusals.is_empty() {
            Ok(taken)
        } else {
            Err(refused(refusals))
        }
    }

    /// What the caller called a voucher, for refusals, and its id. A code is not said again.
    fn named(&self, command: &Command, used: &Use) -> (String, Option<VoucherId>) {
        match &used.voucher {
            ByVoucher::Id(id) => (id.to_string(), Some(*id)),
            ByVoucher::Number(number, id) => (number.clone(), Some(*id)),
            ByVoucher::Code(code) => {
                let index = self.desk.store.code_index(command.shop, code);
                let id = self.by_code.get(&(command.shop, index)).copied();
                ("of this code".to_owned(), id)
            }
        }
    }

    /// Whether a voucher is the owner's, and named as its product wants it named.
    fn is_his(
        &self,
        row: &voucher::Model,
        used: &Use,
        person: Option<RecipientId>,
    ) -> Result<bool> {
        let kind = self.desk.shelf(row.product_id)?.row.kind;
        let by_code = matches!(used.voucher, ByVoucher::Code(_));
        if let ByVoucher::Number(number, _) = &used.voucher
            && *number != voucher_no(row.id, row.create_time)
        {
            return Ok(false);
        }
        Ok(match kind {
            Kind::Account => !by_code && row.recipient_id.is_some() && row.recipient_id == person,
            // Whoever has the code has the voucher; an owner who is named must be its own.
            Kind::Code => {
                by_code
                    && (person.is_none()
                        || row.recipient_id.is_none()
                        || row.recipient_id == person)
            }
        })
    }

    fn is_seen(
        &self,
        command: &Command,
        row: &voucher::Model,
        grants: Option<&Grants>,
    ) -> Result<bool> {
        let product = &self.desk.shelf(row.product_id)?.row;
        Ok(grants.is_some_and(|grants| command.access.may(product, grants, May::See)))
    }

    /// What the products of an order say: who may spend, how many, confirmed by what.
    fn judge_products(
        &self,
        command: &Command,
        taken: &[Taken],
        confirmed: &[StepUp],
    ) -> Result<(), Fault> {
        let mut counts: BTreeMap<ProductId, i32> = BTreeMap::new();
        for one in taken {
            *counts.entry(one.product).or_default() += 1;
        }
        let mut refusals = Vec::new();
        for (id, count) in counts {
            let row = &self.desk.shelf(id)?.row;
            let grants = self.grants.get(&command.call.app);
            if !grants.is_some_and(|grants| command.access.may(row, grants, May::Spend)) {
                return Err(not_allowed(id, May::Spend).into());
            }
            refusals.extend(row.standing().unspendable());
            refusals.extend(too_many(row, count));
            if row.step_up != StepUp::None && !confirmed.contains(&row.step_up) {
                let text = format!(
                    "this product asks its owner for {}; bring it with the spend",
                    row.step_up.name()
                );
                let error = Error::new(Reason::StepUpRequired, text);
                refusals.push(
                    error
                        .fact("product_id", id)
                        .fact("step_up", row.step_up.name()),
                );
            }
        }
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(refused(refusals))
        }
    }

    /// How long an order can be undone: the shortest of its products.
    fn undo_window(&self, taken: &[Taken]) -> Result<i64> {
        let mut window = i64::MAX;
        for one in taken {
            window = window.min(self.desk.shelf(one.product)?.row.undo_seconds);
        }
        Ok(window)
    }

    fn take(
        &mut self,
        command: &Command,
        ids: &Ids,
        line: usize,
        one: &Taken,
        holds: bool,
    ) -> Result<()> {
        let now = self.desk.now;
        let amount = one.amount;
        let happening = Happening {
            kind: if holds { "RESERVED" } else { "SPENT" },
            posting: (!holds).then(|| spent(amount)).flatten(),
            order: Some(ids.order),
            reason: None,
            actor: &command.call.actor,
        };
        let order = ids.order;
        let change = |row: &mut voucher::Model| {
            row.redemption_count = row.redemption_count.saturating_add(1);
            if holds {
                row.state = VoucherState::Reserved;
                row.hold_order_id = Some(order);
            } else {
                take_from(row, amount);
            }
        };
        self.desk.change(one.id, change, happening)?;
        let number = self
            .desk
            .voucher(one.id)
            .map_or(1, |row| row.redemption_count);
        self.desk.used(voucher_redemption::Model {
            voucher_id: one.id,
            redemption_no: number,
            order_id: order,
            line: i32::try_from(line).unwrap_or(i32::MAX),
            amount_fen: amount,
            state: if holds {
                OrderState::Reserved
            } else {
                OrderState::Spent
            },
            create_time: now,
        });
        self.desk.shelf_mut(one.product)?.spends = true;
        Ok(())
    }
}

/// What a spend moves.
pub(super) fn spent(amount: Fen) -> Option<Posting> {
    Posting::of_voucher(Position::Liability, Position::Redeemed, amount)
}

/// Takes an amount off a voucher that is not held any more.
pub(super) fn take_from(row: &mut voucher::Model, amount: Fen) {
    row.balance_fen = Fen(row.balance_fen.0.saturating_sub(amount.0));
    row.hold_order_id = None;
    row.state = if row.balance_fen == Fen::ZERO {
        VoucherState::Spent
    } else {
        VoucherState::Issued
    };
}

fn too_many(row: &voucher_product::Model, count: i32) -> Option<Error> {
    (count > row.max_per_order).then(|| {
        let text = format!(
            "one order takes {} vouchers of this product, not {count}; make several orders",
            row.max_per_order
        );
        Error::new(Reason::OrderLimit, text)
            .fact("product_id", row.id)
            .fact("max_per_order", row.max_per_order)
            .fact("count", count)
    })
}
