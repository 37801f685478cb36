//! Every SSH signature of real histories, as made by other people's tools, against what other tools say of it; and the bad
//! ones derived from it, because agreement on good signatures alone proves little.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

#[path = "support/corpus.rs"]
mod corpus;

use corpus::{Item, Random, programs, shared, table};
use git_warrant::armor::{Format, decode_ssh, encode_ssh};
use git_warrant::evidence::Evidence;
use git_warrant::judge::Judge;
use git_warrant::object::{Commit, Fault, HashAlgorithm, Identity, ObjectId, Payload, Tag};
use git_warrant::policy::allowed_signers::{AllowedSigners, utc_seconds};
use git_warrant::policy::ancestry::Ancestry;
use git_warrant::policy::revocation::RevokedKeys;
use git_warrant::policy::{Context, Demands, Policy};
use git_warrant::signature::ssh::sshsig::signed_data;
use git_warrant::signature::ssh::wire::{Reader, Writer};
use git_warrant::signature::ssh::{MessageHash, PublicKey, SignatureError, SshSig, SshVerifier};
use git_warrant::signature::verify;
use git_warrant::verdict::{Reason, Verdict, Warning};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;

/// The items, and how many SSH signatures each holds.
const ITEMS: [(&str, usize); 13] = [
    ("pgp-archlinux-keyring", 0),
    ("pgp-git-bag", 8),
    ("smime-smimesign", 7),
    ("sq-demo", 0),
    ("sq-rpm-sequoia", 0),
    ("sq-unit-tests", 0),
    ("ssh-gitverify", 44),
    ("ssh-jj-bag", 148),
    ("ssh-openssh", 2058),
    ("ssh-openssh-bag", 395),
    ("ssh-testsigning", 2),
    ("x509-gitsign", 656),
    ("x509-source-integrity-demo", 8),
];
const SIGNATURES: usize = 3326;
/// The day on which the corpus was made, and its oracles asked: 2026-11-22.
const NOW: i64 = 1_795_305_600;

/// Objects of the corpus that are not as honest tools write them: object, code, why. Reviewed by hand.
const FAULTS: [(&str, &str, &str); 1] = [(SEVENTEEN, "duplicate-signature", "one signature of 17 lines, each a `gpgsig` header")];

/// A commit of git.git whose signature headers git joins into one signature.
const SEVENTEEN: &str = "5f549aa2f78314ac37bbd436c8f80aea4c752e07";

/// Where git's answer to a commit is not ours: object, git's letter, our answer, our rule. Reviewed by hand.
const DIFFERENCES: [(&str, &str, &str, &str); 5] = [
    (SEVENTEEN, "U", "duplicate-signature", "one signature header: git joins several, others read the first or the last"),
    ("84f6ca06bbc495dfe5904a8d2882fc464354d599", "B", "accept", CR_LF),
    ("f0c72e52dc79581d66c2ada51dc03dc5bb82cf00", "B", "accept", CR_LF),
    ("736d1d84f86abc44fe82b0012f76d65cb2cffb24", "G", "accept for lorenc.d@gmail.com", TWO_NAMES),
    ("b508dedee1895ca07e920f53a80ebe8866176240", "G", "accept for lorenc.d@gmail.com", TWO_NAMES),
];
const CR_LF: &str = "CR-LF armour is read: what is signed is good; `malleable` says how it is written";
const TWO_NAMES: &str = "of the names on the key's line we say the one that is the committer's, git the first";

/// One SSH signature: the object that carries it (of a mergetag: the tag), and its row in `sig.tsv`.
struct Signed {
    item: &'static str,
    object: String,
    place: String,
    key_type: String,
    fingerprint: String,
    email: String,
    details: String,
    raw: Vec<u8>,
}

/// What `object.rs` makes of the carrier.
struct Split<'a> {
    payload: Payload<'a>,
    signature: Vec<u8>,
    fault: Option<Fault>,
    /// The committer, of a tag the tagger.
    identity: Identity<'a>,
}

impl Signed {
    fn split(&self) -> Split<'_> {
        if self.place == "gpgsig" {
            let commit = Commit::parse(&self.raw, HashAlgorithm::Sha1);
            let (signature, identity) = (commit.signature.unwrap(), commit.committer.unwrap());
            return Split { payload: commit.payload, signature, fault: commit.fault, identity };
        }
        let tag = Tag::parse(&self.raw, HashAlgorithm::Sha1);
        let (signature, identity) = (tag.signature.unwrap().to_vec(), tag.tagger.unwrap());
        Split { payload: tag.payload, signature, fault: tag.fault, identity }
    }

    fn name(&self) -> String {
        format!("{} {} {}", self.item, self.place, self.object)
    }
}

