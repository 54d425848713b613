//! The transaction that gives and spends vouchers: a slice of commands, each wholly or
//! not at all.
//!
//! In this order, for all units alike, so that two never wait for each other in a
//! ring: names of the calls, people, vouchers by id; then the clock is read, each
//! command is judged in memory, and what was accepted is written by the desk, the
//! money of each product last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::super::Store;
use super::super::entity::{step_up_code, voucher, voucher_product};
use super::super::request::{Call, Claimed};
use super::super::tx::{End, Fault, Tx};
use super::access::Grants;
use super::desk::Desk;
use super::{Access, ByVoucher, Confirmed, Gift, OrderView, Owner, Use};
use crate::domain::id::{AppId, OrderId, ProductId, RecipientId, ShopId, VoucherId};
use crate::domain::text::{Code, OrderNo};
use crate::domain::voucher::{Cause, StepUp, unusable};
use crate::domain::{Error, Reason, Result};

/// One call that gives or spends.
#[derive(Clone, Debug)]
pub struct Command {
    /// The call.
    pub call: Call,
    /// In which shop.
    pub shop: ShopId,
    /// Who asks.
    pub access: Access,
    /// The caller's number.
    pub number: OrderNo,
    /// The caller's remark.
    pub remark: String,
    /// What is asked.
    pub wanted: Wanted,
}

/// What a command asks.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Vouchers of one product.
    Give {
        /// Which product.
        product: Code,
        /// The vouchers.
        gifts: Vec<Gift>,
    },
    /// Vouchers of one owner, spent or held.
    Spend {
        /// Whose; none for vouchers that belong to whoever has their code.
        owner: Option<Owner>,
        /// Which.
        uses: Vec<Use>,
        /// The order that they pay for.
        associated: String,
        /// Held for so many seconds; none: spent at once.
        hold: Option<i64>,
        /// What the owner has confirmed.
        confirmed: Confirmed,
    },
}

impl Wanted {
    /// Vouchers that the size of a common transaction counts.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Give { gifts, .. } => gifts.len(),
            Self::Spend { uses, .. } => uses.len(),
        }
    }
}

/// Ids that are leased before the unit begins.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) order: OrderId,
    pub(super) vouchers: Vec<i64>,
    pub(super) people: Vec<i64>,
}

/// What a unit has read before it judges.
pub(super) struct Ground<'t> {
    pub(super) desk: Desk<'t>,
    /// Products by shop and code.
    pub(super) codes: HashMap<(ShopId, Code), ProductId>,
    /// Vouchers by shop and blind index of their code.
    pub(super) by_code: HashMap<(ShopId, Vec<u8>), VoucherId>,
    pub(super) grants: BTreeMap<AppId, Grants>,
    /// Why shops are stopped.
    pub(super) stopped: BTreeMap<ShopId, Vec<Error>>,
    /// One-time codes that are there.
    pub(super) one_time: BTreeSet<(RecipientId, Vec<u8>)>,
    /// Those that this unit uses up.
    pub(super) consumed: BTreeSet<(RecipientId, Vec<u8>)>,
}

impl Store {
    /// Gives and spends: each command wholly or not at all, all in one transaction.
    ///
    /// # Errors
    /// For all of them DATABASE_UNAVAILABLE; for each what its rules refuse.
    pub async fn voucher_orders(&self, commands: Vec<Command>) -> Result<Vec<Result<OrderView>>> {
        let orders = self.ids("voucher_order", commands.len()).await?;
        let mut ids = Vec::with_capacity(commands.len());
        for (command, order) in commands.iter().zip(orders) {
            let (vouchers, people) = match &command.wanted {
                Wanted::Give { gifts, .. } => {
                    let owned = gifts.iter().filter(|gift| gift.owner.is_some()).count();
                    (
                        self.ids("voucher", gifts.len()).await?,
                        self.ids("recipient", owned).await?,
                    )
                }
                Wanted::Spend { .. } => (Vec::new(), Vec::new()),
            };
            let order = OrderId(order);
            ids.push(Ids {
                order,
                vouchers,
                people,
            });
        }
        let end = if commands.iter().any(|c| c.call.validate_only) {
            End::RollBack
        } else {
            End::Commit
        };
        let shared = Arc::new((commands, ids));
        let store = self.clone();
        self.write_or_try(end, move |tx| {
            let (shared, store) = (Arc::clone(&shared), store.clone());
            Box::pin(async move { run(tx, &store, &shared.0, &shared.1).await })
        })
        .await
    }
}

