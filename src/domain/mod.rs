//! Values and rules: pure, without I/O, without a clock, without a die.
//!
//! Everything that needs time, randomness or a key takes it as an argument, so
//! that a test or a replay fixes it. A value in here has been checked: its field
//! is private and its constructor refuses what breaks the rule. Rows of the
//! store hold these types, so they derive how they are stored; that is the only
//! thing of the database that this layer knows.

pub mod account;
pub mod amount;
pub mod approval;
pub mod campaign;
pub mod cap;
pub mod error;
pub mod event;
pub mod forecast;
pub mod grant;
pub mod id;
pub mod item;
pub mod ledger;
pub mod machine;
pub mod missing;
pub mod money;
pub mod number;
pub mod open_platform;
pub mod outcome;
pub mod packet;
pub mod plan;
pub mod protocol;
pub mod quota;
pub mod remote_voucher;
pub mod review;
pub mod role;
pub mod schedule;
pub mod search;
pub mod signing;
pub mod source;
pub mod split;
pub mod state;
pub mod status_reply;
pub mod stop;
pub mod text;
pub mod time;
pub mod voucher;
pub mod webhook;

pub use error::{Error, Reason, Result};
pub use money::Fen;
pub use state::State;
pub use time::Timestamp;
