//! What callers ask for, and what they are told.

use super::super::entity::{issuance, issuance_batch};
use super::super::request::Call;
use super::MEMBERS_MAX;
use crate::domain::Fen;
use crate::domain::forecast::Forecast;
use crate::domain::id::{BranchId, CampaignId, GroupId, ShopId};
use crate::domain::packet::{GatewayType, Kind, RiskInfo};
use crate::domain::source::Source;
use crate::domain::text::{Appid, Code, Mobile, Openid, Texts, Uid};
use crate::domain::webhook::ReceiverUrl;

/// One call that asks for packets.
#[derive(Clone, Debug)]
pub struct Command {
    /// The call.
    pub call: Call,
    /// Whose money.
    pub shop: ShopId,
    /// Which campaign; the shop's DIRECT one if none.
    pub campaign: Option<Named>,
    /// Where the packets come from.
    pub source: Source,
    /// Which branch they are attributed to; 0: each to its recipient's.
    pub branch: BranchId,
    /// Who gets them.
    pub wanted: Wanted,
    /// The trace of the call.
    pub traceparent: Option<String>,
}

/// How a campaign is named.
#[derive(Clone, Debug)]
pub enum Named {
    /// By our id.
    Id(CampaignId),
    /// By its code, which is the shop's own name for it.
    Code(Code),
}

/// Who gets packets.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Users of the shop, each once.
    Users {
        /// Whom.
        uids: Vec<Uid>,
        /// The pot of the call, where the campaign divides one.
        pot: Option<Fen>,
    },
    /// Members of groups.
    Groups {
        /// Which, each once.
        groups: Vec<GroupId>,
        /// Whether somebody in several of them gets a packet for each.
        every_group: bool,
        /// The pot of the call, where the campaign divides one.
        pot: Option<Fen>,
    },
    /// Whoever scanned: an openid of the campaign's appid.
    Scan(Openid),
    /// One openid, with all that a single packet can have.
    Single(Box<Single>),
}

/// A single packet.
#[derive(Clone, Debug)]
pub struct Single {
    /// Whose openid.
    pub openid: Openid,
    /// How much, where the campaign leaves it to the caller.
    pub amount: Option<Fen>,
    /// Own texts, where the campaign leaves them to the caller.
    pub texts: Option<Texts>,
    /// What kind of packet.
    pub kind: Kind,
    /// How many people share it.
    pub total_num: i32,
    /// Which appid sends; the campaign's if none.
    pub appid: Option<Appid>,
    /// What chooses the account; the campaign does if none.
    pub gateway: Option<GatewayType>,
    /// What the merchant tells of the recipient's device.
    pub risk_info: Option<RiskInfo>,
    /// The address that the provider is told; the account's if none.
    pub client_ip: Option<String>,
    /// The recipient's mobile number, for an open platform.
    pub mobile: Option<Mobile>,
    /// Where the packet's own events are posted; the endpoint's URL if none.
    pub callback_url: Option<ReceiverUrl>,
}

impl Wanted {
    /// Packets that the size of a common transaction counts.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Users { uids, .. } => uids.len(),
            Self::Groups { .. } => MEMBERS_MAX,
            Self::Scan(_) | Self::Single(_) => 1,
        }
    }

    /// Whether it takes a transaction of its own.
    #[must_use]
    pub fn is_large(&self) -> bool {
        matches!(self, Self::Groups { .. })
    }
}

/// What a command made.
#[derive(Clone, Debug, Default)]
pub struct Issued {
    /// The first batch, for a call that asks for many; the packet's id otherwise.
    pub resource: i64,
    /// Ids of all batches.
    pub batch_ids: Vec<i64>,
    /// Whether an earlier call had made it.
    pub replayed: bool,
    /// The batches as they were accepted; none for a replay or a single packet.
    pub batches: Vec<issuance_batch::Model>,
    /// Packets that were refused alone, the first of them.
    pub refused: Vec<issuance::Model>,
    /// The single packet as it was accepted; none for a replay.
    pub packet: Option<issuance::Model>,
    /// Memberships that were left out, since their people are in an earlier group.
    pub repeated: i64,
    /// For a trial: when the last packet would go out.
    pub forecast: Option<Forecast>,
}
