//! Packets for many: users of one call, or the members of groups, each group a batch.

use std::collections::HashSet;

use super::super::audience::open_openid;
use super::super::tx::Fault;
use super::ground::Ground;
use super::people::Person;
use super::{Command, MEMBERS_MAX, Unit, overflow};
use crate::domain::amount::AmountType;
use crate::domain::id::{GroupId, RecipientId};
use crate::domain::item;
use crate::domain::number::{Seed, order_key};
use crate::domain::split::split;
use crate::domain::text::Uid;
use crate::domain::{Error, Fen, Reason, Result};

/// What a call for many is to write.
pub(super) struct Many {
    pub(super) ground: Ground,
    pub(super) parts: Vec<Part>,
    /// Memberships that were left out.
    pub(super) repeated: i64,
}

/// One batch of it.
pub(super) struct Part {
    /// The group and its name; none for users.
    pub(super) group: Option<(GroupId, String)>,
    /// Whether the group is a part of what names a packet.
    pub(super) every_group: bool,
    pub(super) people: Vec<Person>,
    /// How much each of them gets.
    pub(super) amounts: Vec<Fen>,
}

impl Part {
    /// What names a packet of this batch within the call.
    pub(super) fn item(&self, unit: &Unit<'_>, ground: &Ground, person: &Person) -> Result<String> {
        let shop = ground.campaign.shop_id;
        let openid = match (&person.uid, &person.openid) {
            (None, Some((cipher, _))) => Some(open_openid(unit.store.keys(), shop, cipher)?),
            _ => None,
        };
        let whose = item::person(person.uid.as_ref(), &ground.appid, openid.as_ref());
        Ok(match &self.group {
            Some((group, _)) if self.every_group => item::member(*group, &whose),
            _ => whose,
        })
    }

    pub(super) fn accepted(&self) -> impl Iterator<Item = (usize, &Person)> {
        self.people
            .iter()
            .enumerate()
            .filter(|(_, person)| person.refusal().is_none())
    }
}

impl Many {
    pub(super) fn packets(&self) -> usize {
        self.parts.iter().map(|part| part.people.len()).sum()
    }

    pub(super) fn accepted(&self) -> i64 {
        let count: usize = self.parts.iter().map(|part| part.accepted().count()).sum();
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    pub(super) fn sum(&self) -> Result<Fen> {
        Fen::checked_sum(self.held().map(|(_, amount)| amount)).ok_or_else(overflow)
    }

    /// Who gets a packet, and how much.
    pub(super) fn held(&self) -> impl Iterator<Item = (&Person, Fen)> {
        self.parts.iter().flat_map(|part| {
            part.accepted()
                .filter_map(|(index, person)| Some((person, *part.amounts.get(index)?)))
        })
    }
}

impl Unit<'_> {
    pub(super) async fn to_users(
        &self,
        command: &Command,
        ground: Ground,
        uids: &[Uid],
        pot: Option<Fen>,
    ) -> Result<Many, Fault> {
        let people = self.tx.users(command.shop, &ground.appid, uids).await?;
        let part = Part {
            group: None,
            every_group: false,
            people,
            amounts: Vec::new(),
        };
        self.with_amounts(command, ground, vec![part], pot, 0).await
    }

    pub(super) async fn to_groups(
        &self,
        command: &Command,
        ground: Ground,
        ids: &[GroupId],
        every_group: bool,
        pot: Option<Fen>,
    ) -> Result<Many, Fault> {
        let groups = self.tx.groups(command.shop, ids).await?;
        let mut seen: HashSet<RecipientId> = HashSet::new();
        let (mut parts, mut repeated) = (Vec::with_capacity(ids.len()), 0);
        for id in ids {
            let mut people = self.tx.members(command.shop, *id, &ground.appid).await?;
            if !every_group {
                let before = people.len();
                people.retain(|person| person.recipient.is_none_or(|id| seen.insert(id)));
                repeated += i64::try_from(before - people.len()).unwrap_or(i64::MAX);
            }
            let name = groups.get(id).map(|row| row.name.clone());
            parts.push(Part {
                group: name.map(|name| (*id, name)),
                every_group,
                people,
                amounts: Vec::new(),
            });
        }
        let packets: usize = parts.iter().map(|part| part.people.len()).sum();
        if packets == 0 {
            let text =
                "the groups have no members; SetGroupMembers or ImportRecipients can add some";
            return Err(Error::new(Reason::GroupEmpty, text.to_owned()).into());
        }
        if packets > MEMBERS_MAX {
            let text = format!("{packets} members; one call takes at most {MEMBERS_MAX}");
            return Err(Error::field("wx_group_ids", Reason::BatchTooLarge, text).into());
        }
        self.with_amounts(command, ground, parts, pot, repeated)
            .await
    }

