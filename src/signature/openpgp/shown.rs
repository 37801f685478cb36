//! What gpg shows of certificates beside what they prove.

use super::certificate::Certificates;
use super::reading::{Rules, lenient};
use super::{moment, seconds};
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::types::RevocationStatus;

/// Who revoked a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// Its holder, with the whole certificate.
    Owner,
    /// Somebody whom its holder named for that, the whole certificate.
    Another,
    /// Its holder, and the rest of the certificate stands.
    OwnerOfSubkey,
}

impl Certificates {
    /// Who revoked a key that is revoked, by the fingerprints of its certificate and its own (uppercase hexadecimal).
    pub fn revoked_by(&self, certificate: &str, key: &str) -> Option<RevokedBy> {
        let cert = self.get(certificate)?;
        let mut keys = cert.keys().subkeys();
        let mut subkey = || keys.any(|it| it.key().fingerprint().to_hex() == key && it.self_revocations().next().is_some());
        Some(match cert.primary_key().self_revocations().next() {
            Some(_) => RevokedBy::Owner,
            None if subkey() => RevokedBy::OwnerOfSubkey,
            None => RevokedBy::Another,
        })
    }

    /// The certificates of which no self-signature lives any more, each alone, with the last moment at which one did. gpg goes on
    /// to take signatures by their keys for good, by names that are uncertain. Times are seconds since 1970 (UTC).
    pub fn ended(&self, now: i64) -> Vec<(Self, i64)> {
        let mut found = Vec::new();
        for cert in self.all().filter(|cert| cert.with_policy(&lenient(moment(now)), moment(now)).is_err()) {
            let of_ids = cert.userids().flat_map(|id| id.bundle().self_signatures().collect::<Vec<_>>());
            let of_key = cert.primary_key().bundle().self_signatures().collect::<Vec<_>>();
            let ends = of_ids.chain(of_key).filter_map(|it| it.signature_expiration_time()).map(seconds);
            if let Some(last) = ends.filter(|ends| *ends <= now).max() {
                let mut alone = Self::default();
                alone.merge(cert.clone());
                found.push((alone, last - 1));
            }
        }
        found
    }

    /// Whether a key is a primary one, or a subkey whose binding lives.
    pub fn has_living_key(&self, key: &str, now: i64) -> bool {
        let lives = |it: &Signature| it.signature_expiration_time().is_none_or(|ends| seconds(ends) > now);
        self.all().any(|cert| {
            cert.fingerprint().to_hex() == key
                || cert.keys().subkeys().any(|it| it.key().fingerprint().to_hex() == key && it.self_signatures().any(lives))
        })
    }

    /// Those of [`Certificates::user_ids`] that are not held by an older self-signature alone, the newest having ended, and that are
    /// not revoked.
    pub fn lasting_user_ids(&self, certificate: &str, now: i64) -> Vec<Vec<u8>> {
        let lapsed = |id: &[u8]| {
            let ids = self.get(certificate).into_iter().flat_map(|cert| cert.userids());
            let signatures = ids.filter(|it| it.userid().value() == id).flat_map(|it| it.self_signatures().collect::<Vec<_>>());
            let made = |it: &&Signature| it.signature_creation_time().map(seconds).filter(|made| *made <= now);
            let newest = signatures.filter(|it| made(it).is_some()).max_by_key(made);
            newest.and_then(|it| it.signature_expiration_time()).is_some_and(|ends| seconds(ends) <= now)
        };
        let revoked = |id: &[u8]| {
            let (lenient, now) = (Rules::Gnupg.lenient(moment(now)), moment(now));
            let mut ids = self.get(certificate).into_iter().flat_map(|cert| cert.userids()).filter(|it| it.userid().value() == id);
            ids.any(|it| matches!(it.revocation_status(&lenient, now), RevocationStatus::Revoked(_)))
        };
        self.user_ids(certificate, now).into_iter().filter(|id| !lapsed(id) && !revoked(id)).collect()
    }

    /// By which of some hash functions (RFC 9580 §9.5) a subkey gives its word that it belongs to its certificate, where it does so by
    /// no other.
    pub fn vouched_weakly(&self, key: &str, weak: &[u8]) -> Option<u8> {
        let bound = self.all().flat_map(|cert| cert.keys().subkeys()).filter(|it| it.key().fingerprint().to_hex() == key);
        let bindings = bound.flat_map(|it| it.self_signatures().collect::<Vec<_>>());
        let mut hashes = bindings.flat_map(|it| it.embedded_signatures().map(|word| u8::from(word.hash_algo())));
        hashes.next().filter(|first| weak.contains(first) && hashes.all(|hash| weak.contains(&hash)))
    }

    /// Whether a certificate as a whole has ended, not only a subkey.
    pub fn has_ended(&self, certificate: &str, now: i64) -> bool {
        let lenient = lenient(moment(now));
        let valid = self.get(certificate).and_then(|cert| cert.with_policy(&lenient, moment(now)).ok());
        valid.and_then(|valid| valid.primary_key().key_expiration_time()).is_some_and(|ends| seconds(ends) <= now)
    }

    /// The first user id of a certificate, whether or not it stands by it.
    pub fn first_user_id(&self, certificate: &str) -> Option<Vec<u8>> {
        Some(self.get(certificate)?.userids().next()?.userid().value().to_vec())
    }
}
