//! Vectors that others made, through *our* functions: an SSH key blob, a message, an SSH signature blob.
//!
//! What is left out is counted by its reason, and the numbers are asserted: a vector that silently stops to run fails here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

#[path = "support/corpus.rs"]
mod corpus;

use corpus::shared;
use git_warrant::armor::decode_ssh;
use git_warrant::signature::ssh::sshsig::signed_data;
use git_warrant::signature::ssh::wire::Writer;
use git_warrant::signature::ssh::{KeyError, MessageHash, PublicKey, SignatureError, SshSig};
use serde_json::Value;
use std::path::Path;

/// `design/git-interface.md` §6: cofactorless, R compared as its canonical bytes, A not canonical or of small order allowed.
/// The flag `reencoded_k` has no say: such a signature either fails by its residue or happens to be good.
fn cctv_rule(flags: &[&str]) -> bool {
    !flags.contains(&"low_order_residue") && !flags.contains(&"non_canonical_R")
}

#[test]
fn cctv_ed25519() {
    let Some(vectors) = shared("vectors/cctv/ed25519vectors.json", "CCTV Ed25519", 914) else { return };
    let vectors = json(&vectors);
    let vectors = vectors.as_array().unwrap();
    let mut accepted = 0;
    for vector in vectors {
        let flags: Vec<&str> = vector["flags"].as_array().into_iter().flatten().map(|flag| flag.as_str().unwrap()).collect();
        let key = PublicKey::parse(&blob("ssh-ed25519", &[&bytes(&vector["key"])])).unwrap();
        let message = vector["msg"].as_str().unwrap().as_bytes();
        let answer = key.verify(message, &blob("ssh-ed25519", &[&bytes(&vector["sig"])]));
        assert_eq!(answer.is_ok(), cctv_rule(&flags), "vector {}, {flags:?}: {answer:?}", vector["number"]);
        accepted += usize::from(answer.is_ok());
    }
    assert_eq!((vectors.len(), accepted), (914, 208));
}

/// The files, the names that SSH has for what they are about (none where it has no such pair of curve and hash), and how many
/// vectors end in each [`Outcome`], in its order.
const WYCHEPROOF: [(&str, Option<&str>, [usize; 5]); 10] = [
    ("ecdsa_secp256r1_sha256", Some("ecdsa-sha2-nistp256"), [174, 115, 0, 195, 0]),
    ("ecdsa_secp256r1_sha512", None, [0, 0, 0, 0, 554]),
    ("ecdsa_secp384r1_sha384", Some("ecdsa-sha2-nistp384"), [194, 115, 0, 195, 0]),
    ("ecdsa_secp384r1_sha512", None, [0, 0, 0, 0, 542]),
    ("ecdsa_secp521r1_sha512", Some("ecdsa-sha2-nistp521"), [232, 116, 0, 194, 0]),
    ("ed25519", Some("ssh-ed25519"), [88, 63, 0, 0, 0]),
    ("rsa_signature_2048_sha256", Some("rsa-sha2-256"), [9, 249, 1, 0, 0]),
    ("rsa_signature_2048_sha512", Some("rsa-sha2-512"), [8, 250, 1, 0, 0]),
    ("rsa_signature_3072_sha512", Some("rsa-sha2-512"), [8, 251, 1, 0, 0]),
    ("rsa_signature_4096_sha512", Some("rsa-sha2-512"), [7, 251, 1, 0, 0]),
];

/// What became of a vector. Only the first three were run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The vector is valid, and so we say.
    Accepted,
    /// It is invalid, and so we say.
    Refused,
    /// It is `acceptable` (a DigestInfo without NULL), and we refuse it, as OpenSSH does.
    AcceptableRefused,
    /// It is invalid because its signature is not DER: there are no numbers that could be put into an SSH blob.
    NotDer,
    /// SSH has no algorithm for this curve with this hash.
    NoSshAlgorithm,
}

