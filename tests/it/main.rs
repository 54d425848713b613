//! The one integration binary: a second one would link the whole stack again.
#![cfg(test)]

mod golden;
mod layering;
mod provider;
mod sending;
mod simulator;
mod support;
