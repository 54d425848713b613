//! What a provider account allows.

use super::error::{Error, Reason, Result};
use super::id::AccountId;
use super::money::Fen;
use super::protocol::Protocol;
use super::text::Texts;

/// WeChat Pay's default bounds of one packet, in fen (document 4011974053): outside
/// of them a scene is needed.
pub const SCENE_FREE: std::ops::RangeInclusive<Fen> = Fen(100)..=Fen(20_000);

/// How an account speaks that red packets may be paid through.
///
/// # Errors
/// PROVIDER_CAPABILITY: it is one that gives vouchers, or of another release.
pub fn pays_packets(account: AccountId, protocol: Option<Protocol>) -> Result<Protocol> {
    if let Some(protocol) = protocol.filter(|protocol| protocol.pays_packets()) {
        return Ok(protocol);
    }
    let speaks = match protocol {
        Some(protocol) => format!(
            "{}, which gives vouchers and pays no red packets",
            protocol.name()
        ),
        None => "a protocol that this release does not know".to_owned(),
    };
    let text = format!("account {account} speaks {speaks}; take one that pays them");
    Err(Error::new(Reason::ProviderCapability, text)
        .fact("account_id", account)
        .fact("capability", "RED_PACKET"))
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
