//! The pages for operators' machines, after a send and without a database.

use std::time::Duration;

use hongbao::grpc::pb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::sending::ready;
use crate::support::{SHOP, TestApp, TestDb, on_both, reason};

on_both!(
    metrics_speak_of_calls_queue_and_money,
    a_database_that_is_away_is_said_so
);

/// A page of the second listener, with the head of the answer.
pub async fn page(addr: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let ask = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

async fn metrics_speak_of_calls_queue_and_money(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 1_000).await;
    let sent = app.client.send(SHOP, campaign, "oOne").await.unwrap();
    let taken = [pb::IssuanceState::Received];
    app.client.await_state(SHOP, sent.issuance_id, &taken).await;
    let wanted = [
        r#"rpc_method="hongbao.v1.IssuanceService/SendRedPacket""#,
        r#"hongbao_issuance_transitions_total{from="SENDING",to="SENT"} 1"#,
        r#"hongbao_issuance_amount_fen_total{state="SENT"} 100"#,
        r#"hongbao_issuance_amount_fen_total{state="RECEIVED"} 100"#,
        r#"hongbao_queue_depth{job="SEND"} 0"#,
        "hongbao_review_depth 0",
        "hongbao_provider_exchange_duration_seconds_count",
    ];
    let mut text = String::new();
    let mut absent = Vec::new();
    for _ in 0..60 {
        text = page(app.running.admin_addr, "/metrics").await;
        absent = wanted
            .iter()
            .filter(|line| !text.contains(**line))
            .collect();
        if absent.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(absent.is_empty(), "{absent:?} is absent from\n{text}");
    assert!(!text.contains("oOne"), "a person is named");
    for (path, good) in [
        ("/livez", "200 OK"),
        ("/readyz", "200 OK"),
        ("/version", "hongbao"),
        ("/else", "404"),
    ] {
        let text = page(app.running.admin_addr, path).await;
        assert!(text.contains(good), "{path}: {text}");
    }
    app.stop().await;
}

/// #46: a caller may repeat, and traffic goes elsewhere.
async fn a_database_that_is_away_is_said_so(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 1_000).await;
    app.store().close().await;
    let send = app.client.send(SHOP, campaign, "oOne").await.unwrap_err();
    let get = pb::GetCampaignRequest {
        shop_id: SHOP,
        campaign_id: campaign,
    };
    let get = app.client.campaigns().get_campaign(get).await.unwrap_err();
    for status in [send, get] {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert_eq!(reason(&status), "DATABASE_UNAVAILABLE");
        assert!(status.get_error_details().retry_info().is_some());
    }
    let ready = page(app.running.admin_addr, "/readyz").await;
    assert!(ready.contains("503"), "{ready}");
    let live = page(app.running.admin_addr, "/livez").await;
    assert!(live.contains("200 OK"), "{live}");
    app.stop().await;
}
