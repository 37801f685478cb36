//! Signing with key files and with a real agent.

use crate::common::{Done, Home, OURS, SshAgent, has, run, skipped};
use git_warrant::armor::{ArmorForm, decode_ssh};
use git_warrant::signature::ssh::key::Checked;
use git_warrant::signature::ssh::sshsig::signed_data;
use git_warrant::signature::ssh::{MessageHash, PublicKey, SshSig};
use std::fs::{File, Permissions};
use std::io::{Seek, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

pub(crate) const KINDS: [(&str, &[&str]); 5] = [
    ("ed25519", &["ed25519"]),
    ("p256", &["ecdsa", "-b", "256"]),
    ("p384", &["ecdsa", "-b", "384"]),
    ("p521", &["ecdsa", "-b", "521"]),
    ("rsa", &["rsa", "-b", "2048"]),
];

/// Signs the file `message` through us.
pub(crate) fn sign(home: &Home, key: &str, options: &[&str], agent: Option<&Path>) -> Done {
    let _ = std::fs::remove_file(home.join("message.sig"));
    let mut command = home.ours(&["-Y", "sign", "-n", "git", "-f", key]);
    command.args(options).arg("message");
    if let Some(socket) = agent {
        command.env("SSH_AUTH_SOCK", socket);
    }
    run(&mut command, b"")
}

pub(crate) fn assert_signed(done: &Done) {
    assert!(done.ok(), "{done:?}");
    assert_eq!(done.stdout, "");
    assert_eq!(done.stderr, "Signing file message\nWrite signature to message.sig\n");
}

/// Nothing was signed, nothing lies about, and standard error says why.
pub(crate) fn assert_refused(home: &Home, done: &Done, part: &str) {
    assert_eq!(done.status, Some(255), "{done:?}");
    assert_eq!(done.stdout, "");
    assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    assert!(!done.stderr.contains("usage:") && !done.stderr.contains("panicked"), "{}", done.stderr);
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name != "message.sig" && !name.to_string_lossy().starts_with(".git-warrant")), "{left:?}");
}

/// What our own verification says of `message.sig` beside that it is good.
pub(crate) fn check(home: &Home) -> Checked {
    let (blob, form) = decode_ssh(&home.read("message.sig")).unwrap();
    assert_eq!(form, ArmorForm::Canonical);
    let frame = SshSig::parse(&blob).unwrap();
    let hash = MessageHash::of_name(frame.hash).unwrap();
    let data = signed_data(frame.namespace, frame.reserved, hash, &hash.digest(&[&home.read("message")]));
    PublicKey::parse(frame.public_key).unwrap().verify(&data, frame.signature).unwrap()
}

/// The real ssh-keygen's answer to `message.sig`.
pub(crate) fn assert_good(home: &Home) {
    let mut command = home.command("ssh-keygen");
    command.args(["-Y", "verify", "-n", "git", "-f", "signers", "-I", "alice@example.com", "-s", "message.sig"]);
    let done = run(&mut command, &home.read("message"));
    assert!(done.ok(), "{done:?}");
}

fn home_with(name: &str, kind: &[&str], passphrase: &str) -> Home {
    let home = Home::new();
    home.key(name, kind, passphrase);
    home.write("message", "what is signed\n");
    home.write("signers", format!("alice@example.com {}\n", home.public(name)));
    home
}

#[test]
fn every_key_type_from_its_file_and_by_the_agent() {
    for (name, kind) in KINDS {
        let home = home_with(name, kind, "");
        let public = format!("{name}.pub");
        let deterministic = matches!(name, "ed25519" | "rsa").then(|| {
            let mut command = home.command("ssh-keygen");
            let done = run(command.args(["-Y", "sign", "-n", "git", "-f", name, "message"]), b"");
            assert!(done.ok(), "{done:?}");
            home.read("message.sig")
        });
        let same = || {
            assert_good(&home);
            assert_eq!(check(&home), Checked::default(), "{name}");
            if let Some(theirs) = &deterministic {
                assert_eq!(&home.read("message.sig"), theirs, "{name}");
            }
        };
        for file in [name, &public] {
            assert_signed(&sign(&home, file, &[], None));
            same();
        }
        let mode = std::fs::metadata(home.join("message.sig")).unwrap().permissions().mode();
        let umask_leaves = std::fs::metadata(home.join("message")).unwrap().permissions().mode();
        assert_eq!(mode, umask_leaves);

        let agent = SshAgent::start(&home, &[]);
        agent.add(&home, &["-q", name]);
        home.write("literal", home.public(name)); // as git writes `key::…`: no newline
        std::fs::remove_file(home.join(name)).unwrap();
        for (file, options) in [("literal", &["-U"][..]), (&public, &["-U"]), (&public, &[]), (name, &[])] {
            assert_signed(&sign(&home, file, options, Some(&agent.socket)));
            same();
        }
    }
}

