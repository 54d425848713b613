//! `hongbao demo`: the main job, from nothing to balanced books, in half a minute.
//!
//! It is the product as it is: the real server on a real port, called through
//! gRPC, with a database in a temporary folder; only the provider is simulated, and
//! time runs two hours a second. A third of the provider's answers go wrong on
//! purpose.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::verify::differences;
use super::wait_for_signal;
use crate::app::{self, Running};
use crate::config::{Config, CredentialConfig};
use crate::domain::Fen;
use crate::grpc::pb;
use crate::grpc::pb::admin_service_client::AdminServiceClient;
use crate::grpc::pb::audience_service_client::AudienceServiceClient;
use crate::grpc::pb::campaign_service_client::CampaignServiceClient;
use crate::grpc::pb::issuance_service_client::IssuanceServiceClient;
use crate::simulator::{self, Fault, FaultTable, Simulator};
use crate::telemetry::{self, LogOutput};

/// See it work: a simulated provider with faults, 1,000 red packets, and the books
/// of both sides.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep serving afterwards, and print a grpcurl line that works.
    #[arg(long)]
    serve: bool,
    /// How many red packets, 1 to 1,000.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    packets: u32,
    /// Seed of the provider's faults and of who takes his packet.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is logged to stderr.
    #[arg(long, default_value = "error,hongbao=off")]
    log_filter: String,
}

/// Two hours a second: a day, after which untaken packets come back, is 12 seconds.
const TIME_SCALE: u32 = 7_200;
const SHOP: i64 = 1;
const BUDGET_FEN: i64 = 500_000;
/// After this long something hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// Ends with 0 when both books agree, with 1 when they do not.
///
/// # Errors
/// A port or a temporary folder cannot be had, or a call fails.
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let guard = telemetry::init(&telemetry::Settings {
        log_format: telemetry::LogFormat::Pretty,
        log_output: LogOutput::Stderr,
        log_filter: args.log_filter.clone(),
        otlp_endpoint: None,
        service_instance: "demo".to_owned(),
    })?;
    let folder = tempfile::Builder::new().prefix("hongbao-demo-").tempdir()?;
    let simulator = simulator::start(provider(args.seed)).await?;
    let running = app::start(&config(folder.path(), &simulator)).await?;
    let key = running
        .first_key
        .clone()
        .context("a new database made no app")?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "server    {} (SQLite in {})",
        running.grpc_addr,
        folder.path().display()
    )?;
    writeln!(
        out,
        "provider  {} (simulated, a third of its answers go wrong; two hours a second)\n",
        simulator.base_url()
    )?;

    let demo = Demo::connect(&running, &key).await?;
    let campaign = demo.prepare(&simulator, args.packets).await?;
    let batch = demo.send(campaign, args.packets).await?;
    demo.watch(batch, u64::from(args.packets)).await?;
    let states = demo
        .wait_until_ended(campaign, u64::from(args.packets))
        .await?;
    let budget = demo.report(campaign, &states).await?;
    let sound = compare(&running, &simulator, &budget).await?;
    if args.serve {
        invite(&running, &key, campaign)?;
        wait_for_signal().await?;
    }
    running.shutdown().await;
    simulator.shutdown().await;
    guard.shutdown(Duration::from_secs(1)).await;
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A provider that misbehaves in every way that leaves the money in doubt.
fn provider(seed: u64) -> simulator::Config {
    let faults = [
        (Fault::SystemErrorBefore, 40),
        (Fault::SystemErrorAfter, 40),
        (Fault::Processing, 40),
        (Fault::ProcessingFailed, 20),
        (Fault::TimeoutAfter, 10),
        (Fault::ResetAfter, 40),
        (Fault::HalfBody, 30),
        (Fault::Html502, 30),
        (Fault::UnknownCode, 20),
        (Fault::FreqLimit, 40),
        (Fault::SendFailed, 20),
        (Fault::NotEnough, 2),
    ];
    let table = faults
        .into_iter()
        .fold(FaultTable::default(), |table, (fault, per_mille)| {
            table.with_send(fault, per_mille)
        });
    simulator::Config {
        time_scale: TIME_SCALE,
        seed,
        faults: table,
        hold: Duration::from_secs(2),
        ..Default::default()
    }
}

