//! Detached signatures as gpg looks at them: each by itself, weak or not, and what it says whether or not it is good.

use super::certificate::SigningKey;
use super::reading::{in_32_bits, is_ambiguous, is_critical_unknown};
use super::{OpenPgpVerifier, digest_of, end_of, is_older, may_be_of, packet, seconds};
use crate::armor;
use crate::evidence::Key;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::types::SignatureType;
use sequoia_openpgp::{KeyHandle, KeyID, Packet};
use std::sync::Arc;

/// Of more signatures in one file none is checked: each would go through all of the data.
const MOST: usize = 100;

/// The signatures of a file.
pub struct Detached(Vec<Signature>);

/// What is known of one signature. Times are seconds since 1970 (UTC); numbers are OpenPGP's (RFC 9580 §9).
#[derive(Clone, Debug)]
pub struct Checked {
    /// Whether it is good, and of which key.
    pub outcome: Outcome,
    /// The key id that it names, 16 hexadecimal digits.
    pub key_id: String,
    /// The fingerprint that it names.
    pub fingerprint: Option<String>,
    /// The user id that it names.
    pub user_id: Option<Vec<u8>>,
    /// When it was made, by the signer's clock.
    pub made: i64,
    /// When it ends.
    pub ends: Option<i64>,
    /// Its version.
    pub version: u8,
    /// The public key algorithm's number.
    pub algorithm: u8,
    /// The hash algorithm's number.
    pub hash: u8,
    /// The type.
    pub class: u8,
    /// Whether it is bad for no other reason than that it asks, as critical, for something that gpg does not know.
    pub unknown_critical: bool,
}

/// What became of one signature.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Good, by this key.
    Good(Arc<Key>),
    /// Not good, by this key.
    Bad(Arc<Key>),
    /// It claims to be older than its key, by so many seconds.
    Early {
        /// How many.
        newer: i64,
    },
    /// The key is not known.
    NoKey,
    /// Its algorithms, or its type, are not known, or rejected; or it contradicts itself or its key.
    Unsupported,
}

impl Detached {
    /// Reads the signatures of a file, armoured, in one block or several, or not. `None` where it holds none, or something else.
    pub fn parse(file: &[u8]) -> Option<Self> {
        let blob = match file.starts_with(b"-----BEGIN ") {
            true => armor::decode_openpgp_blocks(file).ok()?,
            false => file.to_vec(),
        };
        let packets = packet::read_all(&blob).ok()?;
        let read = packets.iter().map(|found| match Packet::from_bytes(&found.packet) {
            Ok(Packet::Signature(signature)) => Some(signature),
            _ => None,
        });
        read.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty()).map(Self)
    }

    /// The 8 bytes of the key ids of those who may have signed.
    pub fn key_ids(&self) -> Vec<Vec<u8>> {
        let issuers = self.0.iter().flat_map(Signature::get_issuers);
        issuers.map(|issuer| KeyID::from(issuer).as_bytes().to_vec()).collect()
    }

    /// Checks each against data.
    pub fn check(&self, verifier: &OpenPgpVerifier, data: &[u8]) -> Vec<Checked> {
        let checked = self.0.len() <= MOST;
        self.0.iter().map(|signature| check_one(signature, verifier, data, checked)).collect()
    }
}

fn check_one(signature: &Signature, verifier: &OpenPgpVerifier, data: &[u8], checked: bool) -> Checked {
    let issuers = signature.get_issuers();
    let fingerprint = issuers.iter().find_map(|issuer| match issuer {
        KeyHandle::Fingerprint(fingerprint) => Some(fingerprint.to_hex()),
        KeyHandle::KeyID(_) => None,
    });
    let candidates = verifier.candidates(signature);
    let outcome = if checked { outcome(signature, &candidates, data) } else { Outcome::Unsupported };
    let (outcome, unknown_critical) = match outcome {
        Outcome::Good(key) if is_critical_unknown(signature) => (Outcome::Bad(key), true),
        outcome => (outcome, false),
    };
    Checked {
        outcome,
        unknown_critical,
        key_id: issuers.first().map_or_else(|| "0".repeat(16), |issuer| KeyID::from(issuer).to_hex()),
        fingerprint,
        user_id: signature.signers_user_id().map(<[u8]>::to_vec),
        made: signature.signature_creation_time().map_or(0, seconds),
        ends: end_of(signature).map(in_32_bits),
        version: signature.version(),
        algorithm: signature.pk_algo().into(),
        hash: signature.hash_algo().into(),
        class: signature.typ().into(),
    }
}

fn outcome(signature: &Signature, candidates: &[&SigningKey], data: &[u8]) -> Outcome {
    let Some(first) = candidates.first() else { return Outcome::NoKey };
    if is_ambiguous(signature) {
        return Outcome::Unsupported;
    }
    let made = signature.signature_creation_time().map_or(0, seconds);
    if let Some(newer) = candidates.iter().map(|key| seconds(key.key.creation_time()) - made).min().filter(|newer| *newer > 0) {
        return Outcome::Early { newer };
    }
    let lines;
    let data = match signature.typ() {
        SignatureType::Binary => data,
        SignatureType::Text => {
            lines = in_cr_lf(data);
            &lines
        }
        _ => return Outcome::Unsupported,
    };
    let Ok(digest) = digest_of(signature, [data].into_iter()) else { return Outcome::Unsupported };
    let good = |key: &&&SigningKey| may_be_of(signature, key) && key.raw.verify(&key.key, signature, &digest);
    match candidates.iter().find(good) {
        Some(key) if is_older(signature, key).is_some() => Outcome::Early { newer: seconds(key.key.creation_time()) - made },
        Some(key) => Outcome::Good(Arc::clone(&key.info)),
        None => Outcome::Bad(Arc::clone(&first.info)),
    }
}

/// Text as it is signed (RFC 9580 §5.2.1.2).
fn in_cr_lf(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len() / 32);
    let mut last = 0;
    for &byte in data {
        if byte == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(byte);
        last = byte;
    }
    out
}
