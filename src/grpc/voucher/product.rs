//! Products: made, changed, funded, granted.

use std::collections::HashSet;

use super::{Backend, Caller, Fields, convert, page, parse_call, pb, render};
use crate::domain::campaign::Verb;
use crate::domain::grant::PrincipalKind;
use crate::domain::id::{AccountId, AppId, ProductId, ShopId};
use crate::domain::ledger::Posting;
use crate::domain::money::BUDGET_MAX;
use crate::domain::remote_voucher::RemoteId;
use crate::domain::voucher::{FACE_MAX, Kind, StepUp};
use crate::domain::{Fen, Reason, Result};
use crate::grpc::call::call;
use crate::store::Call;
use crate::store::request::Written;
use crate::store::voucher::{Access, ByProduct, NewProduct, Product, ProductChange, ProductUpdate};

/// What an update can name.
const PATHS: &str = "name, validity, stock_count, caps, max_per_order, undo_seconds";
/// Apps of one product at most.
const GRANTS_MAX: usize = 100;

pub(super) async fn create(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateVoucherProductRequest,
) -> Result<Written<Product>> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CreateVoucherProduct",
        Some(shop),
        r,
        CreateVoucherProductRequest,
        shop_id
    );
    let new = parse_new(&mut fields, caller, shop, r);
    let (call, new) = fields.finish(call.zip(new))?;
    backend.store.create_product(call, new).await
}

fn parse_new(
    fields: &mut Fields,
    caller: &Caller,
    shop: ShopId,
    r: &pb::CreateVoucherProductRequest,
) -> Option<NewProduct> {
    let code = fields.product_code(&r.code, "code");
    let kind = match r.kind {
        0 => Some(Kind::Account),
        raw => fields.choice(raw, "kind", convert::parse_voucher_kind),
    };
    let step_up = match r.step_up {
        0 => Some(StepUp::None),
        raw => fields.choice(raw, "step_up", convert::parse_step_up),
    };
    let rule = format!("must be 1 to {} fen", FACE_MAX.0);
    let low = Some(Fen(r.min_face_fen)).filter(|fen| *fen > Fen::ZERO && *fen <= FACE_MAX);
    let low = fields.take(low, "min_face_fen", Reason::AmountOutOfRange, &rule);
    let high = match r.max_face_fen {
        0 => low,
        raw => {
            let fits =
                Some(Fen(raw)).filter(|fen| *fen <= FACE_MAX && low.is_none_or(|low| *fen >= low));
            let rule = format!(
                "must be at least min_face_fen and at most {} fen",
                FACE_MAX.0
            );
            fields.take(fits, "max_face_fen", Reason::AmountOutOfRange, &rule)
        }
    };
    if let (Some(kind), Some(step_up)) = (kind, step_up)
        && kind == Kind::Code
        && step_up != StepUp::None
    {
        let text = "a CODE product is spent by whoever has the code; leave step_up NONE";
        fields.bad("step_up", Reason::FieldNotAllowed, text);
    }
    let owner = parse_owner(fields, caller, r.owner_app_id);
    let home = parse_home(fields, r, kind, step_up);
    let rules = fields.rules(r);
    Some(NewProduct {
        shop,
        code: code?,
        kind: kind?,
        min_face: low?,
        max_face: high?,
        partial: r.partial,
        step_up: step_up?,
        owner: owner?,
        home: home?,
        rules: rules?,
    })
}

/// Where its vouchers live, and what it is called there; none: here.
fn parse_home(
    fields: &mut Fields,
    r: &pb::CreateVoucherProductRequest,
    kind: Option<Kind>,
    step_up: Option<StepUp>,
) -> Option<Option<(AccountId, RemoteId)>> {
    let account = fields.optional_id(r.account_id, "account_id", AccountId::parse)?;
    let Some(account) = account else {
        if !r.remote_product_code.is_empty() {
            let text = "only a product that lives on a platform is called something there; name its account_id too";
            fields.bad("remote_product_code", Reason::FieldNotAllowed, text);
        }
        return Some(None);
    };
    let rule =
        "a product that lives on a platform is of kind ACCOUNT, spent whole, and confirmed there";
    for (field, fits) in [
        ("kind", kind.is_none_or(|kind| kind == Kind::Account)),
        ("partial", !r.partial),
        (
            "step_up",
            step_up.is_none_or(|step_up| step_up == StepUp::None),
        ),
    ] {
        if !fits {
            fields.bad(field, Reason::FieldNotAllowed, rule);
        }
    }
    let code = fields.remote_id(&r.remote_product_code, "remote_product_code")?;
    Some(Some((account, code)))
}

