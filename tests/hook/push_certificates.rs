//! `git push --signed`: certificates that the real git makes, and what others make of them.

use crate::Server;
use crate::common::{Done, run};
use crate::world::{done, says};

/// A server that asks for a nonce, where it has a seed.
fn server(seed: Option<&str>) -> Server {
    let server = Server::new();
    server.set("receive.advertisePushOptions", "true");
    if let Some(seed) = seed {
        server.set("receive.certNonceSeed", seed);
    } else {
        // git offers certificates only where it has a seed: the hook is then called by hand
    }
    server
}

fn signed(server: &Server, args: &[&str]) -> Done {
    server.push(&[&["--signed"], args].concat())
}

/// Keeps what git put aside, so that a test can look at it.
fn keep(server: &Server) {
    let hook = include_str!("../../hooks/pre-receive");
    let keep = "git cat-file blob \"$GIT_PUSH_CERT\" >certificate || :\nenv | grep ^GIT_PUSH >environment || :\n";
    let (first, rest) = hook.split_once('\n').unwrap();
    server.hook(&format!("{first}\n{keep}{rest}"));
}

#[test]
fn a_signed_push_is_verified_by_us() {
    let server = server(Some("seed"));
    let world = &server.0;
    keep(&server);
    world.commit("c", "two", &["-S"]);
    world.home.git("c", &["tag", "-s", "-m", "m", "v1"]);
    let pushed = signed(&server, &["main", "v1", "-o", "an option"]);
    assert!(pushed.ok() && pushed.stderr.contains("3 accepted"), "{pushed:?}");
    assert!(!pushed.stderr.contains("warning"), "{pushed:?}");
    // whatever git itself could find out: the server has no allowed signers of its own
    let environment = String::from_utf8(world.home.read("server.git/environment")).unwrap();
    assert!(!environment.contains("GIT_PUSH_CERT_STATUS=G"), "{environment}");
    let certificate = world.home.read("server.git/certificate");
    // a deletion, and a push without a certificate
    assert!(signed(&server, &[":v1"]).ok());
    world.commit("c", "three", &["-S"]);
    server.passes(&["main"]);
    // the same by show
    let blob = world.object("server.git", "blob", &certificate);
    let shown = done(&mut world.warrant("server.git", &["show", "--policy", &world.policy(), &blob]));
    for words in ["push-certificate ", "good", "accept", "no-nonce"] {
        assert!(shown.stdout.contains(words), "{shown:?}");
    }
    says(&done(&mut world.warrant("server.git", &["verify", "--policy", &world.policy(), &blob])), 2, &["is a blob"]);
}

#[test]
fn a_certificate_by_anybody_else_refuses_the_push() {
    let server = server(Some("seed"));
    let world = &server.0;
    world.commit("c", "two", &["-S"]);
    let before = server.refs();
    let by = |key: &str| {
        let key = format!("user.signingKey={}", world.home.join(key).display());
        done(&mut world.installed("c", &["-c", &key, "push", "--signed", "origin", "main"]))
    };
    let pushed = by("mallory");
    says(&pushed, 1, &["pre-receive hook declined", "key-unlisted", "for this push"]);
    assert_eq!(server.refs(), before);
    assert!(by("bob").ok(), "who pushes need not be who commits");
}

#[test]
fn a_bot_and_a_forge_sign_no_push() {
    let server = server(Some("seed"));
    let world = &server.0;
    server.set("warrant.policy", world.home.join("policy.toml").to_str().unwrap());
    let by_bob = |kind: &str| {
        let key = |name: &str| format!("[[principals.{name}.keys]]\nssh = \"{}\"\n", world.home.public(name));
        world
            .home
            .write("policy.toml", format!("version = 1\n{}[principals.bob]\nkind = \"{kind}\"\n{}", key("alice"), key("bob")));
        server.mode("policy.toml", 0o644);
        let signing = format!("user.signingKey={}", world.home.join("bob").display());
        done(&mut world.installed("c", &["-c", &signing, "push", "--signed", "origin", "main"]))
    };
    world.commit("c", "two", &["-S"]);
    for kind in ["bot", "forge"] {
        let words = ["pre-receive hook declined", "not-a-person", "policy.toml:6", "with the key of a person"];
        says(&by_bob(kind), 1, &words);
    }
    assert!(by_bob("person").ok());
}

