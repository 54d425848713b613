//! The provider's decisions: one request in, one thing to put on the wire out.
//!
//! Order of checks: XML, certificate, signature, fields, then the books. A number is re-entrant:
//! the same parameters give the same result and move money once, another openid is FATAL_ERROR,
//! anything else that differs is PARAM_ERROR. The limits per second are asked before the books are
//! opened, so that what they refuse leaves no line there and uses up no fault. A fault may refuse a
//! call about a stored order, as WeChat does; that changes nothing about the order.

use std::sync::{Mutex, PoisonError};

use super::books::{Accepted, Books, BooksBroken, Change, Entry, Order, Receipt, State};
use super::chaos::{Call, Chaos, FaultTable, FaultTableError};
use super::clock::DAY_MS;
use super::config::Merchant;
use super::fault::{Answer, Echo, Fault, Keep};
use super::fields::Kind;
use super::ids;
use super::limits::Gate;
use super::map::Platform;
use super::open;
use super::plan::{self, Odds};
use super::reply::{self, Refusal};
use super::request::{self, Query, Send};
use super::share;
use super::xml::Elements;

/// A query finds an order for this long.
const QUERY_WINDOW_MS: i64 = 30 * DAY_MS;

/// What goes onto the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Xml(String),
    Json(String),
    Half(String),
    Html502,
    Garbage,
    Huge,
    Dtd,
    /// Say nothing for a while, then close.
    Hold,
    /// Reset the connection.
    Reset,
}

impl Wire {
    /// What is well-formed gets its signature; the rest could not carry one.
    fn signed(self, api_key: &str) -> Self {
        match self {
            Self::Xml(xml) => Self::Xml(reply::signed(xml, api_key)),
            Self::Half(xml) => Self::Half(reply::signed(xml, api_key)),
            Self::Json(_)
            | Self::Html502
            | Self::Garbage
            | Self::Huge
            | Self::Dtd
            | Self::Hold
            | Self::Reset => self,
        }
    }
}

/// One merchant's provider.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) merchant: Merchant,
    pub(super) books: Books,
    chaos: Mutex<Chaos>,
    odds: Odds,
    pub(super) gate: Gate,
    max_shares: u32,
    /// The voucher platform, if there is one.
    pub(super) map: Option<Platform>,
    /// The open platform, if there is one.
    pub(super) open: Option<open::Platform>,
}

/// The outcome of a decision, before a fault garbles it.
type Truth = Result<String, Refusal>;

impl Engine {
    pub(super) fn new(
        merchant: Merchant,
        books: Books,
        chaos: Chaos,
        odds: Odds,
        gate: Gate,
        max_shares: u32,
        map: Option<Platform>,
    ) -> Self {
        Self {
            merchant,
            books,
            chaos: Mutex::new(chaos),
            odds,
            gate,
            max_shares,
            map,
            open: None,
        }
    }

    /// With an open platform.
    pub(super) fn with_open(self, open: Option<open::Platform>) -> Self {
        Self { open, ..self }
    }

    pub(super) fn faults(&self) -> FaultTable {
        self.chaos(|chaos| chaos.table().clone())
    }

    pub(super) fn set_faults(&self, change: FaultTable) -> Result<(), FaultTableError> {
        self.chaos(|chaos| chaos.change(change))
    }

    /// `sendredpack`, `sendgroupredpack`, `sendminiprogramhb`.
    pub(super) async fn send(&self, kind: Kind, body: &[u8], peer: Option<&str>) -> Wire {
        let parse = |elements: &Elements, merchant: &Merchant| {
            Send::parse(kind, elements, merchant, self.max_shares)
        };
        let seal = |wire: Wire| match kind {
            Kind::Normal | Kind::MiniProgram => wire,
            Kind::Group => wire.signed(&self.merchant.api_key),
        };
        let place = self.gate.arrives(Call::Send);
        let decided = self
            .read(body, peer, parse)
            .and_then(|(elements, request)| {
                if !place {
                    let refusal = self.gate.too_often(Call::Send);
                    return Err(seal(refuse(&refusal, Some(&elements))));
                }
                let (wire, receipt) = self
                    .books
                    .change(|change| self.decide_send(change, &request, &elements));
                Ok((seal(wire), receipt))
            });
        once_on_disk(decided).await
    }

    /// `gethbinfo`.
    pub(super) async fn query(&self, body: &[u8], peer: Option<&str>) -> Wire {
        let place = self.gate.arrives(Call::Query);
        let decided = self
            .read(body, peer, Query::parse)
            .and_then(|(elements, request)| {
                if !place {
                    let refusal = self.gate.too_often(Call::Query);
                    return Err(refuse(&refusal, Some(&elements)));
                }
                let decide =
                    |change: &mut Change<'_>| self.decide_query(change, &request, &elements);
                Ok(self.books.change(decide))
            });
        once_on_disk(decided).await
    }

