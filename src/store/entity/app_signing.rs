//! What apps sign their calls with.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::AppId;
use crate::domain::signing::{MapHash, Required};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "app_signing")]
pub struct Model {
    /// Whose it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: AppId,
    /// Whether calls may be signed by HMAC-SHA256 with the shared key.
    pub accepts_hmac: bool,
    /// Whether calls may be signed by RSA over SHA-256.
    pub accepts_rsa: bool,
    /// Whether orders may be signed as seed 002 has it.
    pub accepts_map: bool,
    /// Which calls must be signed.
    pub required: Required,
    /// The shared key, encrypted.
    pub app_key: Option<Vec<u8>>,
    /// The public key, as PEM.
    pub public_key: Option<String>,
    /// What seed 002's signatures are hashed with.
    pub map_hash: MapHash,
    /// Whether seed 002's orderMD5 covers the associated order.
    pub map_covers_associated: bool,
    /// What all order numbers of the app begin with, before digits; none: they may be anything.
    pub order_id_prefix: Option<String>,
    /// How far a signed time may be from ours, in seconds.
    pub window_seconds: i32,
    /// Who changed it last.
    pub actor: String,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
