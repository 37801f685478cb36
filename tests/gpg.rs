//! In gpg's place: git signs and verifies through us with keys that the real gpg made, by its agent, and shows the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "support/gnupg.rs"]
mod gnupg;
#[path = "support/world.rs"]
mod world;

use common::{OURS, run};
use gnupg::Gpg;
use std::os::unix::fs::PermissionsExt as _;
use world::{done, says};

impl Gpg {
    /// Git through us.
    fn through_us(&self) {
        self.0.config("gpg.program", OURS);
    }

    /// The letters and fields that git shows of all commits, by a program.
    fn log(&self, program: &str) -> String {
        self.0.home.git("r", &["-c", &format!("gpg.program={program}"), "log", "--format=%G?|%GK|%GF|%GP|%GS|%GT"])
    }
}

#[test]
fn every_kind_of_key_signs_and_git_shows_what_it_shows_with_gpg() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.through_us();
    for algorithm in ["ed25519", "nistp256", "nistp384", "nistp521", "rsa2048", "rsa4096"] {
        let fingerprint = gpg.key(algorithm, algorithm, "sign", "never");
        gpg.commit(algorithm, algorithm, &fingerprint);
    }
    // a primary key that only certifies: the newest subkey that may sign does
    let primary = gpg.key("sub", "ed25519", "cert", "never");
    gpg.gpg(&["--quick-add-key", &primary, "ed25519", "sign", "never"], b"");
    gpg.commit("by a subkey", "sub", "sub@example.com");
    gpg.0.home.git("r", &["-c", "user.signingKey=sub <sub@example.com>", "tag", "-s", "-m", "m", "v1"]);
    assert_eq!(gpg.log(OURS), gpg.log("gpg"));
    assert_eq!(gpg.log(OURS).matches("G|").count(), 7, "{}", gpg.log(OURS));
    gpg.0.home.git("r", &["verify-tag", "v1"]);
    gpg.0.home.git("r", &["-c", "gpg.program=gpg", "verify-tag", "v1"]);
    // and, written as gpg writes it, strictly by a policy
    gpg.export(&primary);
    gpg.policy(&format!("[[principals.sub.keys]]\nopenpgp = \"{primary}\"\n"));
    assert_eq!(gpg.judged(&["--strict", "HEAD~1..HEAD"]).words(), ["accept"]);
}

#[test]
fn verification_says_what_gpg_says() {
    let Some(gpg) = Gpg::new() else { return };
    let data = b"data\nof two lines\n";
    let sign = |args: &[&str]| gpg.gpg(&[&["--armor", "--detach-sign", "--output", "-"], args].concat(), data).into_bytes();
    let (one, two) = (gpg.key("one", "ed25519", "sign", "never"), gpg.key("two", "rsa2048", "sign", "never"));
    let stolen = gpg.key("stolen", "ed25519", "sign", "never");
    let old = gpg.old("old");
    gpg.gpg(&["--quick-add-uid", &two, "Two of two <second@example.com>"], b"");
    let by_stolen = sign(&["-u", &stolen]);
    gpg.revoke(&stolen, "1");
    let both = sign(&["-u", &one, "-u", &two]);
    let cases = [
        ("good", sign(&["-u", &one])),
        ("two user ids", sign(&["-u", &two])),
        ("by its address", sign(&["-u", "two@example.com"])),
        ("sha1", sign(&["-u", &two, "--digest-algo", "SHA1", "--allow-weak-digest-algos"])),
        ("text", sign(&["-u", &two, "--textmode"])),
        ("revoked", by_stolen),
        ("expired", sign(&["-u", &old, "--faked-system-time", "20200201T000000!"])),
        ("two", both),
        ("nothing", b"nothing\n".to_vec()),
    ];
    gpg.gpg(&["--check-trustdb"], b"");
    for (name, signature) in &cases {
        assert_eq!(gpg.verified(OURS, signature, data), gpg.verified("gpg", signature, data), "{name}");
        let other = b"other data\n";
        assert_eq!(gpg.verified(OURS, signature, other), gpg.verified("gpg", signature, other), "{name} over other data");
    }
    // how far somebody is believed, as gpg worked it out: none, some, all
    for level in ["2", "3", "4", "5", "6"] {
        gpg.gpg(&["--import-ownertrust"], format!("{one}:{level}:\n").as_bytes());
        gpg.gpg(&["--check-trustdb"], b"");
        let good = &cases[0].1;
        assert_eq!(gpg.verified(OURS, good, data), gpg.verified("gpg", good, data), "trust {level}");
    }
    // and without the key
    gpg.gpg(&["--yes", "--delete-secret-and-public-key", &one], b"");
    assert_eq!(gpg.verified(OURS, &cases[0].1, data), gpg.verified("gpg", &cases[0].1, data));
}

