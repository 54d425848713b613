//! `hongbao app`

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::ConfigArgs;
use crate::domain::grant::{Grant, Permission, PrincipalKind, Shops};
use crate::domain::id::{AppId, ShopId};
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
    let (key, secret) = identity::new_key();
    let work = |store: Store| async move { store.found_app(new, key).await };
    let made = with_store(&args.config, work).await?;
    print_key("app_id", made.row.id, &secret)?;
    Ok(ExitCode::SUCCESS)
}

fn new_app(args: &CreateArgs) -> anyhow::Result<NewApp> {
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
    Ok(NewApp {
        kind: PrincipalKind::App,
        roles: Vec::new(),
        name: parse_name(&args.name)?,
        default_shop: args.default_shop.map(parse_shop).transpose()?,
        grants: vec![Grant {
            permissions,
            shops: parse_shops(&args.shops)?,
        }],
    })
}

/// A name for whoever calls.
pub(super) fn parse_name(raw: &str) -> anyhow::Result<Code> {
    Code::parse(raw).context("--name must be 1 to 64 characters of [A-Za-z0-9_.:-]")
}

pub(super) fn parse_shop(raw: i64) -> anyhow::Result<ShopId> {
    ShopId::parse(raw).with_context(|| format!("{raw} is not the id of a shop"))
}

/// These shops, or all if none is named.
pub(super) fn parse_shops(raw: &[i64]) -> anyhow::Result<Shops> {
    if raw.is_empty() {
        return Ok(Shops::All);
    }
    let shops = raw.iter().map(|raw| parse_shop(*raw));
    Ok(Shops::Only(shops.collect::<anyhow::Result<_>>()?))
}

/// Opens the database of a configuration for a moment, alone where it is a file.
pub(super) async fn with_store<T, F>(
    config: &ConfigArgs,
    work: impl FnOnce(Store) -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = crate::domain::Result<T>>,
{
    let config = config.load()?;
    let _lock = store::lock::ProcessLock::take(&config.database.url)?;
    let settings = crate::app::database(&config);
    if store::lock::sqlite_path(&config.database.url).is_some() {
        store::migrate(&settings).await?;
    }
    let store = Store::open(&settings, crate::app::keys(&config)?).await?;
    let done = work(store.clone()).await;
    store.close().await;
    Ok(done?)
}

/// Prints a key, this once.
pub(super) fn print_key(of: &str, id: AppId, secret: &str) -> anyhow::Result<()> {
    write_key(
        &mut std::io::stdout(),
        &mut std::io::stderr(),
        of,
        id,
        secret,
    )
}

/// Writes a key to one place alone: the hint beside it goes where logs may keep it.
fn write_key(
    out: &mut impl Write,
    hint: &mut impl Write,
    of: &str,
    id: AppId,
    secret: &str,
) -> anyhow::Result<()> {
    writeln!(out, "{of}={id}")?;
    writeln!(out, "api_key={secret}")?;
    writeln!(
        hint,
        "The key is shown this once. Send it as metadata: authorization: Bearer, a space, the key"
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printed_once_and_not_in_the_hint() {
        let (mut out, mut hint) = (Vec::new(), Vec::new());
        write_key(&mut out, &mut hint, "app_id", AppId(7), "hb_secret").unwrap();
        assert_eq!(out, b"app_id=7\napi_key=hb_secret\n");
        let hint = String::from_utf8(hint).unwrap();
        assert!(hint.contains("Bearer") && !hint.contains("hb_secret"));
    }
}
