//! What a trial says is what the call says: random states, random requests, each
//! tried and then made. They agree on the verdict, on every reason with its numbers,
//! on what is refused alone, and on the money.

use std::sync::Arc;

use futures::future::BoxFuture;
use hongbao::grpc::pb;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{make_group, people, uids};
use crate::fence::fail_all;
use crate::support::{Client, Options, SHOP, TestApp, TestDb, reason};

/// What a campaign and what is around it may be like.
#[derive(Clone, Debug)]
struct World {
    funded: i64,
    stock: i64,
    /// Packets that are issued before.
    issued: usize,
    /// Of which so many have failed.
    failed: bool,
    state: State,
    window: Window,
    cap_person: i64,
    cap_day_fen: i64,
    cap_branch: i64,
    approve_above: Option<i64>,
    stopped: bool,
    disabled: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Draft,
    Active,
    Paused,
    Ended,
}

#[derive(Clone, Copy, Debug)]
enum Window {
    Open,
    NotYet,
    Over,
}

#[derive(Clone, Debug)]
enum Ask {
    Users { people: Vec<usize>, branch: bool },
    Groups { every: bool },
    Scan(usize),
    Single(usize),
    Resend,
    Fund(i64),
    Defund(i64),
    Activate,
    Pause,
    Approve(Option<i64>),
    Stock(i64),
}

/// Ten people have openids, an eleventh has none, a twelfth is not there.
fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        6 => (prop::collection::vec(0_usize..12, 1..6), any::<bool>())
            .prop_map(|(people, branch)| Ask::Users { people, branch }),
        4 => any::<bool>().prop_map(|every| Ask::Groups { every }),
        3 => (0_usize..10).prop_map(Ask::Scan),
        3 => (0_usize..10).prop_map(Ask::Single),
        2 => Just(Ask::Resend),
        1 => (1_i64..2_000).prop_map(Ask::Fund),
        2 => (1_i64..1_500).prop_map(Ask::Defund),
        1 => Just(Ask::Activate),
        1 => Just(Ask::Pause),
        1 => prop::option::of(0_i64..600).prop_map(Ask::Approve),
        1 => (1_i64..6).prop_map(Ask::Stock),
    ]
}

fn world() -> impl Strategy<Value = World> {
    use prop::sample::select;
    let money = (select(vec![100, 300, 500, 5_000]), select(vec![0, 2, 4, 9]));
    let before = (0_usize..4, any::<bool>());
    let state = select(vec![
        State::Active,
        State::Active,
        State::Active,
        State::Active,
        State::Draft,
        State::Paused,
        State::Ended,
    ]);
    let window = select(vec![
        Window::Open,
        Window::Open,
        Window::Open,
        Window::Open,
        Window::NotYet,
        Window::Over,
    ]);
    let caps = (
        select(vec![0, 0, 1, 2]),
        select(vec![0, 0, 200, 400]),
        select(vec![0, 0, 1, 3]),
    );
    let rules = (
        prop::option::weighted(0.3, select(vec![0_i64, 250])),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.1),
    );
    (money, before, state, window, caps, rules).prop_map(
        |(money, before, state, window, caps, rules)| World {
            funded: money.0,
            stock: money.1,
            issued: before.0,
            failed: before.1,
            state,
            window,
            cap_person: caps.0,
            cap_day_fen: caps.1,
            cap_branch: caps.2,
            approve_above: rules.0,
            stopped: rules.1,
            disabled: rules.2,
        },
    )
}

/// A server that accepts and does not send, in real time, with people and two groups.
struct Ground {
    app: TestApp,
    account: i64,
    groups: [i64; 2],
}

impl Ground {
    async fn new(db: TestDb) -> Self {
        let options = Options {
            dispatcher: false,
            time_scale: 1,
            ..Options::default()
        };
        let (app, account) = super::stage(db, options).await;
        let client = &app.client;
        super::make_branch(client, 5).await;
        let known = people("v", 0..10);
        client.make_people(SHOP, &app.appid(), &known).await;
        let bare = pb::RecipientInput {
            uid: "v10".into(),
            ..Default::default()
        };
        super::upsert(client, vec![bare]).await.unwrap();
        let mut all = uids(&known[..3]);
        all.push("v10".into());
        let groups = [
            make_group(client, "four", &all).await,
            make_group(client, "two", &uids(&known[2..4])).await,
        ];
        Self {
            app,
            account,
            groups,
        }
    }

