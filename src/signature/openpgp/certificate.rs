//! Certificates (RFC 9580 §10.1), and which of their keys may sign.

use super::raw::RawKey;
use super::{moment, seconds};
use crate::evidence::{Binding, Key, Revocation};
use sequoia_openpgp::anyhow::Error;
use sequoia_openpgp::cert::amalgamation::{ValidAmalgamation as _, ValidateAmalgamation as _};
use sequoia_openpgp::cert::raw::RawCertParser;
use sequoia_openpgp::cert::{Cert, CertParser};
use sequoia_openpgp::crypto::mpi::PublicKey;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::packet::Tag;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::policy::{AsymmetricAlgorithm, StandardPolicy};
use sequoia_openpgp::types::{Curve, HashAlgorithm, PublicKeyAlgorithm, ReasonForRevocation, RevocationType, Timestamp};
use sequoia_openpgp::{Fingerprint, KeyHandle};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Some certificates, each once.
#[derive(Clone, Debug, Default)]
pub struct Certificates(BTreeMap<String, Cert>);

/// Why bytes are no certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// They cannot be read.
    #[error("not an OpenPGP certificate: {0}")]
    Malformed(String),
    /// They hold none.
    #[error("it holds no OpenPGP certificate")]
    None,
}

impl Certificates {
    /// Takes in certificates, armoured or not; what is there already is merged, so that no revocation is lost.
    ///
    /// # Errors
    /// Where one of them cannot be read, or there is none. Nothing is taken in then.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), CertificateError> {
        let malformed = |error: Error| CertificateError::Malformed(error.to_string());
        let parser = CertParser::from_bytes(bytes).map_err(malformed)?;
        let certs: Vec<Cert> = parser.collect::<Result<_, _>>().map_err(malformed)?;
        if certs.is_empty() {
            return Err(CertificateError::None);
        }
        certs.into_iter().for_each(|cert| self.merge(cert));
        Ok(())
    }

    /// Takes in what can be read of a keyring that is not ours to mend; the rest is passed over.
    pub fn add_readable(&mut self, bytes: &[u8]) {
        let certs = CertParser::from_bytes(bytes).into_iter().flatten().flatten();
        certs.for_each(|cert| self.merge(cert));
    }

    /// Takes in those of a keyring that have one of some fingerprints (uppercase hexadecimal), as far as they can be read.
    pub fn add_same(&mut self, bytes: &[u8], fingerprints: &[String]) {
        let certs = RawCertParser::from_bytes(bytes).into_iter().flatten().flatten();
        let same = certs.filter(|cert| fingerprints.contains(&cert.fingerprint().to_hex()));
        same.filter_map(|cert| Cert::try_from(cert).ok()).for_each(|cert| self.merge(cert));
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Cert> {
        self.0.values()
    }

    /// A certificate by its fingerprint.
    pub(super) fn get(&self, fingerprint: &str) -> Option<&Cert> {
        self.0.get(fingerprint)
    }

    /// Takes one in, without its secrets.
    pub(super) fn merge(&mut self, cert: Cert) {
        let cert = cert.strip_secret_key_material();
        let fingerprint = cert.fingerprint().to_hex();
        let merged = match self.0.remove(&fingerprint) {
            Some(known) => known.merge_public(cert.clone()).unwrap_or(cert),
            None => cert,
        };
        self.0.insert(fingerprint, merged);
    }

    /// The user ids of a certificate that it stands by now, the primary one first; text that anybody may have written. `now` in
    /// seconds since 1970 (UTC).
    pub fn user_ids(&self, fingerprint: &str, now: i64) -> Vec<Vec<u8>> {
        let lenient = lenient(moment(now));
        let Some(valid) = self.0.get(fingerprint).and_then(|cert| cert.with_policy(&lenient, moment(now)).ok()) else {
            return Vec::new();
        };
        let primary = valid.primary_userid().ok().map(|id| id.userid().value().to_vec());
        let others =
            valid.userids().revoked(false).map(|id| id.userid().value().to_vec()).filter(|id| Some(id) != primary.as_ref());
        primary.iter().cloned().chain(others).collect()
    }

    /// The fingerprints of the certificates, uppercase hexadecimal.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The fingerprints of those that have no key that may sign; `now` in seconds since 1970 (UTC).
    pub fn without_signing_key(&self, now: i64) -> impl Iterator<Item = &str> {
        let now = moment(now);
        self.0.iter().filter(move |(_, cert)| signing_keys(cert, now).is_empty()).map(|(fingerprint, _)| fingerprint.as_str())
    }

    /// The keys that may sign, as of a moment.
    pub(super) fn signing_keys(&self, now: Timestamp) -> Vec<SigningKey> {
        let mut keys: Vec<SigningKey> = self.0.values().flat_map(|cert| keys_of(cert, self, now)).collect();
        // a key that several certificates bind: as GnuPG, first that of which it is the primary one; what is revoked counts
        keys.sort_by_key(|key| (!key.is_primary(), !key.is_revoked()));
        keys
    }

    /// A signing key that two of the certificates bind, with the fingerprints of these, if there is one. `now` in seconds since
    /// 1970 (UTC).
    pub fn shared_key(&self, now: i64) -> Option<(String, [String; 2])> {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for key in self.signing_keys(moment(now)) {
            let (key, own) = (key.info.fingerprint.clone(), key.certificate());
            if let Some(other) = seen.insert(key.clone(), own.clone()) {
                return Some((key, [other, own]));
            }
        }
        None
    }

    /// The fingerprints of those who may have revoked one of the certificates and have the right to, but whose own is not here.
    /// `now` in seconds since 1970 (UTC).
    pub fn absent_revokers(&self, now: i64) -> Vec<String> {
        let lenient = lenient(moment(now));
        let issued = |cert: &Cert, revoker: &Fingerprint| {
            let by_them = |it: &Signature| it.get_issuers().iter().any(|issuer| issuer.aliases(KeyHandle::from(revoker)));
            cert.primary_key().other_revocations().any(by_them)
        };
        let named = self.0.values().flat_map(|cert| cert.revocation_keys(&lenient).map(move |key| (cert, key.revoker().1)));
        let absent = named.filter(|(cert, revoker)| issued(cert, revoker) && !self.0.contains_key(&revoker.to_hex()));
        absent.map(|(_, revoker)| revoker.to_hex()).collect()
    }

    /// The fingerprints of the certificates that somebody may have revoked who has the right to, but of whom no certificate is
    /// here to check it by, with the fingerprint of that one. `now` in seconds since 1970 (UTC).
    pub fn unchecked_revocations(&self, now: i64) -> Vec<(&str, String)> {
        let lenient = lenient(moment(now));
        let unknown = |cert: &Cert| {
            let issued = |revoker: &Fingerprint| {
                let aliases = |issuer: &KeyHandle| issuer.aliases(KeyHandle::from(revoker));
                cert.primary_key().other_revocations().any(|it| it.get_issuers().iter().any(aliases))
            };
            let revokers = cert.revocation_keys(&lenient).map(|key| key.revoker().1);
            let mut absent = revokers.filter(|revoker| issued(revoker) && !self.0.contains_key(&revoker.to_hex()));
            absent.next().map(Fingerprint::to_hex)
        };
        self.0.iter().filter_map(|(fingerprint, cert)| Some((fingerprint.as_str(), unknown(cert)?))).collect()
    }
}

