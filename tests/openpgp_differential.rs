//! Our checks of OpenPGP signatures beside Sequoia's own `DetachedVerifier`: the signatures of real histories and mutants of
//! them. WARRANT_MUTANTS says how many mutants (3,000 unless told).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

#[path = "support/corpus.rs"]
mod support;

use git_warrant::armor;
use git_warrant::evidence::Evidence;
use git_warrant::object::{self, Commit, HashAlgorithm::Sha1, Payload};
use git_warrant::signature::Verifier as _;
use git_warrant::signature::openpgp::{Certificates, OpenPgpVerifier};
use git_warrant::verdict::Reason;
use sequoia_openpgp::cert::{Cert, CertParser};
use sequoia_openpgp::packet::Tag;
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::parse::stream::{
    DetachedVerifierBuilder, MessageLayer, MessageStructure, VerificationError, VerificationHelper,
};
use sequoia_openpgp::policy::{AsymmetricAlgorithm, StandardPolicy};
use sequoia_openpgp::types::HashAlgorithm;
use sequoia_openpgp::{KeyHandle, Packet, Result};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};
use support::{Item, Random, shared, table};

/// 2026-11-22, the day of the oracles.
const NOW: u64 = 1_795_305_600;
const ITEMS: [&str; 5] = ["pgp-git-bag", "pgp-archlinux-keyring", "sq-demo", "sq-unit-tests", "sq-rpm-sequoia"];

/// Takes every algorithm, as ours does: what is weak is said beside, and what to do about it is not compared here.
fn everything() -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::new();
    for hash in [HashAlgorithm::MD5, HashAlgorithm::SHA1, HashAlgorithm::RipeMD] {
        policy.accept_hash(hash);
    }
    for algorithm in [AsymmetricAlgorithm::RSA1024, AsymmetricAlgorithm::DSA1024, AsymmetricAlgorithm::DSA2048] {
        policy.accept_asymmetric_algo(algorithm);
    }
    policy.accept_packet_tag_version(Tag::Signature, 3);
    policy
}

/// Sequoia's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Theirs {
    Good,
    /// The key was not to be used then: the signature itself is not looked at.
    Key,
    /// A number has zero bits in front: Sequoia does not read such packets, GnuPG does, and GitHub writes them.
    Zeros,
    Refused,
}

struct Helper<'a> {
    keys: &'a HashMap<String, Vec<Cert>>,
    answers: Vec<Theirs>,
}

impl VerificationHelper for Helper<'_> {
    fn get_certs(&mut self, ids: &[KeyHandle]) -> Result<Vec<Cert>> {
        Ok(ids.iter().filter_map(|id| self.keys.get(&id.to_hex())).flatten().cloned().collect())
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> Result<()> {
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else { continue };
            self.answers.extend(results.into_iter().map(|result| match result {
                Ok(_) => Theirs::Good,
                Err(VerificationError::BadKey { .. } | VerificationError::UnboundKey { .. }) => Theirs::Key,
                Err(_) => Theirs::Refused,
            }));
        }
        Ok(())
    }
}

struct Both {
    ours: OpenPgpVerifier,
    keys: HashMap<String, Vec<Cert>>,
    policy: StandardPolicy<'static>,
    counts: BTreeMap<(Theirs, bool), usize>,
}

impl Both {
    fn new(corpus: &std::path::Path) -> Self {
        let (mut certificates, mut keys) = (Certificates::default(), HashMap::<String, Vec<Cert>>::new());
        for file in ["keys/pgp/all-certs.pgp", "keys/web-flow.gpg"] {
            let bytes = std::fs::read(corpus.join(file)).unwrap();
            certificates.add(&bytes).unwrap();
            for cert in CertParser::from_bytes(&bytes).unwrap() {
                let cert = cert.unwrap();
                for key in cert.keys() {
                    for handle in [key.key().fingerprint().to_hex(), key.key().keyid().to_hex()] {
                        keys.entry(handle).or_default().push(cert.clone());
                    }
                }
            }
        }
        Self { ours: OpenPgpVerifier::new(&certificates, NOW.cast_signed()), keys, policy: everything(), counts: BTreeMap::new() }
    }

    fn theirs(&self, blob: &[u8], payload: &[u8]) -> Theirs {
        if let Ok(Packet::Unknown(unknown)) = Packet::from_bytes(blob)
            && unknown.error().to_string().contains("Malformed MPI")
        {
            return Theirs::Zeros;
        }
        let helper = Helper { keys: &self.keys, answers: Vec::new() };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let built = DetachedVerifierBuilder::from_bytes(blob).and_then(|it| it.with_policy(&self.policy, now, helper));
        let Ok(mut verifier) = built else { return Theirs::Refused };
        if verifier.verify_bytes(payload).is_err() {
            return Theirs::Refused;
        }
        match verifier.into_helper().answers[..] {
            [one] => one,
            _ => Theirs::Refused, // none, or several: not one signature
        }
    }

