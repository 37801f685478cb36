//! One certificate (RFC 5280), as far as a signature's evidence needs it, and what Fulcio writes into it (1.3.6.1.4.1.57264.1).

use super::ber::{self, BerError, Element, Reader, context};
use super::cms::{Hash, PSS, moment};
use crate::evidence::{CLAIMS, Subject};
use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, VerificationAlgorithm};

/// More extensions than anybody needs.
const MOST: usize = 64;

const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const LIST_PLACES: &[u8] = &[0x55, 0x1d, 0x1f];
/// 1.3.6.1.5.5.7.3.4, emailProtection, and 2.5.29.37.0, any.
pub(super) const EMAIL_PROTECTION: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04];
pub(super) const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
/// Extensions below 2.5.29 that a root may say are critical: these are kept, or say nothing of what lies below it (names,
/// policies that nobody asks for).
const KNOWN: [u8; 9] = [0x0e, 0x0f, 0x11, 0x13, 0x1e, 0x1f, 0x20, 0x23, 0x25];
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];
const CERTIFICATE_TIMESTAMPS: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];
/// 1.3.6.1.4.1.57264.1, to which one number is added.
const FULCIO: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01];

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CertificateError {
    #[error(transparent)]
    Ber(#[from] BerError),
    #[error("{0}")]
    What(&'static str),
    #[error("a key of the kind {0}")]
    Key(String),
}

/// A certificate.
#[derive(Clone, Debug)]
pub(super) struct Certificate<'a> {
    pub(super) whole: &'a [u8],
    pub(super) serial: &'a [u8],
    /// The object identifier of the algorithm that it is signed with.
    pub(super) algorithm: &'a [u8],
    /// The issuer's name, the content of its sequence.
    pub(super) issuer: &'a [u8],
    /// Whom it is of, the content of that sequence.
    pub(super) holder: &'a [u8],
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// The key, a SubjectPublicKeyInfo.
    pub(super) key: &'a [u8],
    /// What of the signed part stands before the extensions.
    before_extensions: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Extension<'a> {
    oid: &'a [u8],
    critical: bool,
    value: &'a [u8],
    whole: &'a [u8],
}

/// What a certificate log saw, and its word for that.
pub(super) struct Logged<'a> {
    /// The list of timestamps.
    pub(super) list: &'a [u8],
    /// The signed part of the certificate without them.
    pub(super) signed: Vec<u8>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate.
    ///
    /// # Errors
    /// Where it is not one of version 3 in DER, or an extension stands in it twice.
    pub(super) fn parse(whole: &'a [u8]) -> Result<Self, CertificateError> {
        let mut outer = Reader::der(whole);
        let signed = inside(outer.next(ber::SEQUENCE)?).next(ber::SEQUENCE)?;
        outer.finish()?;
        let mut reader = inside(signed);
        if reader.next(context(0))?.content != [ber::INTEGER, 1, 2] {
            return Err(CertificateError::What("a certificate that is not of version 3"));
        }
        let serial = reader.next(ber::INTEGER)?.content;
        let algorithm = inside(reader.next(ber::SEQUENCE)?).next(ber::OID)?.content;
        let issuer = reader.next(ber::SEQUENCE)?.content;
        let mut validity = inside(reader.next(ber::SEQUENCE)?);
        let mut time = || {
            let time = validity.any()?;
            moment(time.tag, time.content).ok_or(CertificateError::What("a time in the certificate is not one"))
        };
        let (not_before, not_after) = (time()?, time()?);
        let holder = reader.next(ber::SEQUENCE)?.content;
        let key = reader.next(ber::SEQUENCE)?.whole;
        let list = reader.next(context(3))?;
        reader.finish()?;
        let before_extensions = signed.content.get(..signed.content.len() - list.whole.len()).unwrap_or_default();
        let extensions = extensions(list)?;
        Ok(Self { whole, serial, algorithm, issuer, holder, not_before, not_after, key, before_extensions, extensions })
    }

    fn extension(&self, oid: &[u8]) -> Option<&'a [u8]> {
        self.extensions.iter().find(|it| it.oid == oid).map(|it| it.value)
    }

    fn fulcio(&self, number: u8) -> Option<&'a [u8]> {
        self.extension(&[FULCIO, &[number]].concat())
    }

    /// Whether it says by whom somebody was identified, as Fulcio's do.
    pub(super) fn is_fulcio(&self) -> bool {
        self.fulcio(8).is_some() || self.fulcio(1).is_some()
    }

    /// Who identified the signer: the extension .8, and the older .1, which must not differ.
    pub(super) fn fulcio_issuer(&self) -> Result<String, CertificateError> {
        let old = self.fulcio(1).map(|raw| String::from_utf8(raw.to_vec())).transpose();
        let old = old.map_err(|_| CertificateError::What("the issuer in the certificate is not text"))?;
        let new = self.fulcio(8).map(utf8).transpose()?;
        match (new, old) {
            (Some(new), Some(old)) if new != old => Err(CertificateError::What(
                "the certificate names two different issuers of the identity (1.3.6.1.4.1.57264.1.1 and .8)",
            )),
            (Some(issuer), _) | (None, Some(issuer)) if is_name(&issuer) => Ok(issuer),
            _ => Err(CertificateError::What("the certificate does not say who identified the signer")),
        }
    }

    /// The claims by name, in the order of their numbers.
    pub(super) fn claims(&self) -> Result<Vec<(&'static str, String)>, CertificateError> {
        let claim = |(number, name): (u8, &'static str)| Some((name, self.fulcio(number)?));
        CLAIMS.into_iter().filter_map(claim).map(|(name, raw)| Ok((name, utf8(raw)?))).collect()
    }

    /// The one name that it was made for (RFC 5280 §4.2.1.6).
    pub(super) fn subject(&self) -> Result<Subject, CertificateError> {
        let names = self.extension(ALTERNATIVE_NAME).ok_or(CertificateError::What("the certificate names nobody"))?;
        let mut names = inside(whole(names, ber::SEQUENCE)?);
        let name = names.any()?;
        if !names.is_empty() {
            return Err(CertificateError::What("the certificate names more than one identity"));
        }
        let text = String::from_utf8(name.content.to_vec()).ok().filter(|text| text.is_ascii() && is_name(text));
        let text = text.ok_or(CertificateError::What("the name in the certificate is not text"))?;
        match name.tag {
            0x81 => Ok(Subject::Email(text)),
            0x86 => Ok(Subject::Uri(text)),
            _ => Err(CertificateError::What("the certificate names neither an e-mail address nor a URI")),
        }
    }

    /// The addresses that it was made for: all of its e-mail names (RFC 5280 §4.2.1.6), as they are written; names of other kinds
    /// are passed over. An address in the subject is none: nobody has to have looked at it (RFC 8550 §3).
    pub(super) fn addresses(&self) -> Result<Vec<String>, CertificateError> {
        let Some(names) = self.extension(ALTERNATIVE_NAME) else { return Ok(Vec::new()) };
        let mut names = inside(whole(names, ber::SEQUENCE)?);
        let mut found: Vec<String> = Vec::new();
        while !names.is_empty() {
            let name = names.any()?;
            if name.tag != 0x81 {
                continue;
            }
            let text = String::from_utf8(name.content.to_vec()).ok().filter(|text| is_address(text));
            let text = text.ok_or(CertificateError::What("an e-mail name in the certificate is no address"))?;
            if found.len() >= MOST {
                return Err(CertificateError::What("the certificate has more e-mail names than are read here"));
            }
            if !found.contains(&text) {
                found.push(text);
            }
        }
        Ok(found)
    }

    /// The first eight bits of its key usage, digitalSignature the highest; `None`: it does not say.
    pub(super) fn key_usage(&self) -> Result<Option<u8>, CertificateError> {
        let Some(usage) = self.extension(KEY_USAGE) else { return Ok(None) };
        Ok(Some(whole(usage, ber::BIT_STRING)?.content.get(1).copied().unwrap_or(0)))
    }

    /// Whether it is one of an authority (basicConstraints, cA).
    pub(super) fn is_authority(&self) -> Result<bool, CertificateError> {
        let Some(constraints) = self.extension(BASIC_CONSTRAINTS) else { return Ok(false) };
        let is_one = inside(whole(constraints, ber::SEQUENCE)?).optional(ber::BOOLEAN)?;
        Ok(is_one.is_some_and(|flag| flag.content == [0xff]))
    }

    /// How many authorities may stand below it (basicConstraints, pathLenConstraint).
    pub(super) fn path_length(&self) -> Result<Option<usize>, CertificateError> {
        let Some(constraints) = self.extension(BASIC_CONSTRAINTS) else { return Ok(None) };
        let mut reader = inside(whole(constraints, ber::SEQUENCE)?);
        reader.optional(ber::BOOLEAN)?;
        let Some(number) = reader.optional(ber::INTEGER)? else { return Ok(None) };
        match number.content {
            [length] if *length < 0x80 => Ok(Some(usize::from(*length))),
            [0, ..] => Ok(None), // more than any chain has
            _ => Err(CertificateError::What("its pathLenConstraint is no number")),
        }
    }

    /// Whether its extended key usage, where it has one, names e-mail or any purpose.
    pub(super) fn may_be_for_mail(&self) -> Result<bool, CertificateError> {
        let Some(purposes) = self.extension(EXTENDED_KEY_USAGE) else { return Ok(true) };
        let mut purposes = inside(whole(purposes, ber::SEQUENCE)?);
        let mut mail = false;
        while !purposes.is_empty() {
            mail |= [EMAIL_PROTECTION, ANY_PURPOSE].contains(&purposes.next(ber::OID)?.content);
        }
        Ok(mail)
    }

    /// A critical extension that is not known here.
    pub(super) fn unknown_critical(&self) -> Option<String> {
        let known = |oid: &[u8]| matches!(oid, [0x55, 0x1d, last] if KNOWN.contains(last));
        self.extensions.iter().find(|it| it.critical && !known(it.oid)).map(|it| super::cms::dotted(it.oid))
    }

    /// Where its issuer says that revocation lists for it are (cRLDistributionPoints).
    pub(super) fn list_places(&self) -> Option<&'a [u8]> {
        self.extension(LIST_PLACES)
    }

    /// Whether it demands that revocation lists are asked for (RFC 5280 §4.2.1.13).
    pub(super) fn demands_lists(&self) -> bool {
        self.extensions.iter().any(|it| it.oid == CRL_DISTRIBUTION_POINTS && it.critical)
    }

    /// Whether it holds for some names only.
    pub(super) fn has_name_constraints(&self) -> bool {
        self.extension(NAME_CONSTRAINTS).is_some()
    }

    /// Whether it is for signing code (key usage digitalSignature, extended key usage codeSigning).
    pub(super) fn may_sign_code(&self) -> Result<bool, CertificateError> {
        let usage = self.extension(KEY_USAGE).map(|raw| whole(raw, ber::BIT_STRING)).transpose()?;
        let signs = usage.is_some_and(|usage| usage.content.get(1).is_some_and(|bits| bits & 0x80 != 0));
        let Some(purposes) = self.extension(EXTENDED_KEY_USAGE) else { return Ok(false) };
        let mut purposes = inside(whole(purposes, ber::SEQUENCE)?);
        let mut code = false;
        while !purposes.is_empty() {
            code |= purposes.next(ber::OID)?.content == CODE_SIGNING;
        }
        Ok(signs && code)
    }

    /// The list of certificate timestamps (RFC 6962 §3.3), and the signed part without them, as the log saw it.
    pub(super) fn certificate_timestamps(&self) -> Result<Option<Logged<'a>>, CertificateError> {
        let Some(list) = self.extension(CERTIFICATE_TIMESTAMPS) else { return Ok(None) };
        let list = whole(list, ber::OCTET_STRING)?.content;
        let kept = self.extensions.iter().filter(|it| it.oid != CERTIFICATE_TIMESTAMPS).map(|it| it.whole);
        let kept = kept.collect::<Vec<_>>().concat();
        let extensions = der(context(3), &der(ber::SEQUENCE, &kept));
        Ok(Some(Logged { list, signed: der(ber::SEQUENCE, &[self.before_extensions, &extensions].concat()) }))
    }

    /// The key, ready to verify.
    pub(super) fn public_key(&self) -> Result<PublicKey, CertificateError> {
        PublicKey::parse(self.key)
    }
}

