//! The one integration binary: one link step, one place for shared support.
#![cfg(test)]

mod layering;
