//! OpenPGP signatures (RFC 9580, RFC 4880): what they prove, by the certificates at hand.
//!
//! Sequoia reads packets and certificates, and says which keys are bound to a certificate, which may sign, and what is revoked.
//! The checks around the digest that Sequoia makes in [`Signature::verify_document`] are made here, since the digest comes from
//! us: the versions of key and signature, the salt of version 6, the times of key and signature.

mod blocks;
pub mod certificate;
pub mod detached;
pub mod import;
pub mod keyring;
mod loose;
mod packet;
mod raw;
mod reading;
pub mod secret;
pub mod shown;
mod sift;
pub mod sign;
pub mod standing;
pub mod web;

pub use certificate::{CertificateError, Certificates};

use super::Verifier;
use crate::armor::{self, ArmorError, ArmorForm, Format};
use crate::evidence::{Evidence, Malleable};
use crate::object::Payload;
use crate::verdict::{Reason, UnfitKey};
use certificate::{SigningKey, Unfit};
use reading::Rules;
use sequoia_openpgp::anyhow::Error;
use sequoia_openpgp::crypto::hash::Hash as _;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::packet::signature::subpacket::{Subpacket, SubpacketTag, SubpacketValue};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::policy::{HashAlgoSecurity, Policy as _, StandardPolicy};
use sequoia_openpgp::serialize::MarshalInto as _;
use sequoia_openpgp::types::{HashAlgorithm, SignatureType, Timestamp};
use sequoia_openpgp::{KeyHandle, Packet};
use std::collections::HashMap;

/// Verifies OpenPGP signatures by the keys of some certificates: whose they are says the policy.
pub struct OpenPgpVerifier {
    keys: Vec<SigningKey>,
    /// The keys by the 8 bytes of their key ids, which anybody can make another key for.
    by_id: HashMap<Vec<u8>, Vec<usize>>,
    /// The other keys of the certificates.
    unfit: Vec<Unfit>,
    /// What is strong enough now.
    strict: StandardPolicy<'static>,
}

impl OpenPgpVerifier {
    /// A verifier that knows these certificates, as policies read them; `now` in seconds since 1970 (UTC).
    pub fn new(certificates: &Certificates, now: i64) -> Self {
        Self::by(Rules::Policy, certificates, now)
    }

    /// A verifier that knows these certificates, as GnuPG reads them; `now` in seconds since 1970 (UTC).
    pub fn like_gnupg(certificates: &Certificates, now: i64) -> Self {
        Self::by(Rules::Gnupg, certificates, now)
    }

    fn by(rules: Rules, certificates: &Certificates, now: i64) -> Self {
        let now = moment(now);
        let (keys, unfit) = certificates.keys(now, rules);
        let mut by_id: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (index, key) in keys.iter().enumerate() {
            by_id.entry(key.key.keyid().as_bytes().to_vec()).or_default().push(index);
        }
        Self { keys, by_id, unfit, strict: StandardPolicy::at(now) }
    }

    /// The keys that a signature may be of, by what it says of its issuer.
    fn candidates(&self, signature: &Signature) -> Vec<&SigningKey> {
        let issuers = signature.get_issuers();
        let indexes = issuers.iter().flat_map(|issuer| self.by_id.get(sequoia_openpgp::KeyID::from(issuer).as_bytes()));
        let mut indexes: Vec<usize> = indexes.flatten().copied().collect();
        indexes.sort_unstable();
        indexes.dedup();
        let named = |key: &&SigningKey| issuers.iter().any(|issuer| issuer.aliases(KeyHandle::from(key.key.fingerprint())));
        indexes.into_iter().filter_map(|index| self.keys.get(index)).filter(named).collect()
    }

    /// What is known of the key that a signature names, where no key that may sign is.
    fn why_unknown(&self, signature: &Signature) -> Reason {
        let issuers = signature.get_issuers();
        let named = |key: &&Unfit| issuers.iter().any(|issuer| issuer.aliases(KeyHandle::from(&key.fingerprint)));
        let unfit = self.unfit.iter().find(named);
        let listed = unfit.map(|key| UnfitKey { certificate: key.certificate.clone(), why: key.why });
        Reason::CertificateUnknown { issuer: issuer(signature), listed }
    }

