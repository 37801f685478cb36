//! Row 2 of the threats: nobody without the key may give the same content another id without our noticing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

#[path = "support/corpus.rs"]
mod corpus;

use corpus::{Random, header, lossy, output, programs};
use git_warrant::armor::{decode_ssh, encode_ssh};
use git_warrant::object::{Commit, HashAlgorithm, PayloadId, Tag};
use git_warrant::signature::ssh::wire::{Reader, Writer};
use git_warrant::signature::ssh::{SshSig, SshVerifier};
use git_warrant::signature::verify;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const AUTHOR: &str = "author A <a@x> 1700000000 +0000\n";
const COMMITTER: &str = "committer C <c@x> 1700000001 +0000\n";
const TAGGER: &str = "tagger T <t@x> 1700000002 +0000\n";

/// A commit and the parts that it is made of.
struct Subject {
    algorithm: &'static str,
    /// The header in pieces: tree, parent, author, committer, a header of another tool.
    lines: Vec<String>,
    armored: String,
}

const MESSAGE: &str = "\nsubject\n\nbody\n";

impl Subject {
    /// Signed by the real ssh-keygen; the form that we call canonical, which of an ECDSA signature is one of two.
    fn new(dir: &Path, algorithm: &'static str) -> Self {
        let [tree, parent] = [("tree", "1"), ("parent", "2")].map(|(name, digit)| format!("{name} {}\n", digit.repeat(40)));
        let lines = vec![tree, parent, AUTHOR.to_owned(), COMMITTER.to_owned(), "change-id abc\n".to_owned()];
        let (key, file) = (dir.join(algorithm), dir.join("payload"));
        output(Command::new("ssh-keygen").args(["-q", "-t", algorithm, "-N", "", "-C", "", "-f"]).arg(&key));
        loop {
            std::fs::write(&file, lines.concat() + MESSAGE).unwrap();
            output(Command::new("ssh-keygen").args(["-q", "-Y", "sign", "-n", "git", "-f"]).arg(&key).arg(&file));
            let signature = dir.join("payload.sig");
            let armored = std::fs::read_to_string(&signature).unwrap();
            std::fs::remove_file(signature).unwrap();
            let subject = Self { algorithm, lines: lines.clone(), armored };
            if let Answer::Clean(_) = answer(&subject.raw()) {
                return subject;
            }
        }
    }

    fn raw(&self) -> Vec<u8> {
        self.with_header(&header("gpgsig", &self.armored))
    }

    /// The commit with other bytes in the place of the signature header.
    fn with_header(&self, header: &str) -> Vec<u8> {
        [&self.lines.concat(), header, MESSAGE].concat().into_bytes()
    }

    /// The commit with another armour.
    fn with_armor(&self, armored: &str) -> Vec<u8> {
        self.with_header(&header("gpgsig", armored))
    }

    /// The commit with the signature header before the line `at`.
    fn with_header_at(&self, at: usize) -> Vec<u8> {
        let (before, after) = self.lines.split_at(at);
        [&before.concat(), &header("gpgsig", &self.armored), &after.concat(), MESSAGE].concat().into_bytes()
    }

    fn blob(&self) -> Vec<u8> {
        decode_ssh(self.armored.as_bytes()).unwrap().0
    }

    /// The commit with another signature blob.
    fn with_signature(&self, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let blob = self.blob();
        let frame = SshSig::parse(&blob).unwrap();
        let mut reader = Reader::new(frame.signature);
        let (algorithm, signature) = (reader.string().unwrap(), reader.string().unwrap());
        let signature = Writer::default().string(algorithm).string(&change(signature)).into_bytes();
        self.with_frame(&SshSig { signature: &signature, ..frame })
    }

    fn with_frame(&self, frame: &SshSig<'_>) -> Vec<u8> {
        self.with_armor(std::str::from_utf8(&encode_ssh(&frame.to_bytes())).unwrap())
    }
}

/// What we say of a commit, without a policy.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Refused, with the code.
    Code(&'static str),
    /// Good, with a word that it could be written in another way.
    Noted(PayloadId),
    /// Good without a word.
    Clean(PayloadId),
}

