//! Certificates (RFC 9580 §10.1), and which of their keys may sign.

use super::blocks::{MEND, blocks, is_packets, mentions_armor};
use super::packet;
use super::raw::RawKey;
use super::reading::{self, Rules, is_checkable, lenient};
use super::sift::{SIGNATURE, begin_with_key, is_primary};
use super::{moment, seconds};
use crate::evidence::{Binding, Key, Revocation, WeakBinding};
use sequoia_openpgp::anyhow::Error;
use sequoia_openpgp::cert::amalgamation::key::{ErasedKeyAmalgamation, PrimaryKey as _};
use sequoia_openpgp::cert::amalgamation::{ValidAmalgamation as _, ValidateAmalgamation as _};
use sequoia_openpgp::cert::raw::RawCertParser;
use sequoia_openpgp::cert::{Cert, CertParser};
use sequoia_openpgp::crypto::mpi::PublicKey;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::{Curve, PublicKeyAlgorithm, ReasonForRevocation, RevocationType, Timestamp};
use sequoia_openpgp::{Fingerprint, KeyHandle};
use std::borrow::Cow;
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
    #[error("it holds no OpenPGP certificate that can be used (no number in a key may be longer than 8192 bits)")]
    None,
    /// Something of them would not be read.
    #[error("{}: {what}", line.map_or_else(|| "not all of it would be read".to_owned(), |line| format!("line {line}")))]
    Lost {
        /// The line, where it has lines.
        line: Option<usize>,
        /// What, and what mends it.
        what: String,
    },
}

impl Certificates {
    /// Takes in certificates, in packets or in armoured blocks; what is there already is merged, so that no revocation is lost.
    ///
    /// # Errors
    /// Where a part of it would not be read, or there is no certificate. Nothing is taken in then.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), CertificateError> {
        let malformed = |error: Error| CertificateError::Malformed(error.to_string());
        let (packets, expected) = packets_of(bytes)?;
        let certs: Vec<Cert> = parser(&packets).map_err(malformed)?.collect::<Result<_, _>>().map_err(malformed)?;
        if certs.is_empty() {
            return Err(CertificateError::None);
        }
        if certs.len() != expected {
            let what = "a key in it has a number of more than 8192 bits, which is not looked into; take it out".to_owned();
            return Err(CertificateError::Lost { line: None, what });
        }
        certs.into_iter().for_each(|cert| self.merge(cert));
        Ok(())
    }

    /// Takes in all of others.
    pub fn merge_all(&mut self, others: Self) {
        others.0.into_values().for_each(|cert| self.merge(cert));
    }

    /// Takes in what can be read of a keyring that is not ours to mend; the rest is passed over.
    pub fn add_readable(&mut self, bytes: &[u8]) {
        parser(bytes).into_iter().flatten().flatten().for_each(|cert| self.merge(cert));
    }

    /// Takes in those of a keyring that have one of some fingerprints (uppercase hexadecimal), as far as they can be read.
    pub fn add_same(&mut self, bytes: &[u8], fingerprints: &[String]) {
        let certs = RawCertParser::from_bytes(bytes).into_iter().flatten().flatten();
        let same = certs.filter(|cert| fingerprints.contains(&cert.fingerprint().to_hex()));
        same.for_each(|cert| self.add_readable(cert.as_bytes()));
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
        let lenient = Rules::Gnupg.lenient(moment(now));
        let as_of = |cert: &Cert| Rules::Gnupg.as_of(cert, moment(now));
        let Some(valid) = self.0.get(fingerprint).and_then(|cert| cert.with_policy(&lenient, as_of(cert)).ok()) else {
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

    /// The keys that may sign, as of a moment, and the others.
    pub(super) fn keys(&self, now: Timestamp, rules: Rules) -> (Vec<SigningKey>, Vec<Unfit>) {
        let (mut keys, mut unfit) = (Vec::new(), Vec::new());
        for key in self.0.values().flat_map(|cert| keys_of(cert, self, now, rules)) {
            match key {
                Ok(key) => keys.push(key),
                Err(other) => unfit.push(other),
            }
        }
        // a key that several certificates bind: as GnuPG, first that of which it is the primary one; what is revoked counts
        keys.sort_by_key(|key: &SigningKey| (!key.is_primary(), !key.is_revoked()));
        (keys, unfit)
    }

    /// A signing key that two of the certificates bind, with the fingerprints of these, if there is one. `now` in seconds since
    /// 1970 (UTC).
    pub fn shared_key(&self, now: i64) -> Option<(String, [String; 2])> {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for key in self.keys(moment(now), Rules::Policy).0 {
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
                cert.keys().flat_map(|key| key.other_revocations()).any(|it| it.get_issuers().iter().any(aliases))
            };
            let revokers = cert.revocation_keys(&lenient).map(|key| key.revoker().1);
            let mut absent = revokers.filter(|revoker| issued(revoker) && !self.0.contains_key(&revoker.to_hex()));
            absent.next().map(Fingerprint::to_hex)
        };
        self.0.iter().filter_map(|(fingerprint, cert)| Some((fingerprint.as_str(), unknown(cert)?))).collect()
    }
}

