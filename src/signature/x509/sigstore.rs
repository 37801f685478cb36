//! When a keyless signature was made, by a log entry and by timestamps: through sigstore-verify, which checks the signature, the
//! entry and the timestamps, and the few bindings that it leaves open here. The chain is checked by [`super::chain`].

use super::ber;
use super::certificate::{Certificate, Kind, der};
use super::chain::Window;
use super::cms::Cms;
use super::entry::{Entry, Subject, Version};
use super::roots::Ready;
use crate::evidence::LogEntry;
use crate::verdict::{Reason, UNKNOWN_LOG, Utc};
use sha2::{Digest as _, Sha256};
use sigstore_verify::crypto::{Checkpoint, CheckpointSignature};
use sigstore_verify::types::bundle::{
    CertificateContent, CheckpointData, InclusionPromise, InclusionProof, LogId, MessageDigest, MessageSignature, Rfc3161Timestamp,
    TimestampVerificationData, TransparencyLogEntry, VerificationMaterial, VerificationMaterialContent,
};
use sigstore_verify::types::{
    Bundle, CanonicalizedBody, DerCertificate, DigestBytes, HashAlgorithm, KindVersion, LogIndex, LogKeyId, MediaType, Sha256Hash,
    SignatureBytes, SignatureContent, SignedTimestamp, TimestampToken,
};
use sigstore_verify::{Error, VerificationPolicy, VerificationResult};

const OUT_OF_USE: &str = "its log was not in use any more";

/// What is proved of the time.
#[derive(Debug, Default)]
pub(super) struct Proved {
    pub(super) entry: Option<LogEntry>,
    pub(super) timestamps: Vec<i64>,
}

/// What a log entry and a timestamp token over a signature prove; one of them at least has to be there. The signature is checked.
///
/// # Errors
/// Where anything that is there is not good: nothing is passed over.
pub(super) fn prove(
    ready: &Ready,
    window: Window,
    cms: &Cms<'_>,
    leaf: &Certificate<'_>,
    entry: Option<&Entry>,
    token: Option<&[u8]>,
) -> Result<Proved, Reason> {
    if !is_timed(entry, token) {
        return Err(Reason::TimeUnproved);
    }
    let subject = subject(cms, leaf);
    let bundle = bundle_of(cms, &subject, entry.map(|entry| (entry, subject.body(entry.version))), token)?;
    if let (Some(entry), Some(made)) = (entry, bundle.verification_material.tlog_entries.first()) {
        let check = || {
            let proof = made.inclusion_proof.as_ref().ok_or("it carries no proof of inclusion")?;
            let checkpoint = proof.checkpoint.checkpoint().ok_or("it carries no checkpoint")?;
            let place = Place {
                log: &entry.log,
                body: made.canonicalized_body.as_bytes(),
                index: if entry.version == Version::V1 { proof.log_index.get() } else { entry.index },
                root: (entry.version == Version::V1).then_some(*proof.root_hash.as_bytes()),
                hashes: &proof.hashes,
            };
            place.check(ready, checkpoint, (window.begin(), window.end()))
        };
        check().map_err(|what| Reason::LogEntry { what })?;
    }
    // whose identity is enough says our own policy; the chain is checked already, and `window` is what came of it; so is the
    // place in the log, since the other way the promise would be verified twice
    let policy = VerificationPolicy::any_identity().skip_certificate_chain().skip_tlog_unsafe();
    let proved = ready.verifier.verify(cms.signed.as_slice(), &bundle, &policy).map_err(reason)?;
    let times = times(&proved, window)?;
    if let (Some(entry), Some(last)) = (entry, proved.verified_timestamps().iter().max()) {
        ready.logs.key_at(&Sha256Hash::new(entry.log), *last).ok_or_else(|| Reason::LogEntry { what: OUT_OF_USE.to_owned() })?;
    }
    Ok(Proved {
        entry: entry.map(|entry| LogEntry {
            log: hex::encode(entry.log),
            index: entry.index,
            time: times.get(usize::from(token.is_some())).copied(), // those of tokens come first
        }),
        timestamps: times.into_iter().take(usize::from(token.is_some())).collect(),
    })
}