    /// Everything that is checked before the books are opened.
    fn read<T>(
        &self,
        body: &[u8],
        peer: Option<&str>,
        parse: impl Fn(&Elements, &Merchant) -> Result<T, Refusal>,
    ) -> Result<(Elements, T), Wire> {
        let elements =
            Elements::read(body).map_err(|_| refuse(&Refusal::transport("XML_ERROR"), None))?;
        let request = request::authenticate(&elements, &self.merchant, peer)
            .and_then(|()| parse(&elements, &self.merchant));
        match request {
            Ok(request) => Ok((elements, request)),
            Err(refusal) => Err(refuse(&refusal, Some(&elements))),
        }
    }

    fn decide_send(&self, change: &mut Change<'_>, request: &Send, elements: &Elements) -> Wire {
        let mch_billno = &request.mch_billno;
        let nth = change
            .ledger
            .calls(Call::Send, mch_billno)
            .saturating_add(1);
        let fault = self.chaos(|chaos| chaos.on_send(mch_billno, nth, &request.openid));
        note(change, Call::Send, mch_billno, nth, fault);
        let (keep, answer) = effect(fault);
        if let Some(order) = change.ledger.order(mch_billno) {
            if let Err(refusal) = same_order(order, request) {
                return refuse(&refusal, Some(elements));
            }
        } else if keep != Keep::Nothing {
            if let Err(refusal) = self.within_limits(change, request) {
                return refuse(&refusal, Some(elements));
            }
            self.store(change, request, keep);
        }
        change.ledger.remember_openid(mch_billno, &request.openid);
        let order = change.ledger.order(mch_billno);
        let truth = |lie| match order {
            Some(order) => send_result(order, request, lie),
            // Not stored: only an answer that tells no truth gets here.
            None => Err(Refusal::code("SYSTEMERROR")),
        };
        garble(answer, truth, elements)
    }

    /// Whether a new order may be stored.
    fn within_limits(&self, change: &mut Change<'_>, request: &Send) -> Result<(), Refusal> {
        let now_ms = change.now_ms;
        let windows = &mut change.ledger.windows;
        let limits = self.gate.limits();
        let (openid, fen) = (&request.openid_hash, request.amount_fen);
        // The request at hand is counted already, the order is not.
        let requests = i64::from(windows.requests(now_ms));
        let orders = i64::from(windows.orders(now_ms, openid)).saturating_add(1);
        let fen_of_openid = windows.fen_of(now_ms, openid).saturating_add(fen);
        let fen_of_day = windows.fen(now_ms).saturating_add(fen);
        let per_minute = limits.sends_per_minute.map(i64::from);
        let per_openid = limits.packets_per_openid_and_day.map(i64::from);
        let fen_per_openid = limits.fen_per_openid_and_day;
        for (code, limit, count) in [
            ("FREQ_LIMIT", per_minute, requests),
            ("SENDNUM_LIMIT", per_openid, orders),
            ("RCVDAMOUNT_LIMIT", fen_per_openid, fen_of_openid),
            ("SENDAMOUNT_LIMIT", limits.fen_per_day, fen_of_day),
        ] {
            if limit.is_some_and(|limit| count > limit) {
                return Err(self.gate.refusal(code));
            }
        }
        if change.ledger.available_fen() < request.amount_fen {
            return Err(Refusal::code("NOTENOUGH"));
        }
        Ok(())
    }

    fn store(&self, change: &mut Change<'_>, request: &Send, keep: Keep) {
        let at_ms = change.now_ms;
        let mch_billno = &request.mch_billno;
        let seed = self.odds.seed;
        let (shares, package) = match request.kind {
            Kind::Normal => (Vec::new(), None),
            Kind::Group => {
                let (amount_fen, people) = (request.amount_fen, request.total_num);
                (share::split(seed, mch_billno, amount_fen, people), None)
            }
            Kind::MiniProgram => (Vec::new(), Some(ids::package(seed, mch_billno))),
        };
        let Some(plan) = plan::plan(keep, at_ms, mch_billno, shares.len(), self.odds) else {
            return;
        };
        change.record(Entry::Accepted(Box::new(Accepted {
            mch_id: self.merchant.mch_id.clone(),
            mch_billno: mch_billno.clone(),
            openid_hash: request.openid_hash.clone(),
            amount_fen: request.amount_fen,
            remark: request.remark.clone(),
            act_name: request.act_name.clone(),
            wishing: request.wishing.clone(),
            fingerprint: request.fingerprint.clone(),
            send_listid: ids::send_listid(seed, mch_billno, at_ms),
            at_ms,
            visible_at_ms: plan.visible_at_ms,
            processing: plan.processing,
            reason: plan.reason,
            shares,
            package,
            plan: plan.steps,
        })));
        // Pays now where the plan says so: the payment is in the same write as the order.
        change.settle();
    }