    /// Makes a campaign as the world has it, and gives a packet of it, if there is one.
    async fn make(&self, world: &World) -> (i64, Option<i64>) {
        let client = &self.app.client;
        let cap = |count, amount_fen| Some(pb::Cap { count, amount_fen });
        let mut caps = pb::CampaignCaps::default();
        if world.cap_person > 0 {
            caps.recipient = cap(world.cap_person, 0);
        }
        if world.cap_day_fen > 0 {
            caps.day = cap(0, world.cap_day_fen);
        }
        if world.cap_branch > 0 {
            caps.branches.push(pb::BranchCap {
                shop_sub_id: 5,
                cap: cap(world.cap_branch, 0),
            });
        }
        let mut draft = client.draft(SHOP, self.account, &client.fresh());
        draft.caps = Some(caps);
        draft.scan_limit = 1;
        let made = client.campaigns().create_campaign(draft).await.unwrap();
        let id = made.into_inner().campaign.unwrap().campaign_id;
        client.fund(SHOP, id, world.funded).await;
        if matches!(world.state, State::Draft) {
            self.shape(world, id).await;
            return (id, None);
        }
        crate::dispatching::activate(&self.app, id).await;
        let mut packets = Vec::new();
        for n in 0..world.issued {
            // Not all of them fit.
            if let Ok(sent) = client.send(SHOP, id, &format!("ov{n}")).await {
                packets.push(sent.issuance_id);
            }
        }
        if world.failed {
            fail_all(&self.app).await;
        }
        self.shape(world, id).await;
        match world.state {
            State::Draft | State::Active => {}
            State::Paused => crate::dispatching::pause(&self.app, id).await,
            State::Ended => crate::dispatching::end(&self.app, id).await,
        }
        (id, packets.first().copied())
    }

    /// Window, stock and bounds, which come after the first packets.
    async fn shape(&self, world: &World, campaign_id: i64) {
        let client = &self.app.client;
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let mut paths = vec!["approve_send_above_fen".to_owned()];
        let mut update = pb::UpdateCampaignRequest {
            shop_id: SHOP,
            request_id: client.fresh(),
            campaign_id,
            approve_send_above_fen: world.approve_above,
            ..Default::default()
        };
        if world.stock > i64::try_from(world.issued).unwrap() {
            update.stock_count = world.stock;
            paths.push("stock_count".into());
        }
        match world.window {
            Window::Open => {}
            Window::NotYet => {
                update.start_time = time(4_000_000_000);
                paths.push("start_time".into());
            }
            Window::Over => {
                update.start_time = time(1_000);
                update.end_time = time(2_000);
                paths.push("start_time".into());
                paths.push("end_time".into());
            }
        }
        update.update_mask = Some(prost_types::FieldMask { paths });
        client.campaigns().update_campaign(update).await.unwrap();
    }

    /// Switches what lies beside the campaign.
    async fn surround(&self, world: &World, on: bool) {
        let client = &self.app.client;
        if world.stopped {
            let scope = pb::stop_scope::Scope::ShopId(SHOP);
            let scope = Some(pb::StopScope { scope: Some(scope) });
            if on {
                let stop = pb::StopAllRequest {
                    request_id: client.fresh(),
                    scope,
                    reason: "trial".into(),
                    ..Default::default()
                };
                client.admin().stop_all(stop).await.unwrap();
            } else {
                let resume = pb::ResumeAllRequest {
                    request_id: client.fresh(),
                    scope,
                    reason: "trial".into(),
                    ..Default::default()
                };
                let name = client.fresh();
                let person = self
                    .app
                    .person(&name, &[hongbao::domain::role::Role::Operator]);
                person.await.admin().resume_all(resume).await.unwrap();
            }
        }
        if world.disabled {
            let update = pb::UpdateProviderAccountRequest {
                request_id: client.fresh(),
                account_id: self.account,
                enabled: Some(!on),
                ..Default::default()
            };
            client
                .admin()
                .update_provider_account(update)
                .await
                .unwrap();
        }
    }
}

