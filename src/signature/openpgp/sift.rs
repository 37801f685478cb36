//! The packets of a file, certificate by certificate, before Sequoia sees them: it tries what is signed on each part of a
//! certificate, and knows no revocation without its certificate.

use super::loose::MOST;
use super::packet::{self, PacketError};
use super::reading::is_checkable;
use sequoia_openpgp::packet::key::{PrimaryRole, PublicParts};
use sequoia_openpgp::packet::{Key, Signature};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::types::SignatureType;
use sequoia_openpgp::{Fingerprint, KeyHandle, Packet};

pub(super) const SIGNATURE: u8 = 2;
const SECRET_KEY: u8 = 5;
const PUBLIC_KEY: u8 = 6;
const SECRET_SUBKEY: u8 = 7;
const MARKER: u8 = 10;
const USER_ID: u8 = 13;
const PUBLIC_SUBKEY: u8 = 14;
const USER_ATTRIBUTE: u8 = 17;

/// From this weight on, user ids and subkeys that no signature of the certificate itself follows are left out. Below, their
/// signatures may stand in another order, which Sequoia mends.
const SIFTED: usize = 10_000;
/// A heavier certificate is not looked into. It is some hundred times what people have, and less than a second of work. All
/// copies of one together may be ten times as heavy.
pub(super) const HEAVIEST: usize = 50_000;

/// What a file holds.
#[derive(Default)]
pub(super) struct Sifted {
    /// The certificates.
    pub(super) certificates: Vec<Sheaf>,
    /// Revocations of keys that do not stand behind the certificate of the key that made them.
    pub(super) loose: Vec<Signature>,
    /// How many other packets stand before the first certificate.
    pub(super) strays: usize,
}

/// The packets of one certificate.
pub(super) struct Sheaf {
    /// What of them may belong to it.
    pub(super) packets: Vec<u8>,
    /// Its fingerprint; `None` for a key of a kind that is not known.
    pub(super) fingerprint: Option<Fingerprint>,
    /// How much there is to look through.
    pub(super) weight: Weight,
}

/// What the work for a certificate grows with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Keys and user ids.
    pub(super) parts: usize,
    pub(super) signatures: usize,
}

impl Weight {
    /// Each part is compared with each other, and each signature tried on each part.
    pub(super) fn work(self) -> usize {
        self.parts.saturating_mul(self.parts.max(self.signatures))
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self { parts: self.parts + other.parts, signatures: self.signatures + other.signatures }
    }
}

pub(super) fn is_primary(tag: u8) -> bool {
    matches!(tag, SECRET_KEY | PUBLIC_KEY)
}

/// Whether packets of these types begin with a certificate or a secret key; revocations may stand before it.
pub(super) fn begin_with_key(tags: &[u8]) -> bool {
    tags.iter().find(|tag| !matches!(**tag, MARKER | SIGNATURE)).is_some_and(|tag| is_primary(*tag))
}

/// Parts the packets of a file.
///
/// # Errors
/// Where they cannot be told apart.
pub(super) fn sift(bytes: &[u8]) -> Result<Sifted, PacketError> {
    let mut sifted = Sifted::default();
    let mut open: Option<Open<'_>> = None;
    for (tag, raw) in packet::split(bytes)? {
        if is_primary(tag) {
            sifted.certificates.extend(open.replace(Open::new(raw)).map(Open::close));
            continue;
        }
        let signature = match Packet::from_bytes(raw) {
            Ok(Packet::Signature(signature)) if tag == SIGNATURE => Some(signature),
            _ => None,
        };
        if let Some(signature) = signature.as_ref().filter(|it| is_key_revocation(it))
            && (sifted.loose.len() > MOST || open.as_ref().is_none_or(|open| !open.may_hold(signature)))
        {
            sifted.loose.push(signature.clone());
        } else if open.is_none() && tag != MARKER {
            sifted.strays += 1;
        }
        if let Some(open) = &mut open {
            open.push(tag, raw, signature.as_ref());
        }
    }
    sifted.certificates.extend(open.map(Open::close));
    Ok(sifted)
}

