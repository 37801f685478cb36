//! What a timestamp authority is asked, and what of its answer is kept (RFC 3161).

use super::super::plain;
use super::der::{
    BOOLEAN, CONTEXT_0, CONTEXT_1, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, SET, TIME, Value, content, tlv, version,
};
use super::{Leaf, leaf, oid};
use sha2::{Digest as _, Sha256};

/// A question: when was this here?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampQuery {
    imprint: Vec<u8>,
    nonce: Vec<u8>,
}

/// Why an answer is no timestamp of what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// It is no answer at all.
    #[error("its answer is no timestamp (RFC 3161)")]
    Malformed,
    /// The authority refuses.
    #[error("it refuses, with status {0} (RFC 3161 §2.4.2)")]
    Refused(u8),
    /// It answers another question.
    #[error("its token is over something else than the signature that was sent")]
    OfAnother,
}

/// 1.2.840.113549.1.9.16.1.4
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];

impl TimestampQuery {
    /// Asks for the time of a signature; the nonce makes an answer one to this question.
    pub fn new(signature: &[u8], nonce: [u8; 8]) -> Self {
        // positive, and in its shortest form
        let [first, rest @ ..] = nonce;
        let nonce = [&[first & 0x3f | 0x40], &rest[..]].concat();
        let algorithm = tlv(SEQUENCE, &tlv(OID, oid::SHA256));
        let imprint = tlv(SEQUENCE, &[algorithm, tlv(OCTET_STRING, &Sha256::digest(signature))].concat());
        Self { imprint, nonce: tlv(INTEGER, &nonce) }
    }

    /// `TimeStampReq`, in DER, with the certificate asked for.
    pub fn encode(&self) -> Vec<u8> {
        tlv(SEQUENCE, &[&version(1), &self.imprint[..], &self.nonce, &tlv(BOOLEAN, &[0xff])].concat())
    }

    /// The token in a `TimeStampResp`, which must answer this question, in its one form: without what nobody signs. Its signature is
    /// not verified here.
    ///
    /// # Errors
    /// Where the authority refuses, or its token is not of what was asked.
    pub fn token(&self, response: &[u8]) -> Result<Vec<u8>, TimestampError> {
        let mut parts = Reader(response).expect(SEQUENCE).ok_or(TimestampError::Malformed)?.inside();
        let status = parts.expect(SEQUENCE).and_then(|info| info.inside().expect(INTEGER)).ok_or(TimestampError::Malformed)?;
        match status.content {
            [0 | 1] => {}
            [status] => return Err(TimestampError::Refused(*status)),
            _ => return Err(TimestampError::Malformed),
        }
        let token = parts.expect(SEQUENCE).filter(|_| parts.is_empty()).ok_or(TimestampError::Malformed)?;
        let info = info_of(token.whole).ok_or(TimestampError::Malformed)?;
        match self.is_answered(info) {
            Some(true) => Ok(in_one_form(token.whole).unwrap_or_else(|| token.whole.to_vec())),
            Some(false) => Err(TimestampError::OfAnother),
            None => Err(TimestampError::Malformed),
        }
    }

    /// Whether a `TSTInfo` has the imprint and the nonce.
    fn is_answered(&self, info: &[u8]) -> Option<bool> {
        let mut parts = Reader(info).expect(SEQUENCE)?.inside();
        parts.expect(INTEGER)?;
        parts.expect(OID)?; // the policy
        let mut imprint = parts.expect(SEQUENCE)?.inside();
        let algorithm = imprint.expect(SEQUENCE)?.inside().expect(OID)?.content;
        let digest = imprint.expect(OCTET_STRING)?.whole;
        parts.expect(INTEGER)?; // the serial number
        parts.expect(TIME)?;
        parts.optional(SEQUENCE); // accuracy
        parts.optional(BOOLEAN); // ordering
        let nonce = parts.optional(INTEGER)?.whole;
        let mut ours = Reader(content(&self.imprint));
        ours.expect(SEQUENCE)?;
        Some(algorithm == oid::SHA256 && digest == ours.expect(OCTET_STRING)?.whole && nonce == self.nonce)
    }
}

/// A token without unsigned attributes and all certificates but its signer's, with the smaller S; `None` where it is of another form.
fn in_one_form(token: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Reader(token).expect(SEQUENCE)?.inside();
    let kind = parts.expect(OID)?;
    let mut data = parts.expect(CONTEXT_0)?.inside().expect(SEQUENCE)?.inside();
    let (version, hashes, content) = (data.expect(INTEGER)?, data.expect(SET)?, data.expect(SEQUENCE)?);
    let mut certificates = data.optional(CONTEXT_0).map_or(Reader(&[]), Value::inside);
    let mut signers = data.expect(SET)?.inside();
    let mut signer = signers.expect(SEQUENCE)?.inside();
    let before_signature = signer;
    signer.expect(INTEGER)?; // the version
    let id = signer.expect(SEQUENCE)?;
    for tag in [SEQUENCE, CONTEXT_0, SEQUENCE] {
        signer.expect(tag)?; // hash function, signed attributes, algorithm
    }
    let fixed = before_signature.0.get(..before_signature.0.len() - signer.0.len())?;
    let signature = plain::low(signer.expect(OCTET_STRING)?.content);
    signer.optional(CONTEXT_1);
    if !(signer.is_empty() && signers.is_empty() && data.is_empty() && parts.is_empty()) {
        return None;
    }
    let mut own = None;
    while let Some(certificate) = certificates.any() {
        let names = Leaf::parse(certificate.whole).is_ok_and(|leaf| [leaf.issuer(), leaf.serial()].concat() == id.content);
        own = own.or(names.then_some(certificate.whole));
    }
    let certificate = own.map(|own| tlv(CONTEXT_0, own)).unwrap_or_default();
    let signer = tlv(SEQUENCE, &[fixed, &tlv(OCTET_STRING, &signature)].concat());
    let data = [version.whole, hashes.whole, content.whole, &certificate, &tlv(SET, &signer)].concat();
    Some(tlv(SEQUENCE, &[kind.whole, &tlv(CONTEXT_0, &tlv(SEQUENCE, &data))].concat()))
}

/// When a token says that it was made, in seconds since 1970; `None` where it says so in another form than in whole seconds.
pub fn time_of(token: &[u8]) -> Option<i64> {
    let mut parts = Reader(info_of(token)?).expect(SEQUENCE)?.inside();
    for tag in [INTEGER, OID, SEQUENCE, INTEGER] {
        parts.expect(tag)?; // version, policy, imprint, serial number
    }
    leaf::time(parts.expect(TIME)?)
}

/// The `TSTInfo` in a token, which is CMS.
fn info_of(token: &[u8]) -> Option<&[u8]> {
    let mut parts = Reader(token).expect(SEQUENCE)?.inside();
    parts.expect(OID).filter(|kind| kind.content == oid::SIGNED_DATA)?;
    let mut signed = parts.expect(CONTEXT_0)?.inside().expect(SEQUENCE)?.inside();
    signed.expect(INTEGER)?;
    signed.expect(SET)?;
    let mut content = signed.expect(SEQUENCE)?.inside();
    content.expect(OID).filter(|kind| kind.content == TST_INFO)?;
    Some(content.expect(CONTEXT_0)?.inside().expect(OCTET_STRING)?.content)
}
