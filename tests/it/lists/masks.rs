//! No reply and no refusal names a person, but to those who may ask for it, and to
//! the caller who brought the openid along.

use hongbao::grpc::pb::{self, IssuanceState as S};

use super::{list, to_users};
use crate::support::{Client, SHOP, TestApp, TestDb, on_both};

on_both!(nobody_is_named, people_are_named_to_those_who_ask);

const OPENID: &str = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o";
const MASKED: &str = "oUpF…eS6o";
const MOBILE: &str = "13812345678";
const RISK_INFO: &str = "mobile%3D13812345678";

fn person(app: &TestApp, uid: &str) -> pb::RecipientInput {
    pb::RecipientInput {
        uid: uid.into(),
        nickname: "Ann".into(),
        mobile: MOBILE.into(),
        openids: vec![pb::OpenidInput {
            appid: app.appid(),
            openid: OPENID.into(),
        }],
        ..Default::default()
    }
}

/// What there is to be seen.
struct Scene {
    app: TestApp,
    campaign: i64,
    batch: i64,
    /// A single packet to the person, with `risk_info`.
    packet: pb::Issuance,
    /// A group packet of his, which strangers took from.
    shared: pb::Issuance,
    /// What was answered so far.
    said: Vec<String>,
}

macro_rules! say {
    ($said:expr, $call:expr) => {{
        let answer = $call.await.unwrap().into_inner();
        $said.push(format!("{answer:?}"));
        answer
    }};
}

async fn scene(db: TestDb) -> Scene {
    let app = TestApp::start(db).await;
    let campaign = crate::sending::ready(&app, 10_000).await;
    let client = &app.client;
    let mut said = Vec::new();
    let group = pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: "group".into(),
        wx_group_id: 7,
        name: "group".into(),
        ..Default::default()
    };
    say!(said, client.audience().upsert_group(group));
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "u".into(),
        recipients: vec![person(&app, "u1")],
        wx_group_ids: vec![7],
        ..Default::default()
    };
    say!(said, client.audience().upsert_recipients(upsert));
    let batch = to_users(&app, campaign, &["u1".to_owned()], 1).await;
    able(client).await;
    let direct = pb::CreateCampaignRequest {
        kind: pb::CampaignKind::Direct.into(),
        amount: Some(pb::AmountRule {
            r#type: pb::AmountType::CallerSet.into(),
            min_fen: 100,
            max_fen: 20_000,
            ..Default::default()
        }),
        ..client.draft(SHOP, 1, "direct")
    };
    client.make_campaign(direct, 10_000).await;
    let mut sent = Vec::new();
    for (kind, total_num, amount_fen) in [(1, 1, 100), (2, 3, 900)] {
        let send = pb::SendRedPacketRequest {
            amount_fen,
            kind,
            total_num,
            risk_info: RISK_INFO.into(),
            wait: true,
            ..client.send_request(SHOP, 0, OPENID)
        };
        let answer = client.issuances().send_red_packet(send).await.unwrap();
        let packet = answer.into_inner().issuance.unwrap();
        client
            .await_state(SHOP, packet.issuance_id, &[S::Received])
            .await;
        sent.push(packet);
    }
    let (shared, packet) = (sent.pop().unwrap(), sent.pop().unwrap());
    Scene {
        app,
        campaign,
        batch,
        packet,
        shared,
        said,
    }
}

async fn able(client: &Client) {
    let able = pb::UpdateProviderAccountRequest {
        request_id: "able".into(),
        account_id: 1,
        add_capabilities: vec![pb::ProviderCapability::Fission.into()],
        ..Default::default()
    };
    client.admin().update_provider_account(able).await.unwrap();
}

fn recipient(unmask: bool) -> pb::GetRecipientRequest {
    pb::GetRecipientRequest {
        shop_id: SHOP,
        r#ref: Some(pb::get_recipient_request::Ref::Uid("u1".into())),
        unmask,
    }
}

fn issuance(issuance_id: i64, unmask: bool) -> pb::GetIssuanceRequest {
    pb::GetIssuanceRequest {
        shop_id: SHOP,
        r#ref: Some(pb::get_issuance_request::Ref::IssuanceId(issuance_id)),
        unmask,
    }
}

