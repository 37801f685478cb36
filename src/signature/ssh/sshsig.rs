//! The SSHSIG frame (PROTOCOL.sshsig).

use super::wire::{Reader, WireError, Writer};
use sha2::{Digest, Sha256, Sha512};

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;

/// The hash functions that SSHSIG allows over the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageHash {
    /// SHA-256.
    Sha256,
    /// SHA-512, what ssh-keygen writes unless told otherwise.
    Sha512,
}

impl MessageHash {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The hash of a name on the wire.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|hash| hash.name().as_bytes() == name)
    }

    /// The digest of a message given in parts.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha256 => digest::<Sha256>(parts),
            Self::Sha512 => digest::<Sha512>(parts),
        }
    }
}

fn digest<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = D::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// A signature as it stands inside the armour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshSig<'a> {
    /// The public key's (or certificate's) blob.
    pub public_key: &'a [u8],
    /// The namespace that the signature was made for.
    pub namespace: &'a [u8],
    /// Signed, but without meaning today; ssh-keygen writes and expects nothing in particular.
    pub reserved: &'a [u8],
    /// The name of the hash function over the message.
    pub hash: &'a [u8],
    /// The signature blob.
    pub signature: &'a [u8],
}

impl<'a> SshSig<'a> {
    /// Reads the frame.
    ///
    /// # Errors
    /// Where it is cut short, has another magic or version, or is followed by anything.
    pub fn parse(blob: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(blob);
        if reader.take(MAGIC.len())? != MAGIC || reader.u32()? != VERSION {
            return Err(WireError);
        }
        let frame = Self {
            public_key: reader.string()?,
            namespace: reader.string()?,
            reserved: reader.string()?,
            hash: reader.string()?,
            signature: reader.string()?,
        };
        reader.finish()?;
        Ok(frame)
    }

    /// The frame as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::default()
            .raw(MAGIC)
            .u32(VERSION)
            .string(self.public_key)
            .string(self.namespace)
            .string(self.reserved)
            .string(self.hash)
            .string(self.signature)
            .into_bytes()
    }
}

/// What the key signs: the frame's fields and the message's digest.
pub fn signed_data(namespace: &[u8], reserved: &[u8], hash: MessageHash, digest: &[u8]) -> Vec<u8> {
    Writer::default().raw(MAGIC).string(namespace).string(reserved).string(hash.name().as_bytes()).string(digest).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_lies() {
        let frame = SshSig { public_key: b"k", namespace: b"git", reserved: b"", hash: b"sha512", signature: b"s" };
        let bytes = frame.to_bytes();
        assert_eq!(SshSig::parse(&bytes), Ok(frame));
        for cut in 0..bytes.len() {
            assert_eq!(SshSig::parse(&bytes[..cut]), Err(WireError), "cut at {cut}");
        }
        assert_eq!(SshSig::parse(&[&bytes[..], b"x"].concat()), Err(WireError));
        let mut version = bytes.clone();
        version[9] = 2;
        assert_eq!(SshSig::parse(&version), Err(WireError));
    }
}
