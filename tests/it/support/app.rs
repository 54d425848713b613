//! The whole server in this process, with the simulator as its provider.

use std::time::Duration;

use hongbao::app::{self, Running};
use hongbao::config::{Config, CredentialConfig, MapConfig, OpenPlatformConfig};
use hongbao::domain::grant::{Grant, PrincipalKind, Shops};
use hongbao::domain::role::Role;
use hongbao::domain::text::Code;
use hongbao::signing::rsa::PublicKey;
use hongbao::simulator::{self, FaultTable, Simulator};
use hongbao::store::Store;
use hongbao::store::app::NewApp;

use super::client::Client;
use super::database::TestDb;
use super::raw::Raw;

/// The key of the app at the voucher platform.
const MAP_PUBLIC: &str = include_str!("../../golden/map/public.pem");
const MAP_PRIVATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/map/private.pem");

/// What a test wants otherwise than usual.
#[derive(Clone, Debug)]
pub struct Options {
    pub faults: FaultTable,
    /// How fast time runs, here and at the provider.
    pub time_scale: u32,
    pub dispatcher: bool,
    /// Whether what happens is told without a dispatcher, too.
    pub tells: bool,
    pub taken_per_mille: u16,
    pub balance_fen: i64,
    pub provider_timeout_ms: u64,
    pub calls_per_second: u32,
    /// What the provider enforces.
    pub limits: simulator::Limits,
    /// Where events are published besides; in builds with the feature.
    pub nats: Option<String>,
    /// An open platform at the provider; its secrets are the credential "open".
    pub open: Option<Box<simulator::OpenConfig>>,
    /// Since when time runs fast, here and at the provider, in milliseconds since 1970;
    /// else each begins when it starts.
    pub time_origin_ms: Option<i64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            faults: FaultTable::default(),
            // An hour a second.
            time_scale: 3_600,
            dispatcher: true,
            tells: false,
            taken_per_mille: 1_000,
            balance_fen: 1_000_000_000,
            provider_timeout_ms: 1_000,
            calls_per_second: 100_000,
            limits: simulator::Limits::default(),
            nats: None,
            open: None,
            time_origin_ms: None,
        }
    }
}

pub struct TestApp {
    pub running: Running,
    pub simulator: Simulator,
    pub config: Config,
    pub db: TestDb,
    /// Calls as an app that may do everything.
    pub client: Client,
    pub key: String,
}

impl TestApp {
    pub async fn start(db: TestDb) -> Self {
        Self::start_with(db, Options::default()).await
    }

    pub async fn start_with(db: TestDb, options: Options) -> Self {
        // What the server logs as an error is shown with the test that fails.
        let _installed = tracing_subscriber::fmt()
            .with_env_filter("error")
            .with_test_writer()
            .try_init();
        let simulator = simulator::start(simulator::Config {
            time_scale: options.time_scale,
            faults: options.faults.clone(),
            taken_per_mille: options.taken_per_mille,
            opening_balance_fen: options.balance_fen,
            limits: options.limits,
            time_origin_ms: options.time_origin_ms,
            hold: Duration::from_millis(options.provider_timeout_ms * 3),
            open: options.open.as_deref().cloned(),
            map: Some(simulator::MapConfig {
                public_key: PublicKey::from_pem(MAP_PUBLIC),
                ..simulator::MapConfig::from_seed(1)
            }),
            ..Default::default()
        })
        .await
        .unwrap();
        let config = config(&db, &simulator, &options);
        if let Some(origin_ms) = options.time_origin_ms {
            hongbao::store::migrate(&app::database(&config))
                .await
                .unwrap();
            let raw = Raw::open(&db).await;
            let clock = format!("{}@{}", options.time_scale, origin_ms * 1_000);
            raw.execute(&format!(
                "INSERT INTO setting (name, value) VALUES ('clock', '{clock}')"
            ))
            .await;
            raw.close().await;
        }
        let running = app::start(&config).await.unwrap();
        let key = match &running.first_key {
            Some(key) => key.clone(),
            None => {
                let (kept, key) = hongbao::service::identity::new_key();
                let admin = app::almighty("admin").unwrap();
                running.store.found_app(admin, kept).await.unwrap();
                key
            }
        };
        let client = Client::connect(running.grpc_addr, &key).await;
        Self {
            running,
            simulator,
            config,
            db,
            client,
            key,
        }
    }

    /// Ends the server and starts it anew on the same database with another
    /// configuration; the provider goes on.
    pub async fn restart(self, change: impl FnOnce(&mut Config)) -> Self {
        self.running.shutdown().await;
        let mut config = self.config;
        change(&mut config);
        let running = app::start(&config).await.unwrap();
        let client = Client::connect(running.grpc_addr, &self.key).await;
        Self {
            running,
            simulator: self.simulator,
            config,
            db: self.db,
            client,
            key: self.key,
        }
    }

    /// Calls as a person in all shops.
    pub async fn person(&self, name: &str, roles: &[Role]) -> Client {
        let key = self.person_in(name, roles, Shops::All).await;
        self.client.with_key(Some(&key))
    }