/// Whether an entry, or a token, says when: one that lacks what it should have does not.
pub(super) fn is_timed(entry: Option<&Entry>, token: Option<&[u8]>) -> bool {
    entry.map_or(token.is_some(), |entry| match entry.version {
        Version::V1 => entry.promise.is_some() && entry.time.is_some(), // the promise also binds the index
        Version::V2 => token.is_some(),                                 // the log proves no time
    })
}

/// A signature in the form of Sigstore's bundles (v0.3): what is signed is the artifact.
pub(super) fn bundle(cms: &Cms<'_>, leaf: &Certificate<'_>, entry: Option<&Entry>, token: Option<&[u8]>) -> Result<Bundle, Reason> {
    let subject = subject(cms, leaf);
    bundle_of(cms, &subject, entry.map(|entry| (entry, subject.body(entry.version))), token)
}

/// The same of an entry with its body.
fn bundle_of(
    cms: &Cms<'_>,
    subject: &Subject<'_>,
    entry: Option<(&Entry, String)>,
    token: Option<&[u8]>,
) -> Result<Bundle, Reason> {
    let entries = entry.map(|(entry, body)| log_entry(entry, body)).transpose().map_err(|what| Reason::LogEntry { what })?;
    let tokens = token.map(|token| Rfc3161Timestamp::new(TimestampToken::new(response(token)))).into_iter();
    let leaf = CertificateContent::new(DerCertificate::new(subject.certificate.to_vec()));
    let material = VerificationMaterial::new(VerificationMaterialContent::Certificate(leaf))
        .with_tlog_entries(entries.into_iter().collect())
        .with_timestamp_verification_data(TimestampVerificationData::new(tokens.collect()));
    let digest = MessageDigest::new(HashAlgorithm::Sha2256, DigestBytes::new(subject.digest.to_vec()));
    let signature = MessageSignature::new(SignatureBytes::new(cms.signature.to_vec())).with_message_digest(digest);
    Ok(Bundle::new(MediaType::Bundle0_3, material, SignatureContent::MessageSignature(signature)))
}

/// A timestamp token as the answer of its authority, which is what bundles hold: status granted, and the token (RFC 3161 §2.4.2).
fn response(token: &[u8]) -> Vec<u8> {
    let granted = der(ber::SEQUENCE, &der(ber::INTEGER, &[0]));
    der(ber::SEQUENCE, &[&granted, token].concat())
}

/// All times that are proved, those of tokens first: one at least, and each within the certificate and its authority.
pub(super) fn times(proved: &VerificationResult, window: Window) -> Result<Vec<i64>, Reason> {
    let times: Vec<i64> = proved.verified_timestamps().iter().map(|time| time.as_second()).collect();
    if times.is_empty() {
        return Err(Reason::TimeUnproved);
    }
    if let Some(time) = times.iter().find(|time| !window.contains(**time)) {
        let what = format!("it, or its authority, did not hold at the proved time {}", Utc(*time));
        return Err(Reason::CertificateUntrusted { what });
    }
    Ok(times)
}

/// What the log entry has to be of.
pub(super) fn subject<'a>(cms: &Cms<'a>, leaf: &Certificate<'_>) -> Subject<'a> {
    let key_details = match leaf.public_key().map(|key| key.kind()) {
        Ok(Kind::P384) => "PKIX_ECDSA_P384_SHA_384",
        Ok(Kind::P521) => "PKIX_ECDSA_P521_SHA_512",
        Ok(Kind::Rsa { .. }) => "PKIX_RSA_PKCS1V15_2048_SHA256",
        Ok(Kind::P256) | Err(_) => "PKIX_ECDSA_P256_SHA_256",
    };
    Subject { digest: Sha256::digest(&cms.signed).into(), signature: cms.signature, certificate: cms.signer, key_details }
}

