//! OpenPGP signatures that the real gpg made, in histories that a policy in TOML judges.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "support/gnupg.rs"]
mod gnupg;
#[path = "support/world.rs"]
mod world;

use gnupg::Gpg;
use std::fmt::Write as _;
use world::{done, says};

fn listed(name: &str, fingerprint: &str, more: &str) -> String {
    format!("[principals.{name}]\nemails = [\"{name}@example.com\"]\nkeys = [{{ openpgp = \"{fingerprint}\"{more} }}]\n")
}

#[test]
fn signatures_of_every_algorithm_and_of_ssh_in_one_walk() {
    let Some(gpg) = Gpg::new() else { return };
    let mut text = String::new();
    for (name, algorithm) in [("ed", "ed25519"), ("rsa", "rsa3072"), ("nist", "nistp256"), ("nist5", "nistp521")] {
        let fingerprint = gpg.key(name, algorithm, "sign", "never");
        gpg.export(&fingerprint);
        gpg.commit(name, name, &fingerprint);
        text += &listed(name, &fingerprint, "");
    }
    gpg.0.home.git(
        "r",
        &[
            "-c",
            "user.name=ed",
            "-c",
            "user.email=ed@example.com",
            "-c",
            "user.signingKey=ed@example.com",
            "tag",
            "-s",
            "-m",
            "m",
            "v1",
        ],
    );
    gpg.0.config("gpg.format", "ssh");
    gpg.0.commit("r", "by ssh", &["-S"]);
    let _ = write!(text, "[[principals.alice.keys]]\nssh = \"{}\"\n", gpg.0.home.public("alice"));
    gpg.policy(&text);
    let judged = gpg.judged(&["HEAD", "v1"]);
    assert_eq!((judged.status, judged.count("accepted")), (Some(0), 6), "{}", judged.stdout);
    assert_eq!(judged.summary["signers"]["ed"], 2);
    let path = gpg.0.home.join("policy.toml").to_str().unwrap().to_owned();
    let shown = done(&mut gpg.0.warrant("r", &["show", "--policy", &path, "HEAD~1"]));
    for words in ["signature   good", "\"nist5 <nist5@example.com>\"", "message hash sha", "accept"] {
        assert!(shown.stdout.contains(words), "{shown:?}");
    }
    // without a certificate there is nothing to check by: by allowed_signers and by a policy that lacks it
    let judged = gpg.0.judged_by("r", &gpg.0.policy(), &["HEAD~1"]);
    assert!(judged.words().iter().all(|word| word == "certificate-unknown"), "{}", judged.stdout);
    says(&done(&mut gpg.0.warrant("r", &["policy", "check", &path])), 0, &[]);
    // what cannot be checked is said when the policy is read, not only when it is met
    let pool = gpg.key("pool", "brainpoolP256r1", "sign", "never");
    gpg.export(&pool);
    gpg.policy(&(listed("pool", &pool, "") + &text));
    says(&gpg.0.verify_by("r", &path, &[]), 0, &["warning", &pool, "has no key that may sign, or none that can be checked"]);
    std::fs::remove_dir_all(gpg.0.home.join("certs")).unwrap();
    says(&gpg.0.verify_by("r", &path, &[]), 2, &["certs/", "cannot read"]);
}

#[test]
fn a_certificate_is_that_of_its_fingerprint() {
    let Some(gpg) = Gpg::new() else { return };
    let (one, two) = (gpg.key("one", "ed25519", "sign", "never"), gpg.key("two", "ed25519", "sign", "never"));
    let signed = gpg.commit("signed", "one", &one);
    let export = |names: &[&str]| gpg.gpg(&[&["--armor", "--export"], names].concat(), b"");
    let refused = |certificate: &str, words: &[&str]| {
        gpg.policy(&format!("[[principals.one.keys]]\nopenpgp = \"{one}\"\ncert = \"\"\"\n{certificate}\"\"\"\n"));
        let path = gpg.0.home.join("policy.toml").to_str().unwrap().to_owned();
        says(&gpg.0.verify_by("r", &path, &[]), 2, words);
    };
    refused(&export(&[&two]), &["policy.toml:2", &two, &one]);
    refused(&export(&[&one, &two]), &["policy.toml:2", &two]);
    refused("nonsense", &["policy.toml:2", "not an OpenPGP certificate"]);
    gpg.policy(&format!("[[principals.one.keys]]\nopenpgp = \"{one}\"\ncert = \"\"\"\n{}\"\"\"\n", export(&[&one])));
    assert_eq!(gpg.word(&signed), "accept");
}

