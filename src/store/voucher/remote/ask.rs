//! Writing down what a platform is to be asked.

use super::super::super::Store;
use super::super::super::entity::{remote_call, voucher, voucher_order};
use super::super::super::tx::{Fault, Tx};
use super::super::desk::Desk;
use super::super::unit::{Command, Ground, Wanted};
use super::{Asked, Begun, asked, column, from_json, pair_index, to_json};
use crate::domain::id::{AccountId, OrderId, RecipientId};
use crate::domain::remote_voucher::RemoteId;
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
    /// A platform is to give a voucher that is put down here.
    pub(in crate::store::voucher) fn ask_to_give(
        &mut self,
        command: &Command,
        given: &voucher::Model,
        (account, product): (AccountId, RemoteId),
        place: &str,
    ) -> Result<()> {
        let (store, now) = (self.desk.store, self.desk.now);
        let person = given.recipient_id;
        let mobile = match person {
            Some(person) => self.desk.people.mobile(store, person)?,
            None => None,
        };
        let Some(mobile) = mobile else {
            let text = "this product lives on a platform that knows people by their mobile number, and of this recipient there is none; name him by it";
            return Err(Error::field(place, Reason::FieldRequired, text.to_owned()));
        };
        let (order, line) = (given.give_order_id, given.give_line);
        let pair = pair_index(store.keys(), account, &product, &mobile);
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
                remark: command.remark.clone(),
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

    /// A platform is to spend vouchers that an order holds here.
    pub(in crate::store::voucher) fn ask_to_spend(
        &mut self,
        command: &Command,
        order: OrderId,
        account: AccountId,
        person: RecipientId,
    ) -> Result<()> {
        let Wanted::Spend {
            associated,
            confirmed,
            ..
        } = &command.wanted
        else {
            return Err(Error::internal("not a spend", "voucher"));
        };
        let (store, now) = (self.desk.store, self.desk.now);
        let mobile = self.desk.people.mobile(store, person)?;
        let mobile = mobile.ok_or_else(|| {
            let text = "the platform knows people by their mobile number, and of this recipient there is none any more";
            Error::field("owner", Reason::FieldRequired, text.to_owned())
        })?;
        let (vouchers, products) = self.desk.names_of(order)?;
        let associated = match associated.as_str() {
            "" => None,
            text => Some(RemoteId::parse(text).ok_or_else(|| {
                let text = "these vouchers live on a platform, which takes printable ASCII without blanks and | here";
                Error::field("associated_order_id", Reason::IdInvalid, text.to_owned())
            })?),
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
                remark: command.remark.clone(),
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
        self.desk.ask(remote_call::Model {
            codes_cipher,
            ..row
        });
        Ok(())
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

impl Desk<'_> {
    /// What the vouchers that an order holds, and their products, are called where they
    /// live.
    fn names_of(&self, order: OrderId) -> Result<(Vec<RemoteId>, Vec<RemoteId>)> {
        let lost = || Error::internal("a voucher has no number there", "voucher");
        let (mut vouchers, mut products) = (Vec::new(), Vec::new());
        for row in self.held_by(order) {
            let id = row.remote_id.as_deref().and_then(RemoteId::parse);
            vouchers.push(id.ok_or_else(lost)?);
            let (_, product) = self.shelf(row.product_id)?.row.home()?.ok_or_else(lost)?;
            if !products.contains(&product) {
                products.push(product);
            }
        }
        Ok((vouchers, products))
    }
}

impl Tx {
    /// A platform is to undo a spend: whose number it must have said.
    pub(in crate::store::voucher) async fn ask_to_undo(
        &self,
        desk: &mut Desk<'_>,
        order: &voucher_order::Model,
    ) -> Result<(), Fault> {
        let calls = self.calls_of(order.id).await?;
        let spend = calls.iter().find(|call| call.kind == CallKind::Spend);
        let spend = spend.ok_or_else(|| Error::internal("a spend has no call", "voucher"))?;
        let orders: Vec<RemoteId> = from_json(&spend.remote_orders)?;
        if orders.is_empty() {
            let text = "the platform's answer to this spend was lost, and with it the number that an undo names; it can be undone on the platform alone";
            let error = Error::new(Reason::OrderState, text.to_owned());
            return Err(error.fact("order_id", order.id).into());
        }
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