/// An app owns what it makes; a person says who does.
fn parse_owner(fields: &mut Fields, caller: &Caller, raw: i64) -> Option<Option<AppId>> {
    let named = fields.optional_id(raw, "owner_app_id", AppId::parse)?;
    let own = caller.principal.app;
    match caller.principal.kind {
        PrincipalKind::Operator => Some(named),
        PrincipalKind::App if named.is_none_or(|app| app == own) => Some(Some(own)),
        PrincipalKind::App => {
            let text = "an app owns what it makes; leave it 0, and grant the product to others";
            fields.bad("owner_app_id", Reason::FieldNotAllowed, text);
            None
        }
    }
}

/// What the writes on one product have in common.
pub(super) struct Write<'a> {
    pub(super) method: &'static str,
    pub(super) shop_id: i64,
    pub(super) request_id: &'a str,
    pub(super) validate_only: bool,
    pub(super) product_id: i64,
}

impl Write<'_> {
    fn parse(
        &self,
        fields: &mut Fields,
        caller: &Caller,
        body: &impl prost::Message,
    ) -> Result<(ShopId, Option<(Call, ProductId)>)> {
        let shop = caller.shop(self.shop_id)?;
        let call = call(
            fields,
            caller,
            self.method,
            Some(shop),
            self.request_id,
            self.validate_only,
            body,
        );
        let id = fields.id(self.product_id, "product_id", ProductId::parse);
        Ok((shop, call.zip(id)))
    }

    async fn change(
        self,
        backend: &Backend,
        caller: &Caller,
        body: &impl prost::Message,
        read: impl FnOnce(&mut Fields) -> Option<ProductChange>,
    ) -> Result<Written<Product>> {
        let mut fields = Fields::default();
        let (shop, parsed) = self.parse(&mut fields, caller, body)?;
        let change = read(&mut fields);
        let ((call, id), change) = fields.finish(parsed.zip(change))?;
        let access = Access::of(&caller.principal);
        backend
            .store
            .change_product(call, shop, access, id, change)
            .await
    }
}

pub(super) async fn turn(
    backend: &Backend,
    caller: &Caller,
    write: Write<'_>,
    body: &impl prost::Message,
    verb: Verb,
) -> Result<Written<Product>> {
    write
        .change(backend, caller, body, |_| Some(ProductChange::Turn(verb)))
        .await
}

pub(super) async fn pay(
    backend: &Backend,
    caller: &Caller,
    write: Write<'_>,
    body: &impl prost::Message,
    amount_fen: i64,
    posting: fn(Fen) -> Option<Posting>,
) -> Result<Written<Product>> {
    let read = |fields: &mut Fields| {
        let amount = fields.amount(amount_fen, "amount_fen")?;
        let fits = (amount <= BUDGET_MAX).then_some(amount);
        let rule = "a budget holds at most 2^62 fen";
        let amount = fields.take(fits, "amount_fen", Reason::AmountOverflow, rule)?;
        posting(amount).map(ProductChange::Move)
    };
    write.change(backend, caller, body, read).await
}

pub(super) async fn update(
    backend: &Backend,
    caller: &Caller,
    write: Write<'_>,
    body: &impl prost::Message,
    r: &pb::UpdateVoucherProductRequest,
) -> Result<Written<Product>> {
    let read = |fields: &mut Fields| {
        let update = parse_update(fields, r)?;
        Some(ProductChange::Update(Box::new(update)))
    };
    write.change(backend, caller, body, read).await
}

