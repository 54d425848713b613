//! `hongbao operator`

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::ConfigArgs;
use super::app::{parse_name, parse_shop, parse_shops, print_key, with_store};
use crate::domain::grant::{Grant, PrincipalKind};
use crate::domain::role::Role;
use crate::service::identity;
use crate::store::Store;
use crate::store::app::NewApp;

/// Make people who operate, directly in the database. What takes two people
/// (closing a review, letting go on what was stopped, approvals) takes two of these;
/// no call makes them, so nobody becomes a second person over the wire.
#[derive(Debug, Args)]
pub struct OperatorArgs {
    #[command(subcommand)]
    command: OperatorCommand,
}

#[derive(Debug, Subcommand)]
enum OperatorCommand {
    /// Make an operator and print the key, this once.
    Create(CreateArgs),
    /// Give an operator a new key, and revoke the old ones, e.g. when one was lost.
    Key(KeyArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The person's name, unique among apps and operators: 1 to 64 characters of [A-Za-z0-9_.:-].
    #[arg(long)]
    name: String,
    /// What the person is there for: viewer, operator, reviewer, approver or
    /// administrator; may be repeated.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,
    /// In which shop; may be repeated. Left out: in all shops, which what concerns the
    /// whole installation needs.
    #[arg(long = "shop", value_name = "SHOP_ID")]
    shops: Vec<i64>,
    /// The shop that is meant when a request names none.
    #[arg(long, value_name = "SHOP_ID")]
    default_shop: Option<i64>,
}

#[derive(Debug, Args)]
struct KeyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The person's name.
    #[arg(long)]
    name: String,
    /// Leave the old keys good, to change over without a gap.
    #[arg(long)]
    keep_old: bool,
}

/// Makes an operator, or a key of one.
///
/// # Errors
/// The name is taken or unknown, a shop is missing, a role is unknown, an SQLite file
/// is being served.
pub async fn run(args: OperatorArgs) -> anyhow::Result<ExitCode> {
    let (key, secret) = identity::new_key();
    let made = match args.command {
        OperatorCommand::Create(args) => {
            let new = new_operator(&args)?;
            let work = |store: Store| async move { store.found_app(new, key).await };
            with_store(&args.config, work).await?
        }
        OperatorCommand::Key(args) => {
            let name = parse_name(&args.name)?;
            let work = |store: Store| async move {
                store.new_operator_key(name, key, args.keep_old).await
            };
            with_store(&args.config, work).await?
        }
    };
    print_key("operator_id", made.row.id, &secret)?;
    Ok(ExitCode::SUCCESS)
}

fn new_operator(args: &CreateArgs) -> anyhow::Result<NewApp> {
    let role = |name: &String| {
        let known = Role::ALL.map(Role::name).join(", ");
        Role::parse(name).with_context(|| format!("{name} is not one of: {known}"))
    };
    Ok(NewApp {
        kind: PrincipalKind::Operator,
        roles: args.roles.iter().map(role).collect::<anyhow::Result<_>>()?,
        name: parse_name(&args.name)?,
        default_shop: args.default_shop.map(parse_shop).transpose()?,
        grants: vec![Grant {
            permissions: Vec::new(),
            shops: parse_shops(&args.shops)?,
        }],
    })
}
