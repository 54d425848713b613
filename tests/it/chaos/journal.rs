//! What the client wrote down: what it was about to ask for, and what it was told.
//!
//! JSON lines, each on disk before the client goes on. The audit reads this file,
//! not the memory of the load generator.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// Written before the first call with this request id.
    Intent { request_id: String, ask: Ask },
    /// Written after a reply of OK.
    Reply {
        request_id: String,
        /// Of the issuance, or of the batch.
        id: i64,
        /// Of the issuance, or the sum of the batch.
        amount_fen: i64,
        replayed: bool,
    },
    /// Written after a refusal that a repetition cannot mend.
    Refused { request_id: String, status: String },
}

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// One packet to an openid that gets no other.
    Single { openid: String },
    /// A packet to each of these people, who get no other.
    Batch { people: Vec<u64> },
}

impl Ask {
    pub fn openids(&self) -> Vec<String> {
        match self {
            Self::Single { openid } => vec![openid.clone()],
            Self::Batch { people } => people.iter().map(|n| openid_of(*n)).collect(),
        }
    }
}

/// The name of a person of the audience.
pub fn uid_of(person: u64) -> String {
    format!("u-{person}")
}

/// The openid of a person of the audience.
pub fn openid_of(person: u64) -> String {
    format!("oPerson{person}")
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    file: Mutex<File>,
    pub path: PathBuf,
}

impl Journal {
    pub fn create(path: PathBuf) -> Self {
        Self {
            file: Mutex::new(File::create_new(&path).unwrap()),
            path,
        }
    }

    /// Returns when the line is on disk.
    pub fn write(&self, line: &Line) {
        let mut bytes = serde_json::to_vec(line).unwrap();
        bytes.push(b'\n');
        tokio::task::block_in_place(|| {
            let mut file = self.file.lock().unwrap();
            file.write_all(&bytes).unwrap();
            file.sync_data().unwrap();
        });
    }
}

/// What a request id was used for and what came of it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub ask: Ask,
    /// Id, amount, replayed.
    pub replies: Vec<(i64, i64, bool)>,
}

/// The journal, read back.
#[derive(Debug, Default)]
pub struct Story {
    pub asked: BTreeMap<String, Asked>,
    pub refused: Vec<String>,
}

impl Story {
    pub fn read(path: &Path) -> Self {
        let mut story = Self::default();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            match serde_json::from_str(line).unwrap() {
                Line::Intent { request_id, ask } => {
                    let replies = Vec::new();
                    story.asked.insert(request_id, Asked { ask, replies });
                }
                Line::Reply {
                    request_id,
                    id,
                    amount_fen,
                    replayed,
                } => {
                    let asked = story.asked.get_mut(&request_id).expect("an intent first");
                    asked.replies.push((id, amount_fen, replayed));
                }
                Line::Refused { request_id, status } => {
                    story.refused.push(format!("{request_id}: {status}"));
                }
            }
        }
        story
    }

    /// How many packets were asked for.
    pub fn packets(&self) -> usize {
        self.asked
            .values()
            .map(|asked| asked.ask.openids().len())
            .sum()
    }
}
