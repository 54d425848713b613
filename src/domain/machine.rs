//! The state machine of an attempt: the one place that decides what an answer
//! means for a packet.
//!
//! Two questions are kept apart. [`resolve`] says what a provider's *state* does to
//! ours; it is the only road to FAILED but one. [`after_send`] and [`after_query`]
//! say what the answer to one exchange does, and what is done next and when.
//! All three are pure and name every case; the tests walk all pairs.
//!
//! Why nothing here may be loosened: a second number for one packet is a second
//! payment. A time-out, an unlisted code or "no such order" does not prove that the
//! first number will never be paid, for its request may still sit in a socket
//! buffer. So doubt keeps the number, for as long as it takes, and then asks a
//! person. The one exception is a listed refusal that answered the first and only
//! request for a number and that a query confirms: no other request exists that
//! could still arrive.

use std::time::Duration;

use super::outcome::{Cause, ProviderState, QueryOutcome, RejectionKind, SendOutcome};
use super::protocol::Protocol;
use super::schedule::{self, Job, Plan};
use super::state::State;
use super::time::Timestamp;

/// What a provider's state does to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Ours becomes this.
    Become(State),
    /// It confirms what we know, or adds nothing.
    Keep,
    /// It is older than what we know.
    Stale,
    /// Both cannot be true: never overwritten, a person is told.
    Contradiction,
}

/// What a provider's state does to ours, for each protocol.
#[must_use]
pub fn resolve(protocol: Protocol, theirs: ProviderState, ours: State) -> Resolution {
    match protocol {
        Protocol::WechatPayV2 => resolve_wechat_pay_v2(theirs, ours),
        // It speaks of orders alone, never of receipt; that one came back stands in its bill.
        Protocol::OpenPlatform => match theirs {
            ProviderState::Received | ProviderState::Refunding => Resolution::Contradiction,
            ProviderState::Sending
            | ProviderState::Sent
            | ProviderState::Failed
            | ProviderState::Refunded => resolve_wechat_pay_v2(theirs, ours),
        },
        // It knows of no packet; whoever claims a state of one is wrong.
        Protocol::Map => Resolution::Contradiction,
    }
}

/// `gethbinfo`: SENDING, SENT, RECEIVED, FAILED, RFUND_ING, REFUND (WeChat Pay,
/// document 4011983160). A normal packet is taken whole or comes back whole, so
/// RECEIVED and REFUND exclude each other.
fn resolve_wechat_pay_v2(theirs: ProviderState, ours: State) -> Resolution {
    use ProviderState as P;
    use Resolution::{Become, Contradiction, Keep, Stale};
    match ours {
        // Nothing was sent under a number: the provider cannot know it.
        State::Queued | State::Cancelled => Contradiction,
        State::Sending | State::Unknown | State::Review => match theirs {
            P::Sending => Keep,
            P::Sent => Become(State::Sent),
            P::Received => Become(State::Received),
            P::Failed => Become(State::Failed),
            P::Refunding => Become(State::Refunding),
            P::Refunded => Become(State::Refunded),
        },
        State::Sent => match theirs {
            P::Sending => Stale,
            P::Sent => Keep,
            P::Received => Become(State::Received),
            P::Failed => Contradiction,
            P::Refunding => Become(State::Refunding),
            P::Refunded => Become(State::Refunded),
        },
        State::Refunding => match theirs {
            P::Sending | P::Sent => Stale,
            P::Refunding => Keep,
            P::Refunded => Become(State::Refunded),
            P::Received | P::Failed => Contradiction,
        },
        State::Received => match theirs {
            P::Sending | P::Sent => Stale,
            P::Received => Keep,
            P::Failed | P::Refunding | P::Refunded => Contradiction,
        },
        State::Refunded => match theirs {
            P::Sending | P::Sent | P::Refunding => Stale,
            P::Refunded => Keep,
            P::Received | P::Failed => Contradiction,
        },
        State::Failed => match theirs {
            P::Failed => Keep,
            P::Sending | P::Sent | P::Received | P::Refunding | P::Refunded => Contradiction,
        },
    }
}

