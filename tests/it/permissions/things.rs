//! Two tenants with one of everything, and apps that hold one permission or all others.

use std::collections::BTreeMap;

use hongbao::domain::grant::Shops;
use hongbao::domain::id::ShopId;
use hongbao::domain::role::Role;
use hongbao::grpc::{PERMISSIONS, pb};

use super::vouchers::{self, Shelf};
use crate::support::{Client, SHOP, TestApp, fact};

/// The other tenant's shop, as long as the one that is nobody's.
pub(super) const OTHER: i64 = 22_222;

/// The number of the person who has our vouchers.
pub(super) const MOBILE: &str = "13912345678";

/// What one tenant has.
pub(super) struct Own {
    pub(super) campaign_id: i64,
    pub(super) batch_id: i64,
    pub(super) issuance_id: i64,
    pub(super) recipient_id: i64,
    pub(super) mch_billno: String,
    pub(super) uid: String,
    pub(super) wx_group_id: i64,
    pub(super) shop_sub_id: i64,
    pub(super) approval_id: i64,
}

/// Whether a permission speaks of the whole installation.
pub(super) fn is_platform(permission: &str) -> bool {
    let of_shop = permission == "VOUCHER_ADMIN";
    permission.ends_with("_ADMIN") && !of_shop || permission == "PLATFORM_READ"
}

pub(super) struct Things {
    pub(super) client: Client,
    pub(super) account_id: i64,
    pub(super) ours: Own,
    theirs: Own,
    /// Vouchers of the apps that hold one permission.
    pub(super) shelf: Shelf,
    their_shelf: Shelf,
    /// Keys that hold one permission, in one shop where it is not platform-level.
    with: BTreeMap<&'static str, String>,
    /// Keys that hold all others, everywhere.
    without: BTreeMap<&'static str, String>,
    /// Keys of people, by the RPC that asks for one.
    people: BTreeMap<&'static str, String>,
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
            let platform = is_platform(name);
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
            with.insert(*name, make_app(&client, vec![only]).await);
            without.insert(*name, make_app(&client, vec![rest]).await);
        }
        let here = || Shops::Only(vec![ShopId(SHOP)]);
        let people = BTreeMap::from([
            (
                "ResumeAll",
                app.person_in("resumes", &[Role::Administrator], Shops::All)
                    .await,
            ),
            (
                "CloseReview",
                app.person_in("closes", &[Role::Reviewer], here()).await,
            ),
            (
                "CloseVoucherReview",
                app.person_in("ends", &[Role::Reviewer], here()).await,
            ),
            (
                "DecideApproval",
                app.person_in("decides", &[Role::Approver], here()).await,
            ),
            // An app reads the orders that it made, and this one can make none.
            (
                "GetVoucherOrder",
                app.person_in("looks", &[Role::Viewer], here()).await,
            ),
            (
                "ListVoucherExchanges",
                app.person_in("listens", &[Role::Reviewer], here()).await,
            ),
        ]);
        let keys = |permission| with[permission].as_str();
        name_mobile(&client, &ours.uid).await;
        let shelf = vouchers::ours(app, keys, &ours.uid).await;
        let their_shelf = vouchers::theirs(&client, OTHER).await;
        Self {
            people,
            client,
            account_id,
            ours,
            theirs,
            shelf,
            their_shelf,
            with,
            without,
        }
    }

    /// The key of somebody who may call an RPC and little else.
    pub(super) fn key_for(&self, rpc: &str, permission: &str) -> &str {
        self.people.get(rpc).unwrap_or(&self.with[permission])
    }

    pub(super) fn key_with(&self, permission: &str) -> &str {
        &self.with[permission]
    }

    pub(super) fn key_without(&self, permission: &str) -> &str {
        &self.without[permission]
    }

    /// Ids of the other tenant, by the path of the field that they go into.
    pub(super) fn foreign(&self) -> Vec<(&'static str, String)> {
        let (shelf, person) = (&self.their_shelf, self.theirs.recipient_id.to_string());
        vec![
            ("product_id", shelf.product_id.to_string()),
            ("product_code", shelf.code.clone()),
            ("filter.product_codes", shelf.code.clone()),
            ("voucher_id", shelf.voucher_id.to_string()),
            ("voucher_no", shelf.voucher_no.clone()),
            ("voucher_ids", shelf.voucher_id.to_string()),
            ("uses.voucher_id", shelf.voucher_id.to_string()),
            ("uses.voucher_no", shelf.voucher_no.clone()),
            ("order_id", shelf.spent.to_string()),
            ("order.order_id", shelf.spent.to_string()),
            ("order.app_order_id", shelf.app_order_id.clone()),
            ("owner.recipient_id", person.clone()),
            ("gifts.owner.recipient_id", person),
            ("campaign_id", self.theirs.campaign_id.to_string()),
            ("batch_id", self.theirs.batch_id.to_string()),
            ("issuance_id", self.theirs.issuance_id.to_string()),
            ("recipient_id", self.theirs.recipient_id.to_string()),
            ("mch_billno", self.theirs.mch_billno.clone()),
            ("uid", self.theirs.uid.clone()),
            ("add_uids", self.theirs.uid.clone()),
            ("wx_group_id", self.theirs.wx_group_id.to_string()),
            ("wx_group_ids", self.theirs.wx_group_id.to_string()),
            ("shop_sub_id", self.theirs.shop_sub_id.to_string()),
            ("approval_id", self.theirs.approval_id.to_string()),
        ]
    }

    /// Lets the apps of some keys see our vouchers too.
    pub(super) async fn let_see(&self, keys: &[&str]) {
        vouchers::let_see(&self.client, &self.shelf, keys).await;
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

async fn name_mobile(client: &Client, uid: &str) {
    let person = pb::RecipientInput {
        uid: uid.to_owned(),
        mobile: MOBILE.into(),
        ..Default::default()
    };
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        recipients: vec![person],
        ..Default::default()
    };
    client.audience().upsert_recipients(upsert).await.unwrap();
}

