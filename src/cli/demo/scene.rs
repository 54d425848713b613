//! What the demo calls, in order: the calls of a caller who begins.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tonic::transport::Channel;

use super::{BUDGET_FEN, GROUP, PATIENCE, SHOP};
use crate::app::Running;
use crate::domain::Fen;
use crate::grpc::client::{Authorized, Bearer};
use crate::grpc::pb;
use crate::grpc::pb::admin_service_client::AdminServiceClient;
use crate::grpc::pb::audience_service_client::AudienceServiceClient;
use crate::grpc::pb::campaign_service_client::CampaignServiceClient;
use crate::grpc::pb::issuance_service_client::IssuanceServiceClient;
use crate::simulator::Simulator;

/// A caller of the demo's server.
pub(super) struct Demo {
    channel: Channel,
    bearer: Bearer,
}

impl Demo {
    pub(super) async fn connect(running: &Running, key: &str) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{}", running.grpc_addr))?
            .connect()
            .await?;
        Ok(Self {
            channel,
            bearer: Bearer::new(Some(key))?,
        })
    }

    fn campaigns(&self) -> CampaignServiceClient<Authorized> {
        CampaignServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    fn issuances(&self) -> IssuanceServiceClient<Authorized> {
        IssuanceServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// A shop, an account, a campaign with money, and people.
    pub(super) async fn prepare(&self, simulator: &Simulator, people: u32) -> anyhow::Result<i64> {
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
            capabilities: vec![
                pb::ProviderCapability::Fission.into(),
                pb::ProviderCapability::MiniProgram.into(),
            ],
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
                ..Default::default()
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
        let group = pb::UpsertGroupRequest {
            shop_id: SHOP,
            request_id: "demo-group".into(),
            wx_group_id: GROUP,
            name: "Regulars".into(),
            ..Default::default()
        };
        audience.upsert_group(group).await?;
        let recipients = (1..=people).map(|n| pb::RecipientInput {
            uid: format!("user-{n}"),
            nickname: format!("用户{n}"),
            mobile: format!("138{n:08}"),
            openids: vec![pb::OpenidInput {
                appid: appid.to_owned(),
                openid: format!("oDemo{n:023}"),
            }],
            ..Default::default()
        });
        let request = pb::UpsertRecipientsRequest {
            shop_id: SHOP,
            request_id: "demo-audience".into(),
            recipients: recipients.collect(),
            wx_group_ids: vec![GROUP],
            ..Default::default()
        };
        audience.upsert_recipients(request).await?;
        Ok(())
    }

    pub(super) async fn send(&self, campaign_id: i64, people: u32) -> anyhow::Result<i64> {
        let request = pb::SendToGroupsRequest {
            shop_id: SHOP,
            request_id: "demo-send".into(),
            campaign_id,
            wx_group_ids: vec![GROUP],
            source: pb::IssuanceSource::Lottery.into(),
            ..Default::default()
        };
        let sent = self.issuances().send_to_groups(request).await?.into_inner();
        let batch = sent.batches.into_iter().next();
        let batch = batch.context("a send without batch")?;
        writeln!(
            std::io::stdout(),
            "accepted {people} red packets for a group, {} yuan, in one transaction",
            Fen(batch.amount_fen)
        )?;
        Ok(batch.batch_id)
    }

    /// Shows the stream of the batch's counts until nothing is in doubt.
    pub(super) async fn watch(&self, batch_id: i64, packets: u64) -> anyhow::Result<()> {
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
            Ok::<_, anyhow::Error>(())
        };
        tokio::time::timeout(PATIENCE, watching)
            .await
            .context("the batch does not settle")??;
        bar.finish_with_message("nothing in doubt any more");
        Ok(())
    }

    /// Waits until every packet was taken, came back, or failed by proof.
    pub(super) async fn wait_until_ended(
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

    pub(super) async fn stats(
        &self,
        campaign_id: i64,
    ) -> anyhow::Result<pb::GetCampaignStatsResponse> {
        let request = pb::GetCampaignStatsRequest {
            shop_id: SHOP,
            campaign_id,
            ..Default::default()
        };
        Ok(self
            .campaigns()
            .get_campaign_stats(request)
            .await?
            .into_inner())
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
