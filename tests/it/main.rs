//! The one integration binary: every file here talks to what a user talks to.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a surprise must fail the test"
)]

mod layering;
mod simulator;
