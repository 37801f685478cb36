//! CMS signatures (RFC 5652): the keyless ones of Sigstore, as gitsign writes them, and S/MIME's ([`smime`]).
//!
//! The signature is over the signed attributes, which name the payload's digest; the certificate holds for ten minutes and
//! names a person or a workflow. That it was used within them prove the log entry, over attributes, signature and certificate,
//! or a timestamp over the signature. What these prove is evidence; whether it is enough says the policy.

mod algorithms;
mod authority;
mod ber;
mod bundle;
mod certificate;
mod chain;
mod cms;
mod crl;
mod entry;
mod name;
mod online;
mod path;
mod pem;
mod prototype;
mod roots;
pub mod sign;
mod sigstore;
pub mod smime;

pub use authority::{Authority, RootsError};
pub use bundle::{Content, statement_type, verify_bundle, verify_bundle_by_key};
pub use crl::CrlError;
pub use roots::{MOST_ROOT_BYTES, Root, RootError};

use super::Verifier;
use super::curve::{Curve, P256, P384, P521};
use crate::armor::{self, ArmorError, ArmorForm, Format};
use crate::evidence::{Evidence, Key, Keyless, Malleable};
use crate::object::Payload;
use crate::verdict::Reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use certificate::{Certificate, Kind};
use chain::Window;
use cms::{Cms, CmsError, Hash};
use entry::Entry;
use roots::Ready;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use sigstore::Proved;
use std::sync::Arc;

/// 1.3.6.1.4.1.57264.3.1: a transparency log entry.
const ENTRY: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x03, 0x01];
/// 1.2.840.113549.1.9.16.2.14: a timestamp token over the signature (RFC 3161, appendix A).
const TOKEN: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0e];

/// A hash function that proves nothing.
const MD5: &str = "1.2.840.113549.2.5";

/// A larger signature is refused, in bytes of armour: real ones have some 4,000, with S/MIME's chains some 10,000.
const MOST_BYTES: usize = 1 << 20;

/// Verifies CMS signatures by trusted roots.
pub struct X509Verifier {
    roots: Vec<Root>,
    smime: smime::Chains,
}

impl X509Verifier {
    /// A verifier by these roots of Sigstore instances: the first that issued a certificate is asked. It believes no S/MIME
    /// certificate.
    pub fn new(roots: Vec<Root>) -> Self {
        Self { roots, smime: smime::Chains::default() }
    }

    /// The same that believes the S/MIME certificates of these authorities, too.
    pub fn with_authorities(self, authorities: Vec<Authority>) -> Self {
        Self { smime: smime::Chains::new(authorities), ..self }
    }

    /// The root whose authority signed the certificate.
    fn root_of(&self, leaf: &Certificate<'_>) -> Result<(&Root, &Ready, Window), Reason> {
        let mut whys = Vec::new();
        for root in &self.roots {
            match root.ready().map_err(ToString::to_string).and_then(|ready| Ok((ready, ready.chains.check(leaf)?))) {
                Ok((ready, window)) => return Ok((root, ready, window)),
                Err(why) => whys.push(format!("{}: {why}", root.name)),
            }
        }
        if whys.is_empty() {
            whys.push("no trusted root is named".to_owned());
        }
        Err(Reason::CertificateUntrusted { what: whys.join("; ") })
    }
}

impl Verifier for X509Verifier {
    fn format(&self) -> Format {
        Format::X509
    }

