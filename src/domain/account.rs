//! What a provider account allows.

use super::error::{Error, Reason, Result};
use super::id::AccountId;
use super::machine::Protocol;
use super::money::Fen;
use super::packet::Capability;
use super::text::{MchId, Texts};

/// WeChat Pay's default bounds of one packet, in fen (document 4011974053): outside
/// of them a scene is needed.
pub const SCENE_FREE: std::ops::RangeInclusive<Fen> = Fen(100)..=Fen(20_000);

impl Protocol {
    /// Every protocol with its name in requests, rows and metrics.
    pub const ALL: [(&'static str, Self); 2] =
        [("wechat_pay_v2", Self::WechatPayV2), ("map", Self::Map)];

    /// The protocol of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, protocol)| *protocol)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WechatPayV2 => "wechat_pay_v2",
            Self::Map => "map",
        }
    }

    /// Whether red packets are paid through it; else it gives vouchers.
    #[must_use]
    pub fn pays_packets(self) -> bool {
        match self {
            Self::WechatPayV2 => true,
            Self::Map => false,
        }
    }

    /// The merchant of a name: an app's id where the protocol has apps.
    #[must_use]
    pub fn merchant(self, raw: &str) -> Option<MchId> {
        match self {
            Self::WechatPayV2 => MchId::parse(raw),
            Self::Map => MchId::of_app(raw),
        }
    }

    /// What a merchant's name looks like, for people.
    #[must_use]
    pub fn merchant_rule(self) -> &'static str {
        match self {
            Self::WechatPayV2 => "8 to 10 digits",
            Self::Map => "the app id: 1 to 64 characters of [A-Za-z0-9_.:-]",
        }
    }
}

impl Protocol {
    /// What an account of the protocol can do unless it is told otherwise: WeChat Pay
    /// closed group packets on 2024-06-05.
    #[must_use]
    pub fn capabilities(self) -> Vec<Capability> {
        match self {
            Self::WechatPayV2 => vec![Capability::MiniProgram],
            Self::Map => Vec::new(),
        }
    }
}

/// Whether red packets may be paid through an account.
///
/// # Errors
/// PROVIDER_CAPABILITY: it is one that gives vouchers.
pub fn pays_packets(account: AccountId, protocol: Option<Protocol>) -> Result<()> {
    match protocol {
        Some(protocol) if !protocol.pays_packets() => Err(Error::new(
            Reason::ProviderCapability,
            format!(
                "account {account} speaks {}, which gives vouchers and pays no red packets; take one of WeChat Pay",
                protocol.name()
            ),
        )
        .fact("account_id", account)
        .fact("capability", "RED_PACKET")),
        _ => Ok(()),
    }
}

/// Whether vouchers may live behind an account.
///
/// # Errors
/// PROVIDER_CAPABILITY: it is one that pays red packets.
pub fn gives_vouchers(account: AccountId, protocol: Option<Protocol>) -> Result<()> {
    if protocol == Some(Protocol::Map) {
        return Ok(());
    }
    let name = protocol.map_or("a protocol of another release", Protocol::name);
    let text = format!(
        "account {account} speaks {name}, which gives no vouchers; take one of the protocol map"
    );
    Err(Error::new(Reason::ProviderCapability, text)
        .fact("account_id", account)
        .fact("capability", "VOUCHER"))
}

/// Whether packets of `min..=max` with these texts may go through an account
/// whose packets lie in `account`. Gives the field that is wrong.
///
/// # Errors
/// AMOUNT_OUT_OF_RANGE, SCENE_ID_REQUIRED.
pub fn accepts(
    account: std::ops::RangeInclusive<Fen>,
    min: Fen,
    max: Fen,
    texts: Option<&Texts>,
) -> Result<()> {
    for (path, amount) in [("amount.min_fen", min), ("amount.max_fen", max)] {
        if !account.contains(&amount) {
            return Err(Error::field(
                path,
                Reason::AmountOutOfRange,
                format!(
                    "the account takes {} to {} fen for one packet",
                    account.start().0,
                    account.end().0
                ),
            ));
        }
    }
    let needs_scene = !SCENE_FREE.contains(&min) || !SCENE_FREE.contains(&max);
    match texts {
        Some(texts) if needs_scene && texts.scene_id.is_none() => Err(Error::field(
            "texts.scene_id",
            Reason::SceneIdRequired,
            "an amount outside 1 to 200 yuan needs the scene that WeChat Pay allows it for"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Texts {
        Texts {
            send_name: "s".to_owned(),
            act_name: "a".to_owned(),
            wishing: "w".to_owned(),
            remark: "r".to_owned(),
            scene_id: None,
        }
    }

    #[test]
    fn amounts_lie_within_the_account() {
        let account = Fen(100)..=Fen(20_000);
        assert!(accepts(account.clone(), Fen(100), Fen(20_000), Some(&texts())).is_ok());
        for (min, max) in [(99, 100), (100, 20_001)] {
            let error = accepts(account.clone(), Fen(min), Fen(max), Some(&texts()));
            assert!(error.is_err_and(|e| {
                e.violations
                    .iter()
                    .any(|v| v.reason == Reason::AmountOutOfRange)
            }));
        }
    }

    #[test]
    fn large_amounts_need_a_scene() {
        let error = accepts(Fen(1)..=Fen(50_000), Fen(100), Fen(30_000), Some(&texts()));
        assert!(error.is_err_and(|e| {
            e.violations
                .iter()
                .any(|v| v.reason == Reason::SceneIdRequired)
        }));
    }
}
