//! Use cases: the only place that orders effects.
//!
//! Plain reads and writes of one resource need no layer of their own; the edge
//! calls the store for those. What is here takes more than one step.

pub mod ask;
pub mod callback;
pub mod dispatch;
pub mod exchange;
pub mod gather;
pub mod halt;
pub mod identity;
pub mod issue;
pub mod map_signature;
pub mod pace;
pub mod providers;
pub mod remote_voucher;
pub mod sampler;
pub mod signing;
pub mod sweep;
pub mod voucher;
pub mod webhook;
