//! Writing down what a platform is to be asked.

use super::super::super::Store;
use super::super::super::entity::{remote_call, voucher, voucher_order};
use super::super::super::tx::{Fault, Tx};
use super::super::desk::Desk;
use super::super::spend::Taken;
use super::super::unit::{Command, Ground, Wanted};
use super::super::{Gift, Owner};
use super::{Asked, Begun, asked, column, from_json, pair_index, to_json};
use crate::domain::id::{AccountId, OrderId, ProductId, RecipientId};
use crate::domain::remote_voucher::RemoteId;
use crate::domain::text::Mobile;
use crate::domain::voucher::{CallKind, StepUp};
use crate::domain::{Error, Reason, Result};

/// Our number of an order, as platforms get it.
fn number(order: OrderId, line: Option<i32>) -> Result<RemoteId> {
    let text = match line {
        Some(line) => format!("HB{order}-{line}"),
        None => format!("HB{order}"),
    };
    RemoteId::parse(&text).ok_or_else(|| Error::internal("a number is none", text))
}

impl Ground<'_> {
    /// The numbers by which a platform knows those who get vouchers: nothing may be put down
    /// before all are known.
    pub(in crate::store::voucher) fn mobiles(
        &self,
        command: &Command,
        gifts: &[Gift],
        single: bool,
    ) -> Result<Vec<Mobile>> {
        let numbers = gifts.iter().enumerate().map(|(index, gift)| {
            let known = match &gift.owner {
                Some(Owner::Mobile(mobile)) => Some(mobile.clone()),
                Some(owner) => match self.desk.people.get(command.shop, owner) {
                    Some(person) => self.desk.people.mobile(self.desk.store, person)?,
                    None => None,
                },
                None => None,
            };
            known.ok_or_else(|| {
                let place = match single {
                    true => "owner".to_owned(),
                    false => format!("gifts[{index}].owner"),
                };
                let text = "this product lives on a platform that knows people by their mobile number, and of this recipient there is none; name him by it";
                Error::field(place, Reason::FieldRequired, text.to_owned())
            })
        });
        numbers.collect()
    }

    /// A platform is to give a voucher that is put down here.
    pub(in crate::store::voucher) fn ask_to_give(
        &mut self,
        command: &Command,
        given: &voucher::Model,
        (account, product): (AccountId, RemoteId),
        mobile: &Mobile,
    ) -> Result<()> {
        let (store, now) = (self.desk.store, self.desk.now);
        let (order, line) = (given.give_order_id, given.give_line);
        let pair = pair_index(store.keys(), account, &product, mobile);
        let begun = Begun {
            order,
            line,
            shop: command.shop,
            account,
            kind: CallKind::Give,
            asked: Asked::Give {
                mobile: mobile.expose().to_owned(),
                product,
                sum: given.face_fen,
                order: number(order, Some(line))?,
                remark: self.remark(command, given.product_id)?,
            },
        };
        let row = begun.row(store.keys(), now)?;
        self.desk.ask(remote_call::Model {
            voucher_id: Some(given.id),
            pair_index: Some(pair),
            ..row
        });
        Ok(())
    }

    /// What the person reads: platforms want something, so it is the product's name where the
    /// caller says nothing.
    fn remark(&self, command: &Command, product: ProductId) -> Result<String> {
        match command.remark.is_empty() {
            true => Ok(self.desk.shelf(product)?.row.name.clone()),
            false => Ok(command.remark.clone()),
        }
    }

    /// The call that asks a platform to spend an order's vouchers; it is put down with them.
    pub(in crate::store::voucher) fn call_to_spend(
        &self,
        command: &Command,
        order: OrderId,
        (account, person): (AccountId, Option<RecipientId>),
        taken: &[Taken],
    ) -> Result<remote_call::Model> {
        let Wanted::Spend {
            associated,
            confirmed,
            ..
        } = &command.wanted
        else {
            return Err(Error::internal("not a spend", "voucher"));
        };
        let (store, now) = (self.desk.store, self.desk.now);
        let mobile = match person {
            Some(person) => self.desk.people.mobile(store, person)?,
            None => None,
        };
        let mobile = mobile.ok_or_else(|| {
            let text = "the platform knows people by their mobile number, and of this recipient there is none any more";
            Error::field("owner", Reason::FieldRequired, text.to_owned())
        })?;
        let (vouchers, products) = self.names_of(taken)?;
        let associated = match associated.as_str() {
            "" => None,
            text => Some(RemoteId::parse(text).ok_or_else(|| {
                let text = "these vouchers live on a platform, which takes printable ASCII without blanks and | here";
                Error::field("associated_order_id", Reason::IdInvalid, text.to_owned())
            })?),
        };
        let remark = match taken.first() {
            Some(first) => self.remark(command, first.product)?,
            None => command.remark.clone(),
        };
        let begun = Begun {
            order,
            line: 0,
            shop: command.shop,
            account,
            kind: CallKind::Spend,
            asked: Asked::Spend {
                mobile: mobile.expose().to_owned(),
                products,
                vouchers,
                order: number(order, None)?,
                associated,
                remark,
            },
        };
        let brought: Vec<(&str, &str)> = confirmed
            .brought
            .0
            .iter()
            .map(|(kind, code)| (kind.name(), code.as_str()))
            .collect();
        let codes_cipher = match brought.is_empty() {
            true => None,
            false => {
                let plain = to_json(&brought)?;
                let column = column("codes", order, 0);
                Some(store.keys().seal(&column, plain.as_bytes())?)
            }
        };
        let row = begun.row(store.keys(), now)?;
        Ok(remote_call::Model {
            codes_cipher,
            ..row
        })
    }

    /// What vouchers and their products are called where they live.
    fn names_of(&self, taken: &[Taken]) -> Result<(Vec<RemoteId>, Vec<RemoteId>)> {
        let lost = || Error::internal("a voucher has no number there", "voucher");
        let (mut vouchers, mut products) = (Vec::new(), Vec::new());
        for one in taken {
            let row = self.desk.voucher(one.id).ok_or_else(lost)?;
            let id = row.remote_id.as_deref().and_then(RemoteId::parse);
            vouchers.push(id.ok_or_else(lost)?);
            let (_, product) = self.desk.shelf(one.product)?.row.home()?.ok_or_else(lost)?;
            if !products.contains(&product) {
                products.push(product);
            }
        }
        Ok((vouchers, products))
    }
}

