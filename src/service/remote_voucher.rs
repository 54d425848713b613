//! Vouchers at a platform that somebody else runs: give, list, spend, undo, each made once.
//!
//! Every change is framed by two looks. The first is kept by the caller before the request
//! leaves (`keep`), so that another process can resolve what this one began; if it cannot be
//! kept, nothing is sent. After the answer, doubt is resolved by a second look, here at once
//! and later by whoever works through what is unknown ([`Vouchers::look_again`]). Nothing in
//! here asks for a change twice.
//!
//! One give at a time for each pair: in this process by [`Pairs`], between processes by the
//! caller's rows.

mod looks;
mod pairs;
#[cfg(test)]
mod tests;
mod told;
mod work;

use std::future::Future;
use std::time::{Duration, Instant};

use crate::clock;
use crate::domain::outcome::Cause;
use crate::domain::remote_voucher::{
    Baseline, Fate, Give, GiveOutcome, NotSent, Patience, RemoteId, RemoteVoucher, Spend, Turn,
    TurnFate, TurnOutcome, Undo, resolve_give, resolve_turn, unfit,
};
use crate::domain::text::Mobile;
use crate::domain::{Result, Timestamp};
use crate::provider::VoucherPlatform;

pub use looks::{Look, Whose};
pub use pairs::{PairGuard, Pairs};
pub use work::Worker;

use told::{refusal_of_give, refusal_of_turn};

/// Another gift of the same person and product is under way here.
const PAIR_BUSY: &str = "PAIR_BUSY";

/// The platform's answer to a spend was lost, and with it the number that an undo names.
const NUMBER_LOST: &str = "NUMBER_LOST";

/// Everything that was said in one exchange, for the record.
#[derive(Clone)]
pub struct Spoken {
    /// The platform's name for the call.
    pub call: &'static str,
    /// What was sent: it names a person, for the encrypted record alone.
    pub request: Vec<u8>,
    /// What came back, as far as it came.
    pub response: Option<Vec<u8>>,
    /// The HTTP status, if one came.
    pub http_status: Option<u16>,
    /// How long it took.
    pub duration: Duration,
    /// When it was over, by the monotonic clock.
    pub ended: Instant,
    /// What it proved, in a word.
    pub outcome: String,
}

impl std::fmt::Debug for Spoken {
    /// Without the bytes, which name a person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spoken")
            .field("call", &self.call)
            .field("http_status", &self.http_status)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

/// A result with all exchanges that led to it, in their order.
#[derive(Clone, Debug)]
pub struct Told<T> {
    /// The result.
    pub fate: T,
    /// What was said.
    pub spoken: Vec<Spoken>,
    /// The listed code with which the platform refused, where that leaves doubt.
    pub refusal: Option<String>,
    /// Vouchers as the platform showed them last.
    pub seen: Vec<RemoteVoucher>,
}

impl<T> Told<T> {
    fn new(fate: T, spoken: Vec<Spoken>) -> Self {
        Self {
            fate,
            spoken,
            refusal: None,
            seen: Vec::new(),
        }
    }
}

/// What is known of a give when somebody looks again.
#[derive(Clone, Debug)]
pub struct Doubt<'a> {
    /// The order.
    pub give: &'a Give,
    /// The list that was kept before the request left.
    pub before: &'a Baseline,
    /// What the request was answered; [`lost`] if the process that asked is gone.
    pub answer: &'a GiveOutcome,
    /// How long ago the request ended, or at most can have ended.
    pub age: Duration,
}

/// The answer of a request whose process is gone: it may have been sent.
#[must_use]
pub fn lost() -> GiveOutcome {
    GiveOutcome::Unknown(Cause::LeaseLost)
}

/// A platform with the rules for doubt.
#[derive(Debug)]
pub struct Vouchers<'a, P> {
    platform: &'a P,
    pairs: &'a Pairs,
    patience: Patience,
}

impl<'a, P: VoucherPlatform> Vouchers<'a, P> {
    /// For calls to a platform.
    #[must_use]
    pub fn new(platform: &'a P, pairs: &'a Pairs, patience: Patience) -> Self {
        Self {
            platform,
            pairs,
            patience,
        }
    }

