//! Reading a books file back: every whole line is applied, a torn last one is cut off.
//!
//! A line that does not parse and is not the last one means that the file was changed by hand or
//! by a second writer. Books with a hole prove nothing, so they are refused instead of repaired.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::ledger::Ledger;

/// Why a books file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    #[error("the books file cannot be used: {0}")]
    Io(#[from] io::Error),
    #[error("line {0} of the books file is not a line of books")]
    BadLine(usize),
    #[error("another simulator has the books file open")]
    InUse,
    #[error("the books file belongs to merchant {0}")]
    OtherMerchant(String),
}

/// A file that is ready to be appended to, and what it says.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) ledger: Ledger,
    pub(super) file: File,
    pub(super) lock: File,
}

/// Opens for writing: locks, replays, cuts a torn end off.
pub(super) fn open(path: &Path) -> Result<Replayed, BooksError> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    let lock = file.try_clone()?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => BooksError::InUse,
        TryLockError::Error(error) => BooksError::Io(error),
    })?;
    let (ledger, whole) = replay(&mut file)?;
    file.set_len(whole)?;
    file.seek(SeekFrom::End(0))?;
    file.sync_all()?;
    sync_directory(path)?;
    Ok(Replayed { ledger, file, lock })
}

/// A new file is durable only when its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads without locking or changing anything.
pub(super) fn read(path: &Path) -> Result<Ledger, BooksError> {
    Ok(replay(&mut File::open(path)?)?.0)
}

/// The ledger, and how many bytes of the file are whole lines.
fn replay(file: &mut File) -> Result<(Ledger, u64), BooksError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let mut ledger = Ledger::default();
    let mut whole = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if !line.ends_with(b"\n") {
            break;
        }
        let entry = serde_json::from_slice(line).map_err(|_| BooksError::BadLine(index + 1))?;
        ledger.apply(entry);
        whole += line.len();
    }
    let whole = u64::try_from(whole).map_err(io::Error::other)?;
    Ok((ledger, whole))
}
