//! `git warrant policy import`: what it makes of keyrings, of sequoia-git's policies and of allowed_signers, how that judges, and
//! what it says of the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

mod common;
#[path = "support/gnupg.rs"]
mod gnupg;
#[path = "import/hostile.rs"]
mod hostile;
#[path = "import/lines.rs"]
mod lines;
#[path = "import/panics.rs"]
mod panics;
#[path = "import/sequoia.rs"]
mod sequoia;
#[path = "support/world.rs"]
mod world;

use common::{Done, run};
use git_warrant::policy::file::{Credential, PolicyFile};
use gnupg::Gpg;
use world::{World, done, says};

/// `policy import FILE` in the home.
fn import(world: &World, file: &str) -> Done {
    done(&mut world.home.ours(&["policy", "import", file]))
}

/// Imports, checks what is printed with `policy check`, and gives the policy, and its text.
fn imported(world: &World, file: &str) -> (PolicyFile, String) {
    let ran = import(world, file);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let path = world.home.write("imported.toml", &ran.stdout);
    let checked = done(&mut world.home.ours(&["policy", "check", path.to_str().unwrap()]));
    assert_eq!(checked.status, Some(0), "{checked:?}\n{}", ran.stdout);
    (PolicyFile::parse(ran.stdout.as_bytes()).unwrap(), ran.stdout)
}

/// The names and the fingerprints of the principals.
fn principals(policy: &PolicyFile) -> Vec<(String, Vec<String>)> {
    let keys = |keys: &[git_warrant::policy::file::KeyEntry]| keys.iter().map(|key| key.credential.fingerprint()).collect();
    policy.principals.iter().map(|it| (it.name.clone(), keys(&it.keys))).collect()
}

/// A text file of keys as projects keep it: what gpg says of each key, and its block.
fn keys_file(gpg: &Gpg, names: &[&str]) -> String {
    let mut text = "This file holds the keys of our developers.\n\nUsers: gpg --import KEYS\n\n".to_owned();
    for name in names {
        text += &gpg.gpg(&["--list-sigs", name], b"");
        text += &gpg.gpg(&["--armor", "--export", name], b"").replacen(
            "\n\n",
            "\nVersion: GnuPG v1\nComment: \"\"\" [principals.eve]\n\n",
            1,
        );
        text += "\n";
    }
    text
}

