//! Cash red packets as callers use them: groups, scans, pots, kinds of packets,
//! questions to the provider, withdrawal, search, and who must never be named.

mod asking;
mod brought;
mod cancelling;
mod caps;
mod groups;
mod kinds;
mod pots;
mod resending;
mod rows;
mod scans;
mod searching;
mod secrecy;
mod sends;
mod verdicts;

use std::time::Duration;

use hongbao::grpc::pb::{self, IssuanceState as S};
use tonic::Status;

use crate::support::{Client, Options, SHOP, TestApp, TestDb};

/// A server with a shop and an account.
async fn stage(db: TestDb, options: Options) -> (TestApp, i64) {
    let app = TestApp::start_with(db, options).await;
    app.client.make_shop(SHOP).await;
    let merchant = app.simulator.merchant();
    let (mch_id, appid) = (merchant.mch_id.clone(), app.appid());
    let account = app.client.make_account(&mch_id, &appid, &[SHOP]).await;
    (app, account)
}

/// The same, that accepts and does not send.
async fn idle(db: TestDb) -> (TestApp, i64) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    stage(db, options).await
}

async fn awake(app: TestApp) -> TestApp {
    app.restart(|config| config.dispatcher.enabled = true).await
}

/// A campaign of another amount rule.
fn draft(
    client: &Client,
    account: i64,
    code: &str,
    rule: pb::AmountRule,
) -> pb::CreateCampaignRequest {
    pb::CreateCampaignRequest {
        amount: Some(rule),
        ..client.draft(SHOP, account, code)
    }
}

fn rule(kind: pb::AmountType, min_fen: i64, max_fen: i64) -> pb::AmountRule {
    pb::AmountRule {
        r#type: kind.into(),
        min_fen,
        max_fen,
        ..Default::default()
    }
}

/// Uids and openids.
fn people(name: &str, range: std::ops::Range<u32>) -> Vec<(String, String)> {
    range
        .map(|n| (format!("{name}{n}"), format!("o{name}{n}")))
        .collect()
}

fn uids(people: &[(String, String)]) -> Vec<String> {
    people.iter().map(|(uid, _)| uid.clone()).collect()
}

fn person(app: &TestApp, uid: &str, openid: &str) -> pb::RecipientInput {
    let openid = pb::OpenidInput {
        appid: app.appid(),
        openid: openid.to_owned(),
    };
    pb::RecipientInput {
        uid: uid.to_owned(),
        openids: vec![openid],
        ..Default::default()
    }
}

async fn upsert(
    client: &Client,
    recipients: Vec<pb::RecipientInput>,
) -> Result<pb::UpsertRecipientsResponse, Status> {
    let request = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        recipients,
        ..Default::default()
    };
    let done = client.audience().upsert_recipients(request).await?;
    Ok(done.into_inner())
}

async fn recipient(client: &Client, uid: &str) -> pb::Recipient {
    let request = pb::GetRecipientRequest {
        shop_id: SHOP,
        r#ref: Some(pb::get_recipient_request::Ref::Uid(uid.to_owned())),
        unmask: true,
    };
    let found = client.audience().get_recipient(request).await.unwrap();
    found.into_inner().recipient.unwrap()
}

async fn make_branch(client: &Client, shop_sub_id: i64) {
    let request = pb::CreateBranchRequest {
        request_id: client.fresh(),
        shop_id: SHOP,
        shop_sub_id,
        name: format!("Branch {shop_sub_id}"),
        ..Default::default()
    };
    client.admin().create_branch(request).await.unwrap();
}

async fn make_group(client: &Client, name: &str, uids: &[String]) -> i64 {
    let request = pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        name: name.to_owned(),
        ..Default::default()
    };
    let made = client.audience().upsert_group(request).await.unwrap();
    let id = made.into_inner().group.unwrap().wx_group_id;
    set_members(client, id, uids, &[]).await;
    id
}

async fn set_members(
    client: &Client,
    group: i64,
    add: &[String],
    remove: &[String],
) -> pb::RecipientGroup {
    let mut latest = None;
    let none: &[String] = &[];
    let parts = add.chunks(900).map(|add| (add, none));
    for (add, remove) in parts.chain([(none, remove)]) {
        if add.is_empty() && remove.is_empty() {
            continue;
        }
        let request = pb::SetGroupMembersRequest {
            shop_id: SHOP,
            request_id: client.fresh(),
            wx_group_id: group,
            add_uids: add.to_vec(),
            remove_uids: remove.to_vec(),
            ..Default::default()
        };
        let done = client.audience().set_group_members(request).await.unwrap();
        latest = done.into_inner().group;
    }
    match latest {
        Some(group) => group,
        None => get_group(client, group).await,
    }
}

async fn get_group(client: &Client, wx_group_id: i64) -> pb::RecipientGroup {
    let request = pb::GetGroupRequest {
        shop_id: SHOP,
        wx_group_id,
    };
    let found = client.audience().get_group(request).await.unwrap();
    found.into_inner().group.unwrap()
}

fn to_groups(client: &Client, campaign_id: i64, groups: &[i64]) -> pb::SendToGroupsRequest {
    pb::SendToGroupsRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        wx_group_ids: groups.to_vec(),
        source: pb::IssuanceSource::Manual.into(),
        ..Default::default()
    }
}