#[test]
fn ecdsa_signatures_have_the_low_s() {
    for (name, kind) in &KINDS[1..4] {
        let home = home_with(name, kind, "");
        let agent = SshAgent::start(&home, &[]);
        agent.add(&home, &["-q", name]);
        for round in 0..12 {
            assert_signed(&sign(&home, name, &[], (round % 2 == 0).then_some(agent.socket.as_path())));
            assert_eq!(check(&home), Checked::default(), "{name}");
        }
    }
}

#[test]
fn the_agent_comes_first() {
    let home = home_with("k", &["ed25519"], "");
    let agent = SshAgent::start(&home, &[]);
    agent.add(&home, &["-q", "k"]);
    std::fs::set_permissions(home.join("k"), Permissions::from_mode(0o644)).unwrap();
    // the public key is read from it, but it is not what signs
    assert_signed(&sign(&home, "k", &[], Some(&agent.socket)));
    agent.add(&home, &["-q", "-D"]);
    assert_refused(&home, &sign(&home, "k", &[], Some(&agent.socket)), "Permissions 0644 for 'k' are too open");
}

#[test]
fn files_that_do_not_serve() {
    let home = home_with("k", &["ed25519"], "");
    home.key("ca", &["ed25519"], "");
    home.key("other", &["ed25519"], "");
    home.write("junk", "junk\n");
    home.write("torn", &home.read("k")[..200]);
    home.write("torn.pub", home.read("k.pub"));
    home.write("mixed", home.read("k"));
    home.write("mixed.pub", home.read("other.pub"));
    home.write("alone.pub", home.read("k.pub"));
    let certify = run(home.command("ssh-keygen").args(["-q", "-s", "ca", "-I", "id", "-n", "alice", "k.pub"]), b"");
    assert!(certify.ok(), "{certify:?}");
    home.write("alone-cert.pub", home.read("k-cert.pub"));
    let certify = run(home.command("ssh-keygen").args(["-q", "-s", "ca", "-I", "id", "-n", "alice", "other.pub"]), b"");
    assert!(certify.ok(), "{certify:?}");
    home.write("mixed-cert.pub", home.read("other-cert.pub"));
    for mode in [0o640, 0o604, 0o777] {
        std::fs::set_permissions(home.join("k"), Permissions::from_mode(mode)).unwrap();
        assert_refused(&home, &sign(&home, "k", &[], None), &format!("Permissions {mode:04o} for 'k' are too open"));
        assert_refused(&home, &sign(&home, "k.pub", &[], None), "`chmod 600 k`");
    }
    for name in ["torn", "mixed", "junk"] {
        std::fs::set_permissions(home.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    for (key, part) in [
        ("nowhere", "Couldn't load public key nowhere: No such file"),
        ("junk", "Couldn't load public key junk"),
        ("not/there", "name a key that is there (git config user.signingKey FILE)"),
        ("ecdsa-sha2-nistp256 AAAA", "written with `key::` in front"),
        (".", "Couldn't load public key ."),
        ("alone.pub", "No private key found for \"alone\""),
        ("alone-cert.pub", "No private key found for \"alone\""),
        ("mixed-cert.pub", "Public key mixed-cert.pub doesn't match private mixed"),
        ("torn.pub", "the private key cannot be read"),
        ("mixed.pub", "Public key mixed.pub doesn't match private mixed"),
        ("mixed", "Public key mixed doesn't match private mixed"),
    ] {
        assert_refused(&home, &sign(&home, key, &[], None), part);
    }
}

#[test]
fn several_files_in_order() {
    let home = home_with("k", &["ed25519"], "");
    let base = ["-Y", "sign", "-n", "git", "-f", "k"];
    home.write("two", "another\n");
    let done = run(home.ours(&base).args(["message", "two"]), b"");
    let said = "Signing file message\nWrite signature to message.sig\nSigning file two\nWrite signature to two.sig\n";
    assert_eq!((done.status, done.stdout.as_str(), done.stderr.as_str()), (Some(0), "", said));
    assert_good(&home);
    // what was signed before a failure stays, as with ssh-keygen
    std::fs::remove_file(home.join("message.sig")).unwrap();
    std::fs::remove_file(home.join("two.sig")).unwrap();
    let done = run(home.ours(&base).args(["message", "nowhere", "two"]), b"");
    assert_eq!(done.status, Some(255));
    assert!(done.stderr.ends_with("Cannot open nowhere for signing: No such file or directory\n"), "{done:?}");
    assert_good(&home);
    assert!(!home.join("two.sig").exists());
    for operands in [["-", "two"], ["two", "-"], ["-", "-"]] {
        let done = run(home.ours(&base).args(operands), b"");
        assert_eq!((done.status, done.stderr.as_str()), (Some(255), "Cannot sign mix of paths and standard input\n"));
    }
    assert!(!home.join("two.sig").exists());
}

#[test]
fn the_hash_that_is_asked_for() {
    let home = home_with("rsa", &["rsa", "-b", "2048"], "");
    let agent = SshAgent::start(&home, &[]);
    agent.add(&home, &["-q", "rsa"]);
    for (option, hash, algorithm) in
        [("-Ohashalg=sha256", "sha256", "rsa-sha2-256"), ("-OHashAlg=sha512", "sha512", "rsa-sha2-512")]
    {
        for socket in [None, Some(agent.socket.as_path())] {
            assert_signed(&sign(&home, "rsa", &[option], socket));
            assert_good(&home);
            let (blob, _) = decode_ssh(&home.read("message.sig")).unwrap();
            let frame = SshSig::parse(&blob).unwrap();
            assert_eq!(frame.hash, hash.as_bytes());
            assert_eq!(&frame.signature[4..16], algorithm.as_bytes(), "{socket:?}");
        }
    }
    // the key is looked for first
    assert_refused(&home, &sign(&home, "nowhere", &["-Ohashalg=sha1"], None), "Couldn't load public key nowhere");
    let said = "Signing file message\nSigning message failed: unsupported hash algorithm \"sha1\"\n";
    assert_refused(&home, &sign(&home, "rsa", &["-Ohashalg=sha1"], None), said);
}

/// What a program does with two signatures that are there, and an answer: all that it says, and what stands in the files then.
fn overwriting(home: &Home, command: &mut std::process::Command, answer: &str) -> (Done, [Vec<u8>; 2]) {
    for name in ["message", "other"] {
        home.write(name, "what is signed\n");
        home.write(format!("{name}.sig"), "mine");
    }
    // who does not ask reads nothing
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
    let done = child.wait_with_output().unwrap().into();
    (done, ["message.sig", "other.sig"].map(|name| home.read(name)))
}

#[test]
fn a_signature_that_is_there_is_asked_about_as_ssh_keygen_asks() {
    let home = home_with("k", &["ed25519"], "");
    for answer in [
        "", "y", "y\n", "Y\n", "n\n", "\n", " y\n", "yes\n", "yes\ny\n", "y\ny\n", "n\ny\n", "ny\n", "\ny\n", "yy\n", "\0y\n",
        "\u{e9}\n",
    ] {
        for flags in [&["-q"][..], &[]] {
            let both = [OURS, "ssh-keygen"].map(|program| {
                let mut command = home.command(program);
                command.args(["-Y", "sign", "-n", "git", "-f", "k"]).args(flags).args(["message", "other"]);
                overwriting(&home, &mut command, answer)
            });
            let [(ours, left), (theirs, left_by_them)] = &both;
            assert_eq!((ours.status, &ours.stdout, &ours.stderr), (theirs.status, &theirs.stdout, &theirs.stderr), "{answer:?}");
            assert_eq!(left, left_by_them, "{answer:?}");
        }
    }
}

#[test]
fn a_signature_that_is_there_is_asked_about_at_the_terminal() {
    if !has("script") {
        return skipped("script (util-linux)");
    }
    let home = home_with("k", &["ed25519"], "");
    for (answer, overwrites) in [("y\n", true), ("Yes\n", true), ("n\n", false), ("\n", false), ("ny\n", false)] {
        let line = format!("'{OURS}' -Y sign -q -n git -f k message 2>err; echo status $?");
        let mut command = home.command("script");
        command.args(["-qec", &line, "/dev/null"]).env("SHELL", "/bin/sh");
        let (done, [left, _]) = overwriting(&home, &mut command, answer);
        let shown = done.stdout;
        assert!(shown.contains("message.sig already exists.\r\nOverwrite (y/n)? ") && shown.contains("status 0"), "{shown}");
        assert_eq!((left != b"mine", home.read("err")), (overwrites, Vec::new()), "{answer}: {shown}");
        if overwrites {
            assert_good(&home);
        }
    }
    let names = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with(".git-warrant")));
}

