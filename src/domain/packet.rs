//! What a packet is beside its amount and its texts.

use sea_orm::{DeriveActiveEnum, EnumIter};

/// What kind of red packet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Kind {
    /// One recipient (WeChat Pay: sendredpack).
    Normal,
    /// A group packet, which several people share (WeChat Pay: sendgroupredpack).
    Fission,
    /// One recipient, who opens it in a mini program (WeChat Pay: sendminiprogramhb).
    MiniProgram,
}

impl Kind {
    /// The capability that an account needs for it, if any.
    #[must_use]
    pub fn needs(self) -> Option<Capability> {
        match self {
            Self::Normal => None,
            Self::Fission => Some(Capability::Fission),
            Self::MiniProgram => Some(Capability::MiniProgram),
        }
    }
}

/// What a provider account can do beside sending a packet to one openid.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Capability {
    /// Group packets.
    Fission,
    /// Packets of mini programs.
    MiniProgram,
}

impl Capability {
    /// Its name, as in the contract without prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fission => "FISSION",
            Self::MiniProgram => "MINI_PROGRAM",
        }
    }
}

/// The kind of merchant that pays (seed 001: gateway_type).
#[expect(clippy::enum_variant_names, reason = "the names are seed 001's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum GatewayType {
    /// Mini program.
    WeixinTenpay,
    /// Official account.
    WeixinTenpayJs,
    /// Code to scan.
    WeixinTenpayNative,
    /// App.
    WeixinTenpayApp,
    /// Mobile web.
    WeixinTenpayWap,
}

impl GatewayType {
    /// Its name, as in the contract without prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WeixinTenpay => "WEIXIN_TENPAY",
            Self::WeixinTenpayJs => "WEIXIN_TENPAY_JS",
            Self::WeixinTenpayNative => "WEIXIN_TENPAY_NATIVE",
            Self::WeixinTenpayApp => "WEIXIN_TENPAY_APP",
            Self::WeixinTenpayWap => "WEIXIN_TENPAY_WAP",
        }
    }
}

/// Who share a group packet, at least and at most (easywechat's documentation, WeChat
/// Pay's own pages are gone; the upper bound is that of the former product).
pub const FISSION_NUM: std::ops::RangeInclusive<i32> = 3..=20;

/// What a merchant tells of the recipient's device (sendredpack: `risk_info`). It
/// holds a mobile number: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RiskInfo(String);

impl RiskInfo {
    /// The text: 1 to 127 bytes of printable ASCII without blanks, as urlencoding makes them.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let fits = (1..=127).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(raw.to_owned()))
    }

    /// The text, for the provider and for encryption.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for RiskInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RiskInfo(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_info_is_bounded_and_not_printed() {
        let sample =
            "posttime%3d123123412%26clientversion%3d234134%26mobile%3d122344545%26deviceid%3dIOS";
        let info = RiskInfo::parse(sample).unwrap();
        assert_eq!(info.expose(), sample);
        assert_eq!(format!("{info:?}"), "RiskInfo(…)");
        for bad in ["", "a b", "a\n", "红", &"x".repeat(128)] {
            assert!(RiskInfo::parse(bad).is_none(), "{bad}");
        }
    }
}
