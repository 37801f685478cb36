//! Keyless signing through the real git, by the real servers of Sigstore; the real gitsign accepts what is signed.
//! `tests/sigstore/bed cargo test --test sigstore` lays the servers out; without them nothing here runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

mod common;
#[path = "sigstore/support.rs"]
mod support;

use common::{OURS, run};
use git_warrant::armor::decode_cms;
use support::{Bed, PERSON};

/// DER of the object identifier of the embedded log entry, and of a timestamp token.
const LOG_ENTRY: &[u8] = &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x03, 0x01];
const TIMESTAMP: &[u8] = &[0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0e];

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

#[test]
fn gitsign_accepts_commits_tags_and_a_rebase() {
    let Some(bed) = Bed::find(3) else { return };
    bed.sign_as(PERSON);
    for message in ["one", "two", "three"] {
        bed.commit("r", message, &[]);
    }
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    bed.home.git("r", &["checkout", "-q", "-b", "side", "HEAD~2"]);
    bed.commit("r", "other", &[]);
    bed.home.git("r", &["rebase", "-q", "-S", "main"]);
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    bed.home.git("r", &["tag", "-s", "-m", "first", "v1"]);
    let mut gitsign =
        bed.gitsign(&["verify-tag", "--certificate-identity", PERSON, "--certificate-oidc-issuer", &bed.issuer, "v1"]);
    let done = run(gitsign.current_dir(bed.home.join("r")), b"");
    assert!(done.ok(), "{done:?}");
    // what was changed is not accepted
    let raw = bed.home.git("r", &["cat-file", "commit", "HEAD"]).replace("\n\nother", "\n\nOTHER") + "\n";
    let mut command = bed.home.command("git");
    command.arg("-C").arg(bed.home.join("r")).args(["hash-object", "-w", "-t", "commit", "--stdin"]);
    let changed = run(&mut command, raw.as_bytes()).stdout.trim().to_owned();
    assert!(!bed.gitsign_verifies("r", &changed, PERSON).ok());
    assert!(!bed.gitsign_verifies("r", "HEAD", "mallory@example.com").ok());
}

#[test]
fn gitsigns_own_settings_and_variables_are_understood() {
    let Some(bed) = Bed::find(2) else { return };
    bed.home.write("gitconfig", bed.settings("gitsign"));
    bed.commit("r", "by gitsign's settings", &[("SIGSTORE_ID_TOKEN", &bed.token(PERSON))]);
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    bed.home.write("gitconfig", bed.settings(""));
    let token = bed.token("second@example.com");
    let variables =
        [("GITSIGN_FULCIO_URL", bed.fulcio.as_str()), ("SIGSTORE_REKOR_URL", &bed.rekor), ("SIGSTORE_ID_TOKEN", &token)];
    bed.commit("r", "by its variables", &variables);
    bed.accepted_by_gitsign("r", "HEAD", "second@example.com");
}

#[test]
fn timestamps_and_the_second_rekor() {
    let Some(bed) = Bed::find(2) else { return };
    bed.sign_as(PERSON);
    bed.config("warrant.tsa", &format!("{}/api/v1/timestamp", bed.tsa));
    bed.commit("r", "stamped", &[]);
    let (der, _) = decode_cms(&bed.signature("r")).unwrap();
    assert!(holds(&der, LOG_ENTRY) && holds(&der, TIMESTAMP) && holds(&der, b"\x120.0.1") | holds(&der, b"\x050.0.1"));
    bed.config("warrant.rekor", &bed.tiles);
    bed.config("warrant.rekorVersion", "2");
    bed.commit("r", "in tiles", &[]);
    let (der, _) = decode_cms(&bed.signature("r")).unwrap();
    assert!(holds(&der, LOG_ENTRY) && holds(&der, TIMESTAMP) && holds(&der, b"\x050.0.2") && !holds(&der, b"\x050.0.1"));
    // without an authority Rekor v2 proves no time
    bed.home.git("r", &["config", "--global", "--unset", "warrant.tsa"]);
    let done = bed.try_commit("r", "no time", &[]);
    assert!(!done.ok() && done.stderr.contains("git config warrant.tsa URL"), "{done:?}");
}

#[test]
fn nothing_is_signed_that_is_not_logged() {
    let Some(bed) = Bed::find(7) else { return };
    bed.sign_as(PERSON);
    bed.commit("r", "good", &[]);
    let before = bed.home.git("r", &["rev-parse", "HEAD"]);
    let dead = "http://localhost:1";
    for (name, value, says) in [
        ("warrant.rekor", dead, "Rekor at http://localhost:1"),
        ("warrant.fulcio", dead, "Fulcio at http://localhost:1"),
        ("warrant.tsa", dead, "the timestamp authority at http://localhost:1"),
        ("warrant.rekor", bed.fulcio.as_str(), "status 404"),
        ("warrant.fulcio", "http://fulcio.example.com", "neither https nor on this machine"),
        ("warrant.rekorVersion", "3", "warrant.rekorVersion is `3`"),
    ] {
        let setting = format!("{name}={value}");
        let done =
            bed.try_commit("r", "bad", &[("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", name), ("GIT_CONFIG_VALUE_0", value)]);
        assert!(!done.ok() && done.stderr.contains(says), "{setting}: {done:?}");
        assert!(!done.stderr.contains(&bed.token_in_use()), "{done:?}");
        assert_eq!(bed.home.git("r", &["rev-parse", "HEAD"]), before);
    }
    // Fulcio refuses a token that it did not ask for
    let forged = bed.token_in_use().replace('.', ".A");
    let done = bed.try_commit("r", "bad", &[("SIGSTORE_ID_TOKEN", &forged)]);
    assert!(!done.ok() && !done.stderr.contains(&forged), "{done:?}");
}

