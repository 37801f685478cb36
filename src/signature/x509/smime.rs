//! S/MIME signatures (RFC 8551), as gpgsm and smimesign make them: by certificates of X.509 authorities.
//!
//! A signature by itself says nothing of when it was made: what its certificate's window is worth says the policy. Certificates
//! beside the signer's are signed by nobody, so whoever has the signature may put others there; they only ever help to find a
//! chain.

use super::authority::Authority;
use super::certificate::{Certificate, Kind, PublicKey};
use super::cms::{Cms, Hash};
use super::path::{self, Why};
use super::{check_payload, check_signature, decode, has_high_s, key_in, key_of, malformed, name, read, unsupported};
use crate::armor::{ArmorForm, Format};
use crate::evidence::{Evidence, Malleable, Name, Smime, SmimePath};
use crate::object::Payload;
use crate::verdict::Reason;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// More sets of certificates than these are forgotten again.
const MOST_REMEMBERED: usize = 1024;

/// The authorities, and what was found of certificates. The same one signs many commits, and its chain costs more than all the
/// rest: it is looked for once for each set of certificates that came together.
#[derive(Default)]
pub(super) struct Chains {
    authorities: Vec<Authority>,
    known: Mutex<HashMap<[u8; 32], Found>>,
}

/// The good chains of a certificate, or why there are none.
type Found = Result<Vec<SmimePath>, Reason>;

impl Chains {
    pub(super) fn new(authorities: Vec<Authority>) -> Self {
        Self { authorities, known: Mutex::default() }
    }

    /// What an S/MIME signature proves: first that it is over the content, then whose it is.
    pub(super) fn verify(
        &self,
        cms: &mut Cms<'_>,
        leaf: &Certificate<'_>,
        key: &PublicKey,
        form: ArmorForm,
        payload: &Payload<'_>,
    ) -> Result<Evidence, Reason> {
        if cms.hash == Hash::Sha1 {
            return Err(Reason::Weak { what: "SHA-1".to_owned() });
        }
        check_payload(cms, payload)?;
        check_signature(cms, key)?;
        let usual = key.is_usual(cms.algorithm, cms.hash).map_err(|_| unsupported(cms, key))?;
        let addresses = leaf.addresses().map_err(|error| malformed(&error))?;
        let paths = self.paths(leaf, &cms.certificates)?;
        // certificates and unsigned attributes can be put to it and taken from it
        let plain = cms.plain && usual && cms.unsigned.is_empty();
        let malleable =
            [(form != ArmorForm::Canonical, Malleable::Armor), (!plain, Malleable::Encoding), (has_high_s(cms), Malleable::HighS)];
        let smime = Smime {
            addresses,
            holder: name::read(leaf.holder),
            issuer: name::read(leaf.issuer),
            serial: hex::encode(leaf.serial),
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            paths,
        };
        Ok(Evidence {
            format: Format::X509,
            // a policy lists addresses, never this key
            key: Arc::new(key_of(leaf, key.kind(), [b"x509-key\0", leaf.key].concat())),
            hash: cms.hash.name(),
            made: cms.time,
            ends: None,
            weak: Vec::new(),
            token: None,
            keyless: None,
            smime: Some(Arc::new(smime)),
            payload_id: payload.id(),
            malleable: malleable.into_iter().filter(|(is, _)| *is).map(|(_, way)| way).collect(),
        })
    }

    fn paths(&self, leaf: &Certificate<'_>, certificates: &[&[u8]]) -> Found {
        let mut hash = Sha256::new();
        for certificate in [leaf.whole].iter().chain(certificates) {
            hash.update(Sha256::digest(certificate));
        }
        let id: [u8; 32] = hash.finalize().into();
        if let Some(found) = self.known.lock().ok().and_then(|known| known.get(&id).cloned()) {
            return found;
        }
        let found = self.find(leaf, certificates);
        if let Ok(mut known) = self.known.lock() {
            if known.len() >= MOST_REMEMBERED {
                known.clear();
            }
            known.insert(id, found.clone());
        }
        found
    }

    fn find(&self, leaf: &Certificate<'_>, certificates: &[&[u8]]) -> Found {
        let (mut paths, mut whys, mut weak) = (Vec::new(), Vec::new(), None);
        for authority in &self.authorities {
            match path::find(authority, &self.authorities, leaf, certificates) {
                Ok(found) => paths.extend(found),
                Err(Why::Weak(what)) => weak = Some(what),
                Err(Why::Untrusted(what)) => whys.push(what),
            }
        }
        match (paths.is_empty(), weak) {
            (false, _) => Ok(paths),
            (true, Some(what)) => Err(Reason::Weak { what }),
            (true, None) if whys.is_empty() => {
                let what = "it is an S/MIME certificate, and no X.509 authority is named".to_owned();
                Err(Reason::CertificateUntrusted { what })
            }
            (true, None) => Err(Reason::CertificateUntrusted { what: whys.join("; ") }),
        }
    }
}

/// Who made an S/MIME signature by the certificate that it names, whether or not it is good.
#[derive(Clone, Debug)]
pub struct Signer {
    /// SHA-1 of the certificate, uppercase hexadecimal, as gpgsm names it.
    pub fingerprint: String,
    /// Whom it is of.
    pub holder: Name,
    /// When it ends, seconds since 1970 (UTC).
    pub not_after: i64,
    /// OpenPGP's number of the key's algorithm, in which GnuPG's status lines speak.
    pub algorithm: u8,
    /// And of the hash function.
    pub hash: u8,
    /// When the signature says that it was made, seconds since 1970 (UTC).
    pub made: Option<i64>,
}

/// Who made a signature; `None` where its certificate is of a Sigstore instance.
///
/// # Errors
/// Where it cannot be read.
pub fn signer(armored: &[u8]) -> Result<Option<Signer>, Reason> {
    let (blob, _) = decode(armored)?;
    let cms = read(&blob)?;
    let leaf = Certificate::parse(cms.signer).map_err(|error| malformed(&error))?;
    if leaf.is_fulcio() {
        return Ok(None);
    }
    let algorithm = match key_in(&leaf)?.kind() {
        Kind::Rsa { .. } => 1,
        Kind::P256 | Kind::P384 | Kind::P521 => 19,
    };
    let hash = match cms.hash {
        Hash::Sha1 => 2,
        Hash::Sha256 => 8,
        Hash::Sha384 => 9,
        Hash::Sha512 => 10,
    };
    let fingerprint = hex::encode_upper(digest(&SHA1_FOR_LEGACY_USE_ONLY, leaf.whole));
    let holder = name::read(leaf.holder);
    Ok(Some(Signer { fingerprint, holder, not_after: leaf.not_after, algorithm, hash, made: cms.time }))
}