fn log_entry(entry: &Entry, body: String) -> Result<TransparencyLogEntry, String> {
    let text = |error: sigstore_verify::types::Error| error.to_string();
    let body = CanonicalizedBody::new(body.into_bytes());
    let kind = match entry.version {
        Version::V1 => KindVersion::HashedRekordV001,
        Version::V2 => KindVersion::HashedRekordV002,
    };
    let log = LogId::new(LogKeyId::from_bytes(&entry.log));
    let mut made = TransparencyLogEntry::new(LogIndex::new(entry.index).map_err(text)?, log, kind, body);
    if let Some(time) = entry.time {
        made = made.with_integrated_time(jiff::Timestamp::from_second(time).map_err(|error| error.to_string())?);
    }
    if let Some(promise) = &entry.promise {
        made = made.with_inclusion_promise(InclusionPromise::new(SignedTimestamp::new(promise.clone())));
    }
    let proof = entry.proof.as_ref().ok_or("it carries no proof of inclusion")?;
    let checkpoint = CheckpointData::new(proof.checkpoint.as_str()).map_err(text)?;
    check_checkpoint(&entry.log, entry.version, &checkpoint, proof.size)?;
    let hashes = proof.hashes.iter().copied().map(Sha256Hash::new).collect();
    let index = LogIndex::new(proof.index).map_err(text)?;
    Ok(made.with_inclusion_proof(InclusionProof::new(index, Sha256Hash::new(proof.root), proof.size, hashes, checkpoint)))
}

/// Where an entry is said to stand in a log.
pub(super) struct Place<'a> {
    /// The log's id.
    pub(super) log: &'a [u8; 32],
    /// What was logged.
    pub(super) body: &'a [u8],
    /// The index in the tree; an entry's own index, in version 1, counts all trees that the log ever had.
    pub(super) index: u64,
    /// The root that the proof itself names, where it has to be the checkpoint's.
    pub(super) root: Option<[u8; 32]>,
    pub(super) hashes: &'a [Sha256Hash],
}

impl Place<'_> {
    /// The entry is in the tree that its log signed (RFC 6962 §2.1.1; C2SP tlog-checkpoint), by the key of that very log, which
    /// was in use at some time between two moments.
    pub(super) fn check(
        &self,
        ready: &Ready,
        checkpoint: &Checkpoint,
        (begin, end): (jiff::Timestamp, jiff::Timestamp),
    ) -> Result<(), String> {
        if self.root.is_some_and(|root| checkpoint.root_hash().as_bytes() != &root) {
            return Err("its proof is for another root than its checkpoint's".to_owned());
        }
        let leaf = sigstore_merkle::hash_leaf(self.body);
        sigstore_merkle::verify_inclusion_proof(&leaf, self.index, checkpoint.tree_size(), self.hashes, checkpoint.root_hash())
            .map_err(|error| format!("its proof of inclusion does not hold: {error}"))?;
        let log = Sha256Hash::new(*self.log);
        let started = ready.logs.key_started_by(&log, end);
        let key = started.ok_or(UNKNOWN_LOG)?;
        if ready.logs.key_at(&log, begin).is_none() && ready.logs.key_at(&log, end).is_none() {
            return Err(OUT_OF_USE.to_owned());
        }
        let is_good = |signature: &CheckpointSignature| {
            self.log.starts_with(signature.key_id.as_slice()) && key.verify(checkpoint.signed_data(), &signature.signature).is_ok()
        };
        match checkpoint.signatures().iter().any(is_good) {
            true => Ok(()),
            false => Err("its checkpoint is not signed by the log that it names".to_owned()),
        }
    }
}

/// The size in the proof is that of the checkpoint, and the checkpoint is signed by the log that the entry names: sigstore-verify
/// would take any size that leads to the root, and any log of the trusted root.
pub(super) fn check_checkpoint(log: &[u8], version: Version, checkpoint: &CheckpointData, size: u64) -> Result<(), String> {
    let parsed = checkpoint.checkpoint().ok_or("it carries no checkpoint")?;
    if version == Version::V1 && parsed.tree_size() != size {
        return Err("its proof is for a tree of another size than its checkpoint's".to_owned());
    }
    let of_log = |hint: &[u8]| log.starts_with(hint);
    if !parsed.signatures().iter().any(|signature| of_log(signature.key_id.as_slice())) {
        return Err("its checkpoint is not signed by the log that it names".to_owned());
    }
    Ok(())
}

pub(super) fn reason(error: Error) -> Reason {
    let what = error.to_string();
    match error {
        Error::SignatureInvalid(_) | Error::ArtifactMismatch(_) => Reason::BadSignature,
        Error::Certificate(_) => Reason::CertificateUntrusted { what },
        Error::Timestamp(_) => Reason::TimestampInvalid { what },
        _ => Reason::LogEntry { what },
    }
}