#[test]
fn a_certificate_holds_for_its_own_push_only() {
    let server = server(Some("seed"));
    let world = &server.0;
    keep(&server);
    let old = world.id("c", "main");
    let new = world.commit("c", "two", &["-S"]);
    assert!(signed(&server, &["main"]).ok());
    let certificate = world.home.read("server.git/certificate");
    let text = String::from_utf8(certificate.clone()).unwrap();
    let nonce = text.lines().find_map(|line| line.strip_prefix("nonce ")).unwrap().to_owned();
    let line = format!("{old} {new} refs/heads/main\n");
    let called = |certificate: &[u8], nonce: Option<(&str, &str)>, input: &str| {
        let blob = world.object("server.git", "blob", certificate);
        let mut command = world.warrant("server.git", &["hook", "pre-receive"]);
        command.env("GIT_DIR", ".").env("GIT_PUSH_CERT", blob);
        command.env("GIT_PUSH_CERT_STATUS", "G").env("GIT_PUSH_CERT_SIGNER", "alice@example.com");
        if let Some((nonce, status)) = nonce {
            command.env("GIT_PUSH_CERT_NONCE", nonce).env("GIT_PUSH_CERT_NONCE_STATUS", status);
        }
        run(&mut command, input.as_bytes())
    };
    let ok = Some((nonce.as_str(), "OK"));
    assert_eq!(called(&certificate, ok, &line).status, Some(0));
    says(&called(&certificate, None, &line), 0, &["accepted with a warning: no-nonce"]);
    let zero = "0".repeat(crate::common::digits());
    for (nonce, input, words) in [
        (Some(("1-other", "OK")), line.clone(), &["push-certificate-nonce", "not `1-other`"][..]),
        // genuine, and too old: over HTTP it could be a replay
        (Some((&nonce, "SLOP")), line.clone(), &["push-certificate-nonce", "git says SLOP", "receive.certNonceSlop"]),
        (Some(("later", "SLOP")), line.clone(), &["push-certificate-nonce", "git says SLOP"]),
        (Some((&nonce, "BAD")), line.clone(), &["push-certificate-nonce", "git says BAD"]),
        (Some((&nonce, "MISSING")), line.clone(), &["push-certificate-nonce", "git says MISSING"]),
        (ok, format!("{old} {new} refs/heads/other\n"), &["push-certificate-mismatch", "does not name refs/heads/other"]),
        (ok, format!("{zero} {new} refs/heads/main\n"), &["push-certificate-mismatch", "it moves refs/heads/main"]),
        (ok, format!("{old} {old} refs/heads/main\n"), &["push-certificate-mismatch", "it moves refs/heads/main"]),
        (ok, format!("{line}{zero} {new} refs/heads/b\n"), &["push-certificate-mismatch", "does not name refs/heads/b"]),
    ] {
        says(&called(&certificate, nonce, &input), 1, words);
    }
    // one that names more than is pushed
    let more = text.replace(&line, &format!("{line}{zero} {new} refs/heads/b\n"));
    says(&called(more.as_bytes(), ok, &line), 1, &["push-certificate-mismatch", "names refs/heads/b, which is not pushed"]);
    // changed, cut, of no form, with another marker, not signed
    for (bad, code) in [
        (text.replace("certificate version 0.1", "certificate version 0.2"), "malformed-header"),
        (text.replacen("pusher ", "pusher x", 1), "bad-signature"),
        (text.replace("nonce", "nonces"), "malformed-header"),
        (text[..text.find("-----BEGIN").unwrap()].to_owned(), "unsigned"),
        (text.replace("SSH SIGNATURE", "PGP SIGNATURE"), "malformed-signature"),
        (text.replace("-----END SSH SIGNATURE-----", ""), "malformed-signature"),
        (format!("{text}-----BEGIN SSH SIGNATURE-----\n"), "malformed-header"), // git signs up to the last marker
        (String::new(), "unterminated-header"),
        ("\0".to_owned(), "nul-in-header"),
    ] {
        says(&called(bad.as_bytes(), ok, &line), 1, &[code]);
    }
    // one that is not there cannot be passed over
    let mut command = world.warrant("server.git", &["hook", "pre-receive"]);
    command.env("GIT_DIR", ".").env("GIT_PUSH_CERT", "1".repeat(crate::common::digits()));
    says(&run(&mut command, line.as_bytes()), 2, &["cannot be read"]);
}

#[test]
fn in_repositories_of_sha_256_too() {
    let server = Server::new();
    let world = &server.0;
    world.repo("wide.git", &["--bare", "--object-format=sha256"]);
    world.repo("wide", &["--object-format=sha256"]);
    world.commit("wide", "one", &["-S"]);
    std::fs::create_dir_all(world.home.join("wide.git/hooks")).unwrap();
    std::fs::copy(world.home.join("server.git/hooks/pre-receive"), world.home.join("wide.git/hooks/pre-receive")).unwrap();
    for (name, value) in [("receive.certNonceSeed", "seed"), ("warrant.policy", &world.policy())] {
        world.home.git("wide.git", &["config", name, value]);
    }
    let url = world.home.join("wide.git").display().to_string();
    let push = |args: &[&str]| done(&mut world.installed("wide", &[args, &["push", "--signed", &url, "main"]].concat()));
    let mallory = format!("user.signingKey={}", world.home.join("mallory").display());
    says(&push(&["-c", &mallory]), 1, &["key-unlisted", "for this push"]);
    let pushed = push(&[]);
    assert!(pushed.ok() && pushed.stderr.contains("2 accepted"), "{pushed:?}");
}