fn extensions(list: Element<'_>) -> Result<Vec<Extension<'_>>, CertificateError> {
    let mut outer = inside(list);
    let mut reader = inside(outer.next(ber::SEQUENCE)?);
    outer.finish()?;
    let mut found: Vec<Extension<'_>> = Vec::new();
    while !reader.is_empty() {
        let whole = reader.next(ber::SEQUENCE)?;
        let mut extension = inside(whole);
        let oid = extension.next(ber::OID)?.content;
        let critical = extension.optional(ber::BOOLEAN)?.is_some_and(|flag| flag.content != [0]);
        let value = extension.next(ber::OCTET_STRING)?.content;
        extension.finish()?;
        if found.len() > MOST || found.iter().any(|known| known.oid == oid) {
            return Err(CertificateError::What("an extension stands in the certificate twice"));
        }
        found.push(Extension { oid, critical, value, whole: whole.whole });
    }
    Ok(found)
}

/// Whether a text can name somebody: no control characters, which would only deceive.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

/// Whether a text is an address as certificates have it (RFC 5280 §4.2.1.6): one `@`, nothing but visible ASCII.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn inside(element: Element<'_>) -> Reader<'_> {
    Reader::der(element.content)
}

/// The one element that bytes are.
fn whole(bytes: &[u8], tag: u8) -> Result<Element<'_>, BerError> {
    let mut reader = Reader::der(bytes);
    let element = reader.next(tag)?;
    reader.finish()?;
    Ok(element)
}