/// A key that may sign.
pub(super) struct SigningKey {
    pub(super) key: sequoia_openpgp::packet::Key<PublicParts, UnspecifiedRole>,
    pub(super) raw: RawKey,
    pub(super) info: Arc<Key>,
}

impl SigningKey {
    /// The fingerprint of its certificate.
    fn certificate(&self) -> String {
        self.info.binding.as_ref().map(|binding| binding.certificate.clone()).unwrap_or_default()
    }

    fn is_primary(&self) -> bool {
        self.info.fingerprint == self.certificate()
    }

    fn is_revoked(&self) -> bool {
        self.info.binding.as_ref().is_some_and(|binding| binding.revoked.is_some())
    }

    #[allow(deprecated)] // it is still in old histories
    pub(super) fn is_dsa(&self) -> bool {
        self.key.pk_algo() == PublicKeyAlgorithm::DSA
    }
}

/// The keys of one certificate that may sign, nobody else's revocations counted.
pub(super) fn signing_keys(cert: &Cert, now: Timestamp) -> Vec<SigningKey> {
    keys_of(cert, &Certificates::default(), now)
}

/// The keys that the newest bindings let sign; `others` are those whose revocations are believed where the certificate names
/// them for that. Binding and revocations are read without regard to how weak their hashes are:
/// that a certificate rests on weak ones is said beside, and a revocation counts whatever it was made with.
pub(super) fn keys_of(cert: &Cert, others: &Certificates, now: Timestamp) -> Vec<SigningKey> {
    let lenient = lenient(now);
    let strict = StandardPolicy::at(now);
    let whole = revocations_of(cert, others, &lenient);
    let mut found = Vec::new();
    for key in cert.keys() {
        let Ok(valid) = key.clone().with_policy(&lenient, now) else { continue };
        if !valid.for_signing() {
            continue;
        }
        let primary = valid.valid_cert().primary_key();
        let ends = [valid.key_expiration_time(), primary.key_expiration_time()].into_iter().flatten().map(seconds).min();
        let own = key.self_revocations().map(one_revocation);
        // the worst counts
        let revoked = whole.iter().copied().chain(own).max_by_key(|it| (it.hard && it.stated, it.hard, std::cmp::Reverse(it.at)));
        let sound = key.clone().with_policy(&strict, now).is_ok_and(|valid| valid.for_signing());
        let (algorithm, short) = names(key.key().mpis());
        let user_id = valid.valid_cert().primary_userid().ok().map(|id| id.userid().value().to_vec()).unwrap_or_default();
        let binding = Binding { certificate: cert.fingerprint().to_hex(), user_id, ends, revoked, weak: !sound };
        let fingerprint = key.key().fingerprint();
        let info = Key {
            algorithm: algorithm.to_owned(),
            short,
            fingerprint: fingerprint.to_hex(),
            blob: cert.fingerprint().as_bytes().to_vec(),
            rsa_bits: match key.key().mpis() {
                PublicKey::RSA { n, .. } => Some(n.bits()),
                _ => None,
            },
            certificate: None,
            binding: Some(binding),
        };
        let key = key.key().clone().parts_into_public();
        found.push(SigningKey { raw: RawKey::of(&key), key, info: Arc::new(info) });
    }
    found
}

