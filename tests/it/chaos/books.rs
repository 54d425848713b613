//! The provider's side of the audit, from its books file alone.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use hongbao::simulator::{Books, Payment, State, Totals};
use sha2::{Digest as _, Sha256};

use super::journal::Story;

/// What the provider wrote down.
#[derive(Debug)]
pub struct Theirs {
    pub payments: Vec<Payment>,
    pub totals: Totals,
    /// How often each fault struck, "query:" before those of queries.
    pub faults: BTreeMap<String, u64>,
}

impl Theirs {
    pub fn read(path: &Path) -> Self {
        let mut faults = BTreeMap::new();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            if let (Some("seen"), Some(fault)) = (entry["entry"].as_str(), entry["fault"].as_str())
            {
                let of = if entry["call"] == "query" {
                    "query:"
                } else {
                    ""
                };
                *faults.entry(format!("{of}{fault}")).or_default() += 1;
            }
        }
        Self {
            payments: Books::read(path).unwrap(),
            totals: Books::read_totals(path).unwrap(),
            faults,
        }
    }

    /// Recipients that money left for more than once. Each was to get one packet,
    /// so this needs nothing of our database.
    pub fn paid_twice(&self, story: &Story) -> Vec<String> {
        let openids: HashMap<String, String> = story
            .asked
            .values()
            .flat_map(|asked| asked.ask.openids())
            .map(|openid| (hash(&openid), openid))
            .collect();
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        for payment in &self.payments {
            *times.entry(&payment.openid_hash).or_default() += payment.times_paid;
        }
        let name = |hash: &str| openids.get(hash).map_or(hash, String::as_str).to_owned();
        times
            .into_iter()
            .filter(|(hash, times)| *times > 1 || !openids.contains_key(*hash))
            .map(|(hash, times)| format!("{} {times} times", name(hash)))
            .collect()
    }

    /// What recipients have, and what is on its way, in fen.
    pub fn kept(&self) -> (i64, i64) {
        let sum = |wanted: &[State]| -> i64 {
            let of = self.payments.iter().filter(|p| wanted.contains(&p.state));
            of.map(|p| p.amount_fen).sum()
        };
        (
            sum(&[State::Received]),
            sum(&[State::Sending, State::Sent, State::RfundIng]),
        )
    }
}

/// An openid as the provider writes it down.
fn hash(openid: &str) -> String {
    let digest = Sha256::digest(openid.as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