/// All SSH signatures of the corpus, if it is here.
fn signatures() -> Option<&'static [Signed]> {
    folder("SSH signatures of real histories", SIGNATURES)?;
    Some(&CORPUS)
}

static CORPUS: LazyLock<Vec<Signed>> = LazyLock::new(|| {
    let corpus = folder("SSH signatures of real histories", SIGNATURES).unwrap();
    let mut all = Vec::new();
    for (item, expected) in ITEMS {
        let rows = table(&corpus.join(format!("oracle/{item}.sig.tsv.xz")));
        let rows: Vec<_> = rows.iter().filter(|row| row[3] == "ssh").collect();
        assert_eq!(rows.len(), expected, "{item}");
        let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        let objects = Item::unpack(&corpus, item).read(&ids);
        for (row, (kind, mut raw)) in rows.into_iter().zip(objects) {
            let [object, place, index, _, result, key_type, fingerprint, email, details] = &row[..] else { panic!("{row:?}") };
            assert_eq!(result, "GOOD", "{object}");
            assert_eq!(kind == "tag", place == "tag", "{object}");
            if place == "mergetag" {
                let mut tags = Commit::parse(&raw, HashAlgorithm::Sha1).mergetags;
                raw = tags.swap_remove(index.parse().unwrap());
            }
            all.push(Signed {
                item,
                object: object.clone(),
                place: place.clone(),
                key_type: key_type.clone(),
                fingerprint: fingerprint.clone(),
                email: email.clone(),
                details: details.clone(),
                raw,
            });
        }
    }
    assert_eq!(all.len(), SIGNATURES);
    all
});

/// The corpus, if it and what is needed to read it are here.
fn folder(what: &str, cases: usize) -> Option<PathBuf> {
    shared("corpus", what, cases).filter(|_| programs(&["git", "tar", "xz"]))
}

fn check(verifier: &SshVerifier, armored: &[u8], payload: &Payload<'_>) -> Result<Evidence, Reason> {
    verify(&[verifier], armored, payload)
}

#[test]
fn every_signature_is_good() {
    let Some(signatures) = signatures() else { return };
    let verifier = SshVerifier::default();
    let mut malleable = BTreeMap::new();
    for signed in signatures {
        let (split, name) = (signed.split(), signed.name());
        let evidence = check(&verifier, &split.signature, &split.payload).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        assert_eq!(evidence.format, Format::Ssh);
        assert_eq!((&evidence.key.algorithm, &evidence.key.fingerprint), (&signed.key_type, &signed.fingerprint), "{name}");
        let details = evidence.token.map(|token| format!("sk flags={:02x} app={}", token.flags, last_string(&evidence.key.blob)));
        assert_eq!(details.unwrap_or_default(), signed.details, "{name}");
        assert_eq!(String::from_utf8_lossy(split.identity.email), signed.email, "{name}");
        assert_eq!(evidence.payload_id, split.payload.id());
        *malleable.entry(evidence.malleable).or_insert(0) += 1;
    }
    for (ways, count) in malleable {
        println!("{count} good signatures are malleable in {ways:?}");
    }
}

/// All commits of the corpus, and every object with an SSH signature, against the table of the faulty ones.
#[test]
fn faults_of_real_objects_are_reviewed() {
    let Some(corpus) = folder("commits of real histories", 9876) else { return };
    let mut faults = BTreeSet::new();
    let mut commits = 0;
    for (item, _) in ITEMS {
        let rows = table(&corpus.join(format!("oracle/{item}.git.tsv.xz")));
        let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        for (id, (kind, raw)) in ids.iter().zip(Item::unpack(&corpus, item).read(&ids)) {
            assert_eq!(kind, "commit");
            commits += 1;
            if let Some(fault) = Commit::parse(&raw, HashAlgorithm::Sha1).fault {
                faults.insert(((*id).to_owned(), fault.code().to_owned()));
            }
        }
    }
    for signed in CORPUS.iter() {
        if let Some(fault) = signed.split().fault {
            faults.insert((signed.object.clone(), fault.code().to_owned()));
        }
    }
    println!("{commits} commits, {} with a fault", faults.len());
    let reviewed = FAULTS.iter().map(|(object, code, _)| ((*object).to_owned(), (*code).to_owned())).collect();
    assert_eq!(faults, reviewed);
}

