//! CMS signed data (RFC 5652) as git carries it: one signer, nothing enclosed, signed attributes over the payload.
//!
//! What is signed are the signed attributes. Real signatures have them in another order than DER asks for, most of them signed
//! in that order, some in DER's (which is what RFC 5652 §5.4 says): both are tried. The rest of the structure is signed by
//! nobody; what of it could be written otherwise is told.

use super::ber::{self, BerError, Element, Reader, context};
use super::certificate::der;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};

/// More certificates, or unsigned attributes, than anybody needs.
const MOST: usize = 16;

pub(super) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.1.10 and .8.
pub(super) const PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
/// 1.2.840.113549.1.9.16.2.12 and .47: the certificate that was signed by (RFC 2634 §5.4, RFC 5035 §3).
const SIGNING_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0c];
const SIGNING_CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f];
const SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05];

/// Why a signature cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CmsError {
    #[error(transparent)]
    Ber(#[from] BerError),
    #[error("{0}")]
    What(&'static str),
    #[error("it has more than one signer")]
    Several,
    #[error("the digest algorithm {0} is not supported")]
    Digest(String),
}

/// A hash function that signatures use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(super) fn of_oid(oid: &[u8]) -> Option<Self> {
        Some(match oid {
            [0x2b, 0x0e, 0x03, 0x02, 0x1a] => Self::Sha1,
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => Self::Sha256,
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => Self::Sha384,
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => Self::Sha512,
            _ => return None,
        })
    }

    /// The object identifier of ECDSA with it (RFC 5758 §3.2).
    pub(super) fn ecdsa(self) -> Option<&'static [u8]> {
        Some(match self {
            Self::Sha1 => return None,
            Self::Sha256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
            Self::Sha384 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
            Self::Sha512 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04],
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// The one signature of signed data.
#[derive(Clone, Debug)]
pub(super) struct Cms<'a> {
    /// The signer's certificate.
    pub(super) signer: &'a [u8],
    /// All certificates that are in it, the signer's among them: nobody signs what of them is there.
    pub(super) certificates: Vec<&'a [u8]>,
    /// The hash function over the payload and over the attributes.
    pub(super) hash: Hash,
    /// What is signed: the signed attributes, in the order in which they were sent.
    pub(super) signed: Vec<u8>,
    /// The same in DER's order, where that is another.
    pub(super) sorted: Option<Vec<u8>>,
    /// The digest of the payload that they name.
    pub(super) digest: &'a [u8],
    /// Whether they name the signer's certificate, so that no other form of it can take its place.
    pub(super) names_signer: bool,
    /// When they say that they were signed, seconds since 1970 (UTC).
    pub(super) time: Option<i64>,
    /// The signature algorithm's object identifier.
    pub(super) algorithm: &'a [u8],
    /// The signature.
    pub(super) signature: &'a [u8],
    /// The unsigned attributes: type, and the one value of each.
    pub(super) unsigned: Vec<(&'a [u8], Element<'a>)>,
    /// Whether all that nobody signs is written as gitsign writes it, the unsigned attributes' values aside.
    pub(super) plain: bool,
}

