//! Whose S/MIME certificates are believed: an authority's roots, and what it revoked (RFC 5280).

use super::algorithms;
use super::certificate::{Certificate, Kind, PublicKey};
use super::crl::{Crl, CrlError};
use super::{name, pem};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use std::sync::Arc;
use webpki::anchor_from_trusted_cert;

/// More roots than these are no list of roots.
const MOST_ROOTS: usize = 1024;
/// The fewest bits of an RSA key that certifies anything.
pub(super) const LEAST_RSA_BITS: usize = 2048;

/// The bits of a key usage (RFC 5280 §4.2.1.3).
pub(super) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(super) const NON_REPUDIATION: u8 = 0x40;
pub(super) const CERTIFICATE_SIGN: u8 = 0x04;
pub(super) const CRL_SIGN: u8 = 0x02;

/// An authority under the name that evidence gives it. Copies share what was read.
#[derive(Clone)]
pub struct Authority {
    pub(super) name: String,
    pub(super) roots: Arc<[Root]>,
    /// Its revocation lists; `None` where it names none.
    pub(super) crls: Option<Arc<[Crl]>>,
}

/// A certificate that is trusted as such.
pub(super) struct Root {
    pub(super) anchor: TrustAnchor<'static>,
    /// Its name, the content of the sequence.
    pub(super) holder: Vec<u8>,
    /// The name of whoever signed it: its own, unless it is an authority in the middle.
    pub(super) issuer: Vec<u8>,
    pub(super) serial: Vec<u8>,
    pub(super) key: Vec<u8>,
    /// How many authorities may stand between it and a signer's certificate, those aside that have their own name as issuer.
    pub(super) path_length: Option<usize>,
    /// When it holds, both ends included.
    pub(super) held: (i64, i64),
    pub(super) may_sign_lists: bool,
}

/// Why roots cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// No certificate in it.
    #[error("it holds no certificate; roots stand in it in PEM, each between -----BEGIN CERTIFICATE----- and its end")]
    Empty,
    /// More than anybody needs.
    #[error("it holds more than {MOST_ROOTS} certificates")]
    Many,
    /// One that cannot be used.
    #[error("the certificate at line {line}, column 1: {what}")]
    Certificate {
        /// The line at which it begins.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl Authority {
    /// Reads the roots of a policy: certificates in PEM, all of which must be an authority's.
    ///
    /// # Errors
    /// At the first that is none, with its line; and where there is none at all.
    pub fn parse(name: &str, pem: &[u8]) -> Result<Self, RootsError> {
        let mut roots: Vec<Root> = Vec::new();
        for (line, block) in pem::blocks(pem, "CERTIFICATE") {
            let wrong = |what: String| RootsError::Certificate { line, what };
            let root = Root::parse(&block.map_err(wrong)?).map_err(wrong)?;
            if roots.len() >= MOST_ROOTS {
                return Err(RootsError::Many);
            }
            roots.push(root);
        }
        match roots.is_empty() {
            true => Err(RootsError::Empty),
            false => Ok(Self { name: name.to_owned(), roots: roots.into(), crls: None }),
        }
    }

    /// Takes what of a system's list of roots can be used; the rest certifies nothing here.
    pub fn of_system(name: &str, pem: &[u8]) -> Self {
        let read = pem::blocks(pem, "CERTIFICATE").filter_map(|(_, block)| Root::parse(&block.ok()?).ok());
        Self { name: name.to_owned(), roots: read.take(MOST_ROOTS).collect(), crls: None }
    }

    /// The same with revocation lists, which then have to cover what the authority certified.
    ///
    /// # Errors
    /// Where the file cannot be used as of `now` (seconds since 1970, UTC).
    pub fn with_lists(self, file: &[u8], now: i64) -> Result<Self, CrlError> {
        Ok(Self { crls: Some(Crl::parse_all(file, now)?.into()), ..self })
    }

    /// A root that another authority has as well, for people: the same name, or the same key.
    pub fn shared_root(&self, other: &Self) -> Option<String> {
        let shared = |root: &&Root| other.roots.iter().any(|it| it.key == root.key);
        self.roots.iter().find(shared).map(|root| name::read(&root.holder).to_string())
    }

    /// Whether a key is one of its roots'.
    pub(super) fn has_key(&self, key: &[u8]) -> bool {
        self.roots.iter().any(|root| root.key == key)
    }

    /// Its roots whose certificates no revocation list of it covers, for people; none where it names no list.
    pub fn roots_without_list(&self) -> impl Iterator<Item = String> {
        let lists = self.crls.as_deref();
        let covered = move |root: &Root| lists.is_none_or(|lists| lists.iter().any(|list| list.is_of(&root.holder)));
        self.roots.iter().filter(move |root| !covered(root)).map(|root| name::read(&root.holder).to_string())
    }

    /// Its roots for people, each with its last moment.
    pub fn roots(&self) -> impl Iterator<Item = (String, i64)> {
        self.roots.iter().map(|root| (name::read(&root.holder).to_string(), root.held.1))
    }

    /// The revocation lists for people: who signed each, and when the next one is due.
    pub fn lists(&self) -> impl Iterator<Item = (String, i64)> {
        self.crls.iter().flat_map(|lists| lists.iter()).map(|list| (name::read(list.issuer()).to_string(), list.next_update))
    }
}

