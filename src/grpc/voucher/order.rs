//! Gifts, spends, and what becomes of them.

use super::{Backend, Caller, Fields, body, parse_call, pb, render};
use crate::domain::id::{ShopId, VoucherId};
use crate::domain::text::{Mobile, OrderNo};
use crate::domain::voucher::StepUp;
use crate::domain::{Reason, Result};
use crate::grpc::call::order_call;
use crate::service::map_signature::{self, Give, MapSignature, Operation, Spend as SignedSpend};
use crate::store::Call;
use crate::store::voucher::{
    Access, ByVoucher, Claim, Command, Confirmed, Gift, OrderChange, OrderView, Owner, Use, Wanted,
};

/// A business order's number at most, in bytes.
const ASSOCIATED_MAX: usize = 128;
/// How long vouchers are held where nothing is said, in seconds.
const HOLD_DEFAULT: i64 = 15 * 60;
/// How long they are held at most, in seconds.
const HOLD_MAX: i64 = 86_400;

/// The name of an order, its request without what may differ in a repeat, and its shop.
macro_rules! order_call {
    ($fields:expr, $caller:expr, $method:literal, $shop:expr, $request:expr, $message:ident $(, $field:ident)*) => {{
        let asked = $request;
        order_call(
            $fields,
            $caller,
            $method,
            $shop,
            &asked.app_order_id,
            asked.validate_only,
            &body!($message, asked, app_order_id, validate_only, shop_id $(, $field)*),
        )
    }};
}

fn command(
    caller: &Caller,
    shop: ShopId,
    (call, number): (Call, OrderNo),
    remark: String,
    wanted: Wanted,
) -> Command {
    Command {
        call,
        shop,
        access: Access::of(&caller.principal),
        number,
        remark,
        wanted,
    }
}

/// Lets an order through that is signed as its app must sign it.
async fn admit(
    backend: &Backend,
    caller: &Caller,
    call: &Call,
    shop: ShopId,
    raw: Option<&pb::MapSignature>,
    operation: &Operation<'_>,
) -> Result<()> {
    let signature = raw.cloned().map(|raw| MapSignature {
        app_timestamp: raw.app_timestamp,
        app_nonce: raw.app_nonce,
        app_signature: raw.app_signature,
        tsig_timestamp: raw.tsig_timestamp,
        tsig_nonce: raw.tsig_nonce,
        order_md5: raw.order_md5,
        tsig_signature: raw.tsig_signature,
    });
    map_signature::admit(
        &backend.store,
        (call.app, shop),
        caller.signed,
        signature.as_ref(),
        operation,
        call.end(),
    )
    .await
}

/// The number that an owner is named by, as it was sent; none: he is named otherwise.
fn mobile(owner: Option<&pb::VoucherOwner>) -> &str {
    use pb::voucher_owner::Owner as O;
    match owner.and_then(|owner| owner.owner.as_ref()) {
        Some(O::Mobile(mobile)) => mobile,
        Some(O::Uid(_) | O::RecipientId(_)) | None => "",
    }
}

/// The owner as repeats are compared: +86 in front of a number changes nothing.
fn plain(owner: Option<&pb::VoucherOwner>) -> Option<pb::VoucherOwner> {
    use pb::voucher_owner::Owner as O;
    let mut owner = owner.cloned()?;
    if let Some(O::Mobile(raw)) = &mut owner.owner
        && let Some(mobile) = Mobile::parse(raw)
    {
        mobile.expose().clone_into(raw);
    }
    Some(owner)
}

/// What a voucher is called, as it was sent.
fn number(used: &pb::VoucherUse) -> String {
    use pb::voucher_use::Voucher as V;
    match &used.voucher {
        Some(V::VoucherNo(number)) => number.clone(),
        Some(V::VoucherId(id)) => id.to_string(),
        Some(V::Code(code)) => code.clone(),
        None => String::new(),
    }
}