fn parse_update(fields: &mut Fields, r: &pb::UpdateVoucherProductRequest) -> Option<ProductUpdate> {
    let mut update = ProductUpdate::default();
    let paths = r
        .update_mask
        .as_ref()
        .map(|mask| mask.paths.as_slice())
        .unwrap_or_default();
    if paths.is_empty() {
        let text = format!("name what is to change: {PATHS}");
        fields.bad("update_mask", Reason::FieldRequired, text);
    }
    for path in paths {
        match path.as_str() {
            "name" => update.name = fields.product_name(&r.name),
            "validity" => update.validity = fields.validity(r.validity.as_ref()),
            "stock_count" => update.stock = fields.stock(r.stock_count),
            "caps" => update.caps = fields.caps(r.caps.as_ref()),
            "max_per_order" => update.max_per_order = fields.max_per_order(r.max_per_order),
            "undo_seconds" => update.undo_seconds = fields.undo_seconds(Some(r.undo_seconds)),
            other => {
                let text = format!("{other:?} is not one of: {PATHS}");
                fields.bad("update_mask", Reason::UpdateMaskInvalid, text);
            }
        }
    }
    if !r.etag.is_empty() {
        let rule = "not an etag of a product";
        update.version = fields.take(r.etag.parse().ok(), "etag", Reason::IdInvalid, rule);
    }
    Some(update)
}

pub(super) async fn set_grants(
    backend: &Backend,
    caller: &Caller,
    write: Write<'_>,
    body: &impl prost::Message,
    raw: &[pb::VoucherProductGrant],
) -> Result<Written<Product>> {
    let read = |fields: &mut Fields| {
        if raw.len() > GRANTS_MAX {
            let text = format!("{}; one product takes at most {GRANTS_MAX}", raw.len());
            fields.bad("grants", Reason::BatchTooLarge, text);
            return None;
        }
        let (mut grants, mut seen) = (Vec::with_capacity(raw.len()), HashSet::new());
        for (index, grant) in raw.iter().enumerate() {
            let path = format!("grants[{index}]");
            let app = fields.id(grant.app_id, &format!("{path}.app_id"), AppId::parse);
            if !seen.insert(grant.app_id) {
                let text = "this app stands more than once";
                fields.bad(&path, Reason::DuplicateItem, text);
            }
            if !(grant.may_see || grant.may_give || grant.may_spend) {
                let text = "required: may_see, may_give or may_spend; leave out who may nothing";
                fields.bad(&path, Reason::FieldRequired, text);
            }
            grants.extend(app.map(|app| (app, grant.may_see, grant.may_give, grant.may_spend)));
        }
        Some(ProductChange::Grant(grants))
    };
    write.change(backend, caller, body, read).await
}

pub(super) async fn get(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetVoucherProductRequest,
) -> Result<pb::GetVoucherProductResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let by = match r.product_id {
        0 => fields.product_code(&r.code, "code").map(ByProduct::Code),
        id => fields
            .id(id, "product_id", ProductId::parse)
            .map(ByProduct::Id),
    };
    let by = fields.finish(by)?;
    let access = Access::of(&caller.principal);
    let found = backend.store.product(shop, access, &by).await?;
    let owns = access.is_person || found.row.owner_app_id == Some(access.app);
    let grants = if owns {
        found.grants.iter().map(render::grant).collect()
    } else {
        Vec::new()
    };
    Ok(pb::GetVoucherProductResponse {
        product: Some(render::product(&found.row)?),
        grants,
    })
}

pub(super) async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListVoucherProductsRequest,
) -> Result<pb::ListVoucherProductsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let scope = format!("voucher products of {shop}");
    let mut fields = Fields::default();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, scope.as_bytes());
    let page = fields.finish(page)?;
    let found = backend
        .store
        .products(shop, Access::of(&caller.principal), page)
        .await?;
    let next_page_token = page::next(&found, page, scope.as_bytes(), |row| row.id.0);
    Ok(pb::ListVoucherProductsResponse {
        products: found.iter().map(render::product).collect::<Result<_>>()?,
        next_page_token,
    })
}
