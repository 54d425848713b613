//! What the platform reports by itself, as it arrives at the listener.

use hongbao::grpc::pb::{self, IssuanceState as S, ProviderCallbackEffect as Effect};
use hongbao::simulator::OpenFaults;
use md5::{Digest as _, Md5};

use super::{campaign, millis, platform, start};
use crate::support::{Options, SHOP, TestApp, TestDb, on_both};

on_both!(
    a_report_is_believed_if_it_is_signed_and_fresh,
    a_report_is_kept_once_and_a_stranger_apart,
    a_report_of_money_that_is_closed_here_freezes_the_packet,
    a_report_has_the_platform_asked,
);

/// How a post differs from a right one.
#[derive(Default)]
struct Twist {
    age_ms: i64,
    secret: Option<&'static str>,
    /// Sent once more, with another value.
    repeat: Option<&'static str>,
    to: Option<&'static str>,
}

struct Platform<'a> {
    app: &'a TestApp,
    http: reqwest::Client,
}

impl<'a> Platform<'a> {
    fn of(app: &'a TestApp) -> Self {
        Self {
            app,
            http: reqwest::Client::builder().build().unwrap(),
        }
    }

    /// Posts a report as the documents have it; status and body of the answer.
    async fn says(&self, body: &str, twist: Twist) -> (u16, String) {
        let open = self.app.simulator.open().unwrap();
        let (nonce, timestamp) = ("n-1", (millis() - twist.age_ms).to_string());
        let business = &open.business_id;
        let secret = twist.secret.unwrap_or(&open.secret);
        let text =
            format!("businessId={business}&nonce={nonce}&timestamp={timestamp}{body}{secret}");
        let sign: String = Md5::digest(text)
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let address = self.app.running.admin_addr;
        let to = twist.to.unwrap_or("open");
        let mut post = self
            .http
            .post(format!("http://{address}/callbacks/open_platform/{to}"))
            .header("businessId", business)
            .header("nonce", nonce)
            .header("timestamp", timestamp)
            .header("sign", sign)
            .body(body.to_owned());
        if let Some(name) = twist.repeat {
            post = post.header(name, "another");
        }
        let answer = post.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn report(biz_code: &str, status: u8) -> String {
    format!(r#"{{"orderCode":"20210812","bizCode":"{biz_code}","status":{status}}}"#)
}

async fn reports(app: &TestApp, quarantined_only: bool) -> Vec<pb::ProviderCallback> {
    let list = pb::ListProviderCallbacksRequest {
        credential: "open".into(),
        quarantined_only,
        ..Default::default()
    };
    let found = app.client.admin().list_provider_callbacks(list).await;
    found.unwrap().into_inner().callbacks
}

async fn a_report_is_believed_if_it_is_signed_and_fresh(db: TestDb) {
    let app = start(db, platform(OpenFaults::default())).await;
    let platform = Platform::of(&app);
    let body = report("HB00000000000000000000000001", 2);
    let stale = Twist {
        age_ms: 301_000,
        ..Twist::default()
    };
    let early = Twist {
        age_ms: -301_000,
        ..Twist::default()
    };
    let forged = Twist {
        secret: Some("another-secret"),
        ..Twist::default()
    };
    let doubled = Twist {
        repeat: Some("sign"),
        ..Twist::default()
    };
    let lost = Twist {
        to: Some("map"),
        ..Twist::default()
    };
    for (twist, status, said) in [
        (stale, 401, "TIMESTAMP_SKEW"),
        (early, 401, "TIMESTAMP_SKEW"),
        (forged, 401, "BAD_SIGNATURE"),
        (doubled, 401, "UNSOUND\n"),
        (lost, 404, "no such platform\n"),
    ] {
        let answer = platform.says(&body, twist).await;
        assert_eq!(answer, (status, said.to_owned()));
    }
    let large = format!(r#"{{"orderCode":"1","bizCode":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(platform.says(&large, Twist::default()).await.0, 413);
    let nothing = platform.says(r#"{"hello":1}"#, Twist::default()).await;
    assert_eq!(nothing, (400, "UNPARSABLE".to_owned()));
    assert!(reports(&app, false).await.is_empty(), "nothing is kept");
    let page = crate::surface::page(app.running.admin_addr, "/metrics").await;
    for (outcome, count) in [
        ("timestamp_skew", 2),
        ("bad_signature", 1),
        ("no_such_credential", 1),
        ("unparsable", 1),
    ] {
        let line = format!("hongbao_provider_callbacks_total{{outcome=\"{outcome}\"}} {count}");
        assert!(page.contains(&line), "{line}: {page}");
    }
    app.stop().await;
}

async fn a_report_is_kept_once_and_a_stranger_apart(db: TestDb) {
    let app = start(db, platform(OpenFaults::default())).await;
    let campaign = campaign(&app, "").await;
    let platform = Platform::of(&app);
    let packet = app.client.send(SHOP, campaign, "oAlice").await.unwrap();
    let sent = app
        .client
        .await_state(SHOP, packet.issuance_id, &[S::Sent])
        .await;
    let version = app.client.get(SHOP, packet.issuance_id).await.history.len();
    // Once more and again, as for two days when nobody answers.
    let known = report(&sent.mch_billno, 2);
    let stranger = report("HB00000000000000000000000009", 2);
    for _ in 0..5 {
        for body in [&known, &stranger] {
            let answer = platform.says(body, Twist::default()).await;
            assert_eq!(answer, (200, "SUCCESS".to_owned()));
        }
    }
    // What it was before, told late.
    let before = report(&sent.mch_billno, 1);
    assert_eq!(platform.says(&before, Twist::default()).await.0, 200);
    let kept = reports(&app, false).await;
    let of = |number: &str, said: &str| {
        let mut found = kept
            .iter()
            .filter(|kept| kept.biz_code == number && kept.said == said);
        let one = found.next().unwrap_or_else(|| panic!("{number} {said}"));
        assert!(one.order_code != "20210812" || found.next().is_none());
        one
    };
    // The platform's own report of it counts for itself: it has its own order number.
    let ours: Vec<_> = kept
        .iter()
        .filter(|kept| kept.biz_code == sent.mch_billno && kept.order_code == "20210812")
        .map(|kept| (&*kept.said, kept.effect(), kept.come_count))
        .collect();
    assert_eq!(
        ours,
        [("SENDING", Effect::Known, 1), ("SENT", Effect::Known, 5)]
    );
    assert_eq!(
        of("HB00000000000000000000000009", "SENT").effect(),
        Effect::Quarantined
    );
    let apart = reports(&app, true).await;
    assert_eq!((apart.len(), apart[0].come_count), (1, 5));
    let after = app.client.get(SHOP, packet.issuance_id).await;
    assert_eq!(after.history.len(), version, "nothing moved");
    app.assert_sound().await;
    app.stop().await;
}

async fn a_report_of_money_that_is_closed_here_freezes_the_packet(db: TestDb) {
    let app = start(db, platform(OpenFaults::default())).await;
    let campaign = campaign(&app, "").await;
    let platform = Platform::of(&app);
    let packet = app
        .client
        .send(SHOP, campaign, "oSIM-BAD_PARAMETER-1")
        .await;
    let failed = app
        .client
        .await_state(SHOP, packet.unwrap().issuance_id, &[S::Failed])
        .await;
    let paid = report(&failed.mch_billno, 2);
    let answer = platform.says(&paid, Twist::default()).await;
    assert_eq!(answer, (200, "SUCCESS".to_owned()));
    let after = app.client.get(SHOP, failed.issuance_id).await;
    let last = after.history.last().unwrap();
    assert_eq!(last.kind, "CONTRADICTION");
    let after = after.issuance.unwrap();
    assert!(after.frozen && after.state() == S::Failed);
    let resend = pb::ResendRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        issuance_id: failed.issuance_id,
        ..Default::default()
    };
    let refused = app.client.issuances().resend(resend).await.unwrap_err();
    assert_eq!(crate::support::reason(&refused), "ISSUANCE_FROZEN");
    let kept = reports(&app, false).await;
    assert_eq!(kept[0].effect(), Effect::Contradiction);
    app.assert_sound().await;
    app.stop().await;
}

/// In real time: the first question by itself comes no sooner than four seconds after the order
/// was taken.
async fn a_report_has_the_platform_asked(db: TestDb) {
    let options = Options {
        time_scale: 1,
        open: Some(Box::new(platform(OpenFaults::default()))),
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaign = campaign(&app, "").await;
    let platform = Platform::of(&app);
    let packet = app.client.send(SHOP, campaign, "oSIM-SLOW_PROCESSING-1");
    let packet = packet.await.unwrap();
    let attempt = async || {
        let seen = app.client.get(SHOP, packet.issuance_id).await;
        seen.attempts.into_iter().next()
    };
    let until = async |is: fn(&pb::Attempt) -> bool| {
        for _ in 0..500 {
            if let Some(attempt) = attempt().await.filter(is) {
                return attempt;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("never: {:?}", attempt().await);
    };
    let taken = until(|attempt| attempt.take_time.is_some()).await;
    assert_eq!((taken.state(), taken.query_count), (S::Sending, 0));
    let body = report(&taken.mch_billno, 2);
    let answer = platform.says(&body, Twist::default()).await;
    assert_eq!(answer, (200, "SUCCESS".to_owned()));
    assert_eq!(reports(&app, false).await[0].effect(), Effect::Asked);
    // The platform says that it still works on it: that counts, and not what was reported.
    let asked = until(|attempt| attempt.query_count == 1).await;
    assert_eq!(asked.state(), S::Sending);
    let mut told = Vec::new();
    while told.len() < 2 {
        told = super::words(&app, packet.issuance_id).await;
    }
    assert_eq!(told[1].call, "order/info");
    let millis =
        |time: &prost_types::Timestamp| time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000;
    let when = told[1].create_time.as_ref().map(millis);
    let taken = taken.take_time.as_ref().map(millis);
    let after = when.zip(taken).map(|(when, taken)| when - taken).unwrap();
    assert!(
        after < 4_000,
        "asked after {after} ms, as if there had been no report"
    );
    app.assert_sound().await;
    app.stop().await;
}
