//! The request for a certificate (PKCS #10, RFC 2986): it shows that whoever asks holds the key.

use super::der::{BIT_STRING, CONTEXT_0, OID, SEQUENCE, tlv, version};
use super::oid;

/// A request without a name, which the identity token gives, for a P-256 key (`SubjectPublicKeyInfo` in DER). `sign` makes an
/// `ECDSA-Sig-Value` over a message.
///
/// # Errors
/// What `sign` says.
pub fn certificate_request<E>(public_key: &[u8], sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
    let info = tlv(SEQUENCE, &[&version(0), &tlv(SEQUENCE, &[]), public_key, &tlv(CONTEXT_0, &[])].concat());
    let signature = sign(&info)?;
    let algorithm = tlv(SEQUENCE, &tlv(OID, oid::ECDSA_SHA256));
    Ok(tlv(SEQUENCE, &[info, algorithm, tlv(BIT_STRING, &[&[0], &signature[..]].concat())].concat()))
}