async fn run(
    tx: &Tx,
    store: &Store,
    commands: &[Command],
    ids: &[Ids],
) -> Result<Vec<Result<OrderView>>, Fault> {
    let mut order: Vec<usize> = (0..commands.len()).collect();
    // One order for all units, or two with the same calls would lock each other out.
    order.sort_by_key(|index| {
        let call = commands.get(*index).map(|command| &command.call);
        call.map(|call| (call.app, call.request.clone()))
    });
    let mut results: BTreeMap<usize, Result<(OrderId, bool)>> = BTreeMap::new();
    let mut fresh = Vec::new();
    for index in order {
        let (Some(command), Some(ids)) = (commands.get(index), ids.get(index)) else {
            continue;
        };
        match tx.claim_request(&command.call, ids.order.0, None).await {
            Ok(Claimed::New) => fresh.push((index, command, ids)),
            Ok(Claimed::Replay { resource, .. }) => {
                results.insert(index, Ok((OrderId(resource), true)));
            }
            Err(Fault::Refused(error)) => {
                results.insert(index, Err(error));
            }
            Err(fault) => return Err(fault),
        }
    }
    if !fresh.is_empty() {
        let mut ground = read(tx, store, &fresh).await?;
        for (index, command, ids) in fresh {
            let done = match &command.wanted {
                Wanted::Give { product, gifts } => ground.give(command, ids, product, gifts).await,
                Wanted::Spend { .. } => ground.spend(command, ids),
            };
            let done = match done {
                Ok(()) => Ok((ids.order, false)),
                // A bug may have left half an order at the desk: nothing of this unit is kept.
                Err(Fault::Refused(error)) if error.reason == Reason::Internal => {
                    return Err(error.into());
                }
                Err(Fault::Refused(error)) => {
                    tx.release_request(&command.call).await?;
                    Err(error)
                }
                Err(fault) => return Err(fault),
            };
            results.insert(index, done);
        }
        let consumed = std::mem::take(&mut ground.consumed);
        ground.desk.close().await?;
        tx.use_codes_up(consumed).await?;
    }
    let wanted: Vec<OrderId> = results
        .values()
        .filter_map(|done| done.as_ref().ok().map(|(id, _)| *id))
        .collect();
    let views = super::read::orders(tx, store, &wanted, tx.clock(store).await?).await?;
    let shown = results.into_iter().map(|(index, done)| {
        let (id, replayed) = match done {
            Ok(done) => done,
            Err(error) => return Ok(Err(error)),
        };
        let view = views.get(&id).cloned();
        let mut view = view.ok_or_else(|| Error::internal("an order is gone", "voucher"))?;
        view.replayed = replayed;
        // The codes of a trial are nobody's.
        let call = commands.get(index).map(|command| &command.call);
        let app = call.filter(|call| !call.validate_only).map(|call| call.app);
        view.show_codes(store, app)?;
        Ok::<_, Fault>(Ok(view))
    });
    shown.collect()
}

