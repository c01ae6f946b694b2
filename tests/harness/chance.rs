//! Random numbers that a failing run can be given again, and how long runs are.

/// Whether tests run at full length.
pub(crate) fn soak() -> bool {
    std::env::var_os("FEDSX_SOAK").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Random numbers from a printed seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    #[expect(
        clippy::print_stderr,
        reason = "a failing run is run again by its seed"
    )]
    pub(crate) fn seeded() -> Self {
        let given = std::env::var("FEDSX_SEED").ok();
        let seed = match given {
            Some(text) => text.parse().expect("FEDSX_SEED is a whole number"),
            None => getrandom::u64().expect("randomness"),
        };
        eprintln!("FEDSX_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let bound = u64::from(bound.max(1));
        u32::try_from(self.next() % bound).expect("below a u32")
    }

    /// One of a list.
    pub(crate) fn of<T: Copy>(&mut self, list: &[T]) -> T {
        let bound = u32::try_from(list.len()).expect("a short list");
        list[self.below(bound) as usize]
    }

    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