/// What was said, without what a trial cannot have: ids and times.
fn verdict(answer: Result<String, Status>) -> String {
    let status = match answer {
        Ok(text) => return text,
        Err(status) => status,
    };
    let details = status.get_error_details();
    let strip = |text: &str| {
        let kept = text
            .split(' ')
            .filter(|part| !part.starts_with("approval_id="));
        kept.collect::<Vec<_>>().join(" ")
    };
    let reasons: Vec<(String, String)> = details
        .precondition_failure()
        .map(|all| {
            let each = all.violations.iter();
            each.map(|v| (v.r#type.clone(), strip(&v.subject)))
                .collect()
        })
        .unwrap_or_default();
    let fields: Vec<(String, String)> = details
        .bad_request()
        .map(|all| {
            let each = all.field_violations.iter();
            each.map(|v| (v.field.clone(), v.reason.clone())).collect()
        })
        .unwrap_or_default();
    format!(
        "{:?} {} {reasons:?} {fields:?}",
        status.code(),
        reason(&status)
    )
}

fn batch(batch: &pb::IssuanceBatch, refused: &[pb::RefusedItem]) -> String {
    let refused: Vec<_> = refused
        .iter()
        .map(|item| (&item.uid, item.reason.as_ref().map(|r| &r.reason)))
        .collect();
    format!("{:?} {} {refused:?}", batch.counts, batch.amount_fen)
}

fn campaign(found: Option<pb::Campaign>) -> String {
    let found = found.unwrap();
    format!(
        "{:?} {:?} {:?}",
        found.state, found.budget, found.stock_count
    )
}

/// One call, tried or made.
#[expect(clippy::needless_update, reason = "some requests have no other field")]
async fn call(
    ground: &Ground,
    client: &Client,
    ask: &Ask,
    campaign_id: i64,
    packet: Option<i64>,
    (request_id, validate_only): (String, bool),
) -> Result<String, Status> {
    let source = pb::IssuanceSource::Manual.into();
    macro_rules! make {
        ($request:ident { $($field:ident $(: $value:expr)?),* }) => {
            pb::$request { shop_id: SHOP, request_id, validate_only, $($field $(: $value)?,)* ..Default::default() }
        };
    }
    Ok(match ask {
        Ask::Users { people, branch } => {
            let uids = people.iter().map(|n| format!("v{n}")).collect();
            let shop_sub_id = if *branch { 5 } else { 0 };
            let request = make!(SendToUsersRequest {
                campaign_id,
                uids,
                source,
                shop_sub_id
            });
            let done = client
                .issuances()
                .send_to_users(request)
                .await?
                .into_inner();
            batch(done.batch.as_ref().unwrap(), &done.refused)
        }
        Ask::Groups { every } => {
            let request = make!(SendToGroupsRequest {
                campaign_id,
                wx_group_ids: ground.groups.to_vec(),
                source,
                every_group: *every
            });
            let done = client
                .issuances()
                .send_to_groups(request)
                .await?
                .into_inner();
            let batches = done.batches.iter().map(|b| batch(b, &[]));
            batches.collect::<Vec<_>>().join("; ")
        }
        Ask::Scan(who) => {
            let request = make!(ScanSendRequest {
                campaign_id,
                openid: format!("ov{who}")
            });
            let done = client.issuances().scan_send(request).await?.into_inner();
            format!("{}", done.issuance.unwrap().amount_fen)
        }
        Ask::Single(who) => {
            let openid = format!("ov{who}");
            let request = make!(SendRedPacketRequest {
                campaign_id,
                openid,
                source
            });
            let done = client
                .issuances()
                .send_red_packet(request)
                .await?
                .into_inner();
            format!("{}", done.issuance.unwrap().amount_fen)
        }
        Ask::Resend => {
            let request = make!(ResendRequest {
                issuance_id: packet.unwrap_or(99_999)
            });
            let done = client.issuances().resend(request).await?.into_inner();
            format!("{:?}", done.issuance.unwrap().state())
        }
        Ask::Fund(amount_fen) => {
            let amount_fen = *amount_fen;
            let request = make!(FundCampaignRequest {
                campaign_id,
                amount_fen
            });
            campaign(
                client
                    .campaigns()
                    .fund_campaign(request)
                    .await?
                    .into_inner()
                    .campaign,
            )
        }
        Ask::Defund(amount_fen) => {
            let amount_fen = *amount_fen;
            let request = make!(DefundCampaignRequest {
                campaign_id,
                amount_fen
            });
            campaign(
                client
                    .campaigns()
                    .defund_campaign(request)
                    .await?
                    .into_inner()
                    .campaign,
            )
        }
        Ask::Activate => {
            let request = make!(ActivateCampaignRequest { campaign_id });
            campaign(
                client
                    .campaigns()
                    .activate_campaign(request)
                    .await?
                    .into_inner()
                    .campaign,
            )
        }
        Ask::Pause => {
            let request = make!(PauseCampaignRequest { campaign_id });
            campaign(
                client
                    .campaigns()
                    .pause_campaign(request)
                    .await?
                    .into_inner()
                    .campaign,
            )
        }
        Ask::Approve(above) => {
            let request = make!(UpdateCampaignRequest {
                campaign_id,
                approve_send_above_fen: *above,
                update_mask: mask("approve_send_above_fen")
            });
            campaign(
                client
                    .campaigns()
                    .update_campaign(request)
                    .await?
                    .into_inner()
                    .campaign,
            )
        }
        Ask::Stock(stock_count) => {
            let request = make!(UpdateCampaignRequest {
                campaign_id,
                stock_count: *stock_count,
                update_mask: mask("stock_count")
            });
            campaign(
                client
                    .campaigns()
                    .update_campaign(request)
                    .await?
                    .into_inner()
                    .campaign,
            )
        }
    })
}

fn mask(path: &str) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask {
        paths: vec![path.to_owned()],
    })
}