/// Whether it is somebody else's word for a user id, that no policy needs. A revocation never is left out, whoever made it.
pub(super) fn is_certification_of_others(signature: &Signature, own: &KeyHandle) -> bool {
    let certifies = matches!(
        signature.typ(),
        SignatureType::GenericCertification
            | SignatureType::PersonaCertification
            | SignatureType::CasualCertification
            | SignatureType::PositiveCertification
    );
    certifies && is_of_others(signature, own)
}

fn is_of_others(signature: &Signature, own: &KeyHandle) -> bool {
    let issuers = signature.get_issuers();
    !issuers.is_empty() && !issuers.iter().any(|issuer| issuer.aliases(own))
}

fn is_key_revocation(signature: &Signature) -> bool {
    matches!(signature.typ(), SignatureType::KeyRevocation | SignatureType::SubkeyRevocation)
}

fn is_huge_subkey(tag: u8, raw: &[u8]) -> bool {
    matches!(tag, SECRET_SUBKEY | PUBLIC_SUBKEY)
        && match Packet::from_bytes(raw) {
            Ok(Packet::PublicSubkey(key)) => !is_checkable(&key),
            Ok(Packet::SecretSubkey(key)) => !is_checkable(&key),
            _ => false,
        }
}

/// A certificate that is being read.
struct Open<'a> {
    own: Option<Fingerprint>,
    primary: Option<Key<PublicParts, PrimaryRole>>,
    parts: Vec<Part<'a>>,
    /// Whether what comes belongs to a subkey that takes too long to check, and is left out with it.
    leaving_out: bool,
}

/// A key or a user id, and what follows it.
#[derive(Default)]
struct Part<'a> {
    packets: Vec<&'a [u8]>,
    signatures: usize,
    /// Whether one of the signatures says that the certificate's own key made it.
    bound: bool,
}

impl<'a> Open<'a> {
    fn new(raw: &'a [u8]) -> Self {
        let primary = match Packet::from_bytes(raw) {
            Ok(Packet::PublicKey(key)) => Some(key),
            Ok(Packet::SecretKey(key)) => Some(key.take_secret().0),
            _ => None,
        };
        let primary = primary.filter(is_checkable);
        let own = primary.as_ref().map(Key::fingerprint);
        Self { own, primary, parts: vec![Part { packets: vec![raw], signatures: 0, bound: true }], leaving_out: false }
    }

    /// Whether a revocation may be one that the certificate's own key made of it: another certificate's may stand behind that of
    /// who revokes it.
    fn may_hold(&self, signature: &Signature) -> bool {
        let Some(primary) = &self.primary else { return false };
        let whole = signature.typ() == SignatureType::KeyRevocation;
        !is_of_others(signature, &KeyHandle::from(primary.fingerprint()))
            && (!whole || signature.verify_primary_key_revocation(primary, primary).is_ok())
    }

    fn push(&mut self, tag: u8, raw: &'a [u8], signature: Option<&Signature>) {
        let own = self.own.as_ref().map(KeyHandle::from);
        if let (Some(own), Some(signature)) = (&own, signature)
            && is_certification_of_others(signature, own)
        {
            return;
        }
        let begins = matches!(tag, USER_ID | USER_ATTRIBUTE | SECRET_SUBKEY | PUBLIC_SUBKEY);
        if begins {
            self.leaving_out = is_huge_subkey(tag, raw);
        }
        // a revocation may be one of another key
        if self.leaving_out && !signature.is_some_and(is_key_revocation) {
            return;
        }
        if begins {
            self.parts.push(Part::default());
        }
        let Some(part) = self.parts.last_mut() else { return };
        part.packets.push(raw);
        part.signatures += usize::from(tag == SIGNATURE);
        // what cannot be read here is not taken away either
        part.bound |= tag == SIGNATURE && own.is_none_or(|own| signature.is_none_or(|it| !is_of_others(it, &own)));
    }

    fn weight(&self) -> Weight {
        Weight { parts: self.parts.len(), signatures: self.parts.iter().map(|part| part.signatures).sum() }
    }

    fn close(mut self) -> Sheaf {
        if self.own.is_some() && self.weight().work() > SIFTED {
            self.parts.retain(|part| part.bound);
        }
        let weight = self.weight();
        let packets = self.parts.iter().flat_map(|part| &part.packets).copied().flatten().copied().collect();
        Sheaf { packets, fingerprint: self.own, weight }
    }
}