pub(super) async fn make_app(client: &Client, grants: Vec<pb::Grant>) -> String {
    let name = client.fresh();
    let request = pb::CreateAppRequest {
        request_id: name.clone(),
        name,
        grants,
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
        ..Default::default()
    };
    let person = client.audience().get_recipient(person).await.unwrap();
    // Ids that are unique in a shop, and so must differ to be another's.
    let (wx_group_id, shop_sub_id) = (shop_id + 40_000, shop_id + 60_000);
    let group = pb::UpsertGroupRequest {
        shop_id,
        request_id: client.fresh(),
        wx_group_id,
        name: "group".into(),
        ..Default::default()
    };
    client.audience().upsert_group(group).await.unwrap();
    let member = pb::SetGroupMembersRequest {
        shop_id,
        request_id: client.fresh(),
        wx_group_id,
        add_uids: vec![uid.clone()],
        ..Default::default()
    };
    client.audience().set_group_members(member).await.unwrap();
    let branch = pb::CreateBranchRequest {
        shop_id,
        request_id: client.fresh(),
        shop_sub_id,
        name: "branch".into(),
        ..Default::default()
    };
    client.admin().create_branch(branch).await.unwrap();
    let mut two = client.draft(shop_id, account_id, "two");
    two.approve_fund_above_fen = Some(0);
    let two = client.campaigns().create_campaign(two).await.unwrap();
    let fund = pb::FundCampaignRequest {
        shop_id,
        request_id: client.fresh(),
        campaign_id: two.into_inner().campaign.unwrap().campaign_id,
        amount_fen: 100,
        ..Default::default()
    };
    let waits = client.campaigns().fund_campaign(fund).await.unwrap_err();
    Own {
        approval_id: fact(&waits, "approval_id").parse().unwrap(),
        wx_group_id,
        shop_sub_id,
        campaign_id,
        batch_id: batch.into_inner().batch.unwrap().batch_id,
        issuance_id: listed.into_inner().issuances[0].issuance_id,
        recipient_id: person.into_inner().recipient.unwrap().recipient_id,
        mch_billno: sent.mch_billno,
        uid,
    }
}
