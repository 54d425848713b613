//! The end of the demo: where the packets and the money are, in our books and in
//! the provider's.

use std::collections::BTreeMap;
use std::io::Write as _;

use comfy_table::{Table, presets};

use crate::app::Running;
use crate::cli::verify::differences;
use crate::domain::{Fen, State};
use crate::grpc::pb;
use crate::simulator::{self, Payment, Simulator};
use crate::store::verify::Number;

/// Prints the packets by state and the budget.
pub(super) fn report(
    states: &BTreeMap<i32, pb::CampaignStateStats>,
    budget: &pb::Budget,
) -> anyhow::Result<()> {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_header(["state", "packets", "yuan"]);
    for (state, stats) in states {
        let name = pb::IssuanceState::try_from(*state)
            .unwrap_or_default()
            .as_str_name();
        table.add_row([
            name.trim_start_matches("ISSUANCE_STATE_").to_owned(),
            stats.issuance_count.to_string(),
            Fen(stats.amount_fen).to_string(),
        ]);
    }
    let mut out = std::io::stdout();
    writeln!(out, "\n{table}\n")?;
    writeln!(
        out,
        "budget: granted {} = available {} + held {} + in transit {} + paid {}\n",
        Fen(budget.granted_fen),
        Fen(budget.available_fen),
        Fen(budget.held_fen),
        Fen(budget.transit_fen),
        Fen(budget.paid_fen)
    )?;
    Ok(())
}

/// The provider's books beside ours. True when they agree and every rule holds.
pub(super) async fn compare(running: &Running, simulator: &Simulator) -> anyhow::Result<bool> {
    let theirs = simulator.books().payments();
    let ours = running.store.numbers(&simulator.merchant().mch_id).await?;
    let broken = differences(&ours, &theirs);
    let findings = running.store.verify().await?;
    let rows = [
        (
            "paid out",
            sum_theirs(&theirs, |_| true),
            sum_ours(&ours, |state| {
                matches!(
                    state,
                    State::Sent | State::Received | State::Refunding | State::Refunded
                )
            }),
        ),
        (
            "of that, taken by recipients",
            sum_theirs(&theirs, |state| state == simulator::State::Received),
            sum_ours(&ours, |state| state == State::Received),
        ),
        (
            "of that, come back",
            sum_theirs(&theirs, |state| state == simulator::State::Refund),
            sum_ours(&ours, |state| state == State::Refunded),
        ),
    ];
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header([
        "packets, yuan",
        "provider's books",
        "our books",
    ]);
    let mut sound = broken.is_empty() && findings.is_empty();
    for (what, theirs, ours) in rows {
        sound &= theirs == ours;
        let show = |(count, sum): (usize, Fen)| format!("{count:>5}  {sum:>9}");
        table.add_row([what.to_owned(), show(theirs), show(ours)]);
    }
    let (twice_theirs, twice_ours) = (paid_twice(&theirs), live_twice(&ours));
    sound &= twice_theirs + twice_ours == 0;
    table.add_row([
        "recipients paid twice".to_owned(),
        format!("{twice_theirs:>5}"),
        format!("{twice_ours:>5}"),
    ]);
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    for line in broken.iter().take(10) {
        writeln!(out, "  {line}")?;
    }
    for finding in &findings {
        let (rule, count, ids) = (finding.check.rule, finding.count, &finding.ids);
        writeln!(out, "  broken: {rule} ({count} times, {ids:?})")?;
    }
    let verdict = if sound {
        "the books agree"
    } else {
        "THE BOOKS DISAGREE"
    };
    writeln!(out, "\n{verdict}")?;
    Ok(sound)
}

fn sum_theirs(payments: &[Payment], counts: impl Fn(simulator::State) -> bool) -> (usize, Fen) {
    let chosen = payments.iter().filter(|payment| counts(payment.state));
    chosen.fold((0, Fen::ZERO), |(count, sum), payment| {
        (count + 1, Fen(sum.0 + payment.amount_fen))
    })
}

fn sum_ours(numbers: &BTreeMap<String, Number>, counts: impl Fn(State) -> bool) -> (usize, Fen) {
    let chosen = numbers.values().filter(|number| counts(number.state));
    chosen.fold((0, Fen::ZERO), |(count, sum), number| {
        (count + 1, Fen(sum.0 + number.amount.0))
    })
}

/// In the demo every recipient gets one packet, so whoever is in the provider's
/// books twice was paid twice.
fn paid_twice(payments: &[Payment]) -> usize {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for payment in payments {
        *seen.entry(&payment.openid_hash).or_default() += payment.times_paid;
    }
    seen.values().filter(|times| **times > 1).count()
}

fn live_twice(numbers: &BTreeMap<String, Number>) -> usize {
    let mut seen: BTreeMap<i64, u32> = BTreeMap::new();
    for number in numbers.values() {
        let live = !matches!(number.state, State::Failed | State::Refunded);
        *seen.entry(number.issuance.0).or_default() += u32::from(live);
    }
    seen.values().filter(|times| **times > 1).count()
}
