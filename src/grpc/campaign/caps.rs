//! Caps between the contract and the domain.

use std::collections::BTreeMap;

use super::{Fields, convert, pb};
use crate::domain::cap::{Cap, Caps, Scope};
use crate::domain::money::BUDGET_MAX;
use crate::domain::{Fen, Reason};
use crate::store::entity::cap_usage;

/// Branches with a bound of their own, at most.
const BRANCHES_MAX: usize = 1_000;
/// The largest bound on a number of packets.
const COUNT_MAX: i64 = 1_000_000_000;

/// The caps of a campaign; none at all where they are absent.
pub(in crate::grpc) fn parse(fields: &mut Fields, raw: Option<&pb::CampaignCaps>) -> Option<Caps> {
    let Some(raw) = raw else {
        return Some(Caps::default());
    };
    let recipient = parse_cap(fields, raw.recipient.as_ref(), "caps.recipient");
    let recipient_day = parse_cap(fields, raw.recipient_day.as_ref(), "caps.recipient_day");
    let day = parse_cap(fields, raw.day.as_ref(), "caps.day");
    if raw.branches.len() > BRANCHES_MAX {
        let text = format!("{}; at most {BRANCHES_MAX}", raw.branches.len());
        fields.bad("caps.branches", Reason::BatchTooLarge, text);
        return None;
    }
    let mut branches = BTreeMap::new();
    for (index, raw) in raw.branches.iter().enumerate() {
        let path = format!("caps.branches[{index}]");
        let branch = fields.branch(raw.shop_sub_id, &format!("{path}.shop_sub_id"));
        let cap = parse_cap(fields, raw.cap.as_ref(), &format!("{path}.cap"));
        let (Some(branch), Some(cap)) = (branch, cap) else {
            continue;
        };
        if cap.is_none() {
            let text = "required: a count or an amount_fen";
            fields.bad(format!("{path}.cap"), Reason::FieldRequired, text);
        }
        if branches.insert(branch, cap).is_some() {
            let text = "stands more than once";
            fields.bad(path, Reason::DuplicateItem, text);
        }
    }
    Some(Caps {
        recipient: recipient?,
        recipient_day: recipient_day?,
        day: day?,
        branches,
    })
}

fn parse_cap(fields: &mut Fields, raw: Option<&pb::Cap>, path: &str) -> Option<Cap> {
    let Some(raw) = raw else {
        return Some(Cap::default());
    };
    let count = fields.within(raw.count, &format!("{path}.count"), 0, COUNT_MAX);
    let most = BUDGET_MAX.0;
    let sum = fields.within(raw.amount_fen, &format!("{path}.amount_fen"), 0, most);
    Some(Cap {
        count: Some(count?).filter(|count| *count > 0),
        sum: Some(Fen(sum?)).filter(|sum| *sum > Fen::ZERO),
    })
}

pub(in crate::grpc) fn render(caps: &Caps) -> pb::CampaignCaps {
    pb::CampaignCaps {
        recipient: render_cap(caps.recipient),
        recipient_day: render_cap(caps.recipient_day),
        day: render_cap(caps.day),
        branches: caps
            .branches
            .iter()
            .map(|(branch, cap)| pb::BranchCap {
                shop_sub_id: branch.0,
                cap: render_cap(*cap),
            })
            .collect(),
    }
}

fn render_cap(cap: Cap) -> Option<pb::Cap> {
    (!cap.is_none()).then(|| pb::Cap {
        count: cap.count.unwrap_or(0),
        amount_fen: cap.sum.map_or(0, |sum| sum.0),
    })
}

pub(super) fn usage(caps: &Caps, row: &cap_usage::Model) -> pb::CapUsage {
    pb::CapUsage {
        scope: convert::cap_scope(row.scope),
        shop_sub_id: if row.scope == Scope::Branch {
            row.subject
        } else {
            0
        },
        used_count: row.used_count,
        used_fen: row.used_fen.0,
        cap: render_cap(caps.of(&row.key())),
    }
}