impl<'a> Cms<'a> {
    /// Reads a signature.
    ///
    /// # Errors
    /// Where it is not of the form that git needs.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, CmsError> {
        let mut outer = Reader::ber(bytes);
        let mut info = outer.next(ber::SEQUENCE)?.inside();
        let mut plain = outer.is_der();
        outer.finish()?;
        if info.next(ber::OID)?.content != SIGNED_DATA {
            return Err(CmsError::What("it is not signed data"));
        }
        let mut wrapped = info.next(context(0))?.inside();
        plain &= info.is_der();
        info.finish()?;
        let mut data = wrapped.next(ber::SEQUENCE)?.inside();
        plain &= wrapped.is_der();
        wrapped.finish()?;
        let version = data.next(ber::INTEGER)?.content;
        let hashes = data.next(ber::SET)?;
        let mut enclosed = data.next(ber::SEQUENCE)?.inside();
        if enclosed.next(ber::OID)?.content != DATA {
            return Err(CmsError::What("what it signs is not data"));
        }
        if !enclosed.is_empty() {
            return Err(CmsError::What("it encloses what it signs, which belongs into the object"));
        }
        plain &= enclosed.is_der();
        let certificates = certificates(data.optional(context(0))?, &mut plain)?;
        plain &= data.optional(context(1))?.is_none(); // revocation lists: nobody asks for them here
        let mut signers = data.next(ber::SET)?.inside();
        plain &= data.is_der();
        data.finish()?;
        let mut signer = signers.next(ber::SEQUENCE).map_err(|_| CmsError::What("it has no signer"))?.inside();
        plain &= signers.is_der();
        if !signers.is_empty() {
            return Err(CmsError::Several);
        }
        let signer_version = signer.next(ber::INTEGER)?.content;
        if signer.optional(context(0) & !0x20)?.is_some() {
            return Err(CmsError::What("it names its signer by a key identifier; issuer and serial number are read here"));
        }
        let leaf = find_by_serial(&certificates, signer.next(ber::SEQUENCE)?)?;
        let hash_sequence = signer.next(ber::SEQUENCE)?;
        let hash_oid = algorithm(hash_sequence, &mut plain)?.content;
        let hash = Hash::of_oid(hash_oid).ok_or_else(|| CmsError::Digest(dotted(hash_oid)))?;
        let attributes = signer
            .optional(context(0))?
            .ok_or(CmsError::What("it has no signed attributes, without which other content could pass for them"))?;
        if !attributes.der {
            return Err(CmsError::What("its signed attributes are not in DER"));
        }
        let (digest, time) = signed_attributes(attributes)?;
        let names_signer = match named_certificate(attributes, leaf)? {
            Some(false) => return Err(CmsError::What("its signed attributes name another certificate than its signer's")),
            named => named.is_some(),
        };
        let algorithm = signature_algorithm(signer.next(ber::SEQUENCE)?, hash_oid, &mut plain)?;
        let signature = signer.next(ber::OCTET_STRING)?.content;
        let unsigned = unsigned_attributes(signer.optional(context(1))?, &mut plain)?;
        plain &= signer.is_der() && version == [1] && signer_version == [1] && certificates.len() == 1;
        plain &= hashes.content == hash_sequence.whole;
        signer.finish()?;
        let mut signed = attributes.whole.to_vec();
        if let Some(tag) = signed.first_mut() {
            *tag = ber::SET;
        }
        let sorted = in_order(attributes)?;
        let certificates = certificates.iter().map(|certificate| certificate.whole).collect();
        Ok(Self {
            signer: leaf,
            certificates,
            hash,
            signed,
            sorted,
            digest,
            names_signer,
            time,
            algorithm,
            signature,
            unsigned,
            plain,
        })
    }
}

fn certificates<'a>(set: Option<Element<'a>>, plain: &mut bool) -> Result<Vec<Element<'a>>, CmsError> {
    let Some(set) = set else {
        return Err(CmsError::What(
            "it carries no certificate, and none is looked for elsewhere (gpgsm --include-certs -2 puts them in)",
        ));
    };
    let mut reader = set.inside();
    let mut found = Vec::new();
    while !reader.is_empty() {
        let certificate = reader.next(ber::SEQUENCE)?;
        if !certificate.der {
            return Err(CmsError::What("a certificate in it is not in DER"));
        }
        found.push(certificate);
        if found.len() > MOST {
            return Err(CmsError::What("it carries more certificates than are read here"));
        }
    }
    *plain &= reader.is_der();
    Ok(found)
}

/// The certificate of an issuer and a serial number (RFC 5652 §10.2.4); two that differ leave open who signed.
pub(super) fn find_by_serial<'a>(certificates: &[Element<'a>], id: Element<'_>) -> Result<&'a [u8], CmsError> {
    let mut id = id.inside();
    let (issuer, serial) = (id.next(ber::SEQUENCE)?, id.next(ber::INTEGER)?);
    id.finish()?;
    let named =
        |certificate: &&Element<'a>| issuer_and_serial(certificate).is_ok_and(|found| found == (issuer.whole, serial.content));
    let mut found = certificates.iter().filter(named).map(|certificate| certificate.whole);
    let signer =
        found.next().ok_or(CmsError::What("the certificate of its signer is not in it (gpgsm --include-certs -2 puts it in)"))?;
    match found.all(|other| other == signer) {
        true => Ok(signer),
        false => Err(CmsError::What("two certificates in it have the issuer and the serial number of its signer's")),
    }
}

fn issuer_and_serial<'a>(certificate: &Element<'a>) -> Result<(&'a [u8], &'a [u8]), BerError> {
    let mut tbs = certificate.inside().next(ber::SEQUENCE)?.inside();
    tbs.optional(context(0))?;
    let serial = tbs.next(ber::INTEGER)?.content;
    tbs.next(ber::SEQUENCE)?;
    Ok((tbs.next(ber::SEQUENCE)?.whole, serial))
}

