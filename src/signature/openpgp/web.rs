//! Whose user ids are believed, by whom their holders trust: GnuPG's web of trust (its trust model `pgp`, g10/trustdb.c), worked
//! out anew from the ownertrust that `gpg --export-ownertrust` writes, or of a trustdb that is out of date. Trust signatures count as
//! plain certifications.
//!
//! Whoever is ultimately trusted is believed to be who they say. Their certifications, and those of everybody else who is fully
//! believed, count by how far they are trusted: one of full trust, or three of marginal trust, make a user id believed, fewer
//! make it so marginally; at most five steps away from those who are ultimately trusted.

use super::certificate::Certificates;
use super::keyring::{Trust, TrustDb};
use super::reading::{is_critical_unknown, lenient};
use super::{moment, seconds};
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::cert::amalgamation::{UserIDAmalgamation, ValidAmalgamation as _, ValidateAmalgamation as _};
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::types::{HashAlgorithm, RevocationStatus, SignatureType, Timestamp};
use std::collections::HashMap;

/// gpg's options max-cert-depth, completes-needed and marginals-needed, as they are unless set.
const DEEPEST: usize = 5;
const COMPLETES: usize = 1;
const MARGINALS: usize = 3;
/// GnuPG believes no certification by SHA-1 that is newer than this (2019-01-19).
const SHA1_END: i64 = 1_547_856_000;

/// How far the holders of certificates are trusted to certify others, by fingerprint (uppercase hexadecimal).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerTrust(HashMap<String, Trust>);

/// A line of an ownertrust file that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is no ownertrust, which is FINGERPRINT:NUMBER: (gpg --export-ownertrust writes it)")]
pub struct OwnerTrustError(usize);

