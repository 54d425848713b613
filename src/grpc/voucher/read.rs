//! Reading who and what a request about vouchers means.

use super::{Fields, convert, pb};
use crate::domain::id::{OrderId, RecipientId, VoucherId};
use crate::domain::text::Code;
use crate::domain::voucher::{
    DAYS_MAX, FACE_MAX, PER_ORDER_MAX, UNDO_MAX, Validity, VoucherCode, parse_voucher_no,
};
use crate::domain::{Fen, Reason, Timestamp};
use crate::grpc::campaign::caps;
use crate::store::voucher::{ByOrder, ByVoucher, Gift, Owner, Rules, Use};

/// A product's name at most, in bytes.
const NAME_MAX: usize = 128;
/// A remark at most, in bytes.
const REMARK_MAX: usize = 255;
/// Vouchers of one product at most.
const STOCK_MAX: i64 = 1_000_000_000;
/// How long a spend can be undone where nothing is said, in seconds.
const UNDO_DEFAULT: i64 = 30 * 86_400;
/// Gifts of one call at most.
const GIFTS_MAX: usize = 1_000;

impl Fields {
    pub(super) fn product_code(&mut self, raw: &str, path: &str) -> Option<Code> {
        let rule = "1 to 64 characters of [A-Za-z0-9_.:-]";
        self.name(raw, path, Code::parse, Reason::IdInvalid, rule)
    }

    /// An owner, if there is one. The outer option is nothing if he is wrong.
    pub(super) fn owner(
        &mut self,
        raw: Option<&pb::VoucherOwner>,
        path: &str,
    ) -> Option<Option<Owner>> {
        use pb::voucher_owner::Owner as O;
        match raw.and_then(|owner| owner.owner.as_ref()) {
            None => Some(None),
            Some(O::Mobile(raw)) => {
                let mobile = self.mobile(raw, &format!("{path}.mobile"));
                mobile.map(|mobile| Some(Owner::Mobile(mobile)))
            }
            Some(O::Uid(raw)) => {
                let uid = self.uid(raw, &format!("{path}.uid"));
                uid.map(|uid| Some(Owner::Uid(uid)))
            }
            Some(O::RecipientId(raw)) => {
                let id = self.id(*raw, &format!("{path}.recipient_id"), RecipientId::parse);
                id.map(|id| Some(Owner::Id(id)))
            }
        }
    }

    /// An owner who must be named.
    pub(super) fn named_owner(&mut self, raw: Option<&pb::VoucherOwner>) -> Option<Owner> {
        let owner = self.owner(raw, "owner")?;
        let rule = "required: a mobile, a uid or a recipient_id";
        self.take(owner, "owner", Reason::FieldRequired, rule)
    }

    pub(super) fn remark(&mut self, raw: &str) -> Option<String> {
        self.text(raw, "remark", REMARK_MAX)
    }

    /// A face value; none where it is 0. The outer option is nothing if it is wrong.
    pub(super) fn face(&mut self, raw: i64, path: &str) -> Option<Option<Fen>> {
        if raw == 0 {
            return Some(None);
        }
        let face = Some(Fen(raw)).filter(|face| *face > Fen::ZERO && *face <= FACE_MAX);
        let rule = format!(
            "must be 1 to {} fen, or 0 for the product's own",
            FACE_MAX.0
        );
        self.take(face, path, Reason::AmountOutOfRange, &rule)
            .map(Some)
    }

    pub(super) fn gifts(&mut self, raw: &[pb::VoucherGift]) -> Option<Vec<Gift>> {
        if raw.is_empty() {
            self.bad("gifts", Reason::FieldRequired, "required: 1 to 1,000 gifts");
            return None;
        }
        if raw.len() > GIFTS_MAX {
            let text = format!("{} gifts; one call takes at most {GIFTS_MAX}", raw.len());
            self.bad("gifts", Reason::BatchTooLarge, text);
            return None;
        }
        let mut gifts = Vec::with_capacity(raw.len());
        for (index, raw) in raw.iter().enumerate() {
            let owner = self.owner(raw.owner.as_ref(), &format!("gifts[{index}].owner"));
            let face = self.face(raw.face_fen, &format!("gifts[{index}].face_fen"));
            gifts.extend(owner.zip(face).map(|(owner, face)| Gift { owner, face }));
        }
        Some(gifts)
    }

