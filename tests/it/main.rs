//! The one integration binary: a second one would link the whole stack again.
#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests run in real time, spawn what ends with their runtime, and link to nobody"
)]

mod bad_input;
mod breaker;
mod budget;
mod chaos;
mod coverage;
mod differences;
mod dispatching;
mod doubt;
mod events;
mod fault_table;
mod fence;
mod golden;
mod idempotency;
mod layering;
mod limits;
mod lists;
mod measure;
mod open_platform;
mod overview;
mod packets;
mod people;
mod permissions;
mod poison;
mod provider;
mod quota;
mod replicas;
mod schema;
mod sending;
mod signing;
mod simulator;
mod stops;
mod store_model;
mod support;
mod surface;
mod traps;
mod tried;
mod verify;
mod vouchers;
mod webhooks;