    /// The key of a person in some shops.
    pub async fn person_in(&self, name: &str, roles: &[Role], shops: Shops) -> String {
        let (kept, key) = hongbao::service::identity::new_key();
        let person = NewApp {
            kind: PrincipalKind::Operator,
            name: Code::parse(name).unwrap(),
            default_shop: None,
            grants: vec![Grant {
                permissions: Vec::new(),
                shops,
            }],
            roles: roles.to_vec(),
        };
        self.store().found_app(person, kept).await.unwrap();
        key
    }

    /// Calls as the same person with a further key.
    pub async fn further_key(&self, name: &str) -> Client {
        let (kept, key) = hongbao::service::identity::new_key();
        let name = Code::parse(name).unwrap();
        let made = self.store().new_operator_key(name, kept, true);
        made.await.unwrap();
        self.client.with_key(Some(&key))
    }

    pub fn store(&self) -> &Store {
        &self.running.store
    }

    pub fn appid(&self) -> String {
        self.simulator.merchant().appid().to_owned()
    }

    /// Every rule of the books holds, and the provider's books agree.
    pub async fn assert_sound(&self) {
        let findings = self.store().verify().await.unwrap();
        assert!(findings.is_empty(), "{findings:?}");
        let numbers = self
            .store()
            .numbers(&self.simulator.merchant().mch_id)
            .await
            .unwrap();
        let books = self.simulator.books();
        let broken = hongbao::cli::verify::differences(&numbers, &books.payments());
        assert!(broken.is_empty(), "{broken:?}");
        if let Some(open) = self.simulator.open() {
            let numbers = self.store().numbers(&open.merchant_id).await.unwrap();
            let broken = hongbao::cli::verify::differences(&numbers, &books.open_payments());
            assert!(broken.is_empty(), "{broken:?}");
        }
    }

    pub async fn stop(self) {
        self.running.shutdown().await;
        self.simulator.shutdown().await;
    }
}

fn config(db: &TestDb, simulator: &Simulator, options: &Options) -> Config {
    let mut config = Config::default();
    config.database.url = db.url.clone();
    config.database.connections_max = 8;
    let keys = db.folder.path().join("keys.toml");
    if !keys.exists() {
        app::write_key_file(&keys).unwrap();
    }
    config.keys.file = Some(keys);
    config.server.grpc_listen = ([127, 0, 0, 1], 0).into();
    config.server.admin_listen = ([127, 0, 0, 1], 0).into();
    config.server.drain_seconds = 5;
    config.clock.scale = options.time_scale;
    config.dispatcher.enabled = options.dispatcher;
    config.dispatcher.poll_ms = 20;
    config.webhooks.enabled = options.dispatcher || options.tells;
    config.webhooks.allow_loopback = true;
    config.nats.url.clone_from(&options.nats);
    config.webhooks.timeout_ms = 1_000;
    config.provider.total_timeout_ms = options.provider_timeout_ms;
    config.rate_limit.per_app_per_second = options.calls_per_second.try_into().unwrap();
    config.rate_limit.burst = options.calls_per_second.try_into().unwrap();
    let merchant = simulator.merchant();
    config.credentials.insert(
        "simulator".to_owned(),
        CredentialConfig {
            base_url: simulator.base_url(),
            mch_id: merchant.mch_id.clone(),
            api_key: Some(merchant.api_key.clone()),
            api_key_file: None,
            cert_file: None,
            key_file: None,
            ca_file: None,
            shops: None,
            map: None,
            open_platform: None,
        },
    );
    if let Some(map) = simulator.map() {
        let app = CredentialConfig {
            base_url: simulator.base_url(),
            mch_id: map.app_id.clone(),
            api_key: map.app_key.clone(),
            api_key_file: None,
            cert_file: None,
            key_file: None,
            ca_file: None,
            shops: None,
            map: Some(MapConfig {
                sign_key_file: MAP_PRIVATE.into(),
                sign_hash: Default::default(),
                give_prefix: "/gw".to_owned(),
                query_prefix: String::new(),
                spend_prefix: "/gw".to_owned(),
                undo_prefix: "/gw".to_owned(),
                signs_associated: false,
                refusals: ["24103", "24104", "24305", "24406"]
                    .map(str::to_owned)
                    .into(),
            }),
            open_platform: None,
        };
        config.credentials.insert("map".to_owned(), app);
    }
    if let Some(open) = simulator.open() {
        // Its port has to be known before the server runs: it is told to the platform.
        config.server.admin_listen = ([127, 0, 0, 1], free_port()).into();
        let merchant = CredentialConfig {
            base_url: simulator.base_url(),
            mch_id: open.merchant_id.clone(),
            api_key: Some(open.secret.clone()),
            api_key_file: None,
            cert_file: None,
            key_file: None,
            ca_file: None,
            shops: None,
            map: None,
            open_platform: Some(OpenPlatformConfig {
                business_id: open.business_id.clone(),
                template_id: "1001".to_owned(),
                sign_key_file: None,
                callback_key_file: None,
                callback_url: Some(format!(
                    "http://{}/callbacks/open_platform/open",
                    config.server.admin_listen
                )),
                price_min_bp: 9_800,
                price_max_bp: 10_000,
            }),
        };
        config.credentials.insert("open".to_owned(), merchant);
    }
    config
}

/// A port below those that the system hands out, so that no client is given it meanwhile.
fn free_port() -> u16 {
    loop {
        let port = 20_000 + u16::try_from(hongbao::clock::random_u64() % 12_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
