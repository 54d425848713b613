//! Where a packet comes from (seed 000: `source`).

use sea_orm::{DeriveActiveEnum, EnumIter};

/// Where a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Source {
    /// Somebody scanned a code.
    Scan,
    /// Sent by hand.
    Manual,
    /// Won in a lottery.
    Lottery,
    /// A gift for spending.
    ConsumptionGift,
    /// Won in a game.
    Game,
    /// Asked for by another system.
    Open,
}
