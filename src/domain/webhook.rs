//! Webhooks: where the service may post to, what an answer means, and when to try again.
//!
//! A receiver's URL comes from whoever uses the service, and the service stands where that
//! person cannot: inside the network. So a URL is judged twice. [`ReceiverUrl`] refuses what
//! can be seen in its text; [`Reach`] is asked again about each address at the moment of the
//! connection, because a name may lead elsewhere by then.
//!
//! Delivery is at least once. A 2xx ends one; whatever else happens is a failure, of which
//! [`pause`] says when the next try comes, and [`verdict`] when the receiver is left alone.

mod address;
mod outcome;
mod schedule;
mod url;

pub use address::{Reach, is_public};
pub use outcome::{EXCERPT_BYTES, Outcome, WAIT_MAX, excerpt, wait_asked};
pub use schedule::{
    DISABLED_AFTER, Disabled, FAILURES_MIN, Standing, Verdict, pause, retry_after, verdict,
};
pub use url::{ReceiverUrl, URL_BYTES_MAX, UrlFault};
