//! Pages: how many rows, and where the next page starts.
//!
//! A token holds the last id of a page and a checksum of all other arguments, so
//! that it is refused with other ones. It gives no rights: rows of other tenants
//! are kept out by every query, whatever a token says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::parse::Fields;
use crate::domain::Reason;
use crate::store::page::Page;

const SIZE_DEFAULT: u64 = 50;
const SIZE_MAX: u64 = 500;

/// The page that a request asks for. `scope` stands for all other arguments.
pub fn parse(fields: &mut Fields, size: i32, token: &str, scope: &[u8]) -> Option<Page> {
    let size = match u64::try_from(size) {
        Ok(0) => SIZE_DEFAULT,
        Ok(size) => size.min(SIZE_MAX),
        Err(_) => {
            fields.bad("page_size", Reason::OutOfRange, "must not be negative");
            return None;
        }
    };
    let before = if token.is_empty() {
        Some(None)
    } else {
        let text = "not a next_page_token for these arguments; start again without one";
        fields
            .take(
                decode(token, scope),
                "page_token",
                Reason::PageTokenInvalid,
                text,
            )
            .map(Some)
    }?;
    Some(Page { before, size })
}

/// The token of the next page, if this one is full.
#[must_use]
pub fn next<T>(rows: &[T], page: Page, scope: &[u8], id: impl Fn(&T) -> i64) -> String {
    let full = u64::try_from(rows.len()).is_ok_and(|count| count >= page.size);
    match rows.last() {
        Some(last) if full => encode(id(last), scope),
        _ => String::new(),
    }
}

fn encode(id: i64, scope: &[u8]) -> String {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend_from_slice(&checksum(id, scope));
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(token: &str, scope: &[u8]) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (id, sum) = bytes.split_at_checked(8)?;
    let id = i64::from_be_bytes(id.try_into().ok()?);
    (id > 0 && sum == checksum(id, scope)).then_some(id)
}

fn checksum(id: i64, scope: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(b"page 1\0");
    hash.update(id.to_be_bytes());
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
        let token = encode(42, b"shop 1");
        assert_eq!(decode(&token, b"shop 1"), Some(42));
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
            Some(500)
        );
        assert!(parse(&mut fields, -1, "", b"").is_none());
    }
}