/// The codes that a call brings.
pub(super) fn codes(store: &Store, row: &remote_call::Model) -> Result<Vec<(StepUp, String)>> {
    let Some(cipher) = &row.codes_cipher else {
        return Ok(Vec::new());
    };
    let text = store
        .keys()
        .open_text(&column("codes", row.order_id, row.line), cipher)?;
    let kept: Vec<(String, String)> = from_json(&text)?;
    let known = |(name, code): (String, String)| {
        let kind = [StepUp::AccountCode, StepUp::PaymentCode]
            .into_iter()
            .find(|kind| kind.name() == name)?;
        Some((kind, code))
    };
    Ok(kept.into_iter().filter_map(known).collect())
}

impl Tx {
    /// A platform is to undo a spend.
    pub(in crate::store::voucher) async fn ask_to_undo(
        &self,
        desk: &mut Desk<'_>,
        order: &voucher_order::Model,
    ) -> Result<(), Fault> {
        let calls = self.calls_of(order.id).await?;
        let spend = calls.iter().find(|call| call.kind == CallKind::Spend);
        let spend = spend.ok_or_else(|| Error::internal("a spend has no call", "voucher"))?;
        // None, where the answer to the spend was lost: then it is only looked whether
        // somebody has undone it there.
        let orders: Vec<RemoteId> = from_json(&spend.remote_orders)?;
        let Asked::Spend {
            mobile,
            products,
            vouchers,
            ..
        } = asked(desk.store.keys(), spend)?
        else {
            return Err(Error::internal("a spend asks something else", "voucher").into());
        };
        let begun = Begun {
            order: order.id,
            line: i32::try_from(calls.len()).unwrap_or(i32::MAX),
            shop: order.shop_id,
            account: spend.account_id,
            kind: CallKind::Undo,
            asked: Asked::Undo {
                mobile,
                products,
                vouchers,
                orders,
            },
        };
        let row = begun.row(desk.store.keys(), desk.now)?;
        desk.ask(row);
        Ok(())
    }
}
