//! Identifiers and secrets from the system's randomness.

/// 62 letters and digits, as the providers' identifiers have.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// `prefix` and 24 random letters and digits.
pub(crate) fn id(prefix: &str) -> Result<String, getrandom::Error> {
    id_of::<24>(prefix)
}

/// `prefix` and `N` random letters and digits, nearly 6 bits each.
pub(crate) fn id_of<const N: usize>(prefix: &str) -> Result<String, getrandom::Error> {
    // The remainder favours some letters slightly.
    let letters = bytes::<N>()?.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    Ok(prefix.chars().chain(letters).collect())
}

/// A number from 0 up to and including `most`.
pub(crate) fn up_to(most: u64) -> Result<u64, getrandom::Error> {
    Ok(getrandom::u64()? % most.saturating_add(1).max(1))
}
