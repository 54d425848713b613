//! Telling what happened: gives the journal's entries their places, and posts them to those
//! who want to know.

mod body;
mod deliver;
#[cfg(feature = "nats")]
pub mod nats;
mod publish;

pub use deliver::{Courier, Settings};
pub use publish::Publisher;

/// What signs for a receiver of Standard Webhooks, as it is shown.
#[must_use]
pub fn new_secret(random: [u8; 32]) -> String {
    crate::signing::webhook::Secret::of_random(random).expose()
}
