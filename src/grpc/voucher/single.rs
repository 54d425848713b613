//! Single vouchers: read, listed, handled by a person; and what owners confirm with.

use super::{Backend, Caller, Fields, convert, page, parse_call, pb, render};
use crate::domain::id::VoucherId;
use crate::domain::{Reason, Result};
use crate::store::request::Written;
use crate::store::voucher::{Access, ByVoucher, Filter, Hand, ValidityFilter, place};

/// Products of one list at most.
const PRODUCTS_MAX: usize = 50;
/// Vouchers of one call at most.
const VOUCHERS_MAX: usize = 50;
/// The highest page that has a number.
const PAGE_MAX: i64 = 10_000;

pub(super) async fn get(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetVoucherRequest,
) -> Result<pb::GetVoucherResponse> {
    let shop = caller.shop(r.shop_id)?;
    caller.may_unmask(shop, r.unmask)?;
    let mut fields = Fields::default();
    let by = match r.voucher_id {
        0 => fields.voucher_no(&r.voucher_no, "voucher_no"),
        id => fields
            .id(id, "voucher_id", VoucherId::parse)
            .map(ByVoucher::Id),
    };
    let by = fields.finish(by)?;
    let found = backend
        .store
        .voucher(shop, Access::of(&caller.principal), &by)
        .await?;
    Ok(render::history(&found, r.unmask))
}

pub(super) async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListVouchersRequest,
) -> Result<pb::ListVouchersResponse> {
    use prost::Message as _;
    let shop = caller.shop(r.shop_id)?;
    caller.may_unmask(shop, r.unmask)?;
    let mut fields = Fields::default();
    let filter = parse_filter(&mut fields, r.filter.as_ref());
    let mut scope = format!("vouchers of {shop} ").into_bytes();
    scope.extend(r.filter.clone().unwrap_or_default().encode_to_vec());
    let size = page::parse_size(&mut fields, r.page_size);
    let after = page::parse_after(&mut fields, &r.page_token, &scope, 1);
    let index = fields.within(i64::from(r.page_index), "page_index", 0, PAGE_MAX);
    if r.page_index > 0 && !r.page_token.is_empty() {
        let text = "go by page_token or by page_index, not by both";
        fields.bad("page_index", Reason::FieldNotAllowed, text);
    }
    let parsed = filter.zip(size).zip(after).zip(index);
    let (((filter, size), after), index) = fields.finish(parsed)?;
    let skip = u64::try_from(index.saturating_sub(1))
        .unwrap_or(0)
        .saturating_mul(size);
    let before = after.and_then(|keys| keys.first().copied());
    let access = Access::of(&caller.principal);
    let part = (before, skip, size);
    let (found, at) = backend
        .store
        .vouchers(shop, access, &filter, part, r.with_total)
        .await?;
    let next_page_token = match index {
        0 => page::next_after(&found.rows, size, &scope, |view| vec![place(view)]),
        _ => String::new(),
    };
    Ok(pb::ListVouchersResponse {
        vouchers: found
            .rows
            .iter()
            .map(|view| render::voucher(view, at, r.unmask))
            .collect(),
        next_page_token,
        total_count: found.total,
    })
}

fn parse_filter(fields: &mut Fields, raw: Option<&pb::VoucherFilter>) -> Option<Filter> {
    let none = pb::VoucherFilter::default();
    let raw = raw.unwrap_or(&none);
    let owner = fields.owner(raw.owner.as_ref(), "filter.owner");
    if raw.product_codes.len() > PRODUCTS_MAX {
        let text = format!("{} codes; at most {PRODUCTS_MAX}", raw.product_codes.len());
        fields.bad("filter.product_codes", Reason::BatchTooLarge, text);
        return None;
    }
    let mut products = Vec::with_capacity(raw.product_codes.len());
    for (index, code) in raw.product_codes.iter().enumerate() {
        let path = format!("filter.product_codes[{index}]");
        products.extend(fields.product_code(code, &path));
    }
    if raw.product_codes.is_empty() && matches!(owner, Some(None)) {
        let text = "required: an owner, or product_codes";
        fields.bad("filter", Reason::FieldRequired, text);
    }
    let validity = match raw.validity {
        0 => Some(ValidityFilter::All),
        raw => fields.choice(raw, "filter.validity", convert::parse_validity),
    };
    let states = fields.shown(&raw.states);
    Some(Filter {
        owner: owner?,
        products,
        validity: validity?,
        states: states?,
    })
}

