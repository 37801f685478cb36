//! GnuPG with a home of its own.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common::{Done, has, run, skipped};
use crate::world::{Judged, World, done};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

/// A home with gpg's keys beside those of SSH, and a repository `r`. What gpg needs in the background ends with the home.
pub struct Gpg(pub World);

impl Gpg {
    /// `None` where there is no gpg, which has been said.
    pub fn new() -> Option<Self> {
        if !has("gpg") {
            skipped("OpenPGP signatures by gpg");
            return None;
        }
        let gpg = Self(World::new());
        let home = gpg.0.home.join("gnupg");
        std::fs::create_dir_all(&home).unwrap();
        std::os::unix::fs::symlink("gnupg", gpg.0.home.join(".gnupg")).unwrap();
        std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700)).unwrap();
        gpg.0.config("gpg.format", "openpgp");
        gpg.0.repo("r", &[]);
        std::fs::create_dir(gpg.0.home.join("certs")).unwrap();
        Some(gpg)
    }

    pub fn gpg(&self, args: &[&str], stdin: &[u8]) -> String {
        let mut command = self.0.home.command("gpg");
        command.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode=loopback", "--passphrase", ""]).args(args);
        let done = run(&mut command, stdin);
        assert!(done.ok(), "{done:?}");
        done.stdout
    }

    /// A new key; its fingerprint.
    pub fn key(&self, name: &str, algorithm: &str, usage: &str, expire: &str) -> String {
        let user = format!("{name} <{name}@example.com>");
        self.gpg(&["--quick-gen-key", &user, algorithm, usage, expire], b"");
        self.fingerprint(&user)
    }

    pub fn fingerprint(&self, user: &str) -> String {
        let listed = self.gpg(&["--list-keys", "--with-colons", user], b"");
        listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':').to_owned()
    }

    /// A key that was made in 2020 and ended in 2021; its fingerprint.
    pub fn old(&self, name: &str) -> String {
        let user = format!("{name} <{name}@example.com>");
        self.gpg(&["--faked-system-time", "20200101T000000!", "--quick-gen-key", &user, "ed25519", "sign", "1y"], b"");
        self.fingerprint(&user)
    }

    /// Revokes a key for a reason: 0 none, 1 stolen, 2 replaced, 3 unused.
    pub fn revoke(&self, fingerprint: &str, code: &str) {
        let mut command = self.0.home.command("gpg");
        let answers = format!("y\n{code}\n\ny\n");
        command.args(["--no-tty", "--command-fd=0", "--status-fd=2", "--pinentry-mode=loopback", "--passphrase", ""]);
        let made = run(command.args(["--gen-revoke", fingerprint]), answers.as_bytes());
        assert!(made.ok(), "{made:?}");
        self.gpg(&["--import"], made.stdout.as_bytes());
    }

    /// What a program answers to git's call for verifying: status lines without those that only gpg needs, the text, the status.
    pub fn verified(&self, program: &str, signature: &[u8], data: &[u8]) -> (String, String, Option<i32>) {
        let file = self.0.home.write("signature", signature);
        let mut command = self.0.home.command(program);
        command.args(["--keyid-format=long", "--status-fd=1", "--verify"]).arg(file).arg("-");
        // out of a file: where the signature is none, gpg ends before it reads
        let data = std::fs::File::open(self.0.home.write("data", data)).unwrap();
        let ran = Done::from(command.stdin(data).output().unwrap());
        let passed_over = ["KEY_CONSIDERED", "SIG_ID", "KEYEXPIRED", "FAILURE", "NOTATION_"];
        let lines = ran.stdout.lines().filter(|line| !passed_over.iter().any(|word| line.contains(word)));
        let text = ran.stderr.lines().filter(|line| {
            let ours = [
                "trustdb",
                "marginals needed",
                "depth:",
                "reason for revocation",
                "next trustdb",
                "Please remember",
                "should be the first",
                "ultimately trusted keys",
            ];
            !ours.iter().any(|word| line.contains(word))
        });
        let text: String = text.map(|line| format!("{line}\n")).collect();
        (lines.map(|line| format!("{line}\n")).collect(), text, ran.status)
    }

    pub fn export(&self, fingerprint: &str) {
        self.gpg(&["--yes", "--armor", "--output", &format!("certs/{fingerprint}.pgp"), "--export", fingerprint], b"");
    }

    /// A signed commit in a name; its id.
    pub fn commit(&self, message: &str, name: &str, key: &str) -> String {
        let settings = [format!("user.name={name}"), format!("user.email={name}@example.com"), format!("user.signingKey={key}")];
        self.0.commit_as("r", message, &settings, &["-S"])
    }

    pub fn policy(&self, text: &str) {
        self.0.home.write("policy.toml", format!("version = 1\n{text}"));
    }

    pub fn judged(&self, args: &[&str]) -> Judged {
        self.0.judged_by("r", self.0.home.join("policy.toml").to_str().unwrap(), args)
    }

    pub fn word(&self, id: &str) -> String {
        self.judged(&[]).of_object(id)
    }

    /// A commit like another, with another signature.
    pub fn with_signature(&self, id: &str, edit: impl Fn(&str) -> String) -> String {
        let raw = self.0.raw("r", id);
        let start = raw.find("gpgsig ").unwrap();
        let end = raw.find("\n\n").unwrap();
        let armored = raw[start + 7..end].replace("\n ", "\n") + "\n";
        let mut header = String::from("gpgsig");
        for line in edit(&armored).trim_end_matches('\n').split('\n') {
            let _ = writeln!(header, " {line}");
        }
        let edited = format!("{}{}{}", &raw[..start], header.trim_end(), &raw[end..]);
        self.0.object("r", "commit", edited.as_bytes())
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = done(self.0.home.command("gpgconf").args(["--kill", "all"]));
    }
}
