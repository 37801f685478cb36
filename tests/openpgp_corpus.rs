//! OpenPGP signatures of real histories: what gpg said of each, and whether what is derived from the good ones is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

#[path = "support/corpus.rs"]
mod support;

use git_warrant::evidence::Evidence;
use git_warrant::object::{Commit, HashAlgorithm, Payload, Tag};
use git_warrant::signature::Verifier as _;
use git_warrant::signature::openpgp::import::Gathered;
use git_warrant::signature::openpgp::{Certificates, OpenPgpVerifier};
use git_warrant::verdict::Reason;
use std::collections::{BTreeMap, BTreeSet};
use support::{Item, Random, shared, table};

/// 2026-11-22, the day of the oracles.
const NOW: i64 = 1_795_305_600;

const ITEMS: [&str; 5] = ["pgp-git-bag", "pgp-archlinux-keyring", "sq-demo", "sq-unit-tests", "sq-rpm-sequoia"];

/// Where we and gpg differ: the object, what gpg says, what we say, and the rule.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    (
        "33fe23aecf8f4a15b3352b8eabca9a1304663d9f",
        RSA_8192,
        "certificate-unknown",
        "RSA keys of more than 4096 bits are not checked",
    ),
    (
        "eac6247ecda35444e981815f1120ee082ae00dcc",
        RSA_8192,
        "certificate-unknown",
        "RSA keys of more than 4096 bits are not checked",
    ),
];
const RSA_8192: &str = "Y E550FFFFD485E264A1717E30901C1C320EB0D45D 5134EF9EAF65F95B6BB1608E50FB9B273A9D0BB5";

fn verifier(corpus: &std::path::Path) -> OpenPgpVerifier {
    let mut certificates = Certificates::default();
    for file in ["keys/pgp/all-certs.pgp", "keys/web-flow.gpg"] {
        certificates.add(&std::fs::read(corpus.join(file)).unwrap()).unwrap();
    }
    println!("{} certificates", certificates.fingerprints().count());
    OpenPgpVerifier::new(&certificates, NOW)
}

fn word(result: &Result<Evidence, Reason>) -> String {
    match result {
        Ok(evidence) => {
            let binding = evidence.key.binding.as_ref().unwrap();
            // of what is both, gpg says that it has ended
            let state = match (binding.ends, binding.revoked) {
                (Some(ends), _) if ends <= NOW => "Y",
                (_, Some(_)) => "R",
                _ => "U",
            };
            format!("{state} {} {}", evidence.key.fingerprint, binding.certificate)
        }
        Err(reason) => reason.code().to_owned(),
    }
}

/// The signature and the payload of each commit, tag and mergetag.
#[test]
fn gpg_says_the_same() {
    let Some(corpus) = shared("corpus", "OpenPGP signatures of real histories", 2747) else { return };
    let verifier = verifier(&corpus);
    let (mut differences, mut counts, mut random) = (BTreeSet::new(), BTreeMap::new(), Random(1));
    let mut derived = 0;
    for item in ITEMS {
        let objects = Item::unpack(&corpus, item);
        let rows = table(&corpus.join(format!("oracle/{item}.git.tsv.xz")));
        let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        for (row, (_, raw)) in rows.iter().zip(objects.read(&ids)) {
            let commit = Commit::parse(&raw, HashAlgorithm::Sha1);
            let Some(armored) = commit.signature.as_deref().filter(|it| it.starts_with(b"-----BEGIN PGP")) else { continue };
            let ours = verifier.verify(armored, &commit.payload);
            let gpg = match row[1].as_str() {
                letter @ ("U" | "Y" | "R" | "G") => format!("{} {} {}", letter.replace('G', "U"), row[3], row[4]),
                "E" => "certificate-unknown".to_owned(),
                "B" => "bad-signature".to_owned(),
                other => other.to_owned(),
            };
            if word(&ours) != gpg {
                differences.insert([row[0].clone(), gpg.clone(), word(&ours)]);
            }
            *counts
                .entry((
                    item,
                    "commit",
                    row[1].clone(),
                    word(&ours).chars().take(24).collect::<String>().split(' ').next().unwrap().to_owned(),
                ))
                .or_insert(0) += 1;
            if ours.is_ok() {
                derived += refuses_what_is_derived(&verifier, armored, &commit.payload, &mut random);
            }
        }
        let rows = table(&corpus.join(format!("oracle/{item}.sig.tsv.xz")));
        let rows: Vec<_> = rows.iter().filter(|row| row[3] == "pgp" && row[1] != "gpgsig").collect();
        let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        for (row, (_, raw)) in rows.iter().zip(objects.read(&ids)) {
            let index: usize = row[2].parse().unwrap();
            let commit;
            let raw = if row[1] == "mergetag" {
                commit = Commit::parse(&raw, HashAlgorithm::Sha1);
                &commit.mergetags[index]
            } else {
                &raw
            };
            let tag = Tag::parse(raw, HashAlgorithm::Sha1);
            let ours = verifier.verify(tag.signature.unwrap(), &tag.payload);
            let agreed = match row[4].as_str() {
                "GOODSIG" | "EXPKEYSIG" | "REVKEYSIG" => ours
                    .as_ref()
                    .is_ok_and(|it| it.key.binding.as_ref().unwrap().certificate == row[6] || it.key.fingerprint == row[6]),
                "ERRSIG" => matches!(ours, Err(Reason::CertificateUnknown { .. })),
                _ => false,
            };
            if !agreed {
                differences.insert([format!("{} {} {index}", row[0], row[1]), row[4..].join(" "), word(&ours)]);
            }
            *counts.entry((item, "tag", row[4].clone(), word(&ours).split(' ').next().unwrap().to_owned())).or_insert(0) += 1;
            if ours.is_ok() {
                derived += refuses_what_is_derived(&verifier, tag.signature.unwrap(), &tag.payload, &mut random);
            }
        }
    }
    for (key, count) in &counts {
        println!("{key:?}: {count}");
    }
    println!("{derived} derived signatures, none accepted");
    let reviewed: BTreeSet<[String; 3]> = DIFFERENCES.iter().map(|(a, b, c, _)| [a, b, c].map(|it| (*it).to_owned())).collect();
    let unreviewed: Vec<_> = differences.difference(&reviewed).collect();
    assert!(unreviewed.is_empty(), "{} differences, such as {:#?}", unreviewed.len(), &unreviewed[..unreviewed.len().min(12)]);
    assert_eq!(differences, reviewed);
}

