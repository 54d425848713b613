//! The transaction that accepts packets.
//!
//! It takes a slice of commands, so that one call for a thousand users and a
//! thousand calls for one user each are the same single transaction. In it, in this
//! order: request ids are claimed; recipients are resolved; amounts and numbers are
//! derived; rows and journal entries are written; and last, each campaign's money
//! is taken by one conditional UPDATE. If that finds less than was there a moment
//! ago, the whole unit runs again. Nothing here waits for a network.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Store;
use super::entity::{campaign, issuance, provider_account};
use super::request::Claimed;
use super::tx::{End, Fault, Tx};
use super::usage::Uses;
use crate::domain::approval::{Need, Rule};
use crate::domain::campaign::Standing;
use crate::domain::cap::{Caps, Owner};
use crate::domain::id::{CampaignId, ShopId};
use crate::domain::{Error, Fen, Reason, Result};

mod caps;
mod command;
mod forecast;
mod ground;
mod many;
mod people;
mod rows;
mod scan;
mod single;

pub use command::{Command, Issued, Named, Single, Wanted};
use many::Many;
pub(super) use single::{callback_column, mobile_column, risk_info_column};

/// Members of one call at most.
pub const MEMBERS_MAX: usize = 100_000;
/// Packets refused alone that a result names at most.
const REFUSED_SHOWN: usize = 1_000;
/// Groups may grow by this much, and a fiftieth, between the look at them and the transaction.
const GROWTH: usize = 16;

/// Ids that are leased before the unit begins.
#[derive(Debug)]
struct Ids {
    batches: Vec<i64>,
    issuances: Vec<i64>,
    recipient: i64,
}

impl Store {
    /// Accepts packets: each command wholly or not at all, all in one transaction.
    ///
    /// # Errors
    /// For all of them DATABASE_UNAVAILABLE; for each what its rules refuse.
    pub async fn issue(&self, commands: Vec<Command>) -> Result<Vec<Result<Issued>>> {
        let mut ids = Vec::with_capacity(commands.len());
        for command in &commands {
            ids.push(self.issue_ids(command.shop, &command.wanted).await?);
        }
        let end = if commands.iter().any(|c| c.call.validate_only) {
            End::RollBack
        } else {
            End::Commit
        };
        let shared = Arc::new((commands, ids));
        let store = self.clone();
        self.write_or_try(end, move |tx| {
            let (shared, store) = (Arc::clone(&shared), store.clone());
            Box::pin(async move {
                let unit = Unit {
                    tx,
                    store: &store,
                    taken: Taken::default(),
                };
                unit.run(&shared.0, &shared.1).await
            })
        })
        .await
    }

    async fn issue_ids(&self, shop: ShopId, wanted: &Wanted) -> Result<Ids> {
        let (batches, issuances) = match wanted {
            Wanted::Users { uids, .. } => (1, uids.len()),
            Wanted::Groups { groups, .. } => {
                let members = self.members_of(shop, groups).await?;
                (
                    groups.len(),
                    members.min(MEMBERS_MAX) + members / 50 + GROWTH,
                )
            }
            Wanted::Scan(_) | Wanted::Single(_) => (0, 1),
        };
        let recipient = match wanted {
            Wanted::Scan(_) | Wanted::Single(_) => self.id("recipient").await?,
            Wanted::Users { .. } | Wanted::Groups { .. } => 0,
        };
        Ok(Ids {
            batches: self.ids("batch", batches).await?,
            issuances: self.ids("issuance", issuances).await?,
            recipient,
        })
    }
}

/// What a replay answers that is not read from the rows.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    batch_ids: Vec<i64>,
    repeated: i64,
}

impl Kept {
    fn to_json(&self) -> Result<Option<String>> {
        if self.batch_ids.is_empty() {
            return Ok(None);
        }
        let json = serde_json::to_string(self);
        json.map(Some)
            .map_err(|e| Error::internal("a reply is no JSON", e))
    }

