//! Reading vouchers and orders back.

use std::collections::{BTreeSet, HashMap};

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait as _, Select,
};

use super::super::Store;
use super::super::entity::{
    journal, recipient, voucher, voucher_order, voucher_product, voucher_redemption,
};
use super::super::list::{Listed, TOTAL_MAX};
use super::super::tx::{Fault, to_error};
use super::access::May;
use super::order::find_order;
use super::owner::find;
use super::{Access, ByOrder, ByVoucher, OrderView, Owner, OwnerRow, VoucherView, code_column};
use crate::domain::id::{AppId, OrderId, ProductId, RecipientId, ShopId, VoucherId};
use crate::domain::text::Code;
use crate::domain::voucher::{
    OrderKind, Shown, VoucherCode, VoucherState, missing_product, voucher_no,
};
use crate::domain::{Error, Fen, Reason, Result, Timestamp};

/// Which vouchers by their validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidityFilter {
    /// Within it.
    Valid,
    /// Not begun, or ended.
    NotValid,
    /// All.
    All,
}

/// Which vouchers to list.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Of this owner.
    pub owner: Option<Owner>,
    /// Of these products; empty: of all that the caller may see.
    pub products: Vec<Code>,
    /// By validity.
    pub validity: ValidityFilter,
    /// In one of these states; any if empty.
    pub states: Vec<Shown>,
}

/// A voucher with all that became of it.
#[derive(Clone, Debug)]
pub struct VoucherHistory {
    /// The voucher.
    pub view: VoucherView,
    /// Its journal, first to last.
    pub events: Vec<journal::Model>,
    /// Its uses, first to last.
    pub uses: Vec<voucher_redemption::Model>,
    /// The instant that it is shown at.
    pub at: Timestamp,
}

/// The place of a voucher in a list.
#[must_use]
pub fn place(view: &VoucherView) -> i64 {
    view.row.id.0
}

impl OrderView {
    /// Shows codes to the app that gave the vouchers, and to nobody else.
    pub(super) fn show_codes(&mut self, store: &Store, app: Option<AppId>) -> Result<()> {
        if self.row.kind != OrderKind::Give || Some(self.row.app_id) != app {
            return Ok(());
        }
        let column = code_column(self.row.shop_id);
        for (view, _) in &mut self.lines {
            if let Some(cipher) = &view.row.code_cipher {
                let text = store.keys().open_text(&column, cipher)?;
                view.code = VoucherCode::parse(&text);
            }
        }
        Ok(())
    }
}

/// Vouchers with what is shown beside them, in the order of their rows.
async fn views(
    db: &impl ConnectionTrait,
    store: &Store,
    rows: Vec<voucher::Model>,
) -> Result<Vec<VoucherView>, Fault> {
    let products: BTreeSet<ProductId> = rows.iter().map(|row| row.product_id).collect();
    let products = voucher_product::Entity::find()
        .filter(voucher_product::Column::Id.is_in(products))
        .all(db)
        .await?;
    let products: HashMap<ProductId, voucher_product::Model> =
        products.into_iter().map(|row| (row.id, row)).collect();
    let people: BTreeSet<RecipientId> = rows.iter().filter_map(|row| row.recipient_id).collect();
    let people: Vec<RecipientId> = people.into_iter().collect();
    let mut owners: HashMap<RecipientId, OwnerRow> = HashMap::new();
    for chunk in people.chunks(500) {
        let found = recipient::Entity::find()
            .filter(recipient::Column::Id.is_in(chunk.iter().copied()))
            .all(db)
            .await?;
        for row in &found {
            owners.insert(row.id, OwnerRow::of(store, row)?);
        }
    }
    let view = |row: voucher::Model| {
        let product = products.get(&row.product_id).cloned();
        Ok(VoucherView {
            product: product.ok_or_else(|| Error::internal("a product is gone", "voucher"))?,
            owner: row.recipient_id.and_then(|id| owners.get(&id).cloned()),
            code: None,
            row,
        })
    };
    rows.into_iter().map(view).collect()
}