#[test]
fn a_passphrase_is_asked_by_the_pinentry() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.through_us();
    let script = "#!/bin/sh\necho OK\nwhile read -r command rest; do\n  case $command in\n    GETPIN) cat \"$(dirname \"$0\")/answer\" ;;\n    BYE) echo OK; exit ;;\n    SETDESC) echo \"$rest\" >>\"$(dirname \"$0\")/asked\"; echo OK ;;\n    *) echo OK ;;\n  esac\ndone\n";
    let pinentry = gpg.0.home.write("pinentry", script);
    std::fs::set_permissions(&pinentry, std::fs::Permissions::from_mode(0o755)).unwrap();
    gpg.0.home.write(
        "gnupg/gpg-agent.conf",
        format!("pinentry-program {}\nallow-loopback-pinentry\ndefault-cache-ttl 0\nmax-cache-ttl 0\n", pinentry.display()),
    );
    let _ = done(gpg.0.home.command("gpgconf").args(["--kill", "gpg-agent"]));
    let mut command = gpg.0.home.command("gpg");
    command.args([
        "--batch",
        "--quiet",
        "--no-tty",
        "--pinentry-mode=loopback",
        "--passphrase",
        "open sesame",
        "--quick-gen-key",
        "locked <locked@example.com>",
        "ed25519",
        "sign",
    ]);
    assert!(run(&mut command, b"").ok());
    let _ = done(gpg.0.home.command("gpgconf").args(["--kill", "gpg-agent"])); // it would remember
    gpg.0.home.write("answer", "D open sesame\nOK\n");
    gpg.commit("asked", "locked", "locked@example.com");
    let asked = String::from_utf8(gpg.0.home.read("asked")).unwrap();
    assert!(asked.contains("locked <locked@example.com>"), "{asked}");
    assert_eq!(gpg.log("gpg").matches("G|").count(), 1);
    // nobody answers, or wrongly: no commit, and why
    for (answer, words) in [("ERR 83886179 Operation cancelled\n", "nobody gave the passphrase"), ("D wrong\nOK\n", "gpg-agent")] {
        gpg.0.home.write("answer", answer);
        let settings = ["-c", "user.signingKey=locked@example.com", "commit", "-q", "-S", "--allow-empty", "-m", "no"];
        let ran = done(gpg.0.home.command("git").arg("-C").arg(gpg.0.home.join("r")).args(settings));
        assert!(!ran.ok(), "{ran:?}");
        let text = ran.stderr;
        assert!(text.contains(words) || text.contains("failed to sign"), "{text}");
        let ran = run(gpg.0.home.ours(&["--status-fd=2", "-bsau", "locked@example.com"]).current_dir(gpg.0.home.path()), b"x");
        says(&ran, 2, &[words]);
        assert!(ran.stdout.is_empty() && !ran.stderr.contains("SIG_CREATED"), "{ran:?}");
    }
}

#[test]
fn whose_key_is_not_to_be_had_is_said() {
    let Some(gpg) = Gpg::new() else { return };
    let (one, stolen) = (gpg.key("one", "ed25519", "sign", "never"), gpg.key("stolen", "ed25519", "sign", "never"));
    let cert = gpg.key("certifier", "ed25519", "cert", "never");
    let gone = gpg.key("gone", "ed25519", "sign", "never");
    let old = gpg.old("old");
    gpg.gpg(&["--quick-gen-key", "--yes", "other one <one@example.com>", "ed25519", "sign"], b"");
    gpg.revoke(&stolen, "3");
    gpg.gpg(&["--yes", "--delete-secret-keys", &gone], b"");
    let refused = |args: &[&str], words: &[&str]| {
        let all = [&["--status-fd=2", "-bsa"], args].concat();
        let ran = run(gpg.0.home.ours(&all).current_dir(gpg.0.home.path()), b"payload");
        says(&ran, 2, words);
        assert!(ran.stdout.is_empty() && !ran.stderr.contains("SIG_CREATED"), "{ran:?}");
    };
    refused(&["-u", "nobody@example.com"], &["no key for `nobody@example.com`", "user.signingKey"]);
    refused(&["-u", "one@example.com"], &["may mean any of", &one, "user.signingKey"]);
    refused(&["-u", &stolen], &[&stolen, "is revoked"]);
    refused(&["-u", &old], &[&old, "has expired"]);
    refused(&["-u", &cert], &["is not for signing", "--quick-add-key"]);
    refused(&["-u", &gone], &["holds no secret part", &gone]);
    refused(&[], &["no key is named"]);
    refused(&["-u", &one, "-u", &old], &["one signature by one key"]);
    refused(&["-u", &one, "--digest-algo", "SHA1"], &["SHA512"]);
    for (name, number) in [("SHA256", 8), ("sha384", 9), ("H10", 10)] {
        let mut command = gpg.0.home.ours(&["--status-fd=2", "-bsau", &one, "--digest-algo", name]);
        let made = run(command.current_dir(gpg.0.home.path()), b"payload");
        assert!(made.ok() && made.stderr.contains(&format!(" {number} 00 ")), "{made:?}");
        gpg.0.home.write("made.sig", &made.stdout);
        gpg.0.home.write("made", b"payload");
        let theirs = run(gpg.0.home.command("gpg").args(["--batch", "--status-fd=1", "--verify", "made.sig", "made"]), b"");
        assert!(theirs.ok() && theirs.stdout.contains("GOODSIG"), "{theirs:?}");
    }
    refused(&["-u", &one, "--frobnicate"], &["invalid option"]);
    let bare = run(gpg.0.home.ours(&["--status-fd=2", "-bu", &one]).current_dir(gpg.0.home.path()), b"payload");
    assert!(bare.ok() && bare.stderr.contains("SIG_CREATED"), "{bare:?}");
    let repo = gpg.0.home.join("r");
    gpg.0.home.git("r", &["config", "gpg.format", "x509"]);
    let ran = run(gpg.0.home.ours(&["--status-fd=2", "-bsau", &one]).current_dir(&repo), b"payload");
    says(&ran, 2, &["there is no identity token", "git warrant login"]); // no OpenPGP key signs in its place
    // keys in a keyboxd
    gpg.0.home.write("gnupg/common.conf", "use-keyboxd\n");
    refused(&["-u", &one], &["keyboxd", "gpg --export"]);
}