pub(super) async fn give(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GiveVoucherRequest,
) -> Result<OrderView> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let named = order_call!(
        &mut fields,
        caller,
        "GiveVoucher",
        shop,
        pb::GiveVoucherRequest {
            owner: plain(r.owner.as_ref()),
            ..r.clone()
        },
        GiveVoucherRequest,
        wait,
        map_signature
    );
    let product = fields.product_code(&r.product_code, "product_code");
    let owner = fields.owner(r.owner.as_ref(), "owner");
    let face = fields.face(r.face_fen, "face_fen");
    let remark = fields.remark(&r.remark);
    let gift = owner.zip(face).map(|(owner, face)| Gift { owner, face });
    let parsed = named.zip(product).zip(gift).zip(remark);
    let (((named, product), gift), remark) = fields.finish(parsed)?;
    let signed = Operation::Give(Give {
        mobile: mobile(r.owner.as_ref()),
        sum_fen: r.face_fen,
        remark: &r.remark,
        app_order_id: &r.app_order_id,
        product_code: &r.product_code,
    });
    admit(
        backend,
        caller,
        &named.0,
        shop,
        r.map_signature.as_ref(),
        &signed,
    )
    .await?;
    let wanted = Wanted::Give {
        product,
        gifts: vec![gift],
    };
    backend
        .vouchers
        .order(command(caller, shop, named, remark, wanted), None)
        .await
}

pub(super) async fn batch_give(
    backend: &Backend,
    caller: &Caller,
    r: &pb::BatchGiveVouchersRequest,
) -> Result<OrderView> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let gifts = r.gifts.iter().map(|gift| pb::VoucherGift {
        owner: plain(gift.owner.as_ref()),
        face_fen: gift.face_fen,
    });
    let named = order_call!(
        &mut fields,
        caller,
        "BatchGiveVouchers",
        shop,
        pb::BatchGiveVouchersRequest {
            gifts: gifts.collect(),
            ..r.clone()
        },
        BatchGiveVouchersRequest,
        wait
    );
    let product = fields.product_code(&r.product_code, "product_code");
    let gifts = fields.gifts(&r.gifts);
    let remark = fields.remark(&r.remark);
    let parsed = named.zip(product).zip(gifts).zip(remark);
    let (((named, product), gifts), remark) = fields.finish(parsed)?;
    let wanted = Wanted::Give { product, gifts };
    backend
        .vouchers
        .order(command(caller, shop, named, remark, wanted), None)
        .await
}

/// The id of a voucher that is named by it, or by its number.
fn id_of(used: &Use) -> Option<VoucherId> {
    match &used.voucher {
        ByVoucher::Id(id) | ByVoucher::Number(_, id) => Some(*id),
        ByVoucher::Code(_) => None,
    }
}

/// What a spend and a hold have in common.
struct Spend {
    owner: Option<Owner>,
    uses: Vec<Use>,
    associated: String,
    remark: String,
    codes: Vec<(StepUp, String)>,
}

impl Spend {
    fn parse(
        fields: &mut Fields,
        owner: Option<&pb::VoucherOwner>,
        uses: &[pb::VoucherUse],
        (associated, remark): (&str, &str),
        (account_code, payment_code): (&str, &str),
    ) -> Option<Self> {
        let owner = fields.owner(owner, "owner");
        let uses = fields.uses(uses);
        let by_code = |used: &Use| matches!(used.voucher, ByVoucher::Code(_));
        if let (Some(None), Some(uses)) = (&owner, &uses)
            && !uses.iter().all(by_code)
        {
            let text =
                "required: whose vouchers they are; only those named by their code need nobody";
            fields.bad("owner", Reason::FieldRequired, text);
        }
        let associated = fields.text(associated, "associated_order_id", ASSOCIATED_MAX);
        let remark = fields.remark(remark);
        let digits = fields.digits(account_code, "account_code");
        let md5 = fields.md5(payment_code, "payment_code_md5");
        let (digits, md5) = (digits?, md5?);
        let codes = [
            digits.map(|code| (StepUp::AccountCode, code)),
            md5.map(|code| (StepUp::PaymentCode, code)),
        ];
        let codes: Vec<(StepUp, String)> = codes.into_iter().flatten().collect();
        if !codes.is_empty() && owner.as_ref().is_some_and(Option::is_none) {
            fields.bad("owner", Reason::FieldRequired, "required: whose code it is");
        }
        Some(Self {
            owner: owner?,
            uses: uses?,
            associated: associated?,
            remark: remark?,
            codes,
        })
    }

    async fn order(
        self,
        backend: &Backend,
        caller: &Caller,
        shop: ShopId,
        named: (Call, OrderNo),
        hold: Option<i64>,
    ) -> Result<OrderView> {
        let claim = self.owner.clone().filter(|_| !self.codes.is_empty());
        let claim = claim.map(|owner| Claim {
            app: named.0.app,
            shop,
            request: named.0.request.clone(),
            access: Access::of(&caller.principal),
            vouchers: self.uses.iter().filter_map(id_of).collect(),
            owner,
            codes: self.codes,
        });
        let wanted = Wanted::Spend {
            owner: self.owner,
            uses: self.uses,
            associated: self.associated,
            hold,
            confirmed: Confirmed::default(),
        };
        let command = command(caller, shop, named, self.remark, wanted);
        backend.vouchers.order(command, claim).await
    }
}