/// Vouchers of a shop by id, in the order that is asked for.
pub(super) async fn by_ids(
    db: &impl ConnectionTrait,
    store: &Store,
    shop: ShopId,
    ids: &[VoucherId],
) -> Result<Vec<VoucherView>, Fault> {
    let mut rows = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(500) {
        let found = voucher::Entity::find()
            .filter(voucher::Column::ShopId.eq(shop))
            .filter(voucher::Column::Id.is_in(chunk.iter().copied()))
            .all(db)
            .await?;
        rows.extend(found);
    }
    let mut found: HashMap<VoucherId, voucher::Model> =
        rows.into_iter().map(|row| (row.id, row)).collect();
    let rows = ids.iter().filter_map(|id| found.remove(id)).collect();
    views(db, store, rows).await
}

/// Orders with their vouchers.
pub(super) async fn orders(
    db: &impl ConnectionTrait,
    store: &Store,
    ids: &[OrderId],
    at: Timestamp,
) -> Result<HashMap<OrderId, OrderView>, Fault> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = voucher_order::Entity::find()
        .filter(voucher_order::Column::Id.is_in(ids.iter().copied()))
        .all(db)
        .await?;
    let (gifts, spends): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row.kind == OrderKind::Give);
    let mut vouchers: HashMap<VoucherId, voucher::Model> = HashMap::new();
    let mut lines: Vec<(OrderId, i32, VoucherId, Fen)> = Vec::new();
    if !gifts.is_empty() {
        let given = voucher::Entity::find()
            .filter(voucher::Column::GiveOrderId.is_in(gifts.iter().map(|row| row.id)))
            .all(db)
            .await?;
        lines.extend(
            given
                .iter()
                .map(|row| (row.give_order_id, row.give_line, row.id, row.face_fen)),
        );
        vouchers.extend(given.into_iter().map(|row| (row.id, row)));
    }
    if !spends.is_empty() {
        use voucher_redemption::Column;
        let uses = voucher_redemption::Entity::find()
            .filter(Column::OrderId.is_in(spends.iter().map(|row| row.id)))
            .all(db)
            .await?;
        let wanted: BTreeSet<VoucherId> = uses.iter().map(|used| used.voucher_id).collect();
        let wanted: Vec<VoucherId> = wanted.into_iter().collect();
        for chunk in wanted.chunks(500) {
            let found = voucher::Entity::find()
                .filter(voucher::Column::Id.is_in(chunk.iter().copied()))
                .all(db)
                .await?;
            vouchers.extend(found.into_iter().map(|row| (row.id, row)));
        }
        lines.extend(
            uses.iter()
                .map(|used| (used.order_id, used.line, used.voucher_id, used.amount_fen)),
        );
    }
    let shown = views(db, store, vouchers.into_values().collect()).await?;
    let shown: HashMap<VoucherId, VoucherView> =
        shown.into_iter().map(|view| (view.row.id, view)).collect();
    lines.sort_unstable();
    let mut orders: HashMap<OrderId, OrderView> = rows
        .into_iter()
        .map(|row| {
            (
                row.id,
                OrderView {
                    row,
                    lines: Vec::new(),
                    at,
                    replayed: false,
                },
            )
        })
        .collect();
    for (order, _, voucher, amount) in lines {
        if let (Some(order), Some(view)) = (orders.get_mut(&order), shown.get(&voucher)) {
            order.lines.push((view.clone(), amount));
        }
    }
    Ok(orders)
}

