//! Dividing a pot among people.
//!
//! The textbook draw (up to twice the mean of what is left) has no upper bound and
//! favours whoever comes late. Here each share is drawn from the window around the
//! mean of what is left that is symmetric and keeps both bounds reachable for the
//! rest: with x <= 2R/n - min at least min is left for each of the others, and with
//! x >= 2R/n - max at most max. The spread still grows with the place, so the
//! finished list is shuffled; then every place has the same expectation.
//!
//! All of it is a function of a keyed hash: the same request divides alike.

use ring::hmac;

use super::money::Fen;
use super::number::{Seed, tag};

/// Shares of one pot at most: they are made in memory, in one transaction.
pub const SHARES_MAX: i64 = 100_000;

/// `count` shares of a pot, each within `min..=max`, their sum the pot; nothing if
/// there is no such division.
#[must_use]
pub fn split(
    key: &hmac::Key,
    seed: &Seed<'_>,
    pot: Fen,
    count: usize,
    bounds: (Fen, Fen),
) -> Option<Vec<Fen>> {
    let (min, max) = (i128::from(bounds.0.0), i128::from(bounds.1.0));
    let people = i128::try_from(count).ok()?;
    let mut rest = i128::from(pot.0);
    if people == 0 || min > max || rest < people * min || rest > people * max {
        return None;
    }
    let mut stream = Stream::new(key, seed);
    let mut shares = Vec::with_capacity(count);
    for left in (1..=people).rev() {
        // n times the half-width of the window, so that nothing is rounded yet.
        let reach = (rest - left * min).min(left * max - rest);
        let (low, high) = (ceil_div(rest - reach, left), (rest + reach) / left);
        let span = u128::try_from(high - low).unwrap_or(0) + 1;
        // The last one gets what is left, which the windows before have kept in bounds.
        let share = match left {
            1 => rest,
            _ => low + i128::try_from(stream.next() % span).unwrap_or(0),
        };
        rest -= share;
        shares.push(Fen(i64::try_from(share).ok()?));
    }
    stream.shuffle(&mut shares);
    Some(shares)
}

fn ceil_div(a: i128, b: i128) -> i128 {
    (a + b - 1).div_euclid(b)
}

/// Numbers from a keyed hash in counter mode, 128 bits each: reduced to a range, the
/// bias is below 2^-60.
struct Stream<'a> {
    key: &'a hmac::Key,
    seed: &'a Seed<'a>,
    block: i32,
    spare: Option<u128>,
}

impl<'a> Stream<'a> {
    fn new(key: &'a hmac::Key, seed: &'a Seed<'a>) -> Self {
        Self {
            key,
            seed,
            block: 0,
            spare: None,
        }
    }

    fn next(&mut self) -> u128 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let hash = tag(self.key, "split", self.seed, Some(self.block));
        self.block = self.block.wrapping_add(1);
        let wide = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0_u128, |acc, byte| (acc << 8) | u128::from(*byte))
        };
        let (first, second) = hash.as_ref().split_at(16);
        self.spare = Some(wide(second));
        wide(first)
    }

    fn shuffle(&mut self, shares: &mut [Fen]) {
        for last in (1..shares.len()).rev() {
            let among = u128::try_from(last).unwrap_or(0) + 1;
            let other = usize::try_from(self.next() % among).unwrap_or(0);
            shares.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::{AppId, ShopId};

    fn divide(request: &str, pot: i64, count: usize, min: i64, max: i64) -> Option<Vec<Fen>> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let seed = Seed {
            shop: ShopId(1),
            app: AppId(1),
            request,
            item: "pot",
        };
        split(&key, &seed, Fen(pot), count, (Fen(min), Fen(max)))
    }

    #[test]
    fn what_cannot_be_divided_is_refused() {
        assert_eq!(divide("r", 299, 3, 100, 200), None);
        assert_eq!(divide("r", 601, 3, 100, 200), None);
        assert_eq!(divide("r", 100, 0, 1, 200), None);
        assert_eq!(divide("r", 100, 1, 200, 100), None);
        assert_eq!(divide("r", 300, 3, 100, 200), Some(vec![Fen(100); 3]));
        assert_eq!(divide("r", 600, 3, 100, 200), Some(vec![Fen(200); 3]));
    }

    #[test]
    fn the_largest_pot_does_not_wrap() {
        let shares = divide("r", i64::MAX, 3, 1, i64::MAX).unwrap();
        let sum: i128 = shares.iter().map(|s| i128::from(s.0)).sum();
        assert_eq!(sum, i128::from(i64::MAX));
    }

    /// Every place gets the same amounts equally often. Ten people, a pot of 1,000,
    /// 30 to 150 each, the case in which the textbook draw gives the first place half
    /// as much again as the last: 4,000 pots, each place's shares sorted into four
    /// classes of the shares of all places.
    #[test]
    fn places_are_exchangeable() {
        const PLACES: usize = 10;
        const POTS: usize = 4_000;
        let pots: Vec<Vec<Fen>> = (0..POTS)
            .map(|n| divide(&format!("r{n}"), 1_000, PLACES, 30, 150).unwrap())
            .collect();
        let mut all: Vec<i64> = pots.iter().flatten().map(|s| s.0).collect();
        all.sort_unstable();
        let cuts: Vec<i64> = (1..4).map(|q| all[all.len() * q / 4]).collect();
        let class = |share: i64| cuts.iter().filter(|cut| share >= **cut).count();
        let mut counts = [[0_i64; 4]; PLACES];
        let mut sums = [0_i64; PLACES];
        for pot in &pots {
            for (place, share) in pot.iter().enumerate() {
                counts[place][class(share.0)] += 1;
                sums[place] += share.0;
            }
        }
        // Each class's size over all places, spread evenly over them. In thousandths.
        let mut chi = 0;
        for q in 0..4 {
            let total: i64 = counts.iter().map(|place| place[q]).sum();
            let due = total * 1_000 / i64::try_from(PLACES).unwrap();
            for place in &counts {
                let off = place[q] * 1_000 - due;
                chi += off * off / due;
            }
        }
        // 27 degrees of freedom: 55.5 is exceeded once in a thousand.
        assert!(chi < 55_500, "chi-square {chi}/1000, {counts:?}");
        for sum in sums {
            let mean = sum / i64::try_from(POTS).unwrap();
            assert!((98..=102).contains(&mean), "means {sums:?}");
        }
    }

    proptest! {
        #[test]
        fn the_sum_is_exact_and_both_bounds_are_kept(
            count in 1_usize..200, min in 1_i64..500, more in 0_i64..20_000, at in 0_u64..=1_000, request in "[a-z]{1,8}",
        ) {
            let people = i64::try_from(count).unwrap();
            let (low, high) = (people * min, people * (min + more));
            let pot = low + i64::try_from(i128::from(high - low) * i128::from(at) / 1_000).unwrap();
            let shares = divide(&request, pot, count, min, min + more).unwrap();
            prop_assert_eq!(shares.len(), count);
            prop_assert_eq!(shares.iter().map(|s| s.0).sum::<i64>(), pot);
            prop_assert!(shares.iter().all(|s| (min..=min + more).contains(&s.0)));
            prop_assert_eq!(divide(&request, pot, count, min, min + more), Some(shares));
        }
    }
}
