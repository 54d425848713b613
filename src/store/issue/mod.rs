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

use sea_orm::{ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter};

use super::Store;
use super::entity::{campaign, issuance, issuance_batch, provider_account};
use super::journal::{Change, insert_all, issuance_entry};
use super::request::{Call, Claimed};
use super::tx::{End, Fault, Tx};
use crate::domain::campaign::{CampaignKind, Standing};
use crate::domain::id::{BatchId, CampaignId, ShopId};
use crate::domain::ledger::Posting;
use crate::domain::source::Source;
use crate::domain::text::{Openid, Texts, Uid};
use crate::domain::{Error, Fen, Reason, Result, State, missing};

mod rows;

use rows::check_fit;

/// One call that asks for packets.
#[derive(Clone, Debug)]
pub struct Command {
    /// The call.
    pub call: Call,
    /// Whose money.
    pub shop: ShopId,
    /// Which campaign; the shop's DIRECT one if none.
    pub campaign: Option<CampaignId>,
    /// Where the packets come from.
    pub source: Source,
    /// Who gets them.
    pub wanted: Wanted,
    /// The trace of the call.
    pub traceparent: Option<String>,
}

/// Who gets packets.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Users of the shop, each once.
    Users(Vec<Uid>),
    /// One openid of the campaign's appid.
    Openid {
        /// Whose.
        openid: Openid,
        /// How much, where the campaign leaves it to the caller.
        amount: Option<Fen>,
        /// Own texts, where the campaign leaves them to the caller.
        texts: Option<Box<Texts>>,
    },
}

impl Wanted {
    fn len(&self) -> usize {
        match self {
            Self::Users(uids) => uids.len(),
            Self::Openid { .. } => 1,
        }
    }
}

/// What a command made.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The batch, for a call that asks for many; the packet's id otherwise.
    pub resource: i64,
    /// Whether an earlier call had made it.
    pub replayed: bool,
    /// The batch as it was accepted; none for a replay or a single packet.
    pub batch: Option<issuance_batch::Model>,
    /// The packets as they were accepted; empty for a replay.
    pub issuances: Vec<issuance::Model>,
}

/// Ids that are leased before the unit begins.
struct Ids {
    batch: i64,
    issuances: Vec<i64>,
}

impl Store {
    /// Accepts packets: each command wholly or not at all, all in one transaction.
    ///
    /// # Errors
    /// For all of them DATABASE_UNAVAILABLE; for each what its rules refuse.
    pub async fn issue(&self, commands: Vec<Command>) -> Result<Vec<Result<Issued>>> {
        let mut ids = Vec::with_capacity(commands.len());
        for command in &commands {
            let issuances = self.ids("issuance", command.wanted.len()).await?;
            let batch = match command.wanted {
                Wanted::Users(_) => self.id("batch").await?,
                Wanted::Openid { .. } => 0,
            };
            ids.push(Ids { batch, issuances });
        }
        let end = if commands.iter().any(|c| c.call.validate_only) {
            End::RollBack
        } else {
            End::Commit
        };
        let shared = Arc::new((commands, ids));
        let store = self.clone();
        let outcomes = self
            .write_or_try(end, move |tx| {
                let (shared, store) = (Arc::clone(&shared), store.clone());
                Box::pin(async move {
                    Unit {
                        tx,
                        store: &store,
                        taken: BTreeMap::new(),
                    }
                    .run(&shared.0, &shared.1)
                    .await
                })
            })
            .await?;
        Ok(outcomes)
    }
}

/// The unit while it runs.
struct Unit<'t> {
    tx: &'t Tx,
    store: &'t Store,
    /// What each campaign has promised within this unit.
    taken: BTreeMap<CampaignId, (Fen, i64)>,
}