impl Store {
    /// One voucher with its history.
    ///
    /// # Errors
    /// VOUCHER_NOT_FOUND, also where the caller may not see its product.
    pub async fn voucher(
        &self,
        shop: ShopId,
        access: Access,
        by: &ByVoucher,
    ) -> Result<VoucherHistory> {
        let db = self.reader();
        let (id, number) = match by {
            ByVoucher::Id(id) => (*id, None),
            ByVoucher::Number(number, id) => (*id, Some(number)),
            ByVoucher::Code(_) => return Err(Error::internal("no lookup by code", "voucher")),
        };
        let missing = || {
            let text = "no such voucher in this shop, or of no product that you may see";
            let error = Error::new(Reason::VoucherNotFound, text.to_owned());
            match number {
                Some(number) => error.fact("voucher_no", number),
                None => error.fact("voucher_id", id),
            }
        };
        let found = by_ids(db, self, shop, &[id]).await?.pop();
        let view = found.ok_or_else(missing)?;
        let grants = access
            .grants(db, [view.product.id])
            .await
            .map_err(to_error)?;
        let other_day = number.is_some_and(|no| *no != voucher_no(id, view.row.create_time));
        if other_day || !access.may(&view.product, &grants, May::See) {
            return Err(missing());
        }
        let events = journal::Entity::find()
            .filter(journal::Column::Aggregate.eq(journal::Aggregate::Voucher))
            .filter(journal::Column::AggregateId.eq(id.0))
            .order_by_asc(journal::Column::Seq)
            .all(db)
            .await
            .map_err(to_error)?;
        let uses = voucher_redemption::Entity::find()
            .filter(voucher_redemption::Column::VoucherId.eq(id))
            .order_by_asc(voucher_redemption::Column::RedemptionNo)
            .all(db)
            .await
            .map_err(to_error)?;
        Ok(VoucherHistory {
            view,
            events,
            uses,
            at: self.now().await?,
        })
    }

    /// One order.
    ///
    /// # Errors
    /// ORDER_NOT_FOUND.
    pub async fn voucher_order(
        &self,
        shop: ShopId,
        access: Access,
        by: &ByOrder,
    ) -> Result<OrderView> {
        let row = find_order(self.reader(), shop, access, by).await?;
        let at = self.now().await?;
        let mut found = orders(self.reader(), self, &[row.id], at).await?;
        let view = found.remove(&row.id);
        let mut view = view.ok_or_else(|| Error::internal("an order is gone", "voucher"))?;
        view.show_codes(self, Some(access.app))?;
        Ok(view)
    }

    /// A part of the vouchers that the caller may see, newest first, and the instant
    /// that they are shown at.
    ///
    /// # Errors
    /// PRODUCT_NOT_FOUND.
    pub async fn vouchers(
        &self,
        shop: ShopId,
        access: Access,
        filter: &Filter,
        (before, skip, size): (Option<i64>, u64, u64),
        with_total: bool,
    ) -> Result<(Listed<VoucherView>, Timestamp)> {
        use voucher::Column;
        let at = self.now().await?;
        let empty = |total: Option<i64>| Listed {
            rows: Vec::new(),
            total,
        };
        let nothing = with_total.then_some(0);
        let mut query = voucher::Entity::find()
            .filter(Column::ShopId.eq(shop))
            .filter(by_validity(filter.validity, at))
            .filter(by_states(&filter.states, at));
        // What the caller may see is answered alike, whoever is asked for.
        let visible = self.visible(shop, access, &filter.products).await?;
        if let Some(owner) = &filter.owner {
            let key = (shop, owner.clone());
            let found = find(self.reader(), self, std::slice::from_ref(&key), false).await?;
            let Some(person) = found.get(&key) else {
                return Ok((empty(nothing), at));
            };
            query = query.filter(Column::RecipientId.eq(person.id));
        }
        if let Some(products) = visible {
            if products.is_empty() {
                return Ok((empty(nothing), at));
            }
            query = query.filter(Column::ProductId.is_in(products));
        }
        let total = match with_total {
            true => Some(self.total_of(query.clone()).await?),
            false => None,
        };
        if let Some(before) = before {
            query = query.filter(Column::Id.lt(before));
        }
        let rows = query
            .order_by_desc(Column::Id)
            .offset(skip)
            .limit(size)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let rows = views(self.reader(), self, rows).await?;
        Ok((Listed { rows, total }, at))
    }

