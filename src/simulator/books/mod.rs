//! The provider's own books: who was paid, how often, and how much is left.
//!
//! An append-only file of JSON lines, fsynced before a reply leaves. The number of double payments
//! is read here and nowhere else, so that the system under test is never its own witness. A last
//! line that was torn by a crash was never acknowledged and is cut off at the next start.

mod entry;
mod ledger;
mod log;
mod order;
mod replay;
#[cfg(test)]
mod tests;
mod windows;

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use entry::State;
pub(super) use entry::{Accepted, Due, Entry, Share, Step};
pub(super) use ledger::Ledger;
pub use log::BooksBroken;
pub(super) use log::Receipt;
pub(super) use order::Order;
pub use order::{Payment, Totals};
pub use replay::BooksError;

use super::clock::{self, Clock};
use super::map::MapBook;
use super::open::{OpenBook, OpenOrder};

/// The open books of a running simulator.
#[derive(Debug)]
pub struct Books {
    core: Mutex<Core>,
    clock: Clock,
    /// Holds the lock that keeps a second simulator away from the file.
    _lock: File,
}

#[derive(Debug)]
struct Core {
    ledger: Ledger,
    log: log::Log,
}

/// One change of the books: everything recorded in it reaches the file together, in order.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) ledger: &'a mut Ledger,
    pub(super) now_ms: i64,
    lines: Vec<u8>,
}

impl Change<'_> {
    pub(super) fn record(&mut self, entry: Entry) {
        match serde_json::to_vec(&entry) {
            Ok(mut line) => {
                line.push(b'\n');
                self.lines.append(&mut line);
                self.ledger.apply(entry);
            }
            // Entries have string keys and finite numbers only; one that does not serialise would
            // be a line missing from the file, so it must not be applied either.
            Err(error) => tracing::error!(%error, "a line of the books could not be written"),
        }
    }

    /// Carries out what is due.
    pub(super) fn settle(&mut self) {
        while let Some(entry) = self.ledger.next_due(self.now_ms) {
            self.record(entry);
        }
    }
}

impl Books {
    /// Opens or creates the file, replays it and notes the start. Times of new books begin where a
    /// clock that runs `scale` times as fast as real time since `time_origin_ms` is now.
    pub(super) fn open(
        path: &Path,
        mch_id: &str,
        opening_balance_fen: i64,
        scale: u32,
        time_origin_ms: Option<i64>,
    ) -> Result<Self, BooksError> {
        let replayed = replay::open(path)?;
        let ledger = replayed.ledger;
        if let Some(other) = ledger.mch_id.as_ref().filter(|known| *known != mch_id) {
            return Err(BooksError::OtherMerchant(other.clone()));
        }
        let wall_ms = clock::wall_ms();
        let continued = ledger.opening.map(|opening| {
            let elapsed = wall_ms.saturating_sub(opening.wall_ms);
            clock::after(opening.sim_ms, elapsed, opening.scale).max(ledger.last_ms)
        });
        let sim_ms = continued.unwrap_or_else(|| {
            let origin_ms = time_origin_ms.unwrap_or(wall_ms);
            clock::after(origin_ms, wall_ms.saturating_sub(origin_ms), scale)
        });
        let books = Self {
            core: Mutex::new(Core {
                ledger,
                log: log::Log::start(replayed.file)?,
            }),
            clock: Clock::starting_at(sim_ms, scale),
            _lock: replayed.lock,
        };
        // Not awaited: the first reply that leaves comes after these lines in the same file.
        let _receipt = books.change(|change| {
            change.record(Entry::Opened {
                mch_id: mch_id.to_owned(),
                wall_ms,
                sim_ms,
                scale,
            });
            if continued.is_none() {
                change.record(Entry::Funded {
                    amount_fen: opening_balance_fen,
                    at_ms: sim_ms,
                });
            }
        });
        Ok(books)
    }

    /// The payments in a books file, whether or not a simulator has it open.
    pub fn read(path: &Path) -> Result<Vec<Payment>, BooksError> {
        Ok(replay::read(path)?.payments())
    }

    /// The sums of a books file, as of its last line.
    pub fn read_totals(path: &Path) -> Result<Totals, BooksError> {
        Ok(replay::read(path)?.totals())
    }

    /// Every number that money left for, in the order of payment.
    pub fn payments(&self) -> Vec<Payment> {
        self.settle();
        self.lock().ledger.payments()
    }

    pub fn totals(&self) -> Totals {
        self.settle();
        self.lock().ledger.totals()
    }

    /// What the voucher platform has in its books.
    pub fn map(&self) -> MapBook {
        self.lock().ledger.map.clone()
    }

    /// What the open platform has in its books, in sum.
    pub fn open_book(&self) -> OpenBook {
        self.settle();
        self.lock().ledger.open.book()
    }

    /// Every order of the open platform, in the order of storing.
    pub fn open_orders(&self) -> Vec<OpenOrder> {
        self.settle();
        self.lock().ledger.open.orders()
    }

    /// Every order of the open platform that somebody was paid for, in the order of payment: the
    /// number is the bizCode.
    pub fn open_payments(&self) -> Vec<Payment> {
        self.settle();
        self.lock().ledger.open.payments()
    }

    /// The open platform's part of a books file, as of its last line: payments and sums.
    pub fn read_open(path: &Path) -> Result<(Vec<Payment>, OpenBook), BooksError> {
        let ledger = replay::read(path)?;
        Ok((ledger.open.payments(), ledger.open.book()))
    }

    /// The merchant's balance.
    pub fn balance_fen(&self) -> i64 {
        self.totals().balance_fen
    }

    /// See [`Totals::double_payments`].
    pub fn double_payments(&self) -> u64 {
        self.totals().double_payments
    }

    /// Simulated time, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Adds to the balance; a negative amount takes from it.
    pub async fn fund(&self, amount_fen: i64) -> Result<(), BooksBroken> {
        let ((), receipt) = self.change(|change| {
            let at_ms = change.now_ms;
            change.record(Entry::Funded { amount_fen, at_ms });
        });
        receipt.on_disk().await
    }

    /// Carries out whatever simulated time has brought.
    pub(super) fn settle(&self) {
        let ((), _receipt) = self.change(|_| ());
    }

    /// Resolves once everything that has been decided so far is on disk.
    pub(super) fn flush(&self) -> Receipt {
        self.lock().log.flush()
    }

    /// Decides and records under one lock, so that the order of decisions is the order of lines.
    /// The result may be acted upon only after the receipt says that the lines are on disk.
    pub(super) fn change<T>(&self, decide: impl FnOnce(&mut Change<'_>) -> T) -> (T, Receipt) {
        let mut core = self.lock();
        let Core { ledger, log } = &mut *core;
        let mut change = Change {
            ledger,
            now_ms: self.clock.now_ms(),
            lines: Vec::with_capacity(1024),
        };
        change.settle();
        let decided = decide(&mut change);
        let lines = change.lines;
        let receipt = log.append(lines);
        (decided, receipt)
    }

    /// A panic elsewhere does not make the numbers wrong: a line is applied whole or not at all.
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
