//! The wire protocols of providers, and what differs between them.

use std::time::Duration;

use super::packet::Capability;
use super::state::State;
use super::text::MchId;

/// The wire protocol of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// WeChat Pay V2 cash red packets: `sendredpack` and `gethbinfo`.
    WechatPayV2,
    /// An open platform (seed 003): an aggregator that takes orders of red packets.
    OpenPlatform,
    /// MAP, a voucher platform (seed 002). It gives vouchers and pays no packets.
    Map,
}

impl Protocol {
    /// Every protocol with its name in requests, rows and metrics.
    pub const ALL: [(&'static str, Self); 3] = [
        ("wechat_pay_v2", Self::WechatPayV2),
        ("open_platform", Self::OpenPlatform),
        ("map", Self::Map),
    ];

    /// The protocol of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, protocol)| *protocol)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WechatPayV2 => "wechat_pay_v2",
            Self::OpenPlatform => "open_platform",
            Self::Map => "map",
        }
    }

    /// Whether red packets are paid through it; else it gives vouchers.
    #[must_use]
    pub fn pays_packets(self) -> bool {
        match self {
            Self::WechatPayV2 | Self::OpenPlatform => true,
            Self::Map => false,
        }
    }

    /// Whether the recipient sees the texts of the campaign, and an amount may need a scene:
    /// WeChat Pay takes both from us, an open platform from its template.
    #[must_use]
    pub fn shows_texts(self) -> bool {
        match self {
            Self::WechatPayV2 => true,
            Self::OpenPlatform | Self::Map => false,
        }
    }

    /// The merchant of a name: an app's or a merchant's id of another alphabet where the
    /// protocol has them.
    #[must_use]
    pub fn merchant(self, raw: &str) -> Option<MchId> {
        match self {
            Self::WechatPayV2 => MchId::parse(raw),
            Self::OpenPlatform | Self::Map => MchId::of_app(raw),
        }
    }

    /// What a merchant's name looks like, for people.
    #[must_use]
    pub fn merchant_rule(self) -> &'static str {
        match self {
            Self::WechatPayV2 => "8 to 10 digits",
            Self::OpenPlatform => "the merchantId: 1 to 64 characters of [A-Za-z0-9_.:-]",
            Self::Map => "the app id: 1 to 64 characters of [A-Za-z0-9_.:-]",
        }
    }

    /// What an account of the protocol can do unless it is told otherwise: WeChat Pay closed
    /// group packets on 2024-06-05, and an open platform never had any.
    #[must_use]
    pub fn capabilities(self) -> Vec<Capability> {
        match self {
            Self::WechatPayV2 => vec![Capability::MiniProgram],
            Self::OpenPlatform | Self::Map => Vec::new(),
        }
    }

    /// Whether its accounts can be given capabilities at all.
    #[must_use]
    pub fn has_capabilities(self) -> bool {
        self == Self::WechatPayV2
    }

    /// What a merchant order number begins with. WeChat Pay wants the merchant's id there; an
    /// open platform takes any number, and its merchant's id may be longer than a number is.
    #[must_use]
    pub fn number_prefix(self, mch_id: &MchId) -> &str {
        match self {
            Self::WechatPayV2 | Self::Map => mch_id.as_str(),
            Self::OpenPlatform => "",
        }
    }

    /// A refusal is confirmed by a query no earlier than this. WeChat Pay asks to wait 20
    /// minutes before a query's answer counts (PROCESSING, document 4011974053); an open
    /// platform names no time, so it is given one.
    #[must_use]
    pub fn confirm_after(self) -> Duration {
        match self {
            Self::WechatPayV2 | Self::Map => Duration::from_secs(20 * 60),
            Self::OpenPlatform => Duration::from_secs(60),
        }
    }

    /// Whether nothing more happens to a packet in this state by itself. An open platform does
    /// not say whether a packet was taken: that it was sent is the last that it tells.
    #[must_use]
    pub fn ends(self, state: State) -> bool {
        state.is_final() || (self == Self::OpenPlatform && state == State::Sent)
    }
}
