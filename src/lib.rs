//! hongbao issues red packets and vouchers for the services of a company, and never pays twice.
//!
//! Imports point down only. `simulator` plays the provider's side and imports `signing` and
//! nothing else of ours, so that no mistake sits on both sides.

pub mod cli;
pub mod signing;
pub mod simulator;
