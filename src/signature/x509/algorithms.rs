//! The algorithms by which certificates and revocation lists are signed: those of the Sigstore libraries, and of ECDSA what these
//! leave out (P-521, and SHA-512 with the shorter curves).

use super::ber::{self, BerError, Reader};
use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, UnparsedPublicKey};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sigstore_verify::crypto::WEBPKI_VERIFICATION_ALGS;
use std::sync::LazyLock;

/// All of them, for webpki.
pub(super) static ALL: LazyLock<Vec<&'static dyn SignatureVerificationAlgorithm>> = LazyLock::new(|| {
    let more: [&dyn SignatureVerificationAlgorithm; 5] = [&P256_SHA512, &P384_SHA512, &P521_SHA256, &P521_SHA384, &P521_SHA512];
    WEBPKI_VERIFICATION_ALGS.iter().copied().chain(more).collect()
});

static P256_SHA512: Ecdsa = Ecdsa(alg_id::ECDSA_P256, alg_id::ECDSA_SHA512, &signature::ECDSA_P256_SHA512_ASN1);
static P384_SHA512: Ecdsa = Ecdsa(alg_id::ECDSA_P384, alg_id::ECDSA_SHA512, &signature::ECDSA_P384_SHA512_ASN1);
static P521_SHA256: Ecdsa = Ecdsa(alg_id::ECDSA_P521, alg_id::ECDSA_SHA256, &signature::ECDSA_P521_SHA256_ASN1);
static P521_SHA384: Ecdsa = Ecdsa(alg_id::ECDSA_P521, alg_id::ECDSA_SHA384, &signature::ECDSA_P521_SHA384_ASN1);
static P521_SHA512: Ecdsa = Ecdsa(alg_id::ECDSA_P521, alg_id::ECDSA_SHA512, &signature::ECDSA_P521_SHA512_ASN1);

/// A kind of key, a kind of signature, and what verifies it.
#[derive(Debug)]
struct Ecdsa(AlgorithmIdentifier, AlgorithmIdentifier, &'static EcdsaVerificationAlgorithm);

impl SignatureVerificationAlgorithm for Ecdsa {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.1
    }

    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.2, public_key).verify(message, signature).map_err(|_| InvalidSignature)
    }
}

/// Whether something can be verified by a key (a SubjectPublicKeyInfo).
pub(super) fn knows_key(spki: &[u8]) -> bool {
    key(spki).is_ok_and(|(kind, _)| ALL.iter().any(|it| it.public_key_alg_id().as_ref() == kind))
}

/// By whom something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    ByKey,
    ByAnother,
    /// Its algorithm is not known.
    Unsupported,
}

/// Whether what is signed as certificates and revocation lists are (RFC 5280 §4.1.1: content, algorithm, signature) is so by a key.
pub(super) fn signed_by(whole: &[u8], spki: &[u8]) -> Signed {
    let (Ok(Parts { message, kind, signature }), Ok((of_key, bits))) = (Parts::of(whole), key(spki)) else {
        return Signed::ByAnother;
    };
    let mut of_kind = ALL.iter().filter(|it| it.signature_alg_id().as_ref() == kind).peekable();
    if of_kind.peek().is_none() {
        return Signed::Unsupported;
    }
    match of_kind.any(|it| it.public_key_alg_id().as_ref() == of_key && it.verify_signature(bits, message, signature).is_ok()) {
        true => Signed::ByKey,
        false => Signed::ByAnother,
    }
}

/// The signature of a certificate by its issuer.
///
/// # Errors
/// Where it is no certificate.
pub(super) fn signature(certificate: &[u8]) -> Result<&[u8], BerError> {
    Parts::of(certificate).map(|parts| parts.signature)
}

/// What is signed, the algorithm's identifier, the signature.
struct Parts<'a> {
    message: &'a [u8],
    kind: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(whole: &'a [u8]) -> Result<Self, BerError> {
        let mut outer = Reader::der(whole);
        let mut inside = Reader::der(outer.next(ber::SEQUENCE)?.content);
        outer.finish()?;
        let message = inside.next(ber::SEQUENCE)?.whole;
        let kind = inside.next(ber::SEQUENCE)?.content;
        let signature = bits(&mut inside)?;
        inside.finish()?;
        Ok(Self { message, kind, signature })
    }
}

fn key(spki: &[u8]) -> Result<(&[u8], &[u8]), BerError> {
    let mut inside = Reader::der(Reader::der(spki).next(ber::SEQUENCE)?.content);
    Ok((inside.next(ber::SEQUENCE)?.content, bits(&mut inside)?))
}

/// The bytes of a bit string that is made of whole ones.
fn bits<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], BerError> {
    reader.next(ber::BIT_STRING)?.content.strip_prefix(&[0]).ok_or(BerError::Form)
}
