//! What the tests stand on: real parts, started for each test.
//!
//! [`on_both!`] runs one test body on SQLite and on PostgreSQL. [`TestApp`] is the
//! whole server in this process, on free ports, with the simulator as its provider
//! and time that runs fast; [`Client`] calls it as a caller would.

mod app;
mod bytes;
mod client;
mod database;
mod raw;
pub mod receiver;

pub use app::{Options, TestApp};
pub use bytes::call;
pub use client::{Client, SHOP, fact, reason, texts, violations};
pub use database::{Server, TestDb};
pub use raw::{Counts, Raw};

/// Makes a test `name::sqlite` and a test `name::postgres` of one async function
/// that takes a [`TestDb`]. An attribute in front of the name is that of both.
macro_rules! on_both {
    ($($(#[$attribute:meta])* $name:ident),+ $(,)?) => {$(
        mod $name {
            #[test]
            $(#[$attribute])*
            fn sqlite() {
                crate::support::block_on(async {
                    super::$name(crate::support::TestDb::sqlite()).await;
                });
            }

            #[test]
            $(#[$attribute])*
            fn postgres() {
                crate::support::block_on(async {
                    super::$name(crate::support::TestDb::postgres()).await;
                });
            }
        }
    )+};
}
pub(crate) use on_both;

/// Runs a test on a runtime of its own, and stops it if it hangs.
pub fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(120), test)
            .await
            .expect("the test hangs");
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
}

/// Runs a test that may take most of an hour, on a runtime of its own.
pub fn block_on_long(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(3_000), test)
            .await
            .expect("the test hangs");
    });
}
