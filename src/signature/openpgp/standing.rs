//! What has become of a certificate: which of its keys may sign, what revoked or ended them, and why there is none.

use super::certificate::{Certificates, keys_of};
use super::reading::{Rules, lenient};
use super::{moment, seconds};
use crate::evidence::Revocation;
use crate::verdict::Utc;
use sequoia_openpgp::crypto::mpi::PublicKey;
use sequoia_openpgp::types::Curve;
use std::fmt;

/// A key of a certificate that may sign, or might before it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStanding {
    /// Its own fingerprint, uppercase hexadecimal.
    pub fingerprint: String,
    /// When it ends or ended (seconds since 1970, UTC).
    pub ends: Option<i64>,
    /// The worst revocation of it or of its certificate.
    pub revoked: Option<Revocation>,
    /// Whether it is bound by weak hash functions or algorithms.
    pub weak: bool,
}

impl KeyStanding {
    /// Whether it had ended by `now`.
    pub fn has_ended(&self, now: i64) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    /// Whether nothing that it signs from now on stands.
    pub fn is_over(&self, now: i64) -> bool {
        self.revoked.is_some() || self.has_ended(now) || self.weak
    }
}

/// Why a certificate has no key that may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// It was made later than now (seconds since 1970, UTC).
    Ahead {
        /// When.
        made: i64,
    },
    /// Nothing in it that holds says what its key may do.
    Unbound,
    /// Its keys are not for signing, or of kinds that cannot be checked.
    None,
}

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead { made } => {
                write!(f, "was made at {}, which is ahead of this computer's clock: it can sign nothing yet", Utc(*made))
            }
            Self::Unbound => f.write_str("has no self-signature that holds: export it again where its holder keeps it"),
            Self::None => {
                f.write_str("has no key that may sign, or none that can be checked (no Brainpool, no RSA of more than 4096 bits)")
            }
        }
    }
}

impl Certificates {
    /// How the signing keys of a certificate stand, at least one; `now` in seconds since 1970 (UTC).
    ///
    /// # Errors
    /// Why there is none.
    pub fn standing(&self, fingerprint: &str, now: i64) -> Result<Vec<KeyStanding>, NoKey> {
        let cert = self.get(fingerprint).ok_or(NoKey::None)?;
        let keys = keys_of(cert, self, moment(now), Rules::Policy).into_iter().flatten().filter_map(|key| {
            let binding = key.info.binding.as_ref()?;
            let fingerprint = key.info.fingerprint.clone();
            Some(KeyStanding { fingerprint, ends: binding.ends, revoked: binding.revoked, weak: binding.weak.is_some() })
        });
        let keys: Vec<KeyStanding> = keys.collect();
        if !keys.is_empty() {
            return Ok(keys);
        }
        let made = seconds(cert.primary_key().key().creation_time());
        if made > now {
            return Err(NoKey::Ahead { made });
        }
        // what cannot be checked holds nothing either
        let checked = match cert.primary_key().key().mpis() {
            PublicKey::ECDSA { curve, .. } | PublicKey::EdDSA { curve, .. } => {
                matches!(curve, Curve::Ed25519 | Curve::NistP256 | Curve::NistP384 | Curve::NistP521)
            }
            PublicKey::RSA { n, .. } => n.bits() <= 4096,
            _ => true,
        };
        let bound = cert.with_policy(&lenient(moment(now)), moment(now)).is_ok();
        Err(if bound || !checked { NoKey::None } else { NoKey::Unbound })
    }
}