    /// Vouchers to spend, each once as far as their names tell.
    pub(super) fn uses(&mut self, raw: &[pb::VoucherUse]) -> Option<Vec<Use>> {
        if raw.is_empty() {
            self.bad("uses", Reason::FieldRequired, "required: 1 to 50 vouchers");
            return None;
        }
        let most = usize::try_from(PER_ORDER_MAX).unwrap_or(usize::MAX);
        if raw.len() > most {
            let text = format!("{} vouchers; one order takes at most {most}", raw.len());
            self.bad("uses", Reason::BatchTooLarge, text);
            return None;
        }
        let (mut uses, mut seen) = (
            Vec::with_capacity(raw.len()),
            std::collections::HashSet::new(),
        );
        for (index, raw) in raw.iter().enumerate() {
            let path = format!("uses[{index}]");
            let amount = match raw.amount_fen {
                0 => Some(None),
                fen => self.amount(fen, &format!("{path}.amount_fen")).map(Some),
            };
            let voucher = self.voucher(raw.voucher.as_ref(), &path);
            if let Some(ByVoucher::Id(id) | ByVoucher::Number(_, id)) = &voucher
                && !seen.insert(*id)
            {
                self.bad(
                    &path,
                    Reason::DuplicateItem,
                    "stands more than once in this order",
                );
            }
            let used = voucher.zip(amount);
            uses.extend(used.map(|(voucher, amount)| Use { voucher, amount }));
        }
        Some(uses)
    }

    fn voucher(&mut self, raw: Option<&pb::voucher_use::Voucher>, path: &str) -> Option<ByVoucher> {
        use pb::voucher_use::Voucher as V;
        match raw {
            None => {
                let text = "required: a voucher_id, a voucher_no or a code";
                self.bad(path, Reason::FieldRequired, text);
                None
            }
            Some(V::VoucherId(raw)) => {
                let id = self.id(*raw, &format!("{path}.voucher_id"), VoucherId::parse);
                id.map(ByVoucher::Id)
            }
            Some(V::VoucherNo(raw)) => self.voucher_no(raw, &format!("{path}.voucher_no")),
            Some(V::Code(raw)) => {
                let rule = "must be the 16 letters and digits of a code; its last one does not fit the others";
                let path = format!("{path}.code");
                let code = self.take(VoucherCode::parse(raw), &path, Reason::CodeInvalid, rule);
                code.map(ByVoucher::Code)
            }
        }
    }

    pub(super) fn voucher_no(&mut self, raw: &str, path: &str) -> Option<ByVoucher> {
        let rule = "a number like RP20150404123456: RP, the day of the gift and the id";
        let id = self.name(raw, path, parse_voucher_no, Reason::IdInvalid, rule);
        id.map(|id| ByVoucher::Number(raw.to_owned(), id))
    }

    pub(super) fn order(&mut self, raw: Option<&pb::VoucherOrderRef>) -> Option<ByOrder> {
        use pb::voucher_order_ref::Order as O;
        match raw.and_then(|order| order.order.as_ref()) {
            None => {
                let text = "required: an order_id or an app_order_id";
                self.bad("order", Reason::FieldRequired, text);
                None
            }
            Some(O::OrderId(raw)) => self
                .id(*raw, "order.order_id", OrderId::parse)
                .map(ByOrder::Id),
            Some(O::AppOrderId(raw)) => {
                let number = self.order_no(raw, "order.app_order_id");
                number.map(ByOrder::Number)
            }
        }
    }

    /// MD5 in hex, in lower case; none where it is empty.
    pub(super) fn md5(&mut self, raw: &str, path: &str) -> Option<Option<String>> {
        if raw.is_empty() {
            return Some(None);
        }
        let valid = raw.len() == 32 && raw.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digest = valid.then(|| raw.to_ascii_lowercase());
        let rule = "must be 32 hex digits";
        self.take(digest, path, Reason::CodeInvalid, rule).map(Some)
    }

    /// The digits of an account code; none where they are empty.
    pub(super) fn digits(&mut self, raw: &str, path: &str) -> Option<Option<String>> {
        if raw.is_empty() {
            return Some(None);
        }
        let valid = raw.len() == 6 && raw.bytes().all(|byte| byte.is_ascii_digit());
        let digits = valid.then(|| raw.to_owned());
        self.take(digits, path, Reason::CodeInvalid, "must be 6 digits")
            .map(Some)
    }

