//! A smartcard, as gpg-agent has it: a software token (SoftHSM) behind gnupg-pkcs11-scd in scdaemon's place. Git signs through us,
//! and gpg does the same beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

mod common;
#[path = "support/gnupg.rs"]
mod gnupg;
#[path = "support/world.rs"]
mod world;

use common::{Done, OURS, has, run, skipped};
use gnupg::Gpg;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use world::done;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

struct Card(Gpg);

impl Card {
    /// A card with an RSA key that gpg has a certificate for, of `card@example.com`.
    fn new() -> Option<Self> {
        if !(["gnupg-pkcs11-scd", "softhsm2-util", "pkcs11-tool", "openssl"].into_iter().all(has) && Path::new(MODULE).exists()) {
            skipped("signing by a smartcard (packages softhsm2, gnupg-pkcs11-scd, opensc)");
            return None;
        }
        let card = Self(Gpg::new()?);
        let home = &card.0.0.home;
        std::fs::create_dir(home.join("tokens")).unwrap();
        home.write("softhsm2.conf", format!("directories.tokendir = {}\n", home.join("tokens").display()));
        home.write("gnupg/gnupg-pkcs11-scd.conf", format!("providers s\nprovider-s-library {MODULE}\n"));
        let pinentry = home.write(
            "pinentry",
            "#!/bin/sh\necho 'OK ready'\nwhile read -r line; do\n    case $line in\n        GETPIN*) echo asked >>\"$HOME/asked\"; echo \"D $(cat \"$HOME/pin\")\"; echo OK ;;\n        BYE*) echo OK; exit 0 ;;\n        *) echo OK ;;\n    esac\ndone\n",
        );
        std::fs::set_permissions(&pinentry, std::fs::Permissions::from_mode(0o700)).unwrap();
        home.write(
            "gnupg/gpg-agent.conf",
            format!("scdaemon-program /usr/bin/gnupg-pkcs11-scd\npinentry-program {}\n", pinentry.display()),
        );
        card.has_pin("1234");
        card.does("softhsm2-util", &["--init-token", "--free", "--label", "t", "--pin", "1234", "--so-pin", "5678"]);
        card.does(
            "openssl",
            &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "c.pem", "-subj", "/CN=card"],
        );
        card.does("openssl", &["pkcs8", "-topk8", "-nocrypt", "-in", "k.pem", "-out", "k8.pem"]);
        card.does("openssl", &["x509", "-in", "c.pem", "-outform", "der", "-out", "c.der"]);
        card.does("softhsm2-util", &["--import", "k8.pem", "--token", "t", "--label", "k", "--id", "01", "--pin", "1234"]);
        let certificate = ["--write-object", "c.der", "--type", "cert", "--id", "01", "--label", "k"];
        card.does(
            "pkcs11-tool",
            &[&["--module", MODULE, "--token-label", "t", "--login", "--pin", "1234"], &certificate[..]].concat(),
        );
        let learned = card.does("gpg-connect-agent", &["SCD LEARN", "LEARN --force", "/bye"]);
        let (_, key) = learned.stdout.split_once("KEYPAIRINFO ").unwrap_or_else(|| panic!("{learned:?}"));
        let grip = key.split(' ').next().unwrap();
        home.write(
            "parameters",
            format!("Key-Type: RSA\nKey-Grip: {grip}\nKey-Usage: sign\nName-Real: card\nName-Email: card@example.com\nExpire-Date: 0\n%commit\n"),
        );
        card.does("gpg", &["--batch", "--quiet", "--full-generate-key", "parameters"]);
        Some(card)
    }

    fn has_pin(&self, pin: &str) {
        self.0.0.home.write("pin", pin);
    }

    /// Forgets the PIN that was given.
    fn restart(&self) {
        self.does("gpgconf", &["--kill", "all"]);
        let _ = std::fs::remove_file(self.0.0.home.join("asked"));
    }

    fn asked(&self) -> bool {
        self.0.0.home.join("asked").exists()
    }

    fn command(&self, program: &str) -> Command {
        let home = &self.0.0.home;
        let mut command = home.command(program);
        command.current_dir(home.join("")).env("SOFTHSM2_CONF", home.join("softhsm2.conf"));
        command
    }

    fn does(&self, program: &str, args: &[&str]) -> Done {
        let done = done(self.command(program).args(args));
        assert!(done.ok(), "{program} {args:?}: {done:?}");
        done
    }

    fn sign(&self, program: &str) -> Done {
        run(self.command(program).args(["--status-fd=2", "-bsau", "card@example.com"]), b"payload")
    }
}

/// Less the lines of a pinentry that was started, and those that say when.
fn status(done: &Done) -> Vec<String> {
    let lines = done.stderr.lines().filter(|line| line.starts_with("[GNUPG:]") && !line.contains("PINENTRY_LAUNCHED"));
    let timeless =
        |line: &str| line.split(' ').filter(|word| !(word.len() == 10 && word.starts_with('1'))).collect::<Vec<_>>().join(" ");
    lines.map(timeless).collect()
}

#[test]
fn a_card_signs_for_us_as_for_gpg() {
    let Some(card) = Card::new() else { return };
    card.restart();
    let ours = card.sign(OURS);
    assert!(ours.ok() && card.asked(), "{ours:?}");
    card.restart();
    let theirs = card.sign("gpg");
    assert!(theirs.ok() && card.asked(), "{theirs:?}");
    assert_eq!(status(&ours), status(&theirs));
    // a commit through git, which gpg judges
    let home = &card.0.0.home;
    let mut commit = card.command("git");
    let settings = ["-c", "user.name=card", "-c", "user.email=card@example.com", "-c", "user.signingKey=card@example.com"];
    commit.current_dir(home.join("r")).args(settings).args(["-c", &format!("gpg.program={OURS}")]);
    let made = done(commit.args(["commit", "-q", "-S", "--allow-empty", "-m", "by a card"]));
    assert!(made.ok(), "{made:?}");
    assert_eq!(done(card.command("git").current_dir(home.join("r")).args(["log", "-1", "--format=%G?"])).stdout.trim(), "G");
}

#[test]
fn a_wrong_pin_signs_nothing() {
    let Some(card) = Card::new() else { return };
    card.restart();
    card.has_pin("9999");
    for program in [OURS, "gpg"] {
        let refused = card.sign(program);
        assert!(!refused.ok() && refused.stdout.is_empty() && refused.stderr.contains("Bad PIN"), "{program}: {refused:?}");
        assert!(!refused.stderr.contains("SIG_CREATED") && card.asked(), "{program}: {refused:?}");
        card.restart();
    }
}
