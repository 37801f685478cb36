//! Private keys as OpenSSL writes them: PKCS#1, SEC1 and PKCS#8 in PEM. aws-lc reads them; the pkcs8 crate decrypts. None of
//! them tells its public key before it is opened, so that which type to read it as comes from the public key beside it.

use super::{Material, ecdsa_algorithm};
use crate::signature::curve::Curve;
use crate::signature::ssh::wire::Reader;
use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use pkcs8::{EncryptedPrivateKeyInfoRef, pkcs5};
use zeroize::Zeroizing;

/// A private key in one of OpenSSL's forms, decoded but not read.
pub(super) struct Pem {
    form: Form,
    der: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// RFC 8017, appendix A.1.2.
    Pkcs1,
    /// RFC 5915.
    Sec1,
    /// RFC 5208.
    Pkcs8,
    /// RFC 5208, section 6, with the passphrase schemes of RFC 8018.
    EncryptedPkcs8,
}

const FORMS: [(&str, Form); 4] = [
    ("RSA PRIVATE KEY", Form::Pkcs1),
    ("EC PRIVATE KEY", Form::Sec1),
    ("PRIVATE KEY", Form::Pkcs8),
    ("ENCRYPTED PRIVATE KEY", Form::EncryptedPkcs8),
];

/// Why a file is no key in one of these forms.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PemError {
    /// None of the labels.
    NoLabel,
    /// Encrypted as OpenSSL did before PKCS#8 (RFC 1421 headers): one round of MD5 over the passphrase.
    Legacy,
    /// Cut short or not base64.
    Broken(&'static str),
}

impl Pem {
    /// Whether a file begins a key in one of these forms.
    pub(super) fn is_in(text: &[u8]) -> bool {
        !matches!(Self::parse(text), Err(PemError::NoLabel))
    }

    /// Finds the key in a file; other blocks (`EC PARAMETERS`) and text around it do not matter.
    pub(super) fn parse(text: &[u8]) -> Result<Self, PemError> {
        let found = FORMS.into_iter().find_map(|(label, form)| {
            let body = after(text, format!("-----BEGIN {label}-----").as_bytes())?;
            Some((body, format!("-----END {label}-----"), form))
        });
        let (body, footer, form) = found.ok_or(PemError::NoLabel)?;
        let end = find(body, footer.as_bytes()).ok_or(PemError::Broken("it is cut short"))?;
        let body = body.get(..end).unwrap_or_default();
        if find(body, b"Proc-Type:").is_some() || find(body, b"DEK-Info:").is_some() {
            return Err(PemError::Legacy);
        }
        let mut packed = Zeroizing::new(Vec::with_capacity(body.len()));
        packed.extend(body.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let der = STANDARD.decode(packed.as_slice()).map_err(|_| PemError::Broken("it is not base64"))?;
        Ok(Self { form, der: Zeroizing::new(der) })
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.form == Form::EncryptedPkcs8
    }

    /// Reads a key that is not encrypted, as one of the type that a public key's blob names.
    pub(super) fn open(&self, public: &[u8]) -> Result<Material, String> {
        material(self.form, &self.der, public)
    }

    /// Decrypts; `None` where the passphrase is wrong, which shows in the padding, or in what comes out.
    pub(super) fn decrypt(&self, passphrase: &[u8], public: &[u8]) -> Option<Result<Material, String>> {
        let sealed = match EncryptedPrivateKeyInfoRef::try_from(self.der.as_slice()) {
            Ok(sealed) => sealed,
            Err(error) => return Some(Err(error.to_string())),
        };
        match sealed.decrypt(passphrase) {
            Ok(opened) => Some(material(Form::Pkcs8, opened.as_bytes(), public)),
            Err(pkcs8::Error::Asn1(_) | pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed)) => None,
            Err(error) => Some(Err(error.to_string())),
        }
    }
}

fn material(form: Form, der: &[u8], public: &[u8]) -> Result<Material, String> {
    const MISFIT: &str = "it is not the private half of the key beside it";
    let kind = Reader::new(public).text().unwrap_or_default();
    match (kind, Curve::of_key_type(kind)) {
        ("ssh-rsa", _) => {
            let key = match form {
                Form::Pkcs1 => RsaKeyPair::from_der(der),
                _ => RsaKeyPair::from_pkcs8(der),
            };
            key.map(Material::Rsa).map_err(super::rsa_rejected)
        }
        ("ssh-ed25519", _) if form == Form::Pkcs8 => {
            let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|error| error.to_string())?;
            let seed = key.seed().and_then(|seed| seed.as_be_bytes()).map_err(|error| error.to_string())?;
            let seed = Zeroizing::new(<[u8; 32]>::try_from(seed.as_ref()).map_err(|_| MISFIT)?);
            Ok(Material::Ed25519(Box::new(SigningKey::from_bytes(&seed))))
        }
        (_, Some(curve)) if form != Form::Pkcs1 => {
            let key = EcdsaKeyPair::from_private_key_der(ecdsa_algorithm(curve), der);
            key.map(|key| Material::Ecdsa(curve, key)).map_err(|error| error.to_string())
        }
        _ => Err(MISFIT.to_owned()),
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}

/// What follows a line that begins a block.
fn after<'a>(text: &'a [u8], line: &[u8]) -> Option<&'a [u8]> {
    let start = memchr::memmem::find_iter(text, line).find(|&at| at == 0 || text.get(at - 1) == Some(&b'\n'))?;
    text.get(start + line.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found() {
        let form = |text: &str| Pem::parse(text.as_bytes()).map(|pem| (pem.form == Form::Sec1, pem.der.to_vec()));
        let block = "-----BEGIN EC PRIVATE KEY-----\nAAEC\r\nAw==\n-----END EC PRIVATE KEY-----\n";
        let parameters = "-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n";
        assert_eq!(form(block), Ok((true, vec![0, 1, 2, 3])));
        assert_eq!(form(&format!("text\n{parameters}{block}text")), Ok((true, vec![0, 1, 2, 3])));
        for (text, error) in [
            ("", PemError::NoLabel),
            (parameters, PemError::NoLabel),
            (&format!("x{block}"), PemError::NoLabel),
            (&block.replace("\n-----END", "\n-----FIN"), PemError::Broken("it is cut short")),
            (&block.replace("==", "="), PemError::Broken("it is not base64")),
            (&block.replace("AAEC", "Proc-Type: 4,ENCRYPTED\nDEK-Info: X\n\nAAEC"), PemError::Legacy),
        ] {
            assert_eq!(form(text), Err(error), "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_key() {
        let public = crate::signature::ssh::wire::Writer::default().string(b"ssh-ed25519").into_bytes();
        for (form, der) in [(Form::EncryptedPkcs8, vec![]), (Form::EncryptedPkcs8, vec![0x30, 0x80]), (Form::Pkcs8, vec![0x30, 0])]
        {
            let pem = Pem { form, der: Zeroizing::new(der) };
            assert!(pem.open(&public).is_err());
            assert!(!form.eq(&Form::EncryptedPkcs8) || pem.decrypt(b"", &public).is_some_and(|read| read.is_err()));
        }
    }
}
