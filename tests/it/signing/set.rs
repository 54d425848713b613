//! SetAppSigning and GetAppSigning.

use hongbao::domain::role::Role;
use hongbao::grpc::pb::{self, SigningRequired as R, SigningScheme as S};
use tonic::Code;

use super::{APP_KEY, CERTIFICATE, Ground, PUBLIC};
use crate::support::{TestDb, on_both, reason, violations};

on_both!(
    what_is_set_is_read_and_the_key_is_never_shown,
    a_key_stays_as_long_as_it_is_needed,
    what_cannot_be_is_refused,
);

async fn read(ground: &Ground) -> pb::AppSigning {
    let request = pb::GetAppSigningRequest {
        app_id: ground.id.0,
    };
    let found = ground.app.client.admin().get_app_signing(request).await;
    found.unwrap().into_inner().signing.unwrap()
}

async fn what_is_set_is_read_and_the_key_is_never_shown(db: TestDb) {
    let ground = Ground::make(db).await;
    let before = read(&ground).await;
    assert_eq!(before.required_for(), R::Nothing);
    assert!(before.schemes.is_empty() && !before.has_app_key);

    let mut request = ground.setting(&[S::HmacSha256, S::Map], R::Nothing);
    request.public_key_pem = CERTIFICATE.into();
    request.map_hash = pb::MapHash::Sha1.into();
    request.map_covers_associated_order_id = true;
    request.order_id_prefix = Some("AO".into());
    let set = ground.set(request.clone()).await.unwrap();
    assert_eq!(set, read(&ground).await);
    let due = pb::AppSigning {
        app_id: ground.id.0,
        schemes: vec![S::HmacSha256.into(), S::Map.into()],
        required_for: R::Nothing.into(),
        has_app_key: true,
        public_key_pem: PUBLIC.into(),
        map_hash: pb::MapHash::Sha1.into(),
        map_covers_associated_order_id: true,
        order_id_prefix: Some("AO".into()),
        window_seconds: 300,
        actor: "app:admin".into(),
        create_time: set.create_time,
        update_time: set.update_time,
    };
    assert_eq!(set, due);

    // Nothing that is kept holds the key, and a repeat with another key is no repeat.
    let rows = "SELECT COUNT(*) FROM app_signing WHERE CAST(app_key AS TEXT) LIKE '%secretAppKey%'";
    assert_eq!(ground.raw.number(rows).await, 0);
    let kept = ground
        .app
        .store()
        .signing(ground.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.app_key.as_deref(), Some(APP_KEY));
    assert!(!format!("{kept:?}").contains("secretAppKey"));
    request.app_key.push('x');
    let status = ground.set(request).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");

    let audit = pb::ListAuditRequest {
        methods: vec!["SetAppSigning".into()],
        ..Default::default()
    };
    let audit = ground.app.client.admin().list_audit(audit).await.unwrap();
    let entries = audit.into_inner().entries;
    assert_eq!(entries.len(), 1);
    assert!(!format!("{entries:?}").contains("secretAppKey"));
    ground.stop().await;
}

async fn a_key_stays_as_long_as_it_is_needed(db: TestDb) {
    let ground = Ground::make(db).await;
    let both = ground.setting(&[S::HmacSha256, S::RsaSha256], R::Nothing);
    ground.set(both).await.unwrap();
    let mut rsa = ground.setting(&[S::RsaSha256], R::Nothing);
    (rsa.app_key, rsa.public_key_pem) = Default::default();
    let set = ground.set(rsa).await.unwrap();
    assert!(!set.has_app_key, "no scheme needs it any more");
    assert_eq!(set.public_key_pem, PUBLIC, "this one is needed");
    let mut hmac = ground.setting(&[S::HmacSha256], R::Nothing);
    hmac.app_key = String::new();
    let status = ground.set(hmac).await.unwrap_err();
    let due = [("app_key".to_owned(), "FIELD_REQUIRED".to_owned())];
    assert_eq!(violations(&status), due, "it is not there any more");
    let mut none = ground.setting(&[], R::Nothing);
    (none.app_key, none.public_key_pem) = Default::default();
    let set = ground.set(none).await.unwrap();
    assert!(set.schemes.is_empty() && set.public_key_pem.is_empty());
    ground.stop().await;
}

