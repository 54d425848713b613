//! docs/faults.md: what becomes of a packet for each fault of the simulator, asked
//! for by its documented openid. The table is what happens, not what should: this
//! test sends one packet for each fault and writes down where it stands then.
//!
//! `UPDATE_DOCS=1 cargo test --test it fault_table` writes the page anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use hongbao::grpc::pb;
use hongbao::simulator::{Fault, Spec};

use crate::support::{Options, Raw, SHOP, TestApp, TestDb, block_on};

/// Four hours a second.
const TIME_SCALE: u32 = 14_400;
/// Faults that hold the whole account back: each needs one of its own.
const STOPPING: [Fault; 3] = [Fault::NotEnough, Fault::SignError, Fault::CaError];
/// After three days of doubt a person is asked; a day more and all is said.
const DAYS: u64 = 4;

/// Where a packet stands, and its money.
#[derive(Debug)]
struct Fate {
    first: String,
    end: String,
    last_error: String,
    ledger: String,
    paid: usize,
}

#[test]
fn the_page_says_what_happens() {
    block_on(async {
        let (stopping, others): (Vec<_>, Vec<_>) = Fault::table()
            .iter()
            .partition(|spec| STOPPING.contains(&spec.fault));
        let mut groups = vec![others];
        groups.extend(stopping.into_iter().map(|spec| vec![spec]));
        let fates = futures::future::join_all(groups.into_iter().map(fates_of)).await;
        let fates: BTreeMap<Fault, Fate> = fates.into_iter().flatten().collect();
        hold(&page(&fates));
    });
}

/// Sends a packet for each of some faults, and waits until the days are over.
async fn fates_of(specs: Vec<&'static Spec>) -> Vec<(Fault, Fate)> {
    let options = Options {
        time_scale: TIME_SCALE,
        provider_timeout_ms: 300,
        ..Options::default()
    };
    let app = TestApp::start_with(TestDb::sqlite(), options).await;
    app.client.make_shop(SHOP).await;
    let mch_id = app.simulator.merchant().mch_id.clone();
    let account = app
        .client
        .make_account(&mch_id, &app.appid(), &[SHOP])
        .await;
    let mut packets = Vec::new();
    for spec in &specs {
        let draft = app.client.draft(SHOP, account, spec.fault.name());
        let campaign = app.client.make_campaign(draft, 1_000).await;
        let openid = format!("oSIM-{}-1", spec.fault.name());
        let sent = app.client.send(SHOP, campaign, &openid).await.unwrap();
        packets.push((spec.fault, campaign, sent.issuance_id));
    }
    let seconds = DAYS * 86_400 / u64::from(TIME_SCALE);
    tokio::time::sleep(Duration::from_secs(seconds + 2)).await;
    let raw = Raw::open(&app.db).await;
    let payments = app.simulator.books().payments();
    let mut fates = Vec::new();
    for (fault, campaign, id) in packets {
        let packet = app.client.get(SHOP, id).await;
        let issuance = packet.issuance.unwrap();
        let numbers: Vec<String> = packet
            .attempts
            .iter()
            .map(|a| a.mch_billno.clone())
            .collect();
        assert_eq!(
            numbers.len(),
            1,
            "{fault:?}: a number is never replaced by itself"
        );
        let after = raw
            .texts(&format!(
                "SELECT to_state FROM journal WHERE aggregate = 'ISSUANCE' AND aggregate_id = {id} \
                 AND to_state NOT IN ('QUEUED', 'SENDING') ORDER BY seq"
            ))
            .await;
        let state = pb::IssuanceState::try_from(issuance.state).unwrap();
        let end = state.as_str_name().trim_start_matches("ISSUANCE_STATE_");
        let frozen = if issuance.frozen { ", frozen" } else { "" };
        fates.push((
            fault,
            Fate {
                first: after.first().cloned().unwrap_or_else(|| "SENDING".into()),
                end: format!("{end}{frozen}"),
                last_error: issuance.last_error,
                ledger: ledger(&app, campaign).await,
                paid: payments
                    .iter()
                    .filter(|p| numbers.contains(&p.mch_billno))
                    .count(),
            },
        ));
    }
    app.assert_sound().await;
    app.stop().await;
    fates
}

/// In which account of the campaign the packet's money lies.
async fn ledger(app: &TestApp, campaign_id: i64) -> String {
    let request = pb::GetCampaignRequest {
        shop_id: SHOP,
        campaign_id,
    };
    let found = app.client.campaigns().get_campaign(request).await.unwrap();
    let budget = found.into_inner().campaign.unwrap().budget.unwrap();
    let accounts = [
        ("held", budget.held_fen),
        ("in transit", budget.transit_fen),
        ("paid", budget.paid_fen),
    ];
    let there: Vec<&str> = accounts
        .iter()
        .filter(|(_, fen)| *fen > 0)
        .map(|(name, fen)| {
            assert_eq!(*fen, 100);
            *name
        })
        .collect();
    match there.as_slice() {
        [] => {
            assert_eq!(budget.available_fen, 1_000);
            "back in the budget".to_owned()
        }
        one => one.join(", "),
    }
}

fn page(fates: &BTreeMap<Fault, Fate>) -> String {
    let mut page = String::from(
        "# What becomes of a packet, fault by fault\n\n\
         Made by `tests/it/fault_table.rs`: one packet of 1.00 yuan for each fault of the simulator, asked for by its\n\
         documented openid (`oSIM-<FAULT>-1`); the server's answer to the first reply, and where the packet, its `last_error`\n\
         and its money are four days later. The simulator's own books say how often it was paid: once or never.\n\n\
         | fault | the caller sees | then | four days later | `last_error` | the money is | paid |\n\
         |---|---|---|---|---|---|---:|\n",
    );
    for spec in Fault::table() {
        let fate = &fates[&spec.fault];
        let error = match fate.last_error.as_str() {
            "" => "–".to_owned(),
            code => format!("`{code}`"),
        };
        writeln!(
            page,
            "| `{}` | {} | {} | {} | {error} | {} | {} |",
            spec.fault.name(),
            spec.seen,
            fate.first,
            fate.end,
            fate.ledger,
            fate.paid
        )
        .unwrap();
    }
    page
}

fn hold(page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs: Vec<(&str, &str)> = kept
        .lines()
        .zip(page.lines())
        .filter(|(kept, is)| kept != is)
        .collect();
    assert!(
        kept == page,
        "docs/faults.md says otherwise; UPDATE_DOCS=1 writes it anew: {differs:#?}"
    );
}