/// The certificates in packets. Those with keys that take too long to check are left out before anything is checked by them.
pub(super) fn parser(packets: &[u8]) -> Result<CertParser<'_>, Error> {
    let checkable = |cert: &Cert, _| cert.keys().all(|key| is_checkable(key.key()));
    CertParser::from_bytes(packets).map(|parser| parser.unvalidated_cert_filter(checkable))
}

/// The packets of a file of certificates, all of them, and how many certificates they are.
fn packets_of(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, usize), CertificateError> {
    let lost = |line: Option<usize>, what: &str| CertificateError::Lost { line, what: what.to_owned() };
    let packets = if is_packets(bytes) || !mentions_armor(bytes) {
        Cow::from(bytes)
    } else {
        let found = blocks(bytes, 1).map_err(|error| lost(error.line, &error.what))?;
        if let Some(line) = found.others.first() {
            return Err(lost(Some(*line), "what begins here is no block of keys; take it out"));
        }
        found.keys.into_iter().flat_map(|(_, packets)| packets).collect::<Vec<_>>().into()
    };
    let tags = packet::tags(&packets).map_err(|_| CertificateError::Malformed(format!("its packets cannot be read; {MEND}")))?;
    if tags.first() == Some(&SIGNATURE) && begin_with_key(&tags) {
        return Err(lost(None, "a revocation stands before the certificate; put it behind"));
    }
    Ok((packets, tags.into_iter().filter(|tag| is_primary(*tag)).count()))
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

/// A key of a certificate that may not sign, or that cannot be checked.
#[derive(Clone, Debug)]
pub(super) struct Unfit {
    pub(super) fingerprint: Fingerprint,
    /// The fingerprint of its certificate.
    pub(super) certificate: String,
    pub(super) why: &'static str,
}

/// The keys of one certificate that may sign, nobody else's revocations counted.
pub(super) fn signing_keys(cert: &Cert, now: Timestamp) -> Vec<SigningKey> {
    keys_of(cert, &Certificates::default(), now, Rules::Policy).into_iter().flatten().collect()
}

/// The keys of a certificate, those that the newest bindings let sign and the others; `others` are those whose revocations are
/// believed where the certificate names them for that. Binding and revocations are read without regard to how weak their hashes
/// are: that a certificate rests on weak ones is said beside, and a revocation counts whatever it was made with.
pub(super) fn keys_of(cert: &Cert, others: &Certificates, now: Timestamp, rules: Rules) -> Vec<Result<SigningKey, Unfit>> {
    let (lenient, strict, as_of) = (rules.lenient(now), StandardPolicy::at(now), rules.as_of(cert, now));
    let revokers = revokers(cert, others, &lenient);
    let whole = revocations_of(cert, &revokers);
    let mut found = Vec::new();
    for key in cert.keys() {
        let unfit = |why| Err(Unfit { fingerprint: key.key().fingerprint(), certificate: cert.fingerprint().to_hex(), why });
        let Ok(valid) = key.clone().with_policy(&lenient, as_of) else {
            found.push(unfit("no signature of the certificate's own key that holds binds it"));
            continue;
        };
        let may_sign = |key: &_| reading::may_sign(key, rules, as_of);
        if !is_checkable(key.key()) || !may_sign(&valid) {
            found.push(unfit("it is not for signing"));
            continue;
        }
        if rules == Rules::Gnupg && key.key().creation_time() > now.into() {
            found.push(unfit("it was made ahead of this computer's clock"));
            continue;
        }
        let strictly = key.clone().with_policy(&strict, as_of).ok().filter(may_sign);
        let strict_end = strictly.as_ref().map(|valid| reading::end(valid, rules, as_of));
        let ends = reading::end(&valid, rules, as_of);
        // a weak signature must not give a key more time than the sound ones do
        let sooner = strict_end.flatten().filter(|strict| ends.is_none_or(|ends| *strict < ends));
        let weak = match strict_end {
            _ if is_weak_key(cert.primary_key().key().mpis()) => Some(WeakBinding::Primary),
            None => Some(WeakBinding::Signature),
            Some(_) => sooner.filter(|ended| *ended <= seconds(now)).map(|ended| WeakBinding::Prolonged { ended }),
        };
        let changes = strictly.iter().chain([&valid]).filter_map(|valid| reading::change(valid, now, as_of));
        let changes = changes.chain(sooner.filter(|sooner| *sooner > seconds(now))).min();
        // the worst counts
        let own = key.self_revocations().map(one_revocation).chain(by_revokers(&key, &revokers));
        let revoked = whole.iter().copied().chain(own).max_by_key(|it| (it.hard && it.stated, it.hard, std::cmp::Reverse(it.at)));
        let (algorithm, short) = names(key.key().mpis());
        let user_id = valid.valid_cert().primary_userid().ok().map(|id| id.userid().value().to_vec()).unwrap_or_default();
        let binding = Binding { certificate: cert.fingerprint().to_hex(), user_id, ends, changes, revoked, weak };
        let info = Key {
            algorithm: algorithm.to_owned(),
            short,
            fingerprint: key.key().fingerprint().to_hex(),
            blob: cert.fingerprint().as_bytes().to_vec(),
            rsa_bits: match key.key().mpis() {
                PublicKey::RSA { n, .. } => Some(n.bits()),
                _ => None,
            },
            certificate: None,
            binding: Some(binding),
        };
        let key = key.key().clone().parts_into_public();
        found.push(Ok(SigningKey { raw: RawKey::of(&key), key, info: Arc::new(info) }));
    }
    found
}

/// Whether nothing that a key signs is good enough, whatever it signs with.
fn is_weak_key(key: &PublicKey) -> bool {
    match key {
        PublicKey::DSA { .. } => true,
        PublicKey::RSA { n, .. } => n.bits() < 2048,
        _ => false,
    }
}

/// Those of others whom a certificate names for its revocation (RFC 9580 §5.2.3.23).
fn revokers<'a>(cert: &Cert, others: &'a Certificates, policy: &StandardPolicy<'_>) -> Vec<&'a Cert> {
    let named = cert.revocation_keys(policy);
    named.filter_map(|key| others.0.get(&key.revoker().1.to_hex())).filter(|it| is_checkable(it.primary_key().key())).collect()
}

/// The revocations of a key by those whom its certificate names for that; of a primary key, those of the certificate.
fn by_revokers(key: &ErasedKeyAmalgamation<'_, PublicParts>, revokers: &[&Cert]) -> Vec<Revocation> {
    let primary = key.cert().primary_key().key();
    let verifies = |signature: &Signature, by: &Cert| match key.primary() {
        true => signature.verify_primary_key_revocation(by.primary_key().key(), primary).is_ok(),
        false => signature.verify_subkey_revocation(by.primary_key().key(), primary, key.key().role_as_subordinate()).is_ok(),
    };
    let by_them = key.other_revocations().filter(|signature| revokers.iter().any(|by| verifies(signature, by)));
    by_them.map(one_revocation).collect()
}

/// The revocations of a whole certificate: its own, and those of whom it names for that. One counts for ever, as in GnuPG,
/// whatever was bound later: Sequoia lets a newer self-signature undo a soft one.
fn revocations_of(cert: &Cert, revokers: &[&Cert]) -> Vec<Revocation> {
    let primary = cert.primary_key();
    primary.self_revocations().map(one_revocation).chain(by_revokers(&primary.into(), revokers)).collect()
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
