//! What signs and what verifies, whatever the format.

pub mod curve;
mod der;
pub mod openpgp;
pub mod ssh;
pub mod x509;

use crate::armor::Format;
use crate::evidence::Evidence;
use crate::object::{ObjectId, Payload};
use crate::verdict::Reason;

/// Verifies the signatures of one format.
pub trait Verifier: Sync {
    /// The format that it reads.
    fn format(&self) -> Format;

    /// Says what an armoured signature over a payload proves.
    ///
    /// # Errors
    /// The reason why it proves nothing.
    fn verify(&self, armored: &[u8], payload: &Payload<'_>) -> Result<Evidence, Reason>;

    /// What is proved of an object beside that, by what its signature does not carry: nothing more, unless a verifier knows of
    /// such things. The object's id is known to be that of its bytes.
    fn witnessed(&self, _object: &ObjectId, _armored: &[u8], evidence: Evidence) -> Evidence {
        evidence
    }
}

/// Verifies a signature with whichever of the verifiers reads its format.
///
/// # Errors
/// The reason why the signature proves nothing.
pub fn verify(verifiers: &[&dyn Verifier], armored: &[u8], payload: &Payload<'_>) -> Result<Evidence, Reason> {
    let format = Format::sniff(armored).ok_or(Reason::UnknownFormat)?;
    match verifiers.iter().find(|verifier| verifier.format() == format) {
        Some(verifier) => verifier.verify(armored, payload),
        None => Err(Reason::FormatUnsupported { format }),
    }
}

/// Asks the verifier of a signature's format what else is proved of an object.
pub fn witnessed(verifiers: &[&dyn Verifier], object: &ObjectId, armored: &[u8], evidence: Evidence) -> Evidence {
    match verifiers.iter().find(|verifier| verifier.format() == evidence.format) {
        Some(verifier) => verifier.witnessed(object, armored, evidence),
        None => evidence,
    }
}
