//! `hongbao verify`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use comfy_table::{Cell, Table, presets};

use super::ConfigArgs;
use crate::domain::State;
use crate::domain::protocol::Protocol;
use crate::simulator;
use crate::store::Store;
use crate::store::verify::{Finding, Number, checks};

/// Check the books: every rule that must hold at any instant. May run beside a server.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Compare with the books of a simulator, too.
    #[arg(long, value_name = "FILE", requires = "mch_id")]
    books: Option<PathBuf>,
    /// The merchant whose books they are.
    #[arg(long, value_name = "ID")]
    mch_id: Option<String>,
}

/// Ends with 0 when every rule holds, with 1 when one is broken.
///
/// # Errors
/// The database does not answer, or the books cannot be read.
pub async fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    let store = Store::open(&crate::app::database(&config), crate::app::keys(&config)?).await?;
    let findings = store.verify().await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", table(&findings))?;
    let mut sound = findings.is_empty();
    if let (Some(books), Some(mch_id)) = (&args.books, &args.mch_id) {
        let broken = compare(&store, books, mch_id).await?;
        sound &= broken.is_empty();
        writeln!(
            out,
            "{} differences from the provider's books",
            broken.len()
        )?;
        for line in broken.iter().take(20) {
            writeln!(out, "  {line}")?;
        }
    }
    store.close().await;
    writeln!(
        out,
        "{}",
        if sound {
            "every rule holds"
        } else {
            "RULES ARE BROKEN"
        }
    )?;
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The checks and what they found.
fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_header(["rule", "broken by", "which"]);
    for check in checks() {
        let found = findings
            .iter()
            .find(|finding| finding.check.name == check.name);
        let count = found.map_or(0, |finding| finding.count);
        let ids = found.map_or_else(String::new, |finding| format!("{:?}", finding.ids));
        table.add_row([Cell::new(check.rule), Cell::new(count), Cell::new(ids)]);
    }
    table
}

async fn compare(store: &Store, books: &Path, mch_id: &str) -> anyhow::Result<Vec<String>> {
    let ours = store.numbers(mch_id).await?;
    let accounts = store.all_accounts().await?;
    let speaks = |protocol: Protocol| {
        let mut accounts = accounts.iter();
        accounts.any(|row| row.mch_id.as_str() == mch_id && row.protocol == protocol.name())
    };
    // One simulator plays several providers, each with books of its own.
    let theirs = match speaks(Protocol::OpenPlatform) {
        true => simulator::Books::read_open(books)?.0,
        false => simulator::Books::read(books)?,
    };
    Ok(differences(&ours, &theirs))
}

/// What a provider's books say otherwise than ours. Each line names a number.
#[must_use]
pub fn differences(ours: &BTreeMap<String, Number>, theirs: &[simulator::Payment]) -> Vec<String> {
    use simulator::State as Theirs;
    let mut broken = Vec::new();
    let mut paid: BTreeMap<&str, &simulator::Payment> = BTreeMap::new();
    for payment in theirs {
        paid.insert(&payment.mch_billno, payment);
        let number = &payment.mch_billno;
        if payment.times_paid > 1 {
            broken.push(format!("{number} was paid {} times", payment.times_paid));
        }
        match ours.get(number.as_str()) {
            None => broken.push(format!("{number} was paid, and is unknown here")),
            Some(mine) if mine.amount.0 != payment.amount_fen => {
                broken.push(format!(
                    "{number} was paid with {} fen, and is {} fen here",
                    payment.amount_fen, mine.amount.0
                ));
            }
            Some(mine) => {
                // Ours may lag behind, but never say the contrary.
                let contrary = match payment.state {
                    Theirs::Sending | Theirs::Sent => matches!(
                        mine.state,
                        State::Failed | State::Received | State::Refunding | State::Refunded
                    ),
                    Theirs::Received => matches!(
                        mine.state,
                        State::Failed | State::Refunding | State::Refunded
                    ),
                    Theirs::RfundIng => matches!(
                        mine.state,
                        State::Failed | State::Received | State::Refunded
                    ),
                    Theirs::Refund => matches!(mine.state, State::Failed | State::Received),
                    Theirs::Failed => mine.state == State::Received,
                };
                let came_back = (payment.state == Theirs::Refund, mine.refunded);
                if let (true, Some(refunded)) = came_back
                    && refunded.0 != payment.returned_fen
                {
                    broken.push(format!(
                        "{} fen of {number} came back, and {} fen here",
                        payment.returned_fen, refunded.0
                    ));
                }
                if contrary {
                    broken.push(format!(
                        "{number} is {:?} there and {} here",
                        payment.state,
                        mine.state.name()
                    ));
                }
            }
        }
    }
    // Two numbers of one packet may both have been paid only if the first came back whole.
    let mut out: BTreeMap<i64, usize> = BTreeMap::new();
    for (number, mine) in ours {
        let kept = paid.get(number.as_str()).is_some_and(|p| match p.state {
            Theirs::Failed => false,
            Theirs::Refund => p.returned_fen < p.amount_fen,
            Theirs::Sending | Theirs::Sent | Theirs::Received | Theirs::RfundIng => true,
        });
        *out.entry(mine.issuance.0).or_default() += usize::from(kept);
    }
    broken.extend(
        out.iter()
            .filter(|(_, n)| **n > 1)
            .map(|(id, n)| format!("issuance {id} is out {n} times")),
    );
    for (number, mine) in ours {
        let sent = matches!(
            mine.state,
            State::Sent | State::Received | State::Refunding | State::Refunded
        );
        if sent && !paid.contains_key(number.as_str()) {
            broken.push(format!(
                "{number} is {} here, and was never paid",
                mine.state.name()
            ));
        }
    }
    broken
}
