//! The simulator from outside: over real HTTP, with what the documents promise.

mod books;
mod client;
mod faults;
mod group;
mod limits;
mod map;
mod mini;
mod open_platform;
mod process;
mod protocol;
mod speed;
mod tls;
mod wire;
