//! One keyless signature, from payload to armour. It leaves this module only when it is logged.

use super::certificate::Holder;
use super::services::Services;
use super::{Http, log, timestamp};
use crate::armor::encode_cms;
use crate::io::clock;
use crate::signature::x509::sign::{LogEntry, Proofs, SignedAttributes, assemble};
use anyhow::{Result, bail};

/// A signature, and what is told of it.
pub struct Signed {
    /// For git.
    pub armored: Vec<u8>,
    /// The log's entry.
    pub entry: LogEntry,
    /// The claimed time, in seconds since 1970.
    pub time: i64,
}

/// Signs a payload, logs the signature, and has it timestamped where an authority is configured.
///
/// # Errors
/// Where any of these fails: then there is no signature.
pub fn sign(http: &Http, services: &Services, holder: &mut dyn Holder, payload: &[u8]) -> Result<Signed> {
    let time = clock::now();
    let attributes = SignedAttributes::new(payload, time);
    let signature = holder.sign(&attributes)?;
    let leaf = holder.leaf();
    if !leaf.signed(attributes.as_der(), &signature) {
        bail!("what signs made no signature of its certificate's key; nothing is signed");
    }
    let token = timestamp::stamp(http, services, &signature)?;
    let entry = log::record(http, services, leaf, &attributes, &signature)?;
    let der = assemble(leaf, &attributes, &signature, Proofs { entry: Some(&entry), timestamp: token.as_deref() });
    Ok(Signed { armored: encode_cms(&der), entry, time })
}