impl Root {
    fn parse(der: &[u8]) -> Result<Self, String> {
        let certificate = Certificate::parse(der).map_err(|error| error.to_string())?;
        if !certificate.is_authority().map_err(|error| error.to_string())? {
            return Err("it is not an authority's (basicConstraints): a root is meant, not the certificate of a person".to_owned());
        }
        let usage = certificate.key_usage().map_err(|error| error.to_string())?;
        if usage.is_some_and(|usage| usage & CERTIFICATE_SIGN == 0) {
            return Err("its key is not for signing certificates (keyUsage)".to_owned());
        }
        if certificate.has_name_constraints() {
            return Err("it holds for some names only (nameConstraints), which is not judged here".to_owned());
        }
        if let Some(oid) = certificate.unknown_critical() {
            return Err(format!("it has a critical extension that is not known ({oid})"));
        }
        if !certificate.may_be_for_mail().map_err(|error| error.to_string())? {
            return Err("it is not for e-mail (extended key usage)".to_owned());
        }
        if let Some(bits) = short_key(certificate.key) {
            return Err(format!("its RSA key has {bits} bits, fewer than {LEAST_RSA_BITS}"));
        }
        if !algorithms::knows_key(certificate.key) {
            return Err("its key is of a kind that is not supported: RSA, ECDSA on P-256, P-384 or P-521, or Ed25519".to_owned());
        }
        let owned = CertificateDer::from(der);
        let anchor = anchor_from_trusted_cert(&owned).map_err(|error| error.to_string())?.to_owned();
        Ok(Self {
            anchor,
            holder: certificate.holder.to_vec(),
            issuer: certificate.issuer.to_vec(),
            serial: certificate.serial.to_vec(),
            key: certificate.key.to_vec(),
            path_length: certificate.path_length().map_err(|error| error.to_string())?,
            held: (certificate.not_before, certificate.not_after),
            may_sign_lists: usage.is_none_or(|usage| usage & CRL_SIGN != 0),
        })
    }
}

/// The bits of an RSA key that are too few.
pub(super) fn short_key(key: &[u8]) -> Option<usize> {
    match PublicKey::parse(key).ok()?.kind() {
        Kind::Rsa { bits } => Some(bits).filter(|&bits| bits < LEAST_RSA_BITS),
        Kind::P256 | Kind::P384 | Kind::P521 => None,
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Authority").field(&self.name).finish()
    }
}
