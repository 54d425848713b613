//! What the provider makes up for an order: its own number, and a mini-program's package.

use super::clock;
use super::draw;

/// The provider's own number of an order, in the form of a real one.
pub(super) fn send_listid(seed: u64, mch_billno: &str, at_ms: i64) -> String {
    let lot = draw::draw(seed, &["list", mch_billno]) % 100_000_000_000_000;
    format!("10000000{}{lot:014}", clock::beijing_day(at_ms))
}

/// What a mini-program hands on to open the packet: opaque to everybody else, and urlencoded.
pub(super) fn package(seed: u64, mch_billno: &str) -> String {
    let word = |part| format!("{:016x}", draw::draw(seed, &["package", mch_billno, part]));
    format!(
        "sendid%3D{}{}%26ver%3D8%26sign%3D{}{}",
        word("id, first half"),
        word("id, second half"),
        word("sign, first half"),
        word("sign, second half")
    )
}
