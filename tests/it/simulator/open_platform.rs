//! The open platform from outside: over real HTTP, with a client that signs by itself.

mod callbacks;
mod client;
mod codec;
mod faults;
mod orders;
mod receiver;
mod refusals;
