//! The certificate that signs: as much of it as a signature repeats, and as its holder wants to see.

use super::der::{BOOLEAN, CONTEXT_0, CONTEXT_3, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, TIME, UTC_TIME, Value};
use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};

/// A certificate of a certificate authority, taken apart, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    der: Vec<u8>,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    public_key: Vec<u8>,
    /// When it begins to be valid, in seconds since 1970.
    pub not_before: i64,
    /// The last second at which it is valid.
    pub not_after: i64,
    /// Whom it names: an address or a URI.
    pub subject: Option<String>,
    /// Who vouched for them, as Fulcio writes it.
    pub vouched_by: Option<String>,
}

/// The bytes are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no X.509 certificate in DER")]
pub struct LeafError;

/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 1.3.6.1.4.1.57264.1.1, the issuer in bare bytes
const ISSUER_V1: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x01];
/// 1.3.6.1.4.1.57264.1.8, the issuer as UTF8String
const ISSUER_V2: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x08];

impl Leaf {
    /// Takes a certificate apart (RFC 5280 §4.1).
    ///
    /// # Errors
    /// Where the bytes are not one certificate.
    pub fn parse(der: &[u8]) -> Result<Self, LeafError> {
        Self::read(der).ok_or(LeafError)
    }

    fn read(der: &[u8]) -> Option<Self> {
        let mut all = Reader(der);
        let certificate = all.expect(SEQUENCE).filter(|_| all.is_empty())?;
        let mut tbs = certificate.inside().expect(SEQUENCE)?.inside();
        tbs.optional(CONTEXT_0); // the version
        let serial = tbs.expect(INTEGER)?.whole.to_vec();
        tbs.expect(SEQUENCE)?; // the algorithm
        let issuer = tbs.expect(SEQUENCE)?.whole.to_vec();
        let mut validity = tbs.expect(SEQUENCE)?.inside();
        let (not_before, not_after) = (time(validity.any()?)?, time(validity.any()?)?);
        tbs.expect(SEQUENCE)?; // the subject
        let public_key = tbs.expect(SEQUENCE)?;
        public_key.inside().any()?;
        let public_key = public_key.whole.to_vec();
        let (mut subject, mut vouched_by) = (None, None);
        while let Some(value) = tbs.any() {
            if value.tag == CONTEXT_3 {
                let mut extensions = value.inside().expect(SEQUENCE)?.inside();
                while let Some(extension) = extensions.expect(SEQUENCE) {
                    let mut parts = extension.inside();
                    let kind = parts.expect(OID)?.content;
                    parts.optional(BOOLEAN);
                    let content = parts.expect(OCTET_STRING)?.content;
                    match kind {
                        SUBJECT_ALT_NAME => subject = name(content),
                        ISSUER_V1 if vouched_by.is_none() => vouched_by = text(content),
                        ISSUER_V2 => vouched_by = Reader(content).any().and_then(|value| text(value.content)),
                        _ => {}
                    }
                }
            }
        }
        Some(Self { der: der.to_vec(), issuer, serial, public_key, not_before, not_after, subject, vouched_by })
    }

    /// The certificate.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Its issuer's name, in DER.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// Its serial number, in DER.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Its key (`SubjectPublicKeyInfo`), in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Whom it names and who vouched for them, for people.
    pub fn holder(&self) -> String {
        let subject = self.subject.as_deref().unwrap_or("nobody");
        format!("{subject}, vouched for by {}", self.vouched_by.as_deref().unwrap_or("nobody"))
    }

    /// Whether its key, on P-256, made a signature (`ECDSA-Sig-Value`) over a message, with SHA-256.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public_key).is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }

    /// SHA-1 over the certificate, as gpgsm names certificates: 40 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der);
        hex::encode_upper(digest)
    }
}

/// The first address or URI among the names.
fn name(content: &[u8]) -> Option<String> {
    const RFC822: u8 = 0x81;
    const URI: u8 = 0x86;
    const OTHER: u8 = 0xa0;
    let mut names = Reader(content).expect(SEQUENCE)?.inside();
    while let Some(value) = names.any() {
        match value.tag {
            RFC822 | URI => return text(value.content),
            // a user name without an address (Fulcio's 1.3.6.1.4.1.57264.1.7)
            OTHER => {
                let mut parts = value.inside();
                parts.expect(OID)?;
                return text(parts.expect(CONTEXT_0)?.inside().any()?.content);
            }
            _ => {}
        }
    }
    None
}

fn text(content: &[u8]) -> Option<String> {
    String::from_utf8(content.to_vec()).ok()
}

/// UTCTime or GeneralizedTime, as RFC 5280 §4.1.2.5 has them, in seconds since 1970.
pub(super) fn time(value: Value<'_>) -> Option<i64> {
    let digits = std::str::from_utf8(value.content).ok()?.strip_suffix('Z')?;
    let full = match (value.tag, digits.len()) {
        (UTC_TIME, 12) if digits < "50" => format!("20{digits}"),
        (UTC_TIME, 12) => format!("19{digits}"),
        (TIME, 14) => digits.to_owned(),
        _ => return None,
    };
    let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", &full).ok()?;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_second())
}