/// `%G?` and `%GS` of every commit, by the same allowed_signers. Of OpenPGP only that it is a signature: it waits for its verifier.
#[test]
fn differences_from_git_are_reviewed() {
    let Some(corpus) = folder("git's answers to commits of real histories", 9876 + 3503) else { return };
    let mut differences = BTreeSet::new();
    let mut counts = BTreeMap::new();
    let verifier = SshVerifier::default();
    let settled = Ancestry::nothing();
    let oracle = |item: &str, which: &str| corpus.join(format!("oracle/{item}.{which}.tsv.xz"));
    let mut asked = 0;
    for (item, _) in ITEMS {
        let item_objects = Item::unpack(&corpus, item);
        let allowed = |which: &str| std::fs::read(corpus.join(format!("oracle/allowed/{item}.{which}"))).ok();
        let mut answers = vec![("git", allowed("intree").or_else(|| allowed("embedded")).unwrap_or_default())];
        if oracle(item, "git-embedded").exists() {
            answers.push(("git-embedded", allowed("embedded").unwrap()));
        }
        for (which, text) in answers {
            let policy = policy(&text, b"", Demands::default());
            let judge = Judge { verifiers: &[&verifier], hash: HashAlgorithm::Sha1, policy: &policy, settled: &settled, now: NOW };
            let rows = table(&oracle(item, which));
            let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
            for (row, (_, raw)) in rows.iter().zip(item_objects.read(&ids)) {
                let [object, letter, _, fingerprint, _, principal] = &row[..] else { panic!("{row:?}") };
                let judgement = judge.commit(ObjectId::from_hex(object.as_bytes()).unwrap(), &raw);
                let format = Commit::parse(&raw, HashAlgorithm::Sha1).signature.map(|armored| Format::sniff(&armored));
                let (answer, agreed) = match &judgement.verdict {
                    Verdict::Accept { principal: ours } => {
                        let key = &judgement.evidence.as_ref().unwrap().key.fingerprint;
                        let answer = match letter.as_str() {
                            "B" if !judgement.warnings.contains(&Warning::Malleable) => "accept without a word".to_owned(),
                            "G" if ours.0 != *principal => format!("accept for {}", ours.0),
                            _ => "accept".to_owned(),
                        };
                        let agreed = letter == "G" && (key, &ours.0) == (fingerprint, principal);
                        (answer, agreed)
                    }
                    Verdict::Reject { reason } => (
                        reason.code().to_owned(),
                        match (reason, format) {
                            (Reason::Unsigned, None) => letter == "N",
                            (Reason::KeyUnlisted | Reason::KeyExpired { .. } | Reason::KeyNotYetValid { .. }, _) => letter == "U",
                            (Reason::FormatUnsupported { .. }, Some(Some(Format::OpenPgp))) => letter != "N",
                            (Reason::FormatUnsupported { .. }, Some(Some(Format::X509))) => letter == "N", // it had no program
                            _ => false,
                        },
                    ),
                    other => (code(other).to_owned(), false),
                };
                asked += 1;
                *counts.entry((which, letter.clone(), answer.clone())).or_insert(0) += 1;
                if !agreed {
                    differences.insert([object.clone(), letter.clone(), answer]);
                }
            }
        }
    }
    for ((which, letter, answer), count) in counts {
        println!("{which}: git {letter}, we {answer}: {count}");
    }
    let reviewed =
        DIFFERENCES.iter().map(|(object, letter, ours, _)| [object, letter, ours].map(|word| (*word).to_owned())).collect();
    assert_eq!(differences, reviewed);
    assert_eq!(asked, 9876 + 3503);
}