    /// How many rows a query has, up to the bound of totals.
    async fn total_of(&self, query: Select<voucher::Entity>) -> Result<i64> {
        let db = self.reader();
        let rows = query
            .select_only()
            .column(voucher::Column::Id)
            .limit(TOTAL_MAX)
            .into_query();
        let count = Query::select()
            .expr_as(Expr::cust("COUNT(*)"), "count")
            .from_subquery(rows, "bound")
            .to_owned();
        let row = db.query_one(&count).await.map_err(to_error)?;
        let count = row.map(|row| row.try_get("", "count")).transpose();
        Ok(count.map_err(to_error)?.unwrap_or(0))
    }

    /// The products that a list is bound to; none: all of the shop.
    async fn visible(
        &self,
        shop: ShopId,
        access: Access,
        codes: &[Code],
    ) -> Result<Option<Vec<ProductId>>> {
        if access.is_person && codes.is_empty() {
            return Ok(None);
        }
        use voucher_product::Column;
        let mut query = voucher_product::Entity::find().filter(Column::ShopId.eq(shop));
        if !codes.is_empty() {
            query = query.filter(Column::Code.is_in(codes.iter().cloned()));
        }
        let rows = query.all(self.reader()).await.map_err(to_error)?;
        let ids = rows.iter().map(|row| row.id);
        let grants = access.grants(self.reader(), ids).await.map_err(to_error)?;
        let seen: Vec<&voucher_product::Model> = rows
            .iter()
            .filter(|row| access.may(row, &grants, May::See))
            .collect();
        if let Some(code) = codes
            .iter()
            .find(|code| !seen.iter().any(|row| row.code == **code))
        {
            return Err(missing_product("product_code", code));
        }
        Ok(Some(seen.into_iter().map(|row| row.id).collect()))
    }
}

fn started(at: Timestamp) -> Condition {
    use voucher::Column::StartTime;
    Condition::any()
        .add(StartTime.is_null())
        .add(StartTime.lte(at))
}

fn by_validity(filter: ValidityFilter, at: Timestamp) -> Condition {
    use voucher::Column::{EndTime, StartTime};
    match filter {
        ValidityFilter::All => Condition::all(),
        ValidityFilter::Valid => Condition::all().add(EndTime.gt(at)).add(started(at)),
        ValidityFilter::NotValid => Condition::any().add(EndTime.lte(at)).add(StartTime.gt(at)),
    }
}

/// The rows that are shown in one of these states at an instant.
fn by_states(states: &[Shown], at: Timestamp) -> Condition {
    use voucher::Column::{EndTime, StartTime, State};
    if states.is_empty() {
        return Condition::all();
    }
    let open = || State.is_in([VoucherState::Issued, VoucherState::Frozen]);
    states.iter().fold(Condition::any(), |any, state| {
        any.add(match state {
            Shown::NotStarted => Condition::all()
                .add(State.eq(VoucherState::Issued))
                .add(EndTime.gt(at))
                .add(StartTime.gt(at)),
            Shown::Issued => Condition::all()
                .add(State.eq(VoucherState::Issued))
                .add(EndTime.gt(at))
                .add(started(at)),
            Shown::Pending => Condition::all().add(State.eq(VoucherState::Pending)),
            Shown::Reserved => Condition::all().add(State.eq(VoucherState::Reserved)),
            Shown::Spent => Condition::all().add(State.eq(VoucherState::Spent)),
            Shown::Frozen => Condition::all()
                .add(State.eq(VoucherState::Frozen))
                .add(EndTime.gt(at)),
            Shown::Voided => Condition::all().add(State.eq(VoucherState::Voided)),
            Shown::Expired => Condition::any()
                .add(State.eq(VoucherState::Expired))
                .add(Condition::all().add(open()).add(EndTime.lte(at))),
        })
    })
}