fn status(issuance_id: i64, unmask: bool) -> pb::QueryProviderStatusRequest {
    pb::QueryProviderStatusRequest {
        shop_id: SHOP,
        r#ref: Some(pb::query_provider_status_request::Ref::IssuanceId(
            issuance_id,
        )),
        unmask,
    }
}

fn people(keyword: &str, unmask: bool) -> pb::ListRecipientsRequest {
    pb::ListRecipientsRequest {
        shop_id: SHOP,
        keyword: keyword.to_owned(),
        unmask,
        ..Default::default()
    }
}

async fn nobody_is_named(db: TestDb) {
    let Scene {
        app,
        campaign,
        batch,
        packet,
        shared,
        mut said,
    } = scene(db).await;
    let client = &app.client;
    // Who brought the openid sees it, and nothing else of the person.
    for own in [&packet, &shared] {
        assert_eq!(
            (own.openid.as_str(), own.obfuscated_openid.as_str()),
            (OPENID, MASKED)
        );
        let rest = pb::Issuance {
            openid: String::new(),
            ..own.clone()
        };
        said.push(format!("{rest:?}"));
    }
    let found = say!(said, client.audience().get_recipient(recipient(false)));
    let found = found.recipient.unwrap();
    assert_eq!(found.obfuscated_mobile, "138****5678");
    assert_eq!(found.openids[0].obfuscated_openid, MASKED);
    for keyword in ["", "ann", MOBILE, "5678"] {
        let found = say!(
            said,
            client.audience().list_recipients(people(keyword, false))
        );
        assert_eq!(found.recipients.len(), 1, "{keyword}");
    }
    for id in [packet.issuance_id, shared.issuance_id] {
        let found = say!(said, client.issuances().get_issuance(issuance(id, false)));
        assert_eq!(found.issuance.unwrap().obfuscated_openid, MASKED);
        let told = say!(
            said,
            client.issuances().query_provider_status(status(id, false))
        );
        let hblist = told.status.unwrap().hblist;
        assert!(hblist.iter().all(|one| !one.obfuscated_openid.is_empty()));
    }
    let filter = pb::IssuanceFilter {
        batch_id: batch,
        batch_keyword: MOBILE.into(),
        ..Default::default()
    };
    for filter in [pb::IssuanceFilter::default(), filter] {
        let found = say!(said, client.issuances().list_issuances(list(9, filter)));
        assert!(!found.issuances.is_empty());
    }
    let groups = pb::SendToGroupsRequest {
        shop_id: SHOP,
        request_id: "groups".into(),
        campaign_id: campaign,
        wx_group_ids: vec![7],
        source: 1,
        wait: true,
        ..Default::default()
    };
    let sent = say!(said, client.issuances().send_to_groups(groups));
    let cancel = pb::CancelBatchRequest {
        shop_id: SHOP,
        request_id: "cancel".into(),
        batch_id: sent.batches[0].batch_id,
        ..Default::default()
    };
    say!(said, client.issuances().cancel_batch(cancel));
    let refresh = pb::RefreshStatusRequest {
        shop_id: SHOP,
        issuance_ids: vec![packet.issuance_id, shared.issuance_id],
    };
    say!(said, client.issuances().refresh_status(refresh));
    let get = pb::GetBatchRequest {
        shop_id: SHOP,
        batch_id: batch,
    };
    say!(said, client.issuances().get_batch(get));
    let batches = pb::ListBatchesRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    say!(said, client.issuances().list_batches(batches));
    // Nor does a refusal name him.
    let thief = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "t".into(),
        recipients: vec![person(&app, "u2")],
        ..Default::default()
    };
    let refused = client.audience().upsert_recipients(thief).await;
    said.push(format!("{:?}", refused.unwrap_err()));
    let wrong = format!("{OPENID}={MOBILE}");
    let bad = pb::RecipientInput {
        openids: vec![pb::OpenidInput {
            appid: app.appid(),
            openid: wrong.clone(),
        }],
        mobile: format!("{MOBILE}0"),
        ..person(&app, "u3")
    };
    let import = pb::ImportRecipientsRequest {
        shop_id: SHOP,
        request_id: "import".into(),
        recipients: vec![person(&app, "u2"), bad],
        ..Default::default()
    };
    let stream = futures::stream::iter([import]);
    let imported = say!(said, client.audience().import_recipients(stream));
    assert_eq!(imported.refused_count, 2);
    let refused = client.send(SHOP, campaign, &wrong).await;
    said.push(format!("{:?}", refused.unwrap_err()));
    let scan = pb::ScanSendRequest {
        shop_id: SHOP,
        request_id: "scan".into(),
        campaign_id: campaign,
        openid: wrong,
        ..Default::default()
    };
    let refused = client.issuances().scan_send(scan).await;
    said.push(format!("{:?}", refused.unwrap_err()));

    let ask = issuance(shared.issuance_id, true);
    let shown = client.issuances().get_issuance(ask).await;
    let receipts = shown.unwrap().into_inner().receipts;
    let mut names: Vec<String> = receipts.into_iter().map(|one| one.openid).collect();
    assert_eq!(names.len(), 3);
    names.extend([OPENID, MOBILE].map(str::to_owned));
    for text in said {
        for name in &names {
            assert!(!text.contains(name.as_str()), "{name} in {text}");
        }
    }
    app.stop().await;
}