/// What is known of an attempt when an answer is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How its account speaks.
    pub protocol: Protocol,
    /// Where it stands.
    pub state: State,
    /// How many requests to pay were made under its number, this one included.
    pub send_count: i32,
    /// How many questions were asked since the last request to pay, this one included.
    pub query_count: i32,
    /// When the first request to pay was made.
    pub first_sent_at: Timestamp,
    /// Whether some request under its number was never clearly answered.
    pub doubtful: bool,
    /// Whether the provider has answered the last request by taking the order.
    pub taken: bool,
    /// When the first and only request was refused by a listed code, if it was.
    pub refused_at: Option<Timestamp>,
    /// When the provider first said "no such order" since the last request to pay.
    pub not_found_at: Option<Timestamp>,
    /// When it became SENT, or the provider was first heard to say so.
    pub sent_at: Option<Timestamp>,
    /// Whether the provider has contradicted itself about the packet before.
    pub frozen: bool,
    /// Whether a confirmed refusal fails the attempt (option of the account).
    pub confirm_refusals: bool,
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The state from now on.
    pub state: State,
    /// What is done next; nothing when the state is final.
    pub plan: Option<Plan>,
    /// What went wrong, if anything did.
    pub last_error: Option<String>,
    /// Remember that a request was not clearly answered.
    pub note_doubt: bool,
    /// Remember that the first and only request was refused now.
    pub note_refusal: bool,
    /// Remember that the provider does not know the number now.
    pub note_not_found: bool,
    /// Remember that the provider has the order and works on it.
    pub note_taken: bool,
    /// The provider contradicts what is known: freeze and tell a person.
    pub contradiction: bool,
}

impl Step {
    fn to(state: State, plan: Option<Plan>, last_error: Option<String>) -> Self {
        Self {
            state,
            plan,
            last_error,
            note_doubt: false,
            note_refusal: false,
            note_not_found: false,
            note_taken: false,
            contradiction: false,
        }
    }
}

/// After this long without a clear answer a person is asked.
pub const REVIEW_AFTER: Duration = Duration::from_secs(72 * 3_600);
/// The first question about an order that a provider has taken and works on.
pub const TAKEN_LOOK: Duration = Duration::from_secs(5);
/// A number older than this is not sent again: WeChat Pay closes an order number
/// some 24 hours after its first use.
pub const RESEND_UNTIL: Duration = Duration::from_secs(20 * 3_600);
/// Two answers "no such order" this far apart allow to send the same number again.
/// The number makes it safe at any time; the pause spares a provider that is only slow.
pub const NOT_FOUND_APART: Duration = Duration::from_secs(2 * 60);
/// A daily limit is tried anew within this long after midnight, not by all at once.
const AFTER_MIDNIGHT: Duration = Duration::from_secs(10 * 60);
/// What is due past a point in time is spread over this long behind it.
const SOON_PAST: Duration = Duration::from_secs(15);

/// What the answer to a request to pay does. The attempt is SENDING: the caller
/// holds its lease.
#[must_use]
pub fn after_send(outcome: &SendOutcome, facts: &Facts, now: Timestamp) -> Step {
    match outcome {
        SendOutcome::Accepted { .. } => Step::to(State::Sent, schedule::sync(Duration::ZERO), None),
        SendOutcome::Taken { .. } => {
            let plan = Plan::new(Job::Query, TAKEN_LOOK);
            let step = match facts.doubtful {
                // An earlier request may have been another order in the provider's eyes.
                true => doubt(plan, None, facts, now),
                false => Step::to(State::Sending, Some(plan), None),
            };
            Step {
                note_taken: true,
                ..step
            }
        }
        SendOutcome::Mismatch { field } => {
            review(format!("MISMATCH_{}", field.to_ascii_uppercase()))
        }
        SendOutcome::Unknown(cause) => {
            let wait = if matches!(cause, Cause::Processing(_)) {
                facts.protocol.confirm_after()
            } else {
                schedule::doubt(facts.query_count)
            };
            Step {
                note_doubt: true,
                ..doubt(Plan::new(Job::Query, wait), Some(cause.code()), facts, now)
            }
        }
        SendOutcome::Rejected(rejection) => {
            after_send_rejected(rejection.kind, rejection.code.clone(), facts, now)
        }
    }
}