#[test]
fn tokens_from_where_they_lie() {
    let Some(bed) = Bed::find(4) else { return };
    bed.home.write("gitconfig", bed.settings("warrant"));
    // GitHub Actions
    let url = format!("{}/ci/actions?x=y", bed.issuer);
    let runner =
        [("GITHUB_ACTIONS", "true"), ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner")];
    bed.commit("r", "by a workflow", &runner);
    let workflow = "https://github.com/o/r/.github/workflows/release.yml@refs/heads/main";
    let done = bed.gitsign_verifies_by("r", "HEAD", workflow, &format!("{}/ci", bed.issuer));
    assert!(done.ok(), "{done:?}");
    let done = bed.try_commit("r", "bad", &[("GITHUB_ACTIONS", "true")]);
    assert!(!done.ok() && done.stderr.contains("permissions: id-token: write"), "{done:?}");
    // a file
    bed.home.write("token", bed.token("file@example.com"));
    bed.config("warrant.tokenFile", "~/token");
    bed.commit("r", "by a file", &[]);
    bed.accepted_by_gitsign("r", "HEAD", "file@example.com");
    bed.home.write("token", "not a token");
    let done = bed.try_commit("r", "bad", &[]);
    assert!(!done.ok() && done.stderr.contains("holds no identity token"), "{done:?}");
}

#[test]
fn people_log_in() {
    let Some(bed) = Bed::find(4) else { return };
    bed.home.write("gitconfig", bed.settings("warrant"));
    bed.config("warrant.oidcIssuer", &bed.issuer);
    bed.config("warrant.oidcConnector", "https://github.com/login/oauth");
    bed.config("warrant.agent", "false");
    // the helper follows the redirect as a browser would, and is the browser
    let browser = bed.home.write("browser", "#!/bin/sh\nexec helper fetch \"$1\"\n");
    std::fs::set_permissions(&browser, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let here = [("DISPLAY", ":0"), ("BROWSER", browser.to_str().unwrap())];
    bed.commit("r", "by a browser", &here);
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    bed.config("warrant.login", "device");
    bed.commit("r", "by a device code", &here);
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    let log = std::fs::read_to_string(bed.folder.join("issuer.log")).unwrap();
    assert!(log.contains("connector_id=https%3A%2F%2Fgithub.com"), "{log}");
    // an issuer that is not what it says, and nobody to ask
    bed.config("warrant.oidcIssuer", &format!("{}/tuf", bed.issuer));
    assert!(!bed.try_commit("r", "bad", &here).ok());
    bed.config("warrant.oidcIssuer", &bed.issuer);
    let done = bed.try_commit("r", "bad", &[]);
    assert!(!done.ok() && done.stderr.contains("no terminal to ask at"), "{done:?}");
}

#[test]
fn the_certificate_may_have_to_name_the_committer() {
    let Some(bed) = Bed::find(2) else { return };
    bed.sign_as("alice@example.com");
    bed.config("warrant.matchCommitter", "true");
    bed.commit("r", "as myself", &[]);
    bed.sign_as("bob@example.com");
    bed.config("warrant.matchCommitter", "true");
    let done = bed.try_commit("r", "as another", &[]);
    assert!(
        !done.ok() && done.stderr.contains("is of bob@example.com, and the committer is Alice <alice@example.com>"),
        "{done:?}"
    );
}

#[test]
fn what_git_gets() {
    let Some(bed) = Bed::find(2) else { return };
    bed.sign_as(PERSON);
    let mut command = bed.home.command(OURS);
    command.args(["--status-fd=2", "-bsau", "KEY"]).env("SIGSTORE_ID_TOKEN", bed.token_in_use());
    let done = run(command.current_dir(bed.home.join("r")), b"tree\n\npayload\n");
    assert!(done.ok() && done.stdout.starts_with("-----BEGIN SIGNED MESSAGE-----\n"), "{done:?}");
    assert!(done.stdout.ends_with("-----END SIGNED MESSAGE-----\n"), "{done:?}");
    assert!(done.stderr.starts_with("[GNUPG:] BEGIN_SIGNING H8\n[GNUPG:] SIG_CREATED D 19 8 00 "), "{done:?}");
    assert!(done.stderr.contains(&format!("signed as {PERSON}, vouched for by {}; entry ", bed.issuer)), "{done:?}");
    assert!(!done.stdout.contains(&bed.token_in_use()) && !done.stderr.contains(&bed.token_in_use()), "{done:?}");
}
