//! The platform's vouchers and orders: lines of the books, and what they add up to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::MapCall;
use super::fault::MapFault;

/// A voucher as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapVoucher {
    pub voucher_id: String,
    pub order_id: String,
    pub app_order_id: String,
    /// Whose; the number itself is nowhere in the books.
    pub mobile_hash: String,
    pub product: String,
    pub sum_fen: i64,
    pub at_ms: i64,
    pub end_ms: i64,
    /// Until then no list shows it.
    pub visible_at_ms: i64,
    /// The order that spent it, if it is spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_by: Option<String>,
}

/// One voucher of a spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapSpend {
    pub order_id: String,
    pub voucher_id: String,
}

/// One line of the books.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(in super::super) enum Line {
    /// A request that was well-formed and rightly signed.
    Asked {
        call: MapCall,
        nth: u64,
        fault: Option<MapFault>,
        at_ms: i64,
    },
    Given(MapVoucher),
    Spent {
        app_order_id: String,
        vouchers: Vec<MapSpend>,
        at_ms: i64,
    },
    Undone {
        order_ids: Vec<String>,
        at_ms: i64,
    },
}

impl Line {
    pub(in super::super) fn at_ms(&self) -> i64 {
        match self {
            Self::Given(voucher) => voucher.at_ms,
            Self::Asked { at_ms, .. } | Self::Spent { at_ms, .. } | Self::Undone { at_ms, .. } => {
                *at_ms
            }
        }
    }
}

/// Everything that the platform has in its books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MapBook {
    /// In the order in which they were given.
    pub vouchers: Vec<MapVoucher>,
    /// How often each call was made.
    pub calls: BTreeMap<MapCall, u64>,
    /// Spends that were carried out, undone ones among them.
    pub spends: u64,
    /// Undos that were carried out.
    pub undos: u64,
    /// Vouchers given while another one with the same `app_order_id` was there: somebody gave
    /// twice.
    pub double_gives: u64,
}

impl MapBook {
    pub(in super::super) fn apply(&mut self, line: Line) {
        match line {
            Line::Asked { call, .. } => *self.calls.entry(call).or_default() += 1,
            Line::Given(voucher) => {
                let again = |other: &MapVoucher| other.app_order_id == voucher.app_order_id;
                self.double_gives += u64::from(self.vouchers.iter().any(again));
                self.vouchers.push(voucher);
            }
            Line::Spent { vouchers, .. } => {
                self.spends += 1;
                for spend in vouchers {
                    let voucher = self
                        .vouchers
                        .iter_mut()
                        .find(|v| v.voucher_id == spend.voucher_id);
                    if let Some(voucher) = voucher {
                        voucher.spent_by = Some(spend.order_id);
                    }
                }
            }
            Line::Undone { order_ids, .. } => {
                self.undos += 1;
                let undone = |order: &Option<String>| {
                    order
                        .as_ref()
                        .is_some_and(|order| order_ids.contains(order))
                };
                for voucher in self.vouchers.iter_mut().filter(|v| undone(&v.spent_by)) {
                    voucher.spent_by = None;
                }
            }
        }
    }

    /// How often a call was made so far.
    pub(super) fn calls(&self, call: MapCall) -> u64 {
        self.calls.get(&call).copied().unwrap_or(0)
    }

    /// The vouchers of a person that a list shows.
    pub(super) fn listed<'a>(
        &'a self,
        mobile_hash: &'a str,
        now_ms: i64,
    ) -> impl Iterator<Item = &'a MapVoucher> {
        self.vouchers
            .iter()
            .filter(move |v| v.mobile_hash == mobile_hash && v.visible_at_ms <= now_ms)
    }

    pub(super) fn knows_order(&self, order_id: &str) -> bool {
        let order = Some(order_id.to_owned());
        self.vouchers.iter().any(|v| v.spent_by == order)
    }
}