    fn decide_query(&self, change: &mut Change<'_>, request: &Query, elements: &Elements) -> Wire {
        let mch_billno = &request.mch_billno;
        let nth = change
            .ledger
            .calls(Call::Query, mch_billno)
            .saturating_add(1);
        let fault = self.chaos(|chaos| chaos.on_query(mch_billno, nth));
        note(change, Call::Query, mch_billno, nth, fault);
        let now_ms = change.now_ms;
        let order = change.ledger.order(mch_billno).filter(|order| {
            let age_ms = now_ms.saturating_sub(order.accepted.at_ms);
            now_ms >= order.accepted.visible_at_ms && age_ms <= QUERY_WINDOW_MS
        });
        let truth = |lie| match order {
            Some(order) => Ok(reply::found(order, lie)),
            None => Err(Refusal::code("NOT_FOUND")),
        };
        let (_, answer) = effect(fault);
        garble(answer, truth, elements)
    }

    fn chaos<T>(&self, with: impl FnOnce(&mut Chaos) -> T) -> T {
        with(&mut self.chaos.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A reply leaves after its lines are on disk; if they cannot be written, none leaves.
async fn once_on_disk(decided: Result<(Wire, Receipt), Wire>) -> Wire {
    match decided {
        Err(refusal) => refusal,
        Ok((wire, receipt)) => match receipt.on_disk().await {
            Ok(()) => wire,
            Err(BooksBroken) => Wire::Reset,
        },
    }
}

fn effect(fault: Option<Fault>) -> (Keep, Answer) {
    fault
        .and_then(Fault::spec)
        .map_or((Keep::Normal, Answer::Truth), |spec| {
            (spec.keep, spec.answer)
        })
}

fn note(change: &mut Change<'_>, call: Call, mch_billno: &str, nth: u32, fault: Option<Fault>) {
    let at_ms = change.now_ms;
    change.record(Entry::Seen {
        call,
        mch_billno: mch_billno.to_owned(),
        nth,
        fault,
        at_ms,
    });
}

fn same_order(order: &Order, request: &Send) -> Result<(), Refusal> {
    let accepted = &order.accepted;
    if accepted.openid_hash != request.openid_hash {
        return Err(Refusal::code("FATAL_ERROR"));
    }
    if accepted.amount_fen != request.amount_fen {
        return Err(Refusal::param("金额和原始单参数不一致"));
    }
    if accepted.fingerprint != request.fingerprint {
        return Err(Refusal::param("参数和原始单不一致"));
    }
    Ok(())
}

/// What a send is told about an order that is stored, however often it asks.
fn send_result(order: &Order, request: &Send, lie: Option<Echo>) -> Truth {
    match order.state {
        State::Failed => Err(Refusal::code("SEND_FAILED")),
        State::Sending if order.accepted.processing && order.paid_at_ms.is_none() => {
            Err(Refusal::code("PROCESSING"))
        }
        State::Sending | State::Sent | State::Received | State::RfundIng | State::Refund => {
            Ok(reply::sent(order, request, lie))
        }
    }
}

fn garble(answer: Answer, truth: impl FnOnce(Option<Echo>) -> Truth, elements: &Elements) -> Wire {
    let written = |truth: Truth| match truth {
        Ok(xml) => xml,
        Err(refusal) => reply::refusal(&refusal, Some(elements)),
    };
    match answer {
        Answer::Truth => Wire::Xml(written(truth(None))),
        Answer::Wrong(echo) => Wire::Xml(written(truth(Some(echo)))),
        Answer::HalfBody => Wire::Half(written(truth(None))),
        Answer::Refused(code) => refuse(&reply::refused(code), Some(elements)),
        Answer::Hold => Wire::Hold,
        Answer::Reset => Wire::Reset,
        Answer::Html502 => Wire::Html502,
        Answer::Garbage => Wire::Garbage,
        Answer::Huge => Wire::Huge,
        Answer::Dtd => Wire::Dtd,
    }
}

fn refuse(refusal: &Refusal, elements: Option<&Elements>) -> Wire {
    Wire::Xml(reply::refusal(refusal, elements))
}