fn after_send_rejected(kind: RejectionKind, code: String, facts: &Facts, now: Timestamp) -> Step {
    match kind {
        RejectionKind::NumberConflict => review(code),
        // Proof only if no other request for this number exists; else ask.
        RejectionKind::Refused if facts.send_count == 1 && !facts.doubtful => {
            let mut step = doubt(
                Plan::once_past(Job::Query, facts.protocol.confirm_after(), SOON_PAST),
                Some(code),
                facts,
                now,
            );
            step.note_refusal = true;
            step
        }
        RejectionKind::Refused | RejectionKind::Failed => doubt(
            Plan::new(Job::Query, schedule::doubt(facts.query_count)),
            Some(code),
            facts,
            now,
        ),
        RejectionKind::DailyLimit => again(
            Plan::once_past(
                Job::Send,
                now.next_beijing_midnight().since(now),
                AFTER_MIDNIGHT,
            ),
            code,
            facts,
            now,
        ),
        // The account's breaker decides when it goes on; the number stays.
        RejectionKind::Balance | RejectionKind::Configuration => again(
            Plan::new(Job::Send, schedule::retry(facts.send_count)),
            code,
            facts,
            now,
        ),
        RejectionKind::NotSent | RejectionKind::Throttled => again(
            Plan::new(Job::Send, schedule::retry(facts.send_count)),
            code,
            facts,
            now,
        ),
    }
}

/// The same number goes out again. As long as every request of it was refused
/// clearly it is still only being sent; otherwise an earlier one may have paid,
/// and after [`RESEND_UNTIL`] it is only asked about.
fn again(plan: Plan, code: String, facts: &Facts, now: Timestamp) -> Step {
    if !facts.doubtful {
        return Step::to(State::Sending, Some(plan), Some(code));
    }
    let plan = if now.since(facts.first_sent_at) >= RESEND_UNTIL {
        Plan {
            job: Job::Query,
            ..plan
        }
    } else {
        plan
    };
    doubt(plan, Some(code), facts, now)
}

/// What the answer to a question does.
#[must_use]
pub fn after_query(outcome: &QueryOutcome, facts: &Facts, now: Timestamp) -> Step {
    match outcome {
        QueryOutcome::Known(report) => {
            // The provider's words are in the recorded exchange; an error is a code.
            let error = (!report.reason.is_empty()).then(|| "PROVIDER_GAVE_REASON".to_owned());
            match resolve(facts.protocol, report.state, facts.state) {
                // Once the provider has contradicted itself, only a person believes it again.
                Resolution::Become(_) if facts.frozen => keep(error, facts, now),
                // It said before that it paid, though that answer came too late to move us.
                Resolution::Become(State::Failed) if facts.sent_at.is_some() => {
                    contradict("CONTRADICTION".to_owned(), facts, now)
                }
                Resolution::Become(state) => settle(state, error, now, facts),
                Resolution::Keep | Resolution::Stale => keep(error, facts, now),
                Resolution::Contradiction => contradict("CONTRADICTION".to_owned(), facts, now),
            }
        }
        QueryOutcome::NotFound => not_found(facts, now),
        QueryOutcome::Mismatch { field } => mismatch(field, facts, now),
        QueryOutcome::Rejected(rejection) => keep(Some(rejection.code.clone()), facts, now),
        QueryOutcome::Unknown(cause) => keep(Some(cause.code()), facts, now),
    }
}

/// The provider said where it stands, and that is news.
fn settle(state: State, error: Option<String>, now: Timestamp, facts: &Facts) -> Step {
    let age = facts.sent_at.map_or(Duration::ZERO, |sent| now.since(sent));
    let open = !facts.protocol.ends(state);
    let plan = open.then(|| schedule::sync(age).unwrap_or_else(schedule::review));
    let error = if state == State::Failed {
        Some("FAILED".to_owned())
    } else {
        error
    };
    Step::to(state, plan, error)
}