/// The object identifier of an algorithm; parameters have to be absent or NULL.
pub(super) fn algorithm<'a>(sequence: Element<'a>, plain: &mut bool) -> Result<Element<'a>, CmsError> {
    let mut reader = sequence.inside();
    let oid = reader.next(ber::OID)?;
    if !reader.is_empty() {
        if reader.any()?.whole != [5, 0] {
            return Err(CmsError::What("an algorithm has parameters that are not read here"));
        }
        *plain = false;
    }
    *plain &= reader.is_der();
    reader.finish()?;
    Ok(oid)
}

/// The object identifier of a signature's algorithm; that of RSASSA-PSS with the parameters that all write (RFC 4055 §3.1): one hash
/// function for all of it, salted by as many bytes as that has.
fn signature_algorithm<'a>(sequence: Element<'a>, hash: &[u8], plain: &mut bool) -> Result<&'a [u8], CmsError> {
    if sequence.inside().next(ber::OID)?.content != PSS {
        return Ok(algorithm(sequence, plain)?.content);
    }
    let by = |oid: &[u8], parameters: &[u8]| der(ber::SEQUENCE, &[&der(ber::OID, oid), parameters].concat());
    let hashed = by(hash, &[5, 0]);
    let salt = match Hash::of_oid(hash) {
        Some(Hash::Sha256) => 32,
        Some(Hash::Sha384) => 48,
        Some(Hash::Sha512) => 64,
        Some(Hash::Sha1) | None => 20,
    };
    let parts = [der(context(0), &hashed), der(context(1), &by(MGF1, &hashed)), der(context(2), &der(ber::INTEGER, &[salt]))];
    match by(PSS, &der(ber::SEQUENCE, &parts.concat())) == sequence.whole {
        true => Ok(PSS),
        false => Err(CmsError::What(
            "its parameters of RSASSA-PSS are not those that are read here: its own hash function, also for the mask, and a salt as long as the hash (openssl: -keyopt rsa_pss_saltlen:-1)",
        )),
    }
}

/// The attributes sorted as DER sorts a set (X.690 §11.6), where they are not.
pub(super) fn in_order(attributes: Element<'_>) -> Result<Option<Vec<u8>>, BerError> {
    let mut reader = Reader::der(attributes.content);
    let mut sent = Vec::new();
    while !reader.is_empty() {
        sent.push(reader.any()?.whole);
    }
    let mut sorted = sent.clone();
    sorted.sort_unstable();
    let head = attributes.whole.get(1..attributes.whole.len() - attributes.content.len()).unwrap_or_default();
    Ok((sorted != sent).then(|| [&[ber::SET], head, &sorted.concat()].concat()))
}

/// The digest and the time; each attribute once, with one value (RFC 5652 §11).
fn signed_attributes(attributes: Element<'_>) -> Result<(&[u8], Option<i64>), CmsError> {
    let (mut kind, mut digest, mut time) = (None, None, None);
    let mut reader = Reader::der(attributes.content);
    let mut seen: Vec<&[u8]> = Vec::new();
    while !reader.is_empty() {
        let mut attribute = Reader::der(reader.next(ber::SEQUENCE)?.content);
        let oid = attribute.next(ber::OID)?.content;
        let mut values = Reader::der(attribute.next(ber::SET)?.content);
        attribute.finish()?;
        if seen.contains(&oid) || seen.len() > MOST {
            return Err(CmsError::What("a signed attribute stands in it twice"));
        }
        seen.push(oid);
        match oid {
            CONTENT_TYPE => kind = Some(values.next(ber::OID)?.content),
            MESSAGE_DIGEST => digest = Some(values.next(ber::OCTET_STRING)?.content),
            SIGNING_TIME => {
                let value = values.any()?;
                time = Some(moment(value.tag, value.content).ok_or(CmsError::What("its signing time is not one"))?);
            }
            SIGNING_CERTIFICATE | SIGNING_CERTIFICATE_V2 => {
                values.next(ber::SEQUENCE)?;
            }
            _ => continue,
        }
        values.finish()?;
    }
    if kind != Some(DATA) {
        return Err(CmsError::What("its signed attributes do not say that data is signed"));
    }
    Ok((digest.ok_or(CmsError::What("its signed attributes name no digest"))?, time))
}

/// Whether it is a certificate that signed attributes name first; `None` where they name none. Who has the signature may have put
/// another one of the same key in its place.
pub(super) fn named_certificate(attributes: Element<'_>, certificate: &[u8]) -> Result<Option<bool>, CmsError> {
    let mut reader = Reader::der(attributes.content);
    let mut named = None;
    while !reader.is_empty() {
        let mut attribute = Reader::der(reader.next(ber::SEQUENCE)?.content);
        let oid = attribute.next(ber::OID)?.content;
        if [SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2].contains(&oid) {
            let value = Reader::der(attribute.next(ber::SET)?.content).next(ber::SEQUENCE)?;
            let same = names_certificate(value, certificate, oid == SIGNING_CERTIFICATE_V2)?;
            named = Some(same && named != Some(false));
        }
    }
    Ok(named)
}

