//! Our codec against the platform, through the door that the dispatcher has: what one side signs
//! the other takes, and what one says the other reads.

use std::time::Duration;

use hongbao::clock;
use hongbao::domain::open_platform::{BizCode, PriceRule};
use hongbao::domain::outcome::{Cause, ProviderState, QueryOutcome, RejectionKind, SendOutcome};
use hongbao::domain::packet::Kind;
use hongbao::domain::text::{Appid, Code, MchBillno, MchId, Openid, Texts};
use hongbao::domain::{Fen, Timestamp};
use hongbao::provider::open_platform::{
    CallbackHead, CallbackKey, OpenPlatformCodec, OpenPlatformCredential, Secret, Signer,
};
use hongbao::provider::{Payment, Provider, Timeouts};
use hongbao::signing::private::PrivateKey;
use hongbao::signing::rsa::PublicKey;
use hongbao::simulator::{OpenConfig, OpenTime};

use super::client::{PRIVATE, PUBLIC, Platform, open, open_with_key};
use super::receiver::Receiver;

fn real(open: OpenConfig) -> OpenConfig {
    OpenConfig {
        timestamps: OpenTime::Real,
        appids: vec!["wx8888888888888888".to_owned()],
        ..open
    }
}

fn credential(platform: &Platform, by_rsa: bool, template: &str) -> OpenPlatformCredential {
    let config = platform.simulator.open().unwrap();
    let secret = Secret::parse(&config.secret).unwrap();
    OpenPlatformCredential {
        name: "interop".to_owned(),
        base_url: format!("http://{}", platform.simulator.addr),
        merchant_id: MchId::of_app(&config.merchant_id).unwrap(),
        business_id: Code::parse(&config.business_id).unwrap(),
        template_id: Code::parse(template).unwrap(),
        signer: match by_rsa {
            true => Signer::Sha256Rsa(Box::new(PrivateKey::from_pem(PRIVATE).unwrap())),
            false => Signer::Md5(secret.clone()),
        },
        callback_key: Some(match by_rsa {
            true => CallbackKey::Sha256Rsa(PublicKey::from_pem(PUBLIC).unwrap()),
            false => CallbackKey::Md5(secret),
        }),
        callback_url: None,
        price_rule: PriceRule::new(9_000, 11_000).unwrap(),
        client_identity: None,
        ca_pem: None,
    }
}

fn payment(credential: &OpenPlatformCredential, number: u32, fen: i64) -> Payment {
    let text = || "x".to_owned();
    Payment {
        mch_id: credential.merchant_id.clone(),
        appid: Appid::parse("wx8888888888888888").unwrap(),
        mch_billno: MchBillno::parse(&format!("HB{number:026}")).unwrap(),
        openid: Openid::parse(&format!("o{number}")).unwrap(),
        amount: Fen(fen),
        kind: Kind::Normal,
        total_num: 1,
        risk_info: None,
        texts: Texts {
            send_name: text(),
            act_name: text(),
            wishing: text(),
            remark: text(),
            scene_id: None,
        },
        client_ip: "127.0.0.1".to_owned(),
        template_id: None,
        mobile: None,
    }
}

