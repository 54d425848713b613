//! Vouchers that live on a platform that somebody else runs: the calls to it are rows, made
//! by the order in its own transaction, claimed by whoever works on them, sent once, and
//! settled at the desk like everything that changes vouchers.
//!
//! Until the platform has confirmed, a gift is PENDING and its money is taken; what is to be
//! spent is held by its order. So a crash at any place leaves a row that says what may have
//! been sent, and nothing that could be given or spent a second time.

use std::time::Duration;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use super::super::Store;
use super::super::crypt::Keys;
use super::super::entity::{remote_call, remote_exchange};
use super::super::settle::Exchange;
use super::super::tx::to_error;
use super::step_up::Brought;
use super::{Access, ByOrder};
use crate::domain::id::{AccountId, OrderId, ShopId};
use crate::domain::remote_voucher::{Baseline, RemoteId};
use crate::domain::text::Mobile;
use crate::domain::voucher::{CallKind, CallState};
use crate::domain::{Error, Fen, Result, Timestamp};

mod ask;
mod claim;
mod close;
mod ends;
mod home;
mod settle;
mod step;

pub use close::Closing;
pub use settle::Settled;

/// The exchange that changes nothing.
const LOOK: &str = "query";
/// The columns of what was said, for encryption.
const SAID: &str = "said";
const HEARD: &str = "heard";

/// Who acts when nobody asked.
const DISPATCHER: &str = "dispatcher";

/// All that a platform is told in one call, but what confirms it. It is written down before
/// anything leaves.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// To give a voucher.
    Give {
        /// To whom.
        mobile: String,
        /// Of what.
        product: RemoteId,
        /// Its face value.
        sum: Fen,
        /// Our number of the order.
        order: RemoteId,
        /// What the person reads.
        remark: String,
    },
    /// To spend vouchers.
    Spend {
        /// Whose.
        mobile: String,
        /// Of which products.
        products: Vec<RemoteId>,
        /// Which.
        vouchers: Vec<RemoteId>,
        /// Our number of the order.
        order: RemoteId,
        /// What it is spent for.
        associated: Option<RemoteId>,
        /// What the person reads.
        remark: String,
    },
    /// To undo a spend.
    Undo {
        /// Whose vouchers they are.
        mobile: String,
        /// Of which products.
        products: Vec<RemoteId>,
        /// Which.
        vouchers: Vec<RemoteId>,
        /// The platform's numbers of the spend.
        orders: Vec<RemoteId>,
    },
}

impl std::fmt::Debug for Asked {
    /// Without the number and the texts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Self::Give { .. } => CallKind::Give,
            Self::Spend { .. } => CallKind::Spend,
            Self::Undo { .. } => CallKind::Undo,
        };
        write!(f, "Asked({})", kind.name())
    }
}

/// A call that was claimed.
#[derive(Clone, Debug)]
pub struct RemoteWork {
    /// The row, as the claim left it: SENDING for what is to be sent, UNKNOWN for what is
    /// only to be looked for.
    pub row: remote_call::Model,
    /// What is asked.
    pub asked: Asked,
    /// What the owner confirms it with.
    pub codes: Brought,
    /// What was there before the request left.
    pub before: Baseline,
}

/// What an exchange proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteFate {
    /// The voucher is given.
    Given {
        /// Its number there.
        voucher: RemoteId,
        /// From when until when it is valid there, if the platform says so.
        window: Option<(Option<Timestamp>, Timestamp)>,
        /// The platform's number of the order, if it says one.
        order: Option<RemoteId>,
    },
    /// The vouchers are spent, or the spend is undone.
    Turned {
        /// The platform's numbers of the order, as far as it says them.
        orders: Vec<RemoteId>,
    },
    /// Nothing is done, and nothing is left that could do it.
    NotDone {
        /// Why.
        code: String,
    },
    /// Surely nothing has left, and nothing was in vain: something stands in the way.
    Waits {
        /// What.
        code: String,
    },
    /// Nothing is proven yet.
    Later {
        /// Why.
        code: String,
        /// Whether surely nothing has left: it is begun anew.
        unsent: bool,
    },
    /// People have to find out.
    Review {
        /// Why.
        code: String,
    },
}

impl RemoteFate {
    /// Whether it holds under any claim: the platform has said what it did.
    fn holds_late(&self) -> bool {
        match self {
            Self::Given { .. } | Self::Turned { .. } | Self::Review { .. } => true,
            Self::NotDone { .. } | Self::Waits { .. } | Self::Later { .. } => false,
        }
    }
}

/// What is to be written down of a call.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The order of the call.
    pub order: OrderId,
    /// Its line.
    pub line: i32,
    /// The fence of the claim.
    pub fence: i64,
    /// What was proven.
    pub fate: RemoteFate,
    /// The listed code with which the platform refused, if it did.
    pub refusal: Option<String>,
    /// What was said.
    pub spoken: Vec<RemoteSaid>,
}

/// One exchange with a platform.
#[derive(Clone, Debug)]
pub struct RemoteSaid {
    /// What was said.
    pub exchange: Exchange,
    /// What it proved, in a word.
    pub outcome: String,
    /// How long before now it began, in service time.
    pub ago: Duration,
}

/// One exchange with a platform, in the clear.
pub struct RemoteWords {
    /// The row.
    pub row: remote_exchange::Model,
    /// What was sent.
    pub request: Vec<u8>,
    /// What came back.
    pub response: Option<Vec<u8>>,
}

