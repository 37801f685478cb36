//! SSH signatures (PROTOCOL.sshsig): what they prove, and how they are made.

mod certificate;

pub mod detached;
pub mod fingerprint;
pub mod key;
pub mod sign;
pub mod sshsig;
pub mod wire;

pub use key::{KeyError, PublicKey, SignatureError};
pub use sshsig::{MessageHash, SshSig};

use super::Verifier;
use crate::armor::{self, ArmorError, ArmorForm, Format};
use crate::evidence::{Evidence, Malleable};
use crate::object::{Payload, clip};
use crate::verdict::Reason;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The namespace of git's signatures.
pub const NAMESPACE: &str = "git";

/// Parsed keys are kept up to this number; what a history with more keys costs is time.
const MAX_CACHED_KEYS: usize = 10_000;

/// Verifies SSH signatures in the namespace `git`, by whatever key they carry: whose it is says the policy.
#[derive(Debug, Default)]
pub struct SshVerifier {
    keys: RwLock<HashMap<Vec<u8>, Arc<PublicKey>>>,
}

impl SshVerifier {
    fn key(&self, blob: &[u8]) -> Result<Arc<PublicKey>, KeyError> {
        if let Some(key) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(blob) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(PublicKey::parse(blob)?);
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() < MAX_CACHED_KEYS {
            keys.insert(blob.to_vec(), Arc::clone(&key));
        }
        Ok(key)
    }
}

impl Verifier for SshVerifier {
    fn format(&self) -> Format {
        Format::Ssh
    }

    fn verify(&self, armored: &[u8], payload: &Payload<'_>) -> Result<Evidence, Reason> {
        let (blob, form) = armor::decode_ssh(armored).map_err(|error| match error {
            ArmorError::Several => Reason::MultipleSignatures,
            other => Reason::MalformedSignature { what: other.to_string() },
        })?;
        let frame = SshSig::parse(&blob).map_err(|error| Reason::MalformedSignature { what: error.to_string() })?;
        if frame.namespace != NAMESPACE.as_bytes() {
            return Err(Reason::NamespaceMismatch { found: clip(frame.namespace) });
        }
        let hash = MessageHash::of_name(frame.hash).ok_or_else(|| Reason::AlgorithmUnsupported { algorithm: clip(frame.hash) })?;
        let key = self.key(frame.public_key).map_err(|error| match error {
            KeyError::Unsupported(algorithm) | KeyError::CertificateAlgorithm(algorithm) => {
                Reason::AlgorithmUnsupported { algorithm: clip(algorithm.as_bytes()) }
            }
            KeyError::RsaSize(bits) if bits < key::MIN_RSA_BITS => Reason::WeakKey { bits, least: key::MIN_RSA_BITS },
            other => Reason::MalformedSignature { what: other.to_string() },
        })?;
        let signed = sshsig::signed_data(frame.namespace, frame.reserved, hash, &hash.digest(payload.parts()));
        let checked = key.verify(&signed, frame.signature).map_err(|error| match error {
            SignatureError::Malformed => Reason::MalformedSignature { what: error.to_string() },
            SignatureError::Algorithm(algorithm) => Reason::AlgorithmUnsupported { algorithm: clip(algorithm.as_bytes()) },
            SignatureError::Incorrect => Reason::BadSignature,
        })?;
        let loose_frame = !frame.reserved.is_empty() || (key.info().certificate.is_none() && key.info().blob != frame.public_key);
        let malleable = [
            (form != ArmorForm::Canonical, Malleable::Armor),
            (checked.high_s, Malleable::HighS),
            (checked.loose_encoding || loose_frame, Malleable::Encoding),
        ];
        Ok(Evidence {
            keyless: None,
            smime: None,
            format: Format::Ssh,
            key: Arc::clone(key.info()),
            hash: hash.name(),
            made: None,
            ends: None,
            weak: Vec::new(),
            token: checked.token,
            payload_id: payload.id(),
            malleable: malleable.into_iter().filter(|(is, _)| *is).map(|(_, way)| way).collect(),
        })
    }
}