    fn verify(&self, armored: &[u8], payload: &Payload<'_>) -> Result<Evidence, Reason> {
        let (blob, form) = decode(armored)?;
        let mut cms = read(&blob)?;
        let leaf = Certificate::parse(cms.signer).map_err(|error| malformed(&error))?;
        let key = key_in(&leaf)?;
        if !leaf.is_fulcio() {
            return self.smime.verify(&mut cms, &leaf, &key, form, payload);
        }
        check_payload(&cms, payload)?;
        if cms.sorted.is_some() {
            check_signature(&mut cms, &key)?;
        }
        let (root, ready, window) = match self.root_of(&leaf) {
            Ok(found) => found,
            // of both, that the content was changed is the graver
            Err(reason) => return Err(check_signature(&mut cms, &key).err().unwrap_or(reason)),
        };
        if !leaf.may_sign_code().map_err(|error| malformed(&error))? || cms.hash != Hash::Sha256 {
            return Err(malformed(&"a keyless signature is by a certificate for code signing, over SHA-256"));
        }
        let usual = key.is_usual(cms.algorithm, cms.hash).map_err(|_| unsupported(&cms, &key))?;
        let Proofs { entry, token, plain } = attributes(&cms, &leaf)?;
        let proved = if entry.is_none() && token.is_none() {
            check_signature(&mut cms, &key)?;
            Proved::default()
        } else {
            match sigstore::prove(ready, window, &cms, &leaf, entry.as_ref(), token) {
                Ok(proved) => proved,
                Err(reason) => return Err(check_signature(&mut cms, &key).err().unwrap_or(reason)),
            }
        };
        let keyless = keyless(&leaf, root, proved)?;
        let plain = cms.plain && plain && usual;
        let malleable = [
            (form != ArmorForm::Canonical, Malleable::Armor),
            (!plain, Malleable::Encoding),
            (keyless.entry.is_none() && is_high(key.kind(), cms.signature), Malleable::HighS),
        ];
        Ok(Evidence {
            format: Format::X509,
            key: Arc::new(key_of(&leaf, key.kind(), keyless.subject.blob(&keyless.issuer))),
            hash: cms.hash.name(),
            made: cms.time,
            ends: None,
            weak: Vec::new(),
            token: None,
            payload_id: payload.id(),
            malleable: malleable.into_iter().filter(|(is, _)| *is).map(|(_, way)| way).collect(),
            keyless: Some(Arc::new(keyless)),
            smime: None,
        })
    }
}

/// A keyless signature as a Sigstore bundle of what it signs (DER of the signed attributes), in JSON; and these bytes.
///
/// # Errors
/// Where it is none, or its log entry is not of a form that bundles have.
pub fn to_bundle(armored: &[u8]) -> Result<(String, Vec<u8>), Reason> {
    let (blob, _) = decode(armored)?;
    let cms = Cms::parse(&blob).map_err(|error| malformed(&error))?;
    let leaf = Certificate::parse(cms.signer).map_err(|error| malformed(&error))?;
    let Proofs { entry, token, .. } = attributes(&cms, &leaf)?;
    let bundle = sigstore::bundle(&cms, &leaf, entry.as_ref(), token)?;
    Ok((bundle.to_json().map_err(|error| malformed(&error))?, cms.signed.clone()))
}

fn decode(armored: &[u8]) -> Result<(Vec<u8>, ArmorForm), Reason> {
    if armored.len() > MOST_BYTES {
        return Err(malformed(&format!("it has more than {MOST_BYTES} bytes")));
    }
    armor::decode_cms(armored).map_err(|error| match error {
        ArmorError::Several => Reason::MultipleSignatures,
        other => malformed(&other),
    })
}

fn read(blob: &[u8]) -> Result<Cms<'_>, Reason> {
    Cms::parse(blob).map_err(|error| match error {
        CmsError::Several => Reason::MultipleSignatures,
        CmsError::Digest(algorithm) if algorithm == MD5 => Reason::Weak { what: "MD5".to_owned() },
        CmsError::Digest(algorithm) => Reason::AlgorithmUnsupported { algorithm },
        other => malformed(&other),
    })
}

fn key_in(leaf: &Certificate<'_>) -> Result<certificate::PublicKey, Reason> {
    leaf.public_key().map_err(|error| match error {
        certificate::CertificateError::Key(algorithm) => Reason::AlgorithmUnsupported { algorithm },
        other => malformed(&other),
    })
}

fn malformed(what: &dyn std::fmt::Display) -> Reason {
    Reason::MalformedSignature { what: what.to_string() }
}

/// The attributes are over the payload.
fn check_payload(cms: &Cms<'_>, payload: &Payload<'_>) -> Result<(), Reason> {
    match digest(cms.hash, payload) {
        None => Err(Reason::AlgorithmUnsupported { algorithm: cms.hash.name().to_owned() }),
        Some(digest) if digest == cms.digest => Ok(()),
        Some(_) => Err(Reason::BadSignature),
    }
}

/// The signature is over the attributes, in one order or the other.
fn check_signature(cms: &mut Cms<'_>, key: &certificate::PublicKey) -> Result<(), Reason> {
    let sorted = cms.sorted.take();
    let verify = |cms: &Cms<'_>, signed: &[u8]| {
        key.verify(cms.algorithm, cms.hash, signed, cms.signature).map_err(|_| unsupported(cms, key))
    };
    if verify(cms, &cms.signed)? {
        cms.plain &= sorted.is_none();
        return Ok(());
    }
    match sorted {
        Some(sorted) if verify(cms, &sorted)? => {
            (cms.signed, cms.plain) = (sorted, false);
            Ok(())
        }
        _ => Err(Reason::BadSignature),
    }
}