/// Vouchers as they are after a hand was laid on them.
type Handled = Result<(Vec<pb::Voucher>, bool)>;

macro_rules! hands {
    ($($name:ident: $method:literal, $request:ident, |$fields:ident, $r:ident| $hand:expr);+ $(;)?) => {$(
        pub(super) async fn $name(backend: &Backend, caller: &Caller, $r: &pb::$request) -> Handled {
            let shop = caller.shop($r.shop_id)?;
            let mut fields = Fields::default();
            let call = parse_call!(&mut fields, caller, $method, Some(shop), $r, $request, shop_id);
            let ids = voucher_ids(&mut fields, &$r.voucher_ids);
            let reason = fields.reason(&$r.reason);
            let $fields = &mut fields;
            let hand: Option<Hand> = $hand;
            let (((call, ids), reason), hand) = fields.finish(call.zip(ids).zip(reason).zip(hand))?;
            let (access, trial) = (Access::of(&caller.principal), call.validate_only);
            let done = backend.store.hand_vouchers(call, shop, access, ids, hand, reason).await?;
            let Written { row: (views, at), replayed } = done;
            if !trial && !replayed {
                backend.vouchers.handled(hand, &views);
            }
            Ok((views.iter().map(|view| render::voucher(view, at, false)).collect(), replayed))
        }
    )+};
}

hands! {
    void: "VoidVouchers", VoidVouchersRequest, |_fields, r| Some(Hand::Void);
    freeze: "FreezeVouchers", FreezeVouchersRequest, |_fields, r| {
        Some(if r.unfreeze { Hand::Unfreeze } else { Hand::Freeze })
    };
    extend: "ExtendVouchers", ExtendVouchersRequest, |fields, r| {
        let end = fields.time(r.end_time.as_ref(), "end_time");
        end.and_then(|end| {
            let rule = "required: the new end";
            fields.take(end, "end_time", Reason::TimeRangeInvalid, rule).map(Hand::Extend)
        })
    };
}

fn voucher_ids(fields: &mut Fields, raw: &[i64]) -> Option<Vec<VoucherId>> {
    if raw.is_empty() {
        fields.bad(
            "voucher_ids",
            Reason::FieldRequired,
            "required: 1 to 50 vouchers",
        );
        return None;
    }
    fields.ids(raw, "voucher_ids", VoucherId::parse, VOUCHERS_MAX)
}

pub(super) async fn account_code(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateAccountCodeRequest,
) -> Result<pb::CreateAccountCodeResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CreateAccountCode",
        Some(shop),
        r,
        CreateAccountCodeRequest,
        shop_id
    );
    let owner = fields.named_owner(r.owner.as_ref());
    let (call, owner) = fields.finish(call.zip(owner))?;
    let Written {
        row: (code, expire),
        replayed,
    } = backend.store.create_account_code(call, shop, owner).await?;
    Ok(pb::CreateAccountCodeResponse {
        account_code: code.unwrap_or_default(),
        replayed,
        expire_time: convert::time(expire),
    })
}

pub(super) async fn payment_code(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SetPaymentCodeRequest,
) -> Result<pb::SetPaymentCodeResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let named = pb::SetPaymentCodeRequest {
        payment_code_md5: backend.store.stand_in(&r.payment_code_md5),
        ..r.clone()
    };
    let call = parse_call!(
        &mut fields,
        caller,
        "SetPaymentCode",
        Some(shop),
        named,
        SetPaymentCodeRequest,
        shop_id
    );
    let owner = fields.named_owner(r.owner.as_ref());
    let code = fields.md5(&r.payment_code_md5, "payment_code_md5");
    let ((call, owner), code) = fields.finish(call.zip(owner).zip(code))?;
    let done = backend
        .store
        .set_payment_code(call, shop, owner, code)
        .await?;
    Ok(pb::SetPaymentCodeResponse {
        present: done.row,
        replayed: done.replayed,
    })
}
