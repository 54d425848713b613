//! A good request for every RPC, and things of two tenants to name in them. Writes
//! are only tried, so that one request does not stand in the way of another.

use std::collections::BTreeMap;

use hongbao::grpc::{PERMISSIONS, pb};
use prost::Message;

use crate::support::{Client, SHOP, TestApp};

/// The other tenant's shop, as long as the one that is nobody's.
pub(super) const OTHER: i64 = 22_222;

/// What one tenant has.
struct Own {
    campaign_id: i64,
    batch_id: i64,
    issuance_id: i64,
    recipient_id: i64,
    mch_billno: String,
    uid: String,
}

pub(super) struct Things {
    client: Client,
    account_id: i64,
    ours: Own,
    theirs: Own,
    /// Keys that hold one permission, in one shop where it is not platform-level.
    with: BTreeMap<&'static str, String>,
    /// Keys that hold all others, everywhere.
    without: BTreeMap<&'static str, String>,
}

impl Things {
    pub(super) async fn make(app: &TestApp) -> Self {
        let client = app.client.clone();
        let merchant = app.simulator.merchant();
        client.make_shop(SHOP).await;
        client.make_shop(OTHER).await;
        let appid = app.appid();
        let shops = [SHOP, OTHER];
        let account_id = client.make_account(&merchant.mch_id, &appid, &shops).await;
        let ours = own(&client, SHOP, account_id, &appid).await;
        let theirs = own(&client, OTHER, account_id, &appid).await;
        let (mut with, mut without) = (BTreeMap::new(), BTreeMap::new());
        let all: Vec<(&str, i32)> = PERMISSIONS
            .iter()
            .map(|(_, name)| {
                let value = pb::Permission::from_str_name(&format!("PERMISSION_{name}"));
                (*name, value.unwrap().into())
            })
            .collect();
        for (name, value) in &all {
            if with.contains_key(name) {
                continue;
            }
            let platform = name.ends_with("_ADMIN");
            let shop_ids = if platform { vec![] } else { vec![SHOP] };
            let only = pb::Grant {
                permissions: vec![*value],
                shop_ids,
                all_shops: platform,
            };
            let mut others: Vec<i32> = all.iter().map(|(_, v)| *v).filter(|v| v != value).collect();
            others.sort_unstable();
            others.dedup();
            let rest = pb::Grant {
                permissions: others,
                shop_ids: vec![],
                all_shops: true,
            };
            with.insert(*name, make_app(&client, only).await);
            without.insert(*name, make_app(&client, rest).await);
        }
        Self {
            client,
            account_id,
            ours,
            theirs,
            with,
            without,
        }
    }

    pub(super) fn key_with(&self, permission: &str) -> &str {
        &self.with[permission]
    }

    pub(super) fn key_without(&self, permission: &str) -> &str {
        &self.without[permission]
    }

    /// Ids of the other tenant, by the name of the field that they go into.
    pub(super) fn foreign(&self) -> Vec<(&'static str, String)> {
        vec![
            ("campaign_id", self.theirs.campaign_id.to_string()),
            ("batch_id", self.theirs.batch_id.to_string()),
            ("issuance_id", self.theirs.issuance_id.to_string()),
            ("recipient_id", self.theirs.recipient_id.to_string()),
            ("mch_billno", self.theirs.mch_billno.clone()),
            ("uid", self.theirs.uid.clone()),
        ]
    }

    pub(super) async fn revoked_key(&self) -> String {
        let key = self.with["CAMPAIGN_READ"].clone();
        let request = pb::RevokeApiKeyRequest {
            request_id: self.client.fresh(),
            key_id: key.split('_').nth(1).unwrap().to_owned(),
            ..Default::default()
        };
        self.client.admin().revoke_api_key(request).await.unwrap();
        key
    }
}

async fn make_app(client: &Client, grant: pb::Grant) -> String {
    let name = client.fresh();
    let request = pb::CreateAppRequest {
        request_id: name.clone(),
        name,
        grants: vec![grant],
        ..Default::default()
    };
    let made = client.admin().create_app(request).await.unwrap();
    made.into_inner().api_key
}

async fn own(client: &Client, shop_id: i64, account_id: i64, appid: &str) -> Own {
    let draft = client.draft(shop_id, account_id, "camp");
    let campaign_id = client.make_campaign(draft, 10_000).await;
    let uid = format!("person-of-{shop_id}");
    let people = [(uid.clone(), format!("oOf{shop_id}"))];
    let batch = pb::SendToUsersRequest {
        shop_id,
        request_id: client.fresh(),
        campaign_id,
        uids: vec![uid.clone()],
        source: 1,
        ..Default::default()
    };
    // Unknown when the batch is sent, known afterwards: a packet that can be sent again.
    let batch = client.issuances().send_to_users(batch).await.unwrap();
    client.make_people(shop_id, appid, &people).await;
    let list = pb::ListIssuancesRequest {
        shop_id,
        ..Default::default()
    };
    let listed = client.issuances().list_issuances(list).await.unwrap();
    let sent = client.send(shop_id, campaign_id, "oPaid").await.unwrap();
    let person = pb::GetRecipientRequest {
        shop_id,
        r#ref: Some(pb::get_recipient_request::Ref::Uid(uid.clone())),
    };
    let person = client.audience().get_recipient(person).await.unwrap();
    Own {
        campaign_id,
        batch_id: batch.into_inner().batch.unwrap().batch_id,
        issuance_id: listed.into_inner().issuances[0].issuance_id,
        recipient_id: person.into_inner().recipient.unwrap().recipient_id,
        mch_billno: sent.mch_billno,
        uid,
    }
}

