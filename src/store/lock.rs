//! One serving process for one SQLite file.
//!
//! SQLite lets many processes write in turn, but a dispatcher that does not know of
//! another one would wait for locks at random. The lock is an open file: the
//! operating system gives it back when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Held as long as it lives.
#[derive(Debug)]
pub struct ProcessLock {
    _file: File,
}

/// The file of an SQLite URL; nothing for other databases.
#[must_use]
pub fn sqlite_path(url: &str) -> Option<PathBuf> {
    let path = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"))?;
    let path = path.split('?').next().unwrap_or(path);
    (!path.is_empty() && path != ":memory:").then(|| PathBuf::from(path))
}

impl ProcessLock {
    /// Takes the lock of a database, if it is an SQLite file.
    ///
    /// # Errors
    /// Another process serves it.
    pub fn take(url: &str) -> anyhow::Result<Option<Self>> {
        let Some(path) = sqlite_path(url) else {
            return Ok(None);
        };
        let lock = PathBuf::from(format!("{}.lock", path.display()));
        if let Some(parent) = lock.parent().filter(|p| *p != Path::new("")) {
            std::fs::create_dir_all(parent)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "another hongbao process serves {}; one SQLite file has one server (use its gRPC port, or PostgreSQL for replicas)",
                path.display()
            ),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}