/// Lives through one world: each request is tried, then made, and both say the same.
fn live(
    ground: Arc<Ground>,
    world: World,
    asks: Vec<Ask>,
) -> BoxFuture<'static, Result<usize, String>> {
    Box::pin(async move {
        let client = ground.app.client.clone();
        let (campaign, packet) = ground.make(&world).await;
        ground.surround(&world, true).await;
        let (mut wrong, mut accepted) = (Vec::new(), 0);
        for ask in &asks {
            let name = client.fresh();
            let trial = (name.clone(), true);
            let tried = verdict(call(&ground, &client, ask, campaign, packet, trial).await);
            let real = call(&ground, &client, ask, campaign, packet, (name, false)).await;
            accepted += usize::from(real.is_ok());
            let made = verdict(real);
            if tried != made {
                wrong.push(format!("{ask:?}\n tried: {tried}\n  made: {made}"));
            }
        }
        ground.surround(&world, false).await;
        match wrong.is_empty() {
            true => Ok(accepted),
            false => Err(wrong.join("\n")),
        }
    })
}

async fn a_trial_says_what_the_call_says(db: TestDb) {
    agree(db, 40).await;
}

/// A thousand worlds: `scripts/worlds`.
#[test]
#[ignore = "a campaign: scripts/worlds"]
fn a_thousand_worlds() {
    let cases = std::env::var("WORLDS").map_or(1_000, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for db in [TestDb::sqlite(), TestDb::postgres()] {
        runtime.block_on(agree(db, cases));
    }
}

/// So many worlds of up to seven requests each.
async fn agree(db: TestDb, cases: u32) {
    let name = db.url.split(':').next().unwrap_or_default().to_owned();
    let ground = Arc::new(Ground::new(db).await);
    let runtime = tokio::runtime::Handle::current();
    let shared = Arc::clone(&ground);
    let ran = tokio::task::spawn_blocking(move || {
        let config = Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 60,
            ..Config::default()
        };
        let counts = std::cell::Cell::new((0, 0));
        let strategy = (world(), prop::collection::vec(ask(), 1..8));
        let ran = TestRunner::new(config).run(&strategy, |(world, asks)| {
            let asked = asks.len();
            let lived = runtime.block_on(live(Arc::clone(&shared), world, asks));
            let accepted = lived.map_err(TestCaseError::fail)?;
            let (all, yes) = counts.get();
            counts.set((all + asked, yes + accepted));
            Ok(())
        });
        (ran, counts.get())
    });
    let (ran, (asked, accepted)) = ran.await.unwrap();
    match ran {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => panic!("{why}\n{input:#?}"),
        Err(error) => panic!("{error}"),
    }
    println!(
        "{name}: {cases} worlds, {asked} requests tried and made, {accepted} of them accepted: no difference"
    );
    // Neither all yes nor all no would say much.
    assert!(
        accepted * 10 > asked && accepted * 10 < asked * 9,
        "{accepted} of {asked}"
    );
    let ground = Arc::into_inner(ground).unwrap();
    ground.app.assert_sound().await;
    ground.app.stop().await;
}

crate::support::on_both!(a_trial_says_what_the_call_says);