impl OwnerTrust {
    /// Reads what `gpg --export-ownertrust` writes.
    ///
    /// # Errors
    /// At the first line that makes no sense.
    pub fn parse(text: &str) -> Result<Self, OwnerTrustError> {
        let mut found = HashMap::new();
        for (index, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        {
            let wrong = OwnerTrustError(index + 1);
            let (fingerprint, trust) = line.strip_suffix(':').and_then(|line| line.split_once(':')).ok_or_else(|| wrong.clone())?;
            let is_one = matches!(fingerprint.len(), 40 | 64) && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
            let trust = trust.parse().ok().filter(|_| is_one).ok_or(wrong)?;
            found.insert(fingerprint.to_uppercase(), Trust::of_byte(trust));
        }
        Ok(Self(found))
    }

    /// What a trustdb knows of it.
    pub fn of_trustdb(known: &TrustDb) -> Self {
        Self(known.owners().map(|(fingerprint, trust)| (hex::encode_upper(fingerprint), trust)).collect())
    }

    fn of(&self, cert: &Cert) -> Trust {
        self.0.get(&cert.fingerprint().to_hex()).copied().unwrap_or_default()
    }

    /// Works out who is believed; `now` in seconds since 1970 (UTC).
    pub fn web(&self, certificates: &Certificates, now: i64) -> TrustDb {
        let now = moment(now);
        let mut found = TrustDb::default();
        let mut introducers: Vec<&Cert> = certificates.all().filter(|cert| self.of(cert) == Trust::Ultimate).collect();
        // certifications of full trust, of marginal trust, and of those who are believed and not trusted
        let mut helped: HashMap<(String, Vec<u8>), (usize, usize, usize)> = HashMap::new();
        let mut fully: Vec<String> = introducers.iter().map(|cert| cert.fingerprint().to_hex()).collect();
        for cert in &introducers {
            found.believe(cert.fingerprint().as_bytes(), Trust::Ultimate, Vec::new());
        }
        for _ in 0..DEEPEST {
            introducers.retain(|cert| is_alive(cert, now));
            let mut next = Vec::new();
            for cert in certificates.all().filter(|cert| self.of(cert) != Trust::Ultimate) {
                let fingerprint = cert.fingerprint().to_hex();
                if fully.contains(&fingerprint) || !is_alive(cert, now) {
                    continue;
                }
                let mut ids = Vec::new();
                for id in cert.userids().filter(|id| is_bound(id, now)) {
                    let counts = helped.entry((fingerprint.clone(), id.userid().value().to_vec())).or_default();
                    for introducer in introducers.iter().filter(|by| certifies(by, cert, id.userid(), &id, now)) {
                        match self.of(introducer) {
                            Trust::Ultimate | Trust::Fully => counts.0 += 1,
                            Trust::Marginal => counts.1 += 1,
                            _ => counts.2 += 1,
                        }
                    }
                    let trust = match *counts {
                        (completes, marginals, _) if completes >= COMPLETES || marginals >= MARGINALS => Trust::Fully,
                        (0, 0, 0) => Trust::Unknown,
                        (0, 0, _) => Trust::Undefined,
                        _ => Trust::Marginal,
                    };
                    ids.push((id.userid().value().to_vec(), trust));
                }
                if ids.iter().any(|(_, trust)| *trust == Trust::Fully) {
                    fully.push(fingerprint);
                    next.push(cert);
                }
                found.believe(cert.fingerprint().as_bytes(), self.of(cert), ids);
            }
            introducers = next;
        }
        found
    }
}

/// Whether a certificate is neither revoked nor ended.
fn is_alive(cert: &Cert, now: Timestamp) -> bool {
    let lenient = lenient(now);
    let alive = cert.with_policy(&lenient, now).is_ok_and(|valid| valid.alive().is_ok());
    alive && cert.primary_key().self_revocations().next().is_none()
}

fn is_bound(id: &UserIDAmalgamation<'_>, now: Timestamp) -> bool {
    let lenient = lenient(now);
    let valid = id.clone().with_policy(&lenient, now);
    valid.is_ok_and(|valid| !matches!(valid.revocation_status(), RevocationStatus::Revoked(_)))
}

/// Whether the newest word of somebody on a user id is a certification that holds.
fn certifies(
    by: &Cert,
    cert: &Cert,
    user_id: &sequoia_openpgp::packet::UserID,
    id: &UserIDAmalgamation<'_>,
    now: Timestamp,
) -> bool {
    let handle = by.key_handle();
    let of_them = |signature: &&Signature| {
        signature.get_issuers().iter().any(|issuer| issuer.aliases(&handle)) && !is_critical_unknown(signature)
    };
    let key = by.primary_key();
    let made = |signature: &Signature| signature.signature_creation_time().map_or(0, seconds);
    let certifications = id.certifications().filter(of_them).filter(|signature| {
        let weak = match signature.hash_algo() {
            HashAlgorithm::MD5 => true,
            HashAlgorithm::SHA1 | HashAlgorithm::RipeMD => made(signature) >= SHA1_END,
            _ => false,
        };
        // gpg's min-cert-level leaves those out that checked nothing
        !weak
            && signature.typ() != SignatureType::PersonaCertification
            && signature.verify_userid_binding(key.key(), cert.primary_key().key(), user_id).is_ok()
    });
    let revocations = id
        .other_revocations()
        .filter(of_them)
        .filter(|signature| signature.verify_userid_revocation(key.key(), cert.primary_key().key(), user_id).is_ok());
    let newest = certifications.max_by_key(|signature| made(signature));
    let revoked = revocations.map(made).max();
    newest.is_some_and(|signature| {
        let lives = signature.signature_expiration_time().is_none_or(|ends| seconds(ends) > seconds(now));
        lives && revoked.is_none_or(|revoked| revoked < made(signature))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ownertrust_files() {
        let fingerprint = "0123456789abcdef0123456789ABCDEF01234567";
        let text = format!("# List of assigned trustvalues\n{fingerprint}:6:\n\n{}:4:\r\n", fingerprint.replace('0', "F"));
        let found = OwnerTrust::parse(&text).unwrap();
        assert_eq!(found.0.get(&fingerprint.to_uppercase()), Some(&Trust::Ultimate));
        assert_eq!(found.0.len(), 2);
        for (bad, line) in [("x", 1), ("# c\n01:6:", 2), (&format!("{fingerprint}:6"), 1), (&format!("{fingerprint}:six:"), 1)] {
            assert_eq!(OwnerTrust::parse(bad), Err(OwnerTrustError(line)), "{bad}");
        }
    }
}
