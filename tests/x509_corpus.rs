//! CMS signatures of real histories: what independent tools said of each, and whether what is derived from the good ones is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

#[path = "support/sigstore.rs"]
mod sigstore;
#[path = "support/corpus.rs"]
mod support;

use git_warrant::evidence::{Evidence, Malleable, Subject};
use git_warrant::judge::Judge;
use git_warrant::object::{Commit, HashAlgorithm, ObjectId, Payload, Tag};
use git_warrant::policy::ancestry::Ancestry;
use git_warrant::policy::file::PolicyFile;
use git_warrant::policy::revocation::RevokedKeys;
use git_warrant::policy::{Demands, Parts, Policy};
use git_warrant::signature::Verifier;
use git_warrant::signature::x509::{Authority, Bundled, Content, Root, X509Verifier, to_bundle, verify_bundle};
use git_warrant::verdict::Reason;
use sigstore::{Signature, content, elements};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use support::{Item, Random, shared, table};

const ITEMS: [&str; 4] = ["x509-gitsign", "x509-source-integrity-demo", "smime-smimesign", "ssh-openssh-bag"];

/// 2026-11-22, the day of the oracles.
const NOW: i64 = 1_795_305_600;

fn verifier() -> X509Verifier {
    X509Verifier::new(Root::EMBEDDED.iter().map(|name| Root::embedded(name, name).unwrap()).collect())
}

/// Where we and the oracle differ, by kind: what it says, what we say, how many, and why. The places of time and issuer do not stand in it.
const DIFFERENCES: &[(&str, &str, usize, &str)] = &[
    (
        "GOOD attrs-not-DER-order cms=ok signing_time leafissuer valid",
        "certificate-untrusted",
        6,
        "S/MIME: the signature is good (else it were bad-signature), but no root of its authorities is trusted here",
    ),
    ("GOOD cms=ok signing_time leafissuer valid", "certificate-untrusted", 1, "S/MIME, as above"),
    (
        "GOOD cms=ok signing_time issuer fulcio=ok sct=bad tlog=none",
        "certificate-untrusted",
        18,
        "of 2021 and 2022: Fulcio gave out timestamps of the certificate log apart from the certificate, which gitsign did not keep",
    ),
    (
        "GOOD cms=ok signing_time issuer fulcio=ok sct=ok tlog=attrs",
        "GOOD cms=ok signing_time issuer fulcio=ok sct=ok tlog=ok index it",
        1,
        "sigstore-python does not read the attributes of January 2023; we do, and the entry is good",
    ),
];

struct Signed {
    id: String,
    armored: Vec<u8>,
    payload: Vec<u8>,
    row: Vec<String>,
}

/// Every CMS signature of an item, with its row of the oracle.
fn signatures(corpus: &Path, item: &str) -> Vec<Signed> {
    let rows = table(&corpus.join(format!("oracle/{item}.sig.tsv.xz")));
    let rows: Vec<Vec<String>> = rows.into_iter().filter(|row| row[3] == "x509").collect();
    let objects = Item::unpack(corpus, item);
    let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let read = objects.read(&ids);
    let signed = |(row, (_, raw)): (&Vec<String>, (String, Vec<u8>))| {
        let (armored, payload) = match row[1].as_str() {
            "tag" => {
                let tag = Tag::parse(&raw, HashAlgorithm::Sha1);
                (tag.signature.unwrap().to_vec(), tag.payload.to_vec())
            }
            _ => {
                let commit = Commit::parse(&raw, HashAlgorithm::Sha1);
                (commit.signature.as_deref().unwrap().to_vec(), commit.payload.to_vec())
            }
        };
        Signed { id: row[0].clone(), armored, payload, row: row.clone() }
    };
    rows.iter().zip(read).map(signed).collect()
}

/// What the oracle has to say of a signature of which this is our evidence.
fn word(result: &Result<Evidence, Reason>) -> String {
    match result {
        Ok(evidence) => {
            let keyless = evidence.keyless.as_ref().unwrap();
            let log = match &keyless.entry {
                None => "tlog=none".to_owned(),
                Some(entry) => format!("tlog=ok index={} it={}", entry.index, entry.time.unwrap()),
            };
            let time = git_warrant::verdict::Utc(evidence.made.unwrap()).to_string().replace(['-', ':'], "");
            format!("GOOD cms=ok signing_time={time} issuer={} fulcio=ok sct=ok {log}", keyless.issuer)
        }
        Err(reason) => reason.code().to_owned(),
    }
}

