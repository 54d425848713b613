//! Canonical strings and digests of the provider protocols, and of what callers sign: pure
//! functions, no I/O, no clock.
//!
//! Both sides of a protocol use this module: the client in `provider` and the simulator. That is
//! safe only because foreign vectors (`tests/golden/vectors/signatures.json`, computed with
//! independent SDKs) pin every function here; without them one mistake would agree with itself.

pub mod call;
pub mod map;
pub mod md5_hex;
pub mod open_platform;
pub mod private;
pub mod rsa;
pub mod webhook;
pub mod wechat_v2;