/// Good signatures that no policy may accept: the key on no line, revoked, ended before it signed, not valid yet.
#[test]
fn no_policy_without_the_key_accepts() {
    let Some(signatures) = signatures() else { return };
    let verifier = SshVerifier::default();
    let all: Vec<_> = signatures
        .iter()
        .map(|signed| (signed, signed.split()))
        .map(|(signed, split)| (signed, check(&verifier, &split.signature, &split.payload).unwrap(), split.identity))
        .collect();
    let lax = Demands::default();
    let mut answers = BTreeMap::new();
    for (item, _) in ITEMS {
        let (own, others): (Vec<_>, Vec<_>) = all.iter().partition(|(signed, ..)| signed.item == item);
        let keys: BTreeSet<String> = own.iter().map(|(_, evidence, _)| evidence.key.to_openssh()).collect();
        let foreign: BTreeSet<String> = others.iter().map(|(_, evidence, _)| evidence.key.to_openssh()).collect();
        let foreign = &foreign - &keys;
        assert!(foreign.len() > 20, "{item}");
        let lines = |keys: &BTreeSet<String>, options: &str| -> String {
            keys.iter().map(|key| format!("somebody@example.com {options} {key}\n")).collect()
        };
        let listed = lines(&keys, "");
        let revoked: String = keys.iter().map(|key| format!("{key}\n")).collect();
        let policies = [
            ("accept", policy(listed.as_bytes(), b"", lax)),
            ("key-unlisted", policy(lines(&foreign, "").as_bytes(), b"", lax)),
            ("key-unlisted", policy(lines(&keys, "cert-authority").as_bytes(), b"", lax)),
            ("key-revoked", policy(listed.as_bytes(), revoked.as_bytes(), lax)),
            ("key-expired", policy(lines(&keys, "valid-before=\"19990101Z\"").as_bytes(), b"", lax)),
            ("key-not-yet-valid", policy(lines(&keys, "valid-after=\"20380101Z\"").as_bytes(), b"", lax)),
            ("namespace-not-allowed", policy(lines(&keys, "namespaces=\"file\"").as_bytes(), b"", lax)),
            ("signer-not-committer", policy(listed.as_bytes(), b"", Demands { bind_committer: true, ..lax })),
        ];
        for (signed, evidence, identity) in own {
            let context = Context {
                object: ObjectId::from_bytes(&[0; 20]).unwrap(),
                email: Some(identity.email),
                nameless: false,
                claimed: Some(identity.seconds),
                now: NOW,
                settled: false,
            };
            let mut answer = |expected: &'static str, policy: &Policy| {
                assert_eq!(code(&policy.decide(evidence, &context).verdict), expected, "{}", signed.name());
                *answers.entry(expected).or_insert(0) += 1;
            };
            for (expected, policy) in &policies {
                answer(expected, policy);
            }
            // to the second: the end belongs to the window
            let until = |seconds: i64, demands| {
                let end = jiff::Timestamp::from_second(seconds).unwrap().strftime("%Y%m%d%H%M%SZ");
                let line = format!("somebody@example.com valid-before=\"{end}\" {}\n", evidence.key.to_openssh());
                policy(line.as_bytes(), b"", demands)
            };
            answer("key-expired", &until(identity.seconds - 1, lax));
            let ended_then = until(identity.seconds, lax);
            assert!(ended_then.decide(evidence, &context).warnings.contains(&Warning::ClaimedOnly), "{}", signed.name());
            answer("claimed-only", &until(identity.seconds, Demands { refuse_claimed_only: true, ..lax }));
        }
    }
    println!("{answers:?}");
    for (expected, times) in [("accept", 1), ("key-unlisted", 2), ("key-revoked", 1), ("key-expired", 2), ("claimed-only", 1)] {
        assert_eq!(answers.get(expected), Some(&(SIGNATURES * times)), "{expected}");
    }
}

fn policy(allowed_signers: &[u8], revoked: &[u8], demands: Demands) -> Policy {
    let signers = AllowedSigners::parse(allowed_signers, &utc_seconds);
    assert_eq!(signers.skipped, []);
    let revoked = if revoked.is_empty() { RevokedKeys::default() } else { RevokedKeys::parse(revoked).unwrap() };
    Policy::new(signers, revoked, demands)
}

fn code(verdict: &Verdict) -> &'static str {
    verdict.code().unwrap_or("accept")
}

