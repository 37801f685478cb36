//! Log entries that a signature does not carry: those of gitsign's online mode, which signs a second time with the same key, and
//! logs that signature. It is over the object's id, in hexadecimal: what is proved is that the key's holder knew the finished
//! object, the first signature in it included, when the log took the entry in.

use super::certificate::Certificate;
use super::cms::Cms;
use super::entry::{Entry, Subject, Version};
use super::sign::LogEntry;
use super::{X509Verifier, decode, malformed, sigstore};
use crate::evidence::Evidence;
use crate::object::ObjectId;
use crate::verdict::Reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

impl X509Verifier {
    /// What is logged of an object in online mode: its id.
    pub fn logged_of(object: &ObjectId) -> String {
        object.to_string()
    }

    /// The certificate (in DER) of a signature.
    ///
    /// # Errors
    /// Where it has none.
    pub fn certificate_of(armored: &[u8]) -> Result<Vec<u8>, Reason> {
        let (blob, _) = decode(armored)?;
        Ok(Cms::parse(&blob).map_err(|error| malformed(&error))?.signer.to_vec())
    }

    /// The evidence of a signature, together with an entry of a log and its body, as the log gave them: the entry has to be of
    /// this object's id, by this signature's certificate, and is checked by the trusted root as those are that a signature
    /// carries.
    ///
    /// # Errors
    /// The reason why the entry proves nothing of this object.
    pub fn with_entry(
        &self,
        armored: &[u8],
        evidence: &Evidence,
        object: &ObjectId,
        (body, found): (&[u8], &LogEntry),
    ) -> Result<Evidence, Reason> {
        let other = |what: &str| Reason::LogEntry { what: what.to_owned() };
        let (blob, _) = decode(armored)?;
        let cms = Cms::parse(&blob).map_err(|error| malformed(&error))?;
        let leaf = Certificate::parse(cms.signer).map_err(|error| malformed(&error))?;
        let (root, ready, window) = self.root_of(&leaf)?;
        let signed = Self::logged_of(object).into_bytes();
        let signature = signature_in(body).ok_or_else(|| other("it is not of a kind that gitsign writes"))?;
        let subject = Subject {
            digest: Sha256::digest(&signed).into(),
            signature: &signature,
            certificate: cms.signer,
            key_details: "PKIX_ECDSA_P256_SHA_256",
        };
        if subject.body(Version::V1).as_bytes() != body {
            return Err(other("it is of another object, or of another certificate"));
        }
        let entry = Entry::parse(&found.encode(), &subject).map_err(|error| other(&error.to_string()))?;
        if entry.version != Version::V1 {
            return Err(other("it is not of Rekor v1"));
        }
        let cms = Cms { signed, sorted: None, signature: &signature, ..cms };
        let proved = sigstore::prove(ready, window, &cms, &leaf, Some(&entry), None)?;
        let keyless = evidence.keyless.as_deref().filter(|keyless| keyless.authority == root.name && keyless.entry.is_none());
        let mut keyless = keyless.ok_or_else(|| other("the signature carries one of its own"))?.clone();
        keyless.entry = proved.entry;
        Ok(Evidence { keyless: Some(Arc::new(keyless)), ..evidence.clone() })
    }
}

/// The signature in a body of hashedrekord 0.0.1.
fn signature_in(body: &[u8]) -> Option<Vec<u8>> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    STANDARD.decode(body.pointer("/spec/signature/content")?.as_str()?).ok()
}