fn utf8(raw: &[u8]) -> Result<String, CertificateError> {
    let text = whole(raw, ber::UTF8_STRING)?.content.to_vec();
    String::from_utf8(text).map_err(|_| CertificateError::What("a claim in the certificate is not text"))
}

/// An element in DER.
pub(super) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let digits = content.len().to_be_bytes();
    let digits = digits.get(digits.iter().take_while(|&&b| b == 0).count()..).unwrap_or_default();
    let mut out = vec![tag];
    match (digits, u8::try_from(digits.len())) {
        (&[], _) => out.push(0),
        (&[short], _) if short < 0x80 => out.push(short),
        (long, count) => {
            out.push(0x80 | count.unwrap_or(8));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A public key that certificates have.
pub(super) struct PublicKey {
    spki: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    P256,
    P384,
    P521,
    Rsa { bits: usize },
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P256 => "ecdsa-p256",
            Self::P384 => "ecdsa-p384",
            Self::P521 => "ecdsa-p521",
            Self::Rsa { .. } => "rsa",
        }
    }
}

const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const RSA_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo.
    pub(super) fn parse(spki: &[u8]) -> Result<Self, CertificateError> {
        let mut reader = inside(whole(spki, ber::SEQUENCE)?);
        let mut algorithm = inside(reader.next(ber::SEQUENCE)?);
        let bits = reader.next(ber::BIT_STRING)?.content;
        reader.finish()?;
        let oid = algorithm.next(ber::OID)?.content;
        let kind = match oid {
            EC_KEY => {
                let curve = algorithm.next(ber::OID)?.content;
                let (kind, size) = match curve {
                    P256 => (Kind::P256, 32),
                    P384 => (Kind::P384, 48),
                    P521 => (Kind::P521, 66),
                    _ => return Err(CertificateError::Key("ECDSA on a curve that is not supported".to_owned())),
                };
                if bits.len() != 2 + 2 * size || bits.get(..2) != Some(&[0, 4]) {
                    return Err(CertificateError::What("the certificate's key is not an uncompressed point"));
                }
                kind
            }
            RSA_KEY => {
                let mut numbers = inside(whole(bits.strip_prefix(&[0]).unwrap_or_default(), ber::SEQUENCE)?);
                let modulus = numbers.next(ber::INTEGER)?.content;
                let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
                let leading = modulus.first().map_or(0, |first| first.leading_zeros());
                let bits = (modulus.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0));
                Kind::Rsa { bits }
            }
            other => return Err(CertificateError::Key(super::cms::dotted(other))),
        };
        Ok(Self { spki: spki.to_vec(), kind })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a signature of one of the algorithms that CMS names is over these bytes.
    ///
    /// # Errors
    /// Where the algorithm does not fit the key and the hash function, or is not supported.
    pub(super) fn verify(&self, algorithm: &[u8], hash: Hash, message: &[u8], signature: &[u8]) -> Result<bool, Unsupported> {
        let key = ParsedPublicKey::new(self.verification(algorithm, hash)?, &self.spki).map_err(|_| Unsupported)?;
        Ok(key.verify_sig(message, signature).is_ok())
    }

    /// Whether an algorithm's identifier is the one that gitsign writes for this key and hash function.
    ///
    /// # Errors
    /// Where it does not fit them, or is not supported.
    pub(super) fn is_usual(&self, algorithm: &[u8], hash: Hash) -> Result<bool, Unsupported> {
        self.verification(algorithm, hash)?;
        Ok(algorithm != EC_KEY)
    }

    fn verification(&self, algorithm: &[u8], hash: Hash) -> Result<&'static dyn VerificationAlgorithm, Unsupported> {
        Ok(match (self.kind, algorithm) {
            (Kind::Rsa { .. }, PSS) => match hash {
                Hash::Sha256 => rsa(&signature::RSA_PSS_2048_8192_SHA256),
                Hash::Sha384 => rsa(&signature::RSA_PSS_2048_8192_SHA384),
                Hash::Sha512 => rsa(&signature::RSA_PSS_2048_8192_SHA512),
                Hash::Sha1 => return Err(Unsupported),
            },
            (Kind::Rsa { .. }, [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last]) => match (hash, last) {
                (Hash::Sha1, 0x01 | 0x05) => rsa(&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
                (Hash::Sha256, 0x01 | 0x0b) => rsa(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
                (Hash::Sha384, 0x01 | 0x0c) => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
                (Hash::Sha512, 0x01 | 0x0d) => rsa(&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
                _ => return Err(Unsupported),
            },
            (Kind::Rsa { .. }, _) => return Err(Unsupported),
            (_, EC_KEY) => ecdsa(self.kind, hash).ok_or(Unsupported)?,
            (_, [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last]) => match (hash, last) {
                (Hash::Sha256, 2) | (Hash::Sha384, 3) | (Hash::Sha512, 4) => ecdsa(self.kind, hash).ok_or(Unsupported)?,
                _ => return Err(Unsupported),
            },
            _ => return Err(Unsupported),
        })
    }
}

/// The algorithm of a signature is none that is supported, or does not fit its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsupported;

fn rsa(parameters: &'static RsaParameters) -> &'static dyn VerificationAlgorithm {
    parameters
}

fn ecdsa(kind: Kind, hash: Hash) -> Option<&'static dyn VerificationAlgorithm> {
    let algorithm: &'static EcdsaVerificationAlgorithm = match (kind, hash) {
        (Kind::P256, Hash::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (Kind::P256, Hash::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (Kind::P256, Hash::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
        (Kind::P384, Hash::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (Kind::P384, Hash::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
        (Kind::P384, Hash::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
        (Kind::P521, Hash::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
        (Kind::P521, Hash::Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
        (Kind::P521, Hash::Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    };
    Some(algorithm)
}
