//! Key files as OpenSSL writes them.

use crate::common::{Done, Home, OURS, has, run, skipped};
use crate::signing::{assert_good, assert_refused, assert_signed, sign};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

const KINDS: [(&str, &[&str]); 4] = [
    ("rsa", &["rsa", "-b", "2048"]),
    ("p256", &["ecdsa", "-b", "256"]),
    ("p384", &["ecdsa", "-b", "384"]),
    ("p521", &["ecdsa", "-b", "521"]),
];

fn home_with(kind: &[&str], passphrase: &str) -> Home {
    let home = Home::new();
    home.key("k", kind, passphrase);
    home.write("message", "what is signed\n");
    home.write("signers", format!("alice@example.com {}\n", home.public("k")));
    home
}

fn openssl(home: &Home, args: &[&str]) {
    let done = run(home.command("openssl").args(args), b"");
    assert!(done.ok(), "{done:?}");
}

fn with_passphrase(home: &Home, passphrase: &str) -> Done {
    let _ = std::fs::remove_file(home.join("message.sig"));
    let ask = home.write("ask", format!("#!/bin/sh\necho '{passphrase}'\n"));
    std::fs::set_permissions(&ask, Permissions::from_mode(0o700)).unwrap();
    let mut command = home.command(OURS);
    command.args(["-Y", "sign", "-n", "git", "-f", "k", "message"]).env("SSH_ASKPASS", ask).env("SSH_ASKPASS_REQUIRE", "force");
    command.stdin(Stdio::null()).output().unwrap().into()
}

#[test]
fn every_form_that_ssh_keygen_writes() {
    for (name, kind) in KINDS {
        for (form, label) in [("PEM", name), ("PKCS8", "PRIVATE KEY")] {
            let home = home_with(&[kind, &["-m", form]].concat(), "");
            let label = match label {
                "rsa" => "RSA PRIVATE KEY",
                "PRIVATE KEY" => label,
                _ => "EC PRIVATE KEY",
            };
            assert!(home.read("k").starts_with(format!("-----BEGIN {label}-----").as_bytes()));
            for file in ["k", "k.pub"] {
                assert_signed(&sign(&home, file, &[], None));
                assert_good(&home);
            }
        }
        let home = home_with(&[kind, &["-m", "PKCS8"]].concat(), "open sesame");
        assert!(home.read("k").starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        assert_signed(&with_passphrase(&home, "open sesame"));
        assert_good(&home);
        assert_refused(&home, &with_passphrase(&home, "wrong"), "incorrect passphrase supplied to decrypt private key");
        let home = home_with(&[kind, &["-m", "PEM"]].concat(), "open sesame");
        assert_refused(&home, &with_passphrase(&home, "open sesame"), "`ssh-keygen -p -f k` rewrites it");
    }
}

#[test]
fn what_openssl_makes_of_them() {
    if !has("openssl") {
        return skipped("openssl");
    }
    let home = home_with(&["ecdsa", "-m", "PEM"], "");
    let plain = home.read("k");
    for ways in [
        &["-v2", "aes-256-cbc"][..],
        &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"],
        &["-v2", "des3", "-v2prf", "hmacWithSHA1"],
        &["-v2", "aes-256-cbc", "-scrypt"],
    ] {
        home.write("k", &plain);
        openssl(&home, &[&["pkcs8", "-topk8", "-in", "k", "-out", "sealed", "-passout", "pass:secret"], ways].concat());
        home.write("k", home.read("sealed"));
        assert_signed(&with_passphrase(&home, "secret"));
        assert_good(&home);
    }
    // what is not PBES2 is not asked for over and over
    home.write("k", &plain);
    openssl(&home, &["pkcs8", "-topk8", "-in", "k", "-out", "sealed", "-passout", "pass:secret", "-v1", "PBE-SHA1-3DES"]);
    home.write("k", home.read("sealed"));
    assert_refused(&home, &with_passphrase(&home, "secret"), "the private key cannot be read");
    // parameters in front, as `openssl ecparam` writes them
    home.write("k", [b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n", &plain[..]].concat());
    assert_signed(&sign(&home, "k", &[], None));
    // Ed25519, which ssh-keygen reads since 9.6
    openssl(&home, &["genpkey", "-algorithm", "ed25519", "-out", "k"]);
    openssl(&home, &["pkey", "-in", "k", "-pubout", "-outform", "DER", "-out", "der"]);
    let point = home.read("der")[12..].to_vec();
    let blob = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20", &point[..]].concat();
    use base64::Engine as _;
    let line = format!("ssh-ed25519 {}", base64::engine::general_purpose::STANDARD.encode(blob));
    home.write("k.pub", &line);
    home.write("signers", format!("alice@example.com {line}\n"));
    assert_signed(&sign(&home, "k", &[], None));
    assert_good(&home);
}

#[test]
fn what_does_not_fit() {
    let home = home_with(&["ecdsa", "-m", "PEM"], "");
    for (name, kind) in [("same", "ecdsa"), ("other", "ed25519"), ("rsa", "rsa")] {
        home.key(name, &[kind], "");
    }
    let (own, mode) = (home.read("k.pub"), Permissions::from_mode(0o600));
    home.write("k.pub", home.read("same.pub"));
    assert_refused(&home, &sign(&home, "k", &[], None), "Public key k doesn't match private k");
    for other in ["other.pub", "rsa.pub"] {
        home.write("k.pub", home.read(other));
        assert_refused(&home, &sign(&home, "k", &[], None), "k: the private key cannot be read");
    }
    std::fs::remove_file(home.join("k.pub")).unwrap();
    assert_refused(&home, &sign(&home, "k", &[], None), "`ssh-keygen -y -f k >k.pub`");
    // the mend mends
    let public = run(home.command("ssh-keygen").args(["-y", "-f", "k"]), b"");
    home.write("k.pub", public.stdout);
    assert_signed(&sign(&home, "k", &[], None));
    home.write("k.pub", own);
    let whole = home.read("k");
    for cut in [40, 120, whole.len() - 20] {
        home.write("k", &whole[..cut]);
        assert_refused(&home, &sign(&home, "k.pub", &[], None), "the private key cannot be read");
    }
    home.write("k", whole);
    std::fs::set_permissions(home.join("k"), Permissions::from_mode(0o644)).unwrap();
    assert_refused(&home, &sign(&home, "k", &[], None), "Permissions 0644 for 'k' are too open");
    std::fs::set_permissions(home.join("k"), mode).unwrap();
}
