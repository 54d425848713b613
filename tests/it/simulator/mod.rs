//! The simulator from outside: over real HTTP, with what WeChat's documents promise.

mod books;
mod client;
mod faults;
mod group;
mod limits;
mod map;
mod mini;
mod process;
mod protocol;
mod speed;
mod tls;
mod wire;
