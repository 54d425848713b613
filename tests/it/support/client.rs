//! Calling the server as a caller would, with short words for the usual steps.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use hongbao::grpc::pb;
use hongbao::grpc::pb::admin_service_client::AdminServiceClient;
use hongbao::grpc::pb::audience_service_client::AudienceServiceClient;
use hongbao::grpc::pb::campaign_service_client::CampaignServiceClient;
use hongbao::grpc::pb::event_service_client::EventServiceClient;
use hongbao::grpc::pb::issuance_service_client::IssuanceServiceClient;
use hongbao::grpc::pb::review_service_client::ReviewServiceClient;
use hongbao::grpc::pb::voucher_service_client::VoucherServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

/// Puts a key on every call, if there is one.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("authorization", key.clone());
        }
        Ok(request)
    }
}

type Authorized = InterceptedService<Channel, Bearer>;

/// One caller. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    bearer: Bearer,
}

/// The shop that tests use unless they want two.
pub const SHOP: i64 = 1;

impl Client {
    pub async fn connect(addr: SocketAddr, key: &str) -> Self {
        let channel = Channel::from_shared(format!("http://{addr}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self {
            channel,
            bearer: Bearer(Some(format!("Bearer {key}").parse().unwrap())),
        }
    }

    /// The same connection with another key, or with none.
    pub fn with_key(&self, key: Option<&str>) -> Self {
        let bearer = Bearer(key.map(|key| format!("Bearer {key}").parse().unwrap()));
        Self {
            channel: self.channel.clone(),
            bearer,
        }
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub fn admin(&self) -> AdminServiceClient<Authorized> {
        AdminServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub fn audience(&self) -> AudienceServiceClient<Authorized> {
        AudienceServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub fn campaigns(&self) -> CampaignServiceClient<Authorized> {
        CampaignServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub fn events(&self) -> EventServiceClient<Authorized> {
        EventServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub fn issuances(&self) -> IssuanceServiceClient<Authorized> {
        IssuanceServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub fn reviews(&self) -> ReviewServiceClient<Authorized> {
        ReviewServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub fn vouchers(&self) -> VoucherServiceClient<Authorized> {
        VoucherServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(8 << 20)
    }

    /// A request id that no test has used.
    pub fn fresh(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        format!("fresh-{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub async fn make_shop(&self, shop_id: i64) {
        let request = pb::CreateShopRequest {
            request_id: self.fresh(),
            shop_id,
            name: format!("Shop {shop_id}"),
            ..Default::default()
        };
        self.admin().create_shop(request).await.unwrap();
    }

    /// The account of the simulator's merchant, granted to shops.
    pub async fn make_account(&self, mch_id: &str, appid: &str, shop_ids: &[i64]) -> i64 {
        let request = pb::CreateProviderAccountRequest {
            request_id: self.fresh(),
            protocol: "wechat_pay_v2".into(),
            mch_id: mch_id.to_owned(),
            credential: "simulator".into(),
            appids: vec![appid.to_owned()],
            shop_ids: shop_ids.to_vec(),
            sends_per_second: 5_000,
            queries_per_second: 5_000,
            // One person gets many packets here.
            openid_day_count: Some(0),
            openid_day_fen: Some(0),
            day_fen: Some(0),
            ..Default::default()
        };
        let made = self
            .admin()
            .create_provider_account(request)
            .await
            .unwrap()
            .into_inner();
        made.account.unwrap().account_id
    }

    /// A request for a campaign of FIXED packets of 1 yuan.
    pub fn draft(&self, shop_id: i64, account_id: i64, code: &str) -> pb::CreateCampaignRequest {
        pb::CreateCampaignRequest {
            shop_id,
            request_id: self.fresh(),
            code: code.to_owned(),
            amount: Some(pb::AmountRule {
                r#type: pb::AmountType::Fixed.into(),
                min_fen: 100,
                max_fen: 100,
                ..Default::default()
            }),
            texts: Some(texts()),
            account_id,
            ..Default::default()
        }
    }

    /// An active campaign with money.
    pub async fn make_campaign(&self, draft: pb::CreateCampaignRequest, amount_fen: i64) -> i64 {
        let shop_id = draft.shop_id;
        let made = self
            .campaigns()
            .create_campaign(draft)
            .await
            .unwrap()
            .into_inner();
        let campaign_id = made.campaign.unwrap().campaign_id;
        if amount_fen > 0 {
            self.fund(shop_id, campaign_id, amount_fen).await;
        }
        let activate = pb::ActivateCampaignRequest {
            shop_id,
            request_id: self.fresh(),
            campaign_id,
            ..Default::default()
        };
        self.campaigns().activate_campaign(activate).await.unwrap();
        campaign_id
    }

    pub async fn fund(&self, shop_id: i64, campaign_id: i64, amount_fen: i64) {
        let request = pb::FundCampaignRequest {
            shop_id,
            request_id: self.fresh(),
            campaign_id,
            amount_fen,
            ..Default::default()
        };
        self.campaigns().fund_campaign(request).await.unwrap();
    }

    /// Recipients by uid and openid.
    pub async fn make_people(&self, shop_id: i64, appid: &str, people: &[(String, String)]) {
        for chunk in people.chunks(1_000) {
            let recipients = chunk.iter().map(|(uid, openid)| pb::RecipientInput {
                uid: uid.clone(),
                openids: vec![pb::OpenidInput {
                    appid: appid.to_owned(),
                    openid: openid.clone(),
                }],
                ..Default::default()
            });
            let request = pb::UpsertRecipientsRequest {
                shop_id,
                request_id: self.fresh(),
                recipients: recipients.collect(),
                ..Default::default()
            };
            self.audience().upsert_recipients(request).await.unwrap();
        }
    }

    pub fn send_request(
        &self,
        shop_id: i64,
        campaign_id: i64,
        openid: &str,
    ) -> pb::SendRedPacketRequest {
        pb::SendRedPacketRequest {
            shop_id,
            request_id: self.fresh(),
            campaign_id,
            openid: openid.to_owned(),
            source: pb::IssuanceSource::Open.into(),
            ..Default::default()
        }
    }

    pub async fn send(
        &self,
        shop_id: i64,
        campaign_id: i64,
        openid: &str,
    ) -> Result<pb::Issuance, Status> {
        let request = self.send_request(shop_id, campaign_id, openid);
        let sent = self
            .issuances()
            .send_red_packet(request)
            .await?
            .into_inner();
        Ok(sent.issuance.unwrap())
    }

    pub async fn get(&self, shop_id: i64, issuance_id: i64) -> pb::GetIssuanceResponse {
        let request = pb::GetIssuanceRequest {
            shop_id,
            r#ref: Some(pb::get_issuance_request::Ref::IssuanceId(issuance_id)),
            ..Default::default()
        };
        self.issuances()
            .get_issuance(request)
            .await
            .unwrap()
            .into_inner()
    }

    /// Waits until a packet is in one of these states.
    pub async fn await_state(
        &self,
        shop_id: i64,
        issuance_id: i64,
        wanted: &[pb::IssuanceState],
    ) -> pb::Issuance {
        for _ in 0..2_000 {
            let issuance = self.get(shop_id, issuance_id).await.issuance.unwrap();
            if wanted.contains(&issuance.state()) {
                return issuance;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!(
            "never {wanted:?}: {:?}",
            self.get(shop_id, issuance_id).await
        );
    }

    pub async fn budget(&self, shop_id: i64, campaign_id: i64) -> pb::Budget {
        let request = pb::GetCampaignRequest {
            shop_id,
            campaign_id,
        };
        let found = self
            .campaigns()
            .get_campaign(request)
            .await
            .unwrap()
            .into_inner();
        found.campaign.unwrap().budget.unwrap()
    }
}

pub fn texts() -> pb::RedPacketTexts {
    pb::RedPacketTexts {
        send_name: "天虹百货".into(),
        act_name: "新年红包".into(),
        wishing: "恭喜发财".into(),
        remark: "快来抢".into(),
        scene_id: String::new(),
    }
}

/// The stable reason of a refusal.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "hongbao");
    info.reason.clone()
}

/// A fact of a refusal.
pub fn fact(status: &Status, name: &str) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    let found = info.metadata.get(name);
    found
        .unwrap_or_else(|| panic!("no {name}: {status:?}"))
        .clone()
}

/// The field violations of a refusal: path and reason.
pub fn violations(status: &Status) -> Vec<(String, String)> {
    let details = status.get_error_details();
    let bad = details
        .bad_request()
        .map(|bad| bad.field_violations.clone())
        .unwrap_or_default();
    bad.into_iter().map(|v| (v.field, v.reason)).collect()
}
