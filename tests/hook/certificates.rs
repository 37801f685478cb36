//! Commits signed with certificates: made by git through us, judged, pushed, and refused.

use crate::Server;
use crate::common::run;
use crate::world::World;

const AUTHORITY: &str = "*@example.com cert-authority,namespaces=\"git\"";

/// An authority `ca` and Alice's certificate from it; git signs with the certificate.
fn server() -> Server {
    let server = Server::new();
    server.0.home.key("ca", &["ed25519"], "");
    server.0.home.key("other-ca", &["ed25519"], "");
    list(&server, AUTHORITY, "ca");
    server
}

/// Has `signers` list Alice's first key and an authority.
fn list(server: &Server, start: &str, authority: &str) {
    let world = &server.0;
    world.home.write("signers", format!("{}{start} {}\n", world.line("alice", ""), world.home.public(authority)));
}

fn certify(world: &World, authority: &str, options: &[&str]) {
    let mut command = world.home.command("ssh-keygen");
    let done = run(command.args(["-q", "-s", authority, "-I", "alice@example.com"]).args(options).arg("bob.pub"), b"");
    assert!(done.ok(), "{done:?}");
}

/// Commits with the certificate of Bob's key, as Bob.
fn commit(world: &World, message: &str) -> String {
    let key = world.home.join("bob-cert.pub");
    let mut settings = world.person("bob");
    settings.push(format!("user.signingKey={}", key.display()));
    world.commit_as("c", message, &settings, &["-S"])
}

#[test]
fn a_certified_commit_is_made_verified_shown_and_pushed() {
    let server = server();
    let world = &server.0;
    certify(world, "ca", &["-n", "bob@example.com,root", "-z", "7"]);
    commit(world, "certified");
    let git = ["-c".to_owned(), format!("gpg.ssh.allowedSignersFile={}", world.policy())];
    let log = world.home.git("c", &[&git[0], &git[1], "log", "-1", "--format=%G? %GS"]);
    assert_eq!(log, "G bob@example.com");
    let judged = world.judged("c", &["HEAD~1..HEAD"]);
    assert_eq!(judged.words(), ["accept"], "{}", judged.stdout);
    assert_eq!(judged.lines[0]["principal"], "bob@example.com");
    let shown = run(&mut world.warrant("c", &["show", "--policy", &world.policy(), "HEAD"]), b"");
    assert!(shown.ok() && shown.stdout.contains("\"alice@example.com\" for bob@example.com, root by SHA256:"), "{shown:?}");
    server.passes(&["main"]);
    // as a literal key, by the agent
    let agent = crate::common::SshAgent::start(&world.home, &[]);
    agent.add(&world.home, &["-q", "bob"]);
    let text = String::from_utf8(world.home.read("bob-cert.pub")).unwrap();
    let literal = format!("user.signingKey=key::{}", text.split(' ').take(2).collect::<Vec<_>>().join(" "));
    let mut command = world.home.command("git");
    command.arg("-C").arg(world.home.join("c")).env("SSH_AUTH_SOCK", &agent.socket);
    command.args(["-c", "user.email=bob@example.com", "-c", &literal, "commit", "-q", "-S", "--allow-empty", "-m", "literal"]);
    let done = run(&mut command, b"");
    assert!(done.ok(), "{done:?}");
    server.passes(&["main"]);
}

#[test]
fn a_bad_certificates_push_is_refused_by_its_code() {
    let server = server();
    let world = &server.0;
    let good = world.id("c", "HEAD");
    let named = ["-n", "bob@example.com"];
    for (authority, options, code, mend) in [
        ("other-ca", &named[..], "authority-unlisted", "*@example.org cert-authority,namespaces=\"git\" ssh-ed25519 "),
        ("ca", &["-n", "bob@elsewhere"], "certificate-principals", "ssh-keygen -s CA -n bob@example.com"),
        ("ca", &[], "certificate-principals", "ssh-keygen -s CA -n bob@example.com"),
        ("ca", &["-h", "-n", "bob@example.com"], "certificate-not-for-users", "issue a user certificate"),
        ("ca", &["-n", "bob@example.com", "-O", "critical:x@y=1"], "critical-option", "without it"),
        ("ca", &["-n", "bob@example.com", "-O", "verify-required"], "user-not-verified", "with its PIN"),
        ("ca", &["-n", "bob@example.com", "-V", "20200101:20210101"], "certificate-expired", "renew the certificate"),
        ("ca", &["-n", "bob@example.com", "-V", "20980101:20990101"], "certificate-not-yet-valid", "renew the certificate"),
    ] {
        certify(world, authority, options);
        commit(world, code);
        server.refused(&["main"], &[code, mend]);
        world.home.git("c", &["reset", "-q", "--hard", &good]);
    }
    // a line for the key itself is none for a certificate of it
    certify(world, "ca", &named);
    list(&server, "bob@example.com", "bob");
    commit(world, "plain line");
    server.refused(&["main"], &["authority-unlisted"]);
    list(&server, AUTHORITY, "ca");
    // what is revoked: by serial, key id, key, and the authority
    let revoked = world.home.join("revoked");
    for (options, text, what) in [
        (&["-s", "ca.pub"][..], "id: alice@example.com\n".to_owned(), "the key's certificate is revoked"),
        (&[], world.home.public("bob"), "the key is revoked"),
        (&[], world.home.public("ca"), "the authority of the key's certificate is revoked"),
    ] {
        world.home.write("specification", text + "\n");
        let mut command = world.home.command("ssh-keygen");
        let made = run(command.args(["-q", "-k", "-f", "revoked"]).args(options).arg("specification"), b"");
        assert!(made.ok(), "{made:?}");
        server.mode("revoked", 0o644);
        server.set("gpg.ssh.revocationFile", revoked.to_str().unwrap());
        server.refused(&["main"], &["key-revoked", what]);
    }
}

#[test]
fn what_a_certificate_that_has_ended_signed_stands_by_its_date_only_where_that_is_enough() {
    let server = server();
    let world = &server.0;
    certify(world, "ca", &["-n", "bob@example.com", "-V", "20200101000000Z:20210101000000Z"]);
    let date = "2020-06-01T00:00:00Z";
    let key = world.home.join("bob-cert.pub");
    let mut command = world.home.command("git");
    command.arg("-C").arg(world.home.join("c")).env("GIT_COMMITTER_DATE", date).env("GIT_AUTHOR_DATE", date);
    command.args(["-c", &format!("user.signingKey={}", key.display()), "-c", "user.email=bob@example.com"]);
    let done = run(command.args(["commit", "-q", "-S", "--allow-empty", "-m", "then"]), b"");
    assert!(done.ok(), "{done:?}");
    let judged = world.judged("c", &["HEAD~1..HEAD"]);
    assert_eq!((judged.status, judged.verdicts()[0].2.clone()), (Some(0), vec!["claimed-only".to_owned()]));
    assert_eq!(world.judged("c", &["--strict", "HEAD~1..HEAD"]).words(), ["claimed-only"]);
    server.refused(&["main"], &["claimed-only", "warrant.settled"]);
    let id = world.id("c", "HEAD");
    server.set("warrant.settled", &id);
    server.passes(&["main"]);
}