fn config(folder: &std::path::Path, simulator: &Simulator) -> Config {
    let mut config = Config::default();
    config.database.url = format!("sqlite://{}", folder.join("hongbao.db").display());
    config.server.grpc_listen = ([127, 0, 0, 1], 0).into();
    config.server.admin_listen = ([127, 0, 0, 1], 0).into();
    config.server.drain_seconds = 3;
    config.clock.scale = TIME_SCALE;
    config.dispatcher.poll_ms = 50;
    config.provider.total_timeout_ms = 500;
    let merchant = simulator.merchant();
    let credential = CredentialConfig {
        base_url: simulator.base_url(),
        mch_id: merchant.mch_id.clone(),
        api_key: Some(merchant.api_key.clone()),
        api_key_file: None,
        cert_file: None,
        key_file: None,
        ca_file: None,
        shops: None,
    };
    config
        .credentials
        .insert("simulator".to_owned(), credential);
    config
}

/// Puts the key on every call.
#[derive(Clone, Debug)]
struct Bearer(MetadataValue<tonic::metadata::Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, tonic::Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Authorized = InterceptedService<Channel, Bearer>;

struct Demo {
    channel: Channel,
    bearer: Bearer,
}

impl Demo {
    async fn connect(running: &Running, key: &str) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{}", running.grpc_addr))?
            .connect()
            .await?;
        Ok(Self {
            channel,
            bearer: Bearer(format!("Bearer {key}").parse()?),
        })
    }

    fn campaigns(&self) -> CampaignServiceClient<Authorized> {
        CampaignServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    fn issuances(&self) -> IssuanceServiceClient<Authorized> {
        IssuanceServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// A shop, an account, a campaign with money, and people.
    async fn prepare(&self, simulator: &Simulator, people: u32) -> anyhow::Result<i64> {
        let mut admin =
            AdminServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone());
        let shop = pb::CreateShopRequest {
            request_id: "demo-shop".into(),
            shop_id: SHOP,
            name: "Demo shop".into(),
            ..Default::default()
        };
        admin.create_shop(shop).await?;
        let merchant = simulator.merchant();
        let account = pb::CreateProviderAccountRequest {
            request_id: "demo-account".into(),
            protocol: "wechat_pay_v2".into(),
            mch_id: merchant.mch_id.clone(),
            credential: "simulator".into(),
            appids: merchant.appids.clone(),
            shop_ids: vec![SHOP],
            sends_per_second: 1_000,
            queries_per_second: 2_000,
            ..Default::default()
        };
        let account = admin
            .create_provider_account(account)
            .await?
            .into_inner()
            .account
            .unwrap_or_default();
        let campaign = self.campaign(account.account_id).await?;
        self.upsert(merchant.appid(), people).await?;
        Ok(campaign)
    }

    async fn campaign(&self, account_id: i64) -> anyhow::Result<i64> {
        let mut campaigns = self.campaigns();
        let draft = pb::CreateCampaignRequest {
            shop_id: SHOP,
            request_id: "demo-campaign".into(),
            code: "new-year".into(),
            amount: Some(pb::AmountRule {
                r#type: pb::AmountType::Random.into(),
                min_fen: 100,
                max_fen: 200,
            }),
            texts: Some(pb::RedPacketTexts {
                send_name: "天虹百货".into(),
                act_name: "新年红包".into(),
                wishing: "恭喜发财".into(),
                remark: "快来抢".into(),
                scene_id: String::new(),
            }),
            account_id,
            ..Default::default()
        };
        let made = campaigns
            .create_campaign(draft)
            .await?
            .into_inner()
            .campaign
            .unwrap_or_default();
        let campaign_id = made.campaign_id;
        let fund = pb::FundCampaignRequest {
            shop_id: SHOP,
            request_id: "demo-fund".into(),
            campaign_id,
            amount_fen: BUDGET_FEN,
            ..Default::default()
        };
        campaigns.fund_campaign(fund).await?;
        let activate = pb::ActivateCampaignRequest {
            shop_id: SHOP,
            request_id: "demo-activate".into(),
            campaign_id,
            ..Default::default()
        };
        campaigns.activate_campaign(activate).await?;
        Ok(campaign_id)
    }

    async fn upsert(&self, appid: &str, people: u32) -> anyhow::Result<()> {
        let mut audience =
            AudienceServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone());
        let recipients = (1..=people).map(|n| pb::RecipientInput {
            uid: format!("user-{n}"),
            nickname: format!("用户{n}"),
            mobile: format!("138{n:08}"),
            openids: vec![pb::OpenidInput {
                appid: appid.to_owned(),
                openid: format!("oDemo{n:023}"),
            }],
        });
        let request = pb::UpsertRecipientsRequest {
            shop_id: SHOP,
            request_id: "demo-audience".into(),
            recipients: recipients.collect(),
            ..Default::default()
        };
        audience.upsert_recipients(request).await?;
        Ok(())
    }

    async fn send(&self, campaign_id: i64, people: u32) -> anyhow::Result<i64> {
        let request = pb::SendToUsersRequest {
            shop_id: SHOP,
            request_id: "demo-send".into(),
            campaign_id,
            uids: (1..=people).map(|n| format!("user-{n}")).collect(),
            source: pb::IssuanceSource::Lottery.into(),
            ..Default::default()
        };
        let sent = self.issuances().send_to_users(request).await?.into_inner();
        let batch = sent.batch.context("a send without batch")?;
        writeln!(
            std::io::stdout(),
            "accepted {people} red packets, {} yuan, in one transaction",
            Fen(batch.amount_fen)
        )?;
        Ok(batch.batch_id)
    }

    /// Shows the stream of the batch's counts until nothing is in doubt.
    async fn watch(&self, batch_id: i64, packets: u64) -> anyhow::Result<()> {
        let bar = bar(packets, "sending");
        let request = pb::WatchBatchRequest {
            shop_id: SHOP,
            batch_id,
        };
        let mut stream = self.issuances().watch_batch(request).await?.into_inner();
        let watching = async {
            while let Some(message) = stream.message().await? {
                let counts = message
                    .batch
                    .and_then(|batch| batch.counts)
                    .unwrap_or_default();
                let open = counts.queued_count + counts.sending_count + counts.unknown_count;
                bar.set_position(packets.saturating_sub(open.unsigned_abs()));
                bar.set_message(format!("{} in doubt", counts.unknown_count));
            }
            Ok::<_, tonic::Status>(())
        };
        tokio::time::timeout(PATIENCE, watching)
            .await
            .context("the batch does not settle")??;
        bar.finish_with_message("nothing in doubt any more");
        Ok(())
    }

    /// Waits until every packet was taken, came back, or failed by proof.
    async fn wait_until_ended(
        &self,
        campaign: i64,
        packets: u64,
    ) -> anyhow::Result<BTreeMap<i32, pb::CampaignStateStats>> {
        let bar = bar(packets, "living through 49 hours");
        let waiting = async {
            loop {
                let stats = self.stats(campaign).await?;
                let ended = |state: i32| {
                    use pb::IssuanceState as S;
                    [S::Received, S::Refunded, S::Failed, S::Cancelled, S::Review]
                        .iter()
                        .any(|s| i32::from(*s) == state)
                };
                let done: i64 = stats
                    .states
                    .iter()
                    .filter(|s| ended(s.state))
                    .map(|s| s.issuance_count)
                    .sum();
                bar.set_position(done.unsigned_abs());
                if done.unsigned_abs() >= packets {
                    return Ok::<_, anyhow::Error>(
                        stats.states.into_iter().map(|s| (s.state, s)).collect(),
                    );
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        let states = tokio::time::timeout(PATIENCE, waiting)
            .await
            .context("some packets do not end")??;
        bar.finish_with_message("every packet has ended");
        Ok(states)
    }

    async fn stats(&self, campaign_id: i64) -> anyhow::Result<pb::GetCampaignStatsResponse> {
        let request = pb::GetCampaignStatsRequest {
            shop_id: SHOP,
            campaign_id,
        };
        Ok(self
            .campaigns()
            .get_campaign_stats(request)
            .await?
            .into_inner())
    }

    async fn report(
        &self,
        campaign: i64,
        states: &BTreeMap<i32, pb::CampaignStateStats>,
    ) -> anyhow::Result<pb::Budget> {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_header(["state", "packets", "yuan"]);
        for (state, stats) in states {
            let name = pb::IssuanceState::try_from(*state)
                .unwrap_or_default()
                .as_str_name();
            let name = name.trim_start_matches("ISSUANCE_STATE_");
            table.add_row([
                name.to_owned(),
                stats.issuance_count.to_string(),
                Fen(stats.amount_fen).to_string(),
            ]);
        }
        let budget = self.stats(campaign).await?.budget.unwrap_or_default();
        let mut out = std::io::stdout();
        writeln!(out, "\n{table}\n")?;
        writeln!(
            out,
            "budget: granted {} = available {} + held {} + in transit {} + paid {}\n",
            Fen(budget.granted_fen),
            Fen(budget.available_fen),
            Fen(budget.held_fen),
            Fen(budget.transit_fen),
            Fen(budget.paid_fen)
        )?;
        Ok(budget)
    }
}

fn bar(length: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:24} {bar:40} {pos:>5}/{len} {elapsed} {msg}");
    let bar = ProgressBar::new(length).with_prefix(what);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// The provider's books beside ours. True when they agree and every rule holds.
async fn compare(
    running: &Running,
    simulator: &Simulator,
    budget: &pb::Budget,
) -> anyhow::Result<bool> {
    let payments = simulator.books().payments();
    let ours = running.store.numbers(&simulator.merchant().mch_id).await?;
    let broken = differences(&ours, &payments);
    let findings = running.store.verify().await?;
    let taken: i64 = payments
        .iter()
        .filter(|p| p.state == simulator::State::Received)
        .map(|p| p.amount_fen)
        .sum();
    let equal = taken == budget.paid_fen;
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_header(["", "provider's books", "ours"]);
    table.add_row([
        "yuan taken by recipients".to_owned(),
        Fen(taken).to_string(),
        Fen(budget.paid_fen).to_string(),
    ]);
    table.add_row([
        "payments paid twice".to_owned(),
        payments
            .iter()
            .filter(|p| p.times_paid > 1)
            .count()
            .to_string(),
        "0".to_owned(),
    ]);
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    for line in broken.iter().take(10) {
        writeln!(out, "  {line}")?;
    }
    for finding in &findings {
        writeln!(
            out,
            "  broken: {} ({} times, {:?})",
            finding.check.rule, finding.count, finding.ids
        )?;
    }
    let sound = equal && broken.is_empty() && findings.is_empty();
    writeln!(
        out,
        "{}",
        if sound {
            "\nthe books agree"
        } else {
            "\nTHE BOOKS DISAGREE"
        }
    )?;
    Ok(sound)
}

fn invite(running: &Running, key: &str, campaign: i64) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "\nstill serving; end with Ctrl-C. Metrics: http://{}/metrics",
        running.admin_addr
    )?;
    writeln!(
        out,
        "\n  grpcurl -plaintext -H 'authorization: Bearer {key}' \\"
    )?;
    writeln!(
        out,
        "    -d '{{\"shop_id\": {SHOP}, \"request_id\": \"mine-1\", \"campaign_id\": {campaign}, \"uids\": [\"user-1\"], \"source\": \"ISSUANCE_SOURCE_MANUAL\", \"wait\": true}}' \\"
    )?;
    writeln!(
        out,
        "    {} hongbao.v1.IssuanceService/SendToUsers",
        running.grpc_addr
    )?;
    Ok(())
}