    /// All vouchers of a person, of some products or of all.
    pub async fn query(&self, mobile: &Mobile, products: &[RemoteId]) -> Told<Look> {
        let mut spoken = Vec::new();
        let whose = Whose { mobile, products };
        let fate = looks::whole(self.platform, whose, &mut spoken).await;
        Told::new(fate, spoken)
    }

    /// Gives a voucher, once. `keep` stores the list from before; only then is anything sent.
    /// Without a whole list nothing is sent either, since doubt could not be resolved.
    ///
    /// # Errors
    /// Those of `keep`; nothing was sent then.
    pub async fn give<F: Future<Output = Result<()>>>(
        &self,
        give: &Give,
        keep: impl FnOnce(Baseline) -> F,
    ) -> Result<Told<Fate>> {
        let mut spoken = Vec::new();
        let Some(_alone) = self.pairs.enter(&give.pair) else {
            let fate = Fate::NotSent(NotSent::Unsent(PAIR_BUSY.to_owned()));
            return Ok(Told::new(fate, spoken));
        };
        let before = match looks::whole(self.platform, Whose::pair(&give.pair), &mut spoken).await {
            Look::Whole(vouchers) => Baseline::of(&vouchers),
            Look::Unclear(code) => {
                let fate = Fate::NotSent(NotSent::Unsent(code));
                return Ok(Told::new(fate, spoken));
            }
        };
        keep(before.clone()).await?;
        let said = self.platform.give(give).await;
        let (answer, ended) = (said.outcome.clone(), clock::monotonic());
        spoken.push(looks::spoken(said));
        let mut fate = self.resolve(give, &before, &answer, None, Duration::ZERO);
        let mut seen = match &answer {
            GiveOutcome::Given { voucher, .. } => vec![voucher.clone()],
            GiveOutcome::Rejected(_) | GiveOutcome::Unknown(_) | GiveOutcome::Mismatch { .. } => {
                Vec::new()
            }
        };
        if matches!(fate, Fate::StillUnknown { .. }) {
            let after = looks::whole(self.platform, Whose::pair(&give.pair), &mut spoken).await;
            seen = after.vouchers().unwrap_or_default().to_vec();
            let after = after.vouchers().map(Baseline::of);
            fate = self.resolve(give, &before, &answer, after.as_ref(), ended.elapsed());
        }
        let refusal = refusal_of_give(&answer);
        Ok(Told {
            fate,
            spoken,
            refusal,
            seen,
        })
    }

    /// Looks again at a give that is in doubt. Sends nothing but questions.
    pub async fn look_again(&self, doubt: &Doubt<'_>) -> Told<Fate> {
        let mut spoken = Vec::new();
        let give = doubt.give;
        // A give of this process to the same pair would show as a second new voucher.
        let Some(_alone) = self.pairs.enter(&give.pair) else {
            let code = PAIR_BUSY.to_owned();
            let fate = Fate::StillUnknown { code };
            return Told::new(fate, spoken);
        };
        let after = looks::whole(self.platform, Whose::pair(&give.pair), &mut spoken).await;
        let seen = after.vouchers().unwrap_or_default().to_vec();
        let after = after.vouchers().map(Baseline::of);
        let fate = self.resolve(give, doubt.before, doubt.answer, after.as_ref(), doubt.age);
        Told {
            fate,
            spoken,
            refusal: None,
            seen,
        }
    }

    fn resolve(
        &self,
        give: &Give,
        before: &Baseline,
        answer: &GiveOutcome,
        after: Option<&Baseline>,
        age: Duration,
    ) -> Fate {
        resolve_give(give.sum, before, answer, after, age, &self.patience)
    }

    /// Spends vouchers, all or none, once. What the list shows as not to be spent is not
    /// asked for. `keep` is told before anything is sent.
    ///
    /// # Errors
    /// Those of `keep`; nothing was sent then.
    pub async fn spend<F: Future<Output = Result<()>>>(
        &self,
        spend: &Spend,
        products: &[RemoteId],
        now: Timestamp,
        keep: impl FnOnce() -> F,
    ) -> Result<Told<TurnFate>> {
        let frame = Frame {
            turn: Turn::Spend,
            vouchers: &spend.vouchers,
            whose: Whose {
                mobile: &spend.mobile,
                products,
            },
            now,
            nameless: false,
        };
        self.turn(frame, keep, self.platform.spend(spend)).await
    }

