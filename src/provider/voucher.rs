//! The door to a voucher platform that somebody else runs, for whoever orders the calls.

use std::future::Future;

use super::Said;
use super::client::Failure;
use crate::domain::remote_voucher::{
    Give, GiveOutcome, ListOutcome, PageQuery, Spend, TurnOutcome, Undo,
};

/// What can be asked of a platform. Each call is one exchange; nothing is repeated here.
/// A caller that drops a future knows nothing of the outcome: bytes may have left.
pub trait VoucherPlatform: Send + Sync {
    /// Asks the platform to give a voucher.
    fn give(&self, give: &Give) -> impl Future<Output = Said<GiveOutcome>> + Send;
    /// Asks for a page of a person's vouchers.
    fn list(&self, query: &PageQuery) -> impl Future<Output = Said<ListOutcome>> + Send;
    /// Asks the platform to take vouchers as spent.
    fn spend(&self, spend: &Spend) -> impl Future<Output = Said<TurnOutcome>> + Send;
    /// Asks the platform to undo spends.
    fn undo(&self, undo: &Undo) -> impl Future<Output = Said<TurnOutcome>> + Send;
}

impl From<Failure> for GiveOutcome {
    fn from(failure: Failure) -> Self {
        failure.proves().map_or_else(Self::Unknown, Self::Rejected)
    }
}

impl From<Failure> for ListOutcome {
    fn from(failure: Failure) -> Self {
        failure.proves().map_or_else(Self::Unknown, Self::Rejected)
    }
}

impl From<Failure> for TurnOutcome {
    fn from(failure: Failure) -> Self {
        failure.proves().map_or_else(Self::Unknown, Self::Rejected)
    }
}
