//! A small seeded generator (splitmix64): the same seed gives the same trial on every machine.

/// The state of one generator.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator for one purpose: `parts` (seed, trial, name…) are mixed into its start.
    pub(crate) fn new(seed: u64, name: &str, index: u64) -> Random {
        let mut random = Random(seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93));
        for byte in name.bytes() {
            random.0 ^= u64::from(byte);
            random.next();
        }
        random.next();
        random
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Fills a buffer: file contents that do not compress.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self.next().to_le_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_trial_others() {
        let first: Vec<u64> = (0..4).map(|_| Random::new(7, "load", 3).next()).collect();
        assert!(first.iter().all(|number| *number == first[0]));
        assert_ne!(Random::new(7, "load", 3).next(), Random::new(7, "load", 4).next());
        assert_ne!(Random::new(7, "load", 3).next(), Random::new(7, "rmi", 3).next());
    }
}
