//! KRLs: `-r` beside ssh-keygen's, and the parser beside `ssh-keygen -Q`.

use crate::certificates::certify;
use crate::common::{Home, run};
use crate::verifying::{MESSAGE, same, signature, verify};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use git_warrant::policy::public_key::read_key;
use git_warrant::policy::revocation::RevokedKeys;
use git_warrant::signature::ssh::wire::{Reader, Writer};

/// Keys and certificates `NAME-cert.pub` of two authorities.
const CERTIFICATES: [(&str, &str, &str, &str); 8] = [
    ("c1", "ca", "alice", "1"),
    ("c2", "ca", "alice laptop", "2"),
    ("c5", "ca", "bob", "5"),
    ("c900", "ca", "bob", "900"),
    ("cbig", "ca", "carol", "18446744073709551615"),
    ("c0", "ca", "dave", "0"),
    ("d1", "ca2", "alice", "1"),
    ("d900", "ca2", "eve", "900"),
];
const KEYS: [&str; 6] = ["k", "other", "rsa", "p256", "ca", "ca2"];

fn home() -> Home {
    let home = Home::new();
    for name in ["k", "other", "ca", "ca2"] {
        home.key(name, &["ed25519"], "");
    }
    home.key("rsa", &["rsa", "-b", "2048"], "");
    home.key("p256", &["ecdsa"], "");
    for (index, (name, authority, id, serial)) in CERTIFICATES.into_iter().enumerate() {
        let key = KEYS[index % 4];
        certify(&home, authority, key, name, &["-n", "alice@example.com", "-z", serial, "-I", id]);
    }
    home
}

/// A KRL from a specification (ssh-keygen(1), KEY REVOCATION LISTS).
fn make(home: &Home, options: &[&str], files: &[(&str, String)]) -> Vec<u8> {
    let mut command = home.command("ssh-keygen");
    command.args(["-q", "-k", "-f", "krl"]).args(options);
    for (name, text) in files {
        home.write(name, text);
        command.arg(name);
    }
    let done = run(&mut command, b"");
    assert!(done.ok(), "{options:?} {files:?} {done:?}");
    home.read("krl")
}

/// Every list that the tests ask: what made it, and its bytes.
fn lists(home: &Home) -> Vec<(String, Vec<u8>)> {
    let file = |name: &str| String::from_utf8(home.read(format!("{name}.pub"))).unwrap();
    let fingerprint = |name: &str| {
        let done = run(home.command("ssh-keygen").args(["-l", "-f", &format!("{name}.pub")]), b"");
        done.stdout.split(' ').nth(1).unwrap().to_owned()
    };
    let of_ca = ["-s", "ca.pub"];
    let of_anyone = ["-s", "none"];
    let mut specifications: Vec<(&[&str], String)> = vec![
        (&[], file("k")),
        (&[], file("c1-cert")),
        (&[], file("ca")),
        (&[], format!("key: {}sha1: {}sha256: {}", file("rsa"), file("p256"), file("other"))),
        (&[], format!("sha1: {}", file("k"))),
        (&[], format!("sha256: {}", file("ca2"))),
        (&[], format!("hash: {}\n", fingerprint("k"))),
    ];
    for options in [&of_ca[..], &of_anyone] {
        for text in [
            "serial: 1\n",
            "serial: 2-900\n",
            "serial: 1-18446744073709551615\n",
            "serial: 18446744073709551615\n",
            "serial: 0x384\n",
            "serial: 1\nserial: 3\nserial: 5\nserial: 7\nserial: 9\nserial: 30\nserial: 41\n", // a bitmap
            "serial: 899\nserial: 901\nserial: 903\nserial: 904\nserial: 907\nserial: 950\n",
            "serial: 5\nserial: 100000\nserial: 100000000000\nserial: 900\n", // a list
            "id: alice\n",
            "id: bob\nid: nobody\nserial: 1\n",
        ] {
            specifications.push((options, text.to_owned()));
        }
    }
    let mut lists: Vec<(String, Vec<u8>)> = specifications
        .into_iter()
        .map(|(options, text)| (format!("{options:?} {text}"), make(home, options, &[("specification", text)])))
        .collect();
    // added to: several sections, and two authorities
    make(home, &["-s", "ca.pub"], &[("one", "serial: 1\n".into())]);
    make(home, &["-u", "-s", "ca2.pub"], &[("two", "serial: 900\nid: alice\n".into())]);
    lists.push(("updated".into(), make(home, &["-u", "-z", "7"], &[("three", file("p256"))])));
    lists
}