    /// The key that made a signature, and whether the first bytes of the digest stand in it as they should: nobody signs them.
    fn check(&self, signature: &Signature, payload: &Payload<'_>) -> Result<(&SigningKey, bool), Reason> {
        let candidates = self.candidates(signature);
        if candidates.is_empty() {
            return Err(self.why_unknown(signature));
        }
        let digest = digest(signature, payload)?;
        let matches = |key: &&&SigningKey| may_be_of(signature, key) && key.raw.verify(&key.key, signature, &digest);
        let key = candidates.iter().find(matches).copied().ok_or(Reason::BadSignature)?;
        if let Some(key_made) = is_older(signature, key) {
            let made = signature.signature_creation_time().map_or(0, seconds);
            return Err(Reason::OlderThanKey { made, key_made });
        }
        Ok((key, digest.starts_with(signature.digest_prefix())))
    }
}

impl Verifier for OpenPgpVerifier {
    fn format(&self) -> Format {
        Format::OpenPgp
    }

    fn verify(&self, armored: &[u8], payload: &Payload<'_>) -> Result<Evidence, Reason> {
        let malformed = |what: String| Reason::MalformedSignature { what };
        let (blob, form) = armor::decode_openpgp(armored).map_err(|error| match error {
            ArmorError::Several => Reason::MultipleSignatures,
            other => malformed(other.to_string()),
        })?;
        let found = packet::read(&blob).map_err(|error| match error {
            packet::PacketError::Several => Reason::MultipleSignatures,
            other => malformed(other.to_string()),
        })?;
        let signature = match Packet::from_bytes(&found.packet) {
            Ok(Packet::Signature(signature)) => signature,
            Ok(_) => return Err(malformed("its version is not known".to_owned())),
            Err(error) => return Err(malformed(error.to_string())),
        };
        if signature.typ() != SignatureType::Binary {
            return Err(malformed(format!("it is of type {}, not one over bytes", signature.typ())));
        }
        if reading::is_ambiguous(&signature) {
            return Err(malformed("it says more than once when it was made, or when it ends".to_owned()));
        }
        let made = signature.signature_creation_time().ok_or_else(|| malformed("it has no creation time".to_owned()))?;
        let (key, plain_prefix) = self.check(&signature, payload)?;
        if reading::is_critical_unknown(&signature) {
            return Err(malformed("it says something that must be understood, and is not known (a critical subpacket)".to_owned()));
        }
        let weak_hash = is_weak(signature.hash_algo());
        let strictly = self.strict.signature(&signature, HashAlgoSecurity::CollisionResistance);
        if let Err(error) = strictly.as_ref().map_err(ToString::to_string).map_err(malformed)
            && !weak_hash
            && signature.version() != 3
        {
            return Err(error); // a critical subpacket that nobody knows
        }
        let weak = [
            (signature.version() == 3, "a signature of version 3"),
            (weak_hash, hash_name(signature.hash_algo())),
            (key.is_dsa(), "a DSA key"),
        ];
        let malleable = [
            (form != ArmorForm::Canonical, Malleable::Armor),
            (!found.minimal || !plain_prefix || !is_plain(&signature, key, found.old_header), Malleable::Encoding),
            (key.raw.is_high_s(&signature), Malleable::HighS),
        ];
        Ok(Evidence {
            format: Format::OpenPgp,
            key: key.info.clone(),
            hash: hash_name(signature.hash_algo()),
            token: None,
            keyless: None,
            smime: None,
            payload_id: payload.id(),
            made: Some(seconds(made)),
            ends: end_of(&signature),
            weak: weak.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect(),
            malleable: malleable.into_iter().filter(|(is, _)| *is).map(|(_, way)| way).collect(),
        })
    }
}

/// The length of a subpacket with a key id: its own length, its type, 8 bytes.
const ISSUER_LENGTH: usize = 10;

/// What Sequoia would ask of key and signature before it looks at the digest.
fn may_be_of(signature: &Signature, key: &SigningKey) -> bool {
    let salt = signature.salt().map_or(0, <[u8]>::len);
    let salted = signature.version() != 6 || signature.hash_algo().salt_size().is_ok_and(|size| size == salt);
    (signature.version() == 6) == (key.key.version() == 6)
        && salted
        && !(signature.version() == 6 && key.is_dsa())
        && signature.pk_algo() == key.key.pk_algo()
        && signature.signature_creation_time().is_some()
}