async fn people_are_named_to_those_who_ask(db: TestDb) {
    let scene = scene(db).await;
    let (client, packet) = (&scene.app.client, &scene.packet);
    let found = client.audience().get_recipient(recipient(true)).await;
    let found = found.unwrap().into_inner().recipient.unwrap();
    assert_eq!(
        (found.mobile.as_str(), found.openids[0].openid.as_str()),
        (MOBILE, OPENID)
    );
    let listed = client
        .audience()
        .list_recipients(people("5678", true))
        .await;
    assert_eq!(listed.unwrap().into_inner().recipients, [found]);

    let ask = issuance(packet.issuance_id, true);
    let found = client.issuances().get_issuance(ask).await;
    let found = found.unwrap().into_inner();
    let one = found.issuance.unwrap();
    let named = |one: &pb::Issuance| {
        [&one.openid, &one.mobile, &one.risk_info].map(String::as_str)
            == [OPENID, MOBILE, RISK_INFO]
    };
    assert!(named(&one), "{one:?}");
    assert_eq!(
        (one.nickname.as_str(), one.obfuscated_openid.as_str()),
        ("Ann", MASKED)
    );
    assert!(found.receipts.is_empty());
    let all = pb::ListIssuancesRequest {
        unmask: true,
        ..list(9, Default::default())
    };
    let all = client.issuances().list_issuances(all).await.unwrap();
    let all = all.into_inner().issuances;
    assert_eq!(all.iter().filter(|one| named(one)).count(), 2);

    let id = scene.shared.issuance_id;
    let found = client.issuances().get_issuance(issuance(id, true)).await;
    let receipts = found.unwrap().into_inner().receipts;
    let told = client
        .issuances()
        .query_provider_status(status(id, true))
        .await;
    let hblist = told.unwrap().into_inner().status.unwrap().hblist;
    let ours: Vec<_> = receipts
        .iter()
        .map(|one| (&one.openid, &one.obfuscated_openid, one.amount_fen))
        .collect();
    let theirs: Vec<_> = hblist
        .iter()
        .map(|one| (&one.openid, &one.obfuscated_openid, one.amount_fen))
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(ours.iter().map(|one| one.2).sum::<i64>(), 900);
    assert!(
        receipts
            .iter()
            .all(|one| one.pid == id && !one.openid.is_empty())
    );
    scene.app.assert_sound().await;
    scene.app.stop().await;
}

/// A scan gives the person's first packet back, which may have gone to an openid that
/// he had then; the caller has not brought that one.
#[test]
fn a_scan_shows_no_other_openid_of_the_person() {
    crate::support::block_on(async {
        let app = TestApp::start(TestDb::sqlite()).await;
        let campaign = crate::sending::ready(&app, 10_000).await;
        let client = &app.client;
        let scan = async |openid: &str| {
            let scan = pb::ScanSendRequest {
                shop_id: SHOP,
                request_id: client.fresh(),
                campaign_id: campaign,
                openid: openid.into(),
                ..Default::default()
            };
            client
                .issuances()
                .scan_send(scan)
                .await
                .unwrap()
                .into_inner()
        };
        scan(OPENID).await;
        for openid in [OPENID, "oNow"] {
            let people = [("u1".to_owned(), openid.to_owned())];
            client.make_people(SHOP, &app.appid(), &people).await;
        }
        let again = scan("oNow").await;
        assert!(again.replayed);
        assert_eq!(again.issuance.unwrap().openid, "");
        app.stop().await;
    });
}