async fn until_sent(provider: &Provider, payment: &Payment) {
    let asked = async {
        loop {
            let outcome = provider.query(payment).await.outcome;
            let QueryOutcome::Known(report) = outcome else {
                panic!("{outcome:?}");
            };
            if report.state == ProviderState::Sent {
                return;
            }
            assert_eq!(report.state, ProviderState::Sending);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_order_of_ours_is_taken_and_told() {
    for by_rsa in [false, true] {
        let platform = Platform::start(real(open()), 100).await;
        let credential = credential(&platform, by_rsa, "1001");
        let provider = Provider::open_platform(&credential, Timeouts::default()).unwrap();
        let paid = payment(&credential, 1, 1_050);
        assert_eq!(
            provider.query(&paid).await.outcome,
            QueryOutcome::NotFound,
            "nothing was ordered yet"
        );
        let sent = provider.send(&paid).await.outcome;
        let SendOutcome::Taken { cost, .. } = sent else {
            panic!("{sent:?}");
        };
        assert_eq!(cost, Some(Fen(1_050)));
        until_sent(&provider, &paid).await;
        let again = provider.send(&paid).await.outcome;
        let duplicate = SendOutcome::Unknown(Cause::ProviderUnsure("STATUS_8".to_owned()));
        assert_eq!(again, duplicate, "only a question tells");
        let other = Payment {
            amount: Fen(1_051),
            ..paid
        };
        let mismatch = QueryOutcome::Mismatch { field: "spec" };
        assert_eq!(provider.query(&other).await.outcome, mismatch);
        assert_eq!(platform.simulator.books().open_orders()[0].face_fen, 1_050);
    }
}

#[tokio::test]
async fn a_wrong_key_or_template_is_told_apart() {
    let platform = Platform::start(real(open()), 1).await;
    let good = credential(&platform, false, "1001");
    for (credential, kind) in [
        (
            OpenPlatformCredential {
                signer: Signer::Md5(Secret::parse("another_secret").unwrap()),
                ..good.clone()
            },
            RejectionKind::Configuration,
        ),
        (
            OpenPlatformCredential {
                template_id: Code::parse("no-such").unwrap(),
                ..good.clone()
            },
            RejectionKind::Refused,
        ),
    ] {
        let provider = Provider::open_platform(&credential, Timeouts::default()).unwrap();
        let SendOutcome::Rejected(rejection) =
            provider.send(&payment(&credential, 1, 100)).await.outcome
        else {
            panic!("{kind:?}: not rejected")
        };
        assert_eq!(rejection.kind, kind);
    }
}

/// Template 1002 costs 98.5 %: of 1.01 yuan that is 0.99485, which is no whole fen.
#[tokio::test]
async fn a_price_between_two_fen_counts_as_the_next() {
    let platform = Platform::start(real(open()), 100).await;
    let credential = credential(&platform, false, "1002");
    let provider = Provider::open_platform(&credential, Timeouts::default()).unwrap();
    for (number, fen, price) in [(1, 10_000, 9_850), (2, 101, 100)] {
        let paid = payment(&credential, number, fen);
        let sent = provider.send(&paid).await.outcome;
        let SendOutcome::Taken { cost, .. } = sent else {
            panic!("{sent:?}");
        };
        assert_eq!(cost, Some(Fen(price)));
        until_sent(&provider, &paid).await;
    }
    // A contract that knows nothing of the discount.
    let strict = OpenPlatformCredential {
        price_rule: PriceRule::FACE,
        ..credential.clone()
    };
    let strict = Provider::open_platform(&strict, Timeouts::default()).unwrap();
    let field = "settlementPrice";
    let dear = payment(&credential, 3, 10_000);
    let sent = strict.send(&dear).await.outcome;
    assert_eq!(sent, SendOutcome::Mismatch { field });
    let told = strict.query(&dear).await.outcome;
    assert_eq!(told, QueryOutcome::Mismatch { field });
}

#[tokio::test]
async fn a_callback_of_the_platform_is_believed() {
    for by_rsa in [false, true] {
        let receiver = Receiver::answering(&[(200, "SUCCESS")]).await;
        let signing = if by_rsa { open_with_key() } else { open() };
        let config = OpenConfig {
            callback_url: Some(format!("{}/told", receiver.url)),
            ..real(signing)
        };
        let platform = Platform::start(config, 1_000).await;
        let credential = credential(&platform, by_rsa, "1001");
        let provider = Provider::open_platform(&credential, Timeouts::default()).unwrap();
        let paid = payment(&credential, 1, 100);
        provider.send(&paid).await;
        let got = receiver.wait_for(1).await.remove(0);
        let (business_id, nonce, timestamp, sign) = (
            got.header("businessId"),
            got.header("nonce"),
            got.header("timestamp"),
            got.header("sign"),
        );
        let head = CallbackHead {
            business_id: Some(business_id),
            nonce: Some(nonce),
            timestamp: Some(timestamp),
            sign: Some(sign),
            sign_type: None,
        };
        let codec = OpenPlatformCodec::new(&credential);
        let now = clock::wall();
        let read = codec
            .read_callback(&head, got.body.as_bytes(), now)
            .unwrap();
        assert_eq!(read.biz_code, BizCode::from(&paid.mch_billno));
        assert_eq!(read.state, Some(ProviderState::Sent));
        let later = Timestamp(now.0 + 3_600_000_000);
        assert!(
            codec
                .read_callback(&head, got.body.as_bytes(), later)
                .is_err()
        );
    }
}
