//! Secret keys in OpenPGP packets (RFC 9580 §5.5.3), locked or not. What signs with them is not here.

use super::certificate::{Certificates, parser};
use crate::armor;
use crate::signature::curve::{self, Curve};
use sequoia_openpgp::anyhow::Error;
use sequoia_openpgp::crypto::Password;
use sequoia_openpgp::crypto::mpi::{PublicKey, SecretKeyMaterial as Numbers};
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{SecretKeyMaterial, SecretParts, UnspecifiedRole};
use sequoia_openpgp::types::Curve as PgpCurve;
use std::collections::HashMap;
use zeroize::Zeroizing;

/// The secret keys of a file, and the certificates around them.
pub struct SecretKeys {
    certificates: Certificates,
    /// By the fingerprint of the key itself, uppercase hexadecimal.
    keys: HashMap<String, Key<SecretParts, UnspecifiedRole>>,
}

/// Why a file has no secret keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("it is no OpenPGP key, or cannot be read ({0})")]
    Malformed(String),
    /// It holds public keys only.
    #[error("it holds no secret key; gpg --export-secret-keys writes one")]
    None,
}

/// The numbers of a secret key, big-endian.
pub enum Secret {
    /// RSA; `u` is the inverse of `p` modulo `q`.
    #[allow(missing_docs)] // they are RSA's
    Rsa {
        n: Zeroizing<Vec<u8>>,
        e: Zeroizing<Vec<u8>>,
        d: Zeroizing<Vec<u8>>,
        p: Zeroizing<Vec<u8>>,
        q: Zeroizing<Vec<u8>>,
        u: Zeroizing<Vec<u8>>,
    },
    /// Ed25519: the seed.
    Ed25519(Zeroizing<[u8; 32]>),
    /// ECDSA.
    Ecdsa {
        /// The curve.
        curve: &'static Curve,
        /// The public point, not compressed.
        point: Vec<u8>,
        /// The secret number, as long as the curve's.
        scalar: Zeroizing<Vec<u8>>,
    },
}

impl SecretKeys {
    /// Reads a file, armoured or not.
    ///
    /// # Errors
    /// Where it cannot be read, or holds no secret key. One that only says that the secret is elsewhere (on a card) is none.
    pub fn read(file: &[u8]) -> Result<Self, SecretError> {
        let armored = file.trim_ascii_start();
        let packets = match armored.starts_with(b"-----BEGIN ") {
            true => Zeroizing::new(armor::decode_keys(armored).map_err(|error| SecretError::Malformed(error.to_string()))?),
            false => Zeroizing::new(file.to_vec()),
        };
        let mut found = Self { certificates: Certificates::default(), keys: HashMap::new() };
        let malformed = |error: Error| SecretError::Malformed(error.to_string());
        for cert in parser(packets.as_slice()).map_err(malformed)? {
            let cert = cert.map_err(malformed)?;
            for key in cert.keys().secret().map(|key| key.key().clone()).filter(is_here) {
                found.keys.insert(key.fingerprint().to_hex(), key);
            }
            found.certificates.merge(cert);
        }
        if found.keys.is_empty() { Err(SecretError::None) } else { Ok(found) }
    }

    /// The certificates, without any secret.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Whether the secret part of a key is in the file.
    pub fn has(&self, fingerprint: &str) -> bool {
        self.keys.contains_key(fingerprint)
    }

    /// Whether a passphrase is needed for it.
    pub fn is_locked(&self, fingerprint: &str) -> bool {
        self.keys.get(fingerprint).is_some_and(|key| !key.has_unencrypted_secret())
    }

    /// The numbers of a key; `None` where the passphrase is wrong.
    ///
    /// # Errors
    /// Where the key is not there, or is of an algorithm that is not signed with.
    pub fn open(&self, fingerprint: &str, passphrase: &[u8]) -> Option<Result<Secret, String>> {
        let Some(key) = self.keys.get(fingerprint) else { return Some(Err("the secret key is not in it".to_owned())) };
        let key = match key.has_unencrypted_secret() {
            true => key.clone(),
            false => key.clone().decrypt_secret(&Password::from(passphrase)).ok()?,
        };
        let SecretKeyMaterial::Unencrypted(numbers) = key.secret() else { return None };
        let secret = numbers.map(|numbers| secret_of(key.mpis(), numbers));
        Some(secret.ok_or_else(|| "its algorithm is not signed with here".to_owned()))
    }
}

/// GnuPG writes a stub where the secret lies on a card, or was left out.
fn is_here(key: &Key<SecretParts, UnspecifiedRole>) -> bool {
    match key.secret() {
        SecretKeyMaterial::Unencrypted(_) => true,
        SecretKeyMaterial::Encrypted(encrypted) => encrypted.s2k().is_supported(),
    }
}

fn secret_of(public: &PublicKey, numbers: &Numbers) -> Option<Secret> {
    let bytes = |value: &[u8]| Zeroizing::new(value.to_vec());
    match (public, numbers) {
        (PublicKey::RSA { e, n }, Numbers::RSA { d, p, q, u }) => Some(Secret::Rsa {
            n: bytes(n.value()),
            e: bytes(e.value()),
            d: bytes(d.value()),
            p: bytes(p.value()),
            q: bytes(q.value()),
            u: bytes(u.value()),
        }),
        (PublicKey::EdDSA { curve: PgpCurve::Ed25519, .. }, Numbers::EdDSA { scalar }) => {
            let mut seed = Zeroizing::new([0; 32]);
            let missing = seed.len().checked_sub(scalar.value().len())?;
            seed.get_mut(missing..)?.copy_from_slice(scalar.value());
            Some(Secret::Ed25519(seed))
        }
        (PublicKey::Ed25519 { .. }, Numbers::Ed25519 { x }) => {
            let mut seed = Zeroizing::new([0; 32]);
            seed.copy_from_slice(x.get(..32)?);
            Some(Secret::Ed25519(seed))
        }
        (PublicKey::ECDSA { curve, q }, Numbers::ECDSA { scalar }) => {
            let curve = match curve {
                PgpCurve::NistP256 => &curve::P256,
                PgpCurve::NistP384 => &curve::P384,
                PgpCurve::NistP521 => &curve::P521,
                _ => return None,
            };
            let mut padded = Zeroizing::new(vec![0; curve.size]);
            let missing = curve.size.checked_sub(scalar.value().len())?;
            padded.get_mut(missing..)?.copy_from_slice(scalar.value());
            Some(Secret::Ecdsa { curve, point: q.value().to_vec(), scalar: padded })
        }
        _ => None,
    }
}
