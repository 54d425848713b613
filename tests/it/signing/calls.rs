//! Calls that are signed in their metadata.

use hongbao::app;
use hongbao::grpc::pb::{self, SigningRequired as R, SigningScheme as S};
use hongbao::signing::call::{STREAM, body_digest, canonical, hmac_sign};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

use super::{APP_KEY, Ground, nonce, private, seconds};
use crate::support::{Client, SHOP, TestDb, block_on, fact, on_both, reason};

on_both!(
    a_signed_call_passes_and_no_other,
    a_private_key_signs_as_well,
    who_signs_nothing_is_left_alone,
    a_nonce_is_one_calls,
    an_app_may_make_itself_sign,
);

const LIST: &str = "/hongbao.v1.AdminService/ListShops";

/// How a call is signed.
#[derive(Clone)]
struct Ink {
    path: &'static str,
    key: &'static str,
    timestamp: String,
    nonce: String,
}

impl Ink {
    fn new(path: &'static str) -> Self {
        Self {
            path,
            key: APP_KEY,
            timestamp: seconds(0).to_string(),
            nonce: nonce(),
        }
    }

    fn text(&self, digest: &str) -> String {
        canonical(self.path, &self.timestamp, &self.nonce, digest)
    }

    fn put(&self, signature: &[u8], metadata: &mut MetadataMap) {
        let signature = base64(signature);
        for (name, value) in [
            ("x-hongbao-timestamp", &self.timestamp),
            ("x-hongbao-nonce", &self.nonce),
            ("x-hongbao-signature", &signature),
        ] {
            metadata.insert(name, value.parse().unwrap());
        }
    }