/// Certifies a user's key by another's.
fn certify(gpg: &Gpg, by: &str, whom: &str, level: &str) {
    gpg.gpg(&["--yes", "--default-cert-level", level, "-u", by, "--quick-sign-key", whom], b"");
}

#[test]
fn an_ownertrust_file_is_believed_as_gpg_believes_it() {
    let Some(gpg) = Gpg::new() else { return };
    let names = ["top", "full", "m1", "m2", "m3", "far", "three", "two", "alone", "nothing", "gone", "ended", "taken"];
    let keys: Vec<String> = names.iter().map(|name| gpg.key(name, "ed25519", "sign", "never")).collect();
    let key = |name: &str| keys[names.iter().position(|it| *it == name).unwrap()].as_str();
    let certified = [
        ("top", "full"),
        ("top", "m1"),
        ("top", "m2"),
        ("top", "m3"),
        ("full", "far"),
        ("m1", "three"),
        ("m2", "three"),
        ("m3", "three"),
        ("m1", "two"),
        ("m2", "two"),
        ("far", "alone"), // believed, and not trusted to certify
        ("gone", "nothing"),
        ("full", "taken"),
    ];
    for (by, whom) in certified {
        certify(&gpg, key(by), key(whom), "3");
    }
    certify(&gpg, key("top"), key("nothing"), "1"); // a certification that says nothing was checked
    let mut revoked = gpg.0.home.command("gpg");
    revoked.args(["--no-tty", "--command-fd=0", "--status-fd=2", "--pinentry-mode=loopback", "--passphrase", ""]);
    revoked.args(["-u", key("full"), "--edit-key", key("taken"), "revsig"]);
    let taken = run(&mut revoked, b"y\ny\n0\n\ny\nsave\n");
    assert!(taken.ok(), "{taken:?}");
    gpg.gpg(&["--yes", "--default-cert-expire", "seconds=1", "-u", key("top"), "--quick-sign-key", key("ended")], b"");
    std::thread::sleep(std::time::Duration::from_millis(1100)); // what `ended` has must have ended
    let trusted = [("top", 6), ("full", 5), ("m1", 4), ("m2", 4), ("m3", 4), ("gone", 5), ("nothing", 3)];
    let file: String = trusted.iter().map(|(name, trust)| format!("{}:{trust}:\n", key(name))).collect();
    let path = gpg.0.home.join("gnupg/trustdb.gpg");
    std::fs::remove_file(&path).unwrap();
    gpg.gpg(&["--import-ownertrust"], file.as_bytes());
    gpg.gpg(&["--check-trustdb"], b"");
    for (name, fingerprint) in names.iter().zip(&keys) {
        gpg.commit(name, name, fingerprint);
    }
    let theirs = gpg.log("gpg");
    let words = |program: &str| {
        let program = format!("gpg.program={program}");
        let args = ["-c", &program, "-c", "log.showSignature=true", "log", "--format=%s"];
        let done = done(gpg.0.home.command("git").arg("-C").arg(gpg.0.home.join("r")).args(args));
        let lines = [done.stdout, done.stderr].concat();
        lines.lines().filter(|line| line.contains("signature from")).map(str::to_owned).collect::<Vec<_>>()
    };
    let their_words = words("gpg");
    assert_eq!(their_words.len(), names.len());
    for word in ["ultimate", "fully", "marginal", "undefined"] {
        assert!(theirs.contains(word), "{word}: {theirs}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_ne!(gpg.log(OURS), theirs);
    gpg.0.config("warrant.ownertrust", "~/ownertrust");
    gpg.0.home.write("ownertrust", &file);
    assert_eq!(gpg.log(OURS), theirs);
    assert_eq!(words(OURS), their_words);
    gpg.0.home.write("ownertrust", "nonsense");
    let refused = gpg.verified(OURS, b"", b"");
    assert!(refused.2 != Some(0), "{refused:?}");
}