#[test]
fn the_agents_four_refusals_name_their_mends() {
    let home = home_with("k", &["ed25519"], "");
    assert_refused(&home, &sign(&home, "k.pub", &["-U"], None), "SSH_AUTH_SOCK is not set: start an agent");
    let dead = home.join("nobody.sock");
    let message = format!("no agent answers at {} (SSH_AUTH_SOCK)", dead.display());
    assert_refused(&home, &sign(&home, "k.pub", &["-U"], Some(&dead)), &message);
    // the file still signs
    assert_signed(&sign(&home, "k", &[], Some(&dead)));
    let _ = std::fs::remove_file(home.join("message.sig"));
    let agent = SshAgent::start(&home, &[]);
    assert_refused(&home, &sign(&home, "k.pub", &["-U"], Some(&agent.socket)), "load the private key with `ssh-add FILE`");
    agent.add(&home, &["-q", "-c", "k"]); // asks for a confirmation that nobody gives
    let done = sign(&home, "k.pub", &["-U"], Some(&agent.socket));
    assert_refused(&home, &done, "the agent refused to sign with SHA256:");
    // a refusal is final, though the file could sign
    assert_refused(&home, &sign(&home, "k", &[], Some(&agent.socket)), "confirm its question");
    // neither way
    std::fs::remove_file(home.join("k")).unwrap();
    assert_refused(&home, &sign(&home, "k.pub", &[], None), "and the agent cannot help: SSH_AUTH_SOCK is not set");
}

