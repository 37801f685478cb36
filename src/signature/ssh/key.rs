//! SSH public keys, and whether a signature blob is theirs.

use super::certificate;
use super::fingerprint::fingerprint;
use super::wire::{Reader, WireError, Writer};
use crate::evidence::{Key, Token};
use crate::signature::curve::{Curve, P256};
use crate::signature::der::rsa_der;
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// The smallest RSA key that OpenSSH accepts (`SSH_RSA_MINIMUM_MODULUS_SIZE`).
pub const MIN_RSA_BITS: usize = 1024;
/// The largest RSA key that aws-lc verifies with.
pub const MAX_RSA_BITS: usize = 8192;

const ED25519: &str = "ssh-ed25519";
const RSA: &str = "ssh-rsa";
const SK_ED25519: &str = "sk-ssh-ed25519@openssh.com";
const SK_ECDSA: &str = "sk-ecdsa-sha2-nistp256@openssh.com";
const WEBAUTHN: &str = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com";
const CERTIFICATE_SUFFIX: &str = "-cert-v01@openssh.com";

/// A public key that signatures can be checked with.
pub struct PublicKey {
    info: Arc<Key>,
    material: Material,
}

enum Material {
    Ed25519(VerifyingKey),
    Ecdsa(&'static Curve, ParsedPublicKey),
    Rsa { modulus: usize, sha256: ParsedPublicKey, sha512: ParsedPublicKey },
    SkEd25519(VerifyingKey, Application),
    SkEcdsa(ParsedPublicKey, Application),
}

/// SHA-256 of the application (relying party) that a FIDO key is bound to.
type Application = [u8; 32];

/// Why a public key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The blob is not a key of the type that it names.
    #[error("the public key cannot be read")]
    Malformed,
    /// A type that is not supported.
    #[error("keys of type `{0}` are not supported")]
    Unsupported(String),
    /// An RSA key out of bounds.
    #[error("an RSA key of {0} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are supported")]
    RsaSize(usize),
    /// A certificate that its authority signed with an algorithm that is not taken (ssh-rsa, which is RSA with SHA-1).
    #[error("the certificate is signed with `{0}`, which is not supported")]
    CertificateAlgorithm(String),
    /// A certificate that its authority did not sign.
    #[error("the certificate is not signed by the authority that it names")]
    Certificate,
}

impl From<WireError> for KeyError {
    fn from(_: WireError) -> Self {
        Self::Malformed
    }
}

/// Why a signature blob is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The blob cannot be read.
    #[error("invalid format")]
    Malformed,
    /// The blob names an algorithm that the key does not sign with (ssh-rsa, which is RSA with SHA-1, among them).
    #[error("signature algorithm `{0}` not supported for this key")]
    Algorithm(String),
    /// It does not match.
    #[error("incorrect signature")]
    Incorrect,
}

impl From<WireError> for SignatureError {
    fn from(_: WireError) -> Self {
        Self::Malformed
    }
}

/// What a good signature blob says beside that it is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What a FIDO token adds.
    pub token: Option<Token>,
    /// The S of an ECDSA signature is in the upper half.
    pub high_s: bool,
    /// The blob is not in the form that OpenSSH writes.
    pub loose_encoding: bool,
}

impl PublicKey {
    /// Reads a public key, or the key inside a certificate, from its blob (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4,
    /// PROTOCOL.u2f, PROTOCOL.certkeys).
    ///
    /// # Errors
    /// Where the blob is malformed, of an unsupported type or size.
    pub fn parse(blob: &[u8]) -> Result<Self, KeyError> {
        Self::read(blob, true)
    }

    /// Reads a public key that is not a certificate.
    ///
    /// # Errors
    /// As [`PublicKey::parse`], and for certificates.
    pub fn parse_plain(blob: &[u8]) -> Result<Self, KeyError> {
        Self::read(blob, false)
    }