#[test]
fn every_list_says_what_ssh_keygen_says_of_it() {
    let home = home();
    let names: Vec<String> =
        CERTIFICATES.iter().map(|(name, ..)| format!("{name}-cert.pub")).chain(KEYS.map(|name| format!("{name}.pub"))).collect();
    let keys: Vec<_> = names.iter().map(|name| read_key(&home.read(name)).unwrap()).collect();
    let (mut revoked, mut free) = (0, 0);
    for (what, bytes) in lists(&home) {
        home.write("asked", &bytes);
        let list = RevokedKeys::parse(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        for (name, key) in names.iter().zip(&keys) {
            let theirs = run(home.command("ssh-keygen").args(["-Q", "-f", "asked", name]), b"");
            let theirs = match theirs.status {
                Some(0) => false,
                Some(1 | 255) if theirs.stdout.contains("REVOKED") => true,
                _ => panic!("{what} {name}: {theirs:?}"),
            };
            assert_eq!(list.find(key).is_some(), theirs, "{what}: {name}");
            *(if theirs { &mut revoked } else { &mut free }) += 1;
        }
    }
    assert!(revoked > 60 && free > 100, "{revoked} {free}");
}

/// Where the header ends, and each section.
fn section_ends(bytes: &[u8]) -> Vec<usize> {
    let mut reader = Reader::new(&bytes[8..]);
    reader.take(4 + 3 * 8).unwrap();
    let _ = (reader.string().unwrap(), reader.string().unwrap());
    let mut ends = vec![bytes.len() - reader.rest().len()];
    while !reader.rest().is_empty() {
        let _ = (reader.byte().unwrap(), reader.string().unwrap());
        ends.push(bytes.len() - reader.rest().len());
    }
    ends
}

#[test]
fn no_part_of_a_list_is_a_list_and_no_bent_one_panics() {
    let home = home();
    let key = read_key(&home.read("c5-cert.pub")).unwrap();
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for (what, bytes) in lists(&home) {
        let ends = section_ends(&bytes);
        for cut in 0..bytes.len() {
            // the format says nowhere how many sections there are: what ends where one does is a list to OpenSSH as well
            let is_list = ends.iter().skip(1).any(|&end| end == cut);
            assert_eq!(RevokedKeys::parse(&bytes[..cut]).is_ok(), is_list, "{what} {cut}");
        }
        for _ in 0..4000 {
            let mut bent = bytes.clone();
            for _ in 0..=next(3) {
                let at = next(bent.len());
                bent[at] = u8::try_from(next(256)).unwrap();
            }
            if let Ok(list) = RevokedKeys::parse(&bent) {
                let _ = list.find(&key);
            }
        }
    }
}

#[test]
fn a_krl_serves_as_revocation_file() {
    let home = home();
    home.write("message", MESSAGE);
    let (ca, k) = (home.public("ca"), home.public("k"));
    home.write("signers", format!("alice@example.com cert-authority {ca}\nalice@example.com {k}\n"));
    for (key, name) in [("k", "k"), ("c1-cert.pub", "c1"), ("c900-cert.pub", "c900")] {
        signature(&home, key, "git", name);
    }
    let mut expected = Vec::new();
    for (options, text) in [
        (&[][..], k.clone() + "\n"),
        (&["-s", "ca.pub"], "serial: 900\n".to_owned()),
        (&["-s", "ca.pub"], "id: alice\n".to_owned()),
        (&["-s", "ca2.pub"], "serial: 1\n".to_owned()),
        (&[], ca + "\n"),
    ] {
        make(&home, options, &[("specification", text)]);
        for name in ["k", "c1", "c900"] {
            let file = format!("{name}.sig");
            expected.push(same(&home, &verify("signers", "alice@example.com", &file, &["-r", "krl"]), MESSAGE).unwrap());
        }
    }
    // c1 is of key k, c900 of p256
    assert_eq!(expected, [255, 255, 0, 0, 0, 255, 0, 255, 0, 0, 0, 0, 0, 255, 255]);
    // a KRL of nothing, where we are stricter; and one that is cut
    make(&home, &[], &[("specification", "\n".into())]);
    let list_of_nothing = run(&mut home.ours(&verify("signers", "alice@example.com", "k.sig", &["-r", "krl"])), MESSAGE);
    assert_eq!((list_of_nothing.status, list_of_nothing.stdout.as_str()), (Some(255), "Could not verify signature.\n"));
    assert!(list_of_nothing.stderr.contains("the KRL revokes nothing"), "{list_of_nothing:?}");
    let whole = make(&home, &[], &[("specification", home.public("other") + "\n")]);
    home.write("krl", &whole[..whole.len() - 1]);
    assert_eq!(same(&home, &verify("signers", "alice@example.com", "k.sig", &["-r", "krl"]), MESSAGE), Some(255));
}

/// A list with a signature by the key of a file, as PROTOCOL.krl has it: over everything before the signature.
fn signed(home: &Home, list: &[u8], name: &str) -> Vec<u8> {
    let public = key_blob(&home.public(name));
    let list = Writer::default().raw(list).byte(4).string(&public).into_bytes();
    let pem = String::from_utf8(home.read(name)).unwrap();
    let private = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
    let at = private.windows(32).rposition(|window| window == &public[19..]).unwrap();
    let key = SigningKey::from_bytes(private[at - 32..at].try_into().unwrap());
    let signature = Writer::default().string(b"ssh-ed25519").string(&key.sign(&list).to_bytes()).into_bytes();
    Writer::default().raw(&list).string(&signature).into_bytes()
}

#[test]
fn a_signature_inside_is_checked() {
    let home = home();
    let list = make(&home, &[], &[("specification", home.public("other") + "\n")]);
    let good = signed(&home, &list, "ca");
    let mut bent = good.clone();
    *bent.last_mut().unwrap() ^= 1;
    let mut tampered = good.clone();
    tampered[20] ^= 1; // the date
    let after = [good.clone(), list[section_ends(&list)[0]..].to_vec()].concat();
    for (what, bytes) in [
        ("good", &good),
        ("bent", &bent),
        ("tampered", &tampered),
        ("cut", &good[..good.len() - 1].to_vec()),
        ("twice by one", &signed(&home, &good, "ca")),
        ("by two", &signed(&home, &good, "k")),
        ("by two, one of them revoked", &signed(&home, &good, "other")),
        ("something after", &after),
        ("by a key that it revokes", &signed(&home, &list, "other")),
    ] {
        home.write("signed", bytes);
        let theirs = run(home.command("ssh-keygen").args(["-Q", "-f", "signed", "k.pub"]), b"");
        let ours = RevokedKeys::parse(bytes).map(|_| ());
        assert_eq!(ours.is_ok(), theirs.ok(), "{what}: {ours:?} {theirs:?}");
        assert_eq!(ours.is_ok(), what == "good" || what.starts_with("by two"), "{what}: {ours:?}");
    }
}

fn key_blob(line: &str) -> Vec<u8> {
    STANDARD.decode(line.split(' ').nth(1).unwrap()).unwrap()
}
