//! Caps: who has had as much as one may get, and whether day and branches hold more.

use std::collections::BTreeMap;

use super::super::entity::campaign;
use super::super::tx::Fault;
use super::super::usage::{Counted, Uses};
use super::ground::Ground;
use super::many::Part;
use super::{Command, Prepared, Unit};
use crate::domain::cap::{Caps, Owner, Scope, UsageKey, Used};
use crate::domain::id::{BranchId, RecipientId};
use crate::domain::{Error, Fen, Result};

impl Unit<'_> {
    /// Notes who would get more than one may. Somebody who is in several groups of
    /// the call counts for each packet that he would get.
    pub(super) async fn cap_people(
        &self,
        ground: &Ground,
        parts: &mut [Part],
    ) -> Result<(), Fault> {
        if !ground.caps.bound_people() {
            return Ok(());
        }
        let day = self.tx.now().beijing_day();
        let owner = Owner::Campaign(ground.campaign.id);
        let people: Vec<RecipientId> = parts
            .iter()
            .flat_map(|part| part.accepted().filter_map(|(_, person)| person.recipient))
            .collect();
        let used = self.tx.used_by(owner, day, &people).await?;
        let mut within = Uses::default();
        for part in parts {
            for (person, amount) in part.people.iter_mut().zip(&part.amounts) {
                let (Some(recipient), None) = (person.recipient, person.refusal()) else {
                    continue;
                };
                let keys = of_person(ground, day, recipient, *amount);
                let fits = keys.clone().all(|key| {
                    let more = Used::one(*amount);
                    let before = self.before(&key, &used, &within);
                    before.is_some_and(|before| ground.caps.of(&key).allows(before, more))
                });
                if fits {
                    keys.clone()
                        .try_for_each(|key| within.add_to(key, Used::one(*amount)))?;
                } else {
                    person.over_cap = true;
                }
            }
        }
        Ok(())
    }

    /// What is used under a key: written down, promised in this unit, and so far in this command.
    fn before(
        &self,
        key: &UsageKey,
        used: &BTreeMap<UsageKey, Used>,
        within: &Uses,
    ) -> Option<Used> {
        let used = used.get(key).copied().unwrap_or_default();
        used.plus(self.taken.uses.get(key))?.plus(within.get(key))
    }

    /// What a command's packets count under.
    pub(super) fn uses(
        &self,
        command: &Command,
        campaign: &campaign::Model,
        prepared: &Prepared,
    ) -> Result<Uses> {
        let mut uses = Uses::default();
        match prepared {
            Prepared::Many(many) => {
                for (person, amount) in many.held() {
                    let branch = match command.branch.0 {
                        0 => BranchId(person.branch),
                        _ => command.branch,
                    };
                    uses.add(Counted {
                        owner: Owner::Campaign(campaign.id),
                        day: self.tx.now().beijing_day(),
                        branch: Some(branch),
                        recipient: person.recipient.filter(|_| campaign.counts_recipients),
                        amount,
                    })?;
                }
            }
            Prepared::One { packet, .. } => {
                if let Some(counted) = Counted::of(packet, campaign.counts_recipients) {
                    uses.add(counted)?;
                }
            }
            Prepared::Known(_) => {}
        }
        Ok(uses)
    }

    /// Whether the caps hold a command: day and branches, and for a single packet the
    /// person too; of many, each was judged for himself.
    pub(super) async fn judge_caps(
        &self,
        caps: &Caps,
        prepared: &Prepared,
        uses: &Uses,
        refusals: &mut Vec<Error>,
    ) -> Result<(), Fault> {
        let alone = matches!(prepared, Prepared::One { .. });
        for (key, more) in uses.iter() {
            let of_person = matches!(key.scope, Scope::Recipient | Scope::RecipientDay);
            if caps.of(key).is_none() || (of_person && !alone) {
                continue;
            }
            let used = self.tx.used(key).await?;
            let used = used.plus(self.taken.uses.get(key));
            let used = used.ok_or_else(|| Error::internal("a sum does not fit", "caps"))?;
            refusals.extend(caps.refusal(key, used, *more));
        }
        Ok(())
    }
}

/// The counters of a person that a packet moves.
fn of_person(
    ground: &Ground,
    day: i64,
    recipient: RecipientId,
    amount: Fen,
) -> impl Iterator<Item = UsageKey> + Clone {
    let counted = Counted {
        owner: Owner::Campaign(ground.campaign.id),
        day,
        branch: None,
        recipient: Some(recipient),
        amount,
    };
    let of_person = |key: &UsageKey| matches!(key.scope, Scope::Recipient | Scope::RecipientDay);
    let keys: Vec<UsageKey> = counted.keys().filter(of_person).collect();
    keys.into_iter()
}