    /// Undoes spends of these vouchers, all or none, once. What somebody has undone there
    /// already is done; without the platform's number of a spend nothing more can be asked.
    ///
    /// # Errors
    /// Those of `keep`; nothing was sent then.
    pub async fn undo<F: Future<Output = Result<()>>>(
        &self,
        undo: &Undo,
        spent: &Spent<'_>,
        now: Timestamp,
        keep: impl FnOnce() -> F,
    ) -> Result<Told<TurnFate>> {
        let frame = Frame {
            turn: Turn::Undo,
            vouchers: spent.vouchers,
            whose: Whose {
                mobile: spent.mobile,
                products: spent.products,
            },
            now,
            nameless: undo.orders.is_empty(),
        };
        self.turn(frame, keep, self.platform.undo(undo)).await
    }

    /// Looks again at a spend, or at an undone spend, that is in doubt.
    pub async fn look_again_at(
        &self,
        turn: Turn,
        spent: &Spent<'_>,
        answer: &TurnOutcome,
        now: Timestamp,
        age: Duration,
    ) -> Told<TurnFate> {
        let mut spoken = Vec::new();
        let whose = Whose {
            mobile: spent.mobile,
            products: spent.products,
        };
        let after = looks::whole(self.platform, whose, &mut spoken).await;
        let after = after.vouchers();
        let ids = spent.vouchers;
        let fate = resolve_turn(turn, ids, answer, after, now, age, &self.patience);
        Told::new(fate, spoken)
    }

    async fn turn<F: Future<Output = Result<()>>>(
        &self,
        frame: Frame<'_>,
        keep: impl FnOnce() -> F,
        ask: impl Future<Output = crate::provider::Said<TurnOutcome>>,
    ) -> Result<Told<TurnFate>> {
        let (turn, ids, now) = (frame.turn, frame.vouchers, frame.now);
        let mut spoken = Vec::new();
        let not = |why| TurnFate::NotDone(why);
        let before = match looks::whole(self.platform, frame.whose, &mut spoken).await {
            Look::Whole(vouchers) => vouchers,
            Look::Unclear(code) => {
                let fate = not(NotSent::Unsent(code));
                return Ok(Told::new(fate, spoken));
            }
        };
        if turn == Turn::Undo && unfit(Turn::Spend, ids, &before).is_empty() {
            let fate = TurnFate::Done { orders: Vec::new() };
            return Ok(Told::new(fate, spoken));
        }
        if frame.nameless {
            let fate = not(NotSent::Refused(NUMBER_LOST.to_owned()));
            return Ok(Told::new(fate, spoken));
        }
        if !unfit(turn, ids, &before).is_empty() {
            let fate = not(NotSent::Unfit);
            return Ok(Told::new(fate, spoken));
        }
        keep().await?;
        let said = ask.await;
        let (answer, ended) = (said.outcome.clone(), clock::monotonic());
        spoken.push(looks::spoken(said));
        let at_once = Duration::ZERO;
        let mut fate = resolve_turn(turn, ids, &answer, None, now, at_once, &self.patience);
        if matches!(fate, TurnFate::StillUnknown { .. }) {
            let after = looks::whole(self.platform, frame.whose, &mut spoken).await;
            let (after, age) = (after.vouchers(), ended.elapsed());
            fate = resolve_turn(turn, ids, &answer, after, now, age, &self.patience);
        }
        let refusal = refusal_of_turn(&answer);
        Ok(Told {
            refusal,
            ..Told::new(fate, spoken)
        })
    }
}

/// What was spent, and of whom: an undo names only orders.
#[derive(Clone, Copy, Debug)]
pub struct Spent<'a> {
    /// Whose.
    pub mobile: &'a Mobile,
    /// The products to look at; none: all.
    pub products: &'a [RemoteId],
    /// The vouchers.
    pub vouchers: &'a [RemoteId],
}

/// What both looks at a turn have in common.
#[derive(Clone, Copy, Debug)]
struct Frame<'a> {
    turn: Turn,
    vouchers: &'a [RemoteId],
    whose: Whose<'a>,
    now: Timestamp,
    /// Whether the platform's number of what is to be turned was lost.
    nameless: bool,
}