    /// The call with its signature.
    fn sign<M: Message>(&self, message: M) -> Request<M> {
        let text = self.text(&body_digest(&message.encode_to_vec()));
        let mut request = Request::new(message);
        self.put(&hmac_sign(self.key, &text), request.metadata_mut());
        request
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn shops(page_size: i32) -> pb::ListShopsRequest {
    pb::ListShopsRequest {
        page_size,
        ..Default::default()
    }
}

async fn list(client: &Client, request: Request<pb::ListShopsRequest>) -> Result<(), Status> {
    client.admin().list_shops(request).await.map(drop)
}

/// All that a caller learns from a refusal.
fn seen(status: &Status) -> String {
    format!(
        "{:?} {} {:?}",
        status.code(),
        status.message(),
        status.details()
    )
}

async fn a_signed_call_passes_and_no_other(db: TestDb) {
    let ground = Ground::make(db).await;
    let setting = ground.setting(&[S::HmacSha256], R::Everything);
    ground.set(setting).await.unwrap();
    let client = &ground.client;
    let good = || Ink::new(LIST);
    list(client, good().sign(shops(5))).await.unwrap();

    let mut wrong = vec![Request::new(shops(5))];
    let ink = Ink {
        key: "secretAppKey-0123456780",
        ..good()
    };
    wrong.push(ink.sign(shops(5)));
    let ink = Ink {
        path: "/hongbao.v1.AdminService/ListApps",
        ..good()
    };
    wrong.push(ink.sign(shops(5)));
    let ink = Ink {
        nonce: "short-nonce".into(),
        ..good()
    };
    wrong.push(ink.sign(shops(5)));
    let ink = Ink {
        nonce: "has:colons:0123456789".into(),
        ..good()
    };
    wrong.push(ink.sign(shops(5)));
    let (signed, mut other) = (good().sign(shops(5)), Request::new(shops(6)));
    *other.metadata_mut() = signed.metadata().clone();
    wrong.push(other);
    for name in [
        "x-hongbao-timestamp",
        "x-hongbao-nonce",
        "x-hongbao-signature",
    ] {
        let mut request = good().sign(shops(5));
        request.metadata_mut().remove(name);
        wrong.push(request);
        let mut request = good().sign(shops(5));
        let again = request.metadata().get(name).unwrap().clone();
        request.metadata_mut().append(name, again);
        wrong.push(request);
    }
    for signature in [vec![], vec![0; 32], vec![0; 256], vec![0; 31]] {
        let mut request = Request::new(shops(5));
        good().put(&signature, request.metadata_mut());
        wrong.push(request);
    }
    let mut request = good().sign(shops(5));
    let text = "not*base64".parse().unwrap();
    request.metadata_mut().insert("x-hongbao-signature", text);
    wrong.push(request);
    let mut answers = Vec::new();
    for request in wrong {
        let status = list(client, request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(reason(&status), "SIGNATURE_INVALID");
        answers.push(seen(&status));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");

    let now = seconds(0);
    for timestamp in [
        (now - 310).to_string(),
        (now + 310).to_string(),
        (now * 1_000).to_string(),
        "0".to_owned(),
        format!("-{now}"),
        "99991231235959".to_owned(),
        String::new(),
    ] {
        let ink = Ink {
            timestamp: timestamp.clone(),
            ..good()
        };
        let status = list(client, ink.sign(shops(5))).await.unwrap_err();
        assert_eq!(reason(&status), "TIMESTAMP_SKEW", "{timestamp}");
        let told: i64 = fact(&status, "server_time").parse().unwrap();
        assert!((now..now + 60).contains(&told));
    }
    for later in [-290, 290] {
        let ink = Ink {
            timestamp: seconds(later).to_string(),
            ..good()
        };
        list(client, ink.sign(shops(5))).await.unwrap();
    }

    // A stream is signed without its messages.
    let path = "/hongbao.v1.AudienceService/ImportRecipients";
    let message = pb::ImportRecipientsRequest {
        shop_id: SHOP,
        request_id: "stream".into(),
        recipients: vec![pb::RecipientInput {
            uid: "u1".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let stream = || futures::stream::iter(vec![message.clone()]);
    let status = client.audience().import_recipients(stream()).await;
    assert_eq!(reason(&status.unwrap_err()), "SIGNATURE_INVALID");
    let (ink, mut request) = (Ink::new(path), Request::new(stream()));
    let signature = hmac_sign(APP_KEY, &ink.text(STREAM));
    ink.put(&signature, request.metadata_mut());
    client.audience().import_recipients(request).await.unwrap();

    // A call that reaches its handler is signed there, too; and one without a key is nobody's.
    let nobody = ground.app.client.with_key(None);
    let status = list(&nobody, good().sign(shops(5))).await.unwrap_err();
    assert_eq!(reason(&status), "CREDENTIAL_MISSING");
    ground.stop().await;
}

async fn a_private_key_signs_as_well(db: TestDb) {
    let ground = Ground::make(db).await;
    let setting = ground.setting(&[S::RsaSha256], R::Everything);
    ground.set(setting).await.unwrap();
    let sign = |ink: &Ink, message: pb::ListShopsRequest| {
        let text = ink.text(&body_digest(&message.encode_to_vec()));
        let signature = private().pkcs1v15_sign::<sha2::Sha256>(text.as_bytes());
        let mut request = Request::new(message);
        ink.put(&signature.unwrap(), request.metadata_mut());
        request
    };
    let request = sign(&Ink::new(LIST), shops(5));
    list(&ground.client, request).await.unwrap();
    let mut other = Request::new(shops(6));
    *other.metadata_mut() = sign(&Ink::new(LIST), shops(5)).metadata().clone();
    let status = list(&ground.client, other).await.unwrap_err();
    assert_eq!(reason(&status), "SIGNATURE_INVALID");
    // The other scheme is not accepted.
    let status = list(&ground.client, Ink::new(LIST).sign(shops(5))).await;
    assert_eq!(reason(&status.unwrap_err()), "SIGNATURE_INVALID");
    ground.stop().await;
}

async fn who_signs_nothing_is_left_alone(db: TestDb) {
    let ground = Ground::make(db).await;
    let client = &ground.client;
    list(client, Request::new(shops(5))).await.unwrap();
    // A signature that nobody can check is not passed over.
    let status = list(client, Ink::new(LIST).sign(shops(5))).await;
    assert_eq!(reason(&status.unwrap_err()), "SIGNATURE_INVALID");

    // Accepted and not required: without is well, wrong is not.
    for (schemes, required) in [
        ([S::HmacSha256].as_slice(), R::Nothing),
        (&[S::HmacSha256], R::Vouchers),
        (&[S::HmacSha256, S::Map], R::Vouchers),
    ] {
        ground.set(ground.setting(schemes, required)).await.unwrap();
        list(client, Request::new(shops(5))).await.unwrap();
        list(client, Ink::new(LIST).sign(shops(5))).await.unwrap();
        let ink = Ink {
            key: "secretAppKey-0123456780",
            ..Ink::new(LIST)
        };
        let status = list(client, ink.sign(shops(5))).await.unwrap_err();
        assert_eq!(reason(&status), "SIGNATURE_INVALID");
    }
    ground.stop().await;
}

async fn a_nonce_is_one_calls(db: TestDb) {
    let ground = Ground::make(db).await;
    let setting = ground.setting(&[S::HmacSha256], R::Everything);
    ground.set(setting).await.unwrap();
    let client = &ground.client;
    let ink = Ink::new(LIST);
    // The same call may come again, as a client that got no answer makes it.
    for _ in 0..3 {
        list(client, ink.sign(shops(5))).await.unwrap();
    }
    let status = list(client, ink.sign(shops(6))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(reason(&status), "NONCE_REPLAYED");
    let later = Ink {
        timestamp: seconds(1).to_string(),
        ..ink.clone()
    };
    let status = list(client, later.sign(shops(5))).await.unwrap_err();
    assert_eq!(reason(&status), "NONCE_REPLAYED");

    // Of twenty calls that bring one nonce at once, one has it.
    let ink = Ink::new(LIST);
    let calls = (1..=20).map(|size| {
        let (client, request) = (client.clone(), ink.sign(shops(size)));
        tokio::spawn(async move { list(&client, request).await })
    });
    let mut passed = 0;
    for call in futures::future::join_all(calls).await {
        match call.unwrap() {
            Ok(()) => passed += 1,
            Err(status) => assert_eq!(reason(&status), "NONCE_REPLAYED"),
        }
    }
    assert_eq!(passed, 1);

    // Old nonces go, and only they.
    let count = "SELECT COUNT(*) FROM signing_nonce";
    let kept = ground.raw.number(count).await;
    assert_eq!(ground.app.store().purge_nonces().await.unwrap(), 0);
    let old = "UPDATE signing_nonce SET seen_time = seen_time - 3601000000 WHERE nonce = ";
    ground.raw.run(&format!("{old}'{}'", ink.nonce)).await;
    assert_eq!(ground.app.store().purge_nonces().await.unwrap(), 1);
    assert_eq!(ground.raw.number(count).await, kept - 1);
    ground.stop().await;
}

async fn an_app_may_make_itself_sign(db: TestDb) {
    let ground = Ground::make(db).await;
    let path = "/hongbao.v1.AdminService/SetAppSigning";
    let accept = ground.setting(&[S::HmacSha256], R::Nothing);
    let set = ground.client.admin().set_app_signing(accept).await;
    set.unwrap();
    let demand = ground.setting(&[S::HmacSha256], R::Everything);
    let demand = Ink::new(path).sign(demand);
    let set = ground.client.admin().set_app_signing(demand).await;
    set.unwrap();
    let status = list(&ground.client, Request::new(shops(5))).await;
    assert_eq!(reason(&status.unwrap_err()), "SIGNATURE_INVALID");
    ground.stop().await;
}

/// A nonce that one replica has seen is seen by all.
#[test]
fn replicas_share_nonces() {
    block_on(async {
        let ground = Ground::make(TestDb::postgres()).await;
        let setting = ground.setting(&[S::HmacSha256], R::Everything);
        ground.set(setting).await.unwrap();
        let second = app::start(&ground.app.config).await.unwrap();
        let other = Client::connect(second.grpc_addr, &ground.key).await;
        let ink = Ink::new(LIST);
        list(&ground.client, ink.sign(shops(5))).await.unwrap();
        list(&other, ink.sign(shops(5))).await.unwrap();
        let status = list(&other, ink.sign(shops(6))).await.unwrap_err();
        assert_eq!(reason(&status), "NONCE_REPLAYED");
        second.shutdown().await;
        ground.stop().await;
    });
}