    fn read(blob: &[u8], certificates: bool) -> Result<Self, KeyError> {
        let mut reader = Reader::new(blob);
        let algorithm = reader.text()?;
        let (base, is_certificate) = match algorithm.strip_suffix(CERTIFICATE_SUFFIX) {
            Some(base) if base.starts_with("sk-") => (format!("{base}@openssh.com"), true),
            Some(base) => (base.to_owned(), true),
            None => (algorithm.to_owned(), false),
        };
        if is_certificate {
            if !certificates {
                return Err(KeyError::Malformed);
            }
            reader.string()?; // the nonce
        }
        let writer = Writer::default().string(base.as_bytes());
        let mut rsa_bits = None;
        let (material, writer, short) = match base.as_str() {
            ED25519 => {
                let point = reader.string()?;
                let key = ed25519(point)?;
                (Material::Ed25519(key), writer.string(point), ["ED25519", "ED25519-CERT"])
            }
            SK_ED25519 => {
                let (point, application) = (reader.string()?, reader.string()?);
                let key = ed25519(point)?;
                let writer = writer.string(point).string(application);
                (Material::SkEd25519(key, Sha256::digest(application).into()), writer, ["ED25519-SK", "ED25519-SK-CERT"])
            }
            SK_ECDSA => {
                let point = ecdsa_point(&mut reader, &P256)?;
                let application = reader.string()?;
                let key = ecdsa(point, &P256)?;
                let writer = writer.string(P256.name.as_bytes()).string(point).string(application);
                (Material::SkEcdsa(key, Sha256::digest(application).into()), writer, ["ECDSA-SK", "ECDSA-SK-CERT"])
            }
            RSA => {
                let (exponent, _) = reader.mpint()?;
                let (modulus, _) = reader.mpint()?;
                let bits = bit_length(modulus);
                if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
                    return Err(KeyError::RsaSize(bits));
                }
                rsa_bits = Some(bits);
                let der = rsa_der(modulus, exponent);
                let parse = |algorithm| ParsedPublicKey::new(algorithm, &der).map_err(|_| KeyError::Malformed);
                let material = Material::Rsa {
                    modulus: modulus.len(),
                    sha256: parse(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY)?,
                    sha512: parse(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY)?,
                };
                (material, writer.mpint(exponent).mpint(modulus), ["RSA", "RSA-CERT"])
            }
            other => {
                let curve = Curve::of_key_type(other).ok_or_else(|| KeyError::Unsupported(algorithm.to_owned()))?;
                let point = ecdsa_point(&mut reader, curve)?;
                let key = ecdsa(point, curve)?;
                (Material::Ecdsa(curve, key), writer.string(curve.name.as_bytes()).string(point), ["ECDSA", "ECDSA-CERT"])
            }
        };
        let certificate = if is_certificate { Some(Arc::new(certificate::read(blob, &mut reader)?)) } else { None };
        reader.finish()?;
        let plain = writer.into_bytes();
        let [short_plain, short_certificate] = short;
        let info = Key {
            algorithm: algorithm.to_owned(),
            short: if is_certificate { short_certificate } else { short_plain },
            fingerprint: fingerprint(&plain),
            blob: plain,
            rsa_bits,
            certificate,
            binding: None,
        };
        Ok(Self { info: Arc::new(info), material })
    }

    /// What is to be said of the key.
    pub fn info(&self) -> &Arc<Key> {
        &self.info
    }

    /// Checks an SSH signature blob (RFC 4253 §6.6, RFC 8332, PROTOCOL.u2f) over a message.
    ///
    /// Which Ed25519 signatures are valid: cofactorless, S < L, R compared as bytes, one at a time.
    ///
    /// # Errors
    /// Where the blob is malformed, names a foreign algorithm, or does not match.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<Checked, SignatureError> {
        let mut reader = Reader::new(signature);
        let algorithm = reader.text()?;
        let blob = reader.string()?;
        let foreign = || SignatureError::Algorithm(algorithm.to_owned());
        match &self.material {
            Material::Ed25519(key) if algorithm == ED25519 => {
                reader.finish()?;
                verify_ed25519(key, message, blob)?;
                Ok(Checked::default())
            }
            Material::Ecdsa(curve, key) if algorithm == curve.key_type => {
                reader.finish()?;
                verify_ecdsa(curve, key, message, blob)
            }
            Material::Rsa { modulus, sha256, sha512 } => {
                let key = match algorithm {
                    "rsa-sha2-256" => sha256,
                    "rsa-sha2-512" => sha512,
                    _ => return Err(foreign()),
                };
                reader.finish()?;
                // OpenSSH takes signatures whose leading zeros were left out
                let padding = modulus.checked_sub(blob.len()).ok_or(SignatureError::Malformed)?;
                let padded = [vec![0; padding].as_slice(), blob].concat();
                key.verify_sig(message, &padded).map_err(|_| SignatureError::Incorrect)?;
                Ok(Checked { loose_encoding: padding > 0, ..Checked::default() })
            }
            Material::SkEd25519(key, application) if algorithm == SK_ED25519 => {
                let token = token(&mut reader)?;
                reader.finish()?;
                verify_ed25519(key, &token_message(application, token, &[], message), blob)?;
                Ok(Checked { token: Some(token), ..Checked::default() })
            }
            Material::SkEcdsa(key, application) if algorithm == SK_ECDSA => {
                let token = token(&mut reader)?;
                reader.finish()?;
                let signed = token_message(application, token, &[], message);
                Ok(Checked { token: Some(token), ..verify_ecdsa(&P256, key, &signed, blob)? })
            }
            Material::SkEcdsa(key, application) if algorithm == WEBAUTHN => {
                let token = token(&mut reader)?;
                let (origin, client_data, extensions) = (reader.string()?, reader.string()?, reader.string()?);
                reader.finish()?;
                check_webauthn(origin, client_data, extensions, token, message)?;
                let signed = token_message(application, token, extensions, client_data);
                Ok(Checked { token: Some(token), ..verify_ecdsa(&P256, key, &signed, blob)? })
            }
            _ => Err(foreign()),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.info).finish()
    }
}

fn ed25519(point: &[u8]) -> Result<VerifyingKey, KeyError> {
    let point = point.try_into().map_err(|_| KeyError::Malformed)?;
    VerifyingKey::from_bytes(point).map_err(|_| KeyError::Malformed)
}