async fn send_to_groups(
    client: &Client,
    request: pb::SendToGroupsRequest,
) -> Result<pb::SendToGroupsResponse, Status> {
    let sent = client.issuances().send_to_groups(request).await?;
    Ok(sent.into_inner())
}

fn to_scanner(client: &Client, campaign_id: i64, openid: &str) -> pb::ScanSendRequest {
    pb::ScanSendRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        openid: openid.to_owned(),
        ..Default::default()
    }
}

/// A scan; gives the packet, and whether an earlier one had made it. On a server
/// that does not send, the wait is cut short.
async fn scan(
    client: &Client,
    campaign: i64,
    openid: &str,
) -> Result<(pb::Issuance, bool), Status> {
    let mut request = tonic::Request::new(to_scanner(client, campaign, openid));
    request.set_timeout(Duration::from_secs(20));
    let sent = client.issuances().scan_send(request).await?.into_inner();
    Ok((sent.issuance.unwrap(), sent.replayed))
}

/// A scan on a server that does not send: the wait would take the whole deadline.
async fn scan_idle(
    client: &Client,
    campaign: i64,
    openid: &str,
) -> Result<(pb::Issuance, bool), Status> {
    let mut request = tonic::Request::new(to_scanner(client, campaign, openid));
    request.set_timeout(Duration::from_secs(1));
    let sent = client.issuances().scan_send(request).await?.into_inner();
    Ok((sent.issuance.unwrap(), sent.replayed))
}

fn again(client: &Client, issuance_id: i64) -> pb::ResendRequest {
    pb::ResendRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        issuance_id,
        wait: true,
        ..Default::default()
    }
}

async fn resend(client: &Client, issuance_id: i64) -> Result<pb::Issuance, Status> {
    let done = client
        .issuances()
        .resend(again(client, issuance_id))
        .await?;
    Ok(done.into_inner().issuance.unwrap())
}

async fn cancel(client: &Client, batch_id: i64) -> pb::CancelBatchResponse {
    let request = pb::CancelBatchRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        batch_id,
        ..Default::default()
    };
    let done = client.issuances().cancel_batch(request).await.unwrap();
    done.into_inner()
}

async fn batch(client: &Client, batch_id: i64) -> pb::IssuanceBatch {
    let request = pb::GetBatchRequest {
        shop_id: SHOP,
        batch_id,
    };
    let found = client.issuances().get_batch(request).await.unwrap();
    let found = found.into_inner().batch.unwrap();
    closes(&found);
    found
}

/// Waits until no packet of a batch is on its way to the provider or to a recipient.
async fn ended(client: &Client, batch_id: i64) -> pb::IssuanceBatch {
    for _ in 0..1_000 {
        let found = batch(client, batch_id).await;
        let counts = found.counts.as_ref().unwrap();
        if found.settled && counts.sent_count + counts.refunding_count == 0 {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never ended: {:?}", batch(client, batch_id).await);
}

/// Counts always add up.
fn closes(batch: &pb::IssuanceBatch) {
    let c = batch.counts.unwrap();
    assert_eq!(
        c.requested_count,
        c.accepted_count + c.refused_count,
        "{c:?}"
    );
    let open = c.queued_count + c.sending_count + c.unknown_count + c.review_count;
    let sent = c.sent_count + c.received_count + c.refunding_count + c.refunded_count;
    let sum = open + sent + c.failed_count + c.cancelled_count;
    assert_eq!(c.accepted_count, sum, "{c:?}");
    let busy = c.queued_count + c.sending_count + c.unknown_count;
    assert_eq!(batch.settled, busy == 0, "{batch:?}");
}

/// All packets that a filter fits, unmasked, newest first.
async fn packets(client: &Client, filter: pb::IssuanceFilter) -> Vec<pb::Issuance> {
    let mut request = pb::ListIssuancesRequest {
        shop_id: SHOP,
        filter: Some(filter),
        page_size: 1_000,
        unmask: true,
        ..Default::default()
    };
    let mut rows = Vec::new();
    loop {
        let page = client.issuances().list_issuances(request.clone()).await;
        let page = page.unwrap().into_inner();
        rows.extend(page.issuances);
        if page.next_page_token.is_empty() {
            return rows;
        }
        request.page_token = page.next_page_token;
    }
}

async fn of_batch(client: &Client, batch_id: i64) -> Vec<pb::Issuance> {
    let filter = pb::IssuanceFilter {
        batch_id,
        ..Default::default()
    };
    packets(client, filter).await
}

async fn exchanges(client: &Client, issuance_id: i64) -> Vec<pb::ProviderExchange> {
    let request = pb::ListProviderExchangesRequest {
        shop_id: SHOP,
        issuance_id,
    };
    let found = client.issuances().list_provider_exchanges(request).await;
    found.unwrap().into_inner().exchanges
}

/// A packet in full.
async fn unmasked(client: &Client, issuance_id: i64) -> pb::GetIssuanceResponse {
    let request = pb::GetIssuanceRequest {
        shop_id: SHOP,
        r#ref: Some(pb::get_issuance_request::Ref::IssuanceId(issuance_id)),
        unmask: true,
    };
    let found = client.issuances().get_issuance(request).await.unwrap();
    found.into_inner()
}

const PAID: [S; 2] = [S::Sent, S::Received];
