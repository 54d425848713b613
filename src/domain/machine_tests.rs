//! Walks all pairs of the machine, and pins the rules that keep a packet from
//! being paid twice.

use proptest::prelude::*;

use super::*;
use crate::domain::outcome::{Rejection, Report};
use crate::domain::state::Position;

const PROTOCOL: Protocol = Protocol::WechatPayV2;
const T0: Timestamp = Timestamp(1_800_000_000_000_000);

fn facts(state: State) -> Facts {
    Facts {
        protocol: PROTOCOL,
        taken: false,
        state,
        send_count: 1,
        query_count: 0,
        first_sent_at: T0,
        doubtful: false,
        refused_at: None,
        not_found_at: None,
        sent_at: None,
        frozen: false,
        confirm_refusals: true,
    }
}

fn known(state: ProviderState) -> QueryOutcome {
    QueryOutcome::Known(Report {
        state,
        provider_order_no: String::new(),
        reason: String::new(),
        received_at: None,
        refunded_at: None,
        refunded: None,
        receipts: Vec::new(),
        cost: None,
    })
}

fn rejected(kind: RejectionKind) -> SendOutcome {
    SendOutcome::Rejected(Rejection {
        kind,
        code: "CODE".to_owned(),
    })
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

#[test]
fn a_state_that_has_ended_never_changes() {
    for ours in State::ALL.into_iter().filter(|s| s.is_final()) {
        for theirs in ProviderState::ALL {
            assert!(
                !matches!(resolve(PROTOCOL, theirs, ours), Resolution::Become(_)),
                "{ours:?} by {theirs:?}"
            );
        }
    }
}

#[test]
fn money_never_comes_back_from_the_recipient_nor_leaves_again() {
    for ours in State::ALL {
        for theirs in ProviderState::ALL {
            let Resolution::Become(next) = resolve(PROTOCOL, theirs, ours) else {
                continue;
            };
            let order = |s: State| match s.position() {
                Position::External
                | Position::Liability
                | Position::Redeemed
                | Position::Merchant
                | Position::Fee
                | Position::Discount => -1,
                Position::Held => 0,
                Position::Transit => 1,
                Position::Paid | Position::Available => 2,
            };
            assert!(order(next) >= order(ours), "{ours:?} to {next:?}");
        }
    }
}

#[test]
fn the_same_answer_twice_changes_nothing_more() {
    for ours in State::ALL {
        for theirs in ProviderState::ALL {
            if let Resolution::Become(next) = resolve(PROTOCOL, theirs, ours) {
                assert!(
                    matches!(resolve(PROTOCOL, theirs, next), Resolution::Keep),
                    "{ours:?} by {theirs:?} twice"
                );
            }
        }
    }
}

#[test]
fn no_answer_to_a_send_fails_a_packet() {
    let mut outcomes: Vec<SendOutcome> = RejectionKind::ALL.into_iter().map(rejected).collect();
    outcomes.extend([
        SendOutcome::Unknown(Cause::Timeout),
        SendOutcome::Unknown(Cause::UnlistedCode("NEW".to_owned())),
        SendOutcome::Mismatch {
            field: "total_amount",
        },
    ]);
    for outcome in outcomes {
        for send_count in [1, 2, 9] {
            for doubtful in [false, true] {
                let facts = Facts {
                    send_count,
                    doubtful,
                    ..facts(State::Sending)
                };
                let step = after_send(&outcome, &facts, T0);
                assert!(
                    !step.state.is_final(),
                    "{outcome:?} leads to {:?}",
                    step.state
                );
                assert!(step.plan.is_some(), "{outcome:?} leaves the packet alone");
            }
        }
    }
}

#[test]
fn a_timeout_is_asked_about_first() {
    let step = after_send(
        &SendOutcome::Unknown(Cause::Timeout),
        &facts(State::Sending),
        T0,
    );
    assert_eq!(step.state, State::Unknown);
    assert_eq!(
        step.plan,
        Some(Plan::new(Job::Query, Duration::from_secs(15)))
    );
    assert!(step.note_doubt);
}

#[test]
fn processing_is_asked_about_after_twenty_minutes() {
    let cause = Cause::Processing("PROCESSING".to_owned());
    let step = after_send(&SendOutcome::Unknown(cause), &facts(State::Sending), T0);
    assert_eq!(step.plan, Some(Plan::new(Job::Query, minutes(20))));
}

#[test]
fn an_account_without_money_keeps_its_packets_sending() {
    let step = after_send(
        &rejected(RejectionKind::Balance),
        &facts(State::Sending),
        T0,
    );
    assert_eq!(
        (step.state, step.plan.map(|p| p.job)),
        (State::Sending, Some(Job::Send))
    );
    let doubtful = Facts {
        doubtful: true,
        send_count: 2,
        ..facts(State::Sending)
    };
    let step = after_send(&rejected(RejectionKind::Balance), &doubtful, T0);
    assert_eq!(step.state, State::Unknown);
}

#[test]
fn an_old_number_in_doubt_is_not_sent_again() {
    let facts = Facts {
        doubtful: true,
        send_count: 2,
        ..facts(State::Sending)
    };
    let step = after_send(
        &rejected(RejectionKind::Throttled),
        &facts,
        T0.plus(RESEND_UNTIL),
    );
    assert_eq!(step.plan.map(|p| p.job), Some(Job::Query));
}

#[test]
fn a_refusal_fails_only_when_it_answered_the_only_request_and_a_query_confirms() {
    let refused = after_send(
        &rejected(RejectionKind::Refused),
        &facts(State::Sending),
        T0,
    );
    assert!(refused.note_refusal);
    assert_eq!(
        refused.plan,
        Some(Plan::once_past(
            Job::Query,
            PROTOCOL.confirm_after(),
            SOON_PAST
        ))
    );

    let confirmed = Facts {
        refused_at: Some(T0),
        query_count: 1,
        ..facts(State::Unknown)
    };
    let later = T0.plus(PROTOCOL.confirm_after());
    assert_eq!(
        after_query(&QueryOutcome::NotFound, &confirmed, later).state,
        State::Failed
    );

    let too_early = after_query(&QueryOutcome::NotFound, &confirmed, T0.plus(minutes(19)));
    let second = Facts {
        send_count: 2,
        ..confirmed
    };
    let doubtful = Facts {
        doubtful: true,
        ..confirmed
    };
    let option_off = Facts {
        confirm_refusals: false,
        ..confirmed
    };
    let unrefused = Facts {
        refused_at: None,
        ..confirmed
    };
    assert_eq!(too_early.state, State::Unknown);
    for facts in [second, doubtful, option_off, unrefused] {
        assert_eq!(
            after_query(&QueryOutcome::NotFound, &facts, later).state,
            State::Unknown
        );
    }
}

#[test]
fn a_second_request_is_never_noted_as_the_only_one() {
    let facts = Facts {
        send_count: 2,
        ..facts(State::Sending)
    };
    assert!(!after_send(&rejected(RejectionKind::Refused), &facts, T0).note_refusal);
}

#[test]
fn not_found_twice_and_apart_sends_the_same_number_again() {
    let once = facts(State::Unknown);
    let step = after_query(&QueryOutcome::NotFound, &once, T0);
    assert_eq!(step.plan.map(|p| p.job), Some(Job::Query));
    assert!(step.note_not_found);
    let twice = Facts {
        not_found_at: Some(T0),
        query_count: 2,
        ..once
    };
    let step = after_query(&QueryOutcome::NotFound, &twice, T0.plus(minutes(2)));
    assert_eq!(
        (step.state, step.plan.map(|p| p.job)),
        (State::Unknown, Some(Job::Send))
    );
    let soon = after_query(&QueryOutcome::NotFound, &twice, T0.plus(minutes(1)));
    assert_eq!(soon.plan.map(|p| p.job), Some(Job::Query));
    let old = after_query(&QueryOutcome::NotFound, &twice, T0.plus(RESEND_UNTIL));
    assert_eq!(old.plan.map(|p| p.job), Some(Job::Query));
}

#[test]
fn doubt_ends_with_a_person_and_the_provider_may_still_say() {
    let step = after_query(
        &QueryOutcome::NotFound,
        &facts(State::Unknown),
        T0.plus(REVIEW_AFTER),
    );
    assert_eq!(step.state, State::Review);
    assert!(step.plan.is_some());
    let step = after_query(
        &known(ProviderState::Sent),
        &facts(State::Review),
        T0.plus(REVIEW_AFTER),
    );
    assert_eq!(step.state, State::Sent);
}

#[test]
fn a_wrong_echo_or_a_number_booked_otherwise_goes_to_review() {
    let echo = SendOutcome::Mismatch {
        field: "total_amount",
    };
    let step = after_send(&echo, &facts(State::Sending), T0);
    assert_eq!(
        (step.state, step.last_error.as_deref()),
        (State::Review, Some("MISMATCH_TOTAL_AMOUNT"))
    );
    assert_eq!(
        after_send(
            &rejected(RejectionKind::NumberConflict),
            &facts(State::Sending),
            T0
        )
        .state,
        State::Review
    );
}

#[test]
fn a_contradiction_freezes_and_never_overwrites() {
    let step = after_query(&known(ProviderState::Received), &facts(State::Failed), T0);
    assert!(step.contradiction);
    assert_eq!(step.state, State::Failed);
    let sent = Facts {
        sent_at: Some(T0),
        ..facts(State::Sent)
    };
    let step = after_query(&known(ProviderState::Failed), &sent, T0);
    assert!(step.contradiction);
    assert_eq!(step.state, State::Review, "a person decides");
    let frozen = Facts {
        frozen: true,
        ..facts(State::Review)
    };
    let step = after_query(&known(ProviderState::Failed), &frozen, T0);
    assert_eq!(
        step.state,
        State::Review,
        "a second word of a provider that contradicted itself decides nothing"
    );
}

fn of_open_platform(state: State) -> Facts {
    Facts {
        protocol: Protocol::OpenPlatform,
        ..facts(state)
    }
}

#[test]
fn an_order_that_was_taken_is_asked_about_soon_and_is_in_no_doubt() {
    let taken = SendOutcome::Taken {
        provider_order_no: "9".to_owned(),
        cost: None,
    };
    let step = after_send(&taken, &of_open_platform(State::Sending), T0);
    assert_eq!(step.state, State::Sending);
    assert_eq!(step.plan, Some(Plan::new(Job::Query, TAKEN_LOOK)));
    assert!(step.note_taken && !step.note_doubt);
    let facts = Facts {
        taken: true,
        query_count: 1,
        ..of_open_platform(State::Sending)
    };
    for quiet in [
        known(ProviderState::Sending),
        QueryOutcome::Unknown(Cause::Timeout),
    ] {
        let step = after_query(&quiet, &facts, T0);
        assert_eq!(
            (step.state, step.plan.map(|p| p.job)),
            (State::Sending, Some(Job::Query))
        );
        let late = after_query(&quiet, &facts, T0.plus(REVIEW_AFTER));
        assert_eq!(late.state, State::Review);
    }
    // That it knows no such order after all is doubt.
    let step = after_query(&QueryOutcome::NotFound, &facts, T0);
    assert_eq!(step.state, State::Unknown);
    let step = after_query(&known(ProviderState::Failed), &facts, T0);
    assert_eq!((step.state, step.plan), (State::Failed, None));
}

#[test]
fn an_open_platform_tells_no_more_than_that_it_was_sent() {
    let step = after_query(
        &known(ProviderState::Sent),
        &of_open_platform(State::Unknown),
        T0,
    );
    assert_eq!((step.state, step.plan), (State::Sent, None));
    let sent = Facts {
        sent_at: Some(T0),
        ..of_open_platform(State::Sent)
    };
    let step = after_query(&known(ProviderState::Sent), &sent, T0);
    assert_eq!((step.state, step.plan), (State::Sent, None));
    let step = after_query(&known(ProviderState::Failed), &sent, T0);
    assert!(step.contradiction);
    assert_eq!(step.state, State::Review);
    for theirs in [ProviderState::Received, ProviderState::Refunding] {
        for ours in State::ALL {
            let resolved = resolve(Protocol::OpenPlatform, theirs, ours);
            assert_eq!(resolved, Resolution::Contradiction, "{ours:?}");
        }
    }
    // Its bill may say that it came back.
    let back = resolve(Protocol::OpenPlatform, ProviderState::Refunded, State::Sent);
    assert_eq!(back, Resolution::Become(State::Refunded));
}

#[test]
fn a_refusal_of_an_open_platform_is_confirmed_after_a_minute() {
    let refused = after_send(
        &rejected(RejectionKind::Refused),
        &of_open_platform(State::Sending),
        T0,
    );
    let wait = Plan::once_past(Job::Query, minutes(1), SOON_PAST);
    assert_eq!(refused.plan, Some(wait));
    let confirmed = Facts {
        refused_at: Some(T0),
        query_count: 1,
        ..of_open_platform(State::Unknown)
    };
    let step = after_query(&QueryOutcome::NotFound, &confirmed, T0.plus(minutes(1)));
    assert_eq!(step.state, State::Failed);
}

fn any_state() -> impl Strategy<Value = State> {
    (0_usize..State::ALL.len()).prop_map(|i| State::ALL[i])
}

proptest! {
    /// Whatever is answered: what has not ended has a next look, what has ended has none.
    #[test]
    fn nothing_is_forgotten(
        ours in any_state(),
        answer in 0_usize..10,
        age_hours in 0_u64..900,
        sends in 1_i32..5,
        queries in 0_i32..30,
        doubtful: bool,
        refused: bool,
        taken: bool,
        pick in 0_usize..2,
    ) {
        let protocol = [Protocol::WechatPayV2, Protocol::OpenPlatform][pick];
        let facts = Facts {
            protocol,
            taken,
            state: ours,
            send_count: sends,
            query_count: queries,
            first_sent_at: T0,
            doubtful,
            refused_at: refused.then_some(T0),
            not_found_at: Some(T0),
            sent_at: Some(T0),
            frozen: false,
            confirm_refusals: true,
        };
        let now = T0.plus(Duration::from_secs(age_hours * 3_600));
        let outcome = match answer {
            0..=5 => known(ProviderState::ALL[answer]),
            6 => QueryOutcome::NotFound,
            7 => QueryOutcome::Unknown(Cause::Unparsable),
            8 => QueryOutcome::Mismatch { field: "amount" },
            _ => QueryOutcome::Rejected(Rejection { kind: RejectionKind::Throttled, code: "FREQ_LIMIT".to_owned() }),
        };
        if ours == State::Queued { return Ok(()); }
        let step = after_query(&outcome, &facts, now);
        prop_assert_eq!(step.plan.is_none(), protocol.ends(step.state), "{:?} -> {:?}", ours, step);
        if ours.is_final() {
            prop_assert_eq!(step.state, ours);
        }
        if step.state == State::Failed && ours != State::Failed {
            let proven = matches!(&outcome, QueryOutcome::Known(r) if r.state == ProviderState::Failed);
            let confirmed = outcome == QueryOutcome::NotFound && refused && sends == 1 && !doubtful;
            prop_assert!(proven || confirmed);
        }
    }
}
