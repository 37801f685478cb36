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
mod plain;
mod prototype;
mod roots;
pub mod sign;
mod sigstore;
pub mod smime;

pub use authority::{Authority, RootsError};
pub use bundle::{Content, verify_bundle, verify_bundle_by_key};
pub use crl::CrlError;
pub use roots::{MOST_ROOT_BYTES, Root, RootError};

use super::Verifier;
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
use plain::{Loose, is_high};
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
            whys.push("no trusted root is named; git config warrant.trustedRoot FILE names one".to_owned());
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
        let Proofs { entry, token, loose } = attributes(&cms, &leaf)?;
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
        // what is in a log is there as it is
        let high_s = loose.high_s || (keyless.entry.is_none() && has_high_s(&cms));
        let malleable = [
            (form != ArmorForm::Canonical, Malleable::Armor),
            (!cms.plain || loose.form || !usual, Malleable::Encoding),
            (high_s, Malleable::HighS),
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

/// A keyless signature as a Sigstore bundle.
pub struct Bundled {
    /// The bundle, in JSON.
    pub json: String,
    /// What it is of: DER of the signed attributes.
    pub signed: Vec<u8>,
    /// Whether anything in it is to prove the time: without that nobody accepts it.
    pub timed: bool,
}

/// Makes a bundle of the signature over a payload. By whom it is, and what its proofs are worth, is not asked.
///
/// # Errors
/// Where it is no keyless signature, or not over the payload, or its log entry is not of a form that bundles have.
pub fn to_bundle(armored: &[u8], payload: &Payload<'_>) -> Result<Bundled, Reason> {
    let (blob, _) = decode(armored)?;
    let mut cms = read(&blob)?;
    let leaf = Certificate::parse(cms.signer).map_err(|error| malformed(&error))?;
    if !leaf.is_fulcio() {
        return Err(malformed(&"it is by an S/MIME certificate, and not by one of a Sigstore instance"));
    }
    check_payload(&cms, payload)?;
    check_signature(&mut cms, &key_in(&leaf)?)?; // also finds the order in which the attributes are signed
    let Proofs { entry, token, .. } = attributes(&cms, &leaf)?;
    let bundle = sigstore::bundle(&cms, &leaf, entry.as_ref(), token)?;
    let json = bundle.to_json().map_err(|error| malformed(&error))?;
    Ok(Bundled { json, timed: sigstore::is_timed(entry.as_ref(), token), signed: cms.signed })
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
    /// In which ways they could be written otherwise.
    loose: Loose,
}

/// What the unsigned attributes hold.
fn attributes<'a>(cms: &Cms<'a>, leaf: &Certificate<'_>) -> Result<Proofs<'a>, Reason> {
    let entry_error = |error: entry::EntryError| Reason::LogEntry { what: error.to_string() };
    let find = |oid: &[u8]| cms.unsigned.iter().find(|(found, _)| *found == oid).map(|(_, value)| *value);
    let token = find(TOKEN).map(|token| token.whole);
    let (entry, parts) = match (prototype::read(&cms.unsigned), find(ENTRY)) {
        (Some(entry), _) => (Some(entry.map_err(entry_error)?), 9),
        (None, None) => (None, 0),
        (None, Some(value)) if value.tag == ber::OCTET_STRING => {
            (Some(Entry::parse(value.content, &sigstore::subject(cms, leaf)).map_err(entry_error)?), 1)
        }
        (None, Some(_)) => return Err(Reason::LogEntry { what: "it is not an octet string".to_owned() }),
    };
    let more = cms.unsigned.len() != parts + usize::from(token.is_some()) || entry.as_ref().is_some_and(|entry| !entry.plain);
    let loose = [entry.as_ref().map(plain::of_entry), token.map(plain::of_token)];
    let loose = loose.into_iter().flatten().fold(Loose { form: more, high_s: false }, Loose::and);
    Ok(Proofs { entry, token, loose })
}

fn keyless(leaf: &Certificate<'_>, root: &Root, proved: Proved) -> Result<Keyless, Reason> {
    let wrong = |error: certificate::CertificateError| malformed(&error);
    Ok(Keyless {
        subject: leaf.subject().map_err(wrong)?,
        issuer: leaf.fulcio_issuer().map_err(wrong)?,
        claims: leaf.claims().map_err(wrong)?,
        serial: hex::encode(leaf.serial),
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

/// Whether the signature, or that of whoever issued the certificate, has another S that is as good, and nothing says which it is.
fn has_high_s(cms: &Cms<'_>) -> bool {
    let issued = || algorithms::signature(cms.signer).is_ok_and(is_high);
    is_high(cms.signature) || (!cms.names_signer && issued())
}
