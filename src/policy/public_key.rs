//! Public keys as policies list them: `type base64 comment`.

use crate::evidence::Key;
use crate::signature::ssh::{KeyError, PublicKey};
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
    let (algorithm, blob) = decode(text)?;
    let key = PublicKey::parse(&blob).map_err(|_| NotAKey)?;
    if key.info().algorithm.as_bytes() == algorithm { Ok(Arc::clone(key.info())) } else { Err(NotAKey) }
}

/// Reads the same in a list of what is revoked, where keys may stand that no signature here can be by; the blob that keys are
/// compared by.
///
/// # Errors
/// As [`read_key`].
pub fn read_revoked(text: &[u8]) -> Result<Vec<u8>, NotAKey> {
    read_key(text).map(|key| key.blob.clone()).or_else(|_| {
        let (algorithm, blob) = decode(text)?;
        let named = matches!(algorithm, b"ssh-dss" | b"ssh-rsa") && blob.get(4..11) == Some(algorithm);
        revoked_blob(&blob, PublicKey::parse_plain(&blob)).filter(|_| named).ok_or(NotAKey)
    })
}

/// The blob that a plain key which is revoked is compared by. Of DSA, and of RSA keys of any size, it stands as it is; of a type
/// that is not known at all there is none, for nobody could say that it was understood.
pub fn revoked_blob(blob: &[u8], parsed: Result<PublicKey, KeyError>) -> Option<Vec<u8>> {
    match parsed {
        Ok(key) => Some(key.info().blob.clone()),
        Err(KeyError::RsaSize(_)) => Some(blob.to_vec()),
        Err(KeyError::Unsupported(kind)) if kind == "ssh-dss" => Some(blob.to_vec()),
        Err(_) => None,
    }
}

fn decode(text: &[u8]) -> Result<(&[u8], Vec<u8>), NotAKey> {
    let mut words = text.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
    let (Some(algorithm), Some(encoded)) = (words.next(), words.next()) else { return Err(NotAKey) };
    let packed: Vec<u8> = encoded.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n' | 0x0b | 0x0c)).collect();
    Ok((algorithm, STANDARD.decode(packed).map_err(|_| NotAKey)?))
}
