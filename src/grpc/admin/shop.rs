//! Shops, their branches and their accounts by kind of merchant.

use super::{Backend, Caller, Fields, SHOP_ID_MAX, convert, page, parse_call, pb};
use crate::domain::id::{AccountId, BranchId, ShopId};
use crate::domain::{Reason, Result};
use crate::store::entity::shop_branch;
use crate::store::shop::{Gateways, Shop};

pub(super) async fn create_shop(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateShopRequest,
) -> Result<pb::CreateShopResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CreateShop",
        None,
        r,
        CreateShopRequest
    );
    let id = fields.optional_id(r.shop_id, "shop_id", |raw| {
        ShopId::parse(raw).filter(|id| id.0 <= SHOP_ID_MAX)
    });
    if r.name.is_empty() {
        fields.bad("name", Reason::FieldRequired, "required: 1 to 64 bytes");
    }
    let name = fields.text(&r.name, "name", 64);
    let parsed = (|| Some((call?, id?, name?)))();
    let (call, id, name) = fields.finish(parsed)?;
    let done = backend.store.create_shop(call, id, name).await?;
    Ok(pb::CreateShopResponse {
        shop: Some(render_shop(&done.row)),
        replayed: done.replayed,
    })
}

/// A shop that a platform-level call names.
fn parse_shop(fields: &mut Fields, raw: i64) -> Option<ShopId> {
    fields.id(raw, "shop_id", ShopId::parse)
}

pub(super) async fn create_branch(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateBranchRequest,
) -> Result<pb::CreateBranchResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CreateBranch",
        None,
        r,
        CreateBranchRequest
    );
    let shop = parse_shop(&mut fields, r.shop_id);
    let branch = fields.id(r.shop_sub_id, "shop_sub_id", |raw| {
        BranchId::parse(raw).filter(|id| id.0 <= SHOP_ID_MAX)
    });
    if r.name.is_empty() {
        fields.bad("name", Reason::FieldRequired, "required: 1 to 64 bytes");
    }
    let name = fields.text(&r.name, "name", 64);
    let parsed = (|| Some((call?, shop?, branch?, name?)))();
    let (call, shop, branch, name) = fields.finish(parsed)?;
    let done = backend
        .store
        .create_branch(call, shop, branch, name)
        .await?;
    Ok(pb::CreateBranchResponse {
        branch: Some(render_branch(&done.row)),
        replayed: done.replayed,
    })
}

pub(super) async fn list_branches(
    backend: &Backend,
    r: &pb::ListBranchesRequest,
) -> Result<pb::ListBranchesResponse> {
    let mut fields = Fields::default();
    let shop = parse_shop(&mut fields, r.shop_id);
    let scope = format!("branches of {}", r.shop_id);
    let page = page::parse(&mut fields, r.page_size, &r.page_token, scope.as_bytes());
    let (shop, page) = fields.finish(shop.zip(page))?;
    let found = backend.store.branches(shop, page).await?;
    let next_page_token = page::next(&found, page, scope.as_bytes(), |row| row.shop_sub_id.0);
    Ok(pb::ListBranchesResponse {
        branches: found.iter().map(render_branch).collect(),
        next_page_token,
    })
}

pub(super) async fn set_gateways(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SetShopGatewaysRequest,
) -> Result<pb::SetShopGatewaysResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "SetShopGateways",
        None,
        r,
        SetShopGatewaysRequest
    );
    let shop = parse_shop(&mut fields, r.shop_id);
    let mut map = Gateways::new();
    for (index, raw) in r.gateways.iter().enumerate() {
        let path = format!("gateways[{index}]");
        let kind = fields.choice(
            raw.gateway_type,
            &format!("{path}.gateway_type"),
            convert::parse_gateway,
        );
        let account = format!("{path}.account_id");
        let account = fields.id(raw.account_id, &account, AccountId::parse);
        let (Some(kind), Some(account)) = (kind, account) else {
            continue;
        };
        if map.insert(kind, account).is_some() {
            let path = format!("{path}.gateway_type");
            let text = "stands more than once in this call";
            fields.bad(path, Reason::DuplicateItem, text);
        }
    }
    let (call, shop) = fields.finish(call.zip(shop))?;
    let done = backend.store.set_gateways(call, shop, map).await?;
    Ok(pb::SetShopGatewaysResponse {
        shop: Some(render_shop(&done.row)),
        replayed: done.replayed,
    })
}

pub(super) fn render_shop(shop: &Shop) -> pb::Shop {
    let gateway = |(kind, account): (&_, &AccountId)| pb::ShopGateway {
        gateway_type: convert::gateway(*kind),
        account_id: account.0,
    };
    pb::Shop {
        shop_id: shop.row.id.0,
        name: shop.row.name.clone(),
        create_time: convert::time(shop.row.create_time),
        gateways: shop.gateways.iter().map(gateway).collect(),
    }
}

fn render_branch(row: &shop_branch::Model) -> pb::Branch {
    pb::Branch {
        shop_id: row.shop_id.0,
        shop_sub_id: row.shop_sub_id.0,
        name: row.name.clone(),
        create_time: convert::time(row.create_time),
    }
}