#[test]
fn operands_and_standard_streams() {
    let home = home_with("k", &["ed25519"], "");
    let base = ["-Y", "sign", "-n", "git", "-f", "k"];
    let streamed = run(&mut home.ours(&base), b"what is signed\n");
    assert!(streamed.ok(), "{streamed:?}");
    assert_eq!(streamed.stderr, "Signing data on standard input\n");
    let dash = run(home.ours(&base).arg("-"), b"what is signed\n");
    assert_eq!(dash.stdout, streamed.stdout);
    let quiet = run(home.ours(&base).args(["message", "-q"]), b"");
    assert_eq!((quiet.status, quiet.stdout.as_str(), quiet.stderr.as_str()), (Some(0), "", ""));
    assert_eq!(home.read("message.sig"), streamed.stdout.as_bytes());
    // a signature that is there stays, unless somebody says otherwise
    home.write("message.sig", "mine");
    let done = run(home.ours(&base).arg("message"), b"");
    assert_eq!((done.status, done.stdout.as_str()), (Some(0), "message.sig already exists.\nOverwrite (y/n)? "));
    assert_eq!(home.read("message.sig"), b"mine");
    for (operand, part) in [("nowhere", "Cannot open nowhere for signing"), ("", "Cannot open  for signing")] {
        let done = run(home.ours(&base).arg(operand), b"");
        assert_eq!((done.status, done.stdout.as_str()), (Some(255), ""));
        assert!(done.stderr.contains(part), "{done:?}");
    }
    // standard input is git's
    std::fs::remove_file(home.join("message.sig")).unwrap();
    let mut theirs = File::open(home.join("signers")).unwrap();
    let mut command = home.ours(&base);
    let status = command.arg("message").stdin(theirs.try_clone().unwrap()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    assert_eq!(theirs.stream_position().unwrap(), 0);
}
