//! Which fault strikes which call: by a queue of one-shot faults, by the openid, by probability.
//!
//! Everything but the queue is a function of (seed, number, n-th call), so that a run can be
//! repeated. The openid decides only about sends: a query does not carry one.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::draw;
use super::fault::Fault;

/// Openids that begin so name a fault: `oSIM-RESET-1`, or `oSIM3-RESET-1` for the first three
/// sends of a number, or `oSIM0-RESET-1` for all of them.
pub(super) const MARK: &str = "oSIM";

/// One protocol's faults, as far as it matters for which call each of them strikes.
pub trait Strike: Copy + Ord {
    /// The name used in openids, flags and JSON.
    fn name(self) -> &'static str;
    fn from_name(name: &str) -> Option<Self>;
    /// How many sends of one number an openid of the form `oSIM-<FAULT>-…` strikes; 0 is every
    /// one.
    fn strikes(self) -> u32;
    /// Whether it can also strike a query.
    fn on_query(self) -> bool;
}

/// The kinds of call that faults tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    Send,
    Query,
}

impl Call {
    fn word(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Query => "query",
        }
    }
}

/// Probabilities in per mille and queued one-shot faults; also the body of `POST /_sim/faults`,
/// where an absent field stays as it is and an empty one is cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultTable<F: Ord = Fault> {
    pub send: Option<BTreeMap<F, u16>>,
    pub query: Option<BTreeMap<F, u16>>,
    /// Each strikes one of the next sends, in this order.
    pub next: Option<VecDeque<F>>,
    /// Each strikes one of the next queries, in this order.
    pub next_query: Option<VecDeque<F>>,
}

impl<F: Ord> Default for FaultTable<F> {
    fn default() -> Self {
        Self {
            send: None,
            query: None,
            next: None,
            next_query: None,
        }
    }
}

/// Why a fault table is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FaultTableError {
    #[error("the probabilities of one kind of call add up to {0} per mille, more than 1000")]
    MoreThanAll(u32),
    #[error("{0} cannot strike a query")]
    NotOnQuery(&'static str),
}

impl<F: Strike> FaultTable<F> {
    /// Adds a probability for sends.
    #[must_use]
    pub fn with_send(mut self, fault: F, per_mille: u16) -> Self {
        self.send
            .get_or_insert_with(BTreeMap::new)
            .insert(fault, per_mille);
        self
    }

    /// Adds a probability for queries.
    #[must_use]
    pub fn with_query(mut self, fault: F, per_mille: u16) -> Self {
        self.query
            .get_or_insert_with(BTreeMap::new)
            .insert(fault, per_mille);
        self
    }

    /// Queues a fault for one of the next sends.
    #[must_use]
    pub fn with_next(mut self, fault: F) -> Self {
        self.next.get_or_insert_with(VecDeque::new).push_back(fault);
        self
    }

    /// Queues a fault for one of the next queries.
    #[must_use]
    pub fn with_next_query(mut self, fault: F) -> Self {
        self.next_query
            .get_or_insert_with(VecDeque::new)
            .push_back(fault);
        self
    }

    fn check(&self) -> Result<(), FaultTableError> {
        for odds in [&self.send, &self.query].into_iter().flatten() {
            let sum = odds.values().map(|&odds| u32::from(odds)).sum();
            if sum > 1000 {
                return Err(FaultTableError::MoreThanAll(sum));
            }
        }
        let on_query = self.query.iter().flat_map(BTreeMap::keys);
        let next = self.next_query.iter().flatten();
        match on_query.chain(next).find(|fault| !fault.on_query()) {
            Some(fault) => Err(FaultTableError::NotOnQuery(fault.name())),
            None => Ok(()),
        }
    }
}

/// The faults in force.
#[derive(Debug)]
pub(super) struct Chaos<F: Ord = Fault> {
    seed: u64,
    table: FaultTable<F>,
}

impl<F: Strike> Chaos<F> {
    pub(super) fn new(seed: u64, table: FaultTable<F>) -> Result<Self, FaultTableError> {
        table.check()?;
        Ok(Self { seed, table })
    }

    pub(super) fn table(&self) -> &FaultTable<F> {
        &self.table
    }

    pub(super) fn change(&mut self, change: FaultTable<F>) -> Result<(), FaultTableError> {
        change.check()?;
        let table = &mut self.table;
        table.send = change.send.or_else(|| table.send.take());
        table.query = change.query.or_else(|| table.query.take());
        table.next = change.next.or_else(|| table.next.take());
        table.next_query = change.next_query.or_else(|| table.next_query.take());
        Ok(())
    }

    /// The fault of the `nth` send of a number to an openid (counted from 1).
    pub(super) fn on_send(&mut self, billno: &str, nth: u32, openid: &str) -> Option<F> {
        take_first(&mut self.table.next)
            .or_else(|| by_openid(openid, nth))
            .or_else(|| self.by_odds(Call::Send, billno, nth))
    }

