//! A good request for every RPC. Writes are only tried, so that one request does not
//! stand in the way of another.

use hongbao::grpc::pb;
use prost::Message as _;

use super::things::{Own, Things};
use crate::support::SHOP;

/// A request that is accepted from a caller who may make it.
#[expect(clippy::needless_update, reason = "some requests have no other field")]
pub(super) fn good(name: &str, things: &Things) -> Vec<u8> {
    let Own {
        campaign_id,
        batch_id,
        issuance_id,
        wx_group_id,
        shop_sub_id,
        approval_id,
        endpoint_id,
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
        "CreateBranch" => make!(CreateBranchRequest {
            request_id,
            validate_only,
            shop_id,
            shop_sub_id: 5,
            name: "b".into()
        }),
        "ListBranches" => make!(ListBranchesRequest { shop_id }),
        "SetShopGateways" => {
            let gateways = vec![pb::ShopGateway {
                gateway_type: 1,
                account_id,
            }];
            make!(SetShopGatewaysRequest {
                request_id,
                validate_only,
                shop_id,
                gateways
            })
        }
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
        "StopAll" => make!(StopAllRequest {
            request_id,
            validate_only,
            scope: everything(),
            reason: "r".into()
        }),
        "ResumeAll" => make!(ResumeAllRequest {
            request_id,
            validate_only,
            scope: everything(),
            reason: "r".into()
        }),
        "ListStops" => make!(ListStopsRequest {}),
        "ListProviderCallbacks" => make!(ListProviderCallbacksRequest {
            credential: "open".into()
        }),
        "GetOverview" => make!(GetOverviewRequest {}),
        "ListAudit" => make!(ListAuditRequest {}),
        "ListReviews" => make!(ListReviewsRequest { shop_id }),
        "ListApprovals" => make!(ListApprovalsRequest { shop_id }),
        "CloseReview" => make!(CloseReviewRequest {
            shop_id,
            request_id,
            validate_only,
            issuance_id,
            verdict: 1,
            reason: "r".into()
        }),
        "DecideApproval" => make!(DecideApprovalRequest {
            request_id,
            validate_only,
            approval_id,
            approve: true,
            reason: "r".into()
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
        "SetAppSigning" => make!(SetAppSigningRequest {
            request_id,
            validate_only,
            app_id: 1,
            required_for: 1
        }),
        "GetAppSigning" => make!(GetAppSigningRequest { app_id: 1 }),
        "RevokeApiKey" => {
            let key_id = things
                .key_with("CAMPAIGN_READ")
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
        // Cannot be tried, and so takes an id of its own.
        "ImportRecipients" => {
            let recipients = vec![pb::RecipientInput {
                uid: "imported".into(),
                ..Default::default()
            }];
            make!(ImportRecipientsRequest {
                shop_id,
                request_id: "imported".into(),
                recipients,
                wx_group_ids: vec![wx_group_id]
            })
        }
        "UpsertGroup" => make!(UpsertGroupRequest {
            shop_id,
            request_id,
            validate_only,
            wx_group_id,
            name: "g".into()
        }),
        "SetGroupMembers" => make!(SetGroupMembersRequest {
            shop_id,
            request_id,
            validate_only,
            wx_group_id,
            add_uids: vec![uid.clone()]
        }),
        "GetGroup" => make!(GetGroupRequest {
            shop_id,
            wx_group_id
        }),
        "ListGroups" => make!(ListGroupsRequest { shop_id }),
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
        "SendToGroups" => make!(SendToGroupsRequest {
            shop_id,
            request_id,
            validate_only,
            campaign_id,
            wx_group_ids: vec![wx_group_id],
            source: 1,
            shop_sub_id
        }),
        "ScanSend" => make!(ScanSendRequest {
            shop_id,
            request_id,
            validate_only,
            campaign_id,
            openid: "oScan".into()
        }),
        "CancelBatch" => make!(CancelBatchRequest {
            shop_id,
            request_id,
            validate_only,
            batch_id
        }),
        "RefreshStatus" => make!(RefreshStatusRequest {
            shop_id,
            issuance_ids: vec![issuance_id]
        }),
        "QueryProviderStatus" => make!(QueryProviderStatusRequest {
            shop_id,
            r#ref: Some(pb::query_provider_status_request::Ref::IssuanceId(
                issuance_id
            ))
        }),
        "ListProviderExchanges" => make!(ListProviderExchangesRequest {
            shop_id,
            issuance_id
        }),
        "ListBatches" => make!(ListBatchesRequest { shop_id }),
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
        "WatchEvents" => make!(WatchEventsRequest { shop_id }),
        "ListEvents" => make!(ListEventsRequest { shop_id }),
        "CreateWebhookEndpoint" => make!(CreateWebhookEndpointRequest {
            request_id,
            validate_only,
            shop_id,
            url: "https://example.com/hook".into()
        }),
        "GetWebhookEndpoint" => make!(GetWebhookEndpointRequest {
            shop_id,
            endpoint_id
        }),
        "ListWebhookEndpoints" => make!(ListWebhookEndpointsRequest { shop_id }),
        "UpdateWebhookEndpoint" => {
            let update_mask = Some(prost_types::FieldMask {
                paths: vec!["types".into()],
            });
            make!(UpdateWebhookEndpointRequest {
                request_id,
                validate_only,
                shop_id,
                endpoint_id,
                update_mask
            })
        }
        "DeleteWebhookEndpoint" => make!(DeleteWebhookEndpointRequest {
            request_id,
            validate_only,
            shop_id,
            endpoint_id
        }),
        "RotateWebhookSecret" => make!(RotateWebhookSecretRequest {
            request_id,
            validate_only,
            shop_id,
            endpoint_id
        }),
        "PingWebhookEndpoint" => make!(PingWebhookEndpointRequest {
            request_id,
            validate_only,
            shop_id,
            endpoint_id
        }),
        "ListWebhookDeliveries" => make!(ListWebhookDeliveriesRequest {
            shop_id,
            endpoint_id
        }),
        "RedeliverWebhooks" => make!(RedeliverWebhooksRequest {
            request_id,
            validate_only,
            shop_id,
            endpoint_id,
            what: Some(pb::redeliver_webhooks_request::What::Range(
                pb::EventRange {
                    start_time: None,
                    end_time: Some(prost_types::Timestamp {
                        seconds: 1,
                        nanos: 0
                    }),
                }
            ))
        }),
        "WatchBatch" => make!(WatchBatchRequest { shop_id, batch_id }),
        _ => super::vouchers::good(name, things)
            .unwrap_or_else(|| panic!("{name} is new: give it a good request here")),
    }
}

fn everything() -> Option<pb::StopScope> {
    Some(pb::StopScope {
        scope: Some(pb::stop_scope::Scope::Everything(true)),
    })
}