/// What a command needs to know of its campaign.
struct Ground {
    campaign: campaign::Model,
    payer: provider_account::Model,
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
        for (id, (sum, count)) in &self.taken {
            if !self.tx.take(*id, *sum, *count, 0).await? {
                return Err(Fault::Again);
            }
        }
        Ok(results.into_values().collect())
    }

    /// One command. What it writes it takes back if a rule refuses it, for the unit
    /// goes on for the others.
    async fn accept(&mut self, command: &Command, ids: &Ids) -> Result<Issued, Fault> {
        let resource = match command.wanted {
            Wanted::Users(_) => ids.batch,
            Wanted::Openid { .. } => ids.issuances.first().copied().unwrap_or(0),
        };
        if let Claimed::Replay { resource, .. } =
            self.tx.claim_request(&command.call, resource, None).await?
        {
            return Ok(Issued {
                resource,
                replayed: true,
                batch: None,
                issuances: Vec::new(),
            });
        }
        match self.prepare(command, ids).await {
            Ok(issued) => {
                self.write(&issued, &command.call.actor).await?;
                Ok(issued)
            }
            Err(Fault::Refused(error)) => {
                self.tx.release_request(&command.call).await?;
                Err(error.into())
            }
            Err(fault) => Err(fault),
        }
    }

    /// Judges a command and makes its rows, without writing them.
    async fn prepare(&mut self, command: &Command, ids: &Ids) -> Result<Issued, Fault> {
        let ground = self.ground(command).await?;
        check_fit(command, &ground)?;
        let standing = self.standing(&ground.campaign);
        standing.open_at(self.tx.now())?;
        let issuances = match &command.wanted {
            Wanted::Users(uids) => self.for_users(command, &ground, uids, ids).await?,
            Wanted::Openid {
                openid,
                amount,
                texts,
            } => {
                vec![self.for_openid(command, &ground, openid, *amount, texts.as_deref(), ids)?]
            }
        };
        let paid: Vec<Fen> = issuances
            .iter()
            .filter(|i| i.state == State::Queued)
            .map(|i| i.amount_fen)
            .collect();
        let count = i64::try_from(paid.len()).unwrap_or(i64::MAX);
        let sum = Fen::checked_sum(paid).ok_or_else(overflow)?;
        standing.affords(sum, count)?;
        if count > 0 {
            let taken = self.taken.entry(ground.campaign.id).or_default();
            *taken = (
                taken.0.checked_add(sum).ok_or_else(overflow)?,
                taken.1 + count,
            );
        }
        let batch = matches!(command.wanted, Wanted::Users(_)).then(|| issuance_batch::Model {
            id: BatchId(ids.batch),
            shop_id: command.shop,
            campaign_id: ground.campaign.id,
            source: command.source,
            requested_count: i64::try_from(issuances.len()).unwrap_or(i64::MAX),
            amount_fen: sum,
            create_time: self.tx.now(),
        });
        let first = issuances.first().map_or(0, |i| i.id.0);
        let resource = batch.as_ref().map_or(first, |b| b.id.0);
        Ok(Issued {
            resource,
            replayed: false,
            batch,
            issuances,
        })
    }

    async fn ground(&self, command: &Command) -> Result<Ground, Fault> {
        let mut query = campaign::Entity::find().filter(campaign::Column::ShopId.eq(command.shop));
        query = match command.campaign {
            Some(id) => query.filter(campaign::Column::Id.eq(id)),
            None => query.filter(campaign::Column::Kind.eq(CampaignKind::Direct)),
        };
        let campaign = query
            .one(self.tx)
            .await?
            .ok_or_else(|| match command.campaign {
                Some(id) => missing::campaign(id),
                None => Error::new(
                    Reason::DirectCampaignMissing,
                    "the shop has no DIRECT campaign; create one, or name a campaign".to_owned(),
                )
                .fact("shop_id", command.shop),
            })?;
        let payer = self
            .tx
            .account_of(command.shop, campaign.account_id)
            .await?;
        Ok(Ground { campaign, payer })
    }

    /// The campaign as it is after what this unit has promised so far.
    fn standing(&self, campaign: &campaign::Model) -> Standing {
        let (sum, count) = self.taken.get(&campaign.id).copied().unwrap_or_default();
        let standing = campaign.standing();
        Standing {
            available: standing.available.checked_sub(sum).unwrap_or(Fen::ZERO),
            issued: standing.issued.saturating_add(count),
            ..standing
        }
    }

    async fn write(&self, issued: &Issued, actor: &str) -> Result<(), Fault> {
        if let Some(batch) = &issued.batch {
            batch
                .clone()
                .into_active_model()
                .reset_all()
                .insert(self.tx)
                .await?;
        }
        let now = self.tx.now();
        let entries = issued.issuances.iter().map(|row| {
            let refused = row.state == State::Failed;
            let change = Change {
                before: row,
                from: None,
                to: row.state,
                kind: if refused { "REFUSED" } else { "ISSUED" },
                reason: row.last_error.clone(),
                posting: if refused {
                    None
                } else {
                    Posting::hold(row.amount_fen)
                },
                seq: 1,
            };
            issuance_entry(change, actor, now)
        });
        let entries: Vec<_> = entries.collect();
        let rows = issued
            .issuances
            .iter()
            .map(|row| row.clone().into_active_model().reset_all())
            .collect();
        insert_all::<issuance::Entity, _>(self.tx, rows).await?;
        self.tx.append(entries).await
    }
}

fn overflow() -> Error {
    Error::field(
        "uids",
        Reason::AmountOverflow,
        "the sum of the packets does not fit".to_owned(),
    )
}
