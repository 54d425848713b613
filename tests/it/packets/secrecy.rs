//! Neither the database nor the log of a real server names a person or tells a
//! secret, whatever it was asked to do.

use hongbao::grpc::pb::{self, IssuanceState as S};

use super::{draft, of_batch, recipient, resend, rule, scan, send_to_groups, to_groups, upsert};
use crate::chaos::process::{Provider, Server};
use crate::chaos::rng::Rng;
use crate::support::{Client, SHOP, TestDb, on_both, reason};

on_both!(nobody_and_no_secret_is_on_disk);

const RISK_INFO: &str = "posttime%3d1231234%26mobile%3d13955554444%26deviceid%3dIMEI778899";
const MOBILES: [&str; 3] = ["13812345671", "13812345672", "13955554444"];
const OPENIDS: [&str; 6] = [
    "oSecretGroupOne",
    "oSecretGroupTwo",
    "oSecretScan",
    "oSecretSingle",
    "oSIM-OPENID_ERROR-secret",
    "oSecretThief",
];

fn to_import(group: i64, recipients: Vec<pb::RecipientInput>) -> pb::ImportRecipientsRequest {
    pb::ImportRecipientsRequest {
        shop_id: SHOP,
        request_id: "import".into(),
        recipients,
        wx_group_ids: vec![group],
    }
}

/// Everything that touches a person, once.
async fn run(client: &Client, provider: &Provider) {
    client.make_shop(SHOP).await;
    let account = client
        .make_account(&provider.mch_id, &provider.appid, &[SHOP])
        .await;
    let known = |uid: &str, openid: &str, mobile: &str| pb::RecipientInput {
        uid: uid.to_owned(),
        nickname: "Nickname in the clear".into(),
        mobile: mobile.to_owned(),
        openids: vec![pb::OpenidInput {
            appid: provider.appid.clone(),
            openid: openid.to_owned(),
        }],
        ..Default::default()
    };
    let group = super::make_group(client, "g", &[]).await;
    let rows = vec![
        known("uid-one", OPENIDS[0], MOBILES[0]),
        known("uid-two", OPENIDS[1], MOBILES[1]),
        known("uid-bad", "an openid with blanks", "139 1234"),
    ];
    let stream = futures::stream::iter([to_import(group, rows)]);
    let done = client
        .audience()
        .import_recipients(stream)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((done.created_count, done.refused_count), (2, 1));
    assert_eq!(recipient(client, "uid-one").await.mobile, MOBILES[0]);
    // Whoever wants what is another's is told no.
    let thief = upsert(client, vec![known("uid-thief", OPENIDS[0], MOBILES[1])]).await;
    assert_eq!(reason(&thief.unwrap_err()), "BELONGS_TO_ANOTHER");

    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 10_000)
        .await;
    let request = pb::SendToGroupsRequest {
        wait: true,
        ..to_groups(client, campaign, &[group])
    };
    let sent = send_to_groups(client, request).await.unwrap();
    let batch_id = sent.batches[0].batch_id;
    let rows = of_batch(client, batch_id).await;
    assert_eq!(rows.len(), 2);
    let search = pb::IssuanceFilter {
        batch_id,
        batch_keyword: MOBILES[0].into(),
        ..Default::default()
    };
    assert_eq!(super::packets(client, search).await.len(), 1);
    scan(client, campaign, OPENIDS[2]).await.unwrap();
    let refused = client.send(SHOP, campaign, OPENIDS[4]).await.unwrap();
    client
        .await_state(SHOP, refused.issuance_id, &[S::Failed])
        .await;
    resend(client, refused.issuance_id).await.unwrap();
    let wrong = client
        .send(SHOP, campaign, &format!("{}={}", OPENIDS[5], MOBILES[2]))
        .await;
    wrong.unwrap_err();

    let direct = pb::CreateCampaignRequest {
        kind: pb::CampaignKind::Direct.into(),
        ..draft(
            client,
            account,
            "direct",
            rule(pb::AmountType::CallerSet, 100, 500),
        )
    };
    client.make_campaign(direct, 10_000).await;
    let request = pb::SendRedPacketRequest {
        amount_fen: 200,
        risk_info: RISK_INFO.into(),
        wait: true,
        ..client.send_request(SHOP, 0, OPENIDS[3])
    };
    let sent = client
        .issuances()
        .send_red_packet(request)
        .await
        .unwrap()
        .into_inner();
    let id = sent.issuance.unwrap().issuance_id;
    let ask = pb::QueryProviderStatusRequest {
        shop_id: SHOP,
        r#ref: Some(pb::query_provider_status_request::Ref::IssuanceId(id)),
        unmask: true,
    };
    client.issuances().query_provider_status(ask).await.unwrap();
    let refresh = pb::RefreshStatusRequest {
        shop_id: SHOP,
        issuance_ids: vec![id],
    };
    client.issuances().refresh_status(refresh).await.unwrap();
    assert_eq!(
        super::unmasked(client, id)
            .await
            .issuance
            .unwrap()
            .risk_info,
        RISK_INFO
    );
    // It is all there, for whoever may read it.
    assert!(
        super::exchanges(client, id).await[0]
            .request
            .contains(RISK_INFO)
    );
    // One of five is not taken, by the simulator's die.
    client
        .await_state(SHOP, id, &[S::Received, S::Refunded])
        .await;
}