fn answer(raw: &[u8]) -> Answer {
    let commit = Commit::parse(raw, HashAlgorithm::Sha1);
    let (None, Some(armored)) = (&commit.fault, &commit.signature) else {
        return Answer::Code(commit.fault.map_or("unsigned", |fault| fault.code()));
    };
    match verify(&[&SshVerifier::default()], armored, &commit.payload) {
        Err(reason) => Answer::Code(reason.code()),
        Ok(evidence) if commit.loose || !evidence.malleable.is_empty() => Answer::Noted(evidence.payload_id),
        Ok(evidence) => Answer::Clean(evidence.payload_id),
    }
}

fn subjects() -> Option<(TempDir, Vec<Subject>)> {
    if !programs(&["ssh-keygen"]) {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let subjects = ["ed25519", "ecdsa"].map(|algorithm| Subject::new(dir.path(), algorithm));
    Some((dir, subjects.into()))
}

#[test]
fn every_keyless_edit_is_refused_or_noted() {
    let Some((_dir, subjects)) = subjects() else { return };
    for subject in subjects {
        let Answer::Clean(payload_id) = answer(&subject.raw()) else { panic!("the original must be clean") };
        let armored = subject.armored.as_str();
        let signature = header("gpgsig", armored);
        let end = "-----END SSH SIGNATURE-----\n";
        let body: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
        let wrapped = |width: usize| {
            let lines: Vec<&str> = body.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!("-----BEGIN SSH SIGNATURE-----\n{}\n{end}", lines.join("\n"))
        };
        let pgp = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ==\n -----END PGP SIGNATURE-----\n";
        let frame = subject.blob();
        let frame = SshSig::parse(&frame).unwrap();
        let noted = || Answer::Noted(payload_id);
        let code = Answer::Code;
        let mut cases = vec![
            (
                "a gpgsig-foo header",
                code("unknown-signature-header"),
                subject.with_header(&["gpgsig-foo x\n y\n", &signature].concat()),
            ),
            (
                "the same behind",
                code("unknown-signature-header"),
                subject.with_header(&[&signature, "gpgsig-foo x\n y\n"].concat()),
            ),
            (
                "gpgsig without a space",
                code("unknown-signature-header"),
                subject.with_header(&["gpgsigx\n y\n", &signature].concat()),
            ),
            ("a repeated signature", code("duplicate-signature"), subject.with_header(&signature.repeat(2))),
            ("a bogus second one", code("duplicate-signature"), subject.with_header(&[&signature, "gpgsig bogus\n"].concat())),
            ("a bogus first one", code("duplicate-signature"), subject.with_header(&["gpgsig bogus\n", &signature].concat())),
            ("an OpenPGP second one", code("duplicate-signature"), subject.with_header(&[&signature, pgp].concat())),
            ("an empty second one", code("duplicate-signature"), subject.with_header(&[&signature, "gpgsig \n"].concat())),
            ("a second block", code("multiple-signatures"), subject.with_armor(&armored.repeat(2))),
            (
                "an OpenPGP second block",
                code("multiple-signatures"),
                subject.with_armor(&[armored, "-----BEGIN PGP SIGNATURE-----\n"].concat()),
            ),
            ("spaces in the armour", noted(), subject.with_armor(&armored.replacen('\n', " \n", 2).replacen(" \n", "\n", 1))),
            ("spaces behind the end", noted(), subject.with_armor(&armored.replace(end, "-----END SSH SIGNATURE-----  \n"))),
            ("spaces behind the marker", code("malformed-signature"), subject.with_armor(&armored.replacen('\n', " \n", 1))),
            ("an empty line in it", noted(), subject.with_armor(&armored.replacen('\n', "\n\n", 1))),
            ("wrapped at 64", noted(), subject.with_armor(&wrapped(64))),
            ("wrapped at 4", noted(), subject.with_armor(&wrapped(4))),
            ("not wrapped", noted(), subject.with_armor(&wrapped(4096))),
            ("text behind the end", noted(), subject.with_armor(&[armored, "text\n"].concat())),
            ("an empty line behind the end", noted(), subject.with_armor(&[armored, "\n"].concat())),
            ("CR-LF armour", noted(), subject.with_armor(&armored.replace('\n', "\r\n"))),
            ("CR behind the end only", noted(), subject.with_armor(&armored.replace(end, &end.replace('\n', "\r\n")))),
            ("text before the marker", code("unknown-format"), subject.with_armor(&["text\n", armored].concat())),
            ("no end", code("malformed-signature"), subject.with_armor(&armored.replace(end, ""))),
            ("a header for SHA-256", noted(), subject.with_header(&(signature.clone() + &header("gpgsig-sha256", armored)))),
            (
                "the same before",
                noted(),
                subject.with_header(&(header("gpgsig-sha256", "-----BEGIN SSH SIGNATURE-----") + &signature)),
            ),
            (
                "junk for SHA-256",
                code("unknown-signature-header"),
                subject.with_header(&[&signature, "gpgsig-sha256 junk\n"].concat()),
            ),
            (
                "two for SHA-256",
                code("duplicate-signature"),
                subject.with_header(&(signature.clone() + &header("gpgsig-sha256", armored).repeat(2))),
            ),
            ("above the tree", code("malformed-header"), subject.with_header_at(0)),
            ("above the parent", code("malformed-header"), subject.with_header_at(1)),
            ("above the author", code("malformed-header"), subject.with_header_at(2)),
            ("above the committer", code("malformed-header"), subject.with_header_at(3)),
            ("above the other header", noted(), subject.with_header_at(4)),
            ("a new header behind", code("bad-signature"), subject.with_header(&[&signature, "x y\n"].concat())),
            ("reserved filled", code("bad-signature"), subject.with_frame(&SshSig { reserved: b"x", ..frame.clone() })),
            ("the other hash", code("bad-signature"), subject.with_frame(&SshSig { hash: b"sha256", ..frame.clone() })),
            ("bytes behind the frame", code("malformed-signature"), {
                subject.with_armor(std::str::from_utf8(&encode_ssh(&[&subject.blob()[..], b"x"].concat())).unwrap())
            }),
            (
                "bytes behind the blob",
                code("malformed-signature"),
                subject.with_frame(&SshSig { signature: &[frame.signature, b"x"].concat(), ..frame.clone() }),
            ),
            ("bytes behind the numbers", code("malformed-signature"), subject.with_signature(|blob| [blob, b"x"].concat())),
            (
                "bytes behind the key",
                code("malformed-signature"),
                subject.with_frame(&SshSig { public_key: &[frame.public_key, b"x"].concat(), ..frame.clone() }),
            ),
        ];
        if subject.algorithm == "ed25519" {
            cases.push((
                "S + L",
                code("bad-signature"),
                subject.with_signature(|blob| {
                    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
                    [&blob[..32], &add_little_endian(&blob[32..], &order)].concat()
                }),
            ));
        } else {
            let numbers = |blob: &[u8]| {
                let mut reader = Reader::new(blob);
                [reader.mpint().unwrap().0.to_vec(), reader.mpint().unwrap().0.to_vec()]
            };
            cases.push((
                "n - s",
                noted(),
                subject.with_signature(|blob| {
                    let [r, s] = numbers(blob);
                    Writer::default().mpint(&r).mpint(&twin(&s)).into_bytes()
                }),
            ));
            cases.push((
                "a zero before r",
                noted(),
                subject.with_signature(|blob| {
                    let [r, s] = numbers(blob);
                    Writer::default().string(&[&[0, 0], &r[..]].concat()).mpint(&s).into_bytes()
                }),
            ));
            cases.push((
                "a zero before s",
                noted(),
                subject.with_signature(|blob| {
                    let [r, s] = numbers(blob);
                    Writer::default().mpint(&r).string(&[&[0, 0], &s[..]].concat()).into_bytes()
                }),
            ));
        }
        for (what, expected, raw) in &cases {
            assert_ne!(raw, &subject.raw(), "{}, {what}: nothing was edited", subject.algorithm);
            assert_eq!(&answer(raw), expected, "{}, {what}:\n{}", subject.algorithm, String::from_utf8_lossy(raw));
        }
        println!("{}: {} edits", subject.algorithm, cases.len());
    }
}

fn add_little_endian(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let add = |(&a, &b): (&u8, &u8)| {
        let sum = u16::from(a) + u16::from(b) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    };
    a.iter().zip(b).map(add).collect()
}

/// n − s on P-256: n + (2^256 − s) without the last carry.
fn twin(s: &[u8]) -> Vec<u8> {
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let s = [vec![0; 32 - s.len()], s.to_vec()].concat();
    let little = |bytes: &[u8]| -> Vec<u8> { bytes.iter().rev().copied().collect() };
    let inverted: Vec<u8> = s.iter().map(|byte| !byte).collect();
    let mut one = vec![0; 32];
    one[0] = 1;
    let negated = add_little_endian(&little(&inverted), &one);
    little(&add_little_endian(&negated, &little(&order)))
}

/// How many edits each subject gets: WARRANT_MUTANTS shared among the four (two commits, two tags), in the suite 60,000.
fn edits() -> usize {
    std::env::var("WARRANT_MUTANTS").map_or(15_000, |number| number.parse::<usize>().expect("a number").div_ceil(4))
}

/// One or two bytes of an object changed, doubled, put in or left out, most of them in the `length` bytes of the signature.
fn mutant(random: &mut Random, original: &[u8], start: usize, length: usize) -> Vec<u8> {
    let mut raw = original.to_vec();
    for _ in 0..=random.below(2) {
        let at = if random.below(4) > 0 { start + random.below(length) } else { random.below(raw.len()) };
        let at = at.min(raw.len() - 1);
        let byte = *random.one(b" \n\r\t\0=gA/-\x0b\x0c\xffB");
        match random.below(5) {
            0 => raw[at] = byte,
            1 => raw[at] ^= 1 << random.below(8),
            2 => raw.insert(at, byte),
            3 => raw.insert(at, raw[at]),
            _ => drop(raw.remove(at)),
        }
    }
    raw
}

/// Edits by chance, most of them in the signature's header. What is still good has the same payload and, save for the original, a word.
#[test]
fn no_edit_by_chance_is_clean() {
    let edits = edits();
    let Some((_dir, subjects)) = subjects() else { return };
    for subject in subjects {
        let original = subject.raw();
        let payload = Commit::parse(&original, HashAlgorithm::Sha1).payload.to_vec();
        let Answer::Clean(payload_id) = answer(&original) else { panic!("the original must be clean") };
        let start = original.windows(7).position(|window| window == b"gpgsig ").unwrap();
        let length = header("gpgsig", &subject.armored).len();
        let mut random = Random(20_000);
        let (mut refused, mut good) = (0, 0);
        for _ in 0..edits {
            let raw = mutant(&mut random, &original, start, length);
            let shown = || format!("{}:\n{}", subject.algorithm, lossy(&raw));
            match answer(&raw) {
                Answer::Code(_) => refused += 1,
                Answer::Noted(id) => {
                    good += 1;
                    assert_eq!(id, payload_id, "{}", shown());
                    assert_eq!(Commit::parse(&raw, HashAlgorithm::Sha1).payload.to_vec(), payload, "{}", shown());
                }
                Answer::Clean(_) => assert_eq!(raw, original, "{}", shown()),
            }
        }
        println!("{}: {edits} edits by chance, {refused} refused, {good} good with a word", subject.algorithm);
        assert!(refused > edits / 2 && good > edits / 100);
    }
}

/// The same for tags. That a payload changes and the signature is still good is what must not be; the text of a signature that
/// stands at the end of an object may end in any way.
#[test]
fn no_edit_of_a_tag_by_chance_is_clean() {
    let Some((dir, subjects)) = subjects() else { return };
    for subject in subjects {
        let signed = format!("object {}\ntype commit\ntag v1\n{TAGGER}\nrelease\n", "1".repeat(40));
        let file = dir.path().join("tag");
        let clean = loop {
            std::fs::write(&file, &signed).unwrap();
            output(
                Command::new("ssh-keygen")
                    .args(["-q", "-Y", "sign", "-n", "git", "-f"])
                    .arg(dir.path().join(subject.algorithm))
                    .arg(&file),
            );
            let armored = std::fs::read_to_string(dir.path().join("tag.sig")).unwrap();
            std::fs::remove_file(dir.path().join("tag.sig")).unwrap();
            let raw = (signed.clone() + &armored).into_bytes();
            if let Answer::Clean(_) = answer_to_tag(&raw) {
                break raw;
            }
        };
        let mut random = Random(30_000);
        let (mut refused, mut good) = (0, 0);
        for _ in 0..edits() {
            let raw = mutant(&mut random, &clean, signed.len(), clean.len() - signed.len());
            match answer_to_tag(&raw) {
                Answer::Code(_) => refused += 1,
                Answer::Noted(_) => {
                    good += 1;
                    assert_eq!(Tag::parse(&raw, HashAlgorithm::Sha1).payload.to_vec(), signed.as_bytes(), "{}", lossy(&raw));
                }
                Answer::Clean(_) => assert_eq!(raw, clean, "{}", lossy(&raw)),
            }
        }
        println!("tag, {}: {} edits by chance, {refused} refused, {good} good with a word", subject.algorithm, edits());
        assert!(refused > edits() / 2 && good > edits() / 100);
    }
}

fn answer_to_tag(raw: &[u8]) -> Answer {
    let tag = Tag::parse(raw, HashAlgorithm::Sha1);
    match (&tag.fault, tag.signature) {
        (Some(fault), _) => Answer::Code(fault.code()),
        (None, None) => Answer::Code("unsigned"),
        (None, Some(armored)) => match verify(&[&SshVerifier::default()], armored, &tag.payload) {
            Err(reason) => Answer::Code(reason.code()),
            Ok(evidence) if tag.loose || !evidence.malleable.is_empty() => Answer::Noted(evidence.payload_id),
            Ok(evidence) => Answer::Clean(evidence.payload_id),
        },
    }
}

/// The same for tags, whose signature stands at the end.
#[test]
fn keyless_edits_of_tags() {
    let Some((dir, _)) = subjects() else { return };
    let signed = format!("object {}\ntype commit\ntag v1\n{TAGGER}", "1".repeat(40));
    let file = dir.path().join("tag");
    std::fs::write(&file, format!("{signed}\nrelease\n")).unwrap();
    output(Command::new("ssh-keygen").args(["-q", "-Y", "sign", "-n", "git", "-f"]).arg(dir.path().join("ed25519")).arg(&file));
    let armored = std::fs::read_to_string(dir.path().join("tag.sig")).unwrap();
    let answer = |head: &str, armored: &str| {
        let raw = format!("{head}\nrelease\n{armored}");
        answer_to_tag(raw.as_bytes())
    };
    let Answer::Clean(id) = answer(&signed, &armored) else { panic!("the original must be clean") };
    let with = |header: &str| [&signed, header].concat();
    let other = header("gpgsig-sha256", &armored);
    for (what, expected, head, armored) in [
        ("text behind the end", Answer::Noted(id), signed.clone(), [&armored, "text\n"].concat()),
        ("no newline at the end", Answer::Noted(id), signed.clone(), armored.trim_end().to_owned()),
        ("CR-LF armour", Answer::Noted(id), signed.clone(), armored.replace('\n', "\r\n")),
        ("repeated", Answer::Code("bad-signature"), signed.clone(), armored.repeat(2)),
        (
            "an OpenPGP block behind",
            Answer::Code("format-unsupported"),
            signed.clone(),
            [&armored, "-----BEGIN PGP MESSAGE-----\n"].concat(),
        ),
        ("a header for SHA-256", Answer::Noted(id), with(&other), armored.clone()),
        ("two of them", Answer::Code("unknown-signature-header"), with(&other.repeat(2)), armored.clone()),
        ("an own header", Answer::Code("malformed-header"), with(&header("gpgsig", &armored)), armored.clone()),
        ("an own header in one line", Answer::Code("unknown-signature-header"), with("gpgsig x\n"), armored.clone()),
        ("a gpgsig-foo header", Answer::Code("unknown-signature-header"), with("gpgsig-foo x\n"), armored.clone()),
        ("another header", Answer::Code("bad-signature"), with("x y\n"), armored.clone()),
    ] {
        assert_eq!(answer(&head, &armored), expected, "{what}");
    }
}
