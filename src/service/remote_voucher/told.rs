//! From rows to calls, and from what was told to what is written down.

use super::{PAIR_BUSY, Spent, Spoken, Told};
use crate::clock::Clock;
use crate::domain::outcome::{Rejection, RejectionKind};
use crate::domain::remote_voucher::{
    Fate, Give, GiveOutcome, NotSent, Pair, RemoteId, Spend, StepUp as RemoteStepUp, Turn,
    TurnFate, TurnOutcome, Undo,
};
use crate::domain::text::Mobile;
use crate::domain::voucher::StepUp;
use crate::domain::{Error, Result};
use crate::store::settle::Exchange;
use crate::store::voucher::{Asked, RemoteFate, RemoteSaid, RemoteWork};

/// A claimed call as the platform's door takes it.
pub(super) enum Asks {
    Give(Give),
    Spend(Spend, Vec<RemoteId>),
    Undo(Undo, Mobile, Vec<RemoteId>, Vec<RemoteId>),
}

impl Asks {
    pub(super) fn of(work: &RemoteWork) -> Result<Self> {
        let person = |raw: &str| {
            let broken = || Error::internal("a stored number is none", "remote");
            Mobile::kept(raw).ok_or_else(broken)
        };
        Ok(match work.asked.clone() {
            Asked::Give {
                mobile,
                product,
                sum,
                order,
                remark,
            } => Self::Give(Give {
                pair: Pair {
                    mobile: person(&mobile)?,
                    product,
                },
                sum,
                order,
                remark,
            }),
            Asked::Spend {
                mobile,
                products,
                vouchers,
                order,
                associated,
                remark,
            } => {
                let spend = Spend {
                    mobile: person(&mobile)?,
                    vouchers,
                    order,
                    associated_order: associated,
                    remark,
                    step_up: step_up(work),
                };
                Self::Spend(spend, products)
            }
            Asked::Undo {
                mobile,
                products,
                vouchers,
                orders,
            } => Self::Undo(Undo { orders }, person(&mobile)?, products, vouchers),
        })
    }

    /// What a turn turns, and whose it is; of a gift nothing.
    pub(super) fn turned(&self) -> Option<(Turn, Spent<'_>)> {
        match self {
            Self::Give(_) => None,
            Self::Spend(spend, products) => Some((
                Turn::Spend,
                Spent {
                    mobile: &spend.mobile,
                    products,
                    vouchers: &spend.vouchers,
                },
            )),
            Self::Undo(_, mobile, products, vouchers) => Some((
                Turn::Undo,
                Spent {
                    mobile,
                    products,
                    vouchers,
                },
            )),
        }
    }
}

fn step_up(work: &RemoteWork) -> RemoteStepUp {
    let code = |wanted: StepUp| {
        let mut codes = work.codes.0.iter();
        codes
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, code)| code.clone())
    };
    RemoteStepUp {
        account_code: code(StepUp::AccountCode),
        payment_code_md5: code(StepUp::PaymentCode),
    }
}

/// What is to be written down.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) fate: RemoteFate,
    /// The listed code with which the platform refused.
    pub(super) refusal: Option<String>,
    pub(super) spoken: Vec<Spoken>,
}

impl Proven {
    /// Nothing has left, and nothing was in vain.
    pub(super) fn waits(code: &str) -> Self {
        Self {
            fate: RemoteFate::Waits {
                code: code.to_owned(),
            },
            refusal: None,
            spoken: Vec::new(),
        }
    }

    pub(super) fn of_give(told: Told<Fate>) -> Self {
        let window = |id: &RemoteId| {
            let seen = told.seen.iter().find(|seen| seen.id == *id)?;
            Some((seen.start, seen.end?))
        };
        let fate = match told.fate {
            Fate::Sent { voucher, order, .. } => RemoteFate::Given {
                window: window(&voucher),
                voucher,
                order,
            },
            Fate::NotSent(why) => not_done(why),
            Fate::StillUnknown { code } => still_unknown(code),
            Fate::Review(review) => RemoteFate::Review {
                code: review.code().to_owned(),
            },
        };
        Self {
            fate,
            refusal: told.refusal,
            spoken: told.spoken,
        }
    }

    pub(super) fn of_turn(told: Told<TurnFate>) -> Self {
        let fate = match told.fate {
            TurnFate::Done { orders } => {
                let mut numbers: Vec<RemoteId> = Vec::new();
                for turned in orders {
                    if !numbers.contains(&turned.order) {
                        numbers.push(turned.order);
                    }
                }
                RemoteFate::Turned { orders: numbers }
            }
            TurnFate::NotDone(why) => not_done(why),
            TurnFate::StillUnknown { code } => still_unknown(code),
            TurnFate::Review(review) => RemoteFate::Review {
                code: review.code().to_owned(),
            },
        };
        Self {
            fate,
            refusal: told.refusal,
            spoken: told.spoken,
        }
    }

    /// A word for metrics.
    pub(super) fn label(&self) -> &'static str {
        match &self.fate {
            RemoteFate::Given { .. } | RemoteFate::Turned { .. } => "done",
            RemoteFate::NotDone { .. } => "not_done",
            RemoteFate::Waits { .. } => "waits",
            RemoteFate::Later { unsent: true, .. } => "not_sent",
            RemoteFate::Later { unsent: false, .. } => "unknown",
            RemoteFate::Review { .. } => "review",
        }
    }
}

fn still_unknown(code: String) -> RemoteFate {
    RemoteFate::Later {
        code,
        unsent: false,
    }
}

fn not_done(why: NotSent) -> RemoteFate {
    let code = match why {
        NotSent::Unsent(code) if code == PAIR_BUSY => return RemoteFate::Waits { code },
        NotSent::Unsent(code) => return RemoteFate::Later { code, unsent: true },
        NotSent::Refused(code) => code,
        NotSent::Absent => "ABSENT".to_owned(),
        NotSent::Unfit => "UNFIT".to_owned(),
    };
    RemoteFate::NotDone { code }
}

/// The refusal of an answer that leaves doubt, for a later look.
pub(super) fn refusal_of_give(answer: &GiveOutcome) -> Option<String> {
    match answer {
        GiveOutcome::Rejected(no) => listed(no),
        GiveOutcome::Given { .. } | GiveOutcome::Unknown(_) | GiveOutcome::Mismatch { .. } => None,
    }
}

/// The same of a turn.
pub(super) fn refusal_of_turn(answer: &TurnOutcome) -> Option<String> {
    match answer {
        TurnOutcome::Rejected(no) => listed(no),
        TurnOutcome::Done { .. } | TurnOutcome::Unknown(_) | TurnOutcome::Mismatch { .. } => None,
    }
}

fn listed(no: &Rejection) -> Option<String> {
    (no.kind != RejectionKind::NotSent).then(|| no.code.clone())
}

/// The answer that a kept refusal stands for.
pub(super) fn refused(code: Option<&str>) -> Option<Rejection> {
    code.map(|code| Rejection {
        kind: RejectionKind::Refused,
        code: code.to_owned(),
    })
}

/// An exchange as it is recorded, by the service's clock.
pub(super) fn said(spoken: Spoken, clock: &Clock) -> RemoteSaid {
    let ago = spoken.ended.elapsed().saturating_add(spoken.duration);
    RemoteSaid {
        outcome: spoken.outcome,
        ago: clock.stretched(ago),
        exchange: Exchange {
            call: spoken.call,
            request: spoken.request,
            response: spoken.response,
            http_status: spoken.http_status,
            duration_ms: i64::try_from(spoken.duration.as_millis()).unwrap_or(i64::MAX),
        },
    }
}
