//! Signatures: what apps sign with, calls that are signed, and orders that are signed as
//! seed 002 has it.

mod calls;
mod docs;
mod map;
mod orders;
mod set;

use hongbao::domain::id::AppId;
use hongbao::grpc::pb::{self, SigningRequired, SigningScheme};
use rsa::pkcs8::DecodePrivateKey as _;
use tonic::Status;

use crate::support::{Client, Options, Raw, SHOP, TestApp, TestDb};

/// The key that signs in these tests and nowhere else.
const PRIVATE: &str = include_str!("../../golden/map/private.pem");
/// Its other half, as a key and within a certificate.
const PUBLIC: &str = include_str!("../../golden/map/public.pem");
const CERTIFICATE: &str = include_str!("../../golden/map/certificate.pem");
/// The shared key.
const APP_KEY: &str = "secretAppKey-0123456789";
/// The name of the app that signs.
const NAME: &str = "zjhtwallet";

struct Ground {
    app: TestApp,
    raw: Raw,
    /// The app that signs.
    id: AppId,
    key: String,
    /// Calls as the app, without a signature.
    client: Client,
}

impl Ground {
    async fn make(db: TestDb) -> Self {
        let options = Options {
            dispatcher: false,
            ..Options::default()
        };
        let app = TestApp::start_with(db, options).await;
        app.client.make_shop(SHOP).await;
        let grant = pb::Grant {
            permissions: vec![
                pb::Permission::ShopAdmin.into(),
                pb::Permission::AppAdmin.into(),
                pb::Permission::AudienceWrite.into(),
                pb::Permission::AudienceRead.into(),
                pb::Permission::VoucherRead.into(),
                pb::Permission::VoucherGive.into(),
                pb::Permission::VoucherSpend.into(),
                pb::Permission::VoucherAdmin.into(),
                pb::Permission::VoucherFund.into(),
            ],
            all_shops: true,
            ..Default::default()
        };
        let new = pb::CreateAppRequest {
            request_id: app.client.fresh(),
            name: NAME.into(),
            default_shop_id: SHOP,
            grants: vec![grant],
            ..Default::default()
        };
        let made = app.client.admin().create_app(new).await.unwrap();
        let made = made.into_inner();
        let client = app.client.with_key(Some(&made.api_key));
        let raw = Raw::open(&app.db).await;
        Self {
            id: AppId(made.app.unwrap().app_id),
            key: made.api_key,
            client,
            raw,
            app,
        }
    }

    /// What makes the app sign by some schemes.
    fn setting(
        &self,
        schemes: &[SigningScheme],
        required: SigningRequired,
    ) -> pb::SetAppSigningRequest {
        pb::SetAppSigningRequest {
            request_id: self.app.client.fresh(),
            app_id: self.id.0,
            schemes: schemes.iter().map(|scheme| (*scheme).into()).collect(),
            required_for: required.into(),
            app_key: APP_KEY.into(),
            public_key_pem: PUBLIC.into(),
            ..Default::default()
        }
    }

    async fn set(&self, request: pb::SetAppSigningRequest) -> Result<pb::AppSigning, Status> {
        let done = self.app.client.admin().set_app_signing(request).await?;
        Ok(done.into_inner().signing.unwrap())
    }

    async fn stop(self) {
        self.raw.close().await;
        self.app.stop().await;
    }
}

fn private() -> rsa::PrivateKey {
    rsa::PrivateKey::from_pkcs8_pem(PRIVATE).unwrap()
}

/// Seconds since 1970, now and so many later.
fn seconds(later: i64) -> i64 {
    hongbao::clock::wall().to_parts().0 + later
}

/// A nonce that no call has used.
fn nonce() -> String {
    hongbao::clock::random_hex::<12>()
}
