//! The journal as a feed of each shop.
//!
//! Transactions commit in another order than that of any number that they could draw, so a
//! reader who remembers the last number that he saw would skip what commits late. Here an
//! entry gets its place after it is committed: whoever holds the shop's row in `event_head`
//! gives the next places to all entries that have none, and places become visible in their
//! order, without gaps.

mod place;
mod read;
mod sink;

pub use place::Placed;
pub use read::{EventFacts, EventFilter, EventPage, EventView};
