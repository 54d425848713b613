//! The end of a campaign: two books and a journal are laid beside each other.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Cell, Table, presets};
use futures::StreamExt as _;
use hongbao::cli::verify::differences;
use hongbao::grpc::pb;
use hongbao::store::Store;

use super::books::Theirs;
use super::journal::{Ask, Asked, Story};
use super::load::{SHOP, send};
use super::watch::{Rows, Samples};
use crate::support::Client;

/// Calls under way while every acknowledged request is read again.
const READERS: usize = 8;

/// A rule and what breaks it.
#[derive(Debug)]
pub struct Verdict {
    rule: &'static str,
    checked: usize,
    broken: Vec<String>,
}

/// Everything that is laid side by side.
#[derive(Debug)]
pub struct Audit<'a> {
    pub story: &'a Story,
    pub theirs: &'a Theirs,
    pub samples: &'a Samples,
    pub store: &'a Store,
    pub rows: &'a Rows,
    pub mch_id: &'a str,
    pub campaign: i64,
}

impl Audit<'_> {
    pub async fn run(&self, client: &Client) -> Vec<Verdict> {
        let paid = self.theirs.payments.len();
        let mut verdicts = vec![
            Verdict {
                rule: "no recipient is paid twice (books by openid, without our database)",
                checked: paid,
                broken: self.theirs.paid_twice(self.story),
            },
            self.by_issuance().await,
            self.by_books().await,
            Verdict {
                rule: "every rule of `verify` holds in every sample under load",
                checked: usize::try_from(self.samples.taken).unwrap(),
                broken: self.samples.findings.clone(),
            },
            self.rules_at_the_end().await,
            self.acknowledged(client).await,
            self.nothing_else().await,
            self.budget(client).await,
        ];
        let open = self.rows.open().await;
        verdicts.push(Verdict {
            rule: "everything has reached an end",
            checked: self.story.packets(),
            broken: (open > 0)
                .then(|| format!("{open} packets are open"))
                .into_iter()
                .collect(),
        });
        verdicts.push(Verdict {
            rule: "no call was refused",
            checked: self.story.asked.len(),
            broken: self.story.refused.clone(),
        });
        verdicts
    }

    /// The books once more, by the issuance that our database has for a number.
    async fn by_issuance(&self) -> Verdict {
        let numbers = self.store.numbers(self.mch_id).await.unwrap();
        let mut times: BTreeMap<i64, u32> = BTreeMap::new();
        let mut broken = Vec::new();
        for payment in &self.theirs.payments {
            match numbers.get(&payment.mch_billno) {
                None => broken.push(format!("{} has no attempt", payment.mch_billno)),
                Some(number) if number.amount.0 != payment.amount_fen => {
                    broken.push(format!("{} has another amount", payment.mch_billno));
                }
                Some(number) => {
                    *times.entry(number.issuance.0).or_default() += payment.times_paid;
                }
            }
        }
        let twice = times.into_iter().filter(|(_, times)| *times > 1);
        broken.extend(twice.map(|(id, times)| format!("issuance {id} {times} times")));
        Verdict {
            rule: "every payment has its attempt and amount, and no issuance two payments",
            checked: self.theirs.payments.len(),
            broken,
        }
    }

    async fn by_books(&self) -> Verdict {
        let numbers = self.store.numbers(self.mch_id).await.unwrap();
        Verdict {
            rule: "both books tell the same of every number (`verify --books`)",
            checked: numbers.len(),
            broken: differences(&numbers, &self.theirs.payments),
        }
    }

    async fn rules_at_the_end(&self) -> Verdict {
        let findings = self.store.verify().await.unwrap();
        Verdict {
            rule: "every rule of `verify` holds at the end",
            checked: hongbao::store::verify::checks().count(),
            broken: findings
                .iter()
                .map(|finding| format!("{}: {:?}", finding.check.name, finding.ids))
                .collect(),
        }
    }

    /// Each request that was answered is there, says so when repeated, and was one.
    async fn acknowledged(&self, client: &Client) -> Verdict {
        let answered: Vec<(&String, &Asked)> = self
            .story
            .asked
            .iter()
            .filter(|(_, asked)| !asked.replies.is_empty())
            .collect();
        let broken: Vec<String> = futures::stream::iter(&answered)
            .map(|(request_id, asked)| async move {
                self.still_there(client, request_id, asked)
                    .await
                    .err()
                    .map(|why| format!("{request_id}: {why}"))
            })
            .buffer_unordered(READERS)
            .filter_map(|broken| async move { broken })
            .collect()
            .await;
        Verdict {
            rule: "every acknowledged request is there, once, and its repetition says replayed",
            checked: answered.len(),
            broken,
        }
    }

    async fn still_there(
        &self,
        client: &Client,
        request_id: &str,
        asked: &Asked,
    ) -> Result<(), String> {
        let first = asked.replies[0];
        let same = |(id, fen, _): &(i64, i64, bool)| (*id, *fen) == (first.0, first.1);
        if !asked.replies.iter().all(same) {
            return Err(format!("its replies differ: {:?}", asked.replies));
        }
        if asked.replies.iter().filter(|reply| !reply.2).count() > 1 {
            return Err("two replies say that they made it".to_owned());
        }
        let again = send(client, self.campaign, request_id, &asked.ask, false)
            .await
            .map_err(|status| format!("repeated: {status}"))?;
        if again != (first.0, first.1, true) {
            return Err(format!("repeated: {again:?} instead of {first:?}"));
        }
        match &asked.ask {
            Ask::Single { .. } => {
                let request = pb::GetIssuanceRequest {
                    shop_id: SHOP,
                    r#ref: Some(pb::get_issuance_request::Ref::IssuanceId(first.0)),
                    ..Default::default()
                };
                let found = client.issuances().get_issuance(request).await;
                let found = found.map_err(|status| status.to_string())?.into_inner();
                let issuance = found.issuance.unwrap_or_default();
                (issuance.amount_fen == first.1 && issuance.batch_id == 0)
                    .then_some(())
                    .ok_or_else(|| format!("is {issuance:?}"))
            }
            Ask::Batch { people } => {
                let request = pb::GetBatchRequest {
                    shop_id: SHOP,
                    batch_id: first.0,
                };
                let found = client.issuances().get_batch(request).await;
                let found = found.map_err(|status| status.to_string())?.into_inner();
                let batch = found.batch.unwrap_or_default();
                let counts = batch.counts.unwrap_or_default();
                let size = i64::try_from(people.len()).unwrap();
                (batch.settled && (counts.requested_count, counts.accepted_count) == (size, size))
                    .then_some(())
                    .ok_or_else(|| format!("counts {counts:?}"))
            }
        }
    }

    /// The database holds the packets that were asked for, and no others.
    async fn nothing_else(&self) -> Verdict {
        let there = self.rows.number("SELECT COUNT(*) AS n FROM issuance").await;
        let asked = self.story.packets();
        let broken = (usize::try_from(there).unwrap() != asked)
            .then(|| format!("{there} packets for {asked} that were asked for"));
        Verdict {
            rule: "as many packets as were asked for",
            checked: asked,
            broken: broken.into_iter().collect(),
        }
    }

    /// granted = defunded + available + held + transit + paid, and each of them is
    /// what the provider's books say.
    async fn budget(&self, client: &Client) -> Verdict {
        let budget = client.budget(SHOP, self.campaign).await;
        let parts = [
            budget.defunded_fen,
            budget.available_fen,
            budget.held_fen,
            budget.transit_fen,
            budget.paid_fen,
        ];
        let mut broken = BTreeSet::new();
        if budget.granted_fen != parts.iter().sum::<i64>() {
            broken.insert(format!("the parts do not add up: {budget:?}"));
        }
        let in_review = self
            .rows
            .number("SELECT CAST(COALESCE(SUM(amount_fen), 0) AS BIGINT) AS n FROM issuance WHERE state = 'REVIEW'")
            .await;
        if budget.held_fen != in_review {
            broken.insert(format!("held {} of {in_review} in review", budget.held_fen));
        }
        // What waits for a person may be with the recipient: it is held until he decides.
        let (received, out) = self.theirs.kept();
        let ours = budget.paid_fen + budget.transit_fen;
        if ours > received + out || received + out > ours + budget.held_fen {
            broken.insert(format!(
                "paid and in transit {ours}, in their books {received} and {out}"
            ));
        }
        Verdict {
            rule: "the budget adds up and is what the provider's books say",
            checked: 3,
            broken: broken.into_iter().collect(),
        }
    }
}

/// Prints the verdicts and returns the rules that are broken.
pub fn report(verdicts: &[Verdict]) -> Vec<&'static str> {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_header(["rule", "checked", "broken"]);
    for verdict in verdicts {
        table.add_row([
            Cell::new(verdict.rule),
            Cell::new(verdict.checked),
            Cell::new(verdict.broken.len()),
        ]);
    }
    println!("{table}");
    let broken = verdicts.iter().filter(|v| !v.broken.is_empty());
    for verdict in broken.clone() {
        for line in verdict.broken.iter().take(5) {
            println!("BROKEN {}: {line}", verdict.rule);
        }
    }
    broken.map(|verdict| verdict.rule).collect()
}
