//! The thread that writes the books file: many lines, one fsync, then every writer is told.
//!
//! A reply may leave only after its line is on disk, and an fsync takes as long for one line as
//! for a thousand. So one thread takes whatever has queued up while the last fsync ran. After a
//! failed write or fsync nothing is acknowledged any more: what the kernel did with the pages is
//! then unknown, and a second fsync that succeeds would prove nothing.

use std::fs::File;
use std::io::Write;
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

/// Lines to append, and whom to tell when they are on disk.
struct Batch {
    lines: Vec<u8>,
    written: oneshot::Sender<()>,
}

/// The books file can no longer be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the books file can no longer be written")]
pub struct BooksBroken;

/// Resolves once the lines it stands for are on disk.
#[derive(Debug)]
pub(in super::super) struct Receipt(Option<oneshot::Receiver<()>>);

impl Receipt {
    pub(in super::super) async fn on_disk(self) -> Result<(), BooksBroken> {
        match self.0 {
            Some(written) => written.await.map_err(|_| BooksBroken),
            None => Ok(()),
        }
    }
}

/// The queue in front of the writing thread.
#[derive(Debug)]
pub(super) struct Log {
    queue: Option<mpsc::Sender<Batch>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Log {
    /// Takes over a file that is positioned at its end.
    pub(super) fn start(file: File) -> std::io::Result<Self> {
        let (queue, batches) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("books".to_owned())
            .spawn(move || write_all(file, &batches))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Queues lines; the order of calls is the order in the file. No lines cost no fsync.
    pub(super) fn append(&self, lines: Vec<u8>) -> Receipt {
        if lines.is_empty() {
            return Receipt(None);
        }
        self.queue(lines)
    }

    /// Stands for everything that was queued so far; costs an fsync.
    pub(super) fn flush(&self) -> Receipt {
        self.queue(Vec::new())
    }

    fn queue(&self, lines: Vec<u8>) -> Receipt {
        let (written, receipt) = oneshot::channel();
        if let Some(queue) = &self.queue {
            // A thread that is gone drops the sender, and the receipt then says so.
            let _gone = queue.send(Batch { lines, written });
        }
        Receipt(Some(receipt))
    }
}

impl Drop for Log {
    /// Waits until everything queued is on disk.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn write_all(mut file: File, batches: &mpsc::Receiver<Batch>) {
    while let Ok(first) = batches.recv() {
        let mut lines = first.lines;
        let mut waiting = vec![first.written];
        for batch in batches.try_iter() {
            lines.extend_from_slice(&batch.lines);
            waiting.push(batch.written);
        }
        if let Err(error) = file.write_all(&lines).and_then(|()| file.sync_data()) {
            tracing::error!(%error, "the books file cannot be written; no further order is taken");
            return;
        }
        for written in waiting {
            // Whoever waited may have been cut off meanwhile; the line counts all the same.
            let _gone = written.send(());
        }
    }
}
