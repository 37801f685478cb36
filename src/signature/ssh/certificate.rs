//! SSH certificates (PROTOCOL.certkeys): a key, the names that an authority gives it, and for how long.

use super::key::{KeyError, PublicKey, SignatureError};
use super::wire::{Reader, WireError};
use crate::evidence::{Certificate, CertificateKind};
use std::sync::Arc;

/// The most principals that OpenSSH reads (`SSHKEY_CERT_MAX_PRINCIPALS`).
const MAX_PRINCIPALS: usize = 256;

/// Reads what follows the public key in a certificate's blob, and checks the authority's signature over all before it.
///
/// # Errors
/// Where a field is malformed, the authority is itself a certificate or of an unsupported type, or its signature is not good.
pub(super) fn read(blob: &[u8], reader: &mut Reader<'_>) -> Result<Certificate, KeyError> {
    let serial = reader.u64()?;
    let kind = match reader.u32()? {
        1 => CertificateKind::User,
        2 => CertificateKind::Host,
        _ => return Err(KeyError::Malformed),
    };
    let key_id = reader.string()?.to_vec();
    if key_id.contains(&0) {
        return Err(KeyError::Malformed);
    }
    let principals = strings(reader.string()?)?;
    let (valid_after, valid_before) = (reader.u64()?, reader.u64()?);
    let critical = options(reader.string()?)?;
    options(reader.string()?)?; // extensions: what a login may do, which says nothing of signatures
    reader.string()?; // reserved
    let authority = reader.string()?;
    let signed = blob.get(..blob.len() - reader.rest().len()).ok_or(KeyError::Malformed)?;
    let signature = reader.string()?;
    reader.finish()?;
    let authority = PublicKey::parse_plain(authority)?;
    authority.verify(signed, signature).map_err(|error| match error {
        SignatureError::Algorithm(algorithm) => KeyError::CertificateAlgorithm(algorithm),
        _ => KeyError::Certificate,
    })?;
    Ok(Certificate {
        serial,
        kind,
        key_id,
        principals,
        valid_after: seconds(valid_after),
        valid_before: seconds(valid_before),
        critical_options: critical,
        authority: Arc::clone(authority.info()),
        blob: blob.to_vec(),
    })
}

/// Times beyond what `i64` holds are as good as for ever.
fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn strings(bytes: &[u8]) -> Result<Vec<Vec<u8>>, WireError> {
    let mut reader = Reader::new(bytes);
    let mut strings = Vec::new();
    while !reader.rest().is_empty() {
        let string = reader.string()?;
        if strings.len() >= MAX_PRINCIPALS || string.contains(&0) {
            return Err(WireError);
        }
        strings.push(string.to_vec());
    }
    Ok(strings)
}

/// The names of options; what their values mean depends on the name.
fn options(bytes: &[u8]) -> Result<Vec<String>, WireError> {
    let mut reader = Reader::new(bytes);
    let mut names = Vec::new();
    while !reader.rest().is_empty() {
        names.push(String::from_utf8_lossy(reader.string()?).into_owned());
        reader.string()?;
    }
    Ok(names)
}