fn verify_ed25519(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let signature = Signature::from_slice(signature).map_err(|_| SignatureError::Malformed)?;
    key.verify(message, &signature).map_err(|_| SignatureError::Incorrect)
}

/// The curve's name, which must be the one that the key type says, and an uncompressed point.
fn ecdsa_point<'a>(reader: &mut Reader<'a>, curve: &Curve) -> Result<&'a [u8], KeyError> {
    if reader.string()? != curve.name.as_bytes() {
        return Err(KeyError::Malformed);
    }
    let point = reader.string()?;
    if point.len() != 1 + 2 * curve.size || point.first() != Some(&4) {
        return Err(KeyError::Malformed);
    }
    Ok(point)
}

fn ecdsa(point: &[u8], curve: &'static Curve) -> Result<ParsedPublicKey, KeyError> {
    ParsedPublicKey::new(curve.verification, point).map_err(|_| KeyError::Malformed)
}

fn verify_ecdsa(curve: &Curve, key: &ParsedPublicKey, message: &[u8], blob: &[u8]) -> Result<Checked, SignatureError> {
    let mut reader = Reader::new(blob);
    let (r, r_short) = reader.mpint()?;
    let (s, s_short) = reader.mpint()?;
    reader.finish()?;
    if r.len() > curve.size || s.len() > curve.size {
        return Err(SignatureError::Incorrect);
    }
    let mut fixed = vec![0; 2 * curve.size];
    for (number, half) in [r, s].into_iter().zip(fixed.chunks_exact_mut(curve.size)) {
        if let Some(low) = half.get_mut(curve.size - number.len()..) {
            low.copy_from_slice(number);
        }
    }
    key.verify_sig(message, &fixed).map_err(|_| SignatureError::Incorrect)?;
    Ok(Checked { token: None, high_s: curve.is_high(s), loose_encoding: !(r_short && s_short) })
}

fn token(reader: &mut Reader<'_>) -> Result<Token, WireError> {
    Ok(Token { flags: reader.byte()?, counter: reader.u32()? })
}

/// What a FIDO token signs (PROTOCOL.u2f, "SSH U2F Signatures").
fn token_message(application: &Application, token: Token, extensions: &[u8], message: &[u8]) -> Vec<u8> {
    Writer::default()
        .raw(application)
        .byte(token.flags)
        .u32(token.counter)
        .raw(extensions)
        .raw(&Sha256::digest(message))
        .into_bytes()
}

/// The client data that a browser signed must carry the message as its challenge (PROTOCOL.u2f, webauthn signatures).
fn check_webauthn(
    origin: &[u8],
    client_data: &[u8],
    extensions: &[u8],
    token: Token,
    message: &[u8],
) -> Result<(), SignatureError> {
    const ATTESTED_CREDENTIAL: u8 = 0x40;
    const EXTENSION_DATA: u8 = 0x80;
    let extensions_flagged = token.flags & EXTENSION_DATA != 0;
    if origin.contains(&b'"')
        || origin.contains(&0)
        || token.flags & ATTESTED_CREDENTIAL != 0
        || extensions_flagged == extensions.is_empty()
    {
        return Err(SignatureError::Malformed);
    }
    let challenge = URL_SAFE_NO_PAD.encode(message);
    let start = [br#"{"type":"webauthn.get","challenge":""#, challenge.as_bytes(), br#"","origin":""#, origin, br#"""#].concat();
    if client_data.starts_with(&start) { Ok(()) } else { Err(SignatureError::Malformed) }
}

fn bit_length(digits: &[u8]) -> usize {
    match digits.first() {
        Some(first) => digits.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_refused() {
        let ed = |point: &[u8]| Writer::default().string(b"ssh-ed25519").string(point).into_bytes();
        let mut point = [0; 32];
        point[0] = 1;
        assert!(PublicKey::parse(&ed(&point)).is_ok());
        let trailing = [ed(&point), vec![0]].concat();
        let ec = |name: &[u8], curve: &[u8], point: &[u8]| Writer::default().string(name).string(curve).string(point).into_bytes();
        let rsa = |bytes: usize| Writer::default().string(b"ssh-rsa").mpint(&[1, 0, 1]).mpint(&vec![0xff; bytes]).into_bytes();
        for (blob, error) in [
            (vec![], KeyError::Malformed),
            (ed(&[1; 31]), KeyError::Malformed),
            (trailing, KeyError::Malformed),
            (ec(b"ecdsa-sha2-nistp256", b"nistp384", &[4; 65]), KeyError::Malformed),
            (ec(b"ecdsa-sha2-nistp256", b"nistp256", &[4; 65]), KeyError::Malformed), // not on the curve
            (ec(b"ecdsa-sha2-nistp256", b"nistp256", &[2; 33]), KeyError::Malformed), // compressed
            (rsa(127), KeyError::RsaSize(1016)),
            (rsa(1025), KeyError::RsaSize(8200)),
            (Writer::default().string(b"ssh-dss").into_bytes(), KeyError::Unsupported("ssh-dss".into())),
        ] {
            assert_eq!(PublicKey::parse(&blob).map(|_| ()).unwrap_err(), error);
        }
    }
}