    /// Asks both; a word for where they differ without a reason.
    fn differ(&mut self, armored: &[u8], payload: &[u8]) -> Option<String> {
        let blob = armor::decode_openpgp(armored).map(|(blob, _)| blob).unwrap_or_default();
        let (ours, theirs) = (self.ours.verify(armored, &Payload::whole(payload)), self.theirs(&blob, payload));
        *self.counts.entry((theirs, ours.is_ok())).or_default() += 1;
        let agreed = match (&ours, theirs) {
            (Ok(_), Theirs::Good) | (_, Theirs::Zeros) | (Err(_), Theirs::Refused | Theirs::Key) => true,
            (Ok(evidence), Theirs::Key) => says_of_the_key(evidence),
            (Ok(_), Theirs::Refused) => false,
            (Err(reason), Theirs::Good) => stricter(reason),
        };
        (!agreed).then(|| format!("{:?} / {theirs:?}", ours.map(|it| it.key.fingerprint.clone())))
    }
}

/// Whether the evidence itself says that the key does not stand: it has ended, is revoked, or is bound by weak means only.
fn says_of_the_key(evidence: &Evidence) -> bool {
    let binding = evidence.key.binding.as_ref().unwrap();
    binding.ends.is_some() || binding.revoked.is_some() || binding.weak.is_some()
}

/// What we refuse though the numbers fit.
fn stricter(reason: &Reason) -> bool {
    let Reason::MalformedSignature { what } = reason else { return false };
    ["not one over bytes", "no creation time", "ritical"].iter().any(|word| what.contains(word))
}

#[test]
fn sequoias_own_verifier_says_the_same() {
    let Some(corpus) = shared("corpus", "OpenPGP signatures beside Sequoia's verifier", 2747) else { return };
    let mutants = std::env::var("WARRANT_MUTANTS").map_or(3_000, |n| n.parse().unwrap());
    let mut both = Both::new(&corpus);
    let mut signed = Vec::new();
    for item in ITEMS {
        let objects = Item::unpack(&corpus, item);
        let rows = table(&corpus.join(format!("oracle/{item}.git.tsv.xz")));
        let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        let mut keep = |armored: Option<&[u8]>, payload: &Payload<'_>| {
            let armored = armored.filter(|it| armor::decode_openpgp(it).is_ok());
            signed.extend(armored.map(|armored| (armored.to_vec(), payload.to_vec())));
        };
        for (_, raw) in objects.read(&ids) {
            let commit = Commit::parse(&raw, Sha1);
            keep(commit.signature.as_deref(), &commit.payload);
            for tag in commit.mergetags.iter().map(|raw| object::Tag::parse(raw, Sha1)) {
                keep(tag.signature, &tag.payload);
            }
        }
        let rows = table(&corpus.join(format!("oracle/{item}.sig.tsv.xz")));
        let tags: Vec<&str> = rows.iter().filter(|row| row[1] == "tag" && row[3] == "pgp").map(|row| row[0].as_str()).collect();
        for (_, raw) in objects.read(&tags) {
            let tag = object::Tag::parse(&raw, Sha1);
            keep(tag.signature, &tag.payload);
        }
    }
    let (mut random, mut differences) = (Random(7), Vec::new());
    for (armored, payload) in &signed {
        differences
            .extend(both.differ(armored, payload).map(|word| format!("as it is: {word}\n{}", String::from_utf8_lossy(armored))));
    }
    println!("{} signatures: {:?}", signed.len(), both.counts);
    both.counts.clear();
    for (armored, payload) in signed.iter().cycle().take(mutants) {
        let blob = armor::decode_openpgp(armored).unwrap().0;
        let (blob, payload) = match random.below(5) {
            0 => (blob, random.flipped(payload)),
            1 => {
                let mut cut = blob.clone();
                cut.truncate(random.below(blob.len()));
                (cut, payload.clone())
            }
            2 => {
                let once = random.flipped(&blob);
                (random.flipped(&once), payload.clone())
            }
            _ => (random.flipped(&blob), payload.clone()),
        };
        let mutant = armor::encode_openpgp(&blob);
        differences.extend(both.differ(&mutant, &payload).map(|word| format!("{word}\n{}", String::from_utf8_lossy(&mutant))));
    }
    println!("{mutants} mutants: {:?}", both.counts);
    assert!(differences.is_empty(), "{} differences: {:#?}", differences.len(), &differences[..differences.len().min(5)]);
}
