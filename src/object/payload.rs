//! What a signature covers.

use super::id::write_hex;
use sha2::{Digest, Sha256};
use std::fmt;

/// The bytes that a signature covers: the object less what git takes out, as slices of the object in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload<'a> {
    parts: Vec<&'a [u8]>,
}

impl<'a> Payload<'a> {
    /// A payload that is one piece.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self { parts: vec![bytes] }
    }

    /// The slices, in order; together they are the payload.
    pub fn parts(&self) -> &[&'a [u8]] {
        &self.parts
    }

    /// The payload in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts.concat()
    }

    /// The payload id.
    pub fn id(&self) -> PayloadId {
        let mut hash = Sha256::new();
        for part in &self.parts {
            hash.update(part);
        }
        PayloadId(hash.finalize().into())
    }

    pub(super) fn push(&mut self, part: &'a [u8]) {
        if !part.is_empty() {
            self.parts.push(part);
        }
    }
}

/// SHA-256 of a payload. Two objects that differ only in what no signature covers share it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadId(pub [u8; 32]);

impl fmt::Display for PayloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for PayloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadId({self})")
    }
}