/// Reads and locks what the commands need.
async fn read<'t>(
    tx: &'t Tx,
    store: &'t Store,
    fresh: &[(usize, &Command, &Ids)],
) -> Result<Ground<'t>, Fault> {
    let mut owners: Vec<(ShopId, Owner)> = Vec::new();
    let mut codes: BTreeMap<ShopId, BTreeSet<Code>> = BTreeMap::new();
    let mut typed: BTreeMap<ShopId, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let mut vouchers: BTreeSet<VoucherId> = BTreeSet::new();
    let mut one_time: BTreeSet<(RecipientId, Vec<u8>)> = BTreeSet::new();
    let mut stopped = BTreeMap::new();
    for (_, command, _) in fresh {
        let shop = command.shop;
        stopped.entry(shop).or_insert_with(Vec::new);
        match &command.wanted {
            Wanted::Give { product, gifts } => {
                codes.entry(shop).or_default().insert(product.clone());
                let named = gifts.iter().filter_map(|gift| gift.owner.clone());
                owners.extend(named.map(|owner| (shop, owner)));
            }
            Wanted::Spend {
                owner,
                uses,
                confirmed,
                ..
            } => {
                owners.extend(owner.clone().map(|owner| (shop, owner)));
                one_time.extend(confirmed.consumes.clone());
                for used in uses {
                    match &used.voucher {
                        ByVoucher::Id(id) | ByVoucher::Number(_, id) => {
                            vouchers.insert(*id);
                        }
                        ByVoucher::Code(code) => {
                            let index = store.code_index(shop, code);
                            typed.entry(shop).or_default().insert(index);
                        }
                    }
                }
            }
        }
    }
    for (shop, refusals) in &mut stopped {
        *refusals = tx.stopped_for_vouchers(*shop).await?;
    }
    let people = tx.people(store, &owners).await?;
    let mut products = Vec::new();
    for (shop, codes) in codes {
        let query = voucher_product::Entity::find()
            .filter(voucher_product::Column::ShopId.eq(shop))
            .filter(voucher_product::Column::Code.is_in(codes));
        products.extend(query.all(tx).await?);
    }
    let mut by_code = HashMap::new();
    for (shop, indexes) in typed {
        let query = voucher::Entity::find()
            .filter(voucher::Column::ShopId.eq(shop))
            .filter(voucher::Column::CodeIndex.is_in(indexes));
        for row in query.all(tx).await? {
            vouchers.insert(row.id);
            by_code.extend(row.code_index.map(|index| ((shop, index), row.id)));
        }
    }
    let codes = products
        .iter()
        .map(|row| ((row.shop_id, row.code.clone()), row.id))
        .collect();
    let desk = Desk::open(tx, store, people, vouchers, products).await?;
    let mut grants = BTreeMap::new();
    for (_, command, _) in fresh {
        if let std::collections::btree_map::Entry::Vacant(entry) = grants.entry(command.call.app) {
            let products = desk.shelves.keys().copied();
            entry.insert(command.access.grants(tx, products).await?);
        }
    }
    Ok(Ground {
        one_time: tx.one_time(one_time, &desk).await?,
        desk,
        codes,
        by_code,
        grants,
        stopped,
        consumed: BTreeSet::new(),
    })
}

impl Tx {
    /// Which one-time codes hold at the desk's instant.
    async fn one_time(
        &self,
        wanted: BTreeSet<(RecipientId, Vec<u8>)>,
        desk: &Desk<'_>,
    ) -> Result<BTreeSet<(RecipientId, Vec<u8>)>, Fault> {
        use step_up_code::Column;
        if wanted.is_empty() {
            return Ok(wanted);
        }
        let rows = step_up_code::Entity::find()
            .filter(Column::RecipientId.is_in(wanted.iter().map(|(id, _)| *id)))
            .filter(Column::Kind.eq(StepUp::AccountCode))
            .all(self)
            .await?;
        let holds = |row: &step_up_code::Model| row.expire_time.is_none_or(|end| desk.now < end);
        let rows = rows.into_iter().filter(holds);
        let there: BTreeSet<_> = rows
            .filter_map(|row| Some((row.recipient_id, row.hash?)))
            .collect();
        Ok(wanted
            .into_iter()
            .filter(|code| there.contains(code))
            .collect())
    }

    /// Uses one-time codes up; if another spend did so meanwhile, all is judged again.
    async fn use_codes_up(&self, consumed: BTreeSet<(RecipientId, Vec<u8>)>) -> Result<(), Fault> {
        use sea_orm::sea_query::Expr;
        use step_up_code::Column;
        for (recipient, hash) in consumed {
            let gone = step_up_code::Entity::update_many()
                .col_expr(Column::Hash, Expr::value(None::<Vec<u8>>))
                .col_expr(Column::UpdateTime, Expr::value(self.now()))
                .filter(Column::RecipientId.eq(recipient))
                .filter(Column::Kind.eq(StepUp::AccountCode))
                .filter(Column::Hash.eq(hash))
                .exec(self)
                .await?;
            if gone.rows_affected != 1 {
                return Err(Fault::Again);
            }
        }
        Ok(())
    }
}

/// The refusal for a voucher that was found and cannot be used so.
pub(super) fn in_the_way(name: &str, row: &voucher::Model, cause: Cause) -> Error {
    let error = unusable(name, Some(row.id), cause).fact("state", row.state.name());
    match row.hold_order_id {
        Some(order) => error.fact("order_id", order),
        None => error,
    }
}

/// All that refuses a command, as one.
pub(super) fn refused(refusals: Vec<Error>) -> Fault {
    let bug = || Error::internal("a refusal without reason", "voucher");
    Error::all(refusals).unwrap_or_else(bug).into()
}

pub(super) fn overflow() -> Error {
    let text = "the sum of the vouchers does not fit".to_owned();
    Error::field("amount_fen", Reason::AmountOverflow, text)
}
