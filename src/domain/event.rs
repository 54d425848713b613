//! What is told of what happened: the names of events and of their kinds.

use sea_orm::{DeriveActiveEnum, EnumIter};

use super::id::ShopId;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Aggregate {
    /// A packet.
    Issuance,
    /// A campaign.
    Campaign,
    /// A voucher product.
    Product,
    /// A voucher.
    Voucher,
    /// A webhook endpoint.
    Endpoint,
}

impl Aggregate {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Issuance,
        Self::Campaign,
        Self::Product,
        Self::Voucher,
        Self::Endpoint,
    ];

    /// The word that event types begin with.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Issuance => "issuance",
            Self::Campaign => "campaign",
            Self::Product => "product",
            Self::Voucher => "voucher",
            Self::Endpoint => "endpoint",
        }
    }

    /// All that can happen to it, as in rows. `docs/events.md` says what each is.
    #[must_use]
    pub fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Issuance => &[
                "ISSUED",
                "REFUSED",
                "SENDING",
                "UNKNOWN",
                "REVIEW",
                "SENT",
                "CHARGED",
                "RECEIVED",
                "REFUNDING",
                "REFUNDED",
                "FAILED",
                "CANCELLED",
                "RESENT",
                "CONTRADICTION",
                "REVIEW_CLOSED",
            ],
            Self::Campaign => &[
                "CREATED",
                "UPDATED",
                "ACTIVATED",
                "PAUSED",
                "ENDED",
                "FUNDED",
                "DEFUNDED",
                "TRIPPED",
            ],
            Self::Product => &[
                "CREATED",
                "UPDATED",
                "ACTIVATED",
                "PAUSED",
                "ENDED",
                "FUNDED",
                "DEFUNDED",
                "GRANTED",
            ],
            Self::Voucher => &[
                "ACCEPTED",
                "GIVEN",
                "NOT_GIVEN",
                "RESERVED",
                "RELEASED",
                "SPENT",
                "UNDONE",
                "EXPIRED",
                "VOIDED",
                "FROZEN",
                "UNFROZEN",
                "EXTENDED",
            ],
            Self::Endpoint => &[
                "CREATED",
                "UPDATED",
                "SECRET_ROTATED",
                "PING",
                "DISABLED",
                "DELETED",
            ],
        }
    }

    /// The name, as in rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Issuance => "ISSUANCE",
            Self::Campaign => "CAMPAIGN",
            Self::Product => "PRODUCT",
            Self::Voucher => "VOUCHER",
            Self::Endpoint => "ENDPOINT",
        }
    }
}

/// The type of an event: what it is about, and what happened to it.
#[must_use]
pub fn type_name(aggregate: Aggregate, kind: &str) -> String {
    format!("{}.{}", aggregate.word(), kind.to_lowercase())
}

/// The name of an event.
#[must_use]
pub fn event_id(shop: ShopId, position: i64) -> String {
    format!("evt_{shop}_{position}")
}

/// The place of an event in its shop, by its name there.
#[must_use]
pub fn parse_event_id(raw: &str, shop: ShopId) -> Option<i64> {
    let rest = raw.strip_prefix("evt_")?.strip_prefix(&shop.to_string())?;
    let position: i64 = rest.strip_prefix('_')?.parse().ok()?;
    (event_id(shop, position) == raw && position > 0).then_some(position)
}

/// Which types of events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Types(Vec<TypePattern>);

/// One type, or all of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern {
    /// What it is about.
    pub aggregate: Aggregate,
    /// What happened, as in journal rows; none: anything.
    pub kind: Option<String>,
}

impl TypePattern {
    /// `subject.what` or `subject.*`, in small letters, of what can happen to it.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let known = |pattern: &Self| match pattern.kind.as_deref() {
            Some(kind) => pattern.aggregate.kinds().contains(&kind),
            None => true,
        };
        Self::kept(raw).filter(known)
    }

    /// One that was kept, maybe by a release that knew more.
    fn kept(raw: &str) -> Option<Self> {
        let (word, what) = raw.split_once('.')?;
        let aggregate = Aggregate::ALL.into_iter().find(|a| a.word() == word)?;
        if what == "*" {
            return Some(Self {
                aggregate,
                kind: None,
            });
        }
        let shaped = |b: u8| b.is_ascii_lowercase() || b == b'_';
        let fits = (1..=32).contains(&what.len()) && what.bytes().all(shaped);
        fits.then(|| Self {
            aggregate,
            kind: Some(what.to_uppercase()),
        })
    }

    fn text(&self) -> String {
        match &self.kind {
            None => format!("{}.*", self.aggregate.word()),
            Some(kind) => type_name(self.aggregate, kind),
        }
    }
}

impl Types {
    /// Those; none of them: all.
    #[must_use]
    pub fn of(patterns: Vec<TypePattern>) -> Self {
        Self(patterns)
    }

    /// From the text of a row, which [`Types::to_text`] made.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(
            text.split_whitespace()
                .filter_map(TypePattern::kept)
                .collect(),
        )
    }

    /// As the text of a row.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.names().join(" ")
    }

    /// As a caller gives them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(TypePattern::text).collect()
    }

    /// The patterns; none: all types.
    #[must_use]
    pub fn patterns(&self) -> &[TypePattern] {
        &self.0
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn want(&self, aggregate: Aggregate, kind: &str) -> bool {
        let wants = |pattern: &TypePattern| {
            pattern.aggregate == aggregate
                && pattern.kind.as_deref().is_none_or(|wanted| wanted == kind)
        };
        self.0.is_empty() || self.0.iter().any(wants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_wanted_by_name_or_by_subject() {
        let of =
            |raw: &[&str]| Types::of(raw.iter().filter_map(|r| TypePattern::parse(r)).collect());
        let some = of(&["issuance.sent", "voucher.*"]);
        assert!(some.want(Aggregate::Issuance, "SENT"));
        assert!(!some.want(Aggregate::Issuance, "FAILED"));
        assert!(some.want(Aggregate::Voucher, "NOT_GIVEN"));
        assert!(!some.want(Aggregate::Campaign, "FUNDED"));
        assert!(Types::default().want(Aggregate::Endpoint, "PING"));
        assert_eq!(Types::from_text(&some.to_text()), some);
        for wrong in [
            "",
            "issuance",
            "issuance.",
            "issuance.SENT",
            "packet.sent",
            "issuance.sent.x",
            "issuance.spent",
            "voucher.refunded",
            "*",
        ] {
            assert_eq!(TypePattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_is_of_one_shop() {
        assert_eq!(parse_event_id("evt_7_12", ShopId(7)), Some(12));
        for wrong in [
            "evt_7_12",
            "evt_71_2",
            "evt_1_012",
            "evt_1_+2",
            "evt_1_0",
            "1_2",
            "",
        ] {
            assert_eq!(parse_event_id(wrong, ShopId(1)), None, "{wrong}");
        }
    }
}
