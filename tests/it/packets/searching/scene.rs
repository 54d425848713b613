//! Packets in many states, of people whose names are hard to search for.

use hongbao::grpc::pb::{self, IssuanceState as S};

use super::super::{
    awake, cancel, draft, make_group, packets, people, person, rule, scan_idle, send_to_groups,
    stage, to_groups, upsert,
};
use crate::support::{Options, SHOP, TestApp, TestDb};

/// Nicknames with all that can go wrong in a pattern, and mobiles.
const NAMES: [(&str, &str, &str); 10] = [
    ("n0", "Alice", "13812345678"),
    ("n1", "ALICE Böse", "13912345678"),
    ("n2", "小明😀😀", "13812340000"),
    ("n3", "50%_off", ""),
    ("n4", "50 off", ""),
    ("n5", "O'Brien \"Bob\"", ""),
    ("n6", "a_b\\c", "13800001234"),
    ("n7", "axb", ""),
    ("n8", "新年明", ""),
    ("n9", "", "13711112222"),
];

pub(super) struct Scene {
    pub(super) app: TestApp,
    pub(super) campaigns: Vec<i64>,
    pub(super) groups: Vec<i64>,
}

fn texts(act_name: &str) -> pb::RedPacketTexts {
    pb::RedPacketTexts {
        act_name: act_name.to_owned(),
        ..crate::support::texts()
    }
}

/// Packets in many states, from all kinds of calls, then a server at rest.
pub(super) async fn scene(db: TestDb) -> Scene {
    // A day in a few seconds: what is contradicted late is so soon.
    let options = Options {
        dispatcher: false,
        time_scale: 20_000,
        ..Options::default()
    };
    let (app, account) = stage(db, options).await;
    let client = &app.client;
    let input = |(uid, nickname, mobile): &(&str, &str, &str)| pb::RecipientInput {
        nickname: (*nickname).to_owned(),
        mobile: (*mobile).to_owned(),
        ..person(&app, uid, &format!("oSearch-{uid}"))
    };
    upsert(client, NAMES.iter().map(input).collect())
        .await
        .unwrap();
    let plain = people("P", 0..12);
    client.make_people(SHOP, &app.appid(), &plain).await;
    let rules = [
        (
            "spring-50%",
            "50%_off",
            rule(pb::AmountType::Fixed, 100, 100),
        ),
        ("WINTER", "新年红包", rule(pb::AmountType::Random, 100, 500)),
        (
            "alice.x",
            "Fixed again",
            rule(pb::AmountType::Fixed, 300, 300),
        ),
    ];
    let mut campaigns = Vec::new();
    for (code, act_name, rule) in rules {
        let code: String = code.chars().filter(|c| *c != '%').collect();
        let campaign = pb::CreateCampaignRequest {
            texts: Some(texts(act_name)),
            scan_limit: 2,
            ..draft(client, account, &code, rule)
        };
        campaigns.push(client.make_campaign(campaign, 1_000_000).await);
    }
    let named: Vec<String> = NAMES.iter().map(|(uid, _, _)| (*uid).to_owned()).collect();
    let mut mixed = named[..6].to_vec();
    mixed.extend(plain.iter().map(|(uid, _)| uid.clone()));
    let groups = vec![
        make_group(client, "Alle 50%", &named).await,
        make_group(client, "gemischt", &mixed).await,
    ];
    for (n, campaign) in campaigns.iter().enumerate() {
        let request = pb::SendToUsersRequest {
            shop_id: SHOP,
            request_id: client.fresh(),
            campaign_id: *campaign,
            uids: [&named[n..n + 6], &["nobody".to_owned()]].concat(),
            source: [1, 2, 3][n],
            ..Default::default()
        };
        client.issuances().send_to_users(request).await.unwrap();
        let sent = send_to_groups(client, to_groups(client, *campaign, &groups))
            .await
            .unwrap();
        if n == 1 {
            cancel(client, sent.batches[1].batch_id).await;
        }
        for fault in ["OPENID_ERROR", "FAILED_LATER"] {
            let openid = format!("oSIM-{fault}-{n}");
            client.send(SHOP, *campaign, &openid).await.unwrap();
        }
    }
    let app = awake(app).await;
    let mut ended = false;
    for _ in 0..400 {
        let open = pb::IssuanceFilter {
            states: [S::Queued, S::Sending, S::Unknown, S::Sent]
                .map(i32::from)
                .to_vec(),
            ..Default::default()
        };
        if packets(&app.client, open).await.is_empty() {
            ended = true;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(ended, "the scene does not come to rest");
    let app = app
        .restart(|config| config.dispatcher.enabled = false)
        .await;
    let client = &app.client;
    for (n, campaign) in campaigns.iter().enumerate() {
        let (openid, appended) = (format!("oSearch-n{n}"), format!("oNewScan{n}"));
        for openid in [openid, appended] {
            scan_idle(client, *campaign, &openid).await.unwrap();
        }
        let request = pb::SendToGroupsRequest {
            source: [4, 5, 6][n],
            ..to_groups(client, *campaign, &groups[..1])
        };
        send_to_groups(client, request).await.unwrap();
        client.send(SHOP, *campaign, "oSearch-n2").await.unwrap();
    }
    Scene {
        app,
        campaigns,
        groups,
    }
}