fn unsupported(cms: &Cms<'_>, key: &certificate::PublicKey) -> Reason {
    let algorithm = format!("{} with {} and a key of {}", cms::dotted(cms.algorithm), cms.hash.name(), key.kind().name());
    Reason::AlgorithmUnsupported { algorithm }
}

fn digest(hash: Hash, payload: &Payload<'_>) -> Option<Vec<u8>> {
    fn of<D: sha2::Digest>(payload: &Payload<'_>) -> Vec<u8> {
        let mut context = D::new();
        payload.parts().iter().for_each(|part| context.update(part));
        context.finalize().to_vec()
    }
    match hash {
        Hash::Sha1 => None, // too weak to say anything by
        Hash::Sha256 => Some(of::<Sha256>(payload)),
        Hash::Sha384 => Some(of::<Sha384>(payload)),
        Hash::Sha512 => Some(of::<Sha512>(payload)),
    }
}

/// What a signature carries to prove its time.
struct Proofs<'a> {
    entry: Option<Entry>,
    token: Option<&'a [u8]>,
    /// Whether nothing else is there, and the entry is written as gitsign writes it.
    plain: bool,
}

/// What the unsigned attributes hold.
fn attributes<'a>(cms: &Cms<'a>, leaf: &Certificate<'_>) -> Result<Proofs<'a>, Reason> {
    let entry_error = |error: entry::EntryError| Reason::LogEntry { what: error.to_string() };
    let find = |oid: &[u8]| cms.unsigned.iter().find(|(found, _)| *found == oid).map(|(_, value)| *value);
    let token = find(TOKEN).map(|token| token.whole);
    if let Some(entry) = prototype::read(&cms.unsigned) {
        let plain = cms.unsigned.len() == 9 + usize::from(token.is_some());
        return Ok(Proofs { entry: Some(entry.map_err(entry_error)?), token, plain });
    }
    let entry = match find(ENTRY) {
        None => None,
        Some(value) if value.tag == ber::OCTET_STRING => {
            Some(Entry::parse(value.content, &sigstore::subject(cms, leaf)).map_err(entry_error)?)
        }
        Some(_) => return Err(Reason::LogEntry { what: "it is not an octet string".to_owned() }),
    };
    let known = usize::from(entry.is_some()) + usize::from(token.is_some());
    let plain = entry.as_ref().is_none_or(|entry| entry.plain && sigstore::is_plain(entry)) && cms.unsigned.len() == known;
    Ok(Proofs { entry, token, plain })
}

fn keyless(leaf: &Certificate<'_>, root: &Root, proved: Proved) -> Result<Keyless, Reason> {
    let wrong = |error: certificate::CertificateError| malformed(&error);
    Ok(Keyless {
        subject: leaf.subject().map_err(wrong)?,
        issuer: leaf.fulcio_issuer().map_err(wrong)?,
        claims: leaf.claims().map_err(wrong)?,
        serial: hexadecimal(leaf.serial),
        not_before: leaf.not_before,
        not_after: leaf.not_after,
        authority: root.name.clone(),
        entry: proved.entry,
        timestamps: proved.timestamps,
    })
}

fn key_of(leaf: &Certificate<'_>, kind: Kind, blob: Vec<u8>) -> Key {
    let rsa_bits = match kind {
        Kind::Rsa { bits } => Some(bits),
        Kind::P256 | Kind::P384 | Kind::P521 => None,
    };
    Key {
        algorithm: kind.name().to_owned(),
        short: if rsa_bits.is_some() { "RSA" } else { "ECDSA" },
        fingerprint: format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(leaf.key))),
        blob,
        rsa_bits,
        certificate: None,
        binding: None,
    }
}

/// Whether the S of an ECDSA signature in DER is the larger of the two that are as good.
fn is_high(kind: Kind, signature: &[u8]) -> bool {
    let curve: &Curve = match kind {
        Kind::P256 => &P256,
        Kind::P384 => &P384,
        Kind::P521 => &P521,
        Kind::Rsa { .. } => return false,
    };
    let s = || {
        let mut numbers = ber::Reader::der(signature).next(ber::SEQUENCE).ok()?.inside();
        numbers.next(ber::INTEGER).ok()?;
        Some(numbers.next(ber::INTEGER).ok()?.content)
    };
    s().is_some_and(|s| curve.is_high(s.strip_prefix(&[0]).unwrap_or(s)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
