//! What names a packet within the call that asked for it.
//!
//! A merchant order number is derived from this name when a packet is accepted, and
//! again when it is sent once more, perhaps years later. Both must find the same
//! words, so they are written here and nowhere else, from things that the caller
//! named: never a place in a list, nor the id of a row that a retry would not get.

use super::id::{AppId, CampaignId, GroupId, ShopId};
use super::number::Seed;
use super::text::{Appid, Openid, Uid};

/// Somebody who was named by his uid or, without one, by his openid of an appid.
/// Several who have neither share a name: they are refused, and have no number.
#[must_use]
pub fn person(uid: Option<&Uid>, appid: &Appid, openid: Option<&Openid>) -> String {
    match (uid, openid) {
        (Some(uid), _) => format!("uid:{uid}"),
        (None, Some(openid)) => format!("openid:{appid}:{}", openid.expose()),
        (None, None) => "nobody".to_owned(),
    }
}

/// Somebody as a member of one of several groups, each of which gives him a packet.
#[must_use]
pub fn member(group: GroupId, person: &str) -> String {
    format!("group:{group}/{person}")
}

/// The how-manieth scan of a campaign's code by an openid.
#[must_use]
pub fn scan(campaign: CampaignId, scan_no: i32, appid: &Appid, openid: &Openid) -> String {
    format!("scan:{campaign}:{scan_no}:{appid}:{}", openid.expose())
}

/// What a scan's number and amount are derived from: no app and no request, for a
/// phone that scans again brings others.
#[must_use]
pub fn scan_seed(shop: ShopId, item: &str) -> Seed<'_> {
    Seed {
        shop,
        app: AppId(0),
        request: "",
        item,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pinned_for_ever() {
        // If one changes, a retry after a failover pays twice. None must change.
        let uid = Uid::parse("42").unwrap();
        let appid = Appid::parse("wx1").unwrap();
        let openid = Openid::parse("oA").unwrap();
        let by_uid = person(Some(&uid), &appid, Some(&openid));
        assert_eq!(by_uid, "uid:42");
        assert_eq!(person(None, &appid, Some(&openid)), "openid:wx1:oA");
        assert_eq!(member(GroupId(7), &by_uid), "group:7/uid:42");
        assert_eq!(scan(CampaignId(3), 2, &appid, &openid), "scan:3:2:wx1:oA");
    }
}