/// What `policy import` writes of a certificate is all of it that counts.
#[test]
fn imported_certificates_give_the_same_answers() {
    let Some(corpus) = shared("corpus", "OpenPGP signatures by imported certificates", 2747) else { return };
    let verifier = verifier(&corpus);
    let (mut gathered, mut certificates) = (Gathered::default(), Certificates::default());
    for file in ["keys/pgp/all-certs.pgp", "keys/web-flow.gpg"] {
        gathered.add(&std::fs::read(corpus.join(file)).unwrap(), 1).unwrap();
    }
    assert_eq!(gathered.notes(), []);
    let listed = gathered.listed(NOW);
    listed.iter().for_each(|it| certificates.add(it.armored.as_bytes()).unwrap());
    assert_eq!(listed.len(), certificates.fingerprints().count());
    let imported = OpenPgpVerifier::new(&certificates, NOW);
    let mut good = 0;
    for item in ITEMS {
        let objects = Item::unpack(&corpus, item);
        let rows = table(&corpus.join(format!("oracle/{item}.git.tsv.xz")));
        let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        for (id, (_, raw)) in ids.iter().zip(objects.read(&ids)) {
            let commit = Commit::parse(&raw, HashAlgorithm::Sha1);
            let Some(armored) = commit.signature.as_deref().filter(|it| it.starts_with(b"-----BEGIN PGP")) else { continue };
            let (before, after) = (verifier.verify(armored, &commit.payload), imported.verify(armored, &commit.payload));
            good += usize::from(before.is_ok());
            assert_eq!(format!("{before:?}"), format!("{after:?}"), "{id}");
        }
    }
    assert!(good > 1000, "{good}");
}

fn refuses_what_is_derived(verifier: &OpenPgpVerifier, armored: &[u8], payload: &Payload<'_>, random: &mut Random) -> usize {
    let whole = payload.to_vec();
    let flipped = random.flipped(&whole);
    assert!(verifier.verify(armored, &Payload::whole(&flipped)).is_err());
    let longer = [&whole[..], b"\n"].concat();
    assert!(verifier.verify(armored, &Payload::whole(&longer)).is_err());
    let (blob, _) = git_warrant::armor::decode_openpgp(armored).unwrap();
    let mut n = 2;
    for _ in 0..4 {
        let mutant = git_warrant::armor::encode_openpgp(&random.flipped(&blob));
        if let Ok(evidence) = verifier.verify(&mutant, payload) {
            // a bit that nobody signed: it has to be said
            assert!(!evidence.malleable.is_empty(), "{}", String::from_utf8_lossy(&mutant));
        }
        n += 1;
    }
    n
}
