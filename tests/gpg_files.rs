//! OpenPGP without GnuPG: secret keys in files, certificates in the shared directory; git signs and verifies through us.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

mod common;
#[path = "support/gnupg.rs"]
mod gnupg;
#[path = "support/world.rs"]
mod world;

use common::{Done, OURS, run};
use gnupg::Gpg;
use sequoia_openpgp::cert::{Cert, CertBuilder, CipherSuite};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::serialize::MarshalInto as _;
use sequoia_openpgp::types::KeyFlags;
use sequoia_openpgp::{Packet, Profile};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use world::{World, done, says};

/// A home in which git is found, and nothing of GnuPG.
struct Bare(World);

impl Bare {
    fn new() -> Self {
        let bare = Self(World::new());
        bare.0.config("gpg.format", "openpgp");
        bare.0.config("gpg.program", OURS);
        bare.0.repo("r", &[]);
        let path = std::env::var_os("PATH").unwrap();
        for program in ["git", "sh", "cat"] {
            let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|it| it.is_file()).unwrap();
            std::os::unix::fs::symlink(found, bare.0.home.join("bin").join(program)).unwrap();
        }
        bare
    }

    fn git(&self, args: &[&str]) -> Done {
        let mut command = self.0.home.command(self.0.home.join("bin/git"));
        command.env("PATH", self.0.home.join("bin")).current_dir(self.0.home.join("r")).args(args);
        done(&mut command)
    }

    /// As git calls us to sign.
    fn sign(&self, key: &str, environment: &[(&str, &Path)]) -> Done {
        let mut command = self.0.home.ours(&["--status-fd=2", "-bsau", key]);
        command.env("PATH", self.0.home.join("bin")).envs(environment.iter().copied());
        run(&mut command, b"payload")
    }

    fn write_secret(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.home.write(name, bytes);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Puts a certificate into the directory that programs share.
    fn share(&self, cert: &Cert) {
        let name = cert.fingerprint().to_hex().to_lowercase();
        let folder = self.0.home.join(".local/share/pgp.cert.d").join(&name[..2]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(&name[2..]), cert.to_vec().unwrap()).unwrap();
    }

    /// A program that answers with a passphrase.
    fn askpass(&self, answer: &str) -> PathBuf {
        let path = self.0.home.write("askpass", format!("#!/bin/sh\necho '{answer}'\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path
    }
}

fn builder(suite: CipherSuite) -> CertBuilder<'static> {
    CertBuilder::new().set_cipher_suite(suite).add_userid("alice <alice@example.com>")
}

fn signing() -> KeyFlags {
    KeyFlags::empty().set_certification().set_signing()
}

fn secret(cert: &Cert) -> Vec<u8> {
    cert.as_tsk().to_vec().unwrap()
}

fn armored(cert: &Cert) -> Vec<u8> {
    cert.as_tsk().armored().to_vec().unwrap()
}

#[test]
fn git_signs_and_verifies_without_gpg() {
    let bare = Bare::new();
    let suites = [
        ("ed25519", CipherSuite::Cv25519),
        ("rsa", CipherSuite::RSA2k),
        ("p256", CipherSuite::P256),
        ("p384", CipherSuite::P384),
        ("p521", CipherSuite::P521),
    ];
    let mut policy = "version = 1\n".to_owned();
    for (index, (name, suite)) in suites.into_iter().enumerate() {
        // by the primary key, or by a subkey; armoured, or not
        let builder = builder(suite);
        let subkey = index % 2 == 1;
        let cert =
            if subkey { builder.add_signing_subkey() } else { builder.set_primary_key_flags(signing()) }.generate().unwrap().0;
        let path = bare.write_secret(name, if subkey { armored(&cert) } else { secret(&cert) });
        bare.share(&cert);
        let key = format!("user.signingKey={}", path.display());
        let ran = bare.git(&["-c", &key, "commit", "-q", "-S", "--allow-empty", "-m", name]);
        assert!(ran.ok(), "{name}: {ran:?}");
        let verified = bare.git(&["verify-commit", "HEAD"]);
        assert!(verified.ok() && verified.stderr.contains("Good signature from \"alice <alice@example.com>\""), "{verified:?}");
        assert_eq!(bare.git(&["log", "-1", "--format=%G? %GP"]).stdout, format!("U {}\n", cert.fingerprint().to_hex()));
        let text = String::from_utf8(git_warrant::armor::encode_certificate(&cert.to_vec().unwrap())).unwrap();
        policy +=
            &format!("[[principals.{name}.keys]]\nopenpgp = \"{}\"\ncert = \"\"\"\n{text}\"\"\"\n", cert.fingerprint().to_hex());
    }
    let ran = bare.git(&["-c", &format!("user.signingKey={}", bare.0.home.join("rsa").display()), "tag", "-s", "-m", "m", "v1"]);
    assert!(ran.ok() && bare.git(&["verify-tag", "v1"]).ok(), "{ran:?}");
    let judged = bare.0.judged_by("r", bare.0.home.write("policy.toml", policy).to_str().unwrap(), &["HEAD", "v1"]);
    assert_eq!(judged.words(), ["accept"; 6], "{}", judged.stdout);
    // nobody else's certificate helps, and a commit that is changed is bad
    std::fs::rename(bare.0.home.join(".local"), bare.0.home.join("elsewhere")).unwrap();
    assert_eq!(bare.git(&["log", "-1", "--format=%G?"]).stdout, "E\n");
    let mut command = bare.0.home.ours(&["--keyid-format=long", "--status-fd=1", "--verify", "signature", "-"]);
    let made = bare.sign(bare.0.home.join("p256").to_str().unwrap(), &[]);
    assert!(made.ok() && made.stderr.contains("SIG_CREATED D 19 10 00 "), "{made:?}");
    bare.0.home.write("signature", &made.stdout);
    command.env("PGP_CERT_D", bare.0.home.join("elsewhere/share/pgp.cert.d"));
    let bad = run(&mut command, b"another payload");
    assert!(bad.status == Some(1) && bad.stdout.contains("BADSIG"), "{bad:?}");
}

#[test]
fn keys_of_version_6_sign() {
    let bare = Bare::new();
    let mut policy = "version = 1\n".to_owned();
    for (name, suite) in [("ed25519", CipherSuite::Cv25519), ("rsa", CipherSuite::RSA2k), ("p384", CipherSuite::P384)] {
        let cert = builder(suite).set_profile(Profile::RFC9580).unwrap().set_primary_key_flags(signing()).generate().unwrap().0;
        let fingerprint = cert.fingerprint().to_hex();
        assert_eq!(fingerprint.len(), 64);
        let path = bare.write_secret(name, secret(&cert));
        bare.share(&cert);
        let ran =
            bare.git(&["-c", &format!("user.signingKey={}", path.display()), "commit", "-q", "-S", "--allow-empty", "-m", name]);
        assert!(ran.ok(), "{name}: {ran:?}");
        assert_eq!(bare.git(&["log", "-1", "--format=%G? %GP"]).stdout, format!("U {fingerprint}\n"));
        let certificate = String::from_utf8(cert.armored().to_vec().unwrap()).unwrap();
        policy += &format!("[[principals.{name}.keys]]\nopenpgp = \"{fingerprint}\"\ncert = \"\"\"\n{certificate}\"\"\"\n");
        // for Sequoia, too
        for hash in [8, 9, 10].into_iter().filter(|hash| name != "p384" || *hash > 8) {
            let made = run(
                &mut bare.0.home.ours(&["--status-fd=2", "--digest-algo", &format!("H{hash}"), "-bsau", path.to_str().unwrap()]),
                b"payload",
            );
            assert!(made.ok(), "{name} {hash}: {made:?}");
            let Ok(Packet::Signature(signature)) = Packet::from_bytes(&made.stdout) else { panic!("{made:?}") };
            assert_eq!((signature.version(), u8::from(signature.hash_algo())), (6, hash));
            signature.verify_message(cert.primary_key().key(), b"payload").unwrap();
            assert!(signature.verify_message(cert.primary_key().key(), b"other").is_err());
        }
    }
    let policy = bare.0.home.write("policy.toml", policy);
    let judged = bare.0.judged_by("r", policy.to_str().unwrap(), &["--strict", "HEAD"]);
    assert_eq!(judged.words(), ["accept"; 3], "{}", judged.stdout);
}

#[test]
fn passphrases_are_asked_for() {
    let bare = Bare::new();
    let (old, new) = (Profile::RFC4880, Profile::RFC9580);
    for (name, suite, profile) in [
        ("ed25519", CipherSuite::Cv25519, old),
        ("rsa", CipherSuite::RSA2k, old),
        ("p256", CipherSuite::P256, old),
        ("version6", CipherSuite::Cv25519, new),
    ] {
        let builder = builder(suite).set_profile(profile).unwrap().set_primary_key_flags(signing());
        let cert = builder.set_password(Some("open sesame".into())).generate().unwrap().0;
        let path = bare.write_secret(name, armored(&cert)).display().to_string();
        let force = Path::new("force");
        let asked = |answer: &str| bare.sign(&path, &[("SSH_ASKPASS", &bare.askpass(answer)), ("SSH_ASKPASS_REQUIRE", force)]);
        let good = asked("open sesame");
        assert!(good.ok() && good.stdout.starts_with("-----BEGIN PGP SIGNATURE-----\n"), "{good:?}");
        let wrong = asked("close sesame");
        says(&wrong, 2, &[&path]);
        assert!(wrong.stdout.is_empty() && !wrong.stderr.contains("SIG_CREATED"), "{wrong:?}");
        let nobody = bare.sign(&path, &[("SSH_ASKPASS", Path::new("/nonexistent")), ("SSH_ASKPASS_REQUIRE", force)]);
        says(&nobody, 2, &[&path]);
        for ran in [&good, &wrong, &nobody] {
            assert!(!format!("{ran:?}").contains("sesame"), "{ran:?}");
        }
    }
}

#[test]
fn what_a_file_cannot_do_is_said() {
    let bare = Bare::new();
    let cert = builder(CipherSuite::Cv25519).set_primary_key_flags(signing()).generate().unwrap().0;
    let other = builder(CipherSuite::Cv25519).set_primary_key_flags(signing()).generate().unwrap().0;
    let year = Duration::from_secs(365 * 24 * 3600);
    let old = builder(CipherSuite::Cv25519)
        .set_primary_key_flags(signing())
        .set_creation_time(SystemTime::now() - 2 * year)
        .set_validity_period(year)
        .generate()
        .unwrap()
        .0;
    let encrypts = builder(CipherSuite::Cv25519).add_storage_encryption_subkey().generate().unwrap().0;
    let refused = |path: &Path, words: &[&str]| {
        let ran = bare.sign(path.to_str().unwrap(), &[]);
        says(&ran, 2, words);
        assert!(ran.stdout.is_empty() && !ran.stderr.contains("SIG_CREATED"), "{ran:?}");
    };
    refused(&bare.write_secret("public", cert.to_vec().unwrap()), &["holds no secret key", "gpg --export-secret-keys"]);
    refused(&bare.write_secret("nonsense", b"nonsense"), &["no OpenPGP key"]);
    refused(&bare.write_secret("cut", &secret(&cert)[..60]), &["cut"]);
    refused(&bare.write_secret("old", secret(&old)), &["has expired"]);
    refused(&bare.write_secret("encrypts", secret(&encrypts)), &["holds no secret key that is for signing"]);
    refused(
        &bare.write_secret("two", [secret(&cert), secret(&other)].concat()),
        &["holds the keys of", &other.fingerprint().to_hex()],
    );
    // a secret that does not belong to what stands before it: its checksum right, its first bits, which its length counts, kept
    let mut mixed = secret(&cert);
    let end = 2 + usize::from(mixed[1]) - 2;
    let up = (end - 16..end).find(|&at| mixed[at] < 255).unwrap();
    let down = (end - 16..end).find(|&at| at != up && mixed[at] > 0).unwrap();
    (mixed[up], mixed[down]) = (mixed[up] + 1, mixed[down] - 1);
    refused(&bare.write_secret("mixed", &mixed), &["the key file's signature is not good; nothing is signed"]);
    let open = bare.0.home.write("open", secret(&cert));
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(&open, &["UNPROTECTED PRIVATE KEY FILE", "chmod 600"]);
    refused(Path::new("/nonexistent/key"), &["there is no file /nonexistent/key", "git config user.signingKey"]);
    // by a name: the certificate is known, the secret is not to be had
    bare.share(&cert);
    let fingerprint = cert.fingerprint().to_hex();
    refused(Path::new(&fingerprint), &["gpg-agent does not run", "git config user.signingKey /PATH/TO/KEY"]);
    // until it lies in the store of Sequoia's programs
    let folder = bare.0.home.join(".local/share/sequoia/keystore/softkeys");
    std::fs::create_dir_all(&folder).unwrap();
    bare.write_secret(&format!(".local/share/sequoia/keystore/softkeys/{fingerprint}.pgp"), armored(&cert));
    for spec in [&*fingerprint, "alice@example.com", &fingerprint.to_lowercase()[24..]] {
        let made = bare.sign(spec, &[]);
        assert!(made.ok() && made.stderr.contains("SIG_CREATED D 22 10 00 "), "{spec}: {made:?}");
    }
}

#[test]
fn what_gpg_exports_signs_and_gpg_believes_it() {
    let Some(gpg) = Gpg::new() else { return };
    let bare = Bare::new();
    let primary = gpg.key("alice", "rsa2048", "cert", "never");
    gpg.gpg(&["--quick-add-key", &primary, "ed25519", "sign", "never"], b"");
    // a file of gpg's, locked with a passphrase; and one without its primary key
    let export = |what: &str, passphrase: &str, key: &str| {
        let mut command = gpg.0.home.command("gpg");
        command.args([
            "--batch",
            "--quiet",
            "--no-tty",
            "--pinentry-mode=loopback",
            "--passphrase",
            passphrase,
            "--armor",
            what,
            key,
        ]);
        let ran = run(&mut command, b"");
        assert!(ran.ok(), "{ran:?}");
        ran.stdout
    };
    let open = bare.write_secret("open", export("--export-secret-keys", "", &primary));
    let stub = bare.write_secret("stub", export("--export-secret-subkeys", "", &primary));
    gpg.gpg(&["--yes", "--batch", "--pinentry-mode=loopback", "--delete-secret-keys", &primary], b"");
    let locked = {
        let mut command = gpg.0.home.command("gpg");
        command.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode=loopback", "--passphrase", "open sesame"]);
        assert!(run(command.args(["--quick-gen-key", "locked <locked@example.com>", "rsa3072", "sign"]), b"").ok());
        bare.write_secret("locked", export("--export-secret-keys", "open sesame", "locked@example.com"))
    };
    for (path, holder) in [(&open, primary.clone()), (&stub, primary.clone()), (&locked, gpg.fingerprint("locked@example.com"))] {
        let force = Path::new("force");
        let asked = [("SSH_ASKPASS", &*bare.askpass("open sesame")), ("SSH_ASKPASS_REQUIRE", force)];
        let made = bare.sign(path.to_str().unwrap(), if path == &locked { &asked } else { &[] });
        assert!(made.ok(), "{made:?}");
        let signature = gpg.0.home.write("signature", &made.stdout);
        let mut command = gpg.0.home.command("gpg");
        let believed = run(command.args(["--status-fd=1", "--verify"]).arg(signature).arg("-"), b"payload");
        assert!(believed.ok() && believed.stdout.contains("GOODSIG") && believed.stdout.contains(&holder), "{believed:?}");
    }
}
