//! The bare signature over a digest: by the fast primitives where they cover it, else by Sequoia's.

use crate::signature::curve::{Curve, P256, P384, P521};
use crate::signature::der::rsa_der;
use aws_lc_rs::digest::{Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaParameters,
};
use ed25519_dalek::{Verifier as _, VerifyingKey};
use sequoia_openpgp::crypto::mpi::{PublicKey, Signature as Numbers};
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::packet::{Key, Signature};
use sequoia_openpgp::types::{Curve as PgpCurve, HashAlgorithm};

/// A public key, read once.
pub(super) enum RawKey {
    Rsa {
        sha256: ParsedPublicKey,
        sha512: ParsedPublicKey,
        length: usize,
    },
    Ed25519(VerifyingKey),
    Ecdsa(&'static Curve, ParsedPublicKey),
    /// Whatever Sequoia knows beside these.
    Other,
}

impl RawKey {
    pub(super) fn of(key: &Key<PublicParts, UnspecifiedRole>) -> Self {
        let fast = match key.mpis() {
            PublicKey::RSA { e, n } => rsa(e.value(), n.value()),
            PublicKey::EdDSA { curve: PgpCurve::Ed25519, q } => q.value().strip_prefix(&[0x40]).and_then(ed25519),
            PublicKey::Ed25519 { a } => ed25519(a),
            PublicKey::ECDSA { curve, q } => ecdsa(curve, q.value()),
            _ => None,
        };
        fast.unwrap_or(Self::Other)
    }

    /// Whether the numbers of a signature are good for a digest.
    pub(super) fn verify(&self, key: &Key<PublicParts, UnspecifiedRole>, signature: &Signature, digest: &[u8]) -> bool {
        let hash = signature.hash_algo();
        match (self, signature.mpis()) {
            (Self::Rsa { sha256, sha512, length }, Numbers::RSA { s }) => {
                let (key, imported) = match hash {
                    HashAlgorithm::SHA256 => (sha256, Digest::import_less_safe(digest, &SHA256)),
                    HashAlgorithm::SHA512 => (sha512, Digest::import_less_safe(digest, &SHA512)),
                    _ => return by_sequoia(key, signature, digest),
                };
                // a number lost its leading zeros on the way
                let padded = padded(s.value(), *length);
                imported.is_ok_and(|digest| padded.is_some_and(|s| key.verify_digest_sig(&digest, &s).is_ok()))
            }
            (Self::Ed25519(key), Numbers::EdDSA { r, s }) => {
                let halves = padded(r.value(), 32).zip(padded(s.value(), 32));
                halves.is_some_and(|(r, s)| verifies(key, digest, &[r, s].concat()))
            }
            (Self::Ed25519(key), Numbers::Ed25519 { s }) => verifies(key, digest, s.as_slice()),
            (Self::Ecdsa(curve, parsed), Numbers::ECDSA { r, s }) => {
                let algorithm = match hash {
                    HashAlgorithm::SHA256 if **curve == P256 => &SHA256,
                    HashAlgorithm::SHA384 if **curve == P384 => &SHA384,
                    HashAlgorithm::SHA512 if **curve == P521 => &SHA512,
                    _ => return by_sequoia(key, signature, digest),
                };
                let halves = padded(r.value(), curve.size).zip(padded(s.value(), curve.size));
                let imported = Digest::import_less_safe(digest, algorithm);
                let both = imported.ok().zip(halves);
                both.is_some_and(|(digest, (r, s))| parsed.verify_digest_sig(&digest, &[r, s].concat()).is_ok())
            }
            _ => by_sequoia(key, signature, digest),
        }
    }

    /// Whether the S of an ECDSA signature has a smaller twin.
    pub(super) fn is_high_s(&self, signature: &Signature) -> bool {
        match (self, signature.mpis()) {
            (Self::Ecdsa(curve, _), Numbers::ECDSA { s, .. }) => curve.is_high(s.value()),
            _ => false,
        }
    }
}

fn by_sequoia(key: &Key<PublicParts, UnspecifiedRole>, signature: &Signature, digest: &[u8]) -> bool {
    key.verify(signature.mpis(), signature.hash_algo(), digest).is_ok()
}

fn verifies(key: &VerifyingKey, digest: &[u8], signature: &[u8]) -> bool {
    ed25519_dalek::Signature::from_slice(signature).is_ok_and(|signature| key.verify(digest, &signature).is_ok())
}

fn padded(number: &[u8], length: usize) -> Option<Vec<u8>> {
    let missing = length.checked_sub(number.len())?;
    Some([vec![0; missing], number.to_vec()].concat())
}

fn rsa(e: &[u8], n: &[u8]) -> Option<RawKey> {
    let der = rsa_der(n, e);
    let parse = |parameters: &'static RsaParameters| ParsedPublicKey::new(parameters, &der).ok();
    Some(RawKey::Rsa {
        sha256: parse(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY)?,
        sha512: parse(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY)?,
        length: n.len(),
    })
}

fn ed25519(bytes: &[u8]) -> Option<RawKey> {
    VerifyingKey::from_bytes(bytes.try_into().ok()?).ok().map(RawKey::Ed25519)
}

fn ecdsa(curve: &PgpCurve, point: &[u8]) -> Option<RawKey> {
    let curve = match curve {
        PgpCurve::NistP256 => &P256,
        PgpCurve::NistP384 => &P384,
        PgpCurve::NistP521 => &P521,
        _ => return None,
    };
    ParsedPublicKey::new(curve.verification, point).ok().map(|key| RawKey::Ecdsa(curve, key))
}
