//! What the platform's books are asked for: orders, callbacks, sums.

use std::collections::BTreeMap;

use serde::Serialize;

use super::plan::{OpenCallbackKind, OpenStatus};

/// A callback and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenCallback {
    pub kind: OpenCallbackKind,
    pub says: OpenStatus,
    pub tries: u32,
    pub acknowledged: bool,
    /// How the last try was answered.
    pub answer: Option<String>,
    /// When it is tried next, in simulated milliseconds since the Unix epoch; never again if absent.
    pub next_at_ms: Option<i64>,
}

/// An order, for whoever audits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenOrder {
    pub biz_code: String,
    pub order_code: String,
    pub template_id: String,
    pub openid_hash: String,
    pub face_fen: i64,
    pub price_micro_yuan: i64,
    pub status: OpenStatus,
    /// When it was stored, and since when it is what it is: simulated milliseconds.
    pub at_ms: i64,
    pub since_ms: i64,
    /// How often the person was paid; more than 1 is a broken simulator.
    pub times_paid: u32,
    /// How many requests named it.
    pub sends: u32,
    pub queries: u32,
    pub callbacks: Vec<OpenCallback>,
}

/// What one person got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OpenPerson {
    pub payments: u32,
    pub paid_fen: i64,
}

/// Sums over the callbacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OpenCalls {
    /// Tries by what was wrong with them.
    pub tries: BTreeMap<OpenCallbackKind, u64>,
    /// Tries by how they were answered: the HTTP status and whether the body was SUCCESS, or why
    /// there was no answer.
    pub answers: BTreeMap<String, u64>,
    pub acknowledged: u64,
    /// Ended without having been acknowledged.
    pub given_up: u64,
    /// Neither yet.
    pub pending: u64,
}

/// Sums over everything that the platform has in its books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OpenBook {
    pub orders: u64,
    pub payments: u64,
    pub paid_fen: i64,
    pub failed: u64,
    pub cancelled: u64,
    pub sends: u64,
    pub queries: u64,
    /// Payments of an order that was paid already, or to a person who was. It counts double
    /// payments where every business order goes to an openid of its own, and means nothing where
    /// people get several.
    pub double_payments: u64,
    /// Of the merchant at the platform, in millionths of a yuan.
    pub balance_micro_yuan: i64,
    /// Part of the balance that stored orders wait for.
    pub held_micro_yuan: i64,
    /// What each person got, by the hash of the openid.
    pub people: BTreeMap<String, OpenPerson>,
    pub callbacks: OpenCalls,
}
