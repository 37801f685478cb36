//! Revocations that do not stand behind their certificate, as GnuPG's `openpgp-revocs.d` has them: each is tried on the
//! certificate of the key that made it.

use super::certificate::Certificates;
use super::moment;
use super::reading::lenient;
use sequoia_openpgp::KeyID;
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::packet::Signature;
use std::collections::{BTreeMap, HashMap};

/// More of them are not looked into.
pub(super) const MOST: usize = 1000;

/// Revocations that wait for their certificates.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<(Option<usize>, Signature)>);

impl Waiting {
    /// Takes some in, from a line of a text. Gives whether they are few enough.
    pub(super) fn add(&mut self, line: Option<usize>, loose: Vec<Signature>) -> bool {
        self.0.extend(loose.into_iter().map(|signature| (line, signature)));
        self.0.len() <= MOST
    }

    /// Puts those that hold into the certificates of their keys, or into those that name their keys as revokers.
    pub(super) fn place(&mut self, certificates: &mut Certificates) {
        if self.0.is_empty() {
            return;
        }
        let index = Index::of(certificates);
        let mut placed: BTreeMap<String, Vec<Signature>> = BTreeMap::new();
        self.0.retain(|(_, signature)| {
            let makers: Vec<&Cert> = index.makers(signature).filter_map(|name| certificates.get(name)).collect();
            let own = makers.iter().copied();
            let others = index.revocable(signature).filter_map(|name| certificates.get(name));
            let fits = |cert: &&Cert| makers.iter().any(|maker| revokes(signature, maker, cert));
            let Some(revoked) = own.chain(others).find(fits) else { return true };
            placed.entry(revoked.fingerprint().to_hex()).or_default().push(signature.clone());
            false
        });
        for (fingerprint, signatures) in placed {
            let Some(cert) = certificates.get(&fingerprint).cloned() else { continue };
            match cert.insert_packets(signatures.clone()) {
                Ok((cert, _)) if signatures.iter().all(|it| has(&cert, it)) => certificates.merge(cert),
                _ => self.0.extend(signatures.into_iter().map(|signature| (None, signature))),
            }
        }
    }

    /// What is to be said of those that no certificate took in.
    pub(super) fn notes(&self, certificates: &Certificates) -> Vec<(Option<usize>, String)> {
        let index = if self.0.is_empty() { Index::default() } else { Index::of(certificates) };
        let note = |signature: &Signature| {
            let maker = super::issuer(signature);
            let why = match (index.makers(signature).next(), index.revocable(signature).next()) {
                (Some(_), _) => "it is none of a key of that certificate".to_owned(),
                (None, Some(of)) => format!("{of} names that key for it, but its certificate is not here; give both in one file"),
                (None, None) => "its certificate is not here; give both in one file".to_owned(),
            };
            format!("a revocation by {maker} is not taken in: {why}")
        };
        self.0.iter().map(|(line, signature)| (*line, note(signature))).collect()
    }

    /// The keys of those that no certificate took in.
    pub(super) fn makers(&self) -> Vec<String> {
        self.0.iter().map(|(_, signature)| super::issuer(signature)).collect()
    }
}

/// Certificates by the ids of primary keys.
#[derive(Default)]
struct Index {
    /// Whose primary key it is.
    own: HashMap<KeyID, Vec<String>>,
    /// Who lets that key revoke them.
    revocable: HashMap<KeyID, Vec<String>>,
}

impl Index {
    fn of(certificates: &Certificates) -> Self {
        let policy = lenient(moment(0)); // nothing is too weak to name a revoker
        let mut index = Self::default();
        for (name, cert) in certificates.fingerprints().filter_map(|name| Some((name, certificates.get(name)?))) {
            index.own.entry(cert.keyid()).or_default().push(name.to_owned());
            for key in cert.revocation_keys(&policy) {
                index.revocable.entry(KeyID::from(key.revoker().1)).or_default().push(name.to_owned());
            }
        }
        index
    }

    fn makers(&self, signature: &Signature) -> impl Iterator<Item = &str> {
        found(&self.own, signature)
    }

    fn revocable(&self, signature: &Signature) -> impl Iterator<Item = &str> {
        found(&self.revocable, signature)
    }
}

fn found<'a>(names: &'a HashMap<KeyID, Vec<String>>, signature: &Signature) -> impl Iterator<Item = &'a str> + use<'a> {
    let ids: Vec<KeyID> = signature.get_issuers().iter().map(KeyID::from).collect();
    ids.into_iter().flat_map(|id| names.get(&id).map(Vec::as_slice).unwrap_or_default()).map(String::as_str)
}

/// Whether the primary key of one certificate made a signature that revokes a key of another.
fn revokes(signature: &Signature, maker: &Cert, of: &Cert) -> bool {
    let (key, primary) = (maker.primary_key(), of.primary_key());
    signature.verify_primary_key_revocation(key.key(), primary.key()).is_ok()
        || of.keys().subkeys().any(|sub| signature.verify_subkey_revocation(key.key(), primary.key(), sub.key()).is_ok())
}

fn has(cert: &Cert, signature: &Signature) -> bool {
    let same = |it: &Signature| it.normalized_eq(signature);
    let primary = cert.primary_key();
    primary.self_revocations().any(same)
        || primary.other_revocations().any(same)
        || cert.keys().subkeys().any(|key| key.self_revocations().any(same) || key.other_revocations().any(same))
}