/// A request that is accepted from a caller who may make it.
pub(super) fn good(name: &str, things: &Things) -> Vec<u8> {
    let Own {
        campaign_id,
        batch_id,
        issuance_id,
        ref uid,
        ..
    } = things.ours;
    let (shop_id, validate_only, account_id) = (SHOP, true, things.account_id);
    let request_id = "tried".to_owned();
    macro_rules! make {
        ($request:ident { $($field:ident $(: $value:expr)?),* }) => {
            pb::$request { $($field $(: $value)?,)* ..Default::default() }.encode_to_vec()
        };
    }
    match name {
        "CreateShop" => make!(CreateShopRequest {
            request_id,
            validate_only,
            name: "s".into()
        }),
        "ListShops" => make!(ListShopsRequest {}),
        "CreateProviderAccount" => make!(CreateProviderAccountRequest {
            request_id,
            validate_only,
            protocol: "wechat_pay_v2".into(),
            mch_id: "1900000109".into(),
            credential: "simulator".into(),
            appids: vec!["wx".into()],
            shop_ids: vec![SHOP]
        }),
        "UpdateProviderAccount" => make!(UpdateProviderAccountRequest {
            request_id,
            validate_only,
            account_id,
            enabled: Some(true)
        }),
        "GetProviderAccount" => make!(GetProviderAccountRequest { account_id }),
        "ListProviderAccounts" => make!(ListProviderAccountsRequest {}),
        "CreateApp" => {
            let grants = vec![pb::Grant {
                permissions: vec![1],
                shop_ids: vec![SHOP],
                all_shops: false,
            }];
            make!(CreateAppRequest {
                request_id,
                validate_only,
                name: "a".into(),
                grants
            })
        }
        "ListApps" => make!(ListAppsRequest {}),
        "CreateApiKey" => make!(CreateApiKeyRequest {
            request_id,
            validate_only,
            app_id: 1
        }),
        "RevokeApiKey" => {
            let key_id = things.with["CAMPAIGN_READ"]
                .split('_')
                .nth(1)
                .unwrap()
                .to_owned();
            make!(RevokeApiKeyRequest {
                request_id,
                validate_only,
                key_id
            })
        }
        "UpsertRecipients" => {
            let recipients = vec![pb::RecipientInput {
                uid: "new".into(),
                ..Default::default()
            }];
            make!(UpsertRecipientsRequest {
                shop_id,
                request_id,
                validate_only,
                recipients
            })
        }
        "GetRecipient" => make!(GetRecipientRequest {
            shop_id,
            r#ref: Some(pb::get_recipient_request::Ref::Uid(uid.clone()))
        }),
        "ListRecipients" => make!(ListRecipientsRequest { shop_id }),
        "CreateCampaign" => {
            let draft = things.client.draft(shop_id, account_id, "new");
            pb::CreateCampaignRequest {
                request_id,
                validate_only,
                ..draft
            }
            .encode_to_vec()
        }
        "GetCampaign" => make!(GetCampaignRequest {
            shop_id,
            campaign_id
        }),
        "ListCampaigns" => make!(ListCampaignsRequest { shop_id }),
        "UpdateCampaign" => {
            let update_mask = Some(prost_types::FieldMask {
                paths: vec!["stock_count".into()],
            });
            make!(UpdateCampaignRequest {
                shop_id,
                request_id,
                validate_only,
                campaign_id,
                update_mask
            })
        }
        "ActivateCampaign" => make!(ActivateCampaignRequest {
            shop_id,
            request_id,
            validate_only,
            campaign_id
        }),
        "PauseCampaign" => make!(PauseCampaignRequest {
            shop_id,
            request_id,
            validate_only,
            campaign_id
        }),
        "EndCampaign" => make!(EndCampaignRequest {
            shop_id,
            request_id,
            validate_only,
            campaign_id
        }),
        "FundCampaign" => make!(FundCampaignRequest {
            shop_id,
            request_id,
            validate_only,
            campaign_id,
            amount_fen: 1
        }),
        "DefundCampaign" => make!(DefundCampaignRequest {
            shop_id,
            request_id,
            validate_only,
            campaign_id,
            amount_fen: 1
        }),
        "GetCampaignStats" => make!(GetCampaignStatsRequest {
            shop_id,
            campaign_id
        }),
        "SendToUsers" => make!(SendToUsersRequest {
            shop_id,
            request_id,
            validate_only,
            campaign_id,
            uids: vec![uid.clone()],
            source: 1
        }),
        "SendRedPacket" => make!(SendRedPacketRequest {
            shop_id,
            request_id,
            validate_only,
            campaign_id,
            openid: "oNew".into(),
            source: 1
        }),
        "Resend" => make!(ResendRequest {
            shop_id,
            request_id,
            validate_only,
            issuance_id
        }),
        "GetIssuance" => make!(GetIssuanceRequest {
            shop_id,
            r#ref: Some(pb::get_issuance_request::Ref::IssuanceId(issuance_id))
        }),
        "ListIssuances" => make!(ListIssuancesRequest { shop_id }),
        "GetBatch" => make!(GetBatchRequest { shop_id, batch_id }),
        "WatchBatch" => make!(WatchBatchRequest { shop_id, batch_id }),
        other => panic!("{other} is new: give it a good request here"),
    }
}