    /// Fixes what everybody gets, and who has had as much as one may get.
    async fn with_amounts(
        &self,
        command: &Command,
        ground: Ground,
        mut parts: Vec<Part>,
        pot: Option<Fen>,
        repeated: i64,
    ) -> Result<Many, Fault> {
        let rule = ground.rule()?;
        let key = self.store.keys().number();
        let mut items: Vec<Vec<String>> = Vec::new();
        if rule.kind() != AmountType::Fixed {
            for part in &parts {
                let named = part
                    .people
                    .iter()
                    .map(|person| part.item(self, &ground, person));
                items.push(named.collect::<Result<_>>()?);
            }
        }
        match pot {
            None => {
                for (index, part) in parts.iter_mut().enumerate() {
                    let people = 0..part.people.len();
                    let amount = |person: usize| {
                        let item = items.get(index).and_then(|items| items.get(person));
                        let item = item.map_or("", String::as_str);
                        rule.amount(key, &seed(command, item), None)
                            .ok_or_else(|| Error::internal("a rule gives no amount", "issue"))
                    };
                    part.amounts = people.map(amount).collect::<Result<_>>()?;
                }
                self.cap_people(&ground, &mut parts).await?;
            }
            Some(pot) => {
                // Nobody knows his share before it is known who gets one: a person is
                // judged by the largest.
                for part in &mut parts {
                    part.amounts = vec![rule.max(); part.people.len()];
                }
                self.cap_people(&ground, &mut parts).await?;
                // Whoever is refused holds the least, in case he is sent it again later.
                for part in &mut parts {
                    part.amounts = vec![rule.min(); part.people.len()];
                }
                // The shares go to people in the order of a keyed hash of their names:
                // nobody's place in a list matters, and a retry finds the same order.
                let mut order = Vec::new();
                for (index, part) in parts.iter().enumerate() {
                    for (person, _) in part.accepted() {
                        let item = items.get(index).and_then(|items| items.get(person));
                        let item = item.map_or("", String::as_str);
                        order.push((order_key(key, &seed(command, item)), index, person));
                    }
                }
                order.sort_unstable();
                let shares = divide(self, command, pot, order.len(), &ground)?;
                for ((_, index, person), share) in order.into_iter().zip(shares) {
                    let part = parts.get_mut(index).map(|part| &mut part.amounts);
                    if let Some(amount) = part.and_then(|amounts| amounts.get_mut(person)) {
                        *amount = share;
                    }
                }
            }
        }
        Ok(Many {
            ground,
            parts,
            repeated,
        })
    }
}

/// The shares of a call's pot; none if nobody is there to get one.
fn divide(
    unit: &Unit<'_>,
    command: &Command,
    pot: Fen,
    people: usize,
    ground: &Ground,
) -> Result<Vec<Fen>> {
    if people == 0 {
        return Ok(Vec::new());
    }
    let rule = ground.rule()?;
    let bounds = (rule.min(), rule.max());
    let key = unit.store.keys().number();
    split(key, &seed(command, "pot"), pot, people, bounds).ok_or_else(|| {
        let text = format!(
            "{pot} yuan cannot be divided among {people} people with {} to {} yuan each",
            rule.min(),
            rule.max()
        );
        Error::field("pot_fen", Reason::AmountOutOfRange, text)
    })
}

/// What an item's number and amount are derived from.
pub(super) fn seed<'a>(command: &'a Command, item: &'a str) -> Seed<'a> {
    Seed {
        shop: command.shop,
        app: command.call.app,
        request: command.call.request.as_str(),
        item,
    }
}