/// When a key was made (seconds since 1970, UTC), where a signature says that it is older.
fn is_older(signature: &Signature, key: &SigningKey) -> Option<i64> {
    let (made, key_made) = (signature.signature_creation_time()?, key.key.creation_time());
    (made < key_made).then(|| seconds(key_made))
}

/// The digest that is signed: of the salt where there is one, the payload, and the signature's own fields.
fn digest(signature: &Signature, payload: &Payload<'_>) -> Result<Vec<u8>, Reason> {
    let parts = payload.parts().iter().copied();
    digest_of(signature, parts).map_err(|_| Reason::AlgorithmUnsupported { algorithm: hash_name(signature.hash_algo()).to_owned() })
}

fn digest_of<'a>(signature: &Signature, parts: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, Error> {
    let mut context = signature.hash_algo().context()?.for_signature(signature.version());
    if let Some(salt) = signature.salt() {
        context.update(salt);
    }
    parts.for_each(|part| context.update(part));
    signature.hash(&mut context)?;
    context.into_digest()
}

/// The key that a signature names, for people.
fn issuer(signature: &Signature) -> String {
    let issuers = signature.get_issuers();
    let fingerprint = issuers.iter().find(|issuer| matches!(issuer, KeyHandle::Fingerprint(_)));
    fingerprint.or(issuers.first()).map_or_else(|| "that it does not name".to_owned(), |issuer| format!("{issuer:X}"))
}

/// Whether what nobody signed is as honest programs write it: GnuPG puts the issuer's id there and writes headers of the old
/// format; others sign the issuer's id, put nothing there, and write new headers. Anything else could be changed by anybody.
fn is_plain(signature: &Signature, key: &SigningKey, old_header: bool) -> bool {
    if signature.version() == 3 {
        return old_header;
    }
    let signs_issuer = signature.hashed_area().iter().any(|it| it.tag() == SubpacketTag::Issuer);
    let mut unhashed = signature.unhashed_area().iter();
    if signs_issuer || signature.version() == 6 {
        return !old_header && unhashed.next().is_none();
    }
    // a length of its own in more bytes than it needs would be another form of the same
    let short = matches!(signature.unhashed_area().serialized_len(), 0 | ISSUER_LENGTH);
    let is_issuer = |it: &Subpacket| matches!(it.value(), SubpacketValue::Issuer(id) if *id == key.key.keyid());
    old_header && short && unhashed.next().is_none_or(|it| is_issuer(it) && !it.critical()) && unhashed.next().is_none()
}

fn is_weak(hash: HashAlgorithm) -> bool {
    matches!(hash, HashAlgorithm::MD5 | HashAlgorithm::SHA1 | HashAlgorithm::RipeMD)
}

fn hash_name(hash: HashAlgorithm) -> &'static str {
    match hash {
        HashAlgorithm::MD5 => "md5",
        HashAlgorithm::SHA1 => "sha1",
        HashAlgorithm::RipeMD => "ripemd160",
        HashAlgorithm::SHA224 => "sha224",
        HashAlgorithm::SHA256 => "sha256",
        HashAlgorithm::SHA384 => "sha384",
        HashAlgorithm::SHA512 => "sha512",
        HashAlgorithm::SHA3_256 => "sha3-256",
        HashAlgorithm::SHA3_512 => "sha3-512",
        _ => "unknown hash",
    }
}

/// The moment of seconds since 1970 (UTC); OpenPGP ends in 2106.
fn moment(seconds: i64) -> Timestamp {
    Timestamp::from(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
}

/// Seconds since 1970 (UTC).
fn seconds<T>(time: T) -> i64
where
    Timestamp: TryFrom<T>,
{
    Timestamp::try_from(time).map_or(0, |time| i64::from(u32::from(time)))
}

/// When a signature ends (seconds since 1970, UTC), which may be after 2106.
fn end_of(signature: &Signature) -> Option<i64> {
    let made = signature.signature_creation_time().map_or(0, seconds);
    reading::after(made, signature.signature_validity_period())
}

#[cfg(test)]
mod tests;
