//! Private keys in OpenSSH's form (PROTOCOL.key). ssh-key decrypts; the fields are read here, since it refuses one P-256 key in
//! 256: those whose number begins with a zero byte, which an mpint leaves out.

use super::super::token::Handle;
use crate::signature::curve::Curve;
use crate::signature::ssh::wire::{Reader, WireError, Writer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use ssh_key::cipher::Tag;
use ssh_key::{Cipher, Kdf};
use zeroize::Zeroizing;

pub(super) const HEADER: &[u8] = b"-----BEGIN OPENSSH PRIVATE KEY-----";
const FOOTER: &[u8] = b"-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

pub(super) type Number = Zeroizing<Vec<u8>>;

/// A private key file, locked or not.
pub(super) struct Container {
    /// The public key's blob, which is never encrypted.
    pub(super) public: Vec<u8>,
    cipher: Cipher,
    kdf: Kdf,
    private: Zeroizing<Vec<u8>>,
    tag: Option<Tag>,
}

/// A private key.
pub(super) enum Secret {
    Ed25519 { seed: Zeroizing<[u8; 32]> },
    Ecdsa { curve: &'static Curve, point: Vec<u8>, scalar: Number },
    Rsa { n: Number, e: Number, d: Number, q_inverse: Number, p: Number, q: Number },
    Token(Handle),
}

impl Secret {
    /// The public key that belongs to it, as it travels; `None` for what lies on a token. Of an ECDSA or RSA key it is the one
    /// beside the numbers: that these belong together is checked where they are loaded.
    pub(super) fn public(&self) -> Option<Vec<u8>> {
        let writer = Writer::default();
        match self {
            Self::Ed25519 { seed } => {
                Some(writer.string(b"ssh-ed25519").string(SigningKey::from_bytes(seed).verifying_key().as_bytes()))
            }
            Self::Ecdsa { curve, point, .. } => {
                Some(writer.string(curve.key_type.as_bytes()).string(curve.name.as_bytes()).string(point))
            }
            Self::Rsa { n, e, .. } => Some(writer.string(b"ssh-rsa").mpint(e).mpint(n)),
            Self::Token(_) => None,
        }
        .map(Writer::into_bytes)
    }
}

impl Container {
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let body = text.strip_prefix(HEADER).ok_or("it is not in OpenSSH's form")?;
        let end = body.windows(FOOTER.len()).position(|window| window == FOOTER).ok_or("it is cut short")?;
        let body = body.get(..end).unwrap_or_default();
        let mut packed = Zeroizing::new(Vec::with_capacity(body.len()));
        packed.extend(body.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let bytes = Zeroizing::new(STANDARD.decode(packed.as_slice()).map_err(|error| error.to_string())?);
        Self::read(&bytes).map_err(|WireError| WireError.to_string())?
    }

    fn read(bytes: &[u8]) -> Result<Result<Self, String>, WireError> {
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(WireError);
        }
        let (cipher, kdf) = (reader.text()?, reader.text()?);
        let mut options = Reader::new(reader.string()?);
        if reader.u32()? != 1 {
            return Err(WireError); // more than one key has never been written
        }
        let (public, private) = (reader.string()?.to_vec(), Zeroizing::new(reader.string()?.to_vec()));
        let Ok(cipher) = Cipher::new(cipher) else {
            return Ok(Err(format!("its cipher {} is not supported", cipher.escape_debug())));
        };
        let kdf = match kdf {
            "none" => Kdf::None,
            "bcrypt" => Kdf::Bcrypt { salt: options.string()?.to_vec(), rounds: options.u32()? },
            other => return Ok(Err(format!("its key derivation {} is not supported", other.escape_debug()))),
        };
        let tag = reader.rest();
        let tag = if tag.is_empty() { None } else { Some(Tag::try_from(tag).map_err(|_| WireError)?) };
        Ok(Ok(Self { public, cipher, kdf, private, tag }))
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.cipher != Cipher::None
    }

    /// The key of a file that is not encrypted.
    pub(super) fn open(&self) -> Result<Secret, String> {
        secret(&self.private).map_err(|error| error.to_string())?
    }

    /// The key of one that is; `None` where the passphrase is wrong.
    pub(super) fn decrypt(&self, passphrase: &[u8]) -> Option<Result<Secret, String>> {
        let (key, iv) = self.kdf.derive_key_and_iv(self.cipher, passphrase).ok()?;
        let mut private = self.private.clone();
        self.cipher.decrypt(&key, &iv, &mut private, self.tag).ok()?;
        secret(&private).ok() // a wrong passphrase shows in the check number
    }
}

fn secret(bytes: &[u8]) -> Result<Result<Secret, String>, WireError> {
    let mut reader = Reader::new(bytes);
    if reader.u32()? != reader.u32()? {
        return Err(WireError);
    }
    let start = reader.rest();
    let kind = reader.text()?;
    let key = match (kind, Curve::of_key_type(kind)) {
        ("ssh-ed25519", _) => {
            let (public, private) = (reader.string()?, reader.string()?);
            let (seed, tail) = private.split_at_checked(32).ok_or(WireError)?;
            if tail != public {
                return Err(WireError);
            }
            Secret::Ed25519 { seed: Zeroizing::new(seed.try_into().map_err(|_| WireError)?) }
        }
        ("ssh-rsa", _) => {
            let mut next = || reader.mpint().map(|(digits, _)| Zeroizing::new(digits.to_vec()));
            Secret::Rsa { n: next()?, e: next()?, d: next()?, q_inverse: next()?, p: next()?, q: next()? }
        }
        (_, Some(curve)) => {
            let (name, point, (digits, _)) = (reader.string()?, reader.string()?.to_vec(), reader.mpint()?);
            if name != curve.name.as_bytes() {
                return Err(WireError);
            }
            let mut scalar = Zeroizing::new(vec![0; curve.size]);
            let start = curve.size.checked_sub(digits.len()).ok_or(WireError)?;
            scalar.iter_mut().skip(start).zip(digits).for_each(|(to, &from)| *to = from);
            Secret::Ecdsa { curve, point, scalar }
        }
        ("sk-ssh-ed25519@openssh.com" | "sk-ecdsa-sha2-nistp256@openssh.com", _) => {
            let fields = if kind.starts_with("sk-ecdsa") { 3 } else { 2 }; // the curve, the point, the application
            for _ in 0..fields {
                reader.string()?;
            }
            let flags = reader.byte()?;
            let (_handle, _reserved) = (reader.string()?, reader.string()?);
            let length = start.len().saturating_sub(reader.rest().len());
            let private = Zeroizing::new(start.get(..length).ok_or(WireError)?.to_vec());
            Secret::Token(Handle { private, flags })
        }
        _ => return Ok(Err(format!("keys of type {} are not supported", kind.escape_debug()))),
    };
    reader.string()?; // the comment
    let padded = reader.rest().iter().zip(1_u8..).all(|(&byte, count)| byte == count);
    if padded { Ok(Ok(key)) } else { Err(WireError) }
}