/// Takes the weak algorithms too.
pub(super) fn lenient(now: Timestamp) -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::at(now);
    for hash in [HashAlgorithm::MD5, HashAlgorithm::SHA1, HashAlgorithm::RipeMD] {
        policy.accept_hash(hash);
    }
    #[allow(deprecated)] // they are in old histories
    for algorithm in [
        AsymmetricAlgorithm::RSA1024,
        AsymmetricAlgorithm::DSA1024,
        AsymmetricAlgorithm::DSA2048,
        AsymmetricAlgorithm::DSA3072,
        AsymmetricAlgorithm::DSA4096,
    ] {
        policy.accept_asymmetric_algo(algorithm);
    }
    policy.accept_packet_tag_version(Tag::Signature, 3);
    policy
}

/// The revocations of a whole certificate: its own, and those of whom it names for that (RFC 9580 §5.2.3.23). One counts for
/// ever, as in GnuPG, whatever was bound later: Sequoia lets a newer self-signature undo a soft one.
fn revocations_of(cert: &Cert, others: &Certificates, policy: &StandardPolicy<'_>) -> Vec<Revocation> {
    let primary = cert.primary_key();
    let own = primary.self_revocations();
    let revokers = cert.revocation_keys(policy).filter_map(|key| others.0.get(&key.revoker().1.to_hex()));
    let revokers: Vec<&Cert> = revokers.collect();
    let by_others = primary.other_revocations().filter(|signature| {
        let verifies = |by: &&Cert| signature.verify_primary_key_revocation(by.primary_key().key(), primary.key()).is_ok();
        revokers.iter().any(verifies)
    });
    own.chain(by_others).map(one_revocation).collect()
}

fn one_revocation(signature: &Signature) -> Revocation {
    let reason = signature.reason_for_revocation();
    Revocation {
        hard: reason.is_none_or(|(reason, _)| reason.revocation_type() == RevocationType::Hard),
        stated: reason.is_some_and(|(reason, _)| reason != ReasonForRevocation::Unspecified),
        at: signature.signature_creation_time().map_or(0, seconds),
    }
}

/// The name of a key's algorithm, and a short one.
fn names(key: &PublicKey) -> (&'static str, &'static str) {
    match key {
        PublicKey::RSA { .. } => ("rsa", "RSA"),
        PublicKey::DSA { .. } => ("dsa", "DSA"),
        PublicKey::EdDSA { .. } => ("eddsa", "EDDSA"),
        PublicKey::Ed25519 { .. } => ("ed25519", "ED25519"),
        PublicKey::Ed448 { .. } => ("ed448", "ED448"),
        PublicKey::ECDSA { curve: Curve::NistP256, .. } => ("ecdsa-nistp256", "ECDSA"),
        PublicKey::ECDSA { curve: Curve::NistP384, .. } => ("ecdsa-nistp384", "ECDSA"),
        PublicKey::ECDSA { curve: Curve::NistP521, .. } => ("ecdsa-nistp521", "ECDSA"),
        PublicKey::ECDSA { .. } => ("ecdsa", "ECDSA"),
        _ => ("other", "OTHER"),
    }
}

#[cfg(test)]
mod tests;
