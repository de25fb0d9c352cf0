//! A hash that is the same in every build, because it is kept in status across upgrades. It guards against
//! accidents, not against attackers: who can write these objects needs no collision.

/// FNV-1a over everything that is fed to it, with separators between.
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);

impl Digest {
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.0 = (self.0 ^ 0xff).wrapping_mul(0x0100_0000_01b3);
        self
    }

    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    pub fn finish(self) -> u64 {
        mix(self.0)
    }
}

/// Spreads every bit of a number over all others.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn it_never_changes_between_builds() {
        assert_eq!(
            Digest::new().text("tasks").number(7).finish(),
            Digest::new().text("tasks").number(7).finish()
        );
        assert_ne!(
            Digest::new().text("ab").text("c").finish(),
            Digest::new().text("a").text("bc").finish()
        );
    }
}
