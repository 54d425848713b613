//! The gate of a claim: the breakers that packets about to be sent must pass, one by one.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::Condition;

use super::super::entity::issuance;
use super::super::entity::money_breaker::Model;
use super::super::tx::{Fault, Tx};
use super::Trip;
use crate::domain::id::AccountId;
use crate::domain::plan::{Scope, overspent};
use crate::domain::{State, Timestamp};

/// The breakers that packets about to be sent must pass, while they are looked at.
#[derive(Debug)]
pub(in crate::store) struct Gate {
    now: Timestamp,
    breakers: BTreeMap<(Scope, i64), Model>,
    trips: BTreeMap<(Scope, i64), String>,
}

impl Gate {
    /// Lets a packet out, or holds it back. What goes out again under its number was
    /// counted before. The first packet that does not fit trips its breaker, which then
    /// holds back all that come behind.
    pub(in crate::store) fn admits(&mut self, row: &issuance::Model) -> bool {
        if self.breakers.is_empty() {
            return true;
        }
        let account = (Scope::Account, row.account_id.0);
        let campaign = (Scope::Campaign, row.campaign_id.0);
        if row.state != State::Queued {
            return !self.holds_back(account);
        }
        if self.holds_back(account) || self.holds_back(campaign) {
            return false;
        }
        let mut spent = Vec::with_capacity(2);
        for key in [account, campaign] {
            let Some(breaker) = self.breakers.get(&key) else {
                continue;
            };
            let plan = breaker.plan();
            let Some(until) = plan.spend(breaker.spent_until, row.amount_fen, self.now) else {
                let ahead = plan.ahead(breaker.spent_until, self.now);
                self.trips
                    .insert(key, overspent(&plan, row.amount_fen, ahead));
                return false;
            };
            spent.push((key, until));
        }
        for (key, until) in spent {
            if let Some(breaker) = self.breakers.get_mut(&key) {
                breaker.spent_until = until;
            }
        }
        true
    }

    fn holds_back(&self, key: (Scope, i64)) -> bool {
        let tripped = |breaker: &Model| breaker.trip_time.is_some();
        self.trips.contains_key(&key) || self.breakers.get(&key).is_some_and(tripped)
    }
}

impl Tx {
    /// The breakers that packets about to be sent must pass.
    pub(in crate::store) async fn gate(
        &self,
        account: AccountId,
        rows: &[issuance::Model],
    ) -> Result<Gate, Fault> {
        let queued = rows.iter().filter(|row| row.state == State::Queued);
        let mut keys: BTreeSet<(Scope, i64)> = queued
            .map(|row| (Scope::Campaign, row.campaign_id.0))
            .collect();
        keys.insert((Scope::Account, account.0));
        Ok(Gate {
            now: self.now(),
            breakers: self
                .lock_breakers(keys.into_iter(), Condition::all())
                .await?,
            trips: BTreeMap::new(),
        })
    }

    /// Writes down what has passed a gate, and trips what was to be held back. Called
    /// behind all else that the unit writes, since a campaign's row comes last.
    pub(in crate::store) async fn close_gate(&self, gate: Gate) -> Result<Vec<Trip>, Fault> {
        for breaker in gate.breakers.values() {
            self.keep_breaker(breaker).await?;
        }
        let trips = gate.trips.into_iter();
        let trips: Vec<Trip> = trips
            .map(|((scope, subject), why)| Trip {
                scope,
                subject,
                why,
            })
            .collect();
        self.trip(&trips).await?;
        Ok(trips)
    }
}