    /// The fault of the `nth` query for a number.
    pub(super) fn on_query(&mut self, billno: &str, nth: u32) -> Option<F> {
        take_first(&mut self.table.next_query).or_else(|| self.by_odds(Call::Query, billno, nth))
    }

    fn by_odds(&self, call: Call, billno: &str, nth: u32) -> Option<F> {
        let odds = match call {
            Call::Send => self.table.send.as_ref(),
            Call::Query => self.table.query.as_ref(),
        }?;
        let parts = ["fault", call.word(), billno, &nth.to_string()];
        let mut left = draw::below(1000, self.seed, &parts);
        for (fault, &odds) in odds {
            match left.checked_sub(u64::from(odds)) {
                None => return Some(*fault),
                Some(rest) => left = rest,
            }
        }
        None
    }
}

fn take_first<F>(queue: &mut Option<VecDeque<F>>) -> Option<F> {
    queue.as_mut().and_then(VecDeque::pop_front)
}

fn by_openid<F: Strike>(openid: &str, nth: u32) -> Option<F> {
    let mut parts = openid.strip_prefix(MARK)?.splitn(3, '-');
    let count = parts.next()?;
    let fault = F::from_name(parts.next()?)?;
    let strikes = if count.is_empty() {
        fault.strikes()
    } else {
        count.parse().ok()?
    };
    (strikes == 0 || nth <= strikes).then_some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chaos(table: FaultTable) -> Chaos {
        Chaos::new(42, table).unwrap()
    }

    #[test]
    fn an_openid_names_its_fault() {
        let mut chaos = chaos(FaultTable::default());
        assert_eq!(chaos.on_send("n", 1, "oSIM-RESET-1"), Some(Fault::Reset));
        assert_eq!(chaos.on_send("n", 2, "oSIM-RESET-1"), None);
        assert_eq!(chaos.on_send("n", 3, "oSIM3-RESET-1"), Some(Fault::Reset));
        assert_eq!(chaos.on_send("n", 4, "oSIM3-RESET-1"), None);
        assert_eq!(chaos.on_send("n", 99, "oSIM0-RESET-1"), Some(Fault::Reset));
        assert_eq!(
            chaos.on_send("n", 9, "oSIM-NO_AUTH-1"),
            Some(Fault::NoAuth),
            "a refusal of the person strikes every time"
        );
        for openid in [
            "oxTWIuGaIt6gTKsQRLau2M0yL16E",
            "oSIM-",
            "oSIM-NOPE-1",
            "oSIMx-RESET-1",
        ] {
            assert_eq!(chaos.on_send("n", 1, openid), None, "{openid}");
        }
    }

    #[test]
    fn one_shots_come_first_and_once() {
        let mut chaos = chaos(FaultTable::default().with_next(Fault::Dtd));
        assert_eq!(chaos.on_query("n", 1), None);
        assert_eq!(chaos.on_send("n", 1, "oSIM-RESET-1"), Some(Fault::Dtd));
        assert_eq!(chaos.on_send("n", 1, "o"), None);
    }

    #[test]
    fn odds_are_kept_and_can_be_repeated() {
        let table = FaultTable::default()
            .with_send(Fault::Reset, 100)
            .with_send(Fault::Garbage, 50);
        let mut first = chaos(table.clone());
        let mut second = chaos(table);
        let mut hits = BTreeMap::new();
        for n in 0..10_000 {
            let billno = n.to_string();
            let fault = first.on_send(&billno, 1, "o");
            assert_eq!(second.on_send(&billno, 1, "o"), fault);
            *hits.entry(fault).or_insert(0) += 1;
        }
        assert!((900..1100).contains(hits.get(&Some(Fault::Reset)).unwrap()));
        assert!((400..600).contains(hits.get(&Some(Fault::Garbage)).unwrap()));
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let mut chaos = chaos(FaultTable::default().with_send(Fault::Reset, 1000));
        let change: FaultTable = serde_json::from_str(r#"{"query":{"HTML_502":1000}}"#).unwrap();
        chaos.change(change).unwrap();
        assert_eq!(chaos.on_send("n", 1, "o"), Some(Fault::Reset));
        assert_eq!(chaos.on_query("n", 1), Some(Fault::Html502));
        let clear: FaultTable = serde_json::from_str(r#"{"send":{}}"#).unwrap();
        chaos.change(clear).unwrap();
        assert_eq!(chaos.on_send("n", 1, "o"), None);
    }

    #[test]
    fn impossible_tables_are_refused() {
        let table = FaultTable::default()
            .with_send(Fault::Reset, 600)
            .with_send(Fault::Dtd, 600);
        assert_eq!(
            Chaos::new(1, table).unwrap_err(),
            FaultTableError::MoreThanAll(1200)
        );
        let table = FaultTable::default().with_query(Fault::Refund, 1);
        assert_eq!(
            Chaos::new(1, table).unwrap_err(),
            FaultTableError::NotOnQuery("REFUND")
        );
    }
}
