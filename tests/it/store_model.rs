//! Random histories of the store: callers, operators, workers that come late or
//! never, and a provider that may say anything at any time, also what cannot be
//! true. Whatever the order, every rule of `hongbao verify` holds after each step.

use hongbao::domain::outcome::{
    Cause, ProviderState, QueryOutcome, Rejection, RejectionKind, SendOutcome,
};
use hongbao::domain::schedule::Job;
use hongbao::grpc::pb;
use hongbao::store::claim::Claimed;
use hongbao::store::settle::Answer;
use proptest::prelude::*;
use proptest::test_runner::Config;
use tonic::{Code, Status};

use crate::fence::{accepted, answer, claim, known};
use crate::sending::ready;
use crate::support::{Options, TestApp, TestDb, block_on};

const SHOP: i64 = 1;

#[derive(Clone, Debug)]
enum Op {
    Fund(i64),
    Send,
    SendToMany(usize),
    Resend(usize),
    Pause,
    Activate,
    End,
    Claim(Job),
    /// Some of the claims that wait for an answer get one, in one transaction.
    Settle(Vec<(usize, usize)>),
    /// A worker dies with its claim.
    Lose(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => (1_i64..2_000).prop_map(Op::Fund),
        4 => Just(Op::Send),
        2 => (1_usize..6).prop_map(Op::SendToMany),
        3 => any::<usize>().prop_map(Op::Resend),
        1 => Just(Op::Pause),
        2 => Just(Op::Activate),
        1 => Just(Op::End),
        8 => prop::sample::select(Job::ALL.to_vec()).prop_map(Op::Claim),
        8 => prop::collection::vec((any::<usize>(), 0_usize..64), 1..5).prop_map(Op::Settle),
        1 => any::<usize>().prop_map(Op::Lose),
    ]
}

/// What the provider says to a request to pay, or to a question.
fn say(job: Job, which: usize) -> Answer {
    let rejection = || Rejection {
        kind: RejectionKind::ALL[which % 8],
        code: format!("CODE_{}", which % 8),
    };
    if job == Job::Send {
        return match which % 12 {
            0..5 => accepted(),
            5..8 => Answer::Send(SendOutcome::Rejected(rejection())),
            8 => Answer::Send(SendOutcome::Unknown(Cause::Timeout)),
            9 => Answer::Send(SendOutcome::Unknown(Cause::Processing("P".into()))),
            10 => Answer::Send(SendOutcome::Rejected(rejection())),
            _ => Answer::Send(SendOutcome::Mismatch { field: "amount" }),
        };
    }
    match which % 12 {
        0..8 => known(ProviderState::ALL[which % 6]),
        8 | 9 => Answer::Query(QueryOutcome::NotFound),
        10 => Answer::Query(QueryOutcome::Unknown(Cause::ConnectionLost)),
        _ if which < 32 => Answer::Query(QueryOutcome::Rejected(rejection())),
        _ => Answer::Query(QueryOutcome::Mismatch { field: "openid" }),
    }
}

/// A refusal by a rule is fine; anything else is not.
fn allowed<T>(result: Result<T, Status>) {
    if let Err(status) = result {
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    }
}

struct World {
    app: TestApp,
    campaign: i64,
    packets: Vec<i64>,
    claims: Vec<(Job, Claimed)>,
    ended: bool,
}

impl World {
    async fn new(db: TestDb) -> Self {
        let options = Options {
            dispatcher: false,
            // Eleven days a second: all that is planned is due in a moment.
            time_scale: 1_000_000,
            ..Options::default()
        };
        let app = TestApp::start_with(db, options).await;
        let campaign = ready(&app, 1_500).await;
        let people: Vec<(String, String)> = (0..6)
            .map(|n| (format!("u{n}"), format!("oModel{n}")))
            .collect();
        app.client.make_people(SHOP, &app.appid(), &people).await;
        Self {
            app,
            campaign,
            packets: Vec::new(),
            claims: Vec::new(),
            ended: false,
        }
    }

    async fn step(&mut self, op: Op) {
        let client = &self.app.client;
        match op {
            Op::Fund(amount_fen) => {
                let request = pb::FundCampaignRequest {
                    shop_id: SHOP,
                    request_id: client.fresh(),
                    campaign_id: self.campaign,
                    amount_fen,
                    ..Default::default()
                };
                allowed(client.campaigns().fund_campaign(request).await);
            }
            Op::Send => match client.send(SHOP, self.campaign, "oSingle").await {
                Ok(sent) => self.packets.push(sent.issuance_id),
                Err(status) => allowed(Err::<(), _>(status)),
            },
            Op::SendToMany(count) => {
                let request = pb::SendToUsersRequest {
                    shop_id: SHOP,
                    request_id: client.fresh(),
                    campaign_id: self.campaign,
                    uids: (0..count).map(|n| format!("u{n}")).collect(),
                    source: pb::IssuanceSource::Game.into(),
                    ..Default::default()
                };
                allowed(client.issuances().send_to_users(request).await);
            }
            Op::Resend(which) if !self.packets.is_empty() => {
                let request = pb::ResendRequest {
                    shop_id: SHOP,
                    request_id: client.fresh(),
                    issuance_id: self.packets[which % self.packets.len()],
                    ..Default::default()
                };
                allowed(client.issuances().resend(request).await);
            }
            Op::Pause if !self.ended => crate::dispatching::pause(&self.app, self.campaign).await,
            Op::Activate if !self.ended => {
                crate::dispatching::activate(&self.app, self.campaign).await;
            }
            // Most histories should not end early.
            Op::End if !self.ended && self.packets.len() > 6 => {
                crate::dispatching::end(&self.app, self.campaign).await;
                self.ended = true;
            }
            Op::Claim(job) => {
                let claimed = claim(&self.app, job).await;
                self.claims
                    .extend(claimed.into_iter().map(|packet| (job, packet)));
            }
            Op::Settle(answers) => {
                let mut settlements = Vec::new();
                for (which, what) in answers {
                    if self.claims.is_empty() {
                        break;
                    }
                    let (job, packet) = self.claims.swap_remove(which % self.claims.len());
                    settlements.push(answer(&packet, say(job, what)));
                }
                if !settlements.is_empty() {
                    self.app.store().settle(settlements).await.unwrap();
                }
            }
            Op::Lose(which) if !self.claims.is_empty() => {
                self.claims.swap_remove(which % self.claims.len());
            }
            Op::Resend(_) | Op::Pause | Op::Activate | Op::End | Op::Lose(_) => {}
        }
    }
}

async fn live(ops: Vec<Op>) {
    let mut world = World::new(TestDb::sqlite()).await;
    for (n, op) in ops.into_iter().enumerate() {
        let told = format!("{n}: {op:?}");
        world.step(op).await;
        let findings = world.app.store().verify().await.unwrap();
        assert!(findings.is_empty(), "after {told}: {findings:?}");
    }
    world.app.stop().await;
}

proptest! {
    #![proptest_config(Config {
        cases: 12,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn every_rule_holds_after_every_step(ops in prop::collection::vec(op(), 40..120)) {
        block_on(live(ops));
    }
}
