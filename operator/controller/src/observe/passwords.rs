//! Passwords for a database that is new.

use observedapp_desired::FreshPasswords;
use rand::RngExt;

pub fn generate() -> FreshPasswords {
    FreshPasswords {
        app: password(),
        superuser: password(),
    }
}

/// 160 random bits, in characters that need no quoting anywhere.
fn password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = rand::rng();
    (0..32)
        .map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::password;

    #[test]
    fn passwords_are_long_and_differ() {
        assert_eq!(password().len(), 32);
        assert_ne!(password(), password());
    }
}
