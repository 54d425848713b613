//! The one integration binary: a second one would link the whole stack again.
#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests run in real time, spawn what ends with their runtime, and link to nobody"
)]

mod bad_input;
mod budget;
mod golden;
mod idempotency;
mod layering;
mod lists;
mod permissions;
mod provider;
mod sending;
mod simulator;
mod support;
mod surface;
mod tried;