#[test]
fn ends_and_revocations() {
    let Some(gpg) = Gpg::new() else { return };
    let mut cases = Vec::new();
    for (name, code) in [("stolen", "1"), ("replaced", "2"), ("unused", "3"), ("unexplained", "0")] {
        let key = gpg.key(name, "ed25519", "sign", "never");
        let id = gpg.commit(name, name, &key);
        gpg.revoke(&key, code);
        cases.push((name, key, id));
    }
    let expired = gpg.key("expired", "ed25519", "sign", "1d");
    let id = gpg.commit("expired", "expired", &expired);
    let old = gpg.old("old");
    let before = {
        gpg.0.home.write("gpg-of-2020", "#!/bin/sh\nexec gpg --faked-system-time 20200201T000000! \"$@\"\n");
        use std::os::unix::fs::PermissionsExt as _;
        let program = gpg.0.home.join("gpg-of-2020");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let settings = [
            "user.name=old".to_owned(),
            "user.email=old@example.com".to_owned(),
            format!("user.signingKey={old}"),
            format!("gpg.program={}", program.display()),
        ];
        gpg.0.commit_as("r", "in 2020", &settings, &["-S"])
    };
    cases.push(("expired", expired, id));
    cases.push(("old", old, before.clone()));
    let head = gpg.0.id("r", "HEAD");
    cases.iter().for_each(|(_, key, _)| gpg.export(key));
    let words = |state: &str, root: &str| {
        let text: String = cases.iter().map(|(name, key, _)| listed(name, key, state)).collect();
        gpg.policy(&format!("{root}\n{text}"));
        let judged = gpg.judged(&[]);
        cases.iter().map(|(name, _, id)| format!("{name} {}", judged.of_object(id))).collect::<Vec<_>>()
    };
    let settled = format!("settled = [\"{head}\"]");
    let audited = format!(", status = \"compromised\", audited = [\"{head}\"]");
    // "old" is committed today and says so, although the signature says 2020: the later of the two counts
    for (state, root, want) in [
        ("", "", ["key-revoked", "key-retired", "key-retired", "key-revoked", "accept", "key-expired"]),
        ("", &settled, ["key-revoked", "accept", "accept", "key-revoked", "accept", "accept"]),
        (", status = \"retired\"", &settled, ["key-revoked", "accept", "accept", "accept", "accept", "accept"]),
        (", status = \"retired\"", "", ["key-revoked", "key-retired", "key-retired", "key-retired", "key-retired", "key-retired"]),
        (&audited, "", ["accept", "accept", "accept", "accept", "accept", "key-expired"]),
    ] {
        let got = words(state, root);
        let want: Vec<String> = cases.iter().zip(want).map(|((name, _, _), word)| format!("{name} {word}")).collect();
        assert_eq!(got, want, "{state} {root}");
    }
}