pub(super) async fn spend(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SpendVouchersRequest,
) -> Result<OrderView> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    // A retry may bring a newer code: what confirms an order does not name it.
    let named = order_call!(
        &mut fields,
        caller,
        "SpendVouchers",
        shop,
        pb::SpendVouchersRequest {
            owner: plain(r.owner.as_ref()),
            ..r.clone()
        },
        SpendVouchersRequest,
        wait,
        account_code,
        payment_code_md5,
        map_signature
    );
    let spend = Spend::parse(
        &mut fields,
        r.owner.as_ref(),
        &r.uses,
        (&r.associated_order_id, &r.remark),
        (&r.account_code, &r.payment_code_md5),
    );
    let (named, spend) = fields.finish(named.zip(spend))?;
    let numbers: Vec<String> = r.uses.iter().map(number).collect();
    let signed = Operation::Spend(SignedSpend {
        mobile: mobile(r.owner.as_ref()),
        voucher_nos: &numbers,
        remark: &r.remark,
        app_order_id: &r.app_order_id,
        associated_order_id: &r.associated_order_id,
        account_code: &r.account_code,
        payment_code_md5: &r.payment_code_md5,
        names_amounts: r.uses.iter().any(|used| used.amount_fen != 0),
    });
    admit(
        backend,
        caller,
        &named.0,
        shop,
        r.map_signature.as_ref(),
        &signed,
    )
    .await?;
    spend.order(backend, caller, shop, named, None).await
}

pub(super) async fn reserve(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ReserveVouchersRequest,
) -> Result<OrderView> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let named = order_call!(
        &mut fields,
        caller,
        "ReserveVouchers",
        shop,
        pb::ReserveVouchersRequest {
            owner: plain(r.owner.as_ref()),
            ..r.clone()
        },
        ReserveVouchersRequest,
        account_code,
        payment_code_md5
    );
    let spend = Spend::parse(
        &mut fields,
        r.owner.as_ref(),
        &r.uses,
        (&r.associated_order_id, &r.remark),
        (&r.account_code, &r.payment_code_md5),
    );
    let hold = if r.hold_seconds == 0 {
        HOLD_DEFAULT
    } else {
        r.hold_seconds
    };
    let hold = fields.within(hold, "hold_seconds", 1, HOLD_MAX);
    let ((named, spend), hold) = fields.finish(named.zip(spend).zip(hold))?;
    spend.order(backend, caller, shop, named, Some(hold)).await
}

macro_rules! changes {
    ($($name:ident: $method:literal, $request:ident, $change:ident $(, $field:ident)?);+ $(;)?) => {$(
        pub(super) async fn $name(backend: &Backend, caller: &Caller, r: &pb::$request) -> Result<OrderView> {
            let shop = caller.shop(r.shop_id)?;
            let mut fields = Fields::default();
            let call = parse_call!(&mut fields, caller, $method, Some(shop), r, $request, shop_id $(, $field)?);
            let by = fields.order(r.order.as_ref());
            let (call, by) = fields.finish(call.zip(by))?;
            let (access, trial) = (Access::of(&caller.principal), call.validate_only);
            let done = backend.store.change_order(call, shop, access, by, OrderChange::$change).await?;
            if !trial && !done.replayed {
                backend.vouchers.made(&done);
            }
            Ok(done)
        }
    )+};
}

changes! {
    undo: "UndoSpend", UndoSpendRequest, Undo, wait;
    spend_reserved: "SpendReservedVouchers", SpendReservedVouchersRequest, SpendReserved;
    release: "ReleaseVouchers", ReleaseVouchersRequest, Release;
}

pub(super) async fn get(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetVoucherOrderRequest,
) -> Result<pb::GetVoucherOrderResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let by = fields.order(r.order.as_ref());
    let by = fields.finish(by)?;
    let found = backend
        .store
        .voucher_order(shop, Access::of(&caller.principal), &by)
        .await?;
    let calls = match found.row.remote {
        Some(_) => backend.store.remote_calls(found.row.id).await?,
        None => Vec::new(),
    };
    Ok(pb::GetVoucherOrderResponse {
        order: Some(render::order(&found)),
        remote_calls: calls.iter().map(super::remote::call).collect(),
    })
}
