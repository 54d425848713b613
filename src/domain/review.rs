//! Cases that people decide: which packets they are, and what a verdict makes of one.

use super::error::{Error, Reason, Result};
use super::state::State;
use super::time::Timestamp;

/// How a case ended, as people found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// No money left the merchant.
    NotPaid,
    /// The recipient has it.
    Paid,
    /// It came back to the merchant.
    Refunded,
    /// The provider has sent it, and nobody is known to have taken it.
    Sent,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [Self::NotPaid, Self::Paid, Self::Refunded, Self::Sent];

    /// Its name, as in the contract without prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotPaid => "NOT_PAID",
            Self::Paid => "PAID",
            Self::Refunded => "REFUNDED",
            Self::Sent => "SENT",
        }
    }

    /// The state that it makes of a packet.
    #[must_use]
    pub fn state(self) -> State {
        match self {
            Self::NotPaid => State::Failed,
            Self::Paid => State::Received,
            Self::Refunded => State::Refunded,
            Self::Sent => State::Sent,
        }
    }
}

/// Whether a packet waits for a person: in doubt for too long, or its provider
/// contradicted itself. A packet that is under way again is not one's to decide.
///
/// # Errors
/// NOT_IN_REVIEW.
pub fn is_open(state: State, frozen: bool) -> Result<()> {
    match state {
        State::Review => Ok(()),
        State::Received | State::Refunded | State::Failed | State::Sent | State::Refunding
            if frozen =>
        {
            Ok(())
        }
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Sent
        | State::Received
        | State::Refunding
        | State::Refunded
        | State::Failed
        | State::Cancelled => {
            let text =
                "this packet is not for a person to decide; only what is in REVIEW or frozen is";
            Err(Error::new(Reason::NotInReview, text.to_owned()).fact("state", state.name()))
        }
    }
}

/// The refusal of a case that has ended: as what, by whom, and when.
#[must_use]
pub fn ended(mut error: Error, state: &str, actor: &str, time: Timestamp) -> Error {
    error.message = format!("this case has ended as {state} at {time}, by {actor}");
    error
        .fact("ended_as", state)
        .fact("ended_by", actor)
        .fact("ended_at", time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_verdict_leaves_a_case() {
        for verdict in Verdict::ALL {
            let state = verdict.state();
            assert!(is_open(state, false).is_err(), "{verdict:?}");
            // What was only sent goes on, as the provider says.
            assert_eq!(state.is_final(), verdict != Verdict::Sent, "{verdict:?}");
        }
    }

    #[test]
    fn only_what_is_in_doubt_is_decided_by_people() {
        for state in State::ALL {
            assert_eq!(is_open(state, false).is_ok(), state == State::Review);
        }
        assert!(is_open(State::Failed, true).is_ok());
        assert!(is_open(State::Queued, true).is_err());
        assert!(is_open(State::Sending, true).is_err());
    }
}
