//! Object ids of both of git's hash functions.

use std::fmt;
use std::str::FromStr;

/// The hash function of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// 20 bytes, git's default.
    Sha1,
    /// 32 bytes, `extensions.objectFormat = sha256`.
    Sha256,
}

impl HashAlgorithm {
    /// The length of an id in bytes.
    pub fn id_length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The header in which a commit of such a repository carries its signature.
    pub fn signature_header(self) -> &'static [u8] {
        match self {
            Self::Sha1 => b"gpgsig",
            Self::Sha256 => b"gpgsig-sha256",
        }
    }

    /// The other hash function: its signature header may stand in an object that was made in both.
    pub fn other(self) -> Self {
        match self {
            Self::Sha1 => Self::Sha256,
            Self::Sha256 => Self::Sha1,
        }
    }
}

/// The id of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    algorithm: HashAlgorithm,
    bytes: [u8; 32],
}

impl ObjectId {
    /// An id from its 20 or 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let algorithm = match bytes.len() {
            20 => HashAlgorithm::Sha1,
            32 => HashAlgorithm::Sha256,
            _ => return None,
        };
        let mut id = Self { algorithm, bytes: [0; 32] };
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(id)
    }

    /// An id from 40 or 64 lower-case hexadecimal digits, the only form that git writes into objects.
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0u8; 32];
        if hex.len() > 64 || !hex.len().is_multiple_of(2) {
            return None;
        }
        for (out, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *out = digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?;
        }
        Self::from_bytes(bytes.get(..hex.len() / 2)?)
    }

    /// The hash function that made it.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Its 20 or 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.algorithm.id_length()).unwrap_or(&self.bytes)
    }

    /// Whether all bytes are zero: git's "no object" in hooks.
    pub fn is_zero(&self) -> bool {
        self.bytes == [0; 32]
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> String {
        let mut hex = self.to_string();
        hex.truncate(12);
        hex
    }
}

/// Writes up to 32 bytes as lower-case hexadecimal digits.
pub(super) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, &byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    f.write_str(text.get(..2 * bytes.len()).and_then(|text| std::str::from_utf8(text).ok()).ok_or(fmt::Error)?)
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.as_bytes())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for ObjectId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        Self::from_hex(text.as_bytes()).ok_or(NotAnId)
    }
}

/// The text is not 40 or 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a full object id (40 or 64 lower-case hexadecimal digits)")]
pub struct NotAnId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip() {
        for hex in ["0123456789abcdef0123456789abcdef01234567", &"ab".repeat(32)] {
            assert_eq!(hex.parse::<ObjectId>().unwrap().to_string(), hex);
        }
        for bad in ["", "01", &"0".repeat(39), &"A".repeat(40), &"0".repeat(66), &"g".repeat(40)] {
            assert_eq!(bad.parse::<ObjectId>(), Err(NotAnId), "{bad}");
        }
        assert!("0".repeat(40).parse::<ObjectId>().unwrap().is_zero());
    }
}