/// Of each signature: one bit flipped in the payload, the key, the namespace, the signature blob, the reserved field
/// filled, the hash renamed.
/// No flip leaves the meaning as it was: a token's flags and counter are signed, and the twin of an ECDSA signature differs in half of its bits.
#[test]
fn no_flipped_bit_is_accepted() {
    const FLIPS: usize = 3; // of each kind
    let Some(signatures) = signatures() else { return };
    let verifier = SshVerifier::default();
    let mut random = Random(3326);
    let mut codes = BTreeMap::new();
    for signed in signatures {
        let (split, name) = (signed.split(), signed.name());
        let (frame, _) = decode_ssh(&split.signature).unwrap();
        let frame = SshSig::parse(&frame).unwrap();
        let payload = split.payload.to_vec();
        assert!(check(&verifier, &encode_ssh(&frame.to_bytes()), &Payload::whole(&payload)).is_ok(), "{name}");
        let mut refused = |what, frame: &SshSig<'_>, payload: &[u8]| {
            let reason = check(&verifier, &encode_ssh(&frame.to_bytes()), &Payload::whole(payload)).expect_err(&name);
            *codes.entry((what, reason.code())).or_insert(0) += 1;
        };
        for _ in 0..FLIPS {
            refused("payload", &frame, &random.flipped(&payload));
            refused("key", &SshSig { public_key: &random.flipped(frame.public_key), ..frame.clone() }, &payload);
            refused("signature", &SshSig { signature: &random.flipped(frame.signature), ..frame.clone() }, &payload);
            let namespace = random.flipped(frame.namespace);
            refused("namespace", &SshSig { namespace: &namespace, ..frame.clone() }, &payload);
            // and by the functions below, which take any namespace: it is signed
            let hash = MessageHash::of_name(frame.hash).unwrap();
            let key = PublicKey::parse(frame.public_key).unwrap();
            let data = signed_data(&namespace, frame.reserved, hash, &hash.digest(&[&payload]));
            assert_eq!(key.verify(&data, frame.signature), Err(SignatureError::Incorrect), "{name}");
        }
        refused("reserved", &SshSig { reserved: b"x", ..frame.clone() }, &payload);
        let other = if frame.hash == b"sha512" { b"sha256" } else { b"sha512" };
        refused("hash", &SshSig { hash: other, ..frame.clone() }, &payload);
    }
    for ((what, code), count) in &codes {
        println!("{what}: {count} {code}");
    }
    for (what, code, each) in [
        ("payload", "bad-signature", FLIPS),
        ("namespace", "namespace-mismatch", FLIPS),
        ("reserved", "bad-signature", 1),
        ("hash", "bad-signature", 1),
    ] {
        assert_eq!(codes.get(&(what, code)), Some(&(SIGNATURES * each)), "{what}");
    }
}

/// The twin of each ECDSA signature (n − s) and each RSA signature without its leading zeros: as good, but never without a word.
#[test]
fn keyless_rewrites_are_noticed() {
    let Some(signatures) = signatures() else { return };
    let verifier = SshVerifier::default();
    let (mut ecdsa, mut rsa) = (0, 0);
    for signed in signatures {
        let (split, name) = (signed.split(), signed.name());
        let (frame, _) = decode_ssh(&split.signature).unwrap();
        let frame = SshSig::parse(&frame).unwrap();
        let mut reader = Reader::new(frame.signature);
        let (algorithm, blob) = (reader.text().unwrap(), reader.string().unwrap());
        let rest = reader.rest();
        let rewritten = if algorithm.contains("ecdsa-sha2-nistp256") {
            ecdsa += 1;
            let mut numbers = Reader::new(blob);
            let (r, s) = (numbers.mpint().unwrap().0, numbers.mpint().unwrap().0);
            Writer::default().mpint(r).mpint(&twin_of_p256(s)).into_bytes()
        } else if let ("rsa-sha2-512", Some(short)) = (algorithm, blob.strip_prefix(&[0])) {
            rsa += 1;
            short.to_vec()
        } else {
            continue;
        };
        let signature = Writer::default().string(algorithm.as_bytes()).string(&rewritten).raw(rest).into_bytes();
        let twin = encode_ssh(&SshSig { signature: &signature, ..frame.clone() }.to_bytes());
        let one = check(&verifier, &split.signature, &split.payload).unwrap();
        let two = check(&verifier, &twin, &split.payload).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        assert_eq!((one.payload_id, &one.key), (two.payload_id, &two.key), "{name}");
        assert_ne!(one.malleable, two.malleable, "{name}: both are canonical");
    }
    println!("{ecdsa} ECDSA twins, {rsa} RSA signatures without their leading zeros");
    assert_eq!((ecdsa, rsa), (1761, 7));
}

/// The last string of a blob: of a FIDO key, the application.
fn last_string(blob: &[u8]) -> String {
    let mut reader = Reader::new(blob);
    let mut last = reader.text().unwrap();
    while let Ok(bytes) = reader.string() {
        last = std::str::from_utf8(bytes).unwrap_or_default();
    }
    last.to_owned()
}

/// n − s on P-256, by schoolbook subtraction.
fn twin_of_p256(s: &[u8]) -> Vec<u8> {
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let s = [vec![0; 32 - s.len()], s.to_vec()].concat();
    let mut borrow = false;
    let mut out = vec![0; 32];
    for i in (0..32).rev() {
        let (difference, one) = order[i].overflowing_sub(s[i]);
        let (difference, two) = difference.overflowing_sub(u8::from(borrow));
        out[i] = difference;
        borrow = one || two;
    }
    assert!(!borrow);
    out
}
