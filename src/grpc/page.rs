//! Pages: how many rows, and where the next page starts.
//!
//! A token holds the place of the last row of a page and a checksum of all other arguments, so
//! that it is refused with other ones. It gives no rights: rows of other tenants
//! are kept out by every query, whatever a token says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::parse::Fields;
use crate::domain::Reason;
use crate::store::page::Page;

const SIZE_DEFAULT: u64 = 50;
const SIZE_MAX: u64 = 1_000;

/// The page that a request asks for. `scope` stands for all other arguments.
pub fn parse(fields: &mut Fields, size: i32, token: &str, scope: &[u8]) -> Option<Page> {
    let size = parse_size(fields, size);
    let after = parse_after(fields, token, scope, 1);
    let before = after?.and_then(|keys| keys.first().copied());
    Some(Page {
        before,
        size: size?,
    })
}

/// How many rows a request asks for.
pub fn parse_size(fields: &mut Fields, size: i32) -> Option<u64> {
    match u64::try_from(size) {
        Ok(0) => Some(SIZE_DEFAULT),
        Ok(size) => Some(size.min(SIZE_MAX)),
        Err(_) => {
            fields.bad("page_size", Reason::OutOfRange, "must not be negative");
            None
        }
    }
}

/// The place of the last row before a page: so many numbers. The outer option is
/// nothing if the token is wrong.
pub fn parse_after(
    fields: &mut Fields,
    token: &str,
    scope: &[u8],
    keys: usize,
) -> Option<Option<Vec<i64>>> {
    if token.is_empty() {
        return Some(None);
    }
    let place = decode(token, scope).filter(|place| place.len() == keys);
    let text = "not a next_page_token for these arguments; start again without one";
    fields
        .take(place, "page_token", Reason::PageTokenInvalid, text)
        .map(Some)
}

/// The token of the next page, if this one is full.
#[must_use]
pub fn next<T>(rows: &[T], page: Page, scope: &[u8], id: impl Fn(&T) -> i64) -> String {
    next_after(rows, page.size, scope, |row| vec![id(row)])
}

/// The token of the next page, if this one is full, for any kind of order.
#[must_use]
pub fn next_after<T>(
    rows: &[T],
    size: u64,
    scope: &[u8],
    place: impl Fn(&T) -> Vec<i64>,
) -> String {
    let full = u64::try_from(rows.len()).is_ok_and(|count| count >= size);
    match rows.last() {
        Some(last) if full => encode(&place(last), scope),
        _ => String::new(),
    }
}

/// A place in a feed, for a reader to keep; `scope` says of which feed.
#[must_use]
pub fn cursor(place: i64, scope: &[u8]) -> String {
    encode(&[place], scope)
}

/// The place of a cursor; nothing if it is of another feed, or none.
#[must_use]
pub fn parse_cursor(raw: &str, scope: &[u8]) -> Option<i64> {
    match decode(raw, scope)?.as_slice() {
        [place] if *place >= 0 => Some(*place),
        _ => None,
    }
}

fn encode(place: &[i64], scope: &[u8]) -> String {
    let mut bytes: Vec<u8> = place.iter().flat_map(|key| key.to_be_bytes()).collect();
    let sum = checksum(&bytes, scope);
    bytes.extend_from_slice(&sum);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(token: &str, scope: &[u8]) -> Option<Vec<i64>> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (place, sum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    if sum != checksum(place, scope) {
        return None;
    }
    let (keys, rest) = place.as_chunks::<8>();
    rest.is_empty()
        .then(|| keys.iter().map(|key| i64::from_be_bytes(*key)).collect())
}

fn checksum(place: &[u8], scope: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(b"page 2\0");
    hash.update(place.len().to_be_bytes());
    hash.update(place);
    hash.update(scope);
    let mut sum = [0; 8];
    sum.iter_mut()
        .zip(hash.finalize())
        .for_each(|(to, from)| *to = from);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_only_its_arguments() {
        let token = encode(&[42, -1], b"shop 1");
        assert_eq!(decode(&token, b"shop 1"), Some(vec![42, -1]));
        assert_eq!(decode(&token, b"shop 2"), None);
        assert_eq!(decode("AAAA", b"shop 1"), None);
        assert_eq!(decode("!", b"shop 1"), None);
    }

    #[test]
    fn sizes_are_coerced_and_negative_ones_refused() {
        let mut fields = Fields::default();
        assert_eq!(parse(&mut fields, 0, "", b"").map(|p| p.size), Some(50));
        assert_eq!(
            parse(&mut fields, 9_999, "", b"").map(|p| p.size),
            Some(1_000)
        );
        assert!(parse(&mut fields, -1, "", b"").is_none());
    }
}