#[test]
fn certificates_in_every_form_are_the_same_policy() {
    let Some(gpg) = Gpg::new() else { return };
    let world = &gpg.0;
    let (one, two) = (gpg.key("one", "ed25519", "sign", "never"), gpg.key("two", "ed25519", "cert", "never"));
    gpg.gpg(&["--quick-add-key", &two, "rsa2048", "sign", "never"], b"");
    gpg.gpg(&["--quick-add-uid", &two, "Two of two <second@example.com>"], b"");
    let foreign = gpg.key("foreign", "ed25519", "sign", "never");
    gpg.gpg(&["--quick-sign-key", &two], b""); // a certification by another, that no policy needs
    let (first, second) = (gpg.commit("first", "one", &one), gpg.commit("second", "two", &two));
    let third = gpg.commit("third", "foreign", &foreign);
    gpg.gpg(&["--yes", "--output", "binary.gpg", "--export", "one@example.com", "two@example.com"], b"");
    let armored = gpg.gpg(&["--armor", "--export", "one@example.com", "two@example.com"], b"");
    world.home.write("armored.asc", &armored);
    let keys = keys_file(&gpg, &["one@example.com", "two@example.com"]);
    world.home.write("KEYS", &keys);
    world.home.write("KEYS.dos", format!("\u{feff}{}", keys.replace('\n', "\r\n")));
    // the same one twice is one
    world.home.write("twice", format!("{armored}{armored}"));
    for ring in ["gnupg-ring:./ring.gpg", "./box.kbx"] {
        gpg.gpg(&["--trust-model=always", "--no-default-keyring", "--keyring", ring, "--import", "binary.gpg"], b"");
    }
    world.home.write("r/KEYS", &keys);
    gpg.commit("with the file", "one", &one);
    let mut files = vec!["binary.gpg", "armored.asc", "KEYS", "KEYS.dos", "twice", "box.kbx", "ring.gpg"];
    files.retain(|file| world.home.join(file).exists() || panic!("{file} is not there"));
    let mut texts = Vec::new();
    for file in files {
        let (policy, text) = imported(world, file);
        let names = [("Two of two <second@example.com>", &two), ("one <one@example.com>", &one)];
        let want: Vec<_> = names.iter().map(|(name, fingerprint)| ((*name).to_owned(), vec![(*fingerprint).clone()])).collect();
        assert_eq!(principals(&policy), want, "{file}");
        assert!(policy.principals.iter().all(|it| it.emails.is_empty()), "{file}");
        let judged = world.judged_by("r", world.home.join("imported.toml").to_str().unwrap(), &[]);
        let words = [&first, &second, &third].map(|id| judged.of_object(id));
        assert_eq!(words, ["accept", "accept", "certificate-unknown"], "{file}");
        texts.push(text.replace(file, "FILE"));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    // through a pipe, and out of a revision
    let mut command = world.home.ours(&["policy", "import", "-"]);
    let piped = run(&mut command, &world.home.read("binary.gpg"));
    assert_eq!(piped.stdout.replace("standard input", "FILE"), texts[0], "{piped:?}");
    let revised = done(&mut world.warrant("r", &["policy", "import", "refs/heads/main:KEYS"]));
    assert_eq!(revised.stdout.replace("refs/heads/main:KEYS", "FILE"), texts[0], "{revised:?}");
    says(
        &done(&mut world.warrant("r", &["policy", "import", "HEAD:KEYS"])),
        2,
        &["HEAD:KEYS", "REV is a full id or begins with refs/"],
    );
    says(&done(&mut world.warrant("r", &["policy", "import", "refs/heads/main:absent"])), 2, &["absent"]);
}

#[test]
fn what_a_certificate_has_become_is_carried() {
    let Some(gpg) = Gpg::new() else { return };
    let (mut cases, mut older) = (Vec::new(), String::new());
    for (name, code) in [("stolen", "1"), ("replaced", "2"), ("unexplained", "0")] {
        let key = gpg.key(name, "ed25519", "sign", "never");
        cases.push((name, gpg.commit(name, name, &key), key.clone()));
        older += &gpg.gpg(&["--armor", "--export", &key], b"");
        gpg.revoke(&key, code);
    }
    let old = gpg.old("old");
    let encrypts = gpg.key("encrypts", "rsa2048", "cert", "never");
    gpg.gpg(&["--quick-add-key", &encrypts, "rsa2048", "encr", "never"], b"");
    gpg.gpg(&["--yes", "--output", "all.gpg", "--export"], b"");
    let ran = import(&gpg.0, "all.gpg");
    says(&ran, 0, &[&encrypts, "has no key that may sign", "4 of the certificates have ended, are revoked or too weak"]);
    for words in
        ["revoked as of ", "revoked as superseded or out of use", "ended at 2020-12-31T00:00:00Z: stands where it is settled"]
    {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    let (policy, text) = imported(&gpg.0, "all.gpg");
    let listed = principals(&policy);
    assert_eq!(listed.len(), 4, "{listed:?}");
    assert!(text.contains(&old) && !text.contains(&format!("openpgp = \"{encrypts}")), "{text}");
    let judged = gpg.0.judged_by("r", gpg.0.home.join("imported.toml").to_str().unwrap(), &[]);
    let words: Vec<_> = cases.iter().map(|(_, id, _)| judged.of_object(id)).collect();
    assert_eq!(words, ["key-revoked", "key-retired", "key-revoked"]);
    // a copy from before the revocation takes nothing back
    let newer = gpg.gpg(&["--armor", "--export", &cases[0].2], b"");
    for (text, want) in
        [(older.clone(), "accept"), (format!("{older}{newer}"), "key-revoked"), (format!("{newer}{older}"), "key-revoked")]
    {
        gpg.0.home.write("copies", text);
        assert_eq!(principals(&imported(&gpg.0, "copies").0).len(), 3);
        let judged = gpg.0.judged_by("r", gpg.0.home.join("imported.toml").to_str().unwrap(), &[]);
        assert_eq!(judged.of_object(&cases[0].1), want);
    }
}

#[test]
fn faults_name_the_file_the_line_and_the_mend() {
    let Some(gpg) = Gpg::new() else { return };
    let world = &gpg.0;
    gpg.key("one", "ed25519", "sign", "never");
    gpg.gpg(&["--yes", "--output", "one.gpg", "--export"], b"");
    let binary = world.home.read("one.gpg");
    let block = gpg.gpg(&["--armor", "--export"], b"");
    let sum = block.lines().find(|line| line.starts_with('=')).unwrap();
    let lines = |n: usize| "text\n".repeat(n);
    gpg.gpg(&["--trust-model=always", "--no-default-keyring", "--keyring", "./box.kbx", "--import", "one.gpg"], b"");
    let boxed = world.home.read("box.kbx");
    let broken = |at: usize, byte: u8| {
        let mut broken = boxed.clone();
        broken[32 + at] = byte;
        broken
    };
    let cases: [(&str, Vec<u8>, &[&str]); 20] = [
        ("empty", Vec::new(), &["empty: neither OpenPGP certificates"]),
        (
            "cut.gpg",
            binary[..binary.len() - 3].to_vec(),
            &["cut.gpg: its packets cannot be read, or are cut off", "export it again"],
        ),
        ("cut.kbx", boxed[..boxed.len() - 3].to_vec(), &["cut.kbx: the keybox is cut off"]),
        ("outside.kbx", broken(8, 0x7f), &["outside.kbx: 1 entries of the keybox point outside of themselves"]),
        ("kind.kbx", broken(4, 9), &["kind.kbx: 1 entries of the keybox", "unknown kind"]),
        ("none.kbx", boxed[..32].to_vec(), &["none.kbx: it holds no OpenPGP certificate", "gpg --armor --export"]),
        (
            "endless",
            [lines(2), block.replace("END", "FIN")].concat().into_bytes(),
            &["endless:3: the block has no end", "export it again"],
        ),
        ("two", [&block.replace("END", "FIN"), &*block].concat().into_bytes(), &["two:1: the block has no end before line"]),
        (
            "sum",
            [&lines(4), &*block.replace(sum, "=AAAA")].concat().into_bytes(),
            &["sum:5: the armour of the block cannot be read", "export"],
        ),
        ("base64", block.replacen("mDM", "m*M", 1).into_bytes(), &["base64:1: the armour"]),
        (
            "signature",
            block.replace("PUBLIC KEY BLOCK", "SIGNATURE").into_bytes(),
            &["signature: it holds no OpenPGP certificate", "is passed over"],
        ),
        ("pubring.db", b"SQLite format 3\0".to_vec(), &["keyboxd", "gpg --export | git warrant policy import -"]),
        ("agent.key", b"Key: (protected-private-key".to_vec(), &["agent.key: a secret key of gpg-agent"]),
        (
            "2.2.key",
            b"Created: 20260101T000000\nKey: (private-key (ecc".to_vec(),
            &["2.2.key: a secret key of gpg-agent", "gpg --export NAME"],
        ),
        (
            "clear",
            format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{}", block.replace("-----BEGIN", "- -----BEGIN"))
                .into_bytes(),
            &["clear: it is signed in the clear", "gpg --decrypt clear | git warrant policy import -"],
        ),
        ("text", b"ssh-ed25519 AAAA\n".to_vec(), &["text: neither OpenPGP", "(line 1: "]),
        ("broken.toml", b"version = 0\n[authorization.a\n".to_vec(), &["broken.toml:2:"]),
        (
            "ours.toml",
            format!("version = 1\n[[principals.a.keys]]\nssh = '{}'\n", world.home.public("alice")).into_bytes(),
            &["a policy in TOML already"],
        ),
        (
            "both",
            format!("Keys\nalice@example.com {}\n{block}", world.home.public("alice")).into_bytes(),
            &["both:2: a line of allowed_signers, beside blocks of OpenPGP"],
        ),
        ("userid", b"\xb4\x01x".to_vec(), &["userid: neither OpenPGP"]),
    ];
    for (name, content, words) in cases {
        world.home.write(name, content);
        let ran = import(world, name);
        says(&ran, 2, words);
        assert_eq!(ran.stdout, "", "{name}");
    }
    says(&import(world, "absent"), 2, &["cannot import absent"]);
    // what stands beside it is passed over, and said
    let (mixed, inline) = (format!("{}{block}", block.replace("PUBLIC KEY BLOCK", "SIGNATURE")), block.replace('\n', "\n  "));
    world.home.write("mixed", mixed);
    says(&import(world, "mixed"), 0, &["warning: mixed:1: what begins here is no block of keys"]);
    world.home.write("bom", format!("\u{feff}{block}"));
    assert_eq!(principals(&imported(world, "bom").0).len(), 1);
    world.home.write("indented", inline);
    assert_eq!(principals(&imported(world, "indented").0).len(), 1);
    // a policy that could not be written is no success
    let mut command = world.home.command("sh");
    let ran = done(command.args(["-c", "\"$0\" policy import one.gpg > /dev/full", common::OURS]));
    says(&ran, 2, &["cannot write the policy"]);
}

/// The certificates of a policy.
fn certificates(policy: &PolicyFile) -> Vec<String> {
    let keys = policy.principals.iter().flat_map(|it| &it.keys);
    let certificate = |credential: &Credential| match credential {
        Credential::OpenPgp { certificate, .. } => certificate.clone().unwrap(),
        Credential::Ssh(_) | Credential::Keyless(_) | Credential::X509(_) => panic!("no OpenPGP certificate"),
    };
    keys.map(|key| certificate(&key.credential)).collect()
}
