//! `hongbao app`

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::ConfigArgs;
use crate::domain::grant::{Grant, Permission, Shops};
use crate::domain::id::ShopId;
use crate::domain::text::Code;
use crate::service::identity;
use crate::store::app::NewApp;
use crate::store::{self, Store};

/// Make calling systems, directly in the database. Once the server runs, an app
/// that holds APP_ADMIN does the same through AdminService.
#[derive(Debug, Args)]
pub struct AppArgs {
    #[command(subcommand)]
    command: AppCommand,
}

#[derive(Debug, Subcommand)]
enum AppCommand {
    /// Make an app and print its key, this once.
    Create(CreateArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Its name, unique: 1 to 64 characters of [A-Za-z0-9_.:-].
    #[arg(long)]
    name: String,
    /// What it may do, e.g. ISSUANCE_SEND; may be repeated. Left out: everything.
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// In which shop; may be repeated. Left out: in all shops.
    #[arg(long = "shop", value_name = "SHOP_ID")]
    shops: Vec<i64>,
    /// The shop that it means when a request names none.
    #[arg(long, value_name = "SHOP_ID")]
    default_shop: Option<i64>,
}

/// Makes the app.
///
/// # Errors
/// The name is taken, a shop is missing, a permission is unknown, an SQLite file is
/// being served.
pub async fn run(args: AppArgs) -> anyhow::Result<ExitCode> {
    let AppCommand::Create(args) = args.command;
    let new = new_app(&args)?;
    let config = args.config.load()?;
    let _lock = store::lock::ProcessLock::take(&config.database.url)?;
    let settings = crate::app::database(&config);
    if store::lock::sqlite_path(&config.database.url).is_some() {
        store::migrate(&settings).await?;
    }
    let store = Store::open(&settings, crate::app::keys(&config)?).await?;
    let (key, secret) = identity::new_key();
    let made = store.found_app(new, key).await;
    store.close().await;
    let made = made?;
    let mut out = std::io::stdout();
    writeln!(out, "app_id={}", made.row.id)?;
    writeln!(out, "api_key={secret}")?;
    writeln!(
        std::io::stderr(),
        "The key is shown this once. Send it as metadata: authorization: Bearer {secret}"
    )?;
    Ok(ExitCode::SUCCESS)
}

fn new_app(args: &CreateArgs) -> anyhow::Result<NewApp> {
    let shop =
        |raw: i64| ShopId::parse(raw).with_context(|| format!("{raw} is not the id of a shop"));
    let mut permissions = Vec::new();
    for name in &args.permissions {
        let known = || {
            Permission::ALL
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let parsed = Permission::parse(name)
            .with_context(|| format!("{name} is not one of: {}", known()))?;
        anyhow::ensure!(
            args.shops.is_empty() || !parsed.is_platform(),
            "{name} is platform-level: leave out --shop"
        );
        permissions.push(parsed);
    }
    if permissions.is_empty() {
        let every = Permission::ALL.iter().map(|(_, permission)| *permission);
        permissions = every
            .filter(|permission| args.shops.is_empty() || !permission.is_platform())
            .collect();
    }
    let shops = if args.shops.is_empty() {
        Shops::All
    } else {
        Shops::Only(
            args.shops
                .iter()
                .map(|raw| shop(*raw))
                .collect::<anyhow::Result<_>>()?,
        )
    };
    Ok(NewApp {
        name: Code::parse(&args.name)
            .context("--name must be 1 to 64 characters of [A-Za-z0-9_.:-]")?,
        default_shop: args.default_shop.map(shop).transpose()?,
        grants: vec![Grant { permissions, shops }],
    })
}
