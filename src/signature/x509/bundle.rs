//! Sigstore's bundles (`sigstore.bundle.v0.3+json`, and older): signatures of files and statements, kept beside them.

use super::certificate::Certificate;
use super::chain::Window;
use super::entry::Version;
use super::roots::{Ready, Root};
use super::sigstore::{Place, Proved, check_checkpoint, reason, times};
use super::{Keyless, malformed};
use crate::evidence::LogEntry;
use crate::verdict::Reason;
use sigstore_verify::types::bundle::TransparencyLogEntry;
use sigstore_verify::types::{Artifact, Bundle, DerPublicKey, KindVersion, Sha256Hash, SignatureContent};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult};

/// What a bundle is to be of.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// The whole.
    Bytes(&'a [u8]),
    /// Its SHA-256.
    Sha256([u8; 32]),
}

impl<'a> Content<'a> {
    fn artifact(self) -> Artifact<'a> {
        match self {
            Self::Bytes(bytes) => Artifact::from_blob(bytes),
            Self::Sha256(digest) => Artifact::from_digest(Sha256Hash::new(digest)),
        }
    }
}

/// What a keyless bundle of this content proves, by a trusted root, and the type of the statement (in-toto) that it is of, where it
/// is not of the content itself: the bundle of a vulnerability report is by somebody who says just that. Whether that is enough
/// the caller says.
///
/// # Errors
/// The reason why it proves nothing.
pub fn verify_bundle(root: &Root, json: &[u8], content: Content<'_>) -> Result<(Keyless, Option<String>), Reason> {
    let (ready, bundle) = read(root, json)?;
    let der = bundle.signing_certificate().ok_or_else(|| malformed(&"the bundle carries no certificate"))?;
    let leaf = Certificate::parse(der.as_bytes()).map_err(|error| malformed(&error))?;
    let window = ready.chains.check(&leaf).map_err(|what| Reason::CertificateUntrusted { what })?;
    if !leaf.may_sign_code().map_err(|error| malformed(&error))? {
        return Err(malformed(&"the certificate is not for signing code"));
    }
    Ok((super::keyless(&leaf, root, proved(ready, window, &bundle, content)?)?, statement_type(&bundle)))
}

fn proved(ready: &Ready, window: Window, bundle: &Bundle, content: Content<'_>) -> Result<Proved, Reason> {
    let policy = VerificationPolicy::any_identity();
    let policy = if ready.chains.are_logged() { policy } else { policy.skip_sct() };
    let policy = if ready.is_logged { policy } else { policy.skip_tlog_unsafe() };
    let result = ready.verifier.verify(content.artifact(), bundle, &policy).map_err(reason)?;
    let times = times(&result, window)?;
    check_entries(ready, bundle, &result)?;
    let material = &bundle.verification_material;
    let entry = material.tlog_entries.first().map(|entry| LogEntry {
        log: hex::encode(entry.log_id.key_id.as_bytes()),
        index: entry.log_index.get(),
        time: result.integrated_time().map(jiff::Timestamp::as_second),
    });
    let tokens = material.timestamp_verification_data.rfc3161_timestamps.len();
    Ok(Proved { entry, timestamps: times.into_iter().take(tokens).collect() })
}

fn statement_type(bundle: &Bundle) -> Option<String> {
    let SignatureContent::DsseEnvelope(envelope) = &bundle.content else { return None };
    let statement: serde_json::Value = serde_json::from_slice(envelope.payload.as_bytes()).ok()?;
    let said = statement.get("predicateType").and_then(serde_json::Value::as_str).unwrap_or("unknown");
    Some(said.chars().take(200).collect())
}

/// Whether a bundle of this content is by a key (a SubjectPublicKeyInfo in PEM), and in a log of the trusted root, if that has one;
/// and the type of the statement that it is of.
///
/// # Errors
/// The reason why it is not.
pub fn verify_bundle_by_key(root: &Root, json: &[u8], content: Content<'_>, key: &str) -> Result<Option<String>, Reason> {
    let (ready, bundle) = read(root, json)?;
    let key = DerPublicKey::from_pem(key).map_err(|error| malformed(&error))?;
    let policy = PublicKeyVerificationPolicy::new(key);
    let result = ready.verifier.verify(content.artifact(), &bundle, &policy).map_err(reason)?;
    check_entries(ready, &bundle, &result)?;
    Ok(statement_type(&bundle))
}

fn read<'a>(root: &'a Root, json: &[u8]) -> Result<(&'a Ready, Bundle), Reason> {
    let ready = root.ready().map_err(|error| Reason::CertificateUntrusted { what: error.to_string() })?;
    let text = std::str::from_utf8(json).map_err(|error| malformed(&error))?;
    let parts: serde_json::Value = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    let said = ["messageSignature", "dsseEnvelope"].iter().filter(|name| parts.get(name).is_some_and(|it| !it.is_null())).count();
    if said > 1 {
        return Err(malformed(&"the bundle is of two things, a file and a statement"));
    }
    let bundle = Bundle::from_json(text).map_err(|error| malformed(&error))?;
    if bundle.verification_material.tlog_entries.iter().any(|entry| entry.inclusion_proof.is_none()) {
        return Err(Reason::LogEntry { what: "it carries no proof of inclusion".to_owned() });
    }
    Ok((ready, bundle))
}

/// There is an entry where the trusted root has logs, and each is in the tree of the log that it names, which was in use at the last
/// time that is proved: an entry's own time is nobody's word where no promise of the log is over it.
fn check_entries(ready: &Ready, bundle: &Bundle, proved: &VerificationResult) -> Result<(), Reason> {
    let entries = &bundle.verification_material.tlog_entries;
    if entries.is_empty() {
        let none = || Reason::LogEntry { what: "the bundle carries none".to_owned() };
        return if ready.is_logged { Err(none()) } else { Ok(()) };
    }
    let last = *proved.verified_timestamps().iter().max().ok_or(Reason::TimeUnproved)?;
    entries.iter().try_for_each(|entry| check_entry(ready, entry, last)).map_err(|what| Reason::LogEntry { what })
}

/// The entry is in the tree of the log that it names: none counts on a promise alone.
fn check_entry(ready: &Ready, entry: &TransparencyLogEntry, time: jiff::Timestamp) -> Result<(), String> {
    let version = if entry.kind_version == KindVersion::HashedRekordV002 { Version::V2 } else { Version::V1 };
    let proof = entry.inclusion_proof.as_ref().ok_or("it carries no proof of inclusion")?;
    let log = entry.log_id.key_id.as_bytes();
    check_checkpoint(log, version, &proof.checkpoint, proof.tree_size)?;
    let checkpoint = proof.checkpoint.checkpoint().ok_or("it carries no checkpoint")?;
    let place = Place {
        log: log.try_into().map_err(|_| "its log has no id")?,
        body: entry.canonicalized_body.as_bytes(),
        index: if version == Version::V1 { proof.log_index.get() } else { entry.log_index.get() },
        root: (version == Version::V1).then_some(*proof.root_hash.as_bytes()),
        hashes: &proof.hashes,
    };
    place.check(ready, checkpoint, (time, time))
}