/// The oracle's words, as far as we have them too.
fn said(row: &[String]) -> String {
    if row[4] == "BAD" {
        return "bad-signature".to_owned();
    }
    let words = row[8].split(' ').filter(|word| !["kind=", "proof=", "cp=", "set="].iter().any(|it| word.starts_with(it)));
    format!("{} {}", row[4], words.collect::<Vec<_>>().join(" "))
}

/// The kind of a difference, without what differs from one signature to the next.
fn kind(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.split_once('=') {
        Some((name @ ("signing_time" | "issuer" | "leafissuer" | "valid" | "index" | "it"), _)) => name,
        _ => word.split([':', ',']).next().unwrap(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn independent_tools_say_the_same() {
    let Some(corpus) = shared("corpus", "CMS signatures of real histories", 358) else { return };
    let verifier = verifier();
    let (mut differences, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for item in ITEMS {
        for signed in signatures(&corpus, item) {
            let ours = verifier.verify(&signed.armored, &Payload::whole(&signed.payload));
            let (ours_said, theirs) = (word(&ours), said(&signed.row));
            *counts.entry((item, kind(&theirs), kind(&ours_said))).or_insert(0) += 1;
            if ours_said != theirs {
                let detail = ours.as_ref().map_or_else(ToString::to_string, |_| ours_said.clone());
                differences.entry((kind(&theirs), kind(&ours_said))).or_insert_with(Vec::new).push((signed.id, theirs, detail));
            }
            if let Ok(evidence) = &ours
                && let Some(keyless) = &evidence.keyless
            {
                let Subject::Email(_) = &keyless.subject else { panic!("{keyless:?}") };
            }
        }
    }
    for (key, count) in &counts {
        println!("{key:?}: {count}");
    }
    let found: BTreeSet<_> = differences.iter().map(|((theirs, ours), all)| (theirs.as_str(), ours.as_str(), all.len())).collect();
    let reviewed: BTreeSet<_> = DIFFERENCES.iter().map(|(theirs, ours, count, _)| (*theirs, *ours, *count)).collect();
    let unreviewed: Vec<_> = differences
        .iter()
        .filter(|((theirs, ours), all)| !reviewed.contains(&(theirs.as_str(), ours.as_str(), all.len())))
        .map(|(kind, all)| (kind, all.len(), &all[0]))
        .collect();
    assert!(unreviewed.is_empty(), "{unreviewed:#?}");
    assert_eq!(found, reviewed, "a difference that is reviewed does not occur");
}

/// Each good signature with a part of the next one in its place, with each extension of its certificate changed, over another
/// payload: none is accepted.
#[test]
fn what_is_derived_from_the_good_ones_is_refused() {
    let Some(corpus) = shared("corpus", "signatures derived from 340 keyless ones", 340) else { return };
    let verifier = verifier();
    let says = |signature: &Signature, payload: &[u8]| verifier.verify(&signature.armored(), &Payload::whole(payload));
    let mut random = Random(1);
    let (mut good, mut logged, mut other_forms, mut derived, mut without_time) = (0, 0, 0, 0, 0);
    for item in ["x509-gitsign", "x509-source-integrity-demo"] {
        let all = signatures(&corpus, item);
        let all: Vec<&Signed> =
            all.iter().filter(|it| verifier.verify(&it.armored, &Payload::whole(&it.payload)).is_ok()).collect();
        for (at, signed) in all.iter().enumerate() {
            let der = git_warrant::armor::decode_cms(&signed.armored).unwrap().0;
            let own = Signature::parse(&der);
            if own.cms() != der {
                println!("{} is of another form", signed.id);
                other_forms += 1; // the attributes of 2023; algorithms and keys that gitsign does not use today
                continue;
            }
            good += 1;
            logged += usize::from(own.entry.is_some());
            let next = &all[(at + 1) % all.len()];
            let other = Signature::parse(&git_warrant::armor::decode_cms(&next.armored).unwrap().0);
            let mut bad = own.swapped(&other);
            let tbs = elements(content(elements(content(&own.certificate))[0]));
            let list = elements(content(tbs.last().unwrap()))[0];
            let from = own.certificate.windows(list.len()).position(|window| window == list).unwrap();
            let mut end = from + list.len() - content(list).len();
            for extension in elements(content(list)) {
                end += extension.len();
                let mut certificate = own.certificate.clone();
                certificate[end - 1] ^= 1; // the last byte of its value
                bad.push(("extension".to_owned(), Signature { certificate, ..own.clone() }));
            }
            for (what, signature) in bad {
                for payload in [&signed.payload, &next.payload] {
                    let result = says(&signature, payload);
                    derived += 1;
                    let Ok(evidence) = result else { continue };
                    // all that is left when the entry goes: a good signature of which nothing proves the time
                    let same = (&signature.attributes, &signature.signature) == (&own.attributes, &own.signature)
                        || (&signature.attributes, &signature.signature) == (&other.attributes, &other.signature);
                    assert!(same && evidence.keyless.unwrap().attested().is_none(), "{}: {what}", signed.id);
                    without_time += 1;
                }
            }
            for payload in [random.flipped(&signed.payload), [&signed.payload[..], b"\n"].concat()] {
                assert!(says(&own, &payload).is_err(), "{}", signed.id);
                derived += 1;
            }
            for _ in 0..4 {
                let flipped = git_warrant::armor::encode_cms(&random.flipped(&der));
                if let Ok(evidence) = verifier.verify(&flipped, &Payload::whole(&signed.payload)) {
                    assert!(!evidence.malleable.is_empty() || own.entry.is_some(), "{}", signed.id);
                }
            }
        }
    }
    println!(
        "{good} good signatures, {logged} of them logged; {derived} derived, {without_time} of them proved nothing of the time"
    );
    assert_eq!((good, logged, other_forms), (325, 21, 5));
}

#[test]
fn as_bundles_they_prove_the_same() {
    let Some(corpus) = shared("corpus", "keyless signatures as bundles", 22) else { return };
    let (verifier, root) = (verifier(), Root::embedded("public-good", "public-good").unwrap());
    let (mut n, mut ways) = (0, BTreeMap::new());
    for signed in signatures(&corpus, "x509-gitsign") {
        let Ok(evidence) = verifier.verify(&signed.armored, &Payload::whole(&signed.payload)) else { continue };
        let keyless = evidence.keyless.unwrap();
        if keyless.entry.is_none() {
            continue;
        }
        *ways.entry(evidence.malleable).or_insert(0) += 1;
        let Bundled { json: bundle, signed: artifact, .. } = to_bundle(&signed.armored, &Payload::whole(&signed.payload)).unwrap();
        assert_eq!(verify_bundle(&root, bundle.as_bytes(), Content::Bytes(&artifact)).unwrap(), ((*keyless).clone(), None));
        assert!(verify_bundle(&root, bundle.as_bytes(), Content::Bytes(b"other")).is_err());
        n += 1;
    }
    assert_eq!(n, 22);
    println!("what a log signed is written {ways:?}");
    assert_eq!(ways.keys().filter(|ways| ways.contains(&Malleable::Encoding)).count(), 0);
}

/// A policy whose authority has the roots of Debian, and all S/MIME signers.
fn smime_judge(corpus: &Path) -> (X509Verifier, Policy) {
    let roots = std::fs::read(corpus.join("keys/smime-roots.debian-ca-certificates.pem")).unwrap();
    let authority = Authority::of_system("debian", &roots);
    let text = "version = 1\n[principals.klatt]\nkeys = [{ x509 = \"mateusz@klatt.ie\", ca = \"debian\" }]\n[principals.siemens]\nkeys = [{ x509 = \"r.meier@siemens.com\", ca = \"debian\" }]\n[principals.square]\nkeys = [{ x509 = \"yoav@squareup.com\", ca = \"debian\" }]\n[authorities.debian]\nx509 = \"roots.pem\"\n";
    let file = PolicyFile::parse(text.as_bytes()).unwrap();
    let principals = file.principals.into_iter().map(|it| (it, vec![Ancestry::nothing()])).collect();
    let x509s = file.x509s.into_iter().map(|it| (it, Ancestry::nothing())).collect();
    let parts = Parts { principals, x509s, ..Parts::default() };
    let policy = Policy::from_parts(parts, RevokedKeys::default(), Demands::default());
    (X509Verifier::new(Vec::new()).with_authorities(vec![authority]), policy)
}

/// Every S/MIME commit by Debian's roots, as openssl and gpgsm found it: at the time of the commit, and on the day of the oracle.
#[test]
fn openssl_and_gpgsm_say_the_same_of_mail_certificates() {
    let Some(corpus) = shared("corpus", "S/MIME signatures", 7) else { return };
    let (verifier, policy) = smime_judge(&corpus);
    let oracle = std::fs::read_to_string(corpus.join("oracle/smime.tsv")).unwrap();
    let objects = Item::unpack(&corpus, "smime-smimesign");
    let (mut words, mut own) = (BTreeMap::new(), 0);
    for line in oracle.lines().filter(|line| !line.starts_with('#')) {
        let [item, id, cms, then, now, gpgsm, signer] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert_eq!(item, "smime-smimesign");
        let (_, raw) = objects.read(&[id]).remove(0);
        let word = |settled: bool, day: i64| {
            let oid: ObjectId = id.parse().unwrap();
            let objects = if settled { HashSet::from([oid]) } else { HashSet::new() };
            let settled = Ancestry { objects, complete: true };
            let verifiers: [&dyn Verifier; 1] = [&verifier];
            let judge = Judge { verifiers: &verifiers, hash: HashAlgorithm::Sha1, policy: &policy, settled: &settled, now: day };
            judge.commit(oid, &raw).verdict.code().unwrap_or("accept")
        };
        let claimed = Commit::parse(&raw, HashAlgorithm::Sha1).committer.unwrap().seconds;
        let ours = [word(false, claimed), word(false, NOW), word(true, NOW)];
        let letter = gpgsm.split(' ').next().unwrap();
        let signature = Commit::parse(&raw, HashAlgorithm::Sha1).signature.unwrap().to_vec();
        if letter != "N" {
            // the same fingerprint, and the same name
            let found = git_warrant::signature::x509::smime::signer(&signature).unwrap().unwrap();
            let name = gpgsm.splitn(4, ' ').nth(3).unwrap().trim();
            assert!(gpgsm.contains(&found.fingerprint) && found.holder.as_gpgsm() == name, "{found:?} {gpgsm}");
        }
        let theirs = (letter, then.starts_with("ok"), now.starts_with("ok"));
        let want = match (theirs, cms.starts_with("ok")) {
            (("B", ..), _) => ["bad-signature"; 3],
            // openssl wants the attributes sorted, and the signature is over them as they were sent
            (("N", false, false), false) => ["certificate-untrusted"; 3],
            (("U", false, false), true) => ["certificate-untrusted"; 3],
            (("Y", true, false), true) => ["accept", "claimed-only", "accept"],
            other => panic!("{id}: {other:?}"),
        };
        assert_eq!(ours, want, "{id} {signer} {line}");
        own += usize::from(ours[0] == "accept");
        *words.entry(ours).or_insert(0) += 1;
    }
    println!("{words:?}");
    assert_eq!(own, 2);
}

/// Each S/MIME signature that is good in bad forms: none is accepted.
#[test]
fn what_is_derived_from_good_mail_signatures_is_refused() {
    let Some(corpus) = shared("corpus", "signatures derived from S/MIME ones", 2) else { return };
    let (verifier, _) = smime_judge(&corpus);
    let mut random = Random(2);
    let (mut good, mut derived) = (0, 0);
    let all = signatures(&corpus, "smime-smimesign");
    let der_of = |signed: &Signed| git_warrant::armor::decode_cms(&signed.armored).unwrap().0;
    let certificates_of = |der: &[u8]| -> Vec<Vec<u8>> {
        let data = content(elements(content(der))[1]);
        let set = elements(content(elements(data)[0]))[3];
        elements(content(set)).into_iter().map(<[u8]>::to_vec).collect()
    };
    for signed in &all {
        let says = |der: &[u8], payload: &[u8]| verifier.verify(&git_warrant::armor::encode_cms(der), &Payload::whole(payload));
        let der = der_of(signed);
        if says(&der, &signed.payload).is_err() {
            continue;
        }
        good += 1;
        let own = certificates_of(&der);
        let rebuilt = |certificates: &[Vec<u8>]| {
            let mut out = der.clone();
            let set = certificates_of(&der).concat();
            let at = out.windows(set.len()).position(|window| window == set).unwrap();
            // the lengths around it are fixed, so what replaces it has to be as long; else everything is written anew
            let _ = out.splice(at..at + set.len(), certificates.concat());
            (certificates.concat().len() == set.len()).then_some(out)
        };
        assert_eq!(rebuilt(&own).unwrap(), der);
        let mut bad: Vec<(String, Vec<u8>)> = Vec::new();
        // one bit in every certificate, at many places
        for (index, certificate) in own.iter().enumerate() {
            for _ in 0..40 {
                let mut changed = own.clone();
                changed[index] = random.flipped(certificate);
                bad.push((format!("a bit of certificate {index}"), rebuilt(&changed).unwrap()));
            }
        }
        let mut turned = own.clone();
        turned.reverse();
        assert!(says(&rebuilt(&turned).unwrap(), &signed.payload).is_ok(), "the order says nothing");
        // one left out, written twice in its place
        for index in 0..own.len() {
            let mut changed = own.clone();
            let other = &own[(index + 1) % own.len()];
            changed[index] = other.clone();
            let padded = changed.concat().len();
            if padded == own.concat().len() {
                bad.push((format!("certificate {index} left out"), rebuilt(&changed).unwrap()));
            }
        }
        for _ in 0..200 {
            bad.push(("a bit".to_owned(), random.flipped(&der)));
        }
        for payload in [random.flipped(&signed.payload), [&signed.payload[..], b"\n"].concat(), all[0].payload.clone()] {
            if payload != signed.payload {
                assert!(says(&der, &payload).is_err(), "{}", signed.id);
                derived += 1;
            }
        }
        let honest = says(&der, &signed.payload).unwrap().smime.unwrap();
        for (what, der) in bad {
            derived += 1;
            assert!(says(&der, &[&signed.payload[..], b"\n"].concat()).is_err(), "{}: {what}", signed.id);
            let Ok(evidence) = says(&der, &signed.payload) else { continue };
            // a certificate that the chain does not need, or a part that nobody signs: whom it names is the same
            assert!(!evidence.malleable.is_empty(), "{}: {what}", signed.id);
            assert_eq!(evidence.smime.unwrap().addresses, honest.addresses, "{}: {what}", signed.id);
        }
    }
    println!("{good} good S/MIME signatures, {derived} derived");
    assert_eq!(good, 2);
}

/// Conformance cases that we answer otherwise, and why.
const OTHERWISE: &[(&str, &str)] = &[];

/// The 70 bundles of sigstore-conformance.
#[test]
fn sigstore_conformance() {
    let Some(vectors) = shared("vectors/sigstore-conformance", "Sigstore conformance bundles", 70) else { return };
    let public_good =
        std::fs::read(shared("corpus", "trusted roots", 1).unwrap().join("keys/sigstore/trusted_root.public-good.json"));
    let public_good = public_good.unwrap();
    let mut wrong = Vec::new();
    let mut n = 0;
    let mut folders: Vec<_> = std::fs::read_dir(vectors.join("bundle-verify")).unwrap().map(|it| it.unwrap().path()).collect();
    folders.sort();
    for folder in folders.into_iter().filter(|it| it.is_dir()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let read = |file: &str| std::fs::read(folder.join(file)).ok();
        let text = |file: &str, default: &str| {
            read(file).map_or(default.to_owned(), |it| String::from_utf8(it).unwrap().trim().to_owned())
        };
        let identity = text(
            "identity",
            "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main",
        );
        let issuer = text("issuer", "https://token.actions.githubusercontent.com");
        let artifact = read("artifact").unwrap_or_else(|| std::fs::read(vectors.join("a.txt")).unwrap());
        let bundle = read("bundle.sigstore.json").unwrap();
        let root = Root::parse(&read("trusted_root.json").unwrap_or_else(|| public_good.clone()), "conformance");
        let answer = match (root, read("key.pub")) {
            (Err(error), _) => Err(error.to_string()),
            (Ok(root), Some(key)) => {
                let key = String::from_utf8(key).unwrap();
                git_warrant::signature::x509::verify_bundle_by_key(&root, &bundle, Content::Bytes(&artifact), &key)
                    .map(|_| ())
                    .map_err(|it| it.to_string())
            }
            (Ok(root), None) => match verify_bundle(&root, &bundle, Content::Bytes(&artifact)) {
                Ok((keyless, _)) if keyless.subject.name() == identity && keyless.issuer == issuer => Ok(()),
                Ok((keyless, _)) => Err(format!("{} by {}", keyless.subject.name(), keyless.issuer)),
                Err(reason) => Err(reason.to_string()),
            },
        };
        println!("{name}: {answer:?}");
        if answer.is_ok() == name.ends_with("_fail") {
            wrong.push((name, answer));
        }
        n += 1;
    }
    let names: Vec<&str> = wrong.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, OTHERWISE.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{wrong:#?}");
    assert_eq!(n, 70);
}