#[test]
fn wycheproof() {
    use Outcome::{AcceptableRefused, Accepted, NoSshAlgorithm, NotDer, Refused};
    let Some(folder) = shared("vectors/wycheproof", "Wycheproof signatures", 3814) else { return };
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, WYCHEPROOF.len(), "a file that no row here runs");
    for (name, algorithm, expected) in WYCHEPROOF {
        let file = json(&folder.join(format!("{name}_test.json")));
        let mut outcomes = Vec::new();
        for group in file["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                outcomes.push(match algorithm {
                    Some(algorithm) => run(name, algorithm, &group["publicKey"], test),
                    None => NoSshAlgorithm,
                });
            }
        }
        assert_eq!(file["numberOfTests"], outcomes.len(), "{name}");
        let counts = [Accepted, Refused, AcceptableRefused, NotDer, NoSshAlgorithm].map(|outcome| {
            let count = outcomes.iter().filter(|&&is| is == outcome).count();
            if count > 0 {
                println!("{name}: {count} {outcome:?}");
            }
            count
        });
        assert_eq!(counts, expected, "{name}");
    }
    assert_eq!(WYCHEPROOF.iter().flat_map(|row| row.2).sum::<usize>(), 3814);
}

fn run(file: &str, algorithm: &str, key: &Value, test: &Value) -> Outcome {
    let (message, signature) = (bytes(&test["msg"]), bytes(&test["sig"]));
    let what = format!("{file} tcId {}: {}", test["tcId"], test["comment"]);
    let result = test["result"].as_str().unwrap();
    let curve = algorithm.strip_prefix("ecdsa-sha2-");
    let number = |name: &str| Writer::default().mpint(&bytes(&key[name])).into_bytes();
    let (key_blob, signature_blob) = match (curve, algorithm) {
        (Some(curve), _) => {
            let Some((r, s)) = der_signature(&signature) else {
                assert_eq!(result, "invalid", "{what}");
                return Outcome::NotDer;
            };
            let key_blob = blob(algorithm, &[curve.as_bytes(), &bytes(&key["uncompressed"])]);
            (key_blob, blob(algorithm, &[&Writer::default().string(&r).string(&s).into_bytes()]))
        }
        (None, "ssh-ed25519") => (blob(algorithm, &[&bytes(&key["pk"])]), blob(algorithm, &[&signature])),
        (None, _) => {
            let name = Writer::default().string(b"ssh-rsa").into_bytes();
            ([name, number("publicExponent"), number("modulus")].concat(), blob(algorithm, &[&signature]))
        }
    };
    let key = PublicKey::parse(&key_blob).unwrap_or_else(|error| panic!("{what}: {error}"));
    let answer = key.verify(&message, &signature_blob);
    match (result, &answer) {
        ("valid", Ok(checked)) => {
            assert!(!checked.loose_encoding, "{what}");
            Outcome::Accepted
        }
        ("invalid", Err(_)) => Outcome::Refused,
        ("acceptable", Err(SignatureError::Incorrect)) => {
            assert_eq!(test["flags"], serde_json::json!(["MissingNull"]), "{what}");
            Outcome::AcceptableRefused
        }
        _ => panic!("{what} is {result}, we say {answer:?}"),
    }
}

/// The contents of the two INTEGERs of an `ECDSA-Sig-Value` in strict DER (X.690 §8.3, §10.1), as `mpint`s have them: the same
/// two's complement, save that zero has no bytes. `None` for anything else, such as BER's other ways to say the same.
fn der_signature(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
        let rest = der.strip_prefix(&[tag])?;
        let (&length, rest) = rest.split_first()?;
        match length {
            0..=0x7f => rest.split_at_checked(length.into()),
            0x81 => {
                let (&length, rest) = rest.split_first()?;
                rest.split_at_checked(length.into()).filter(|_| length >= 0x80)
            }
            _ => None,
        }
    }
    fn integer(der: &[u8]) -> Option<(Vec<u8>, &[u8])> {
        let (content, rest) = element(0x02, der)?;
        match content {
            [] => None,
            [0] => Some((vec![], rest)),
            [0, second, ..] if second & 0x80 == 0 => None,
            [0xff, second, ..] if second & 0x80 != 0 => None,
            content => Some((content.to_vec(), rest)),
        }
    }
    let (sequence, after) = element(0x30, der)?;
    let (r, rest) = integer(sequence)?;
    let (s, rest) = integer(rest)?;
    (after.is_empty() && rest.is_empty()).then_some((r, s))
}

