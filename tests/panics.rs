//! No bytes make a parser panic: random ones, and real ones cut, joined and changed. (A panic would end a process with a status
//! that is not 0, so nothing would be accepted; it would still be a fault.)
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test says what went wrong by failing there

use git_warrant::armor::{Format, decode_ssh, encode_ssh};
use git_warrant::object::{Commit, HashAlgorithm, Identity, ObjectId, Payload, Tag, clip};
use git_warrant::personality::Request;
use git_warrant::policy::allowed_signers::{AllowedSigners, parse_time, utc_seconds};
use git_warrant::policy::pattern::PatternList;
use git_warrant::policy::revocation::RevokedKeys;
use git_warrant::report::escape::{name, printable, shell_word};
use git_warrant::signature::ssh::sshsig::signed_data;
use git_warrant::signature::ssh::wire::Writer;
use git_warrant::signature::ssh::{MessageHash, PublicKey, SshSig, SshVerifier, detached};
use git_warrant::signature::verify;
use proptest::prelude::*;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

const KEYS: [&str; 4] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG",
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIElSYahCw60CGct39Eg9EY8OLV9Ppr7tsudvSiMyNHOhAAAABHNzaDo=",
    "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBDV81zWQ1+XVfWH5z4L4klDQ/z/6l2GLphfSTX/Rmq6kL5H8mkfzUlryxLlkN8cD9srtVJBAmwJWfJBNsCo958YAAAAEc3NoOg==",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ",
];

/// What the parsers are made for.
fn seeds() -> Vec<Vec<u8>> {
    let blob = |line: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(line.split(' ').nth(1).unwrap()).unwrap_or_default()
    };
    let signature = Writer::default().string(b"ssh-ed25519").string(&[7; 64]).into_bytes();
    let token = Writer::default().string(b"sk-ssh-ed25519@openssh.com").string(&[7; 64]).byte(1).u32(9).into_bytes();
    let key = blob(KEYS[0]);
    let frame = SshSig { public_key: &key, namespace: b"git", reserved: b"", hash: b"sha512", signature: &signature }.to_bytes();
    let armored = String::from_utf8(encode_ssh(&frame)).unwrap();
    let header = armored.trim_end().replace('\n', "\n ");
    let id = "1".repeat(40);
    let who = "A <a@x> 1700000000 +0000";
    let commit = format!("tree {id}\nparent {id}\nauthor {who}\ncommitter {who}\nencoding x\ngpgsig {header}\n\nmessage\n");
    let tag = format!("object {id}\ntype commit\ntag v1\ntagger {who}\n\nmessage\n{armored}");
    let signers = format!(
        "a@x,!b@x namespaces=\"git\",valid-after=\"20240101Z\",valid-before=\"20250101\" {}\n* cert-authority {}\n",
        KEYS[0], KEYS[1]
    );
    let mut seeds: Vec<Vec<u8>> = [commit, tag, armored, signers, KEYS.join("\n"), who.to_owned()].map(String::into_bytes).to_vec();
    seeds.extend([frame, signature, token]);
    seeds.extend(KEYS.map(blob));
    seeds
}

/// A seed with a part cut out, copied or overwritten, a few times over.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8, prop::collection::vec(any::<u8>(), 0..9));
    (prop::sample::select(seeds()), prop::collection::vec(edit, 0..4)).prop_map(|(mut bytes, edits)| {
        for (from, to, what, new) in edits {
            let [a, b] = [from.index(bytes.len() + 1), to.index(bytes.len() + 1)];
            let range = a.min(b)..a.max(b);
            match what {
                0 => drop(bytes.drain(range)),
                1 => drop(bytes.splice(range.start..range.start, new)),
                2 => {
                    let copy = bytes[range.clone()].to_vec();
                    drop(bytes.splice(range.end..range.end, copy));
                }
                _ => {
                    let end = (range.start + new.len()).min(bytes.len());
                    drop(bytes.splice(range.start..end, new));
                }
            }
        }
        bytes
    })
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => changed(), 1 => prop::collection::vec(any::<u8>(), 0..400)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn objects(bytes in any_bytes()) {
        let ssh = SshVerifier::default();
        for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha256] {
            let commit = Commit::parse(&bytes, hash);
            let signed = commit.signature.map_or(0, |signature| {
                let _ = verify(&[&ssh], &signature, &commit.payload);
                signature.len()
            });
            prop_assert!(commit.payload.to_vec().len() + signed <= bytes.len() + 1);
            let tag = Tag::parse(&bytes, hash);
            prop_assert!(tag.payload.to_vec().len() <= bytes.len());
        }
        let _ = (Identity::parse(&bytes), ObjectId::from_hex(&bytes), Format::sniff(&bytes), clip(&bytes));
    }

    #[test]
    fn signatures_and_keys(bytes in any_bytes(), message in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = decode_ssh(&bytes);
        let _ = SshSig::parse(&bytes);
        let _ = verify(&[&SshVerifier::default()], &bytes, &Payload::whole(&message));
        let _ = (detached::verify(&bytes, "git", &message), detached::named_key(&bytes));
        if let Ok(key) = PublicKey::parse(&bytes) {
            let _ = key.info().to_openssh();
        }
        for key in seeds().iter().filter_map(|seed| PublicKey::parse(seed).ok()) {
            prop_assert!(key.verify(&message, &bytes).is_err(), "nobody signed this");
        }
    }

    #[test]
    fn policies(bytes in any_bytes(), email in "[a-z@.*!,]{0,20}") {
        let signers = AllowedSigners::parse(&bytes, &utc_seconds);
        for line in &signers.lines {
            let _ = (line.principals.matching_item(email.as_bytes()), line.covers_namespace(b"git"), line.holds_at(0));
        }
        let _ = RevokedKeys::parse(&bytes);
        let _ = parse_time(&bytes, &utc_seconds);
        let _ = PatternList::new(&bytes).matches(email.as_bytes());
    }

    #[test]
    fn arguments(words in prop::collection::vec(prop_oneof![
        "-Y|sign|verify|find-principals|check-novalidate|-n|git|-f|-s|-I|-r|-O|-Overify-time=20240101|-Ov|-U|-q|--|-bsau|--verify|-|",
        "-[A-Za-z]{0,3}.{0,5}",
    ], 0..9), raw in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut argv: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        argv.push(OsString::from_vec(raw));
        let _ = Request::of_argv(argv);
    }

    #[test]
    fn text(text in any::<String>()) {
        prop_assert!(!printable(&text).chars().any(char::is_control));
        prop_assert!(!name(&text).chars().any(char::is_control));
        prop_assert!(shell_word(&text).len() >= text.len());
        let data = signed_data(text.as_bytes(), b"", MessageHash::Sha256, &[0; 32]);
        prop_assert!(data.starts_with(b"SSHSIG"));
    }
}
