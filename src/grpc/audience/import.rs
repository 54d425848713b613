//! ImportRecipients: a stream of messages, each a transaction of its own.

use std::collections::{HashMap, HashSet};

use tonic::{Status, Streaming};

use super::people::{PEOPLE_MAX, parse_person};
use super::{Backend, Caller, Fields, GROUPS_MAX, pb, status};
use crate::domain::error::Violation;
use crate::domain::id::{GroupId, ShopId};
use crate::domain::text::Uid;
use crate::domain::{Error, Reason, Result};
use crate::grpc::call::{body, call};
use crate::store::audience::Person;

/// Refusals that an answer names.
const SHOWN: usize = 100;

pub(super) async fn import(
    backend: &Backend,
    caller: &Caller,
    mut messages: Streaming<pb::ImportRecipientsRequest>,
) -> Result<pb::ImportRecipientsResponse, Status> {
    let Some(first) = messages.message().await? else {
        let text = "the stream is empty; the first message names the import".to_owned();
        let error = Error::field("request_id", Reason::RequestIdInvalid, text);
        return Err(status::status(error));
    };
    let begun = begin(backend, caller, &first).await;
    let (shop, groups, replayed) = begun.map_err(status::status)?;
    let mut import = Import {
        shop,
        groups,
        place: 0,
        answer: pb::ImportRecipientsResponse {
            replayed,
            ..Default::default()
        },
    };
    let mut next = Some(first);
    while let Some(message) = next {
        let taken = import.take(backend, message.recipients).await;
        taken.map_err(status::status)?;
        next = messages.message().await?;
    }
    Ok(import.answer)
}

/// Names the import. Its fingerprint is what its first message says of the whole, so
/// that a stream that broke may be cut into other messages the next time.
async fn begin(
    backend: &Backend,
    caller: &Caller,
    first: &pb::ImportRecipientsRequest,
) -> Result<(ShopId, Vec<GroupId>, bool)> {
    let shop = caller.shop(first.shop_id)?;
    let mut fields = Fields::default();
    let body = body!(
        ImportRecipientsRequest,
        first,
        request_id,
        shop_id,
        recipients
    );
    let call = call(
        &mut fields,
        caller,
        "ImportRecipients",
        Some(shop),
        &first.request_id,
        false,
        &body,
    );
    let groups = fields.ids(
        &first.wx_group_ids,
        "wx_group_ids",
        GroupId::parse,
        GROUPS_MAX,
    );
    let (call, groups) = fields.finish(call.zip(groups))?;
    let replayed = backend
        .store
        .begin_import(call, shop, groups.clone())
        .await?;
    Ok((shop, groups, replayed))
}

/// An import under way.
struct Import {
    shop: ShopId,
    groups: Vec<GroupId>,
    /// How many recipients came before.
    place: i64,
    answer: pb::ImportRecipientsResponse,
}

impl Import {
    async fn take(&mut self, backend: &Backend, raw: Vec<pb::RecipientInput>) -> Result<()> {
        if raw.len() > PEOPLE_MAX {
            let text = format!(
                "{} recipients; one message of an import takes at most {PEOPLE_MAX}",
                raw.len()
            );
            return Err(Error::field("recipients", Reason::BatchTooLarge, text));
        }
        let (people, places) = self.parse(&raw);
        if !people.is_empty() {
            let imported = backend
                .store
                .import(self.shop, self.groups.clone(), people)
                .await?;
            self.answer.created_count += i64::from(imported.done.created);
            self.answer.updated_count += i64::from(imported.done.updated);
            let mut refused = HashSet::new();
            for refusal in imported.refusals {
                // A recipient may be wrong twice, but he is one.
                if refused.insert(refusal.index) {
                    let place = places.get(refusal.index).copied().unwrap_or(0);
                    self.refuse(
                        place,
                        &refusal.uid,
                        Violation {
                            path: refusal.field,
                            reason: refusal.reason,
                            message: refusal.message,
                        },
                    );
                }
            }
        }
        self.place += i64::try_from(raw.len()).unwrap_or(0);
        Ok(())
    }

    /// Those that can be read and that do not collide within the message, with their
    /// places in the import.
    fn parse(&mut self, raw: &[pb::RecipientInput]) -> (Vec<Person>, Vec<i64>) {
        let (mut people, mut places) = (Vec::with_capacity(raw.len()), Vec::new());
        let mut uids = HashMap::new();
        let mut mobiles = HashMap::new();
        let mut openids = HashMap::new();
        for (place, raw) in (self.place..).zip(raw) {
            let mut fields = Fields::default();
            let person = parse_person(&mut fields, "", raw);
            let person = match fields.finish(person) {
                Ok(person) => person,
                Err(error) => {
                    let first = error.violations.into_iter().next();
                    let uid = Uid::parse(&raw.uid).map_or("", |_| raw.uid.as_str());
                    self.refuse(place, uid, first.unwrap_or_else(unreadable));
                    continue;
                }
            };
            let mobile = person.mobile.as_ref();
            let of_mobile = mobile.and_then(|mobile| mobiles.get(mobile));
            let of_openid = person.openids.iter().find_map(|pair| openids.get(pair));
            let earlier = [
                ("uid", uids.get(&person.uid)),
                ("mobile", of_mobile),
                ("openids", of_openid),
            ];
            let collides = earlier
                .into_iter()
                .find_map(|(path, earlier)| Some((path, earlier?)));
            if let Some((path, earlier)) = collides {
                let violation = Violation {
                    path: path.to_owned(),
                    reason: Reason::DuplicateItem,
                    message: format!(
                        "is that of record {earlier} in the same message; the whole record is left out"
                    ),
                };
                self.refuse(place, person.uid.as_str(), violation);
                continue;
            }
            uids.insert(person.uid.clone(), place);
            mobiles.extend(person.mobile.clone().map(|mobile| (mobile, place)));
            openids.extend(person.openids.iter().cloned().map(|pair| (pair, place)));
            people.push(person);
            places.push(place);
        }
        (people, places)
    }

    fn refuse(&mut self, index: i64, uid: &str, violation: Violation) {
        self.answer.refused_count += 1;
        if self.answer.refusals.len() < SHOWN {
            self.answer.refusals.push(pb::ImportRefusal {
                index,
                uid: uid.to_owned(),
                field: violation.path.trim_start_matches('.').to_owned(),
                reason: violation.reason.name().to_owned(),
                message: violation.message,
            });
        }
    }
}

fn unreadable() -> Violation {
    Violation {
        path: String::new(),
        reason: Reason::InvalidFields,
        message: "cannot be read".to_owned(),
    }
}