    fn from_json(kept: Option<&str>) -> Result<Self> {
        let Some(json) = kept else {
            return Ok(Self::default());
        };
        serde_json::from_str(json).map_err(|e| Error::internal("a kept reply is no JSON", e))
    }
}

/// The unit while it runs.
struct Unit<'t> {
    tx: &'t Tx,
    store: &'t Store,
    taken: Taken,
}

/// What was promised within a unit.
#[derive(Default)]
struct Taken {
    /// Of each campaign's money and stock.
    money: BTreeMap<CampaignId, (Fen, i64)>,
    /// Of its caps.
    uses: Uses,
    /// The caps that it was promised under, as they were read.
    caps: BTreeMap<Owner, Caps>,
}

/// What a command is to write.
enum Prepared {
    Many(Box<Many>),
    One {
        packet: Box<issuance::Model>,
        /// Whether its recipient is to be made: the shop did not know the openid.
        newcomer: bool,
    },
    /// The packet that an earlier scan had made.
    Known(Box<issuance::Model>),
}

impl Unit<'_> {
    async fn run(
        mut self,
        commands: &[Command],
        ids: &[Ids],
    ) -> Result<Vec<Result<Issued>>, Fault> {
        let mut order: Vec<(usize, &Command, &Ids)> = commands
            .iter()
            .zip(ids)
            .enumerate()
            .map(|(i, (command, ids))| (i, command, ids))
            .collect();
        // One order for all units, or two with the same calls would lock each other out.
        order.sort_by(|a, b| {
            (a.1.call.app, &a.1.call.request).cmp(&(b.1.call.app, &b.1.call.request))
        });
        let mut results: BTreeMap<usize, Result<Issued>> = BTreeMap::new();
        for (index, command, ids) in order {
            let result = match self.accept(command, ids).await {
                Ok(issued) => Ok(issued),
                Err(Fault::Refused(error)) => Err(error),
                Err(fault) => return Err(fault),
            };
            results.insert(index, result);
        }
        let Taken { money, uses, caps } = &self.taken;
        if !self.tx.count_uses(uses, caps).await? {
            return Err(Fault::Again);
        }
        for (id, (sum, count)) in money {
            let caps = caps.get(&Owner::Campaign(*id)).cloned().unwrap_or_default();
            if !self.tx.take(*id, *sum, *count, 0, &caps).await? {
                return Err(Fault::Again);
            }
        }
        Ok(results.into_values().collect())
    }

    /// One command. What it writes it takes back if a rule refuses it, for the unit
    /// goes on for the others.
    async fn accept(&mut self, command: &Command, ids: &Ids) -> Result<Issued, Fault> {
        let first = ids.batches.first().or(ids.issuances.first());
        let resource = first.copied().unwrap_or(0);
        let mut kept = Kept {
            batch_ids: ids.batches.clone(),
            repeated: 0,
        };
        let claimed = self
            .tx
            .claim_request(&command.call, resource, kept.to_json()?)
            .await?;
        if let Claimed::Replay { resource, reply } = claimed {
            let kept = Kept::from_json(reply.as_deref())?;
            return Ok(Issued {
                resource,
                batch_ids: kept.batch_ids,
                repeated: kept.repeated,
                replayed: true,
                ..Issued::default()
            });
        }
        match self.prepare(command, ids).await {
            Ok((prepared, payer)) => {
                let forecast = match command.call.validate_only {
                    true => Some(self.forecast(command, &payer, &prepared).await?),
                    false => None,
                };
                let mut issued = self.write(command, prepared, ids).await?;
                issued.forecast = forecast;
                if issued.repeated > 0 {
                    kept.repeated = issued.repeated;
                    let json = kept.to_json()?;
                    self.tx.keep_reply(&command.call, json).await?;
                }
                Ok(issued)
            }
            Err(Fault::Refused(error)) => {
                self.tx.release_request(&command.call).await?;
                Err(error.into())
            }
            Err(fault) => Err(fault),
        }
    }

    /// Judges a command, without writing anything. All that refuses it is told at once.
    async fn prepare(
        &mut self,
        command: &Command,
        ids: &Ids,
    ) -> Result<(Prepared, provider_account::Model), Fault> {
        let mut ground = self.ground(command).await?;
        let mut refusals = std::mem::take(&mut ground.refusals);
        let standing = self.standing(&ground);
        refusals.extend(self.tx.closed(&standing).await?);
        let (campaign, caps) = (ground.campaign.clone(), ground.caps.clone());
        let payer = ground.payer.clone();
        let prepared = match self.who(command, ground, ids).await {
            Err(Fault::Refused(error)) => {
                refusals.push(error);
                return Err(refused(refusals));
            }
            prepared => prepared?,
        };
        let (sum, count) = match &prepared {
            Prepared::Many(many) => {
                if many.packets() > ids.issuances.len() {
                    let text = "a group is growing right now; repeat the call".to_owned();
                    return Err(Error::new(Reason::ConcurrentUpdate, text).into());
                }
                (many.sum()?, many.accepted())
            }
            Prepared::One { packet, .. } => (packet.amount_fen, 1),
            // Who has his packet gets it back also from a campaign that is over.
            Prepared::Known(_) => return Ok((prepared, payer)),
        };
        refusals.extend(standing.affords(sum, count));
        let uses = self.uses(command, &campaign, &prepared)?;
        self.judge_caps(&caps, &prepared, &uses, &mut refusals)
            .await?;
        if let Some(need) = above(command, &campaign, sum, count) {
            let look = !refusals.is_empty();
            refusals.extend(self.tx.approved(&command.call, &need, look).await?);
        }
        if !refusals.is_empty() {
            return Err(refused(refusals));
        }
        if count > 0 {
            let taken = self.taken.money.entry(campaign.id).or_default();
            let total = taken.0.checked_add(sum).ok_or_else(overflow)?;
            *taken = (total, taken.1 + count);
            self.taken.uses.absorb(uses)?;
            self.taken.caps.insert(Owner::Campaign(campaign.id), caps);
        }
        Ok((prepared, payer))
    }

    /// Who is to get what.
    async fn who(
        &self,
        command: &Command,
        ground: ground::Ground,
        ids: &Ids,
    ) -> Result<Prepared, Fault> {
        Ok(match &command.wanted {
            Wanted::Users { uids, pot } => {
                Prepared::Many(Box::new(self.to_users(command, ground, uids, *pot).await?))
            }
            Wanted::Groups {
                groups,
                every_group,
                pot,
            } => {
                let many = self.to_groups(command, ground, groups, *every_group, *pot);
                Prepared::Many(Box::new(many.await?))
            }
            Wanted::Single(single) => self.to_openid(command, &ground, single, ids).await?,
            Wanted::Scan(openid) => self.to_scanner(command, &ground, openid, ids).await?,
        })
    }

    /// The campaign as it is after what this unit has promised so far.
    fn standing(&self, ground: &ground::Ground) -> Standing {
        let (sum, count) = self
            .taken
            .money
            .get(&ground.campaign.id)
            .copied()
            .unwrap_or_default();
        let standing = ground.campaign.standing();
        Standing {
            available: standing.available.checked_sub(sum).unwrap_or(Fen::ZERO),
            issued: standing.issued.saturating_add(count),
            ..standing
        }
    }
}

/// What a send needs a second person for.
fn above(command: &Command, campaign: &campaign::Model, sum: Fen, count: i64) -> Option<Need> {
    let bound = campaign.approve_send_above_fen?;
    let summary = format!(
        "send {count} packets, {sum} yuan together, of campaign {}",
        campaign.code
    );
    (sum > bound).then(|| Need {
        campaign: Some(campaign.id),
        count,
        amount: sum,
        ..Need::new(Rule::SendAbove, Some(command.shop), summary)
    })
}

fn refused(refusals: Vec<Error>) -> Fault {
    let bug = || Error::internal("a refusal without reason", "issue");
    Error::all(refusals).unwrap_or_else(bug).into()
}

fn overflow() -> Error {
    Error::field(
        "amount_fen",
        Reason::AmountOverflow,
        "the sum of the packets does not fit".to_owned(),
    )
}