    pub(super) fn validity(&mut self, raw: Option<&pb::VoucherValidity>) -> Option<Validity> {
        use pb::voucher_validity::Validity as V;
        match raw.and_then(|validity| validity.validity.as_ref()) {
            None => {
                let text = "required: a window, or days from the gift";
                self.bad("validity", Reason::FieldRequired, text);
                None
            }
            Some(V::Window(window)) => self.window(window),
            Some(V::Days(days)) => {
                let start = i64::from(days.start_after_days);
                let start_after = self.within(start, "validity.days.start_after_days", 0, DAYS_MAX);
                let valid = i64::from(days.valid_days);
                let valid = self.within(valid, "validity.days.valid_days", 1, DAYS_MAX);
                Some(Validity::Days {
                    start_after: start_after?,
                    valid: valid?,
                })
            }
        }
    }

    fn window(&mut self, raw: &pb::VoucherWindow) -> Option<Validity> {
        let start = self.time(raw.start_time.as_ref(), "validity.window.start_time");
        let end = self.time(raw.end_time.as_ref(), "validity.window.end_time");
        let text = match raw.end_text.as_str() {
            "" => Some(None),
            text => {
                let path = "validity.window.end_text";
                let rule = "must be yyyy-MM-dd HH:mm:ss in Beijing, up to 24:00:00";
                let end = Timestamp::parse_beijing_end(text).filter(|end| end.0 >= 0);
                self.take(end, path, Reason::TimeRangeInvalid, rule)
                    .map(Some)
            }
        };
        let (start, end, text) = (start?, end?, text?);
        let path = "validity.window.end_time";
        if let (Some(end), Some(text)) = (end, text)
            && end != text
        {
            let rule = "end_time and end_text mean different instants; give one of them";
            self.bad(path, Reason::TimeRangeInvalid, rule);
            return None;
        }
        let end = self.take(
            end.or(text),
            path,
            Reason::TimeRangeInvalid,
            "required: the end",
        )?;
        if start.is_some_and(|start| end <= start) {
            self.bad(path, Reason::TimeRangeInvalid, "must be after start_time");
            return None;
        }
        Some(Validity::Window { start, end })
    }

    pub(super) fn rules(&mut self, r: &pb::CreateVoucherProductRequest) -> Option<Rules> {
        let name = self.product_name(&r.name);
        let validity = self.validity(r.validity.as_ref());
        let stock = self.stock(r.stock_count);
        let caps = self.caps(r.caps.as_ref());
        let max_per_order = self.max_per_order(r.max_per_order);
        let undo_seconds = self.undo_seconds(r.undo_seconds);
        Some(Rules {
            name: name?,
            validity: validity?,
            stock: stock?,
            caps: caps?,
            max_per_order: max_per_order?,
            undo_seconds: undo_seconds?,
        })
    }

    pub(super) fn product_name(&mut self, raw: &str) -> Option<String> {
        if raw.is_empty() {
            self.bad("name", Reason::FieldRequired, "required: 1 to 128 bytes");
            return None;
        }
        self.text(raw, "name", NAME_MAX)
    }

    /// A stock, or no bound. The outer option is nothing if it is wrong.
    pub(super) fn stock(&mut self, raw: i64) -> Option<Option<i64>> {
        let stock = self.within(raw, "stock_count", 0, STOCK_MAX)?;
        Some(Some(stock).filter(|stock| *stock > 0))
    }

    pub(super) fn caps(
        &mut self,
        raw: Option<&pb::VoucherCaps>,
    ) -> Option<crate::domain::cap::Caps> {
        let caps = raw.map(|raw| pb::CampaignCaps {
            recipient: raw.recipient,
            recipient_day: raw.recipient_day,
            day: raw.day,
            branches: Vec::new(),
        });
        caps::parse(self, caps.as_ref())
    }

    pub(super) fn max_per_order(&mut self, raw: i32) -> Option<i32> {
        let raw = if raw == 0 {
            PER_ORDER_MAX
        } else {
            i64::from(raw)
        };
        let most = self.within(raw, "max_per_order", 1, PER_ORDER_MAX)?;
        i32::try_from(most).ok()
    }

    pub(super) fn undo_seconds(&mut self, raw: Option<i64>) -> Option<i64> {
        self.within(raw.unwrap_or(UNDO_DEFAULT), "undo_seconds", 0, UNDO_MAX)
    }

    /// States to list; none: any.
    pub(super) fn shown(&mut self, raw: &[i32]) -> Option<Vec<crate::domain::voucher::Shown>> {
        let mut states = Vec::with_capacity(raw.len());
        for (index, raw) in raw.iter().enumerate() {
            let path = format!("filter.states[{index}]");
            states.extend(self.choice(*raw, &path, convert::parse_voucher_state));
        }
        Some(states)
    }
}
