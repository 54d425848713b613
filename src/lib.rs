//! hongbao issues red packets and vouchers, and never pays twice.
//!
//! The map, in reading order; imports point down this list only:
//! `cli` and `app` put the parts together, `grpc` and `http` face the callers,
//! `service` orders effects, `store` and `provider` are the database and the
//! payment providers, `signing` and `domain` are pure. `simulator` is the
//! providers' side and shares only `signing` with the rest. `ARCHITECTURE.md`
//! has the reasons; `tests/it/layering.rs` keeps the rule.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod http;
pub mod provider;
pub mod service;
pub mod signing;
pub mod simulator;
pub mod store;
pub mod telemetry;
