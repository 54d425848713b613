//! Requests and replies that no golden file needs.

use super::*;

#[test]
fn prefixes_lead_nowhere_else() {
    let with = |give: &str| Prefixes {
        give: give.to_owned(),
        ..Prefixes::default()
    };
    for good in ["", "/gw", "/gw/v1", "/MAP_2-x"] {
        assert!(with(good).are_sound(), "{good}");
    }
    for bad in [
        "gw", "/", "/gw/", "//gw", "/gw?x", "/..", "/a b", "@evil", "/a#b", "/%2e",
    ] {
        assert!(!with(bad).are_sound(), "{bad}");
    }
}

#[test]
fn keys_are_not_printed() {
    let key = AppKey::parse("secretAppKey").unwrap();
    assert_eq!(format!("{key:?}"), "AppKey(…)");
    for bad in ["", "a b", "key\n", &"k".repeat(129)] {
        assert!(AppKey::parse(bad).is_none(), "{bad:?}");
    }
}