/// The values of quoted settings of a file, of those that are secrets.
fn secrets_of(file: &std::path::Path, all: bool) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .filter(|line| all || line.starts_with("api_key"));
    let values = lines.filter_map(|line| line.split_once('"')?.1.split_once('"'));
    let found: Vec<String> = values.map(|(value, _)| value.to_owned()).collect();
    assert!(
        found.iter().any(|value| value.len() >= 32),
        "{file:?} has no secrets"
    );
    found
        .into_iter()
        .filter(|value| value.len() >= 16)
        .collect()
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

fn hex(word: &str) -> Vec<u8> {
    word.bytes()
        .flat_map(|byte| format!("{byte:02x}").into_bytes())
        .collect()
}

async fn nobody_and_no_secret_is_on_disk(db: TestDb) {
    let folder = db.folder.path().to_owned();
    let keys = folder.join("keys.toml");
    hongbao::app::write_key_file(&keys).unwrap();
    let provider = Provider::start(&folder, 1, false);
    let mut rng = Rng::new(u64::from(std::process::id()) + u64::from(db.is_postgres()));
    let mut server = Server::new(&folder, "talkative", &db.url, &provider, &mut rng);
    let key = server.create_app();
    server.start_with(&[("HONGBAO__TELEMETRY__LOG_FILTER", "debug")]);
    server.ready().await;
    let client = Client::connect(server.addr, &key).await;
    run(&client, &provider).await;
    let stored = db.bytes();
    server.kill();
    let log = std::fs::read(folder.join("talkative.log")).unwrap();

    // What may be read shows that the right things are looked at.
    for word in ["uid-one", "Nickname in the clear", "OPENID_ERROR"] {
        assert!(
            holds(&stored, word.as_bytes()),
            "{word} is not in the database"
        );
    }
    assert!(
        holds(&log, b"DEBUG") && holds(&log, b"SendToGroups"),
        "the log says nothing"
    );

    let mut secrets = secrets_of(&keys, true);
    secrets.extend(secrets_of(&folder.join("talkative.toml"), false));
    let (_, secret) = key.rsplit_once('_').unwrap();
    secrets.extend([
        key.clone(),
        secret.to_owned(),
        RISK_INFO.to_owned(),
        "IMEI778899".to_owned(),
    ]);
    secrets.extend(
        MOBILES
            .iter()
            .chain(&OPENIDS)
            .map(|word| (*word).to_owned()),
    );
    for word in secrets {
        let hidden = &word[word.len() - 6..];
        assert!(
            !holds(&stored, word.as_bytes()),
            "…{hidden} is in the database"
        );
        assert!(
            !holds(&stored, &hex(&word)),
            "…{hidden} is in the database, in hexadecimal"
        );
        if let Some(line) = log
            .split(|b| *b == b'\n')
            .find(|line| holds(line, word.as_bytes()))
        {
            panic!("…{hidden} is in the log: {}", String::from_utf8_lossy(line));
        }
    }
}
