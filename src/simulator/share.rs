//! How a group packet is divided, and who takes its shares.
//!
//! Both are fixed when the order is stored and written into the books with it. Only the seed user
//! is somebody; the others are openids made up here, so the books may hold them in clear.

use super::books::Share;
use super::draw;

/// Divides an amount into as many shares, of one fen at least, in the order in which they are
/// taken. The seed user takes the first.
pub(super) fn split(seed: u64, mch_billno: &str, total_fen: i64, count: i64) -> Vec<Share> {
    let mut left_fen = total_fen;
    (0..count)
        .map(|index| {
            let people = count - index;
            let amount_fen = if people == 1 {
                left_fen
            } else {
                // Up to twice the average of what is left, once everybody has a fen.
                let widest = (left_fen - people).saturating_mul(2) / people;
                draw::between(
                    1,
                    widest + 2,
                    seed,
                    &["share", mch_billno, &index.to_string()],
                )
            };
            left_fen -= amount_fen;
            Share {
                amount_fen,
                taker: (index > 0).then(|| taker(seed, mch_billno, index)),
            }
        })
        .collect()
}

fn taker(seed: u64, mch_billno: &str, index: i64) -> String {
    let lot = draw::draw(seed, &["taker", mch_billno, &index.to_string()]);
    format!("oSIMSHARE{lot:016x}{index:03}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_fen_is_in_some_share_and_no_share_is_empty() {
        for (n, (total_fen, count)) in (0..).zip([(3, 3), (4, 3), (20, 20), (300, 3), (9_999, 7)]) {
            for number in 0..100 {
                let mch_billno = format!("{n}{number}");
                let shares = split(7, &mch_billno, total_fen, count);
                assert_eq!(i64::try_from(shares.len()).unwrap(), count);
                let amounts = || shares.iter().map(|share| share.amount_fen);
                assert_eq!(amounts().sum::<i64>(), total_fen);
                assert!(amounts().all(|amount_fen| amount_fen >= 1));
                assert_eq!(shares, split(7, &mch_billno, total_fen, count));
            }
        }
        assert_ne!(split(1, "n", 900, 3), split(2, "n", 900, 3));
    }

    #[test]
    fn the_first_is_the_seed_user_and_the_others_are_different_openids() {
        let shares = split(1, "n", 2_000, 20);
        assert_eq!(shares.first().unwrap().taker, None);
        let others: HashSet<&String> = shares.iter().filter_map(|s| s.taker.as_ref()).collect();
        assert_eq!(others.len(), 19);
        for openid in others {
            assert!(openid.len() <= 32);
            assert!(openid.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }
}
