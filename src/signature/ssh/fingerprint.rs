//! Hashes that stand for a key.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

/// OpenSSH's fingerprint of a key blob: `SHA256:` and unpadded base64.
pub fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(blob)))
}

/// SHA-256 of a key blob.
pub fn sha256(blob: &[u8]) -> Vec<u8> {
    Sha256::digest(blob).to_vec()
}

/// SHA-1 of a key blob: old KRLs name keys by it, which revokes, and proves nothing.
pub fn sha1(blob: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, blob).as_ref().to_vec()
}