async fn what_cannot_be_is_refused(db: TestDb) {
    let ground = Ground::make(db).await;
    let good = ground.setting(&[S::HmacSha256], R::Nothing);
    let change = |change: fn(&mut pb::SetAppSigningRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let cases = [
        (change(|r| r.app_id = 0), "app_id", "ID_INVALID"),
        (
            change(|r| r.request_id.clear()),
            "request_id",
            "REQUEST_ID_INVALID",
        ),
        (
            change(|r| r.required_for = 0),
            "required_for",
            "ENUM_UNKNOWN",
        ),
        (
            change(|r| r.required_for = 9),
            "required_for",
            "ENUM_UNKNOWN",
        ),
        (
            change(|r| r.schemes = vec![0]),
            "schemes[0]",
            "ENUM_UNKNOWN",
        ),
        (
            change(|r| r.schemes = vec![1, 1]),
            "schemes[1]",
            "DUPLICATE_ITEM",
        ),
        (
            change(|r| (r.schemes, r.required_for) = (vec![], 2)),
            "schemes",
            "FIELD_REQUIRED",
        ),
        (
            change(|r| (r.schemes, r.required_for) = (vec![3], 3)),
            "schemes",
            "FIELD_REQUIRED",
        ),
        (
            change(|r| r.app_key = "fifteen-bytes-k".into()),
            "app_key",
            "ID_INVALID",
        ),
        (
            change(|r| r.app_key = "a key with its blanks".into()),
            "app_key",
            "ID_INVALID",
        ),
        (
            change(|r| r.public_key_pem = "PEM".into()),
            "public_key_pem",
            "ID_INVALID",
        ),
        (
            change(|r| r.public_key_pem = include_str!("../../golden/map/short.pem").into()),
            "public_key_pem",
            "ID_INVALID",
        ),
        (change(|r| r.map_hash = 4), "map_hash", "ENUM_UNKNOWN"),
        (
            change(|r| r.order_id_prefix = Some("AO1".into())),
            "order_id_prefix",
            "ID_INVALID",
        ),
        (
            change(|r| r.window_seconds = -1),
            "window_seconds",
            "OUT_OF_RANGE",
        ),
        (
            change(|r| r.window_seconds = 901),
            "window_seconds",
            "OUT_OF_RANGE",
        ),
    ];
    for (request, field, due) in cases {
        let status = ground.set(request).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELDS", "{field}");
        let due = [(field.to_owned(), due.to_owned())];
        assert_eq!(violations(&status), due);
    }
    let status = ground.set(change(|r| r.app_id = 999)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::NotFound, "APP_NOT_FOUND".into())
    );
    let nobody = pb::GetAppSigningRequest { app_id: 999 };
    let status = ground.app.client.admin().get_app_signing(nobody).await;
    assert_eq!(reason(&status.unwrap_err()), "APP_NOT_FOUND");

    // People do not sign.
    ground.app.person("olga", &[Role::Viewer]).await;
    let olga = ground
        .raw
        .number("SELECT id FROM app WHERE name = 'olga'")
        .await;
    let mut request = good.clone();
    request.app_id = olga;
    let status = ground.set(request).await.unwrap_err();
    let due = [("app_id".to_owned(), "FIELD_NOT_ALLOWED".to_owned())];
    assert_eq!(violations(&status), due);

    // Nobody locks himself out.
    let mut request = good.clone();
    request.required_for = R::Everything.into();
    let status = ground.client.admin().set_app_signing(request).await;
    let due = [("required_for".to_owned(), "FIELD_NOT_ALLOWED".to_owned())];
    assert_eq!(violations(&status.unwrap_err()), due);
    assert_eq!(read(&ground).await.create_time, None, "nothing was set");
    ground.stop().await;
}
