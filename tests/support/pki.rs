//! Authorities of S/MIME, their certificates and revocation lists, and signatures by them; each part can be told to lie.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::as_conversions)]

use crate::sigstore::{Key, bits, extension, name, octets, oid, seq, set, time, tlv};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use git_warrant::armor::encode_cms;
use sha2::{Digest as _, Sha256};

pub const EMAIL: &str = "1.3.6.1.5.5.7.3.4";

/// A certificate to be.
#[derive(Clone)]
pub struct Cert {
    pub issuer: Vec<u8>,
    pub subject: Vec<u8>,
    pub spki: Vec<u8>,
    pub serial: Vec<u8>,
    pub window: (i64, i64),
    pub extensions: Vec<Vec<u8>>,
    /// Another algorithm than that of the key.
    pub algorithm: Option<&'static str>,
}

impl Cert {
    fn new(issuer: &str, subject: &str, key: &Key) -> Self {
        Self {
            issuer: name(issuer),
            subject: name(subject),
            spki: key.spki(),
            serial: [&[0x11], &Sha256::digest([key.spki(), name(issuer)].concat())[..8]].concat(),
            window: (1_000_000_000, 2_000_000_000),
            extensions: Vec::new(),
            algorithm: None,
        }
    }

    /// An authority's.
    pub fn authority(issuer: &str, subject: &str, key: &Key) -> Self {
        Self::new(issuer, subject, key).with(constraints(true, None)).with(usage(0x06))
    }

    /// A person's.
    pub fn person(issuer: &str, address: &str, key: &Key) -> Self {
        let names = extension("2.5.29.17", false, &seq(&[&tlv(0x81, address.as_bytes())]));
        Self::new(issuer, "a person", key).with(usage(0x80)).with(purposes(&[EMAIL])).with(names)
    }

    /// With an extension, in place of one of the same kind.
    pub fn with(&self, extension: Vec<u8>) -> Self {
        let same = |other: &&Vec<u8>| other[2..8] != extension[2..8];
        let mut extensions: Vec<Vec<u8>> = self.extensions.iter().filter(same).cloned().collect();
        extensions.push(extension);
        Self { extensions, ..self.clone() }
    }

    /// Without an extension.
    pub fn without(&self, id: &str) -> Self {
        let id = oid(id);
        let other = |extension: &&Vec<u8>| !extension.windows(id.len()).any(|it| it == id);
        Self { extensions: self.extensions.iter().filter(other).cloned().collect(), ..self.clone() }
    }

    pub fn within(&self, window: (i64, i64)) -> Self {
        Self { window, ..self.clone() }
    }

    pub fn by(&self, key: &Key) -> Vec<u8> {
        let algorithm = self.algorithm.map_or_else(|| key.algorithm(), |id| seq(&[&oid(id)]));
        let tbs = seq(&[
            &[0xa0, 3, 2, 1, 2],
            &tlv(2, &self.serial),
            &algorithm,
            &self.issuer,
            &seq(&[&time(self.window.0), &time(self.window.1)]),
            &self.subject,
            &self.spki,
            &tlv(0xa3, &tlv(0x30, &self.extensions.concat())),
        ]);
        seq(&[&tbs, &algorithm, &bits(&key.sign(&tbs))])
    }
}

/// An RSA key, of which nobody has the secret part.
pub fn rsa(bits: usize) -> Vec<u8> {
    let modulus = [vec![0, 0x80], vec![1; bits / 8 - 1]].concat();
    let numbers = seq(&[&tlv(2, &modulus), &[2, 3, 1, 0, 1]]);
    seq(&[&seq(&[&oid("1.2.840.113549.1.1.1"), &[5, 0]]), &tlv(3, &[&[0], &numbers[..]].concat())])
}

pub fn constraints(authority: bool, length: Option<u8>) -> Vec<u8> {
    let flag: &[u8] = if authority { &[1, 1, 0xff] } else { &[] };
    let length = length.map(|length| tlv(2, &[length])).unwrap_or_default();
    extension("2.5.29.19", true, &seq(&[flag, &length]))
}

pub fn usage(bits: u8) -> Vec<u8> {
    extension("2.5.29.15", true, &[3, 2, 0, bits])
}

pub fn purposes(ids: &[&str]) -> Vec<u8> {
    extension("2.5.29.37", false, &tlv(0x30, &ids.iter().flat_map(|id| oid(id)).collect::<Vec<_>>()))
}

