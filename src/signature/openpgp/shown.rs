//! What gpg shows of certificates beside what they prove.

use super::Certificates;

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

    /// The first user id of a certificate, whether or not it stands by it.
    pub fn first_user_id(&self, certificate: &str) -> Option<Vec<u8>> {
        Some(self.get(certificate)?.userids().next()?.userid().value().to_vec())
    }
}
