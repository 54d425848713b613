//! The one place where time and randomness come from.
//!
//! Time that decides anything (windows, leases, schedules) is the database's,
//! read at the start of each transaction and passed through [`Clock::scaled`], so
//! that replicas agree and a demo can live through a day in seconds. A monotonic
//! clock measures waits and deadlines. Random bytes serve nonces, keys and the
//! spreading of delays; nothing about money is drawn from them.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use crate::domain::Timestamp;

/// Turns the database's time into the service's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    origin: Timestamp,
    scale: u32,
}

impl Clock {
    /// Real time.
    pub const REAL: Self = Self {
        origin: Timestamp(0),
        scale: 1,
    };

    /// Time that runs `scale` times as fast from `origin` on.
    #[must_use]
    pub fn fast(origin: Timestamp, scale: u32) -> Self {
        Self {
            origin,
            scale: scale.max(1),
        }
    }

    /// How many times as fast as real time it runs.
    #[must_use]
    pub fn scale(self) -> u32 {
        self.scale
    }

    /// The service's time at an instant of the database.
    #[must_use]
    pub fn scaled(self, database: Timestamp) -> Timestamp {
        if self.scale == 1 {
            return database;
        }
        let elapsed = database.0.saturating_sub(self.origin.0);
        Timestamp(
            self.origin
                .0
                .saturating_add(elapsed.saturating_mul(i64::from(self.scale))),
        )
    }

    /// What a span of real time is in the service's: for leases, which bound work
    /// that is never faster than real.
    #[must_use]
    pub fn stretched(self, real: Duration) -> Duration {
        real.saturating_mul(self.scale)
    }
}

/// The monotonic clock, for waits and deadlines alone.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place it comes from")]
pub fn monotonic() -> std::time::Instant {
    std::time::Instant::now()
}

/// The monotonic clock as the runtime counts it, for sleeping until then.
#[must_use]
pub fn monotonic_tokio() -> tokio::time::Instant {
    tokio::time::Instant::from_std(monotonic())
}

/// The machine's wall clock, for what never decides: names of files, log lines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place it comes from")]
pub fn wall() -> Timestamp {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// Random bytes of the operating system.
///
/// # Panics
/// If the operating system has none, for then no key or nonce would be sound.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "without randomness nothing here is safe; getrandom does not fail on Linux"
    )]
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system gives random bytes");
    bytes
}

/// A random number, for spreading delays.
#[must_use]
pub fn random_u64() -> u64 {
    u64::from_be_bytes(random())
}

/// Random text of `[0-9a-f]`, two characters for each byte.
#[must_use]
pub fn random_hex<const N: usize>() -> String {
    random::<N>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_time_starts_at_its_origin() {
        let clock = Clock::fast(Timestamp(1_000), 60);
        assert_eq!(clock.scaled(Timestamp(1_000)), Timestamp(1_000));
        assert_eq!(clock.scaled(Timestamp(1_002)), Timestamp(1_120));
        assert_eq!(Clock::REAL.scaled(Timestamp(7)), Timestamp(7));
    }
}