#[test]
fn der_is_strict() {
    let good = [0x30, 6, 2, 1, 1, 2, 1, 0x7f];
    assert_eq!(der_signature(&good), Some((vec![1], vec![0x7f])));
    assert_eq!(der_signature(&[0x30, 6, 2, 1, 0, 2, 1, 0xff]), Some((vec![], vec![0xff])));
    for bad in [
        &[0x30, 6, 2, 1, 1, 2, 1, 0x7f, 0][..],   // something follows
        &[0x30, 7, 2, 1, 1, 2, 1, 0x7f, 0],       // the same, inside
        &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 0x7f],    // a long length
        &[0x30, 0x80, 2, 1, 1, 2, 1, 0x7f, 0, 0], // an indefinite length
        &[0x30, 7, 2, 2, 0, 1, 2, 1, 0x7f],       // a zero too many
        &[0x30, 7, 2, 2, 0xff, 0x80, 2, 1, 0x7f], // a one too many
        &[0x30, 5, 2, 0, 2, 1, 0x7f],             // no byte
        &[0x31, 6, 2, 1, 1, 2, 1, 0x7f],          // a set
        &[0x30, 3, 2, 1, 1],                      // no s
    ] {
        assert_eq!(der_signature(bad), None, "{bad:x?}");
    }
}

/// OpenSSH's own SSHSIG vectors (`regress/unittests/sshsig/testdata`), all over one text.
#[test]
fn openssh_sshsig() {
    const NAMES: [(&str, Option<u8>); 6] = [
        ("ecdsa", None),
        ("ecdsa_sk", Some(0x01)),
        ("ecdsa_sk_webauthn", Some(0x01)),
        ("ed25519", None),
        ("ed25519_sk", Some(0x01)),
        ("rsa", None),
    ];
    let Some(folder) = shared("corpus/openssh-sshsig-testdata", "OpenSSH's SSHSIG vectors", NAMES.len() + 1) else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (message, namespace) = (read("signed-data"), read("namespace"));
    for (name, flags) in NAMES {
        let (armored, public) = (read(&format!("{name}.sig")), read_public(&folder, name));
        let (frame, _) = decode_ssh(&armored).unwrap();
        let frame = SshSig::parse(&frame).unwrap();
        assert_eq!((frame.public_key, frame.namespace), (&public[..], &namespace[..]), "{name}");
        let hash = MessageHash::of_name(frame.hash).unwrap();
        let key = PublicKey::parse(frame.public_key).unwrap();
        let verify = |namespace: &[u8], message: &[u8]| {
            key.verify(&signed_data(namespace, frame.reserved, hash, &hash.digest(&[message])), frame.signature)
        };
        let checked = verify(&namespace, &message).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(checked.token.map(|token| token.flags), flags, "{name}");
        assert!(verify(b"git", &message).is_err(), "{name}: another namespace");
        assert!(verify(&namespace, b"another message").is_err(), "{name}: another message");
    }
    let post_quantum = PublicKey::parse(&read_public(&folder, "mldsa44-ed25519")).unwrap_err();
    assert_eq!(post_quantum, KeyError::Unsupported("ssh-mldsa44-ed25519@openssh.com".to_owned()));
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, 2 * (NAMES.len() + 1) + 2, "a vector that no row here runs");
}

fn read_public(folder: &Path, name: &str) -> Vec<u8> {
    use base64::Engine as _;
    let text = std::fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap();
    base64::engine::general_purpose::STANDARD.decode(text.split(' ').nth(1).unwrap().trim_end()).unwrap()
}

/// An SSH blob: the algorithm's name, then strings.
fn blob(algorithm: &str, strings: &[&[u8]]) -> Vec<u8> {
    let named = Writer::default().string(algorithm.as_bytes());
    strings.iter().fold(named, |writer, string| writer.string(string)).into_bytes()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}
