//! Evidence that may be looked at any time and as often as one likes.
//!
//! Trials come one after the other, and each is said to hit with a chance of at most some share. If the odds of a hit
//! were higher by a factor, what was seen would be more likely, by `factor^hits / (1 + (factor - 1) share)^trials`.
//! While what was said is true this ratio is expected to be 1 at most, whatever came before; so it is a bet that cannot
//! be expected to win, and the chance that its stake ever grows a thousandfold is at most one in a thousand, however
//! long it runs (Ville 1939). Nobody knows the factor, so the stake is spread over some: their sum is such a bet, too.
//!
//! This is the mixture sequential probability ratio test: Robbins, "Statistical methods related to the law of the
//! iterated logarithm" (1970); Johari, Pekelis, Walsh, "Always valid inference" (2015) say why a test that is looked at
//! again and again must be one.

/// Factors of the odds, with the part of the stake on each. Most of it is on what must be found within a thousand
/// requests, twenty times as many failures: ten finds it as soon, and forgives the old pods' failures less dearly. It
/// finds all larger ones, too; the others find the smaller ones.
const STAKES: [(f64, f64); 3] = [(1.5, 0.05), (3.0, 0.1), (10.0, 0.85)];

/// What a number of trials say against their share of hits, as the logarithm of each stake.
#[derive(Clone, Debug)]
pub struct Evidence([f64; STAKES.len()]);

impl Evidence {
    pub fn none() -> Self {
        Self(STAKES.map(|(_, stake)| stake.ln()))
    }

    /// Adds trials of which each hits with a chance of at most `share`, if what is doubted is true.
    pub fn add(&mut self, hits: f64, trials: f64, share: f64) {
        for (log, (factor, _)) in self.0.iter_mut().zip(STAKES) {
            *log += hits * factor.ln() - trials * ((factor - 1.0) * share).ln_1p();
        }
    }

    /// The logarithm of how often the stake has multiplied.
    pub fn log(&self) -> f64 {
        let largest = self.0.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.0.iter().map(|log| (log - largest).exp()).sum();
        largest + sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expects_no_gain_while_the_share_is_true() {
        for share in [0.0001, 0.01, 0.3, 0.9] {
            let mut hit = Evidence::none();
            hit.add(1.0, 1.0, share);
            let mut miss = Evidence::none();
            miss.add(0.0, 1.0, share);
            let expected = share * hit.log().exp() + (1.0 - share) * miss.log().exp();
            assert!((expected - 1.0).abs() < 1e-9, "{expected} at {share}");
        }
    }

    #[test]
    fn holds_numbers_that_no_power_can() {
        let mut evidence = Evidence::none();
        evidence.add(1e6, 1e6, 0.001);
        assert!(evidence.log().is_finite() && evidence.log() > 1e6);
        evidence.add(0.0, 1e12, 0.001);
        assert!(evidence.log().is_finite() && evidence.log() < -1e6);
    }
}
