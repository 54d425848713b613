//! Reading recipients that are to be made or completed.

use std::collections::{HashMap, HashSet};

use super::{Fields, pb};
use crate::domain::Reason;
use crate::domain::text::{Appid, Openid};
use crate::store::audience::Person;

/// Recipients of one call at most.
pub(super) const PEOPLE_MAX: usize = 1_000;
/// Openids of one recipient in one call at most.
const OPENIDS_MAX: usize = 10;
/// A nickname's bytes at most.
const NICKNAME_MAX: usize = 128;

pub(super) fn parse_people(fields: &mut Fields, raw: &[pb::RecipientInput]) -> Option<Vec<Person>> {
    if raw.is_empty() {
        fields.bad(
            "recipients",
            Reason::FieldRequired,
            "name 1 to 1,000 recipients",
        );
    }
    if raw.len() > PEOPLE_MAX {
        let text = format!(
            "{} recipients; one call takes at most {PEOPLE_MAX}",
            raw.len()
        );
        fields.bad("recipients", Reason::BatchTooLarge, text);
        return None;
    }
    let mut seen = HashSet::new();
    let mut people = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let path = format!("recipients[{index}]");
        if !raw.uid.is_empty() && !seen.insert(raw.uid.as_str()) {
            fields.bad(
                format!("{path}.uid"),
                Reason::DuplicateItem,
                "stands more than once in this call",
            );
        }
        people.extend(parse_person(fields, &path, raw));
    }
    no_two_share(fields, &people);
    Some(people)
}

/// Nobody in a call may have the openid or the mobile of somebody else in it.
fn no_two_share(fields: &mut Fields, people: &[Person]) {
    let (mut mobiles, mut openids) = (HashMap::new(), HashMap::new());
    for (index, person) in people.iter().enumerate() {
        let path = format!("recipients[{index}]");
        if let Some(mobile) = &person.mobile
            && *mobiles.entry(mobile).or_insert(index) != index
        {
            let text = "another recipient of this call has the same number";
            fields.bad(format!("{path}.mobile"), Reason::DuplicateItem, text);
        }
        for (at, pair) in person.openids.iter().enumerate() {
            if *openids.entry(pair).or_insert(index) != index {
                let path = format!("{path}.openids[{at}].openid");
                let text = "another recipient of this call has the same openid";
                fields.bad(path, Reason::DuplicateItem, text);
            }
        }
    }
}

pub(super) fn parse_person(
    fields: &mut Fields,
    path: &str,
    raw: &pb::RecipientInput,
) -> Option<Person> {
    let uid = fields.uid(&raw.uid, &format!("{path}.uid"));
    let nickname = fields.text(&raw.nickname, &format!("{path}.nickname"), NICKNAME_MAX);
    let mobile = match raw.mobile.as_str() {
        "" => Some(None),
        mobile => fields.mobile(mobile, &format!("{path}.mobile")).map(Some),
    };
    if raw.openids.len() > OPENIDS_MAX {
        fields.bad(
            format!("{path}.openids"),
            Reason::BatchTooLarge,
            format!("at most {OPENIDS_MAX}"),
        );
        return None;
    }
    let mut appids = HashSet::new();
    let mut openids = Vec::with_capacity(raw.openids.len());
    for (index, raw) in raw.openids.iter().enumerate() {
        let path = format!("{path}.openids[{index}]");
        let rule = "1 to 32 characters of [A-Za-z0-9_-]";
        let appid = fields.name(
            &raw.appid,
            &format!("{path}.appid"),
            Appid::parse,
            Reason::AppidInvalid,
            rule,
        );
        let openid = fields.name(
            &raw.openid,
            &format!("{path}.openid"),
            Openid::parse,
            Reason::OpenidInvalid,
            rule,
        );
        if !appids.insert(raw.appid.as_str()) {
            fields.bad(
                format!("{path}.appid"),
                Reason::DuplicateItem,
                "a recipient has one openid for an appid",
            );
        }
        openids.extend(appid.zip(openid));
    }
    let branch = match raw.shop_sub_id {
        None => Some(None),
        Some(raw) => fields.branch(raw, &format!("{path}.shop_sub_id")).map(Some),
    };
    Some(Person {
        uid: uid?,
        nickname: nickname.filter(|n| !n.is_empty()),
        mobile: mobile?,
        openids,
        branch: branch?,
    })
}
