//! Public keys as policies list them: `type base64 comment`.

use crate::evidence::Key;
use crate::signature::ssh::PublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

/// A key that a policy lists.
pub type ListedKey = Arc<Key>;

/// The text is not a public key of a type that is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a public key")]
pub struct NotAKey;

/// The key as [`read_key`] reads it.
pub fn written(key: &Key) -> String {
    format!("{} {}", key.algorithm, STANDARD.encode(&key.blob))
}

/// Reads `type base64`, whatever follows (OpenSSH's `sshkey_read`).
///
/// # Errors
/// Where the type is unknown, the base64 is broken, or the blob is not a key of that type.
pub fn read_key(text: &[u8]) -> Result<ListedKey, NotAKey> {
    let mut words = text.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
    let (Some(algorithm), Some(encoded)) = (words.next(), words.next()) else { return Err(NotAKey) };
    let packed: Vec<u8> = encoded.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n' | 0x0b | 0x0c)).collect();
    let blob = STANDARD.decode(packed).map_err(|_| NotAKey)?;
    let key = PublicKey::parse(&blob).map_err(|_| NotAKey)?;
    if key.info().algorithm.as_bytes() == algorithm { Ok(Arc::clone(key.info())) } else { Err(NotAKey) }
}
