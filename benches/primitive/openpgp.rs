//! The bare checks of OpenPGP signatures: RSA by aws-lc, Ed25519 by dalek, each over a digest that is made before.

use super::Task;
use anyhow::Result;
use aws_lc_rs::digest::{Digest, SHA512};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY as RSA};
use ed25519_dalek::{Signature as Ed25519, VerifyingKey};
use git_warrant::object::Commit;
use sequoia_openpgp::Fingerprint;
use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::crypto::hash::Hash as _;
use sequoia_openpgp::crypto::mpi::{PublicKey, Signature as Numbers};
use sequoia_openpgp::packet::{Packet, Signature};
use sequoia_openpgp::parse::{PacketParser, PacketParserResult, Parse as _};
use sequoia_openpgp::types::HashAlgorithm;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The keys of a keyring.
#[derive(Default)]
pub(super) struct Keyring(HashMap<Fingerprint, Key>);

#[derive(Clone)]
enum Key {
    Rsa(Arc<ParsedPublicKey>),
    Ed25519(Arc<VerifyingKey>),
}

impl Keyring {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut keys = HashMap::new();
        for cert in CertParser::from_file(path)? {
            for found in cert?.keys() {
                keys.extend(key(found.key().mpis()).map(|key| (found.key().fingerprint(), key)));
            }
        }
        Ok(Self(keys))
    }

    pub(super) fn task(&self, commit: &Commit<'_>) -> Option<Task> {
        let signature = signature(commit.signature.as_deref()?)?;
        let mut context = signature.hash_algo().context().ok()?.for_signature(signature.version());
        commit.payload.parts().iter().for_each(|part| context.update(part));
        signature.hash(&mut context).ok()?;
        let digest = context.into_digest().ok()?;
        let key = signature.issuer_fingerprints().find_map(|name| self.0.get(name))?;
        match (key.clone(), signature.mpis()) {
            (Key::Rsa(key), Numbers::RSA { s }) if signature.hash_algo() == HashAlgorithm::SHA512 => {
                Some(Task::Rsa(key, Digest::import_less_safe(&digest, &SHA512).ok()?, s.value_padded(512).ok()?.into_owned()))
            }
            (Key::Ed25519(key), Numbers::EdDSA { r, s }) => {
                let halves = [r.value_padded(32).ok()?, s.value_padded(32).ok()?].concat();
                Some(Task::Ed25519(key, digest, Ed25519::from_slice(&halves).ok()?))
            }
            _ => None,
        }
    }
}

fn key(numbers: &PublicKey) -> Option<Key> {
    match numbers {
        PublicKey::RSA { e, n } => {
            let der = sequence(&[integer(n.value()), integer(e.value())].concat());
            ParsedPublicKey::new(&RSA, der).ok().map(|key| Key::Rsa(Arc::new(key)))
        }
        PublicKey::EdDSA { q, .. } => {
            let point = q.value().strip_prefix(&[0x40])?.try_into().ok()?;
            VerifyingKey::from_bytes(point).ok().map(|key| Key::Ed25519(Arc::new(key)))
        }
        _ => None,
    }
}

fn signature(armored: &[u8]) -> Option<Signature> {
    match PacketParser::from_bytes(armored).ok()? {
        PacketParserResult::Some(parser) => match parser.next().ok()?.0 {
            Packet::Signature(signature) => Some(signature),
            _ => None,
        },
        PacketParserResult::EOF(_) => None,
    }
}

/// An ASN.1 INTEGER, of a number without leading zeros (X.690 §8.3).
fn integer(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number.first().is_some_and(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
    element(2, &[sign, number].concat())
}

fn sequence(content: &[u8]) -> Vec<u8> {
    element(0x30, content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let head = match length[..] {
        [] => vec![tag, 0],
        [short @ ..=127] => vec![tag, short],
        _ => [&[tag, 0x80 | u8::try_from(length.len()).unwrap_or(0)], &length[..]].concat(),
    };
    [head, content.to_vec()].concat()
}
