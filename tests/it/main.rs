//! The one integration binary: a second one would link the whole stack again.
#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests run in real time, spawn what ends with their runtime, and link to nobody"
)]

mod chaos;
mod golden;
mod layering;
mod measure;
mod poison;
mod provider;
mod sending;
mod simulator;
mod support;