/// Nothing new: ask again later.
fn keep(error: Option<String>, facts: &Facts, now: Timestamp) -> Step {
    match facts.state {
        state if facts.protocol.ends(state) => Step::to(state, None, error),
        // The provider has the order: that it says nothing now puts nothing in doubt.
        State::Sending if facts.taken => {
            let plan = Plan::new(Job::Query, schedule::doubt(facts.query_count));
            match doubt(plan, error, facts, now) {
                step if step.state == State::Unknown => Step {
                    state: State::Sending,
                    ..step
                },
                step => step,
            }
        }
        State::Sent | State::Refunding => {
            match schedule::sync(facts.sent_at.map_or(Duration::ZERO, |sent| now.since(sent))) {
                Some(plan) => Step::to(facts.state, Some(plan), error),
                // The provider forgets after 30 days: what is open by then needs a person.
                None => review("SYNC_WINDOW_CLOSED".to_owned()),
            }
        }
        State::Review => Step::to(State::Review, Some(schedule::review()), error),
        State::Queued | State::Sending | State::Unknown => doubt(
            Plan::new(Job::Query, schedule::doubt(facts.query_count)),
            error,
            facts,
            now,
        ),
        State::Received | State::Refunded | State::Failed | State::Cancelled => {
            Step::to(facts.state, None, error)
        }
    }
}

/// "No such order" closes an attempt only where it confirms a refusal of the only
/// request. Otherwise, said twice and some minutes apart, it lets the same number
/// go out again.
fn not_found(facts: &Facts, now: Timestamp) -> Step {
    let doubtful = matches!(facts.state, State::Sending | State::Unknown | State::Review);
    if !doubtful {
        return keep(Some("NOT_FOUND".to_owned()), facts, now);
    }
    if let Some(refused_at) = facts.refused_at
        && facts.confirm_refusals
        && facts.send_count == 1
        && !facts.doubtful
        && now.since(refused_at) >= facts.protocol.confirm_after()
    {
        return Step::to(State::Failed, None, None);
    }
    let resend = facts.refused_at.is_none()
        && facts.state != State::Review
        && facts
            .not_found_at
            .is_some_and(|first| now.since(first) >= NOT_FOUND_APART)
        && now.since(facts.first_sent_at) < RESEND_UNTIL;
    let mut step = if resend {
        doubt(Plan::new(Job::Send, Duration::ZERO), None, facts, now)
    } else if facts.not_found_at.is_none() && facts.refused_at.is_none() {
        let plan = Plan::once_past(Job::Query, NOT_FOUND_APART, SOON_PAST);
        doubt(plan, None, facts, now)
    } else {
        keep(None, facts, now)
    };
    step.note_not_found = true;
    step
}

/// The provider tells of another payment under our number: a person looks, and a
/// packet that has ended is frozen rather than changed.
fn mismatch(field: &'static str, facts: &Facts, now: Timestamp) -> Step {
    let code = format!("MISMATCH_{}", field.to_ascii_uppercase());
    match facts.state {
        State::Queued | State::Sending | State::Unknown | State::Review => review(code),
        State::Sent
        | State::Refunding
        | State::Received
        | State::Refunded
        | State::Failed
        | State::Cancelled => contradict(code, facts, now),
    }
}

/// Both cannot be true. What has ended stays as it is, frozen; what has not ended
/// goes to a person.
fn contradict(code: String, facts: &Facts, now: Timestamp) -> Step {
    let step = if facts.state.is_final() {
        keep(Some(code), facts, now)
    } else {
        review(code)
    };
    Step {
        contradiction: true,
        ..step
    }
}

/// Still in doubt; after [`REVIEW_AFTER`] a person is asked.
fn doubt(plan: Plan, error: Option<String>, facts: &Facts, now: Timestamp) -> Step {
    if facts.state == State::Review || now.since(facts.first_sent_at) >= REVIEW_AFTER {
        return Step::to(State::Review, Some(schedule::review()), error);
    }
    Step::to(State::Unknown, Some(plan), error)
}

fn review(code: String) -> Step {
    Step::to(State::Review, Some(schedule::review()), Some(code))
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