pub fn names(all: &[(u8, &[u8])]) -> Vec<u8> {
    let all: Vec<u8> = all.iter().flat_map(|(tag, text)| tlv(*tag, text)).collect();
    extension("2.5.29.17", false, &tlv(0x30, &all))
}

pub fn pem(label: &str, all: &[&[u8]]) -> String {
    let one = |der: &&[u8]| format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
    all.iter().map(one).collect()
}

/// A revocation list to be.
#[derive(Clone)]
pub struct List {
    pub issuer: Vec<u8>,
    pub window: (i64, i64),
    /// Serial number, when, and the reason's number.
    pub entries: Vec<(Vec<u8>, i64, Option<u8>)>,
    pub extensions: Vec<Vec<u8>>,
    /// Extensions of every entry.
    pub of_entries: Vec<u8>,
    pub version: bool,
}

impl List {
    pub fn new(issuer: &str, entries: &[(&[u8], Option<u8>)], window: (i64, i64)) -> Self {
        let entries = entries.iter().map(|(serial, reason)| (serial.to_vec(), window.0, *reason)).collect();
        let extensions = vec![extension("2.5.29.20", false, &[2, 1, 7])];
        Self { issuer: name(issuer), window, entries, extensions, of_entries: Vec::new(), version: true }
    }

    pub fn by(&self, key: &Key) -> Vec<u8> {
        let entry = |(serial, at, reason): &(Vec<u8>, i64, Option<u8>)| {
            let reason = reason.map(|reason| extension("2.5.29.21", false, &[10, 1, reason])).unwrap_or_default();
            let extensions = [reason, self.of_entries.clone()].concat();
            let extensions = if extensions.is_empty() { Vec::new() } else { tlv(0x30, &extensions) };
            seq(&[&tlv(2, serial), &time(*at), &extensions])
        };
        let entries: Vec<u8> = self.entries.iter().flat_map(entry).collect();
        let entries = if entries.is_empty() { Vec::new() } else { tlv(0x30, &entries) };
        let version: &[u8] = if self.version { &[2, 1, 1] } else { &[] };
        let extensions = if self.version { tlv(0xa0, &tlv(0x30, &self.extensions.concat())) } else { Vec::new() };
        let (this, next) = (time(self.window.0), time(self.window.1));
        let tbs = seq(&[version, &key.algorithm(), &self.issuer, &this, &next, &entries, &extensions]);
        seq(&[&tbs, &key.algorithm(), &bits(&key.sign(&tbs))])
    }
}

/// A signature over a payload, these certificates in it; the signer's is `certificate`.
pub fn signed(key: &Key, certificate: &[u8], all: &[&[u8]], payload: &[u8]) -> Vec<u8> {
    signed_by_means_of("2.16.840.1.101.3.4.2.1", key, certificate, all, payload)
}

/// The same where it says that it is by another hash function.
pub fn signed_by_means_of(hash: &str, key: &Key, certificate: &[u8], all: &[&[u8]], payload: &[u8]) -> Vec<u8> {
    signed_with(hash, &[], key, certificate, all, payload)
}

/// The same with more signed attributes.
pub fn signed_with(hash: &str, more: &[u8], key: &Key, certificate: &[u8], all: &[&[u8]], payload: &[u8]) -> Vec<u8> {
    let sha256 = seq(&[&oid(hash)]);
    let attributes = [
        seq(&[&oid("1.2.840.113549.1.9.3"), &set(&[&oid("1.2.840.113549.1.7.1")])]),
        seq(&[&oid("1.2.840.113549.1.9.4"), &set(&[&octets(&Sha256::digest(payload))])]),
        more.to_vec(),
    ]
    .concat();
    let signer = seq(&[
        &[2, 1, 1],
        &crate::sigstore::signer_id(certificate),
        &sha256,
        &tlv(0xa0, &attributes),
        &seq(&[&oid("1.2.840.10045.4.3.2")]),
        &octets(&key.sign(&tlv(0x31, &attributes))),
    ]);
    let data =
        seq(&[&[2, 1, 1], &set(&[&sha256]), &seq(&[&oid("1.2.840.113549.1.7.1")]), &tlv(0xa0, &all.concat()), &set(&[&signer])]);
    encode_cms(&seq(&[&oid("1.2.840.113549.1.7.2"), &tlv(0xa0, &data)]))
}
