//! The one integration binary: a second one would link the whole stack again.
#![cfg(test)]

mod layering;
mod simulator;