/// Whether the first certificate that a signingCertificate attribute names is this one, by its hash: SHA-1 in the first version, in
/// the second SHA-256 where no other is named.
fn names_certificate(value: Element<'_>, leaf: &[u8], second: bool) -> Result<bool, CmsError> {
    let mut all = Reader::der(Reader::der(value.content).next(ber::SEQUENCE)?.content);
    let mut first = Reader::der(all.next(ber::SEQUENCE)?.content);
    let named = if second { first.optional(ber::SEQUENCE)? } else { None };
    let named = named.map(|algorithm| Reader::der(algorithm.content).next(ber::OID)).transpose()?.map(|oid| oid.content);
    let hash = match named {
        None if second => Hash::Sha256,
        None => Hash::Sha1,
        Some(oid) => Hash::of_oid(oid).ok_or_else(|| CmsError::Digest(dotted(oid)))?,
    };
    let algorithm = match hash {
        Hash::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &SHA256,
        Hash::Sha384 => &SHA384,
        Hash::Sha512 => &SHA512,
    };
    Ok(first.next(ber::OCTET_STRING)?.content == digest(algorithm, leaf).as_ref())
}

fn unsigned_attributes<'a>(set: Option<Element<'a>>, plain: &mut bool) -> Result<Vec<(&'a [u8], Element<'a>)>, CmsError> {
    let Some(set) = set else { return Ok(Vec::new()) };
    let mut reader = set.inside();
    let mut found: Vec<(&[u8], Element<'_>)> = Vec::new();
    while !reader.is_empty() {
        let mut attribute = reader.next(ber::SEQUENCE)?.inside();
        let oid = attribute.next(ber::OID)?.content;
        let mut values = attribute.next(ber::SET)?.inside();
        let value = values.any()?;
        *plain &= attribute.is_der() && values.is_der();
        attribute.finish()?;
        if !values.is_empty() || found.iter().any(|(known, _)| *known == oid) {
            return Err(CmsError::What("an unsigned attribute has more than one value"));
        }
        found.push((oid, value));
        if found.len() > MOST {
            return Err(CmsError::What("it has more unsigned attributes than are read here"));
        }
    }
    *plain &= reader.is_der();
    Ok(found)
}

/// Seconds since 1970 (UTC) of a UTCTime or GeneralizedTime as CMS and certificates have them (RFC 5280 §4.1.2.5).
pub(super) fn moment(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        ber::UTC_TIME if text.len() == 12 => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        ber::GENERALIZED_TIME if text.len() == 14 => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let field = |index: usize| number::<i8>(rest.get(2 * index..2 * index + 2)?);
    let time = jiff::civil::DateTime::new(year, field(0)?, field(1)?, field(2)?, field(3)?, field(4)?, 0).ok()?;
    // 99991231235959Z, which stands for no end, is later than any timestamp of the library
    Some(time.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0)).as_secs())
}

fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// An object identifier as people write it, from its content.
pub(super) fn dotted(oid: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0_u64;
    for &byte in oid.iter().take(64) {
        arc = arc.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.push(first);
                arc -= 40 * first;
            }
            arcs.push(arc);
            arc = 0;
        }
    }
    arcs.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (tag, text, seconds) in [
            (ber::UTC_TIME, "700101000000Z", Some(0)),
            (ber::UTC_TIME, "260805141717Z", Some(1_785_939_437)),
            (ber::GENERALIZED_TIME, "20260805141717Z", Some(1_785_939_437)),
            (ber::GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (ber::GENERALIZED_TIME, "00010101000000Z", Some(-62_135_596_800)),
            (ber::UTC_TIME, "260805141717", None),
            (ber::UTC_TIME, "2608051417Z", None),
            (ber::UTC_TIME, "261305141717Z", None),
            (ber::UTC_TIME, "26+805141717Z", None),
            (ber::GENERALIZED_TIME, "260805141717Z", None),
            (ber::OID, "260805141717Z", None),
        ] {
            assert_eq!(moment(tag, text.as_bytes()), seconds, "{text}");
        }
    }

    #[test]
    fn identifiers() {
        assert_eq!(dotted(SIGNED_DATA), "1.2.840.113549.1.7.2");
        assert_eq!(dotted(&[0x55, 0x1d, 0x0e]), "2.5.29.14");
        assert_eq!(dotted(&[]), "");
    }
}