impl std::fmt::Debug for RemoteWords {
    /// Without the words, which name a person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RemoteWords({} {})", self.row.id, self.row.name)
    }
}

/// A call with what was said in it, for people.
#[derive(Clone, Debug)]
pub struct RemoteCall {
    /// The row.
    pub row: remote_call::Model,
    /// The exchanges, first to last.
    pub exchanges: Vec<remote_exchange::Model>,
}

impl RemoteCall {
    /// What the request itself was answered, in a word; none: it was not sent, or not noted.
    #[must_use]
    pub fn answer(&self) -> Option<&str> {
        let mut asked = self.exchanges.iter().rev();
        let asked = asked.find(|exchange| exchange.name != LOOK)?;
        Some(&asked.outcome)
    }
}

impl Store {
    /// How many calls are in each state that has not ended, and since when the oldest is there.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn remote_open(&self) -> Result<Vec<(CallState, i64, Option<Timestamp>)>> {
        use remote_call::Column::{CreateTime, State};
        let open = [
            CallState::Queued,
            CallState::Sending,
            CallState::Unknown,
            CallState::Review,
        ];
        let found: Vec<(CallState, i64, Option<Timestamp>)> = remote_call::Entity::find()
            .select_only()
            .column(State)
            .column_as(State.count(), "calls")
            .column_as(CreateTime.min(), "oldest")
            .filter(State.is_in(open))
            .group_by(State)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let of = |state: CallState| found.iter().find(|(other, ..)| *other == state);
        let count = |state| of(state).map_or((state, 0, None), |found| *found);
        Ok(open.map(count).to_vec())
    }

    /// The last exchanges about an order, first to last, in the clear.
    ///
    /// # Errors
    /// ORDER_NOT_FOUND, DATABASE_UNAVAILABLE.
    pub async fn remote_words(
        &self,
        shop: ShopId,
        access: Access,
        by: &ByOrder,
        limit: u64,
    ) -> Result<Vec<RemoteWords>> {
        let order = super::order::find_order(self.reader(), shop, access, by).await?;
        let mut rows = remote_exchange::Entity::find()
            .filter(remote_exchange::Column::OrderId.eq(order.id))
            .order_by_desc(remote_exchange::Column::Id)
            .limit(limit)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        rows.reverse();
        let open = |row: remote_exchange::Model| {
            let open = |what, cipher: &[u8]| {
                let column = column(what, row.order_id, row.line);
                self.keys().open(&column, cipher)
            };
            let heard = row.response_cipher.as_deref();
            Ok(RemoteWords {
                request: open(SAID, &row.request_cipher)?,
                response: heard.map(|cipher| open(HEARD, cipher)).transpose()?,
                row,
            })
        };
        rows.into_iter().map(open).collect()
    }

    /// The calls of an order.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn remote_calls(&self, order: OrderId) -> Result<Vec<RemoteCall>> {
        let rows = remote_call::Entity::find()
            .filter(remote_call::Column::OrderId.eq(order))
            .order_by_asc(remote_call::Column::Line)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let said = remote_exchange::Entity::find()
            .filter(remote_exchange::Column::OrderId.eq(order))
            .order_by_asc(remote_exchange::Column::Id)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let of = |line: i32| said.iter().filter(move |row| row.line == line).cloned();
        let call = |row: remote_call::Model| RemoteCall {
            exchanges: of(row.line).collect(),
            row,
        };
        Ok(rows.into_iter().map(call).collect())
    }
}

/// The associated data of what a call keeps encrypted.
fn column(what: &str, order: OrderId, line: i32) -> String {
    format!("remote {what}/{order}/{line}")
}

/// One give at a time: whose vouchers of which product, without saying so.
fn pair_index(keys: &Keys, account: AccountId, product: &RemoteId, mobile: &Mobile) -> Vec<u8> {
    keys.blind_index(&format!("pair/{account}/{product}"), mobile.expose())
}

fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal("a call is no JSON", e))
}

fn from_json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::internal("a stored call is no JSON", e))
}

/// What makes a call.
struct Begun {
    order: OrderId,
    line: i32,
    shop: ShopId,
    account: AccountId,
    kind: CallKind,
    asked: Asked,
}

impl Begun {
    /// Its row, due at once.
    fn row(self, keys: &Keys, now: Timestamp) -> Result<remote_call::Model> {
        let plain = to_json(&self.asked)?;
        let request = keys.seal(&column("request", self.order, self.line), plain.as_bytes())?;
        Ok(remote_call::Model {
            order_id: self.order,
            line: self.line,
            shop_id: self.shop,
            account_id: self.account,
            kind: self.kind,
            voucher_id: None,
            state: CallState::Queued,
            request_cipher: request,
            codes_cipher: None,
            pair_index: None,
            baseline: None,
            refusal: None,
            last_error: None,
            remote_orders: "[]".to_owned(),
            sent_time: None,
            ended_time: None,
            due_time: Some(now),
            fence: 0,
            tries: 0,
            create_time: now,
            update_time: now,
        })
    }
}

/// What a call asks, in the clear.
fn asked(keys: &Keys, row: &remote_call::Model) -> Result<Asked> {
    let column = column("request", row.order_id, row.line);
    from_json(&keys.open_text(&column, &row.request_cipher)?)
}
