//! Keyless signatures made: CMS, byte for byte as gitsign writes it with its log entry embedded.
//!
//! ```text
//! ContentInfo { signedData, SignedData { 1, {sha256}, {data}, certificates [0] { leaf },
//!   { SignerInfo { 1, issuer and serial number, sha256, signed attributes [0], ecdsa-with-SHA256, signature,
//!                  unsigned attributes [1] { log entry, timestamp token } } } } }
//! ```
//! The signature is over the signed attributes as a DER SET, and that SET is what the log and whoever sees a Sigstore bundle in
//! it take for the artifact.

mod config;
mod der;
mod entry;
mod leaf;
mod request;
mod timestamp;

pub use config::{ConfigError, SigningConfig};
pub use entry::{Inclusion, LogEntry};
pub use leaf::{Leaf, LeafError};
pub use request::certificate_request;
pub use timestamp::{TimestampError, TimestampQuery, time_of};

use crate::signature::curve::P256;
use der::{CONTEXT_0, CONTEXT_1, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, SET, TIME, UTC_TIME, tlv};
use sha2::{Digest as _, Sha256};

/// Object identifiers, their contents in DER.
mod oid {
    /// 1.2.840.113549.1.7.1
    pub(super) const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
    /// 1.2.840.113549.1.7.2
    pub(super) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
    /// 1.2.840.113549.1.9.3
    pub(super) const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
    /// 1.2.840.113549.1.9.4
    pub(super) const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
    /// 1.2.840.113549.1.9.5
    pub(super) const SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05];
    /// 1.2.840.113549.1.9.16.2.14 (RFC 3161, appendix A)
    pub(super) const TIMESTAMP_TOKEN: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0e];
    /// 1.3.6.1.4.1.57264.3.1: Sigstore's entry of a transparency log
    pub(super) const LOG_ENTRY: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x03, 0x01];
    /// 2.16.840.1.101.3.4.2.1
    pub(super) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    /// 1.2.840.10045.4.3.2
    pub(super) const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
}

/// The signed attributes over one payload: what the ephemeral key signs and the log records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAttributes(Vec<u8>);

impl SignedAttributes {
    /// Content type, signing time (seconds since 1970, as the signer's clock has it) and digest, in SET order.
    pub fn new(payload: &[u8], now: i64) -> Self {
        let (tag, time) = utc(now);
        let mut attributes = [
            attribute(oid::CONTENT_TYPE, &tlv(OID, oid::DATA)),
            attribute(oid::SIGNING_TIME, &tlv(tag, time.as_bytes())),
            attribute(oid::MESSAGE_DIGEST, &tlv(OCTET_STRING, &Sha256::digest(payload))),
        ];
        attributes.sort_unstable();
        Self(tlv(SET, &attributes.concat()))
    }

    /// Takes attributes of exactly this form, whatever payload and time they are of.
    pub fn from_der(bytes: &[u8]) -> Option<Self> {
        let mut all = Reader(bytes);
        let mut set = all.expect(SET).filter(|_| all.is_empty())?.inside();
        let mut value = || {
            let mut parts = set.expect(SEQUENCE)?.inside();
            Some((parts.expect(OID)?.content, parts.expect(SET)?.inside().any()?)).filter(|_| parts.is_empty())
        };
        let (data, time, digest) = (value()?, value()?, value()?);
        if digest.1.content.len() != 32 || !matches!(time.1.tag, UTC_TIME | TIME) || data.1.content != oid::DATA {
            return None;
        }
        let again = [
            attribute(oid::CONTENT_TYPE, &tlv(OID, oid::DATA)),
            attribute(oid::SIGNING_TIME, time.1.whole),
            attribute(oid::MESSAGE_DIGEST, &tlv(OCTET_STRING, digest.1.content)),
        ];
        Some(Self(tlv(SET, &again.concat()))).filter(|again| again.0 == bytes)
    }

    /// The DER SET: what is signed.
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }

    /// What the log records of it.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

/// What stands beside the signature and proves when, and that all may know of it.
#[derive(Clone, Copy, Debug)]
pub struct Proofs<'a> {
    /// The entry in the log.
    pub entry: Option<&'a LogEntry>,
    /// An RFC 3161 token over the signature, in DER.
    pub timestamp: Option<&'a [u8]>,
}

/// Puts a signature together, in DER. `signature` is an `ECDSA-Sig-Value` over the signed attributes by the leaf's key.
pub fn assemble(leaf: &Leaf, attributes: &SignedAttributes, signature: &[u8], proofs: Proofs<'_>) -> Vec<u8> {
    let sha256 = tlv(SEQUENCE, &tlv(OID, oid::SHA256));
    let mut unsigned = Vec::new();
    if let Some(entry) = proofs.entry {
        unsigned.push(attribute(oid::LOG_ENTRY, &tlv(OCTET_STRING, &entry.encode())));
    }
    if let Some(token) = proofs.timestamp {
        unsigned.push(attribute(oid::TIMESTAMP_TOKEN, token));
    }
    unsigned.sort_unstable();
    let unsigned = if unsigned.is_empty() { Vec::new() } else { tlv(CONTEXT_1, &unsigned.concat()) };
    let signer = tlv(
        SEQUENCE,
        &[
            der::version(1),
            tlv(SEQUENCE, &[leaf.issuer(), leaf.serial()].concat()),
            sha256.clone(),
            tlv(CONTEXT_0, der::content(attributes.as_der())),
            tlv(SEQUENCE, &tlv(OID, oid::ECDSA_SHA256)),
            tlv(OCTET_STRING, signature),
            unsigned,
        ]
        .concat(),
    );
    let signed_data = tlv(
        SEQUENCE,
        &[
            der::version(1),
            tlv(SET, &sha256),
            tlv(SEQUENCE, &tlv(OID, oid::DATA)),
            tlv(CONTEXT_0, leaf.as_der()),
            tlv(SET, &signer),
        ]
        .concat(),
    );
    tlv(SEQUENCE, &[tlv(OID, oid::SIGNED_DATA), tlv(CONTEXT_0, &signed_data)].concat())
}

fn attribute(kind: &[u8], value: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[tlv(OID, kind), tlv(SET, value)].concat())
}

/// `ECDSA-Sig-Value` (RFC 3279 §2.2.3) of a signature on P-256 in 64 bytes, with the smaller of s and n − s: so that a signature
/// has one form. `None` where there are not 64.
pub fn signature_value(fixed: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = fixed.split_at_checked(32).filter(|(_, s)| s.len() == 32)?;
    let integer = |number: &[u8]| {
        let digits = number.get(number.iter().take_while(|&&b| b == 0).count()..).unwrap_or_default();
        let sign = if digits.first().is_none_or(|b| b & 0x80 != 0) { &[0][..] } else { &[] };
        tlv(INTEGER, &[sign, digits].concat())
    };
    Some(tlv(SEQUENCE, &[integer(r), integer(&P256.low(s))].concat()))
}

/// A time as RFC 5652 §11.3 has it: UTCTime to 2049, GeneralizedTime from then on.
fn utc(time: i64) -> (u8, String) {
    let digits: String = crate::verdict::Utc(time).to_string().chars().filter(char::is_ascii_digit).collect();
    match digits.get(..2) {
        Some("19" | "20") if digits.get(2..3).is_some_and(|decade| decade < "5") || digits.starts_with("19") => {
            (UTC_TIME, format!("{}Z", digits.get(2..).unwrap_or_default()))
        }
        _ => (TIME, format!("{digits}Z")),
    }
}

#[cfg(test)]
mod tests;