#[test]
fn what_is_written_otherwise_is_noted_or_refused() {
    let Some(gpg) = Gpg::new() else { return };
    let key = gpg.key("alice", "rsa2048", "sign", "never");
    let weak = gpg.key("weak", "rsa1024", "sign", "never");
    let good = gpg.commit("good", "alice", &key);
    gpg.export(&key);
    gpg.export(&weak);
    gpg.policy(&format!("{}{}", listed("alice", &key, ""), listed("weak", &weak, "")));
    assert_eq!(gpg.word(&good), "accept");
    let judge = |id: &str| {
        let judged = gpg.judged(&["--no-walk", id]);
        let (_, word, warnings) = judged.verdicts().remove(0);
        let strict = gpg.judged(&["--no-walk", "--strict", id]).of_object(id);
        (format!("{word} {}", warnings.join(" ")).trim().to_owned(), strict)
    };
    assert_eq!(judge(&good), ("accept".to_owned(), "accept".to_owned()));
    type Edit<'a> = &'a dyn Fn(&str) -> String;
    // the issuer's length in five bytes
    let long = |it: &str| {
        let (blob, _) = git_warrant::armor::decode_openpgp(it.as_bytes()).unwrap();
        let body = &blob[3..];
        let at = 6 + usize::from(u16::from_be_bytes([body[4], body[5]]));
        assert_eq!(body[at..at + 4], [0, 10, 9, 16]);
        let body = [&body[..at], &[0, 14, 255, 0, 0, 0, 9], &body[at + 3..]].concat();
        let packet = [&[0x89], &u16::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat();
        String::from_utf8(git_warrant::armor::encode_openpgp(&packet)).unwrap()
    };
    let edits: [(&str, Edit<'_>, &str); 8] = [
        ("a long length", &long, "accept malleable"),
        ("a comment", &|it| it.replacen("\n\n", "\nComment: x\n\n", 1), "accept malleable"),
        ("a trailing line", &|it| format!("{it}trailing\n"), "accept malleable"),
        ("another name", &|it| it.replace("SIGNATURE", "MESSAGE"), "accept malleable"),
        ("twice", &|it| it.repeat(2), "multiple-signatures"),
        (
            "a checksum of something else",
            &|it| {
                let line = it.lines().find(|line| line.starts_with('=')).unwrap().to_owned();
                it.replace(&line, "=AAAA")
            },
            "malformed-signature",
        ),
        ("cut", &|it| it.lines().take(4).map(|line| format!("{line}\n")).collect(), "malformed-signature"),
        ("clear text", &|_| "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nx\n".to_owned(), "unknown-format"),
    ];
    for (what, edit, want) in edits {
        let (lax, strict) = judge(&gpg.with_signature(&good, edit));
        assert_eq!(lax, want, "{what}");
        assert_eq!(strict, want.replace("accept ", ""), "{what}");
    }
    // signatures over the same bytes that gpg makes on request
    let payload = {
        let raw = gpg.0.raw("r", &good);
        let start = raw.find("gpgsig ").unwrap();
        let end = raw.find("\n\n").unwrap();
        format!("{}{}", &raw[..start], &raw[end + 1..])
    };
    for (args, want) in [
        (&["--digest-algo", "SHA1", "-u", &key][..], "weak-algorithm"),
        (&["--textmode", "-u", &key], "malformed-signature"),
        (&["-u", &weak], "weak-key"),
        (&["-u", &key, "-u", &weak], "multiple-signatures"),
        (&["-u", &key, "--sig-notation", "!x@example.com=y"], "malformed-signature"), // critical, and nobody knows it
        (&["-u", &key, "--sig-notation", "x@example.com=y"], "accept"),
    ] {
        let armored = gpg.gpg(&[&["--armor", "--detach-sign", "--allow-weak-digest-algos"], args].concat(), payload.as_bytes());
        assert_eq!(judge(&gpg.with_signature(&good, |_| armored.clone())).0, want, "{args:?}");
    }
    let inline = gpg.gpg(&["--armor", "--sign", "-u", &key], payload.as_bytes());
    assert_eq!(judge(&gpg.with_signature(&good, |_| inline.clone())).0, "malformed-signature");
}

impl Gpg {
    /// A key whose primary part only certifies, with a subkey that signs; its fingerprint. The options are for the former.
    fn with_subkey(&self, name: &str, [algorithm, subkey]: [&str; 2], options: &[&str]) -> String {
        let user = format!("{name} <{name}@example.com>");
        self.gpg(&[options, &["--quick-gen-key", &user, algorithm, "cert", "never"]].concat(), b"");
        let fingerprint = self.fingerprint(&user);
        self.gpg(&["--quick-add-key", &fingerprint, subkey, "sign", "never"], b"");
        fingerprint
    }

    /// What is said of a commit to people.
    fn told(&self, id: &str) -> String {
        let path = self.0.home.join("policy.toml").to_str().unwrap().to_owned();
        self.0.verify_by("r", &path, &["--no-walk", id]).stdout
    }
}

#[test]
fn a_certificate_by_what_is_weak_is_made_anew_and_the_history_stays() {
    let Some(gpg) = Gpg::new() else { return };
    let dsa = gpg.with_subkey("dsa", ["dsa2048", "ed25519"], &[]);
    let sha1 = gpg.with_subkey("sha1", ["rsa2048"; 2], &["--cert-digest-algo", "SHA1"]);
    let ids = [gpg.commit("by dsa", "dsa", &dsa), gpg.commit("by sha1", "sha1", &sha1)];
    [&dsa, &sha1].iter().for_each(|key| gpg.export(key));
    gpg.policy(&(listed("dsa", &dsa, "") + &listed("sha1", &sha1, "")));
    let words = || ids.each_ref().map(|id| gpg.word(id));
    assert_eq!(words(), ["weak-algorithm", "weak-algorithm"]);
    let told = gpg.told(&ids[0]);
    assert!(told.contains("whose primary key is one of DSA") && told.contains("another certificate"), "{told}");
    // the mend is what is said, word for word
    let command = format!("gpg --cert-digest-algo SHA512 --quick-set-expire {sha1} 1y");
    let told = gpg.told(&ids[1]);
    assert!(told.contains(&command) && told.contains("'*'") && !told.contains("rebase"), "{told}");
    let args: Vec<&str> = command.split(' ').skip(1).collect();
    gpg.gpg(&args, b"");
    gpg.gpg(&[&args[..], &["*"]].concat(), b"");
    gpg.export(&sha1);
    assert_eq!(words(), ["weak-algorithm", "accept"]);
}

#[test]
fn no_revocation_beside_a_certificate_is_passed_over() {
    let Some(gpg) = Gpg::new() else { return };
    let key = gpg.key("alice", "ed25519", "sign", "never");
    let id = gpg.commit("m", "alice", &key);
    gpg.export(&key);
    gpg.policy(&listed("alice", &key, ""));
    let (file, path) = (format!("certs/{key}.pgp"), gpg.0.home.join("policy.toml").to_str().unwrap().to_owned());
    let certificate = String::from_utf8(gpg.0.home.read(&file)).unwrap();
    let kept = String::from_utf8(gpg.0.home.read(format!("gnupg/openpgp-revocs.d/{key}.rev"))).unwrap();
    let armored = kept[kept.find("-----BEGIN").unwrap()..].to_owned();
    let binary = git_warrant::armor::decode_keys(armored.as_bytes()).unwrap();
    let with = |bytes: &[u8]| gpg.0.home.write(&file, [certificate.as_bytes(), bytes].concat());
    with(b"");
    assert_eq!(gpg.word(&id), "accept");
    for counts in [armored.clone(), format!("\u{feff}{armored}"), kept.replace(":-----BEGIN", "-----BEGIN")] {
        with(counts.as_bytes());
        assert_eq!(gpg.word(&id), "key-revoked", "{counts}");
    }
    for (bytes, words) in [
        (kept.as_bytes(), &["would not be read", "the colon"][..]),
        (&binary, &["is no text", "gpg --enarmor"]),
        (armored.replace("PUBLIC KEY BLOCK", "SIGNATURE").as_bytes(), &["no block of keys"]),
    ] {
        with(bytes);
        says(&gpg.0.verify_by("r", &path, &[]), 2, &[&[&*file, "line "], words].concat());
    }
    gpg.0.home.write(&file, armored.clone() + &certificate);
    says(&gpg.0.verify_by("r", &path, &[]), 2, &[&file, "a revocation stands before the certificate"]);
    let packets = git_warrant::armor::decode_keys(certificate.as_bytes()).unwrap();
    gpg.0.home.write(&file, [&packets[..], &binary].concat());
    assert_eq!(gpg.word(&id), "key-revoked");
    gpg.0.home.write(&file, [&packets[..], armored.as_bytes()].concat());
    says(&gpg.0.verify_by("r", &path, &[]), 2, &[&file, "its packets cannot be read"]);
    // and an import takes it in, or says why not
    let import = |name: &str, bytes: &[u8]| {
        gpg.0.home.write(name, bytes);
        done(&mut gpg.0.home.ours(&["policy", "import", name]))
    };
    for (name, bytes) in [("first.gpg", [&binary[..], &packets].concat()), ("last.gpg", [&packets[..], &binary].concat())] {
        let ran = import(name, &bytes);
        assert!(ran.ok() && ran.stdout.contains("revoked as of "), "{name}: {ran:?}");
    }
    says(&import("colon", (certificate.clone() + &kept).as_bytes()), 2, &["colon:", "a block begins within the line"]);
    says(&import("mixed", &[certificate.as_bytes(), &binary].concat()), 2, &["mixed:", "is no text"]);
}

#[test]
fn a_key_that_the_certificate_does_not_let_sign_is_named() {
    let Some(gpg) = Gpg::new() else { return };
    let key = gpg.key("alice", "ed25519", "sign", "never");
    gpg.export(&key);
    gpg.policy(&listed("alice", &key, ""));
    let by_primary = gpg.commit("m", "alice", &format!("{key}!"));
    gpg.gpg(&["--quick-add-key", &key, "ed25519", "sign", "never"], b"");
    let by_subkey = gpg.commit("n", "alice", &key);
    assert_eq!((gpg.word(&by_primary), gpg.word(&by_subkey)), ("accept".to_owned(), "certificate-unknown".to_owned()));
    // the certificate is an old copy: that is the mend, on a line of its own
    let told = gpg.told(&by_subkey);
    assert!(told.contains("a new subkey of a certificate") && told.contains("certificate-unknown"), "{told}");
    assert!(!told.contains("is unsigned"), "{told}");
    let mut command = gpg.0.home.command("gpg");
    command.args(["--no-tty", "--command-fd=0", "--status-fd=2", "--pinentry-mode=loopback", "--passphrase", ""]);
    let changed = common::run(command.args(["--edit-key", &key, "change-usage"]), b"S\nQ\nsave\n");
    assert!(changed.ok(), "{changed:?}");
    gpg.export(&key);
    assert_eq!((gpg.word(&by_primary), gpg.word(&by_subkey)), ("certificate-unknown".to_owned(), "accept".to_owned()));
    let told = gpg.told(&by_primary);
    for words in [format!("in the certificate {key}, but it is not for signing"), "is an old copy".to_owned()] {
        assert!(told.contains(&words), "{words}: {told}");
    }
}
